"""The request to end the job, as `gravscope cancel` puts it beside the record before it does anything."""

from __future__ import annotations

from gravscope import files
from gravscope.supervisor import plainjson


def read_cancel(path: str) -> dict[str, object] | None:
    """The request, None if there is none; what cannot be read counts as none."""
    try:
        found = plainjson.loads(files.read_whole(path).decode("utf-8"))
    except (OSError, ValueError, StopIteration, ImportError):
        return None
    if isinstance(found, dict) and isinstance(found.get("steps"), list) and "requested" in found:
        return found
    return None


def steps_of(cancel: dict[str, object]) -> tuple[str, ...]:
    """The rungs that were begun so far."""
    steps = cancel["steps"]
    return tuple(str(step.get("step")) for step in steps if isinstance(step, dict)) if isinstance(steps, list) else ()


def grace_of(cancel: dict[str, object], otherwise: float) -> float:
    """The grace period that was asked for, in seconds; never more than the job's own, behind which systemd kills."""
    grace = cancel.get("grace")
    return min(float(grace), otherwise) if isinstance(grace, int | float) else otherwise
