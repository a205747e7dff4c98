"""The id of a job: NAME_YYYYmmdd_HHMMSS in local time, then _2, _3 … if that id is taken."""

from __future__ import annotations

import re

from gravscope.base.errors import UsageError

_ID = re.compile(r"(?P<name>.+)_(?P<stamp>\d{8}_\d{6})(?:_(?P<count>\d+))?", re.ASCII)
# What is allowed in both a file name and a unit name (systemd.unit(5)); gravscope-….scope has to fit into 255 bytes.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", re.ASCII)


def check_name(name: str) -> str:
    """Returns `name`. Raises UsageError if it cannot be part of a file name and a unit name."""
    if _NAME.fullmatch(name) is None:
        raise UsageError(
            f"name: {name!r} cannot be a job's name",
            "take 1 to 100 of A-Z a-z 0-9 . _ -, the first of them no dot or dash",
        )
    return name


def name_of(job_id: str) -> str:
    """The name part of an id; the whole text if it does not look like an id."""
    match = _ID.fullmatch(job_id)
    return match["name"] if match else job_id


def is_id(text: str) -> bool:
    """True for an id as `gravscope run` makes it: a name, a time, and a number if that second was taken."""
    match = _ID.fullmatch(text)
    return match is not None and _NAME.fullmatch(match["name"]) is not None


def sort_key(job_id: str) -> tuple[str, int]:
    """A sort key for ids: the time, then the number after it."""
    match = _ID.fullmatch(job_id)
    return (match["stamp"], int(match["count"] or 1)) if match else ("", 0)
