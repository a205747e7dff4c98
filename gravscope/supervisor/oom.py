"""Whose memory ran out when the kernel killed: the job's own limit, one above it, or the machine's."""

from __future__ import annotations

import os

from gravscope import cgroup
from gravscope.supervisor.place import Place


class OomWatch:
    """Counts the kernel's kills, and says of the last of them whose limit it was.

    A limit that runs out counts as `oom` in its own cgroup (memory.events.local) some time before the kill counts as
    `oom_kill` in the victim's. What a kill is compared with is therefore the look before the last: neither a limit
    that ran out long ago nor one that is just doing so is mistaken.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.kills = 0
        self.own = False
        self.above: str | None = None
        """The name of the cgroup above the job's whose limit it was, such as gravscope.slice."""
        self._last = self._before_last = _oom_counts(place.scope)

    def look(self) -> bool:
        """True if there are new kills since the last look."""
        counts = _oom_counts(self.place.scope)
        kills = self.place.oom_kills() or 0
        risen = kills > self.kills
        if risen:
            self.kills = kills
            grown = [folder for folder, count in counts.items() if count > self._before_last.get(folder, 0)]
            self.own = self.place.scope in grown
            self.above = None if self.own or not grown else os.path.basename(grown[0])
        self._before_last, self._last = self._last, counts
        return risen


def _oom_counts(scope: str | None) -> dict[str, int]:
    """For the scope and every cgroup above it how often its own limit led to an OOM kill so far."""
    found: dict[str, int] = {}
    root = cgroup.mount_point()
    folder = scope
    while folder is not None and root is not None and len(folder) > len(root):
        count = cgroup.read_keyed(folder, "memory.events.local").get("oom")
        if count is not None:
            found[folder] = count
        folder = os.path.dirname(folder)
    return found
