"""What samples make of a goal. Pure: samples in, rows of the table out.

Times are seconds and sizes bytes; `ours` and `peer` of one loop are paired: sample N of each was taken in round N.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

MET, MISSED, NOT_MEASURED = "met", "**missed**", "not measured"
Samples = Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Goal:
    """One line of the table. `how` makes one number of the samples, which is held against `limit`."""

    key: str
    figure: str
    goal: str
    limit: float
    how: str
    unit: str
    least: bool = False


@dataclass(frozen=True)
class Row:
    """One line of the table, filled in."""

    figure: str
    goal: str
    measured: str
    made_of: str
    verdict: str


@dataclass(frozen=True)
class Spread:
    """Median and quartiles."""

    median: float
    low: float
    high: float
    count: int


def spread(samples: Sequence[float]) -> Spread:
    """Median and quartiles of at least one sample."""
    if len(samples) == 1:
        return Spread(samples[0], samples[0], samples[0], 1)
    low, median, high = statistics.quantiles(samples, n=4, method="inclusive")
    return Spread(median, low, high, len(samples))


def percentile(samples: Sequence[float], percent: int) -> float:
    """The sample that so many percent of all do not exceed (nearest rank)."""
    rank = -(-len(samples) * percent // 100)
    return sorted(samples)[max(0, rank - 1)]


def paired(samples: Samples, combine: Callable[[float, float], float]) -> Spread:
    """`combine` of both medians, and the quartiles of what it makes of each round."""
    ours, peer = samples["ours"], samples["peer"]
    each = spread([combine(mine, other) for mine, other in zip(ours, peer, strict=True)])
    median = combine(statistics.median(ours), statistics.median(peer))
    return Spread(median, min(median, each.low), max(median, each.high), each.count)


HOW: dict[str, Callable[[Samples], Spread]] = {
    "ratio": lambda samples: paired(samples, lambda ours, peer: ours / peer),
    # of speeds, where the samples are times
    "inverse": lambda samples: paired(samples, lambda ours, peer: peer / ours),
    "over": lambda samples: paired(samples, lambda ours, peer: ours - peer),
    "median": lambda samples: spread(samples["ours"]),
    # seconds that one more ended record costs, and one more live job
    "growth": lambda samples: spread([100 * max(0.0, samples["ended"][0]) / samples["live"][0]]),
    "p95": lambda samples: _within(samples["ours"], percentile(samples["ours"], 95)),
    "worst": lambda samples: _within(samples["ours"], max(samples["ours"])),
}


def _within(samples: Sequence[float], value: float) -> Spread:
    return Spread(value, min(samples), max(samples), len(samples))


def judge(goal: Goal, samples: Samples | None, why_not: str = "", *, sizes: Mapping[str, str]) -> Row:
    """The line for one goal; without samples it says why there are none."""
    figure = goal.figure.format(**sizes)
    if samples is None:
        return Row(figure, goal.goal, "–", why_not, NOT_MEASURED)
    found = HOW[goal.how](samples)
    met = found.median >= goal.limit if goal.least else found.median <= goal.limit
    return Row(figure, goal.goal, _measured(goal, found), _made_of(goal, samples), MET if met else MISSED)


def _measured(goal: Goal, found: Spread) -> str:
    unit = "×" if goal.how in ("ratio", "inverse") else goal.unit
    shown = show(found.median, unit)
    if goal.how == "over":
        shown = f"+ {shown}" if found.median >= 0 else f"− {shown.removeprefix('-')}"
    if found.low == found.high:
        return shown
    return f"{shown} ({show(found.low, unit)} … {show(found.high, unit)})"


def _made_of(goal: Goal, samples: Samples) -> str:
    if goal.how == "growth":
        ended, live = (show(samples[key][0], "s") for key in ("ended", "live"))
        return f"{ended} for an ended record, {live} for a live job"
    count = len(samples["ours"])
    if "peer" in samples:
        sides = " beside ".join(with_quartiles(spread(samples[side]), goal.unit) for side in ("ours", "peer"))
        return f"{sides}, {_counted(count, 'round')}"
    if goal.how == "p95":
        return f"median {show(spread(samples['ours']).median, goal.unit)}, {_counted(count, 'line')}"
    return _counted(count, "round") if goal.how == "median" else f"the worst of {_counted(count, 'job')}"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def with_quartiles(found: Spread, unit: str) -> str:
    """The median, and the quartiles in brackets, where there are any."""
    if found.low == found.high:
        return show(found.median, unit)
    return f"{show(found.median, unit)} ({show(found.low, unit)} … {show(found.high, unit)})"


def show(value: float, unit: str) -> str:
    """A figure to three digits: `s` as µs, ms or s, `B` as MB of 10⁶ bytes."""
    if unit == "s":
        factor, name = next(
            (pair for least, pair in ((1, (1, "s")), (1e-3, (1e3, "ms"))) if abs(value) >= least), (1e6, "µs")
        )
        return f"{_digits(value * factor)} {name}"
    if unit == "B":
        return f"{_digits(value / 1e6)} MB"
    if not unit:
        return f"{value:g}"
    return f"{_digits(value)}{'' if unit == '×' else ' '}{unit}"


def _digits(value: float) -> str:
    value = float(f"{value:.3g}")
    decimals = 2 - math.floor(math.log10(abs(value))) if value else 0
    return f"{value:.{max(0, decimals)}f}"


def interleaved(
    variants: Mapping[str, Callable[[], float]],
    seconds: float,
    *,
    least: int,
    most: int,
    warm_up: int,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, list[float]]:
    """Samples of every variant, in rounds A B C, B C A, C A B …: what disturbs the machine disturbs all of them.

    As many rounds as fit into `seconds`, but at least `least` and at most `most`; the first `warm_up` do not count.
    """
    names = list(variants)
    found: dict[str, list[float]] = {name: [] for name in names}
    for name in names * warm_up:
        variants[name]()
    deadline = clock() + seconds
    count = 0
    while count < least or (count < most and clock() < deadline):
        turn = count % len(names)
        for name in names[turn:] + names[:turn]:
            found[name].append(variants[name]())
        count += 1
    return found
