"""`gravscope status --watch`: the jobs again and again, woken by what happens to them rather than by a clock alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gravscope.actions.look.settle import UNSUPERVISED
from gravscope.actions.look.status import Overview, Standing, overview, status
from gravscope.actions.look.wait import sleep_until_any_ends, supervisors
from gravscope.base.errors import GravscopeError
from gravscope.records.store import Store

# seconds between two looks at what has no events: memory, and jobs that are newly started
LOOK_AGAIN = 1.0


def watch(store: Store, job_ids: Sequence[str] = (), *, every_end: bool = False) -> Iterator[Overview]:
    """The standings of the jobs, first at once, then after every second and at every end of one; with `every_end`, also
    of those that never started."""
    while True:
        if job_ids or every_end:
            found = status(store, job_ids)
            seen = Overview(found, len(found))
        else:
            seen = overview(store)
        yield seen
        records = [item.record for item in seen.found if isinstance(item, Standing)]
        sleep_until_any_ends(supervisors(records), LOOK_AGAIN)


def changes(before: dict[str, str], found: list[Standing | GravscopeError]) -> list[Standing]:
    """Those of `found` whose state is not the one that `before` has of them; `before` is brought up to date."""
    news = []
    for item in found:
        if isinstance(item, Standing):
            record = item.record
            told = f"{record.state} {record.paused} {record.throttled} {UNSUPERVISED in record.warnings}"
            if before.get(record.id) != told:
                before[record.id] = told
                news.append(item)
    return news
