"""The mask hides what differs between two hours, and nothing else: what it lets pass for the same is the same."""

from __future__ import annotations

import pytest

from tests.newcomer.mask import COLUMNS, Mask

HOME = "/tmp/pytest-of-me/pytest-7/test_the_hour0/home"


def masked(*screens: str) -> str:
    """The last of these, in one hour."""
    mask = Mask({HOME: "/home/you"})
    return [mask(screen) for screen in screens][-1]


SAME = [
    ("fit_20261123_184033 runs", "fit_20251101_000000_2 runs"),
    (f"log {HOME}/fit/tmp/logs/fit_20261123_184033.log", "log /home/you/fit/tmp/logs/fit_20261123_184034.log"),
    ("pid 20785, process group 20785, supervisor 20783", "pid 7, process group 7, supervisor 5"),
    ("ended 2026-11-23 18:20:46 after 0.4s", "ended 2027-01-01 00:00:00 after 1m05s"),
    ("runs for 12s, uses 83M of memory", "runs for 0.1s, uses 1.2G of memory"),
    ("peak memory 79M (sampled), CPU 0.0s", "peak memory 108M (sampled), CPU 12s"),
    ("its peak of 77M was more than its limit of 64M", "its peak of 101M was more than its limit of 64M"),
    ("the job's own memory limit of 32M (peak 29M)", "the job's own memory limit of 32M (peak 30M)"),
    ("75%  15/20, 0.1s left", "75%  15/20, 2h05m left"),
    ("pip install gravscope-0.1.0-py3", "pip install gravscope-1.10.0rc1-py3"),
    (" 1.7K  fit_20261123_184033", " 987B  fit_20261123_184033"),
    ("freed 1.7K (1712 bytes) of 1 job", "freed 2K (2048 bytes) of 1 job"),
    ("noted succeeded after 0.4s on box", "noted succeeded after 10s on crate"),
]  # fmt: skip
OTHERS = [
    ("fit_20261123_184033 runs", "fat_20261123_184033 runs"),
    ("pid 20785, process group 20785, supervisor 20783", "pid 7, process group 5, supervisor 5"),
    ("ended 2026-11-23 18:20:46 after 0.4s", "ended at a time not known after 0.4s"),
    ("peak memory 79M (sampled), CPU 0.0s", "peak memory 79M, CPU 0.0s"),
    ("peak memory 79M (sampled), CPU 0.0s", "peak memory not measured"),
    ("its peak of 77M was more than its limit of 64M", "its peak of 77M was more than its limit of 65M"),
    ("freed 1.7K (1712 bytes) of 1 job", "freed 1.7K (1712 bytes) of 2 jobs"),
    ("its exit status was 0", "its exit status was 1"),
    ("gravscope rerun --mem-max 128M", "gravscope rerun --mem-max 96M"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_what_differs_from_hour_to_hour(one: str, other: str) -> None:
    """Times, process ids, sizes and paths may be any."""
    assert masked(one) == masked(other)


@pytest.mark.parametrize(("one", "other"), OTHERS)
def test_what_says_something_else(one: str, other: str) -> None:
    """States, names, limits, counts, and what is not known, are told apart."""
    assert masked(one) != masked(other)


def test_a_job_is_the_same_everywhere() -> None:
    """Two jobs of one name stay two, and each is the one that it was on the screen before."""
    one, other = "fit_20261123_184033", "fit_20261123_184033_2"
    assert masked(f"{one} {other}", f"{other} {one}").split() == ["fit_20260101_090200", "fit_20260101_090100"]


def test_tables() -> None:
    """Columns are as wide as what is shown in them; a state or an exit status that is another one shows."""
    table = """\
NAME STATE      MEMORY         TIME DONE/EXIT ID
fit  running    83M/128M ###.. 0.3s 75% 0.1s  fit_20261123_182045
fit  oom-killed 79M/64M  ##### 0.1s s9        fit_20261123_182044
bad  failed     -              -    1         bad_20261123_182044
behind"""
    wide = """\
NAME STATE      MEMORY          TIME   DONE/EXIT  ID
fit  running    103M/128M ##... 12m05s 75% 3h20m  fit_20261123_182048
fit  oom-killed 79M/64M   ##### 0.1s   s9         fit_20261123_182044
bad  failed     -               -      1          bad_20261123_182044
behind"""
    assert (
        masked(table)
        == masked(wide)
        == """\
NAME STATE      MEMORY        TIME DONE/EXIT ID
fit  running    NM/128M ##... N.Ns 75% N.Ns  fit_20260101_090100
fit  oom-killed NM/64M  ##### N.Ns s9        fit_20260101_090200
bad  failed     -             -    1         bad_20260101_090300
behind
"""
    )
    for word, another in (("running", "paused"), ("s9", "s15"), ("75%", "70%"), ("/64M  #####", "/64M  ###..")):
        assert masked(table) != masked(table.replace(word, another)), word


def test_lines_are_as_wide_as_the_terminal() -> None:
    """They break where the terminal breaks them, however long the path was that is masked."""
    line = f"log {HOME}/" + "x" * 95
    assert masked(line).splitlines() == ["log /home/you/" + "x" * (COLUMNS - 14), "x" * 9]
