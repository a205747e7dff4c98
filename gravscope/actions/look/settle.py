"""Truth on every read: a record that says it lives, with nobody in charge of it, is settled by whoever looks.

Once, under the job's lock, from what can be proven: the boot, the processes, the unit. An exit status is never made up.
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
from gravscope.records.fields import OLDER_DISPATCHER
from gravscope.records.model import JobRecord
from gravscope.records.outcome import Evidence, decide
from gravscope.records.store import Store, each_readable
from gravscope.systemd import commands, host

UNSUPERVISED = "its supervisor is gone; it still runs, and how it ends will not be known for certain"
UNTOLD = "nobody is told of its end: its supervisor was to do that"
WAS_UNSUPERVISED = "its supervisor was gone before it ended"
# seconds that the journal may take
JOURNAL = 10.0


def now() -> str:
    """This moment, as records write it."""
    return timestamp(time.time())


def settled(store: Store, record: JobRecord) -> JobRecord:
    """`record` as it really stands. Writes it if it had been left behind by whoever was in charge of it."""
    if not record.live or record.schema == OLDER_DISPATCHER:
        return record
    if is_elsewhere(record):
        return record
    if _is_supervised(store, record):
        return _begun(record)
    if is_foreign(store, record.id):
        return _from_outside(record)
    if UNSUPERVISED in record.warnings and survivors(record):
        return record  # there is nothing to be written, and so no reason to wait for anybody
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


def _from_outside(record: JobRecord) -> JobRecord:
    """How somebody else's job stands, as far as it can be told. Nothing is written: its owner's next look does that."""
    rebooted = record.boot_id != proc.boot_id()
    if record.state == "starting" and record.supervisor_pid is None and not rebooted:
        return record  # whether anybody is in charge of it, its lock tells its owner alone
    if not rebooted and proc.is_process(record.pid, record.start_ticks):
        record.warnings.append(UNSUPERVISED)
    else:
        outcome = decide(Evidence(supervised=False, rebooted=rebooted))
        record.state, record.reason, record.ended = outcome.state, outcome.reason, now()  # type: ignore[assignment]
    return record


def is_elsewhere(record: JobRecord) -> bool:
    """True for a job of another machine, over a network disk, of which nothing can be known from here."""
    return record.boot_id != proc.boot_id() and record.host not in (None, os.uname().nodename)


def _is_supervised(store: Store, record: JobRecord) -> bool:
    """True while somebody is in charge, a supervisor whose lock somebody else has removed included.

    Whoever holds the lock of a job whose supervisor is gone can only be another one who is settling it just now.
    """
    if record.supervisor_pid is None:
        return store.in_charge(record.id)
    return supervisor_of(record) is not None


def supervisor_of(record: JobRecord) -> int | None:
    """The pid of the job's supervisor if that lives: in this boot, and no later process that has its number."""
    alive = record.boot_id == proc.boot_id() and proc.is_process(record.supervisor_pid, record.supervisor_start_ticks)
    return record.supervisor_pid if alive else None


def _begun(record: JobRecord) -> JobRecord:
    """A job that runs although the disk, being full, still says `starting`: its command has been exec'd."""
    command = proc.stat(record.pid) if record.state == "starting" and record.pid is not None else None
    if command is not None and command.start_ticks == record.start_ticks and command.execed:
        record.state = "running"
    return record


def survivors(record: JobRecord) -> list[proc.Stat]:
    """Processes of the job that are still alive although nobody is in charge of it."""
    if record.boot_id != proc.boot_id():
        return []
    found = {process.pid: process for process in host.members(record.invocation_id)}
    if record.pid is not None and proc.is_process(record.pid, record.start_ticks):
        command = proc.stat(record.pid)
        if command is not None:
            found[command.pid] = command
    folder = unit_folder(record, found)
    if folder is not None:
        found.update({process.pid: process for process in inside(folder)})
    # what hides its environment is still the child of one that does not
    for process in [process for process in found.values() if process.ppid not in found]:
        for child in proc.tree(process.pid):
            found.setdefault(child.pid, child)
    return list(found.values())


def inside(folder: str) -> list[proc.Stat]:
    """The processes in a cgroup. One of which every process forks and ends at once is not taken for an empty one."""
    for _ in range(1000):
        stats = [proc.stat(pid) for pid in cgroup.pids(folder)]
        found = [process for process in stats if process is not None and not process.ended]
        if found or not cgroup.populated(folder):
            return found
    return []


def job_folder(record: JobRecord) -> str | None:
    """The cgroup of the job's own processes, beside that of its supervisor, which must live; None for one without."""
    pid = supervisor_of(record)
    if record.unit is None or pid is None:
        return None
    own = cgroup.folder_of(pid)
    if own is None or not own.endswith(f"{record.unit}/supervisor"):
        return None
    return own.removesuffix("supervisor") + "job"


def unit_folder(record: JobRecord, pids: Iterable[int] = ()) -> str | None:
    """The cgroup folder of the job's scope; None if there is none any more. One of `pids`, its processes, knows it, or
    its supervisor; the manager, which may be slow to answer, is asked if none does."""
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
    """What the manager knows of the job's unit; empty where it does not answer, or knows another job's of that name."""
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


def unsupervised(store: Store, record: JobRecord) -> JobRecord:
    """The record of a job that runs on without a supervisor, which it says from now on."""
    if UNSUPERVISED not in record.warnings:
        record.state = "running"
        record.warnings.append(UNSUPERVISED)
        unheld = ["its memory limit"] if record.enforcement == "watch" else []
        unheld += ["its timeout"] if record.timeout is not None else []
        if unheld:
            record.warnings.append(f"without its supervisor nobody keeps {' and '.join(unheld)}")
        if record.enforcement == "watch":
            record.enforcement = "none"
        _untold(record)
        store.write(record)
    return record


def _untold(record: JobRecord) -> None:
    """Whoever settles a job cannot tell in its supervisor's stead: whom, and how, it alone was handed."""
    if record.notify and UNTOLD not in record.warnings:
        record.warnings.append(UNTOLD)


def conclude(store: Store, record: JobRecord) -> None:
    """Writes the end of a job of which nothing is left and which nobody is in charge of."""
    cancel = store.read_cancel(record.id)
    rebooted = record.boot_id != proc.boot_id()
    if record.state == "starting" and record.pid is None:
        # its pid is on disk before its command is let go
        evidence = Evidence(start_error="whatever was launching it ended before its command was started")
    else:
        evidence = Evidence(supervised=False, rebooted=rebooted, **_told_of_unit(record, rebooted=rebooted))
        if cancel is not None:
            evidence.cancel_requested, evidence.cancel_steps = True, tuple(step.step for step in cancel.steps)
            evidence.cancel_reached = cancel.reached.able > 0 or cancel.acting is not None
    outcome = decide(evidence)
    record.state, record.reason = outcome.state, outcome.reason  # type: ignore[assignment]
    if cancel is not None:
        record.cancel = cancel.as_recorded()
    record.ended, record.paused, record.throttled = now(), False, False
    record.warnings = [WAS_UNSUPERVISED if warning == UNSUPERVISED else warning for warning in record.warnings]
    _untold(record)
    store.write(record)


def _told_of_unit(record: JobRecord, *, rebooted: bool) -> dict[str, object]:
    """What the manager says of the end of the job's unit, or has said in the journal before it forgot the unit."""
    if record.own_unit is None:
        return {}
    told = {} if rebooted else unit_properties(record, os.environ)
    if told.get("LoadState") == "loaded":
        return {"unit_result": told.get("Result")}
    said = host.call(commands.journalctl_unit_end(record.own_unit, os.geteuid(), record.boot_id), os.environ, JOURNAL)
    ends = commands.parse_unit_end(said.out) if said.status == 0 else set()
    # one process of many that was killed for memory says nothing of how the job ended
    killed = "oom-kill" in ends or ("out of memory" in ends and record.oom_policy == "kill")
    return {"unit_result": "oom-kill" if killed else None, "oomd": "oomd" in ends}


def live_records(store: Store) -> list[JobRecord]:
    """Every job that really lives, newest first. Ended ones are not even opened: they have no lock."""
    found = []
    for record in each_readable(store, store.latest(0)):
        with contextlib.suppress(GravscopeError):  # one that cannot be settled hides no other
            if isinstance(record, JobRecord) and (standing := settled(store, record)).live:
                found.append(standing)
    return found
