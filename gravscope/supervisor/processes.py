"""All processes of the job: descendants of the supervisor, which is their subreaper, and those in the job's cgroup."""

from __future__ import annotations

import _signal
import os

from gravscope.linux import cgroup, proc


class JobProcesses:
    """The processes of the job. `job_cgroup` is the folder of its cgroup, None outside of a scope."""

    def __init__(self, job_cgroup: str | None) -> None:
        self.job_cgroup = job_cgroup

    def alive(self) -> list[proc.Stat]:
        """The processes that are alive now, without the supervisor."""
        found = proc.tree(os.getpid())
        if self.job_cgroup is not None:
            known = {process.pid for process in found}
            others = (proc.stat(pid) for pid in cgroup.pids(self.job_cgroup) if pid not in known)
            found += [process for process in others if process is not None and not process.ended]
        return found

    def signal(self, number: int) -> None:
        """Sends a signal to every process of the job."""
        for process in self.alive():
            proc.send_signal(process.pid, process.start_ticks, number)

    def kill(self) -> None:
        """Kills every process of the job. They are stopped first, so that none can fork meanwhile."""
        if self.job_cgroup is not None:
            cgroup.write(self.job_cgroup, "cgroup.kill", "1")  # Linux 5.14: kills all at once, frozen processes too
        stopped: set[int] = set()
        for _ in range(100):
            running = [process for process in self.alive() if process.pid not in stopped]
            if not running:
                break
            for process in running:
                proc.send_signal(process.pid, process.start_ticks, _signal.SIGSTOP)
                stopped.add(process.pid)
        self.signal(_signal.SIGKILL)

    def resident(self) -> int:
        """Resident memory of all processes, in bytes; a page that is shared counts once for each process.

        Where the job has a cgroup of its own, only the processes in it count, as for the kernel. This is called every
        second, and the list of these processes is one file.
        """
        if self.job_cgroup is not None:
            return sum(map(proc.resident, cgroup.pids(self.job_cgroup)))
        return sum(proc.resident(process.pid) for process in self.alive())

    def proportional(self) -> int:
        """Memory of all processes, in bytes, with each shared page counted once. Slower than `resident`."""
        return sum(proc.proportional(process.pid) for process in self.alive())

    def empty(self) -> bool:
        """True when every process has ended and been waited for. Supervisors of other jobs do not count."""
        if any(not proc.is_supervisor(child) for child in proc.children(os.getpid())):
            return False
        return self.job_cgroup is None or not cgroup.populated(self.job_cgroup)
