"""The document that is printed: every goal has its line, misses stay misses."""

from __future__ import annotations

from typing import Any

from tests.bench.figures import MISSED, NOT_MEASURED
from tests.bench.goals import GOALS
from tests.bench.launch import SCOPE
from tests.bench.report import document, rows, table

SIZES = {"output": "2 GB", "jobs": "200", "some": "10,000", "many": "100,000", "live": "10"}


def found(**samples: Any) -> dict[str, Any]:  # noqa: ANN401 (samples of any kind)
    """What a run found, with these samples and no others."""
    return {
        "name": "full",
        "sizes": SIZES,
        "machine": {"date": "2026-11-23", "processor": "2 × EPYC", "commit": ""},
        "samples": samples,
        "left_out": {"submit": "not there yet", "nq true": "nq is not installed"},
        "broken": {"cancel": "Broken: it went on"},
    }


def test_every_goal_has_a_line() -> None:
    """The table has a line for each goal in their order, measured or not, with its sizes filled in."""
    lines = rows(found(), SIZES)
    assert [line.goal for line in lines] == [goal.goal for goal in GOALS]
    assert all(line.verdict == NOT_MEASURED for line in lines)
    assert not [line.figure for line in lines if "{" in line.figure]


def test_a_miss_is_shown_as_a_miss() -> None:
    """A goal that is missed says so in its line and in the count above the table."""
    text = document(found(status_json={"ours": [0.4]}, threads={"ours": [2]}, guard={"ours": [0.02], "peer": [0.0195]}))
    assert f"| `status --json` of 10 | at most 0.1 s | 400 ms | 1 round | {MISSED} |" in text
    assert f"{len(GOALS)} figures, 2 of them miss" in text


def test_what_is_left_out_is_named() -> None:
    """A goal without its subject, a peer that is not installed, and what broke: each with its reason."""
    text = document(found())
    assert "| processor | 2 × EPYC |\n\n" in text
    assert "| – | not there yet | not measured |" in text
    assert "- nq true: nq is not installed\n" in text
    assert "broken: Broken: it went on" in text


def test_launches_are_multiples_of_the_peer() -> None:
    """Every way to launch has its median as a multiple of that of systemd-run; without that there are no multiples."""
    taken = {SCOPE: [0.01, 0.01], "tsp true": [0.002, 0.004]}
    assert "| `tsp true` | 3.00 ms | 2.50 ms … 3.50 ms | 2 | 0.300× |" in document(found(launches=taken))
    assert "| `tsp true` | 3.00 ms | 2.50 ms … 3.50 ms | 2 | – |" in document(
        found(launches={"tsp true": [0.002, 0.004]})
    )


def test_a_profile_without_strace() -> None:
    """Without strace the imports are still told; with it also programs and system calls."""
    one: dict[str, Any] = {"imports": {"typer": 0.05, "re": 0.01}}
    bare = document(found(profiles={"status": one}))
    assert "Imports, 60.0 ms in all" in bare
    assert "strace" not in bare
    traced = one | {"timeline": [(0.0, "gravscope begins")], "calls": {"read": (0.04, 200)}}
    text = document(found(profiles={"status": traced}))
    assert "| 0 µs | gravscope begins |" in text
    assert "| `read` | 40.0 ms | 200 |" in text


def test_a_smaller_run_says_so() -> None:
    """A run with smaller sizes cannot be taken for one to publish."""
    assert "A quick run" in document(found() | {"name": "quick"})
    assert "A full run" not in document(found())


def test_cells_cannot_break_the_table() -> None:
    """A bar within a cell is escaped."""
    assert table(("a",), [("x | y",)]) == "| a |\n| --- |\n| x \\| y |\n"
