"""`gravscope pause` and `resume`: stops a job, which keeps its memory, and lets it continue.

In a scope this uses the kernel's freezer on the job's own cgroup, so that the supervisor keeps running (cgroup-v2.rst,
cgroup.freeze). Without a scope it sends SIGSTOP and SIGCONT to every process, which a job may notice.
"""

from __future__ import annotations

import signal

from gravscope.actions.control.limit import require_supervised, wait_until_recorded
from gravscope.actions.look.owner import refuse_foreign
from gravscope.actions.look.settle import job_cgroup
from gravscope.base.errors import RefusedError, StoreError, UnsupportedError
from gravscope.linux import cgroup, files, proc
from gravscope.records.model import JobRecord
from gravscope.records.store import Store


def pause(store: Store, job_id: str) -> JobRecord:
    """Pauses the job; returns its record once it is paused. Raises RefusedError if it has ended."""
    return _set_paused(store, job_id, paused=True)


def resume(store: Store, job_id: str) -> JobRecord:
    """Resumes the job; returns its record once it runs. Raises RefusedError if it has ended."""
    return _set_paused(store, job_id, paused=False)


def _set_paused(store: Store, job_id: str, *, paused: bool) -> JobRecord:
    refuse_foreign(store, job_id, "pause" if paused else "resume")
    store.read(job_id)  # so that no lock is created beside a record that we may not read
    with store.cancelling(job_id):
        record = require_supervised(store, job_id)
        folder = job_cgroup(record)
        if folder is not None:
            refused = cgroup.write(folder, "cgroup.freeze", "1" if paused else "0")
            if refused:
                raise UnsupportedError(f"{folder}: {refused}", "the freezer needs Linux 5.2 and cgroup v2")
        else:
            _signal_all(store, record, paused=paused)
        found = wait_until_recorded(store, record, lambda record: record.paused is paused)
    if found.live and found.paused is not paused:
        raise RefusedError(
            f"{job_id} does not {'stand still' if paused else 'go on'} yet", f"type: gravscope show {job_id}"
        )
    return found


def _signal_all(store: Store, record: JobRecord, *, paused: bool) -> None:
    """Signals every process, and repeats this until no new process, made by a fork, is found."""
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
