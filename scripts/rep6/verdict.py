"""What the comparison of the two models comes to, in sentences: the beginning of the report (standard library only)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

TITLES = {"ws": "WS", "phieta": "Φη"}
# Below this p-value residuals are said to follow each other; each fit is tested by itself.
SIGNIFICANT = 0.01

Row = Mapping[str, Any]


def better(delta_aicc: float) -> str | None:
    """The key of the model that has the lower AICc, or None if they are equal."""
    if delta_aicc == 0:
        return None
    return "ws" if delta_aicc < 0 else "phieta"


def sentences(rows: Sequence[Row]) -> list[str]:
    """The result: the first sentence says which model fits better, how often and by how much."""
    found = [_who_wins(rows), _decided_by_one(rows), _against_baseline(rows), _residuals(rows)]
    return [sentence for sentence in found if sentence]


def count_of(number: int, total: int) -> str:
    """`3 of 6`, or `all 6`."""
    return f"all {total}" if number == total else f"{number} of {total}"


def _total(rows: Sequence[Row]) -> float:
    return float(sum(row["delta_aicc"] for row in rows))


def _who_wins(rows: Sequence[Row]) -> str:
    names = {key: [row["name"] for row in rows if better(row["delta_aicc"]) == key] for key in TITLES}
    first, second = sorted(TITLES, key=lambda key: -len(names[key]))
    parts = [f"{TITLES[first]} fits better in {count_of(len(names[first]), len(rows))} galaxies"]
    if names[second]:
        parts = [f"{parts[0]} ({', '.join(names[first])})"]
        parts.append(f"{TITLES[second]} in {len(names[second])} ({', '.join(names[second])})")
    equal = len(rows) - len(names[first]) - len(names[second])
    if equal:
        parts.append(f"in {equal} they fit equally well")
    total, winner = _total(rows), better(_total(rows))
    if winner is None:
        return f"{_listed(parts)}. Over all {len(rows)} galaxies their AICc is the same."
    return f"{_listed(parts)}. Over all {len(rows)} galaxies, {TITLES[winner]} has the lower AICc, by {abs(total):.1f}."


def _decided_by_one(rows: Sequence[Row]) -> str | None:
    """The galaxy without which the sum would favour the other model, if there is one."""
    if len(rows) < 2:
        return None
    total = _total(rows)
    winner = better(total)
    largest = max(rows, key=lambda row: abs(row["delta_aicc"]))
    rest = total - largest["delta_aicc"]
    other = better(rest)
    if winner is None or other in {None, winner}:
        return None
    return f"{largest['name']} alone decides that sum: without it {TITLES[str(other)]} would lead, by {abs(rest):.1f}."


def _against_baseline(rows: Sequence[Row]) -> str:
    """Whether the extra field is worth its parameters: both models beside gas and stars alone."""
    baseline = sum(row["ws"]["baseline"]["aicc"] for row in rows)
    sums = {key: sum(row[key]["aicc"] for row in rows) for key in TITLES}
    figures = f"AICc {baseline:.1f} without an extra field, " + ", ".join(
        f"{sums[key]:.1f} with {title}" for key, title in TITLES.items()
    )
    winning = [title for key, title in TITLES.items() if sums[key] < baseline]
    who = {2: "Both models fit", 1: f"Only {winning[0] if winning else ''} fits", 0: "Neither model fits"}[len(winning)]
    return f"{who} better than gas and stars alone ({figures})."


def _residuals(rows: Sequence[Row]) -> str | None:
    """How many fits leave residuals that follow each other, if they were tested."""
    values = [test["p_value"] for row in rows for key in TITLES if (test := row[key]["residual_test"])]
    small = sum(value < SIGNIFICANT for value in values)
    if not small:
        return None
    return (
        f"In {count_of(small, len(values))} fits the residuals follow each other along the radius "
        f"(p < {SIGNIFICANT}): there the model's curve does not have the right shape, and the difference of AICc looks "
        "more certain than it is."
    )


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
