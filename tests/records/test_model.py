"""The record as a type: what was written is read back unchanged, and schema 1 loads for ever; and limits."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from gravscope.base.errors import StoreError
from gravscope.records import outcome
from gravscope.records.fields import LIVE_STATES
from gravscope.records.model import JobRecord, record_schema
from gravscope.records.parts import Cancel, CancelStep
from gravscope.records.spec import SCHEMA_VERSION, Limits
from gravscope.records.store import Store, read_record
from gravscope.records.types import EndState, LiveState, State
from tests.support import Gravscope

GIB = 2**30
FROZEN = Path(__file__).parents[1] / "data" / "record_v1.json"
# Later fields are not counted; none of these may ever be removed.
FIELDS_WHEN_FROZEN = 45
LEAST = JobRecord(
    id="a_20260101_120000",
    name="a",
    state="starting",
    cmd=["x"],
    cwd="/",
    log_file="/a.log",
    created="2026-01-01T12:00:00.000+00:00",
)


def frozen() -> dict[str, Any]:
    """The frozen record as plain values."""
    found: dict[str, Any] = json.loads(FROZEN.read_text(encoding="utf-8"))
    return found


def test_a_record_of_schema_1_loads_for_ever() -> None:
    """The frozen record, which no release may change, is read with all its values."""
    read = msgspec.to_builtins(read_record(FROZEN))
    text = frozen()
    assert {name: read.get(name, "lost") for name in text} == text


def test_the_frozen_record_leaves_nothing_to_chance() -> None:
    """Except for the schema, every value differs from its default, so that a field that is not read is noticed."""
    text, defaults = frozen(), msgspec.to_builtins(LEAST)
    assert {name for name in text if text[name] == defaults[name]} == {"schema"}
    assert text["schema"] == SCHEMA_VERSION
    assert len(text) >= FIELDS_WHEN_FROZEN


@pytest.mark.parametrize("name", sorted(set(frozen()) - {"id", "name", "state", "cmd", "cwd", "log_file", "created"}))
def test_a_record_from_before_a_field_was_there_loads(tmp_path: Path, name: str) -> None:
    """All fields except the few that identify the job may be missing; they are then null or the default."""
    text = frozen()
    del text[name]
    (tmp_path / "a.json").write_text(json.dumps(text))
    assert getattr(read_record(tmp_path / "a.json"), name) == getattr(LEAST, name)


@pytest.mark.parametrize("name", ["id", "name", "state", "cmd", "cwd", "log_file", "created"])
def test_a_record_that_does_not_say_what_it_is_of_is_none(tmp_path: Path, name: str) -> None:
    """Without id, name, state, command, folders or time it is not a record."""
    text = frozen()
    del text[name]
    (tmp_path / "a.json").write_text(json.dumps(text))
    with pytest.raises(StoreError, match=f"missing required field `{name}`"):
        read_record(tmp_path / "a.json")


def test_a_field_of_tomorrow_is_passed_by(tmp_path: Path) -> None:
    """A later release may add fields to schema 1; this one ignores them and reads the rest."""
    (tmp_path / "a.json").write_text(json.dumps({**frozen(), "gpu_seconds": 3}))
    assert read_record(tmp_path / "a.json") == read_record(FROZEN)


@pytest.mark.parametrize("schema", [SCHEMA_VERSION + 1, 99])
def test_a_record_of_a_later_schema_is_a_store_error(tmp_path: Path, schema: int) -> None:
    """Trap 49: it is refused as a whole, and the message says what to do."""
    (tmp_path / "a.json").write_text(json.dumps({**frozen(), "schema": schema}))
    with pytest.raises(StoreError) as refused:
        Store(tmp_path).read("a")
    assert str(refused.value) == (
        f"{tmp_path / 'a.json'}: written by a later gravscope (schema {schema}); upgrade to read it"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [("state", "finished"), ("cmd", "python x"), ("pid", "12"), ("exit_code", 1.5), ("limits", {"mem_max": "lots"}),
     ("launcher", "slurm"), ("env", {"A": 1}), ("cancel", {}), ("limits", {"cpu_weight": -1}), ("schema", "1")],
)  # fmt: skip
def test_a_wrong_value_is_a_store_error(tmp_path: Path, name: str, value: object) -> None:
    """The message names the field whose value is wrong."""
    (tmp_path / "a.json").write_text(json.dumps({**frozen(), name: value}))
    with pytest.raises(StoreError, match=rf"not a record: .*`\$\.{name}"):
        read_record(tmp_path / "a.json")


def test_unknown_is_null_and_never_0() -> None:
    """A record of which nothing is known yet has no exit code, memory or time."""
    unknown = [
        "pid",
        "exit_code",
        "signal",
        "peak_memory",
        "oom_kills",
        "cpu_seconds",
        "duration",
        "ended",
        "effective",
    ]
    assert {getattr(LEAST, name) for name in unknown} == {None}
    assert LEAST.enforcement == "none"


def test_which_states_live() -> None:
    """A job is live until its end, and the end states are exactly those of outcomes."""
    assert set(get_args(LiveState)) == LIVE_STATES
    names = ["SUCCEEDED", "FAILED", "KILLED", "OOM_KILLED", "TIMED_OUT", "CANCELLED", "NEVER_STARTED", "LOST"]
    assert {getattr(outcome, name) for name in names} == set(get_args(EndState))
    for state in (*get_args(LiveState), *get_args(EndState)):
        assert msgspec.structs.replace(LEAST, state=state).live is (state in LIVE_STATES)


TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
COUNT = st.integers(0, 2**62)
RECORDS = st.builds(
    JobRecord,
    id=TEXT,
    name=TEXT,
    state=st.sampled_from([*get_args(LiveState), *get_args(EndState)]),
    cmd=st.lists(TEXT, max_size=4),
    shell=st.booleans(),
    cwd=TEXT,
    env=st.dictionaries(TEXT, TEXT, max_size=3),
    pid=st.none() | st.integers(2, 2**31 - 1),
    log_file=TEXT,
    limits=st.builds(
        Limits, mem_max=st.none() | COUNT | st.just("infinity"), cpu_quota=st.none() | st.floats(0.01, 1e6)
    ),
    effective=st.none() | st.dictionaries(TEXT, st.none() | COUNT | st.just("infinity"), max_size=3),
    timeout=st.none() | st.floats(0, 1e12),
    created=st.datetimes(datetime(1000, 1, 1), datetime(9000, 1, 1), timezones=st.timezones()).map(
        lambda moment: moment.isoformat()
    ),
    exit_code=st.none() | st.integers(0, 255),
    reason=st.none() | TEXT,
    cancel=st.none() | st.builds(Cancel, requested=TEXT, by=TEXT, steps=st.lists(st.builds(CancelStep, TEXT, TEXT))),
    warnings=st.lists(TEXT, max_size=2),
)


@given(RECORDS)
def test_any_record_comes_back_as_it_was_and_fits_the_schema(record: JobRecord) -> None:
    """Any record, written as JSON with indentation and read again, is the same record, and the schema accepts it."""
    text = msgspec.json.format(msgspec.json.encode(record), indent=2)
    assert msgspec.json.decode(text, type=JobRecord) == record
    VALIDATOR.validate(json.loads(text))


VALIDATOR = Draft202012Validator(record_schema())


def test_the_schema_is_one_and_holds_the_frozen_record() -> None:
    """The generated JSON Schema is valid, names its dialect, and accepts the frozen record."""
    Draft202012Validator.check_schema(record_schema())
    assert record_schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    VALIDATOR.validate(frozen())


@pytest.mark.parametrize(
    ("name", "value"), [("state", "done"), ("pid", "1"), ("cmd", "x"), ("limits", {"mem_max": "x"})]
)
def test_the_schema_refuses_what_is_no_record(name: str, value: object) -> None:
    """It rejects a wrong state or type, so it does not accept just anything."""
    with pytest.raises(ValidationError):
        VALIDATOR.validate({**frozen(), name: value})


def test_a_real_record_fits_the_schema(gravscope: Gravscope) -> None:
    """The record that the supervisor wrote of a real job is valid, and is read with the same values."""
    job = gravscope.start("-n", "real", "--timeout", "5m", "--", "true")
    record = gravscope.ended(job)
    VALIDATOR.validate(record)
    assert record["state"] == "succeeded"
    assert msgspec.to_builtins(read_record(gravscope.jobs_dir / f"{job}.json")) == record


def test_the_states_are_those_of_the_documents() -> None:
    """They are exactly the eleven words that the documents use."""
    live, end = get_args(State)
    assert {*get_args(live), *get_args(end)} == {
        *("queued", "starting", "running", "succeeded", "failed", "killed", "oom-killed", "timed-out"),
        *("cancelled", "never-started", "lost"),
    }
