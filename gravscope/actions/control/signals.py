"""Signals to a job: to the processes that are proven to be its own, and to no other.

Proven by the boot id and by descent from its supervisor or membership in its cgroup, or, where the supervisor is gone,
as `settle.survivors` does. What was proven once stays so for as long as it lives, also when it has lost its parents.
"""

from __future__ import annotations

import os
import signal
import time

from gravscope.actions.look.settle import inside, job_folder, supervisor_of, survivors, unit_folder
from gravscope.actions.look.wait import sleep_until_any_ends
from gravscope.linux import cgroup, proc
from gravscope.records.model import JobRecord
from gravscope.records.parts import Reach
from gravscope.systemd import host

# seconds between two looks where there is nothing that could wake us
LOOK_AGAIN = 0.05
# no more than this many processes are listened to for their end at once
LISTEN = 64


class Target:
    """The processes of one job, its supervisor excepted."""

    def __init__(self, record: JobRecord) -> None:
        self.record = record
        self.known: dict[int, proc.Stat] = {}
        self._scope: str | None = None

    @property
    def supervised(self) -> bool:
        """True while its supervisor lives."""
        return supervisor_of(self.record) is not None

    def processes(self) -> list[proc.Stat]:
        """Those alive now, the oldest known first."""
        record = self.record
        if record.boot_id != proc.boot_id():
            return []
        if self.supervised and record.supervisor_pid is not None:
            found = proc.tree(record.supervisor_pid)
            folder = job_folder(record)
            found += inside(folder) if folder else []
        else:
            found = survivors(record)
        still = {pid: now for pid, then in self.known.items() if (now := proc.stat(pid)) and _is_still(now, then)}
        # what was there just now counts, even if it has forked and ended since: what it forked is there
        self.known = {**still, **{process.pid: process for process in found}}
        self.known.pop(record.supervisor_pid or 0, None)
        return list(self.known.values())

    def folders(self) -> list[str]:
        """The cgroups of its scope and, below that, of its own processes, as far as they are there."""
        if self._scope is None or not os.path.isdir(self._scope):  # noqa: PTH112 (a kernel path)
            self._scope = unit_folder(self.record, self.known)
        own = [] if self._scope is None else [self._scope, f"{self._scope}/job"]
        return [folder for folder in own if os.path.isdir(folder)]  # noqa: PTH112 (a kernel path)

    def reach(self, number: int, *, at_once: bool) -> Reach:
        """Whom a signal would reach now. `at_once`: it comes to all of them at once, so that the command cannot see the
        end of another one first."""
        reactions = {process.pid: proc.disposition(process.pid, number) for process in self.processes()}
        command = reactions.pop(self.record.pid or 0, None)
        # of one that is gone again nothing is known, nor of what it may have forked
        others = sum(reaction != proc.IGNORED for reaction in reactions.values())
        if command == proc.DEFAULT:
            return Reach(others + 1, 0 if at_once else others)
        alone = int(command == proc.HANDLED)
        return Reach(others + alone, others + alone)

    def reach_of_stop(self) -> Reach:
        """Whom the unit's stop job would reach: with SIGTERM, one process after the other, and then with SIGKILL."""
        term, kill = (self.reach(number, at_once=False) for number in (signal.SIGTERM, signal.SIGKILL))
        return Reach(kill.able, max(term.answering, kill.answering))

    def signal(self, number: int) -> None:
        """To the process group, if one of its members is proven to be ours, and to what has left the group."""
        ours = self.processes()
        pgid = self.record.pgid
        members = [process for process in ours if process.pgid == pgid]
        # as long as one of them lives, the group's number is nobody else's
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

    def wake_supervisor(self) -> None:
        """A supervisor that somebody has stopped could not write how the job ended."""
        if self.supervised and self.record.supervisor_pid and self.record.supervisor_start_ticks is not None:
            proc.send_signal(self.record.supervisor_pid, self.record.supervisor_start_ticks, signal.SIGCONT)

    def outrun(self) -> None:
        """SIGKILL to every process once, those that fork for ever stopped first: what is stopped forks no more."""
        for folder in self.folders()[1:]:
            cgroup.write(folder, "cgroup.kill", "1")  # Linux 5.14: whatever is in it, at once
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
        """Sleeps until its supervisor or, without one, a process of it ends, but never longer than LOOK_AGAIN."""
        longest = min(longest, LOOK_AGAIN)
        pids = [self.record.supervisor_pid or 0] if self.supervised else list(self.known)[:LISTEN]
        if pids:
            sleep_until_any_ends(pids, longest)
        else:
            time.sleep(longest)


def _is_still(now: proc.Stat, then: proc.Stat) -> bool:
    """False for one that has ended, for a recycled number, and for what has become another job's supervisor."""
    if now.start_ticks != then.start_ticks or now.ended:
        return False
    return now.session != now.pid or not proc.is_supervisor(now.pid)
