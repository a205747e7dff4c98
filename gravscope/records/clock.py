"""When a job was started, by the clock as it stands now: it may have been set since, or repeat an hour."""

from __future__ import annotations

import time
from datetime import datetime
from functools import lru_cache

from gravscope.linux import proc
from gravscope.records.model import JobRecord

_boot_id = lru_cache(1)(proc.boot_id)


def began(record: JobRecord) -> float | None:
    """Seconds since 1970 by today's clock; None where the record does not say.

    A job of this boot is dated by the kernel's count since the boot, which no setting of the clock moves, and any
    other by its own time, which has an offset. So these numbers can be compared where the local times in ids cannot.
    """
    ticks = record.start_ticks if record.start_ticks is not None else record.supervisor_start_ticks
    if ticks is not None and record.boot_id is not None and record.boot_id == _boot_id():
        return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks / proc.TICKS
    try:
        return datetime.fromisoformat(record.started or record.created).timestamp()
    except (ValueError, OverflowError):  # no time at all, or one before there were any
        return None


def age(record: JobRecord) -> float | None:
    """Seconds since it was started, never negative."""
    since = began(record)
    return None if since is None else max(0.0, time.time() - since)
