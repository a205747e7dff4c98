"""Progress lines such as ``[rep6-ws] 401/6000 | elapsed=2.5m ETA=35.5m`` (standard library only)."""

from __future__ import annotations

import time
from collections.abc import Callable


def progress_line(tag: str, done: int, total: int, elapsed: float) -> str:
    """One line of progress; elapsed in seconds, done at least 1. The ETA assumes that the pace stays the same."""
    remaining = elapsed * (total - done) / done
    return f"[{tag}] {done}/{total} | elapsed={elapsed / 60:.1f}m ETA={remaining / 60:.1f}m"


class Progress:
    """Counts finished work and prints at most one line per interval (seconds), but always the last one."""

    def __init__(
        self,
        tag: str,
        total: int,
        *,
        interval: float = 0.5,
        clock: Callable[[], float] = time.monotonic,
        show: Callable[[str], None] = lambda line: print(line, flush=True),
    ) -> None:
        self._tag, self._total, self._interval = tag, total, interval
        self._clock, self._show = clock, show
        self._start = clock()
        self._shown_at = float("-inf")
        self._done = 0

    def advance(self, count: int = 1) -> None:
        """Record that count more items are finished."""
        self._done += count
        now = self._clock()
        if self._done < self._total and now - self._shown_at < self._interval:
            return
        self._shown_at = now
        self._show(progress_line(self._tag, self._done, self._total, now - self._start))
