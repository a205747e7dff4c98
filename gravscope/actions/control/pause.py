"""`gravscope pause` and `resume`: a job stands still, keeping its memory, and goes on.

In a scope by the kernel's freezer, on the job's own cgroup, so that the supervisor goes on (cgroup-v2.rst,
cgroup.freeze). Without one by SIGSTOP and SIGCONT to every process, which a job may notice.
"""

from __future__ import annotations

import signal

from gravscope.actions.control.limit import live_supervised, taken_over
from gravscope.actions.look.owner import refuse_foreign
from gravscope.actions.look.settle import job_folder
from gravscope.base.errors import RefusedError, StoreError, UnsupportedError
from gravscope.linux import cgroup, files, proc
from gravscope.records.model import JobRecord
from gravscope.records.store import Store


def pause(store: Store, job_id: str) -> JobRecord:
    """The job's record once it stands still. Raises RefusedError for one that has ended."""
    return _change(store, job_id, paused=True)


def resume(store: Store, job_id: str) -> JobRecord:
    """The job's record once it goes on. Raises RefusedError for one that has ended."""
    return _change(store, job_id, paused=False)


def _change(store: Store, job_id: str, *, paused: bool) -> JobRecord:
    refuse_foreign(store, job_id, "pause" if paused else "resume")
    store.read(job_id)  # before a lock is laid beside a record that is not ours to read
    with store.cancelling(job_id):
        record = live_supervised(store, job_id)
        folder = job_folder(record)
        if folder is not None:
            refused = cgroup.write(folder, "cgroup.freeze", "1" if paused else "0")
            if refused:
                raise UnsupportedError(f"{folder}: {refused}", "the freezer needs Linux 5.2 and cgroup v2")
        else:
            _signal(store, record, paused=paused)
        found = taken_over(store, record, lambda record: record.paused is paused)
    if found.live and found.paused is not paused:
        raise RefusedError(
            f"{job_id} does not {'stand still' if paused else 'go on'} yet", f"type: gravscope show {job_id}"
        )
    return found


def _signal(store: Store, record: JobRecord, *, paused: bool) -> None:
    """To every process, again until none is left that a fork has just made."""
    path = store.pause_path(record.id)
    try:
        if paused:
            files.write_atomically(str(path), b"")
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from None
    seen: set[int] = set()
    while news := [pid for pid in proc.descendants(record.supervisor_pid or 0) if pid not in seen]:
        for pid in news:
            seen.add(pid)
            process = proc.stat(pid)
            if process is not None:
                proc.send_signal(pid, process.start_ticks, signal.SIGSTOP if paused else signal.SIGCONT)
