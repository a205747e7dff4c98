"""Whose memory ran out when the kernel killed: the job's own limit, one above it, or the machine's."""

from __future__ import annotations

import os
import time

from gravscope.linux import cgroup
from gravscope.supervisor.cgroups import Place

# Seconds that may lie between a limit's running out and the kill that it leads to: a machine in trouble is slow.
WINDOW = 10.0


class OomWatch:
    """Counts the kernel's kills, and says of the last of them whose limit it was.

    A limit that runs out counts as `oom` in its own cgroup (memory.events.local) some time before the kill counts as
    `oom_kill` in the victim's. The scope's own count that has led to no kill yet explains the next one. A count further
    up may be another job's, so there only what happened within the last seconds does. Where the kernel kills the whole
    job at once (memory.oom.group), it counts one process after the other: all of that is the first kill's.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.kills = 0
        self.own = False
        self.above: str | None = None
        """The name of the cgroup above the job's whose limit it was, such as gravscope.slice."""
        self._explained = _oom_counts(place)
        # what was counted at the beginning of this window and of the next one
        self._before = self._then = self._explained
        self._turn = time.monotonic() + WINDOW
        self._at_once = place.dies_at_once()

    def look(self) -> bool:
        """True if there are new kills since the last look."""
        kills = self.place.oom_kills() or 0
        risen = kills > self.kills
        first = self.kills == 0
        self.kills = max(kills, self.kills)
        if risen and (first or not self._at_once):
            counts = _oom_counts(self.place)  # read after the kills, so that it holds what led to them
            ours = (self.place.job or "", self.place.scope or "")
            self.own = any(counts.get(folder, 0) > self._explained.get(folder, 0) for folder in ours)
            grown = [folder for folder, count in counts.items() if count > self._before.get(folder, 0)]
            self.above = None if self.own or not grown else os.path.basename(grown[0])
            self._explained = self._before = self._then = counts
        elif time.monotonic() > self._turn:
            self._before, self._then = self._then, _oom_counts(self.place)
            self._turn = time.monotonic() + WINDOW
        return risen


def _oom_counts(place: Place) -> dict[str, int]:
    """For the job, its scope and every cgroup above how often its own limit led to an OOM kill so far. The job's own
    cgroup has a limit only while `gravscope limit` lowers that of the scope."""
    found: dict[str, int] = {}
    folder = place.job or place.scope
    while folder is not None and place.root is not None and len(folder) > len(place.root):
        count = cgroup.read_keyed(folder, "memory.events.local").get("oom")
        if count is not None:
            found[folder] = count
        folder = os.path.dirname(folder)
    return found
