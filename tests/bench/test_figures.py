"""Statistics, verdicts and rounds: what is told from samples."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from tests.bench.figures import MET, MISSED, NOT_MEASURED, Goal, Samples, interleaved, judge, percentile, show, spread
from tests.bench.goals import GOALS
from tests.bench.inside import PARTS

GOAL = Goal("key", "a figure of {jobs} jobs", "the goal", 8, "ratio", "s")
SIZES = {"jobs": "200"}


@pytest.mark.parametrize(
    ("samples", "wanted"),
    [
        ([5.0], (5.0, 5.0, 5.0, 1)),
        ([3.0, 1.0], (2.0, 1.5, 2.5, 2)),
        ([9.0, 1.0, 3.0, 5.0, 7.0], (5.0, 3.0, 7.0, 5)),
    ],
)
def test_median_and_quartiles(samples: list[float], wanted: tuple[float, ...]) -> None:
    """Median and quartiles are those of the sorted samples, and of one sample it is the sample."""
    assert dataclasses.astuple(spread(samples)) == wanted


def test_percentile_is_one_of_the_samples() -> None:
    """So many percent of the samples are at most as large as it (nearest rank), and no smaller one would do."""
    samples = [float(number) for number in range(100, 0, -1)]
    assert percentile(samples, 95) == 95
    assert percentile(samples[:20], 95) == 99
    assert percentile([7.0], 95) == 7


@pytest.mark.parametrize(
    ("how", "limit", "least", "samples", "measured", "verdict"),
    [
        ("ratio", 8, False, {"ours": [80, 64, 72], "peer": [9, 8, 10]}, "8.00× (7.60× … 8.44×)", MET),
        ("ratio", 7.9, False, {"ours": [80, 64, 72], "peer": [9, 8, 10]}, "8.00× (7.60× … 8.44×)", MISSED),
        ("inverse", 0.97, True, {"ours": [1.0], "peer": [0.98]}, "0.980×", MET),
        ("inverse", 0.97, True, {"ours": [1.0], "peer": [0.96]}, "0.960×", MISSED),
        ("over", 0.06, False, {"ours": [0.1], "peer": [0.05]}, "+ 50.0 ms", MET),
        ("over", 0.06, False, {"ours": [0.02], "peer": [0.05]}, "− 30.0 ms", MET),
        ("over", 0.06, False, {"ours": [0.12], "peer": [0.05]}, "+ 70.0 ms", MISSED),
        ("median", 0.3, False, {"ours": [0.1, 0.3, 9]}, "300 ms (200 ms … 4.65 s)", MET),
        ("median", 3, True, {"ours": [2.0]}, "2.00 s", MISSED),
        ("p95", 0.05, False, {"ours": [0.04, 0.051]}, "51.0 ms (40.0 ms … 51.0 ms)", MISSED),
        ("worst", 2, False, {"ours": [1, 2, 3]}, "3.00 s (1.00 s … 3.00 s)", MISSED),
    ],
)
def test_a_goal_is_met_or_missed(  # noqa: PLR0917 (a row of the table)
    how: str, limit: float, least: bool, samples: Samples, measured: str, verdict: str
) -> None:
    """Each way to make one number of the samples is held against the limit from the right side."""
    row = judge(dataclasses.replace(GOAL, how=how, limit=limit, least=least), samples, sizes=SIZES)
    assert (row.measured, row.verdict) == (measured, verdict)


@pytest.mark.parametrize(
    ("ended", "live", "verdict"),
    [(1e-6, 1e-3, MET), (2e-5, 1e-3, MISSED), (-1e-6, 1e-3, MET)],
)
def test_growth_compares_records(ended: float, live: float, verdict: str) -> None:
    """An ended record may cost a hundredth of a live job; a cost below nothing is none."""
    goal = Goal("key", "growth", "the goal", 1, "growth", "%")
    assert judge(goal, {"ended": [ended], "live": [live]}, sizes=SIZES).verdict == verdict


def test_what_was_not_measured_says_why() -> None:
    """Without samples the row has the reason, and neither met nor missed."""
    row = judge(GOAL, None, "no strawberries here", sizes=SIZES)
    assert (row.figure, row.made_of, row.verdict) == ("a figure of 200 jobs", "no strawberries here", NOT_MEASURED)


def test_both_sides_and_the_rounds_are_told() -> None:
    """The row names both medians with their quartiles, and how many rounds there were."""
    row = judge(GOAL, {"ours": [80e-3, 64e-3, 72e-3], "peer": [9e-3, 9e-3, 9e-3]}, sizes=SIZES)
    assert row.made_of == "72.0 ms (68.0 ms … 76.0 ms) beside 9.00 ms, 3 rounds"


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0.0000123, "s", "12.3 µs"),
        (0.0123, "s", "12.3 ms"),
        (0.123456, "s", "123 ms"),
        (1.5, "s", "1.50 s"),
        (10.04e6, "B", "10.0 MB"),
        (9.76e6, "B", "9.76 MB"),
        (0.09996, "s", "100 ms"),
        (0.021, "%", "0.0210 %"),
        (40.0, "jobs/s", "40.0 jobs/s"),
        (12345.6, "jobs/s", "12300 jobs/s"),
        (1.0, "", "1"),
        (-0.03, "s", "-30.0 ms"),
        (0.0, "s", "0 µs"),
    ],
)
def test_figures_have_three_digits_and_a_unit(value: float, unit: str, shown: str) -> None:
    """Times are shown in the unit that suits them, sizes in MB of a million bytes."""
    assert show(value, unit) == shown


class Clock:
    """A clock that moves only with the samples taken."""

    def __init__(self) -> None:
        self.now = 0.0
        self.order = ""

    def __call__(self) -> float:
        """The time."""
        return self.now

    def variant(self, name: str, seconds: float) -> Callable[[], float]:
        """A sample that takes so long."""

        def sample() -> float:
            self.now += seconds
            self.order += name
            return seconds

        return sample


def test_variants_take_turns() -> None:
    """Every round takes one sample of each, and begins with another one; warm-up rounds are not counted."""
    clock = Clock()
    variants = {name: clock.variant(name, 1) for name in "ABC"}
    found = interleaved(variants, 100, least=1, most=4, warm_up=2, clock=clock)
    assert clock.order == "ABCABC" + "ABC" + "BCA" + "CAB" + "ABC"
    assert found == {name: [1, 1, 1, 1] for name in "ABC"}


@pytest.mark.parametrize(("seconds", "least", "most", "rounds"), [(7, 1, 99, 4), (0, 3, 99, 3), (100, 1, 6, 6)])
def test_rounds_fit_into_the_time(seconds: float, least: int, most: int, rounds: int) -> None:
    """There are as many rounds as begin within the time, but never fewer than the least nor more than the most."""
    clock = Clock()
    found = interleaved({"A": clock.variant("A", 2)}, seconds, least=least, most=most, warm_up=2, clock=clock)
    assert len(found["A"]) == rounds


def test_every_goal_is_measured() -> None:
    """Each goal belongs to just one part of the run, and no part fills a line that is not there."""
    filled = [key for _, keys, _ in PARTS for key in keys]
    assert sorted(filled) == sorted([*(goal.key for goal in GOALS), "profiles"])
