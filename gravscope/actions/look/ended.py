"""Jobs that have ended: the right to write or remove their records, and the link between two of them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gravscope.base.errors import GravscopeError, RefusedError
from gravscope.linux import files
from gravscope.records.store import Store

# Seconds to wait for a holder that is about to release the lock: a supervisor after its last write, or another command.
PATIENCE = 5.0


@contextmanager
def locked(store: Store, job_id: str, patience: float = PATIENCE) -> Iterator[bool]:
    """Holds the lock of a job that has ended, or of an id without a record. Yields False if somebody else holds it.

    The lock file is removed afterwards. Where none can be created (a full or read-only disk), nobody can hold it.
    """
    deadline = time.monotonic() + patience
    while (descriptor := store.open_lock(job_id, create=True)) is not None:
        try:
            while not (taken := files.try_lock(descriptor)) and time.monotonic() < deadline:
                time.sleep(0.01)
            if taken and not store.is_lock_of(job_id, descriptor):
                continue  # the earlier holder has removed this file, so it locks nothing
            try:
                yield taken
            finally:
                if taken:
                    with suppress(OSError):
                        store.lock_path(job_id).unlink()
            return
        finally:
            os.close(descriptor)
    yield not os.path.lexists(store.lock_path(job_id))


def link(jobs_dir: Path, first_id: str, job_id: str) -> list[str]:
    """Adds `job_id` to the record of `first_id`, whose rerun it is. If that record is gone or the disk is full, the job
    runs all the same, and warnings are returned."""
    store = Store(jobs_dir)
    try:
        with locked(store, first_id) as ours:
            first = store.read(first_id)
            if not ours or first.live:
                raise RefusedError("somebody else is writing it")
            if job_id not in first.rerun_as:
                first.rerun_as.append(job_id)
                store.write(first)
    except GravscopeError as error:
        return [f"the record of {first_id} does not name this job: {error.message}"]
    return []
