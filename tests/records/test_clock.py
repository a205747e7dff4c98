"""When a job was started, in terms of the current clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gravscope.linux import proc
from gravscope.records import clock
from gravscope.records.model import JobRecord

# Seconds by which two readings of a clock may differ on a slow machine.
LOOSE = 60


def record_of(**fields: Any) -> JobRecord:  # noqa: ANN401 (any field)
    """A record of a live job with only the necessary fields and `fields`."""
    least = {"id": "a_20250101_120000", "name": "a", "cmd": ["x"], "cwd": "/", "log_file": "/a.log"}
    return JobRecord(**{"state": "running", "created": "2025-01-01T12:00:00+09:00", **least, **fields})


@pytest.mark.parametrize("name", ["start_ticks", "supervisor_start_ticks"])
def test_a_job_of_this_boot_is_dated_by_the_kernel(name: str) -> None:
    """The start of its process, or of its supervisor, since the boot counts, whatever the clock said then."""
    ticks = round((time.clock_gettime(time.CLOCK_BOOTTIME) - 0.5) * proc.TICKS)
    record = record_of(boot_id=proc.boot_id(), **{name: ticks})
    assert clock.age(record) == pytest.approx(0.5, abs=LOOSE)
    assert clock.start_time(record) == pytest.approx(time.time(), abs=LOOSE)


@pytest.mark.parametrize("fields", [{}, {"boot_id": "another", "start_ticks": 1}, {"boot_id": proc.boot_id()}])
def test_any_other_is_dated_by_its_own_time(fields: dict[str, Any]) -> None:
    """The time of its start counts, or the time when it was asked for, with the UTC offset in the record."""
    asked = datetime(2025, 1, 1, 3, tzinfo=UTC).timestamp()
    assert clock.start_time(record_of(**fields)) == asked
    assert clock.start_time(record_of(**fields, started="2025-01-01T12:00:01+09:00")) == asked + 1


def test_an_age_is_never_negative() -> None:
    """Also for a job of a machine whose clock is ahead of ours; None for one without a time."""
    assert clock.age(record_of(created=(datetime.now(UTC) + timedelta(days=1)).isoformat())) == 0
    assert clock.age(record_of(created="")) is None
    assert clock.age(record_of(schema=0, created="yesterday")) is None


@given(st.datetimes(timezones=st.timezones()))
def test_any_time_of_a_record_can_be_told(moment: datetime) -> None:
    """Times of any zone and year, also those that cannot be converted to local time."""
    record = record_of(schema=0, created=moment.isoformat())
    assert clock.start_time(record) == pytest.approx(moment.timestamp())
    assert (clock.age(record) or 0) >= 0
