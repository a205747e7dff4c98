"""The job's cgroups: its delegated scope has one cgroup for the supervisor and one for the command.

systemd's limits stay on the scope. The kernel can kill the command's cgroup as a whole (memory.oom.group) without
killing the supervisor, and the counters of that cgroup can still be read afterwards.

Neither cgroup is removed here: systemd removes them with the scope. If we removed `job/` while a stop job walks
through the cgroups, that walk would fail, and systemd 252 would send SIGKILL at once, which kills the supervisor
before it has written the record (seen; see unit_kill_context in systemd's src/core/unit.c).
"""

from __future__ import annotations

import os

from gravscope.linux import cgroup, proc

# the controllers that are enabled below the scope, if the scope has them
CONTROLLERS = ("memory", "pids", "cpu", "io")


class JobCgroups:
    """The folder of the scope, the folder of the job below it, and the mount point of their hierarchy.

    All three are None outside of a scope. `warnings` says what could not be done.
    """

    def __init__(self, scope: str | None = None, job: str | None = None, warnings: tuple[str, ...] = ()) -> None:
        self.scope = scope
        self.root = None if scope is None else cgroup.mount_point()
        self.job = job
        self.warnings = warnings

    def effective(self) -> dict[str, int | float | str | None] | None:
        """The limits that the kernel enforces for the job, read from its files; None outside of a scope."""
        return None if self.scope is None or self.root is None else cgroup.effective(self.scope, self.root)

    def has_memory_controller(self) -> bool:
        """Whether the kernel can enforce a memory limit on the job: the scope has the memory controller."""
        return self.scope is not None and os.path.exists(f"{self.scope}/memory.max")

    def events(self) -> dict[str, int]:
        """memory.events of the job; empty where there is no memory controller."""
        folder = self.job or self.scope
        return {} if folder is None else cgroup.read_keyed(folder, "memory.events")

    def scope_events(self) -> dict[str, int]:
        """memory.events of the scope, which has systemd's limits.

        Events of these limits (high, max, oom) are counted in the scope; kills of the job's processes (oom_kill) are
        counted in both cgroups.
        """
        return {} if self.scope is None else cgroup.read_keyed(self.scope, "memory.events")

    def supervisor_first(self) -> bool:
        """Whether a walk through the scope's cgroups, such as a stop job's, comes to the supervisor before the job."""
        try:
            names = os.listdir(self.scope) if self.scope is not None and self.job is not None else []
            return names.index("supervisor") < names.index("job")
        except (OSError, ValueError):
            return False

    def freeze(self, *, frozen: bool) -> None:
        """Freezes the job, or thaws it. Does nothing if the job has no cgroup of its own."""
        if self.job is not None:
            cgroup.write(self.job, "cgroup.freeze", "1" if frozen else "0")

    def peak(self) -> int | None:
        """The most memory that the job ever had, in bytes (memory.peak: Linux 5.19 and later)."""
        folder = self.job or self.scope
        return None if folder is None else cgroup.read_number(folder, "memory.peak")

    def oom_kills(self) -> int | None:
        """How many of the job's processes the kernel killed for memory; None where it does not count them.

        When the kernel kills a whole group, it counts the process that it chose twice: alone, and as one of the group
        (mm/oom_kill.c).
        """
        events = self.events()
        kills = events.get("oom_kill")
        return max(1, kills - events.get("oom_group_kill", 0)) if kills else kills

    def has_oom_group(self) -> bool:
        """Whether the kernel kills all of the job when it kills one of its processes for memory."""
        return self.job is not None and cgroup.read_number(self.job, "memory.oom.group") == 1

    def limit_peak(self) -> int | None:
        """The most memory that ever counted against the limit, in bytes; None where it is not measured.

        The supervisor's memory is included. File pages that are still cached are subtracted, because the kernel would
        have reclaimed them when memory was needed.
        """
        peak = None if self.scope is None else cgroup.read_number(self.scope, "memory.peak")
        left = {} if self.scope is None else cgroup.read_keyed(self.scope, "memory.stat")
        return None if peak is None else peak - left.get("active_file", 0) - left.get("inactive_file", 0)

    def cpu_seconds(self) -> float | None:
        """CPU time of all the job's processes, in seconds."""
        if self.job is None:
            return None
        usage = cgroup.read_keyed(self.job, "cpu.stat").get("usage_usec")
        return None if usage is None else usage / 1e6


def create_cgroups(unit: str | None, oom_policy: str, invocation_id: str) -> JobCgroups:
    """Claims our scope for this job, makes `supervisor/` and `job/` in it and moves this process into `supervisor/`.

    If this process is not in the cgroup of `unit`, or the kernel refuses, the job runs where it is, and `warnings` says
    so.
    """
    if unit is None:
        return JobCgroups()
    scope = cgroup.folder_of()
    if scope is None or not scope.endswith(f"/{unit}"):
        return JobCgroups(warnings=(f"not in the cgroup of {unit}: {scope or 'no cgroup v2'}",))
    cgroup.claim(scope, invocation_id)
    own, job = f"{scope}/supervisor", f"{scope}/job"
    try:
        for folder in (own, job):
            os.mkdir(folder)
            os.chmod(folder, 0o755)  # noqa: S103 (as systemd makes them: our umask might deny us access)
    except OSError as error:
        return JobCgroups(scope, warnings=(f"{scope}: {error.strerror}",))
    refused = cgroup.write(own, "cgroup.procs", str(os.getpid()))
    if refused:
        return JobCgroups(scope, warnings=(refused,))
    return JobCgroups(scope, job, tuple(_enable(scope, job, oom_policy)))


def _enable(scope: str, job: str, oom_policy: str) -> list[str]:
    warnings = []
    there = (proc.read_text(f"{scope}/cgroup.controllers") or "").split()
    for controller in CONTROLLERS:
        if controller in there and (refused := cgroup.write(scope, "cgroup.subtree_control", f"+{controller}")):
            warnings.append(f"{controller}: {refused}")
    if "memory" in there and oom_policy == "kill" and (refused := cgroup.write(job, "memory.oom.group", "1")):
        warnings.append(refused)
    return warnings
