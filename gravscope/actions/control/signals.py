"""Signals to a job. Only processes that are proven to be the job's are signalled.

The proof is the boot id with descent from the supervisor or membership in the job's cgroup. If the supervisor is gone,
it is as in `settle.survivors`. A process that was proven once stays so while it lives, even if its parents are gone.
"""

from __future__ import annotations

import os
import signal
import time

from gravscope.actions.look.settle import job_cgroup, processes_in, supervisor_of, survivors, unit_cgroup
from gravscope.actions.look.wait import sleep_until_any_ends
from gravscope.linux import cgroup, proc
from gravscope.records.model import JobRecord
from gravscope.records.parts import Reach
from gravscope.systemd import host

# Seconds between two checks if no event can wake us.
LOOK_AGAIN = 0.05
# The largest number of processes whose ends are waited for at once.
MAX_PIDFDS = 64


class Target:
    """The processes of one job, except for its supervisor."""

    def __init__(self, record: JobRecord) -> None:
        self.record = record
        self.known: dict[int, proc.Stat] = {}
        self._scope: str | None = None

    @property
    def supervised(self) -> bool:
        """True while the job's supervisor lives."""
        return supervisor_of(self.record) is not None

    def processes(self) -> list[proc.Stat]:
        """The processes that are alive now, those known longest first."""
        record = self.record
        if record.boot_id != proc.boot_id():
            return []
        if self.supervised and record.supervisor_pid is not None:
            found = proc.tree(record.supervisor_pid)
            folder = job_cgroup(record)
            found += processes_in(folder) if folder else []
        else:
            found = survivors(record)
        still = {
            pid: now for pid, then in self.known.items() if (now := proc.stat(pid)) and _is_same_process(now, then)
        }
        # A process that was found just now counts even if it has forked and ended since: then its child is there.
        self.known = {**still, **{process.pid: process for process in found}}
        self.known.pop(record.supervisor_pid or 0, None)
        return list(self.known.values())

    def cgroups(self) -> list[str]:
        """The job's cgroups that exist: that of its scope and, below it, that of its own processes."""
        if self._scope is None or not os.path.isdir(self._scope):  # noqa: PTH112 (a kernel path)
            self._scope = unit_cgroup(self.record, self.known)
        own = [] if self._scope is None else [self._scope, f"{self._scope}/job"]
        return [folder for folder in own if os.path.isdir(folder)]  # noqa: PTH112 (a kernel path)

    def reach(self, number: int, *, at_once: bool) -> Reach:
        """The processes that a signal would reach now. `at_once`: they all get it at the same time, so the command
        cannot first see the end of another one."""
        reactions = {process.pid: proc.disposition(process.pid, number) for process in self.processes()}
        command = reactions.pop(self.record.pid or 0, None)
        # For a process that is gone, nothing is known of it or of its children; so it counts as one that does not
        # ignore it.
        others = sum(reaction != proc.IGNORED for reaction in reactions.values())
        if command == proc.DEFAULT:
            return Reach(others + 1, 0 if at_once else others)
        alone = int(command == proc.HANDLED)
        return Reach(others + alone, others + alone)

    def reach_of_stop_job(self) -> Reach:
        """The processes that the unit's stop job would reach: with SIGTERM, one after the other, then with SIGKILL."""
        term, kill = (self.reach(number, at_once=False) for number in (signal.SIGTERM, signal.SIGKILL))
        return Reach(kill.able, max(term.answering, kill.answering))

    def signal(self, number: int) -> None:
        """Signals the process group, if a member is proven to be ours, and the processes outside of it."""
        ours = self.processes()
        pgid = self.record.pgid
        members = [process for process in ours if process.pgid == pgid]
        # While one of its members lives, the number of the group cannot be another's.
        if pgid is not None and any(proc.is_process(process.pid, process.start_ticks) for process in members):
            try:
                os.killpg(pgid, number)
            except OSError:
                pgid = None
        else:
            pgid = None
        for process in ours:
            if process.pgid != pgid:
                proc.send_signal(process.pid, process.start_ticks, number)

    def continue_supervisor(self) -> None:
        """Sends SIGCONT to the supervisor: while stopped, it could not write how the job ended."""
        if self.supervised and self.record.supervisor_pid and self.record.supervisor_start_ticks is not None:
            proc.send_signal(self.record.supervisor_pid, self.record.supervisor_start_ticks, signal.SIGCONT)

    def stop_and_kill(self) -> None:
        """Sends SIGKILL to every process once, after SIGSTOP: a stopped process cannot fork."""
        for folder in self.cgroups()[1:]:
            cgroup.write(folder, "cgroup.kill", "1")  # Linux 5.14: kills all that is in it, at once
        if not self.supervised and self.record.invocation_id and self.record.boot_id == proc.boot_id():
            roll = host.ProcessScan(self.record.invocation_id)
            for _ in range(host.MAX_SCANS):
                for process in roll.new():
                    self.known[process.pid] = process
                    proc.send_signal(process.pid, process.start_ticks, signal.SIGSTOP)
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for process in self.processes():
                proc.send_signal(process.pid, process.start_ticks, number)

    def sleep(self, longest: float) -> None:
        """Sleeps until the supervisor or, without one, a process of the job ends, but at most LOOK_AGAIN seconds."""
        longest = min(longest, LOOK_AGAIN)
        pids = [self.record.supervisor_pid or 0] if self.supervised else list(self.known)[:MAX_PIDFDS]
        if pids:
            sleep_until_any_ends(pids, longest)
        else:
            time.sleep(longest)


def _is_same_process(now: proc.Stat, then: proc.Stat) -> bool:
    """False for an ended process, for a recycled pid, and for one that became another job's supervisor."""
    if now.start_ticks != then.start_ticks or now.ended:
        return False
    return now.session != now.pid or not proc.is_supervisor(now.pid)
