"""`gravscope cancel`: writes the request beside the record, then climbs a ladder as far as it has to.

Every rung is recorded before it is tried, so that the supervisor, which writes the final record, finds it there.
Nothing is signalled that is not proven to be the job: boot id, pid and start time, or the job's own cgroup.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gravscope import cgroup, commands, host, proc
from gravscope.actions.settle import job_folder, now, settled, survivors, unit_folder
from gravscope.errors import GravscopeError, StoreError, UnsupportedError
from gravscope.model import OLDER_DISPATCHER, Cancel, CancelStep, JobRecord
from gravscope.outcome import KILL_ALL, KILL_GROUP, STOP_UNIT, TERM_GROUP, THAW
from gravscope.store import Store, read_record

# seconds in which the kernel ends what was sent SIGKILL, unless it is in uninterruptible sleep
AFTER_KILL = 2.0
# seconds to wait for a job that is only just being started
STARTING = host.PATIENCE


@dataclass(frozen=True)
class Cancelled:
    """What became of a cancel: the job's record, and whether it had ended before there was anything to do."""

    record: JobRecord
    had_ended: bool


def cancel(store: Store, job_id: str, environ: Mapping[str, str], grace: float | None = None) -> Cancelled:
    """Ends the job and returns once it has ended. Raises GravscopeError if something of it is still there."""
    record = settled(store, store.read(job_id))
    if not record.live:
        return Cancelled(record, had_ended=True)
    with store.cancelling(job_id):
        record = settled(store, store.read(job_id))
        had_ended = not record.live and record.cancel is None
        if record.live:
            ladder = Ladder(store, record, environ, grace)
            ladder.climb()
            record = ladder.conclude()
        if not record.live:
            store.release(job_id)
    return Cancelled(record, had_ended)


def requester() -> str:
    """Who asks, for the record: user and process."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = str(os.geteuid())
    return f"{os.fsencode(user).decode('utf-8', 'backslashreplace')} (pid {os.getpid()})"


class Ladder:
    """One cancel of one job."""

    def __init__(self, store: Store, record: JobRecord, environ: Mapping[str, str], grace: float | None) -> None:
        self.store = store
        self.record = record
        self.environ = environ
        self.grace = record.grace if grace is None else grace
        self.unsaved = False
        self.request = store.read_cancel(record.id) or Cancel(requested=now(), by=requester(), grace=grace)

    def climb(self) -> None:
        """Rung by rung, until the job is over. Raises GravscopeError with what is left if no rung was enough."""
        self._save()
        self._await_start()
        rungs: list[Callable[[], bool]] = [self._thaw, self._stop_unit, self._terminate, self._kill, self._kill_all]
        if any(rung() for rung in rungs):
            return
        if not self.processes():
            raise GravscopeError(
                f"{self.record.id}: nothing of it is left, but its supervisor has not written how it ended",
                "it may be waiting for room on the disk",
            )
        left = ", ".join(f"{process.pid} (state {process.state})" for process in self.processes())
        raise GravscopeError(
            f"{self.record.id}: still there after SIGKILL: {left}",
            "a process in state D waits for a device or a network disk and ends when that answers",
        )

    def over(self) -> bool:
        """True once the job has ended and its final record is written, or nothing of it is left."""
        if self.record.schema == OLDER_DISPATCHER:
            return not self.processes()
        return not self.store.in_charge(self.record.id) and not survivors(self.record)

    def processes(self) -> list[proc.Stat]:
        """Every process that is proven to be of this job, the supervisor excepted."""
        record = self.record
        if record.boot_id != proc.boot_id():
            return []
        found = {process.pid: process for process in survivors(record)}
        if record.supervisor_pid is not None and proc.is_process(record.supervisor_pid, record.supervisor_start_ticks):
            for pid in proc.descendants(record.supervisor_pid):
                process = proc.stat(pid)
                if process is not None and not process.ended:
                    found[pid] = process
            found.pop(record.supervisor_pid, None)
        return list(found.values())

    # rungs: each returns True when the job is over

    def _thaw(self) -> bool:
        """What is frozen, by `gravscope pause` or by `systemctl freeze`, acts on no SIGTERM (systemd issue 38517)."""
        job = job_folder(self.record)
        scope = None if job is None else job.removesuffix("/job")
        frozen = [folder for folder in (scope, job) if folder and _is_frozen(folder)]
        if not frozen:
            return False
        step = self._begin(THAW)
        if scope in frozen:
            host.call(commands.systemctl_thaw(str(self.record.unit)), self.environ)
        refused = [error for folder in frozen if (error := cgroup.write(folder, "cgroup.freeze", "0"))]
        return self._end(step, error="; ".join(refused) or None, over=False)

    def _stop_unit(self) -> bool:
        unit = self.record.own_unit
        if unit is None:
            return False
        step = self._begin(STOP_UNIT)
        try:
            environment = host.manager_environment(self.environ, os.geteuid())
        except UnsupportedError as error:
            return self._end(step, error=error.message, over=False)
        patience = self.record.grace + commands.STOP_MARGIN + host.PATIENCE
        stopped = host.call(commands.systemctl_stop(unit), environment, patience)
        over = stopped.status == 0 and self._wait(AFTER_KILL)
        return self._end(step, stopped.complaint or "the job was still there", over)

    def _terminate(self) -> bool:
        step = self._begin(TERM_GROUP)
        self._signal(signal.SIGTERM)
        # a stopped process acts on SIGTERM only once it goes on
        self._signal(signal.SIGCONT)
        over = self._wait(self.grace)
        return self._end(step, f"still there after {self.grace:g} s", over)

    def _kill(self) -> bool:
        step = self._begin(KILL_GROUP)
        self._signal(signal.SIGKILL)
        return self._end(step, f"still there after {AFTER_KILL:g} s", self._wait(AFTER_KILL))

    def _kill_all(self) -> bool:
        step = self._begin(KILL_ALL)
        folder = unit_folder(self.record)
        if folder is not None:
            cgroup.write(f"{folder}/job", "cgroup.kill", "1")
        for _ in range(20):  # what forks for ever is stopped first, and outrun
            for number in (signal.SIGSTOP, signal.SIGKILL):
                for process in self.processes():
                    proc.send_signal(process.pid, process.start_ticks, number)
            if self._wait(0.1):
                break
        return self._end(step, "still there", self._wait(AFTER_KILL))

    # how

    def _signal(self, number: signal.Signals) -> None:
        """To the process group, if one of its members is proven to be ours, and to what left the group."""
        ours = self.processes()
        pgid = self.record.pgid
        if pgid is not None and any(process.pgid == pgid for process in ours):
            try:
                os.killpg(pgid, number)
            except OSError:
                pgid = None
        for process in ours:
            if process.pgid != pgid:
                proc.send_signal(process.pid, process.start_ticks, number)

    def _begin(self, name: str) -> CancelStep:
        step = CancelStep(step=name, at=now())
        self.request.steps.append(step)
        self._save()
        return step

    def _end(self, step: CancelStep, error: str | None, over: bool) -> bool:
        if not over:
            step.error = error
            self._save()
        return over

    def _save(self) -> None:
        """Puts the request where the supervisor finds it. A full disk, which this very job may have filled, does not
        stand in the way of ending it."""
        if self.record.schema != OLDER_DISPATCHER:
            try:
                self.store.write_cancel(self.record.id, self.request)
                self.unsaved = False
            except StoreError:
                self.unsaved = True

    def conclude(self) -> JobRecord:
        """The record of the job that has ended, with our request in it even if the disk had no room for that before."""
        record = settled(self.store, self.store.read(self.record.id))
        if record.live or record.cancel is not None or not self.unsaved:
            return record
        with self.store.charge(record.id) as ours:
            if ours:
                record.cancel, record.state = self.request, "cancelled"
                record.reason = f"cancelled on request by {self.request.steps[-1].step} ({record.reason})"
                with contextlib.suppress(StoreError):
                    self.store.write(record)
        return record

    def _await_start(self) -> None:
        """A job that is only being started is let start, or be refused: the supervisor looks for the request first."""
        deadline = time.monotonic() + STARTING
        while self.record.state == "starting" and self.store.in_charge(self.record.id):
            if time.monotonic() > deadline:
                return
            time.sleep(0.01)
            self.record = read_record(self.store.record_path(self.record.id))

    def _wait(self, patience: float) -> bool:
        deadline = time.monotonic() + patience
        while not self.over():
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.01)
        return True


def _is_frozen(folder: str) -> bool:
    return (proc.read_text(f"{folder}/cgroup.freeze") or "").strip() == "1"
