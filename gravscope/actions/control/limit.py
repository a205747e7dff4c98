"""`gravscope limit`: changes what a live job may use, and has its supervisor record the change."""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Callable, Mapping

import msgspec

from gravscope.actions.control.cancel import requester
from gravscope.actions.look.owner import refuse_foreign
from gravscope.actions.look.settle import job_folder, now, settled, supervisor_of
from gravscope.actions.look.status import memory_now
from gravscope.base.errors import RefusedError, StoreError, UnsupportedError, UsageError
from gravscope.base.quantity import format_size
from gravscope.launchers.choose import refuse_undelegated
from gravscope.linux import cgroup, files, proc
from gravscope.records.fields import OLDER_DISPATCHER
from gravscope.records.model import JobRecord
from gravscope.records.parts import LimitChange
from gravscope.records.spec import Limits
from gravscope.records.store import Store
from gravscope.systemd import bus, commands, host

# seconds in which a supervisor takes a change into the record; it looks once a second even if it is not told
TAKEN_OVER = 5.0


def limit(store: Store, job_id: str, limits: Limits, environ: Mapping[str, str], *, force: bool = False) -> JobRecord:
    """The job's record once the change holds. Raises RefusedError for a limit below current use without `force`.

    Lowering a limit below what is in use makes the kernel reclaim, and maybe kill, at once.
    """
    changed = {name: value for name, value in msgspec.to_builtins(limits).items() if value is not None}
    if not changed:
        raise UsageError("no limit to change", f"type: gravscope limit {job_id} --mem-high 8G")
    if limits.cpu_quota == math.inf:
        # its supervisor would not take that for a change
        raise UsageError(
            "--cpu-quota: a job that runs cannot get rid of one",
            f"give it all there is: {100 * (os.cpu_count() or 1)}%",
        )
    refuse_foreign(store, job_id, "limit")
    store.read(job_id)  # before a lock is laid beside a record that is not ours to read
    with store.cancelling(job_id):
        record = live_supervised(store, job_id)
        _refuse_below_use(record, limits, force=force)
        if record.unit is None and set(changed) - {"mem_max"}:
            raise UnsupportedError(
                f"{job_id} has no unit: only --mem-max, which gravscope's watch holds, can be changed",
                "a scope can have the others",
            )
        if record.unit is not None:
            refuse_undelegated(limits, host.manager_environment(environ, os.geteuid()))
        change = LimitChange(at=now(), by=requester(), limits=limits)
        # before it holds: a limit below what is in use may end the job at once, and the record is to say at which limit
        _put(store, job_id, [*record.limit_changes, change])
        if record.unit is not None:
            complaint = _set_properties(record, limits, environ)
            # a unit that is gone meanwhile, perhaps of this very limit, is no refusal: the job has ended
            if complaint is not None and settled(store, store.read(job_id)).live:
                _put(store, job_id, record.limit_changes)
                raise UnsupportedError(f"{record.unit}: {complaint}")
            # once more: the supervisor may have read back what held before
            _put(store, job_id, [*record.limit_changes, change])
        wanted = len(record.limit_changes) + 1
        found = taken_over(store, record, lambda found: len(found.limit_changes) == wanted and _holds(found, limits))
        if not found.live:
            store.release(job_id)  # it ended meanwhile, perhaps of this very limit: what we put beside it is not left
        return found


def _put(store: Store, job_id: str, changes: list[LimitChange]) -> None:
    """Puts the changes beside the record, where the job's supervisor finds them."""
    try:
        files.write_atomically(str(store.limits_path(job_id)), msgspec.json.encode(changes))
    except OSError as error:
        raise StoreError(f"{store.limits_path(job_id)}: {error.strerror}") from None


def _holds(record: JobRecord, limits: Limits) -> bool:
    """False while the record still has what held before a memory limit was changed."""
    held = record.effective or {}
    for name, limit in (("mem_high", limits.mem_high), ("mem_max", limits.mem_max)):
        value = held.get(name)
        if isinstance(limit, int) and isinstance(value, int) and value > limit:
            return False
    return True


def live_supervised(store: Store, job_id: str) -> JobRecord:
    """The record of a job that lives and has a supervisor; raises RefusedError for any other."""
    record = settled(store, store.read(job_id))
    if not record.live:
        raise RefusedError(f"{job_id} has ended: {record.state}", f"type: gravscope show {job_id}")
    if record.schema == OLDER_DISPATCHER or supervisor_of(record) is None:
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


def _set_properties(record: JobRecord, limits: Limits, environ: Mapping[str, str]) -> str | None:
    """Changes the unit; None when that went well, else the manager's word against it.

    A memory limit is first put on the job's own cgroup, for that moment: the kernel kills until the cgroup is below it,
    and while the job is still dying it would go on with the supervisor, which lives in the scope (seen).
    """
    folder = job_folder(record) if isinstance(limits.mem_max, int) else None
    if folder is None:
        return _tell_the_manager(record, limits, environ)
    cgroup.write(folder, "memory.max", str(limits.mem_max))
    try:
        return _tell_the_manager(record, limits, environ)
    finally:
        cgroup.write(folder, "memory.max", cgroup.NO_LIMIT)


def _tell_the_manager(record: JobRecord, limits: Limits, environ: Mapping[str, str]) -> str | None:
    environment = host.manager_environment(environ, os.geteuid())
    unit = str(record.unit)
    if bus.available():
        return bus.set_properties(unit, limits, environment)
    return host.call(commands.systemctl_set_property(unit, commands.limit_properties(limits)), environment).complaint
