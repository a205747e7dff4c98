"""`gravscope limit`: changes the limits of a live job; its supervisor records the change."""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Callable, Mapping

import msgspec

from gravscope.actions.control.cancel import requester
from gravscope.actions.look.owner import refuse_foreign
from gravscope.actions.look.settle import job_cgroup, now, settled, supervisor_of
from gravscope.actions.look.status import memory_now
from gravscope.base.errors import RefusedError, StoreError, UnsupportedError, UsageError
from gravscope.base.quantity import format_size
from gravscope.launchers.choose import refuse_undelegated
from gravscope.linux import cgroup, files, proc
from gravscope.records.fields import LEGACY_SCHEMA
from gravscope.records.model import JobRecord
from gravscope.records.parts import LimitChange
from gravscope.records.spec import Limits
from gravscope.records.store import Store
from gravscope.systemd import bus, commands, host

# Seconds within which a supervisor records a change. It looks once a second, even without a signal.
RECORDED_WITHIN = 5.0


def limit(store: Store, job_id: str, limits: Limits, environ: Mapping[str, str], *, force: bool = False) -> JobRecord:
    """Changes the limits; returns the job's record once they hold. Raises RefusedError for a limit below current use
    without `force`.

    A limit below current use makes the kernel reclaim memory, and maybe kill, at once.
    """
    changed = {name: value for name, value in msgspec.to_builtins(limits).items() if value is not None}
    if not changed:
        raise UsageError("no limit to change", f"type: gravscope limit {job_id} --mem-high 8G")
    if limits.cpu_quota == math.inf:
        # The supervisor would not see this as a change.
        raise UsageError(
            "--cpu-quota: a job that runs cannot get rid of one",
            f"give it all there is: {100 * (os.cpu_count() or 1)}%",
        )
    refuse_foreign(store, job_id, "limit")
    store.read(job_id)  # so that no lock is created beside a record that we may not read
    with store.cancelling(job_id):
        record = require_supervised(store, job_id)
        _refuse_below_use(record, limits, force=force)
        if record.unit is None and set(changed) - {"mem_max"}:
            raise UnsupportedError(
                f"{job_id} has no unit: only --mem-max, which gravscope's watch holds, can be changed",
                "a scope can have the others",
            )
        if record.unit is not None:
            refuse_undelegated(limits, host.manager_environment(environ, os.geteuid()))
        change = LimitChange(at=now(), by=requester(), limits=limits)
        # Written before the limit holds: a limit below current use may end the job at once, and the record must name
        # it.
        _write_changes(store, job_id, [*record.limit_changes, change])
        if record.unit is not None:
            complaint = _apply_limits(record, limits, environ)
            # If the unit is gone, perhaps because of this limit, the change was not refused: the job has ended.
            if complaint is not None and settled(store, store.read(job_id)).live:
                _write_changes(store, job_id, record.limit_changes)
                raise UnsupportedError(f"{record.unit}: {complaint}")
            # Written again: the supervisor may have read back the earlier limits meanwhile.
            _write_changes(store, job_id, [*record.limit_changes, change])
        wanted = len(record.limit_changes) + 1
        found = wait_until_recorded(
            store, record, lambda found: len(found.limit_changes) == wanted and _holds(found, limits)
        )
        if not found.live:
            store.release(job_id)  # the job has ended, perhaps because of this limit: nothing is left beside its record
        return found


def _write_changes(store: Store, job_id: str, changes: list[LimitChange]) -> None:
    """Writes the changes beside the record, where the job's supervisor finds them."""
    try:
        files.write_atomically(str(store.limits_path(job_id)), msgspec.json.encode(changes))
    except OSError as error:
        raise StoreError(f"{store.limits_path(job_id)}: {error.strerror}") from None


def _holds(record: JobRecord, limits: Limits) -> bool:
    """False while the record still has the earlier memory limit."""
    held = record.effective or {}
    for name, limit in (("mem_high", limits.mem_high), ("mem_max", limits.mem_max)):
        value = held.get(name)
        if isinstance(limit, int) and isinstance(value, int) and value > limit:
            return False
    return True


def require_supervised(store: Store, job_id: str) -> JobRecord:
    """The record of a live job that has a supervisor. Raises RefusedError for any other job."""
    record = settled(store, store.read(job_id))
    if not record.live:
        raise RefusedError(f"{job_id} has ended: {record.state}", f"type: gravscope show {job_id}")
    if record.schema == LEGACY_SCHEMA or supervisor_of(record) is None:
        raise RefusedError(f"{job_id} has no supervisor", f"all that can be done is: gravscope cancel {job_id}")
    return record


def wait_until_recorded(store: Store, record: JobRecord, done: Callable[[JobRecord], bool]) -> JobRecord:
    """Wakes the supervisor; returns the record once `done` accepts it, the job has ended, or time is up."""
    if record.supervisor_pid is not None and record.supervisor_start_ticks is not None:
        proc.send_signal(record.supervisor_pid, record.supervisor_start_ticks, signal.SIGUSR1)
    deadline = time.monotonic() + RECORDED_WITHIN
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


def _apply_limits(record: JobRecord, limits: Limits, environ: Mapping[str, str]) -> str | None:
    """Changes the properties of the unit. Returns None, or the manager's error message.

    A memory limit is first set on the job's own cgroup for a moment. The kernel kills until a cgroup is below its
    limit. If the limit were on the scope alone, the kernel would go on to kill the supervisor, which is in the scope,
    while the job is still dying (seen).
    """
    folder = job_cgroup(record) if isinstance(limits.mem_max, int) else None
    if folder is None:
        return _set_unit_properties(record, limits, environ)
    cgroup.write(folder, "memory.max", str(limits.mem_max))
    try:
        return _set_unit_properties(record, limits, environ)
    finally:
        cgroup.write(folder, "memory.max", cgroup.NO_LIMIT)


def _set_unit_properties(record: JobRecord, limits: Limits, environ: Mapping[str, str]) -> str | None:
    environment = host.manager_environment(environ, os.geteuid())
    unit = str(record.unit)
    if bus.available():
        return bus.set_properties(unit, limits, environment)
    return host.call(commands.systemctl_set_property(unit, commands.limit_properties(limits)), environment).complaint
