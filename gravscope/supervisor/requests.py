"""Reads the files that other commands put beside the record: cancel requests, changed limits, pause notes.

`gravscope cancel` writes its request before it does anything. Requests go into the record unchanged, so they are
checked here: a record with anything in it that `records.model` does not allow is rejected as a whole by its readers.
"""

from __future__ import annotations

import os

from gravscope.base import plainjson
from gravscope.base.stamp import timestamp
from gravscope.linux import files


def read_cancel(path: str) -> dict[str, object] | None:
    """The cancel request in file `path`; None if there is none, or none that is valid."""
    # an empty file may be replaced between the first two reads; then the third one finds the request
    found = _load(path) or _unwritten(path) or _load(path)
    if (
        not isinstance(found, dict)
        or not _has_time_and_author(found, "requested")
        or not _is_number(found.get("grace"))
    ):
        return None
    steps = found.get("steps", [])
    if not isinstance(steps, list) or not all(_is_step(step) for step in steps):
        return None
    return {**found, "steps": steps}


def read_changes(path: str) -> list[dict[str, object]] | None:
    """All changes of the limits, oldest first, each {at, by, limits}; None if there is no valid list of them."""
    found = _load(path)
    if isinstance(found, list) and all(_is_change(change) for change in found):
        return found
    return None


def is_noted(path: str) -> bool:
    """True if there is a file at `path` that we or root own; files of other users do not count."""
    try:
        return files.is_ours(os.lstat(path))
    except OSError:
        return False


def _unwritten(path: str) -> dict[str, object] | None:
    """What an empty file stands for: a request that could not be written because the disk was full."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    if found.st_size or not files.is_ours(found):
        return None
    return {"requested": timestamp(found.st_mtime), "by": "not known: the disk was full", "unwritten": True}


def _load(path: str) -> object:
    try:
        return plainjson.loads(files.read_whole(path).decode("utf-8"))
    except (OSError, ValueError, StopIteration, ImportError):
        return None


def _has_time_and_author(found: dict[str, object], when: str) -> bool:
    return isinstance(found.get(when), str) and isinstance(found.get("by"), str)


def _is_step(step: object) -> bool:
    if not isinstance(step, dict) or not isinstance(step.get("error"), str | None):
        return False
    return isinstance(step.get("step"), str) and isinstance(step.get("at"), str)


def _is_change(change: object) -> bool:
    if (
        not isinstance(change, dict)
        or not _has_time_and_author(change, "at")
        or not isinstance(change.get("limits"), dict)
    ):
        return False
    limits = change["limits"]
    return (
        all(_is_size(limits.get(name)) for name in ("mem_high", "mem_max", "swap_max", "tasks_max"))
        and all(_is_size(limits.get(name)) and limits.get(name) != "infinity" for name in ("cpu_weight", "io_weight"))
        and _is_number(limits.get("cpu_quota"))
    )


def _is_size(value: object) -> bool:
    """True for None, `infinity`, and a whole number in 64 bits: bytes, or a number of tasks."""
    if value is None or value == "infinity":
        return True
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**64


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**64)


def steps_of(cancel: dict[str, object]) -> tuple[str, ...]:
    """The names of the steps that were begun so far."""
    steps = cancel["steps"]
    return tuple(str(step.get("step")) for step in steps if isinstance(step, dict)) if isinstance(steps, list) else ()


def grace_of(cancel: dict[str, object], otherwise: float) -> float:
    """The grace period of the request, in seconds; never more than `otherwise`, the job's own, after which systemd
    sends SIGKILL."""
    grace = cancel.get("grace")
    return min(float(grace), otherwise) if isinstance(grace, int | float) else otherwise
