"""`gravscope status --watch`: the jobs again and again, woken by what happens to them rather than by a clock alone."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterator, Sequence

from gravscope import proc
from gravscope.actions.status import Standing, status
from gravscope.errors import GravscopeError
from gravscope.store import Store

# seconds between two looks at what has no events: memory, and jobs that are newly started
LOOK_AGAIN = 1.0


def watch(store: Store, job_ids: Sequence[str] = ()) -> Iterator[list[Standing | GravscopeError]]:
    """The standings of the jobs, first at once, then after every second and at every end of one."""
    while True:
        found = status(store, job_ids)
        yield found
        _sleep(found, LOOK_AGAIN)


def changes(before: dict[str, str], found: list[Standing | GravscopeError]) -> list[Standing]:
    """Those of `found` whose state is not the one that `before` has of them; `before` is brought up to date."""
    news = []
    for item in found:
        if isinstance(item, Standing):
            record = item.record
            told = f"{record.state} {record.paused} {record.throttled}"
            if before.get(record.id) != told:
                before[record.id] = told
                news.append(item)
    return news


def _sleep(found: list[Standing | GravscopeError], longest: float) -> None:
    """Until a supervisor ends, which is an event of the kernel (pidfd_open(2)), or `longest` seconds."""
    poll, handles = select.poll(), []
    try:
        for item in found:
            if isinstance(item, Standing) and item.record.live:
                record = item.record
                if record.supervisor_pid and proc.is_process(record.supervisor_pid, record.supervisor_start_ticks):
                    try:
                        handles.append(os.pidfd_open(record.supervisor_pid))
                    except OSError:
                        continue
                    poll.register(handles[-1], select.POLLIN)
        deadline = time.monotonic() + longest
        poll.poll(max(0.0, 1000 * (deadline - time.monotonic())))
    finally:
        for handle in handles:
            os.close(handle)
