"""Limits as people write them."""

from __future__ import annotations

from typing import Any

import pytest

from gravscope.base.errors import UsageError
from gravscope.records.spec import Limits

GIB = 2**30


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"mem_high": "6 Gb"}, "mem_high: '6 Gb'"),
        ({"mem_max": -1}, "mem_max: '-1'"),
        ({"swap_max": True}, "swap_max: 'True'"),
        ({"mem_max": 2**64}, "mem_max: "),
        ({"cpu_quota": 0}, "cpu_quota: '0%'"),
        ({"cpu_quota": "150"}, "cpu_quota: '150'"),
        ({"tasks_max": 1}, "tasks_max: '1'"),
        ({"cpu_weight": 0}, "cpu_weight: '0'"),
        ({"io_weight": 10001}, "io_weight: '10001'"),
    ],
)
def test_limits_that_are_none(wrong: dict[str, Any], said: str) -> None:
    """Invalid limits are refused with the argument's name."""
    with pytest.raises(UsageError) as raised:
        Limits(**wrong)
    assert str(raised.value).startswith(said)


def test_limits_as_people_write_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts and numbers with the same meaning give the same limits."""
    monkeypatch.setattr("gravscope.records.spec.total_memory", lambda: 16 * GIB)
    text = Limits(mem_high="6G", mem_max="50%", swap_max="infinity", cpu_quota="150%", tasks_max="64", cpu_weight="50")
    numbers = Limits(
        mem_high=6 * GIB, mem_max=8e0 * GIB, swap_max="infinity", cpu_quota=150, tasks_max=64, cpu_weight=50
    )
    assert text == numbers
    assert (text.mem_high, text.mem_max, text.cpu_quota, text.io_weight) == (6 * GIB, 8 * GIB, 150.0, None)
    assert Limits(cpu_quota="infinity") == Limits(cpu_quota=float("inf")) != Limits()
    assert {type(text.mem_max), type(numbers.mem_max)} == {int}
