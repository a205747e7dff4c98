"""Updates the record while the job runs: throttling, pausing, new limits, kills for memory."""

from __future__ import annotations

import os

from gravscope.linux import proc
from gravscope.supervisor.cgroups import JobCgroups
from gravscope.supervisor.foreground import HUNG_UP
from gravscope.supervisor.journal import OOM, THROTTLED, WARNING, Journal
from gravscope.supervisor.oom import OomWatch
from gravscope.supervisor.processes import JobProcesses
from gravscope.supervisor.record import Recorder
from gravscope.supervisor.request import Request
from gravscope.supervisor.requests import is_noted, read_changes

# counters of the limits at which the kernel makes a job wait for reclaim (cgroup-v2.rst, memory.events)
SLOWING = ("high", "max")


class Observer:
    """Looks at the job at each sample. The record is written only when something has changed."""

    def __init__(self, request: Request, cgroups: JobCgroups, recorder: Recorder, journal: Journal) -> None:
        self.request = request
        self.cgroups = cgroups
        self.recorder = recorder
        self.journal = journal
        self.events = cgroups.scope_events()
        self.oom = OomWatch(cgroups)
        limits = recorder.record["limits"]
        self.first_limits = dict(limits) if isinstance(limits, dict) else {}
        self.limits_seen: tuple[int, int] | None = None

    def sample(self, processes: JobProcesses) -> None:
        """Takes every change since the last call into the record, and sends new output to the journal."""
        changed = [self._throttled(), self.killed(), self._paused(processes), self.new_limits()]
        if any(changed) or self.recorder.dirty:
            self.recorder.write()
        self.journal.mirror()

    def _flag(self, name: str, value: bool) -> bool:
        if self.recorder.record.get(name) is value:
            return False
        self.recorder.update(**{name: value})
        return True

    def _throttled(self) -> bool:
        """Sets `throttled`: since the last sample the kernel made the job wait at MemoryHigh or MemoryMax, and did not
        kill. True if that has changed."""
        before, self.events = self.events, self.cgroups.scope_events()
        slowed = any(self.events.get(name, 0) > before.get(name, 0) for name in SLOWING)
        if not self._flag("throttled", slowed and not self.events.get("oom_kill", 0) > before.get("oom_kill", 0)):
            return False
        if slowed:
            self.journal.event(THROTTLED, "throttled: at its memory limit, waiting for reclaim", WARNING)
        return True

    def hung_up(self) -> None:
        """Records that `gravscope run --fg` has ended before the command."""
        self.recorder.warn(HUNG_UP)
        self.recorder.write()

    def killed(self) -> bool:
        """True if the kernel has killed for memory since the last call."""
        if not self.oom.sample():
            return False
        kills = self.oom.kills
        self.recorder.update(oom_kills=kills)
        self.journal.event(OOM, f"the kernel killed {kills} of its processes for memory so far", WARNING)
        return True

    def _paused(self, processes: JobProcesses) -> bool:
        if self.cgroups.job is not None:
            return self._flag("paused", (proc.read_text(f"{self.cgroups.job}/cgroup.freeze") or "").strip() == "1")
        if self.recorder.record.get("paused") is not True and not is_noted(self.request.pause_path):
            return False  # without a freezer a job that stopped itself looks the same: only our own pause counts
        alive = processes.alive()
        return self._flag("paused", bool(alive) and all(process.state == "T" for process in alive))

    def new_limits(self) -> bool:
        """Takes over the limits that `gravscope limit` changed. True if there was a change.

        `gravscope limit` writes the list of all changes into a file beside the record.
        """
        try:
            found = os.lstat(self.request.limits_path)
            if self.limits_seen == (found.st_ino, found.st_mtime_ns):
                return False
        except OSError:
            return False
        changes = read_changes(self.request.limits_path)
        self.limits_seen = (found.st_ino, found.st_mtime_ns)
        if changes is None:
            return False
        limits = dict(self.first_limits)
        for change in changes:
            changed = change["limits"]
            if isinstance(changed, dict):
                limits.update({name: value for name, value in changed.items() if value is not None})
        high, most = limits.get("mem_high"), limits.get("mem_max")
        self.request.mem_high = high if isinstance(high, int) else None
        self.request.mem_max = most if isinstance(most, int) else None
        self.recorder.update(limits=limits)
        self.recorder.update(limit_changes=changes)
        update_enforcement(self.request, self.recorder, self.cgroups, changing=True)
        return True


def update_enforcement(request: Request, recorder: Recorder, cgroups: JobCgroups, *, changing: bool = False) -> None:
    """Takes into the record which limits are in effect, and who enforces them: the kernel, the watch, or nobody.

    While limits are `changing`, those that were asked for and those in effect differ for a short time, because a change
    is written beside the record before it is given to the kernel. So where the kernel can enforce a limit, the watch
    then does not take it over.
    """
    effective = cgroups.effective()
    held = effective or {}
    asked = {"mem_high": request.mem_high, "mem_max": request.mem_max}
    missing = [name for name, limit in asked.items() if limit is not None and not _holds(held.get(name), limit)]
    request.watched = "mem_max" in missing and not (changing and cgroups.has_memory_controller())
    kernel = any(isinstance(held.get(name), int) for name in asked)
    recorder.update(effective=effective, enforcement="watch" if request.watched else "kernel" if kernel else "none")
    if "mem_high" in missing:
        recorder.warn("--mem-high does not hold here: only the kernel's memory controller can slow a job down")
    limits = recorder.record["limits"]
    for name in ("swap_max", "tasks_max", "cpu_quota", "cpu_weight", "io_weight"):
        limit = limits.get(name) if isinstance(limits, dict) else None
        if request.watched and name == "swap_max":
            continue  # the watch ends the job before it swaps much
        if isinstance(limit, int | float) and not _holds(held.get(name), limit):
            # by the name under which it was asked for; `gravscope run` makes one note of all of these (`cli.run`)
            recorder.warn(f"--{name.replace('_', '-')} does not hold here: the kernel does not hold it for this job")


def _holds(limit: int | float | str | None, asked: int | float) -> bool:
    """Whether `limit`, which is in effect, is at least as strict as what was asked for.

    It may be lower: the kernel rounds it down to pages, and a lower limit of a cgroup above applies as well.
    """
    return isinstance(limit, int | float) and limit <= asked
