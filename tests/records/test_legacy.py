"""Records of the older shell dispatcher: every spelling is read, and their process tells whether they run or are
lost."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gravscope.linux import cgroup, proc
from gravscope.records import legacy
from gravscope.records.fields import LEGACY_SCHEMA
from gravscope.records.legacy import TOLERANCE, convert, is_legacy, parse_started
from gravscope.records.model import JobRecord

PATH = Path("/jobs/fit_20260101_120000.json")
# Every field that it wrote.
FULL: dict[str, Any] = {
    "pid": 99999999,
    "pgid": 99999999,
    "name": "fit",
    "started": "2026-01-01T12:00:00+09:00",
    "log_file": "/logs/fit.log",
    "workdir": "/work",
    "command": "python fit.py --full",
    "env": "OMP_NUM_THREADS=1 X=a=b lonely",
    "unit": "gravscope-fit.scope",
}


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    """A real process that was started just now."""
    code = "print('up', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        yield child
        child.kill()


@pytest.fixture
def began(process: subprocess.Popen[str]) -> float:
    """When the kernel says that it was started, in seconds since 1970."""
    found, boot = proc.stat(process.pid), legacy.boot_time()
    assert found is not None
    assert boot is not None
    return boot + found.start_ticks / proc.TICKS


def spellings(seconds: float) -> dict[str, object]:
    """One time in every format that a shell would use."""
    local = datetime.fromtimestamp(seconds, UTC).astimezone()
    return {
        "date -Is": local.isoformat(timespec="seconds"),
        "UTC": local.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "far away": local.astimezone(timezone(timedelta(hours=9))).isoformat(timespec="milliseconds"),
        "date +%F %T": local.strftime("%Y-%m-%d %H:%M:%S"),
        "stamp": local.strftime("%Y%m%d_%H%M%S"),
        "slashes": local.strftime("%Y/%m/%d %H:%M:%S"),
        "date +%s": str(int(seconds)),
        "a number": int(seconds),
        "with a fraction": seconds,
        "date +%s.%N": f"{seconds:.9f}",
    }


@pytest.mark.parametrize("spelling", sorted(spellings(0)))
def test_a_running_process_is_proven_by_its_start(process: subprocess.Popen[str], began: float, spelling: str) -> None:
    """In each format of the time: if the process is alive and was started then, the record is `running`."""
    record = convert({**FULL, "pid": process.pid, "started": spellings(began)[spelling]}, PATH)
    found = proc.stat(process.pid)
    assert found is not None
    assert (record.state, record.reason, record.pid) == ("running", None, process.pid)
    assert (record.start_ticks, record.boot_id) == (found.start_ticks, proc.boot_id())


@pytest.mark.parametrize("spelling", ["date +%F %T", "stamp", "slashes"])
def test_a_start_in_the_hour_that_is_repeated(
    process: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch, spelling: str
) -> None:
    """Trap 51: a local time that occurs twice may mean either of the two."""
    found = proc.stat(process.pid)
    assert found is not None
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    try:
        for first_or_second in (1792888200.0, 1792891800.0):  # 02:30 on 2026-10-25, in summer and in winter time
            monkeypatch.setattr(legacy, "boot_time", lambda at=first_or_second: at - found.start_ticks / proc.TICKS)
            text = {**FULL, "pid": process.pid, "started": spellings(first_or_second)[spelling]}
            record = convert(text, PATH)
            assert record.state == "running"
            assert datetime.fromisoformat(record.created).timestamp() == first_or_second
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("off", [-86400.0, -2 * TOLERANCE, 2 * TOLERANCE, 86400.0])
def test_another_process_of_the_same_pid_is_not_it(process: subprocess.Popen[str], began: float, off: float) -> None:
    """Trap 41: the same pid with another start time is another process; the record is lost, and says so."""
    record = convert({**FULL, "pid": process.pid, "started": began + off}, PATH)
    assert (record.state, record.start_ticks, record.boot_id) == ("lost", None, None)
    assert record.reason == (
        f"pid {process.pid} is another process now, and the older dispatcher did not record how its own ended"
    )


def test_a_process_that_has_ended_is_lost(process: subprocess.Popen[str], began: float) -> None:
    """A zombie or a process that is gone: how it ended is not known, and never guessed."""
    text = {**FULL, "pid": process.pid, "started": began}
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    records = [convert(text, PATH)]
    process.wait()
    records.append(convert(text, PATH))
    for record in records:
        assert (record.state, record.exit_code, record.signal) == ("lost", None, None)
        assert record.reason == "its process is gone, and the older dispatcher did not record how it ended"


@pytest.mark.parametrize("started", [None, "", "yesterday", {}, [], "2026-13-01", True, "9999-12-31T23:59:59-12:00"])
def test_without_a_start_nothing_is_proven(process: subprocess.Popen[str], started: object) -> None:
    """A pid alone proves nothing: the record is lost even if such a process is alive."""
    text = {**FULL, "pid": process.pid, "started": started}
    assert convert(text, PATH).state == "lost"
    del text["started"]
    record = convert(text, PATH)
    assert (record.state, record.created, record.started) == ("lost", "", None)
    assert record.reason is not None
    assert record.reason.startswith("the older dispatcher's record has no start time")


def test_every_field_is_taken_over() -> None:
    """Its fields become ours: a text is a shell command, K=V words become variables, a unit means a scope."""
    assert convert(FULL, PATH) == JobRecord(  # noqa: S604 (a field of that name)
        schema=LEGACY_SCHEMA,
        id="fit_20260101_120000",
        name="fit",
        state="lost",
        cmd=["python fit.py --full"],
        shell=True,
        cwd="/work",
        env={"OMP_NUM_THREADS": "1", "X": "a=b"},
        launcher="scope",
        unit="gravscope-fit.scope",
        pid=99999999,
        pgid=99999999,
        log_file="/logs/fit.log",
        created=datetime.fromisoformat("2026-01-01T12:00:00+09:00").astimezone().isoformat(),
        started=datetime.fromisoformat("2026-01-01T12:00:00+09:00").astimezone().isoformat(),
        reason="its process is gone, and the older dispatcher did not record how it ended",
    )


def test_other_spellings_of_the_fields() -> None:
    """A list is a command without a shell, an object is an environment, no unit means a session."""
    text = {"pid": "99999999", "command": ["python", "fit.py", 3], "env": {"A": 1}, "unit": "", "pgid": "none"}
    record = convert(text, PATH)
    assert (record.cmd, record.shell, record.env) == (["python", "fit.py", "3"], False, {"A": "1"})
    assert (record.launcher, record.unit, record.pid, record.pgid) == ("session", None, 99999999, None)
    assert (record.name, record.cwd, record.log_file) == ("fit_20260101_120000", "", "")


@pytest.mark.parametrize("pid", [None, 0, 1, -5, "", "x", "-5", "²", "٣", "9" * 5000, 10**30, True, 1.5, [], {}])
def test_a_pid_that_is_none_is_nobody(pid: object) -> None:
    """Pid 0, pid 1 and anything that is not a pid are never taken for the job's process."""
    record = convert({**FULL, "pid": pid, "pgid": pid, "started": time.time()}, PATH)
    assert (record.state, record.pid, record.pgid) == ("lost", None, None)


@pytest.mark.parametrize(
    ("text", "older_one"),
    [(FULL, True), ({"pid": 1, "command": None}, True), ({"schema": 1, "pid": 1, "command": "x"}, False),
     ({"pid": 1}, False), ({"command": "x"}, False), ([], False), (None, False), ("pid command", False)],
)  # fmt: skip
def test_which_records_are_the_older_ones(text: object, older_one: bool) -> None:
    """A record is one if it has a pid and a command, and no schema."""
    assert is_legacy(text) is older_one


@pytest.mark.parametrize("text", ["0001-01-01", "00010101_000000", "9999-12-31 23:59:59", "9999-12-31T23:59:59-12:00"])
def test_times_at_the_ends_of_the_calendar(text: str) -> None:
    """A time that cannot be converted to local time counts as no time, and never raises an exception."""
    found = parse_started(text)
    assert found is None or found.tzinfo is not None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)


@given(st.fixed_dictionaries({"pid": JSON, "command": JSON}, optional=dict.fromkeys([*list(FULL)[1:6], "env"], JSON)))
def test_whatever_stands_in_it_it_can_be_read(text: dict[str, Any]) -> None:
    """No value of any field makes reading fail; only a proven process makes the record `running`."""
    assert convert(text, PATH).state in ("lost", "running")


def test_a_unit_that_its_process_is_not_in_is_not_its_own(process: subprocess.Popen[str], began: float) -> None:
    """To cancel a job stops its unit. So a unit is accepted only if the job's process is in it."""
    text = {**FULL, "pid": process.pid, "started": began}
    folder = cgroup.folder_of(process.pid)
    for unit in ("dbus.service", "gravscope-other.scope", "/", "../x"):
        record = convert({**text, "unit": unit}, PATH)
        assert (record.state, record.unit, record.launcher) == ("running", None, "session")
    if folder is not None and (own := Path(folder).name):
        assert convert({**text, "unit": own}, PATH).unit == own
