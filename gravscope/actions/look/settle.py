"""Settles records: if a record says that the job lives but nobody is in charge, the reader corrects it.

This is done once, under the job's lock, from what can be proven: the boot, the processes, the unit. An exit status is
never guessed.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Mapping

from gravscope.actions.look.owner import is_foreign
from gravscope.base.errors import GravscopeError, StoreError, UnsupportedError
from gravscope.base.stamp import timestamp
from gravscope.linux import cgroup, proc
from gravscope.records.fields import LEGACY_SCHEMA
from gravscope.records.model import JobRecord
from gravscope.records.outcome import Evidence, decide
from gravscope.records.store import Store, read_each
from gravscope.systemd import commands, host

UNSUPERVISED = "its supervisor is gone; it still runs, and how it ends will not be known for certain"
NOT_NOTIFIED = "nobody is told of its end: its supervisor was to do that"
WAS_UNSUPERVISED = "its supervisor was gone before it ended"
# Seconds that journalctl may take.
JOURNAL = 10.0


def now() -> str:
    """The current time, in the format of records."""
    return timestamp(time.time())


def settled(store: Store, record: JobRecord) -> JobRecord:
    """The true state of `record`. Writes the record if nobody was in charge of it any more."""
    if not record.live or record.schema == LEGACY_SCHEMA:
        return record
    if is_on_other_host(record):
        return record
    if _is_supervised(store, record):
        return _correct_start(record)
    if is_foreign(store, record.id):
        return _foreign_view(record)
    if UNSUPERVISED in record.warnings and survivors(record):
        return record  # nothing would be written, so there is no reason to wait for the lock
    with store.take_charge(record.id) as ours:
        record = store.read(record.id)  # the job may have ended or been settled meanwhile
        if ours and record.live:
            left = survivors(record)
            _settle(store, record, left)
    if not record.live:
        store.release(record.id)
    return record


def _settle(store: Store, record: JobRecord, left: list[proc.Stat]) -> None:
    """Adds what can be proven to the record and writes it. If the disk is full, the record in memory is still true."""
    with contextlib.suppress(StoreError):
        if left:
            mark_unsupervised(store, record)
        else:
            write_end(store, record)


def _foreign_view(record: JobRecord) -> JobRecord:
    """The state of another user's job as far as it can be seen. Only its owner's commands write the record."""
    rebooted = record.boot_id != proc.boot_id()
    if record.state == "starting" and record.supervisor_pid is None and not rebooted:
        return record  # only its owner can see from its lock whether anybody is in charge
    if not rebooted and proc.is_process(record.pid, record.start_ticks):
        record.warnings.append(UNSUPERVISED)
    else:
        outcome = decide(Evidence(supervised=False, rebooted=rebooted))
        record.state, record.reason, record.ended = outcome.state, outcome.reason, now()  # type: ignore[assignment]
    return record


def is_on_other_host(record: JobRecord) -> bool:
    """True for a job of another machine (on a network disk), of which nothing can be found out here."""
    return record.boot_id != proc.boot_id() and record.host not in (None, os.uname().nodename)


def _is_supervised(store: Store, record: JobRecord) -> bool:
    """True while somebody is in charge, also a supervisor whose lock file another user has removed.

    If the supervisor is gone and the lock is held, the holder can only be another reader that settles the record.
    """
    if record.supervisor_pid is None:
        return store.in_charge(record.id)
    return supervisor_of(record) is not None


def supervisor_of(record: JobRecord) -> int | None:
    """The pid of the job's supervisor while it lives: in this boot, and not a later process with the same pid."""
    alive = record.boot_id == proc.boot_id() and proc.is_process(record.supervisor_pid, record.supervisor_start_ticks)
    return record.supervisor_pid if alive else None


def _correct_start(record: JobRecord) -> JobRecord:
    """Corrects `starting` to `running` if the command has been exec'd but a full disk kept the record back."""
    command = proc.stat(record.pid) if record.state == "starting" and record.pid is not None else None
    if command is not None and command.start_ticks == record.start_ticks and command.execed:
        record.state = "running"
    return record


def survivors(record: JobRecord) -> list[proc.Stat]:
    """The processes of the job that are still alive although nobody is in charge of it."""
    if record.boot_id != proc.boot_id():
        return []
    found = {process.pid: process for process in host.members(record.invocation_id)}
    if record.pid is not None and proc.is_process(record.pid, record.start_ticks):
        command = proc.stat(record.pid)
        if command is not None:
            found[command.pid] = command
    folder = unit_cgroup(record, found)
    if folder is not None:
        found.update({process.pid: process for process in processes_in(folder)})
    # A process that hides its environment is found as the child of one that does not.
    for process in [process for process in found.values() if process.ppid not in found]:
        for child in proc.tree(process.pid):
            found.setdefault(child.pid, child)
    return list(found.values())


def processes_in(folder: str) -> list[proc.Stat]:
    """The processes in a cgroup. If all of them fork and end all the time, the cgroup is not taken for an empty one."""
    for _ in range(1000):
        stats = [proc.stat(pid) for pid in cgroup.pids(folder)]
        found = [process for process in stats if process is not None and not process.ended]
        if found or not cgroup.populated(folder):
            return found
    return []


def job_cgroup(record: JobRecord) -> str | None:
    """The cgroup of the job's own processes, without the supervisor, which must live. None if there is none."""
    pid = supervisor_of(record)
    if record.unit is None or pid is None:
        return None
    own = cgroup.folder_of(pid)
    if own is None or not own.endswith(f"{record.unit}/supervisor"):
        return None
    return own.removesuffix("supervisor") + "job"


def unit_cgroup(record: JobRecord, pids: Iterable[int] = ()) -> str | None:
    """The cgroup of the job's scope; None if it no longer exists. It is found by one of `pids`, the job's processes, or
    by the supervisor; only if that fails is the manager asked, which may answer slowly."""
    root = cgroup.mount_point()
    if record.own_unit is None or root is None:
        return None
    supervisor = supervisor_of(record)
    pids = pids if supervisor is None else [supervisor, *pids]
    for pid in pids:
        above, unit, _below = f"{cgroup.folder_of(pid)}/".partition(f"/{record.own_unit}/")
        if unit:
            return above + unit.rstrip("/")
    path = unit_properties(record, os.environ).get("ControlGroup")
    return f"{root}{path}" if path and os.path.isdir(f"{root}{path}") else None  # noqa: PTH112 (a kernel path)


def unit_properties(record: JobRecord, environ: Mapping[str, str]) -> dict[str, str]:
    """The properties of the job's unit in the manager. Empty if it does not answer, or if the unit is another job's."""
    if record.own_unit is None:
        return {}
    try:
        environment = host.manager_environment(environ, os.geteuid())
    except UnsupportedError:
        return {}
    wanted = ["ActiveState", "SubState", "Result", "ControlGroup", "LoadState"]
    shown = host.call(commands.systemctl_show(record.own_unit, wanted), environment)
    found = commands.parse_properties(shown.out) if shown.status == 0 else {}
    folder = f"{cgroup.mount_point()}{found.get('ControlGroup', '')}"
    return {} if cgroup.belongs_to_another(folder, record.invocation_id) else found


def mark_unsupervised(store: Store, record: JobRecord) -> JobRecord:
    """Marks the record of a job that runs on without a supervisor, and writes it."""
    if UNSUPERVISED not in record.warnings:
        record.state = "running"
        record.warnings.append(UNSUPERVISED)
        unheld = ["its memory limit"] if record.enforcement == "watch" else []
        unheld += ["its timeout"] if record.timeout is not None else []
        if unheld:
            record.warnings.append(f"without its supervisor nobody keeps {' and '.join(unheld)}")
        if record.enforcement == "watch":
            record.enforcement = "none"
        _warn_not_notified(record)
        store.write(record)
    return record


def _warn_not_notified(record: JobRecord) -> None:
    """Adds a warning that nobody is notified: only the supervisor knows whom to notify and how."""
    if record.notify and NOT_NOTIFIED not in record.warnings:
        record.warnings.append(NOT_NOTIFIED)


def write_end(store: Store, record: JobRecord) -> None:
    """Writes the end of a job that has no process left and that nobody is in charge of."""
    cancel = store.read_cancel(record.id)
    rebooted = record.boot_id != proc.boot_id()
    if record.state == "starting" and record.pid is None:
        # the pid is on disk before the command may start
        evidence = Evidence(start_error="whatever was launching it ended before its command was started")
    else:
        evidence = Evidence(supervised=False, rebooted=rebooted, **_unit_evidence(record, rebooted=rebooted))
        if cancel is not None:
            evidence.cancel_requested, evidence.cancel_steps = True, tuple(step.step for step in cancel.steps)
            evidence.cancel_reached = cancel.reached.able > 0 or cancel.acting is not None
    outcome = decide(evidence)
    record.state, record.reason = outcome.state, outcome.reason  # type: ignore[assignment]
    if cancel is not None:
        record.cancel = cancel.as_recorded()
    record.ended, record.paused, record.throttled = now(), False, False
    record.warnings = [WAS_UNSUPERVISED if warning == UNSUPERVISED else warning for warning in record.warnings]
    _warn_not_notified(record)
    store.write(record)


def _unit_evidence(record: JobRecord, *, rebooted: bool) -> dict[str, object]:
    """What the manager says about the end of the job's unit, or logged about a unit that it has forgotten."""
    if record.own_unit is None:
        return {}
    told = {} if rebooted else unit_properties(record, os.environ)
    if told.get("LoadState") == "loaded":
        return {"unit_result": told.get("Result")}
    said = host.call(commands.journalctl_unit_end(record.own_unit, os.geteuid(), record.boot_id), os.environ, JOURNAL)
    ends = commands.parse_unit_end(said.out) if said.status == 0 else set()
    # If one of many processes was killed for memory, this does not tell how the job ended.
    killed = "oom-kill" in ends or ("out of memory" in ends and record.oom_policy == "kill")
    return {"unit_result": "oom-kill" if killed else None, "oomd": "oomd" in ends}


def live_records(store: Store) -> list[JobRecord]:
    """All jobs that really live, newest first. Records of ended jobs are not even opened: they have no lock."""
    found = []
    for record in read_each(store, store.latest(0)):
        with contextlib.suppress(GravscopeError):  # an error in one record does not hide the others
            if isinstance(record, JobRecord) and (standing := settled(store, record)).live:
                found.append(standing)
    return found
