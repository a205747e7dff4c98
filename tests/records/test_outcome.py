"""How a job ended: every case with its exact sentence, and what must not be said for any evidence."""

from __future__ import annotations

import re
import signal
from typing import Any, get_args

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gravscope.base.quantity import format_size
from gravscope.records import outcome
from gravscope.records.outcome import KILL_ALL, KILL_GROUP, STOP_UNIT, TERM_GROUP, THAW, Evidence, decide
from gravscope.records.types import EndState
from tests.records.outcome_rows import ROWS, Row

SIZES = st.none() | st.integers(0, 2**50)
ENDS = st.one_of(
    st.just({"exit_code": None, "signal": None}),
    st.integers(0, 255).map(lambda code: {"exit_code": code, "signal": None}),
    st.integers(1, 64).map(lambda number: {"exit_code": None, "signal": number}),
)
FACTS = st.fixed_dictionaries(
    {
        "start_error": st.none() | st.just("no such command"),
        "cancel_requested": st.booleans(),
        "cancel_steps": st.lists(st.sampled_from([THAW, STOP_UNIT, TERM_GROUP, KILL_GROUP, KILL_ALL])).map(tuple),
        "cancel_reached": st.booleans(),
        "cancel_answered": st.booleans(),
        "oom_group": st.booleans(),
        "timed_out": st.none() | st.floats(0.001, 1e9),
        "stopped_by": st.none() | st.just("told to stop by its unit"),
        "watch_kill": SIZES,
        "oom_kills": st.integers(0, 1000),
        "oom_own": st.booleans(),
        "oom_ancestor": st.none() | st.just("gravscope.slice"),
        "oomd": st.booleans(),
        "unit_result": st.sampled_from([None, "success", "oom-kill", "signal", "exit-code", "timeout", "core-dump"]),
        "peak_memory": SIZES,
        "mem_max": SIZES,
        "outlived": st.floats(0, 1e6),
        "rebooted": st.booleans(),
        "supervised": st.booleans(),
    }
)
EVIDENCE = st.builds(lambda facts, end: {**facts, **end}, FACTS, ENDS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_each_case_by_its_sentence(row: Row) -> None:
    """The evidence gives exactly this state and exactly this sentence."""
    found = decide(Evidence(**row.facts))
    assert (found.state, found.reason) == (row.state, row.reason)


@pytest.mark.parametrize("trap", [21, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33])
def test_each_known_trap_has_a_case(trap: int) -> None:
    """Every trap about memory and exit statuses is among the cases."""
    assert any(row.name.startswith(f"TRAP {trap}:") for row in ROWS)


def test_the_cases_cover_every_end_and_each_has_a_name_of_its_own() -> None:
    """Every end state has a case, and no two cases have the same name."""
    assert {row.state for row in ROWS} == set(get_args(EndState))
    assert len({row.name for row in ROWS}) == len(ROWS) >= 40


@given(EVIDENCE)
def test_any_combination_of_facts_gives_an_outcome(facts: dict[str, Any]) -> None:
    """Any facts give one of the end states and a sentence of one line, without None or long fractions."""
    found = decide(Evidence(**facts))
    assert found.state in get_args(EndState)
    assert found.reason
    assert "\n" not in found.reason
    assert "None" not in found.reason


@given(EVIDENCE)
def test_succeeded_means_exit_status_0(facts: dict[str, Any]) -> None:
    """Only an exit status of 0 that was seen is a success."""
    assume(facts["exit_code"] != 0)
    assert decide(Evidence(**facts)).state != outcome.SUCCEEDED


@given(EVIDENCE)
def test_cancelled_means_that_we_were_asked(facts: dict[str, Any]) -> None:
    """Trap 27: if no request of gravscope's own had begun to act, the job was not cancelled, whatever ended it."""
    assume(not (facts["cancel_requested"] and facts["cancel_steps"]))
    assert decide(Evidence(**facts)).state != outcome.CANCELLED


@given(EVIDENCE)
def test_an_end_that_nobody_saw_gets_no_exit_status(facts: dict[str, Any]) -> None:
    """Trap 32: without a wait status the sentence names no exit status and no signal, and it is not a success."""
    facts.update(exit_code=None, signal=None)
    found = decide(Evidence(**facts))
    assert found.state not in (outcome.SUCCEEDED, outcome.FAILED)
    assert not re.search(r"exit status \d|ended by (SIG|signal )", found.reason)


@given(EVIDENCE)
def test_oom_killed_needs_a_witness(facts: dict[str, Any]) -> None:
    """Trap 28: a high peak alone is not enough; counters, the watch, a helper or the unit's Result must say it."""
    facts.update(oom_kills=0, watch_kill=None, oomd=False)
    assume(facts["unit_result"] != "oom-kill")
    assert decide(Evidence(**facts)).state != outcome.OOM_KILLED


@given(EVIDENCE)
def test_its_own_limit_is_named_only_if_the_kernel_said_so(facts: dict[str, Any]) -> None:
    """Trap 25: "its own memory limit" is said only if the counter of that limit rose as well."""
    assume(not facts["oom_own"])
    assert "own memory limit" not in decide(Evidence(**facts)).reason


@given(EVIDENCE)
def test_a_signal_and_an_exit_status_are_never_mixed(facts: dict[str, Any]) -> None:
    """Trap 31: `failed` has an exit status other than 0; after a signal no exit status is given."""
    found = decide(Evidence(**facts))
    if found.state == outcome.FAILED:
        assert facts["exit_code"] not in (None, 0)
    if facts["signal"] is not None:
        assert "exit status" not in found.reason


def test_an_unknown_fact_is_refused() -> None:
    """A misspelt fact is an error; otherwise it would be ignored silently."""
    with pytest.raises(TypeError, match="no such fact: exit_cod"):
        Evidence(exit_cod=0)


def test_evidence_begins_with_nothing_known() -> None:
    """Without any fact the job is lost, and two jobs do not share facts."""
    Evidence(exit_code=0)
    assert decide(Evidence()).state == outcome.LOST


@pytest.mark.parametrize("number", sorted(outcome.SIGNAL_NAMES))
def test_signal_names_are_this_machines(number: int) -> None:
    """The table, which saves importing the enum, agrees with Python's names on this machine."""
    assert outcome.signal_name(number) == signal.Signals(number).name


@pytest.mark.parametrize(("size", "text"), [(None, "an unknown amount"), (0, "0B"), (40 * 2**20, "40M")])
def test_sizes_in_reasons(size: int | None, text: str) -> None:
    """As everywhere; unknown is never shown as 0."""
    assert outcome.amount(size) == text


@given(st.integers(0, 2**64))
def test_a_size_is_the_same_text_everywhere(size: int) -> None:
    """In a reason and in the table beside it."""
    assert outcome.amount(size) == format_size(size)
