"""Records that gravscope did not write: each gives one line, hides no other, and causes no signal."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gravscope.linux import files, proc
from gravscope.records.parts import CancelRequest, LimitChange
from gravscope.records.spec import Limits
from gravscope.records.store import Store, read_record
from gravscope.supervisor import requests
from gravscope.supervisor.record import Recorder
from tests.inside import Inside, inside

__all__ = ["inside"]
GOOD, BAD = "good_20260314_092653", "bad_20260314_092654"
WHOLE: dict[str, Any] = {
    **json.loads((Path(__file__).parents[1] / "data" / "record_v1.json").read_text()),
    "unit": None,
}
# Every command that reads a job, with its arguments; none of them has to wait.
COMMANDS: list[tuple[str, ...]] = [
    ("status",), ("status", "--json"), ("status", "-a"), ("status", BAD), ("status", BAD, "--json"), ("show", BAD),
    ("show", BAD, "--json"), ("wait", BAD, "--timeout", "0"), ("wait", BAD, "--ready", "x", "--timeout", "0"),
    ("logs", BAD), ("logs", BAD, "-n", "1", "--json"), ("logs", BAD, "--journal"), ("path", BAD),
    ("cancel", BAD, "--grace", "0"), ("limit", BAD, "--mem-max", "1G"), ("pause", BAD), ("resume", BAD),
]  # fmt: skip


def record(job_id: str, **fields: object) -> dict[str, Any]:
    """A record of a job of this boot and machine that has ended."""
    own = {"id": job_id, "name": job_id[:-16], "boot_id": proc.boot_id(), "host": socket.gethostname()}
    return {**WHOLE, **own, "paused": False, "throttled": False, "log_file": "/dev/null", **fields}


def put(inside: Inside, job_id: str, text: str | bytes | dict[str, Any]) -> Path:
    """Writes `text` as the record of `job_id`."""
    path = inside.jobs_dir / f"{job_id}.json"
    whole = json.dumps(text) if isinstance(text, dict) else text
    path.write_bytes(whole if isinstance(whole, bytes) else whole.encode("utf-8", "surrogatepass"))
    return path


def survives(inside: Inside, text: str | bytes | dict[str, Any]) -> None:
    """Every command prints at most one line and a documented exit status, and lists the good record."""
    put(inside, GOOD, record(GOOD))
    for words in COMMANDS:
        put(inside, BAD, text)
        done = inside(*words)
        assert len(done.err.splitlines()) <= 1, (words, done)
        assert done.err == "" or done.err.startswith("gravscope: ")
        assert "--json" not in words or done.out == "" or json.loads(done.out) is not None
        if words[0] == "status" and BAD not in words:
            assert (done.status, GOOD in done.out) == (0, True)
            assert BAD in done.out + done.err
    assert inside.deeds == []
    assert {path.suffix for path in inside.jobs_dir.iterdir()} <= {".json", ".lock"}


@pytest.fixture
def victim() -> Iterator[dict[str, int]]:
    """A process that belongs to no job, as a hostile record would name it."""
    with subprocess.Popen(["sleep", "1000"]) as process:
        found = proc.stat(process.pid)
        assert found is not None
        yield {"pid": process.pid, "pgid": process.pid, "start_ticks": found.start_ticks}
        process.kill()


MANY = [-(10**400), -1, 0, 1, 2, 2**31 - 1, 2**31, 2**63, 2**64, 2**64 + 1, 10**400, 1e308, -1e308, 0.5, 256, 128]
STRINGS = ["", "\x00", "\x1b[2J", "a\nb", "\ud800", "重い", "/", "../../x", "-x", "x" * 5000,
           "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00", "2026-01-01", "20260101T0000", "NaN"]  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(MANY) | st.floats() | st.sampled_from(STRINGS)
    | st.sampled_from(sorted({"running", "starting", "queued", "lost", "scope", "session", "watch", "kernel"}))
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from([*WHOLE, *WHOLE["limits"], "", "steps", "at"]), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
FIELDS = sorted(set(WHOLE) - {"id"})


def odd_ones(value: object) -> Iterator[object]:
    """Times and numbers that have the right type but are mostly impossible."""
    if isinstance(value, dict):
        yield from ({**value, name: odd} for name, item in value.items() for odd in odd_ones(item))
    elif isinstance(value, list):
        yield from ([odd] for item in value[:1] for odd in odd_ones(item))
    elif isinstance(value, str) and "T" in value and ":" in value:
        yield from ("\x00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from (-1, 256, 2**64, 10**400, 1e308)


@pytest.mark.slow
@pytest.mark.parametrize("state", ["running", "failed"])
def test_every_field_in_turn(inside: Inside, state: str) -> None:
    """Each number and time of a complete record, also in nested objects, is replaced by an impossible or rare one."""
    for name in FIELDS:
        for odd in odd_ones(WHOLE[name]):
            put(inside, BAD, record(BAD, **{"state": state, "signal": None, name: odd}))
            for words in (("status",), ("show", BAD), ("wait", BAD)):
                done = inside(*words)
                assert len(done.err.splitlines()) <= 1, (name, odd, words)
            assert done.status % 256 != 0, (name, odd)  # the shell sees only eight bits


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.sampled_from(["running", "starting", "failed"]), st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=3))
def test_wrong_values_anywhere(inside: Inside, state: str, wrong: dict[str, Any]) -> None:
    """Any value of any type in any field, for a live job and for one that has ended."""
    survives(inside, {**record(BAD, state=state), **wrong})


@pytest.mark.slow
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    st.dictionaries(st.sampled_from(["pid", "pgid", "name", "started", "log_file", "workdir", "env", "unit"]), VALUES)
)
def test_wrong_values_in_a_record_of_the_older_dispatcher(inside: Inside, wrong: dict[str, Any]) -> None:
    """The same for a record without a schema."""
    survives(inside, {"pid": 99999999, "command": "x", **wrong})


TEXTS = {
    "nothing": "",
    "a cut one": json.dumps(record(BAD))[:700],
    "a byte order mark": b"\xef\xbb\xbf" + json.dumps(record(BAD)).encode(),
    "UTF-16": json.dumps(record(BAD)).encode("utf-16"),
    "zeros": bytes(4096),
    "NaN": json.dumps(record(BAD, duration=float("nan"))),
    "infinity": json.dumps(record(BAD, grace=4711)).replace("4711", "1e999"),
    "half a surrogate pair": json.dumps(record(BAD, reason="\ud800")),
    "bytes that are no text": json.dumps(record(BAD, reason="?")).encode().replace(b"?", b"\xff"),
    "a key twice": json.dumps(record(BAD))[:-1] + ', "state": "running", "pid": 1}',
    "two records": json.dumps(record(BAD)) * 2,
    "deep nesting": "[" * 200_000,
    "deep nesting in a field": json.dumps(record(BAD))[:-1] + ', "new": ' + "[" * 200_000 + "]" * 200_000 + "}",
    "another job's": record(GOOD),
    "schema 0": record(BAD, schema=0, started="yesterday", state="running"),
    "schema -1": record(BAD, schema=-1),
    "schema true": record(BAD, schema=True),
    "schema null": record(BAD, schema=None),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_what_is_no_record(inside: Inside, kind: str) -> None:
    """Texts that are not valid JSON or not a record; of a key that occurs twice the last value counts."""
    survives(inside, TEXTS[kind])
    put(inside, BAD, TEXTS[kind])
    for words in (("show", BAD), ("wait", BAD), ("logs", BAD), ("cancel", BAD), ("pause", BAD), ("status", BAD)):
        done = inside(*words)
        assert done.status == 6
        assert str(inside.jobs_dir / f"{BAD}.json") in done.complaint
        assert "; " in done.complaint  # the hint


@pytest.mark.parametrize(
    "fields",
    [{"pid": 1}, {"pid": 0}, {"pid": -1}, {"pgid": 0}, {"pgid": 1}, {"pid": 2**31}, {"supervisor_pid": 1},
     {"unit": "dbus.service"}, {"unit": "-.slice"}, {"unit": "gravscope-x.scope/../dbus.service"}, {"unit": ""},
     {"unit": "--host=x.scope"}, {"exit_code": 256}, {"exit_code": -1}, {"signal": 0}, {"signal": 2**31},
     {"start_ticks": 10**400}, {"peak_memory": -1}, {"limits": {"mem_max": 10**400}}, {"limits": {"cpu_weight": 2**70}},
     {"effective": {"mem_high": 2**70}}, {"memory_events": {"oom": -1}}, {"started": "0001-01-01T00:00:00+14:00"}],
)  # fmt: skip
def test_values_that_no_job_has(inside: Inside, fields: dict[str, object]) -> None:
    """Impossible values of the right type (pid 1, status of nine bits, foreign unit): the message names the field."""
    put(inside, BAD, record(BAD, state="running", **fields))
    for words in (("show", BAD), ("cancel", BAD)):
        done = inside(*words)
        assert done.status == 6
        assert "not a record: " in done.complaint
        (value,) = fields.values()
        assert next(iter(fields)) in done.complaint or str(value) in done.complaint


@pytest.mark.parametrize("fields", [{"boot_id": "of another boot"}, {"start_ticks": 1}, {"start_ticks": None}])
def test_a_process_that_is_not_proven_is_not_signalled(
    victim: dict[str, int], inside: Inside, fields: dict[str, object]
) -> None:
    """Trap 41: a live pid with another boot id or start time gets no signal, and the job is lost."""
    put(inside, BAD, record(BAD, **{**victim, "state": "running", "ended": None, "cancel": None, **fields}))
    done = inside("cancel", BAD)
    assert done.status == 0
    assert done.out.startswith(f"{BAD} had already ended: lost")


def test_a_job_of_another_machine_is_not_touched(victim: dict[str, int], inside: Inside) -> None:
    """A job on a network disk: it is neither settled nor signalled, and cancel says on which machine to type it."""
    fields = {**victim, "boot_id": "of another boot", "host": "elsewhere", "state": "running", "ended": None}
    path = put(inside, BAD, record(BAD, **fields))
    before = path.read_bytes()
    shown = json.loads(inside("status", BAD, "--json").out)[0]
    assert (shown["state"], shown["memory_now"]) == ("running", None)
    done = inside("cancel", BAD)
    assert (done.status, done.complaint) == (
        4, f"gravscope: {BAD} runs on elsewhere; type there: gravscope cancel {BAD}",
    )  # fmt: skip
    assert inside("wait", BAD, "--timeout", "0").status == 124
    assert path.read_bytes() == before
    assert os.listdir(inside.jobs_dir) == [path.name]


def test_a_later_schema_is_left_alone(victim: dict[str, int], inside: Inside) -> None:
    """Trap 49: a record of schema 2 gives an error that says it is newer and what to do. Neither it nor its lock is
    changed, and nothing is settled or signalled, although nobody is in charge of it."""
    path = put(inside, BAD, record(BAD, **victim, schema=2, state="running", ended=None, cancel=None))
    for kind in ("lock", "cancel", "limits", "paused"):
        (inside.jobs_dir / f"{BAD}.{kind}").write_text("of schema 2")
    put(inside, GOOD, record(GOOD))
    before = {entry.name: (entry.read_bytes(), entry.stat().st_mtime_ns) for entry in inside.jobs_dir.iterdir()}
    for words in COMMANDS:
        done = inside(*words)
        if BAD in words and words[0] != "path":
            assert done.status == 6
        if not {"path", "--json"} & set(words) or (words[0] == "logs" and BAD in words):
            assert done.complaint == f"gravscope: {path}: written by a later gravscope (schema 2); upgrade to read it"
    assert {entry.name: (entry.read_bytes(), entry.stat().st_mtime_ns) for entry in inside.jobs_dir.iterdir()} == before


def test_nothing_in_a_record_reaches_the_terminal(inside: Inside) -> None:
    """Control sequences and newlines in a record or a file name are shown escaped."""
    evil = "\x1b[2Jx\r\x07\x9b1mx"
    texts = dict.fromkeys(("cwd", "log_file", "reason", "fallback_reason", "name", "slice"), evil)
    cancel = {"requested": evil, "by": evil, "steps": [{"step": evil, "at": evil, "error": evil}]}
    put(inside, BAD, record(BAD, **texts, cmd=[evil, "a\nb"], env={"A": evil}, warnings=[evil], cancel=cancel))
    (inside.jobs_dir / f"{evil}\nx.json").write_text("{")
    (inside.jobs_dir / "\udcff.json").write_text("{")
    shown = "".join(done.out + done.err for done in [inside(*words) for words in COMMANDS])
    assert not {each for each in shown if not each.isprintable() and each != "\n"}
    done = inside("status")
    assert [line.startswith("gravscope: ") for line in done.err.splitlines()] == [True, True]
    assert len(done.out.splitlines()) == 2
    assert len([item for item in json.loads(inside("status", "--json").out) if "error" in item]) == 2


# what is put beside a record

REQUESTS = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(["requested", "by", "grace", "extra"], VALUES | st.text(max_size=3)),
        "steps": st.lists(st.dictionaries(st.sampled_from(["step", "at", "error"]), VALUES), max_size=2),
    },
) | st.builds(lambda grace: {"requested": "", "by": "", "steps": [], "grace": grace}, VALUES)  # fmt: skip
SIZES = st.dictionaries(st.sampled_from(sorted(WHOLE["limits"])), VALUES, max_size=2)
CHANGES = st.lists(st.builds(lambda limits: {"at": "", "by": "", "limits": limits}, SIZES | VALUES), max_size=2)


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(REQUESTS | VALUES, CHANGES | VALUES)
def test_what_a_supervisor_takes_over_never_spoils_its_record(tmp_path: Path, request_: Any, changes: Any) -> None:  # noqa: ANN401
    """Whatever the request and the new limits contain, the record with the accepted parts is valid."""
    for name, value in (("cancel", request_), ("limits", changes)):
        (tmp_path / name).write_bytes(json.dumps(value).encode("utf-8", "surrogatepass"))
    recorder = Recorder(str(tmp_path / f"{GOOD}.json"), record(GOOD))
    taken, changed = requests.read_cancel(str(tmp_path / "cancel")), requests.read_changes(str(tmp_path / "limits"))
    if taken is not None:
        recorder.update(cancel=taken)
        assert 0 <= requests.grace_of(taken, 10.0) <= 10.0
    if changed is not None:
        recorder.update(limit_changes=changed)
    assert recorder.write()
    read_record(tmp_path / f"{GOOD}.json")


def test_a_real_request_is_taken_over(tmp_path: Path) -> None:
    """The supervisor accepts what `cancel` and `limit` write, so the test above is meaningful."""
    store = Store(tmp_path)
    request = CancelRequest(requested="2026-01-01T00:00:00+00:00", by="me (pid 1)", grace=3.5)
    store.write_cancel(GOOD, request)
    taken = requests.read_cancel(str(store.cancel_path(GOOD)))
    assert taken is not None
    assert msgspec.convert(taken, CancelRequest) == request
    change = LimitChange(at="now", by="me", limits=Limits(mem_max=2**33, cpu_quota=150.0))
    files.write_atomically(str(store.limits_path(GOOD)), msgspec.json.encode([change]))
    assert requests.read_changes(str(store.limits_path(GOOD))) == msgspec.to_builtins([change])


@pytest.mark.parametrize(
    "text", [b"[" * 200_000, b'{"requested": "", "by": "", "steps": [], "grace": NaN}', b"\xff", b"{"]
)
def test_a_request_that_is_no_json_is_none(tmp_path: Path, text: bytes) -> None:
    """Deep nesting, NaN and bytes that are not text end neither the supervisor nor a reader."""
    (tmp_path / f"{GOOD}.cancel").write_bytes(text)
    assert requests.read_cancel(str(tmp_path / f"{GOOD}.cancel")) is None
    assert requests.read_changes(str(tmp_path / f"{GOOD}.cancel")) is None
    assert Store(tmp_path).read_cancel(GOOD) is None
