"""When a job was started, in terms of the current clock. The clock may have been set since; local time may repeat an
hour."""

from __future__ import annotations

import time
from datetime import datetime
from functools import lru_cache

from gravscope.linux import proc
from gravscope.records.model import JobRecord

_boot_id = lru_cache(1)(proc.boot_id)


def start_time(record: JobRecord) -> float | None:
    """Seconds since 1970 by the current clock; None if the record does not say.

    For a job of this boot, the kernel's count since the boot is used, which setting the clock does not change. For any
    other job, the time in the record is used, which has a UTC offset. These numbers can therefore be compared where the
    local times in ids cannot.
    """
    ticks = record.start_ticks if record.start_ticks is not None else record.supervisor_start_ticks
    if ticks is not None and record.boot_id is not None and record.boot_id == _boot_id():
        return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks / proc.TICKS
    try:
        return datetime.fromisoformat(record.started or record.created).timestamp()
    except (ValueError, OverflowError):  # no time at all, or one before year 1
        return None


def age(record: JobRecord) -> float | None:
    """Seconds since the job was started, never negative."""
    since = start_time(record)
    return None if since is None else max(0.0, time.time() - since)
