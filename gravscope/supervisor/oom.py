"""Which limit caused an OOM kill: the job's own, that of a cgroup above it, or the machine's memory."""

from __future__ import annotations

import os
import time

from gravscope.linux import cgroup
from gravscope.supervisor.cgroups import JobCgroups

# seconds that may pass between reaching a limit and the kill: a machine that is short of memory is slow
WINDOW = 10.0


class OomWatch:
    """Counts the kernel's kills, and says which limit caused the last of them.

    When a limit is reached, `oom` rises in the cgroup that has the limit (memory.events.local); some time later
    `oom_kill` rises in the victim's cgroup. If the scope's own `oom` has risen and no kill has followed yet, it
    explains the next kill. The `oom` of a cgroup above may be due to another job, so it counts only if it rose within
    the last seconds (WINDOW). When the kernel kills the whole job at once (memory.oom.group), it counts one process
    after the other, and the cause of the first kill is the cause of all.
    """

    def __init__(self, cgroups: JobCgroups) -> None:
        self.cgroups = cgroups
        self.kills = 0
        self.own = False
        self.above: str | None = None
        """The name of the cgroup above the job's whose limit it was, such as gravscope.slice."""
        self._explained = _oom_counts(cgroups)
        # the counts at the beginning of this window, and at the beginning of the next one
        self._before = self._then = self._explained
        self._turn = time.monotonic() + WINDOW
        self._at_once = cgroups.has_oom_group()

    def sample(self) -> bool:
        """True if there were kills since the last call."""
        kills = self.cgroups.oom_kills() or 0
        risen = kills > self.kills
        first = self.kills == 0
        self.kills = max(kills, self.kills)
        if risen and (first or not self._at_once):
            counts = _oom_counts(self.cgroups)  # read after the kills, so that it includes their cause
            ours = (self.cgroups.job or "", self.cgroups.scope or "")
            self.own = any(counts.get(folder, 0) > self._explained.get(folder, 0) for folder in ours)
            grown = [folder for folder, count in counts.items() if count > self._before.get(folder, 0)]
            self.above = None if self.own or not grown else os.path.basename(grown[0])
            self._explained = self._before = self._then = counts
        elif time.monotonic() > self._turn:
            self._before, self._then = self._then, _oom_counts(self.cgroups)
            self._turn = time.monotonic() + WINDOW
        return risen


def _oom_counts(cgroups: JobCgroups) -> dict[str, int]:
    """How often the limit of each cgroup has led to an OOM, for the job's cgroup, its scope and all above, by folder.

    The job's own cgroup has a limit only while `gravscope limit` lowers that of the scope.
    """
    found: dict[str, int] = {}
    folder = cgroups.job or cgroups.scope
    while folder is not None and cgroups.root is not None and len(folder) > len(cgroups.root):
        count = cgroup.read_keyed(folder, "memory.events.local").get("oom")
        if count is not None:
            found[folder] = count
        folder = os.path.dirname(folder)
    return found
