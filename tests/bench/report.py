"""The Markdown that `make bench` prints, ready for docs/benchmarks.md. Pure: what was found in, text out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tests.bench.figures import MISSED, Row, judge, show, spread
from tests.bench.goals import GOALS
from tests.bench.launch import SCOPE
from tests.bench.parse import top

# entries of a profile that are shown
ENTRIES = 8


def rows(found: Mapping[str, Any], sizes: Mapping[str, str]) -> list[Row]:
    """One line for each goal."""
    why = {**found["left_out"], **{key: f"broken: {text}" for key, text in found["broken"].items()}}
    return [judge(goal, found["samples"].get(goal.key), why.get(goal.key, ""), sizes=sizes) for goal in GOALS]


def document(found: Mapping[str, Any]) -> str:
    """All of it."""
    lines = rows(found, found["sizes"])
    missed = sum(row.verdict == MISSED for row in lines)
    note = (
        ""
        if found["name"] == "full"
        else f"**A {found['name']} run: smaller sizes, fewer rounds, no figures to rely on.**\n\n"
    )
    parts = [
        "## One run\n",
        note + table(("", ""), [fact for fact in found["machine"].items() if fact[1]]),
        f"### Goals\n\n{len(lines)} figures, {missed} of them miss their goal. In brackets are quartiles; least"
        " and most where there is one sample for each supervisor or each line.\n",
        table(("figure", "goal", "measured", "made of", "verdict"), map(_cells, lines)),
        "### Every way to launch `true`\n\nOne loop, taken in turn.\n",
        launches(found["samples"].get("launches", {})),
        left_out(found["left_out"]),
        "### Where the time goes\n",
        *(profile(name, one) for name, one in found["samples"].get("profiles", {}).items()),
    ]
    return "\n".join(part for part in parts if part)


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    cells = [head, ["---"] * len(head), *lines]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in cells)


def _cells(row: Row) -> tuple[str, ...]:
    return row.figure, row.goal, row.measured, row.made_of, row.verdict


def launches(samples: Mapping[str, Sequence[float]]) -> str:
    """Every variant of the loop, as multiples of the peer that the goals name."""
    peer = spread(samples[SCOPE]).median if SCOPE in samples else None
    lines = []
    for name, taken in samples.items():
        one = spread(taken)
        times = "–" if peer is None else show(one.median / peer, "×")
        lines.append(
            (f"`{name}`", show(one.median, "s"), f"{show(one.low, 's')} … {show(one.high, 's')}", str(one.count), times)
        )
    return table(("command", "median", "quartiles", "rounds", "of `systemd-run --scope`"), lines) if lines else ""


def left_out(reasons: Mapping[str, str]) -> str:
    """What could not be had here, other than the goals, whose own lines say so."""
    goals = {goal.key for goal in GOALS}
    named = [f"- {name}: {reason}\n" for name, reason in reasons.items() if name not in goals]
    return "Left out here:\n\n" + "".join(named) if named else ""


def profile(name: str, found: Mapping[str, Any]) -> str:
    """One command: its imports, its system calls, its programs."""
    imports = [(f"`{module}`", show(seconds, "s")) for module, seconds in top(found["imports"], ENTRIES)]
    whole = show(sum(found["imports"].values()), "s")
    text = f"#### `{name}`\n\nImports, {whole} in all (`python -X importtime`, which costs time itself):\n\n"
    text += table(("package", "time"), imports)
    if "timeline" in found:
        text += "\nPrograms (`strace -f -e trace=execve`, which costs time itself):\n\n"
        text += table(("after", "what"), [(show(at, "s"), event) for at, event in found["timeline"]])
        dearest = list(found["calls"].items())[:ENTRIES]
        calls = sum(count for _, count in found["calls"].values())
        text += f"\nSystem calls of all programs, {calls} together (`strace -f -c -w`: waiting is in them):\n\n"
        text += table(
            ("call", "time", "count"), [(f"`{call}`", show(took, "s"), str(count)) for call, (took, count) in dearest]
        )
    return text
