"""The id of a job: NAME_YYYYmmdd_HHMMSS in local time, then _2, _3 … if that id is taken."""

from __future__ import annotations

import re

from gravscope.base.errors import UsageError
from gravscope.base.names import check_name

_ID = re.compile(r"(?P<name>.+)_(?P<stamp>\d{8}_\d{6})(?:_(?P<count>\d+))?", re.ASCII)


def name_of(job_id: str) -> str:
    """The name part of an id; the whole text if it does not look like an id."""
    match = _ID.fullmatch(job_id)
    return match["name"] if match else job_id


def is_id(text: str) -> bool:
    """True for an id as `gravscope run` makes it: a name, a time, and a number if that second was taken."""
    match = _ID.fullmatch(text)
    return match is not None and _is_name(match["name"])


def _is_name(text: str) -> bool:
    try:
        return check_name(text) == text
    except UsageError:
        return False


def sort_key(job_id: str) -> tuple[str, int]:
    """A sort key for ids: the time, then the number after it."""
    match = _ID.fullmatch(job_id)
    return (match["stamp"], int(match["count"] or 1)) if match else ("", 0)
