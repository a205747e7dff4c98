"""Truth on every read: a record that says it lives, with nobody in charge of it, is settled by whoever looks.

Once, under the job's lock, from what can be proven: the boot, the processes, the unit. An exit status is never made up.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping
from datetime import datetime

from gravscope import cgroup, commands, host, proc
from gravscope.errors import GravscopeError, StoreError, UnsupportedError
from gravscope.model import OLDER_DISPATCHER, JobRecord
from gravscope.outcome import Evidence, decide
from gravscope.store import Store, each_readable

UNSUPERVISED = "its supervisor is gone; it still runs, and how it ends will not be known for certain"


def now() -> str:
    """This moment, as records write it."""
    return datetime.now().astimezone().isoformat(timespec="milliseconds")


def settled(store: Store, record: JobRecord) -> JobRecord:
    """`record` as it really stands. Writes it if it had been left behind by whoever was in charge of it."""
    if not record.live or record.schema == OLDER_DISPATCHER:
        return record
    if record.boot_id != proc.boot_id() and record.host != socket.gethostname():
        return record  # of another machine, over a network disk, nothing can be known from here
    if store.in_charge(record.id) and not _supervisor_is_gone(record):
        return record
    with store.charge(record.id) as ours:
        record = store.read(record.id)  # it may have ended, or been settled, while we were waiting
        if ours and record.live:
            left = survivors(record)
            _settle(store, record, left)
    if not record.live:
        store.release(record.id)
    return record


def _settle(store: Store, record: JobRecord, left: list[proc.Stat]) -> None:
    """Takes into the record what can be proven, and writes it. A disk that is full does not make it less true."""
    with contextlib.suppress(StoreError):
        if left:
            unsupervised(store, record)
        else:
            conclude(store, record)


def _supervisor_is_gone(record: JobRecord) -> bool:
    """True if whoever holds the lock can only be another one who is settling the job at this moment."""
    if record.supervisor_pid is None:
        return False
    return not proc.is_process(record.supervisor_pid, record.supervisor_start_ticks)


def survivors(record: JobRecord) -> list[proc.Stat]:
    """Processes of the job that are still alive although nobody is in charge of it."""
    if record.boot_id != proc.boot_id():
        return []
    found = {process.pid: process for process in host.members(record.invocation_id)}
    if record.pid is not None and proc.is_process(record.pid, record.start_ticks):
        command = proc.stat(record.pid)
        if command is not None:
            found[command.pid] = command
    folder = unit_folder(record)
    for pid in cgroup.processes(folder) if folder else []:
        process = proc.stat(pid)
        if process is not None and not process.ended:
            found[pid] = process
    return list(found.values())


def job_folder(record: JobRecord) -> str | None:
    """The cgroup of the job's own processes, beside that of its supervisor, which must live; None for one without."""
    pid = record.supervisor_pid
    if record.unit is None or pid is None or not proc.is_process(pid, record.supervisor_start_ticks):
        return None
    own = cgroup.folder_of(pid)
    if own is None or not own.endswith(f"{record.unit}/supervisor"):
        return None
    return own.removesuffix("supervisor") + "job"


def unit_folder(record: JobRecord) -> str | None:
    """The cgroup folder of the job's scope, as the manager tells it; None if there is none any more."""
    root = cgroup.mount_point()
    if record.own_unit is None or root is None:
        return None
    path = unit_properties(record, os.environ).get("ControlGroup")
    return f"{root}{path}" if path and os.path.isdir(f"{root}{path}") else None  # noqa: PTH112 (a kernel path)


def unit_properties(record: JobRecord, environ: Mapping[str, str]) -> dict[str, str]:
    """What the manager knows of the job's unit; empty where it does not answer."""
    if record.own_unit is None:
        return {}
    try:
        environment = host.manager_environment(environ, os.geteuid())
    except UnsupportedError:
        return {}
    wanted = ["ActiveState", "SubState", "Result", "ControlGroup", "LoadState"]
    shown = host.call(commands.systemctl_show(record.own_unit, wanted), environment)
    return commands.parse_properties(shown.out) if shown.status == 0 else {}


def unsupervised(store: Store, record: JobRecord) -> JobRecord:
    """The record of a job that runs on without a supervisor, which it says from now on."""
    if UNSUPERVISED not in record.warnings:
        record.state = "running"
        record.warnings.append(UNSUPERVISED)
        store.write(record)
    return record


def conclude(store: Store, record: JobRecord) -> None:
    """Writes the end of a job of which nothing is left and which nobody is in charge of."""
    cancel = store.read_cancel(record.id)
    rebooted = record.boot_id != proc.boot_id()
    if record.state == "starting" and record.supervisor_pid is None and not rebooted:
        evidence = Evidence(start_error="whatever was launching it ended before its command was started")
    else:
        evidence = Evidence(
            supervised=False,
            rebooted=rebooted,
            cancel_requested=cancel is not None,
            cancel_steps=tuple(step.step for step in cancel.steps) if cancel else (),
            unit_result=None if rebooted else unit_properties(record, os.environ).get("Result"),
        )
    outcome = decide(evidence)
    record.state, record.reason = outcome.state, outcome.reason  # type: ignore[assignment]
    record.cancel = cancel or record.cancel
    record.ended = now()
    store.write(record)


def live_records(store: Store) -> list[JobRecord]:
    """Every job that really lives, newest first. Ended ones are not even opened: they have no lock."""
    locked = store.locked_ids()
    ids = [job_id for job_id in store.ids() if job_id in locked]
    found = []
    for record in each_readable(store, ids):
        with contextlib.suppress(GravscopeError):  # one that cannot be settled hides no other
            if isinstance(record, JobRecord) and (standing := settled(store, record)).live:
                found.append(standing)
    return found
