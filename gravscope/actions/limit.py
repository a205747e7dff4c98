"""`gravscope limit`: changes what a live job may use, and has its supervisor record the change."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping

import msgspec

from gravscope import bus, commands, files, host, proc
from gravscope.actions.cancel import now, requester
from gravscope.actions.settle import settled
from gravscope.actions.status import memory_now
from gravscope.errors import RefusedError, StoreError, UnsupportedError, UsageError
from gravscope.model import OLDER_DISPATCHER, JobRecord, LimitChange, Limits
from gravscope.quantity import format_size
from gravscope.store import Store

# seconds in which a supervisor takes a change into the record; it looks once a second even if it is not told
TAKEN_OVER = 5.0


def limit(store: Store, job_id: str, limits: Limits, environ: Mapping[str, str], *, force: bool = False) -> JobRecord:
    """The job's record once the change holds. Raises RefusedError for a limit below current use without `force`.

    Lowering a limit below what is in use makes the kernel reclaim, and maybe kill, at once.
    """
    changed = {name: value for name, value in msgspec.to_builtins(limits).items() if value is not None}
    if not changed:
        raise UsageError("no limit to change", f"type: gravscope limit {job_id} --mem-high 8G")
    with store.cancelling(job_id):
        record = live_supervised(store, job_id)
        _refuse_below_use(record, limits, force=force)
        if record.unit is not None:
            _set_properties(record, limits, environ)
        elif set(changed) - {"mem_max"}:
            raise UnsupportedError(
                f"{job_id} has no unit: only --mem-max, which gravscope's watch holds, can be changed",
                "a scope can have the others",
            )
        changes = [*record.limit_changes, LimitChange(at=now(), by=requester(), limits=limits)]
        try:
            files.write_atomically(str(store.limits_path(job_id)), msgspec.json.encode(changes))
        except OSError as error:
            raise StoreError(f"{store.limits_path(job_id)}: {error.strerror}") from None
        return taken_over(store, record, lambda found: len(found.limit_changes) == len(changes))


def live_supervised(store: Store, job_id: str) -> JobRecord:
    """The record of a job that lives and has a supervisor; raises RefusedError for any other."""
    record = settled(store, store.read(job_id))
    if not record.live:
        raise RefusedError(f"{job_id} has ended: {record.state}", f"type: gravscope show {job_id}")
    if record.schema == OLDER_DISPATCHER or not proc.is_process(record.supervisor_pid, record.supervisor_start_ticks):
        raise RefusedError(f"{job_id} has no supervisor", f"all that can be done is: gravscope cancel {job_id}")
    return record


def taken_over(store: Store, record: JobRecord, done: Callable[[JobRecord], bool]) -> JobRecord:
    """Wakes the job's supervisor, and returns the record once `done` says that it shows the change, or has ended."""
    if record.supervisor_pid is not None and record.supervisor_start_ticks is not None:
        proc.send_signal(record.supervisor_pid, record.supervisor_start_ticks, signal.SIGUSR1)
    deadline = time.monotonic() + TAKEN_OVER
    while True:
        found = store.read(record.id)
        if done(found) or not found.live or time.monotonic() > deadline:
            return found
        time.sleep(0.01)


def _refuse_below_use(record: JobRecord, limits: Limits, *, force: bool) -> None:
    used = memory_now(record) or 0
    for name, wanted in (("--mem-high", limits.mem_high), ("--mem-max", limits.mem_max)):
        if isinstance(wanted, int) and wanted < used and not force:
            raise RefusedError(
                f"{name} {format_size(wanted)} is below the {format_size(used)} that {record.id} uses now",
                "it would be slowed down or killed at once; add --force if that is meant",
            )


def _set_properties(record: JobRecord, limits: Limits, environ: Mapping[str, str]) -> None:
    properties = commands.limit_properties(limits)
    environment = host.manager_environment(environ, os.geteuid())
    unit = str(record.unit)
    if bus.available():
        complaint = bus.set_properties(unit, limits, environment)
    else:
        complaint = host.call(commands.systemctl_set_property(unit, properties), environment).complaint
    if complaint is not None:
        raise UnsupportedError(f"{unit}: {complaint}")
