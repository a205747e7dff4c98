"""What is put beside the record for us: the request to end the job, before `gravscope cancel` does anything, and new
limits. It goes into the record as it is, so it has to be what a record may hold (`records.model`): a reader who
finds anything else there believes none of it.
"""

from __future__ import annotations

import os

from gravscope.base import plainjson
from gravscope.base.stamp import timestamp
from gravscope.linux import files


def read_cancel(path: str) -> dict[str, object] | None:
    """The request, None if there is none; what cannot be read counts as none."""
    # an empty one may be replaced between these looks: then it is there at the last
    found = _load(path) or _unwritten(path) or _load(path)
    if not isinstance(found, dict) or not _told(found, "requested") or not _is_number(found.get("grace")):
        return None
    steps = found.get("steps", [])
    if not isinstance(steps, list) or not all(_is_step(step) for step in steps):
        return None
    return {**found, "steps": steps}


def read_changes(path: str) -> list[dict[str, object]] | None:
    """Every change of the limits, oldest first, each {at, by, limits}; None if there is none that can be read."""
    found = _load(path)
    if isinstance(found, list) and all(_is_change(change) for change in found):
        return found
    return None


def is_noted(path: str) -> bool:
    """True if we, or root, put a note there: one that anybody else did says nothing."""
    try:
        return files.is_ours(os.lstat(path))
    except OSError:
        return False


def _unwritten(path: str) -> dict[str, object] | None:
    """An empty file: all that a full disk would take of the request."""
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


def _told(found: dict[str, object], when: str) -> bool:
    return isinstance(found.get(when), str) and isinstance(found.get("by"), str)


def _is_step(step: object) -> bool:
    if not isinstance(step, dict) or not isinstance(step.get("error"), str | None):
        return False
    return isinstance(step.get("step"), str) and isinstance(step.get("at"), str)


def _is_change(change: object) -> bool:
    if not isinstance(change, dict) or not _told(change, "at") or not isinstance(change.get("limits"), dict):
        return False
    limits = change["limits"]
    return (
        all(_is_size(limits.get(name)) for name in ("mem_high", "mem_max", "swap_max", "tasks_max"))
        and all(_is_size(limits.get(name)) and limits.get(name) != "infinity" for name in ("cpu_weight", "io_weight"))
        and _is_number(limits.get("cpu_quota"))
    )


def _is_size(value: object) -> bool:
    """Bytes, or a number of other things, as far as the kernel can count; or none at all."""
    if value is None or value == "infinity":
        return True
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**64


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**64)


def steps_of(cancel: dict[str, object]) -> tuple[str, ...]:
    """The rungs that were begun so far."""
    steps = cancel["steps"]
    return tuple(str(step.get("step")) for step in steps if isinstance(step, dict)) if isinstance(steps, list) else ()


def grace_of(cancel: dict[str, object], otherwise: float) -> float:
    """The grace period that was asked for, in seconds; never more than the job's own, behind which systemd kills."""
    grace = cancel.get("grace")
    return min(float(grace), otherwise) if isinstance(grace, int | float) else otherwise
