"""A launch of which nobody said how it went: what there is of the job all the same, and the end of its record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from gravscope.actions.look.settle import mark_unsupervised, now, survivors, write_end
from gravscope.base.errors import GravscopeError, UnsupportedError
from gravscope.records.store import Store


def survivor(jobs_dir: Path, job_id: str) -> dict[str, Any] | None:
    """The record of a job that runs although its supervisor died before it could say so; None if nothing was begun.

    Raises UnsupportedError if the supervisor had got further, and took the job with it.
    """
    store = Store(jobs_dir)
    known = store.read(job_id)  # a supervisor that has died since may have got further than we know
    if survivors(known):
        found: dict[str, Any] = msgspec.to_builtins(mark_unsupervised(store, known))
        return found
    if known.supervisor_pid is not None:
        write_end(store, known)
        store.release(known.id)
        raise UnsupportedError(
            f"{known.id}: its supervisor ended while starting it", f"type: gravscope show {known.id}"
        )
    return None


def never_started(jobs_dir: Path, job_id: str, complaint: str) -> GravscopeError:
    """Ends the record of a job whose launcher failed before there was a supervisor."""
    store = Store(jobs_dir)
    record = store.read(job_id)
    record.state = "never-started"
    record.reason = f"{record.launcher}: {complaint}"
    record.ended = now()
    store.write(record)
    store.release(record.id)
    hint = (
        "--launcher session does without systemd" if record.launcher == "scope" else f"type: gravscope show {record.id}"
    )
    return UnsupportedError(f"{record.id} was not started: {complaint}", hint)
