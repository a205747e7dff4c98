"""All processes of the job: those below the supervisor, which is their subreaper, and those in the job's cgroup."""

from __future__ import annotations

import _signal
import os

from gravscope.linux import cgroup, proc


class Tree:
    """Every process that belongs to the job; `job_cgroup` is None outside of a scope."""

    def __init__(self, job_cgroup: str | None) -> None:
        self.job_cgroup = job_cgroup

    def processes(self) -> list[proc.Stat]:
        """Those alive now. The supervisor itself is none of them."""
        found = proc.tree(os.getpid())
        if self.job_cgroup is not None:
            known = {process.pid for process in found}
            others = (proc.stat(pid) for pid in cgroup.processes(self.job_cgroup) if pid not in known)
            found += [process for process in others if process is not None and not process.ended]
        return found

    def signal(self, number: int) -> None:
        """Sends a signal to every one of them."""
        for process in self.processes():
            proc.send_signal(process.pid, process.start_ticks, number)

    def kill(self) -> None:
        """Ends every one of them, those too that are just being forked: stopped first, a process forks no more."""
        if self.job_cgroup is not None:
            cgroup.write(self.job_cgroup, "cgroup.kill", "1")  # Linux 5.14: atomic, frozen ones too
        stopped: set[int] = set()
        for _ in range(100):
            running = [process for process in self.processes() if process.pid not in stopped]
            if not running:
                break
            for process in running:
                proc.send_signal(process.pid, process.start_ticks, _signal.SIGSTOP)
                stopped.add(process.pid)
        self.signal(_signal.SIGKILL)

    def memory(self) -> int:
        """Resident memory of all of them in bytes; pages they share count once for each. In a cgroup of its own the
        job is what is in it, as it is to the kernel, and that is one file to be read, every second."""
        if self.job_cgroup is not None:
            return sum(map(proc.resident, cgroup.processes(self.job_cgroup)))
        return sum(proc.resident(process.pid) for process in self.processes())

    def fair_memory(self) -> int:
        """The same with each shared page counted once; dearer."""
        return sum(proc.proportional(process.pid) for process in self.processes())

    def empty(self) -> bool:
        """True when the last of them has ended and been waited for. Children that belong to other jobs do not count."""
        if any(not proc.is_supervisor(child) for child in proc.children(os.getpid())):
            return False
        return self.job_cgroup is None or not cgroup.populated(self.job_cgroup)
