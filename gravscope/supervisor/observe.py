"""What changes about a job while it runs, taken into its record: throttling, pausing, new limits, kills for memory."""

from __future__ import annotations

import os

from gravscope.linux import proc
from gravscope.supervisor import journal
from gravscope.supervisor.cgroups import Place
from gravscope.supervisor.foreground import HUNG_UP
from gravscope.supervisor.journal import Journal
from gravscope.supervisor.oom import OomWatch
from gravscope.supervisor.processes import Tree
from gravscope.supervisor.record import Recorder
from gravscope.supervisor.request import Request
from gravscope.supervisor.requests import is_noted, read_changes

# events of the limits at which the kernel makes a job wait for reclaim (cgroup-v2.rst, memory.events)
SLOWING = ("high", "max")


class Notice:
    """Looks at the job once a sample. The record is written only when something of it has changed."""

    def __init__(self, request: Request, place: Place, recorder: Recorder, told: Journal) -> None:
        self.request = request
        self.place = place
        self.recorder = recorder
        self.journal = told
        self.events = place.scope_events()
        self.oom = OomWatch(place)
        limits = recorder.record["limits"]
        self.first_limits = dict(limits) if isinstance(limits, dict) else {}
        self.wishes_seen: tuple[int, int] | None = None

    def look(self, tree: Tree) -> None:
        """One look at everything."""
        changed = [self._throttled(), self.killed(), self._paused(tree), self.new_limits()]
        if any(changed) or self.recorder.behind:
            self.recorder.write()
        self.journal.mirror()

    def _flag(self, name: str, value: bool) -> bool:
        if self.recorder.record.get(name) is value:
            return False
        self.recorder.update(**{name: value})
        return True

    def _throttled(self) -> bool:
        """The job was made to wait at MemoryHigh or MemoryMax since the last look, and still is at that limit."""
        before, self.events = self.events, self.place.scope_events()
        slowed = any(self.events.get(name, 0) > before.get(name, 0) for name in SLOWING)
        if not self._flag("throttled", slowed and not self.events.get("oom_kill", 0) > before.get("oom_kill", 0)):
            return False
        if slowed:
            self.journal.event(
                journal.THROTTLED, "throttled: at its memory limit, waiting for reclaim", journal.WARNING
            )
        return True

    def hung_up(self) -> None:
        """Whoever waited for the command in the foreground is gone."""
        self.recorder.warn(HUNG_UP)
        self.recorder.write()

    def killed(self) -> bool:
        """True if the kernel has killed for memory since the last look."""
        if not self.oom.look():
            return False
        kills = self.oom.kills
        self.recorder.update(oom_kills=kills)
        self.journal.event(
            journal.OOM, f"the kernel killed {kills} of its processes for memory so far", journal.WARNING
        )
        return True

    def _paused(self, tree: Tree) -> bool:
        if self.place.job is not None:
            return self._flag("paused", (proc.read_text(f"{self.place.job}/cgroup.freeze") or "").strip() == "1")
        if self.recorder.record.get("paused") is not True and not is_noted(self.request.pause_path):
            return False  # without a freezer only our own pause can be told from a job that stopped itself
        processes = tree.processes()
        return self._flag("paused", bool(processes) and all(process.state == "T" for process in processes))

    def new_limits(self) -> bool:
        """Takes over what `gravscope limit` changed; it puts the list of all changes beside the record."""
        try:
            found = os.lstat(self.request.limits_path)
            if self.wishes_seen == (found.st_ino, found.st_mtime_ns):
                return False
        except OSError:
            return False
        changes = read_changes(self.request.limits_path)
        self.wishes_seen = (found.st_ino, found.st_mtime_ns)
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
        agree(self.request, self.recorder, self.place, changing=True)
        return True


def agree(request: Request, recorder: Recorder, place: Place, *, changing: bool = False) -> None:
    """Takes into the record what limits really hold, and who holds them.

    While they are `changing`, what is asked for and what holds may differ for a moment, since a change is put beside
    the record before the kernel has it: where the kernel can hold a limit, the watch then does not step in.
    """
    effective = place.effective()
    held = effective or {}
    asked = {"mem_high": request.mem_high, "mem_max": request.mem_max}
    missing = [name for name, limit in asked.items() if limit is not None and not _holds(held.get(name), limit)]
    request.watched = "mem_max" in missing and not (changing and place.limits_memory())
    kernel = any(isinstance(held.get(name), int) for name in asked)
    recorder.update(effective=effective, enforcement="watch" if request.watched else "kernel" if kernel else "none")
    if "mem_high" in missing:
        recorder.warn("--mem-high does not hold here: only the kernel's memory controller can slow a job down")
    limits = recorder.record["limits"]
    for name in ("swap_max", "tasks_max", "cpu_quota", "cpu_weight", "io_weight"):
        limit = limits.get(name) if isinstance(limits, dict) else None
        if request.watched and name == "swap_max":
            continue  # the watch ends the job before swapping matters
        if isinstance(limit, int | float) and not _holds(held.get(name), limit):
            # by the name under which it was asked for; `gravscope run` makes one note of all of these (`cli.run`)
            recorder.warn(f"--{name.replace('_', '-')} does not hold here: the kernel does not hold it for this job")


def _holds(limit: int | float | str | None, asked: int | float) -> bool:
    """The kernel rounds a limit to pages, and a lower one further up binds as well."""
    return isinstance(limit, int | float) and limit <= asked
