"""Times as text. They are made without `datetime`, which would take a few hundred KB as long as a job runs."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gravscope.base.stamp import timestamp

BERLIN = "CET-1CEST,M3.5.0,M10.5.0/3"
ZONES = ["UTC0", BERLIN, "JST-9", "NST3:30NDT,M3.2.0,M11.1.0", "ODD1:02:03", "ODD-1:02:03", "X-14", "X12", "X23:59:59"]


@contextmanager
def zone(name: str) -> Iterator[None]:
    """Sets the time zone of this process."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = name
    time.tzset()
    try:
        yield
    finally:
        if before is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = before
        time.tzset()


@given(st.sampled_from(ZONES), st.integers(0, 2**32 * 1000))
@example(BERLIN, 1792888199_999)
@example(BERLIN, 1792890000_000)
@example(BERLIN, 1792893600_001)
def test_a_time_is_read_as_the_same_moment(name: str, milliseconds: int) -> None:
    """It is parsed to the same moment in any zone, also in the repeated hour, and with offsets that have seconds."""
    with zone(name):
        text = timestamp(milliseconds / 1000)
        expected = datetime.fromtimestamp(milliseconds / 1000).astimezone()
    read = datetime.fromisoformat(text)
    assert read.utcoffset() == expected.utcoffset()
    assert abs(read.timestamp() * 1000 - milliseconds) < 1.5


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1792888200.0, "2026-10-25T02:30:00.000+02:00"), (1792891800.5, "2026-10-25T02:30:00.500+01:00")],
)
def test_the_repeated_hour_is_told_by_its_offset(seconds: float, text: str) -> None:
    """2:30 occurs twice when the clock is set back, with two different offsets."""
    with zone(BERLIN):
        assert timestamp(seconds) == text
