"""Time: a clock that is set while a job runs, the hour that occurs twice, and jobs of last year."""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gravscope.base.quantity import format_duration
from tests.fake_clock import FakeClock
from tests.support import Gravscope, until

# The rule of Central Europe, so that no time zone database is needed: 03:00 becomes 02:00 on 2026-10-25.
BERLIN = "CET-1CEST,M3.5.0,M10.5.0/3"
CHANGE = datetime(2026, 10, 25, 1, 0, tzinfo=UTC)
HOUR = 3600.0


def moment(text: str) -> datetime:
    """A time in a record; it has a UTC offset."""
    found = datetime.fromisoformat(text)
    assert found.tzinfo is not None
    return found


def shown_age(gravscope: Gravscope, job: str, env: dict[str, str]) -> float | None:
    """TIME of `status` in seconds, if it is shown in seconds."""
    found = re.search(rf" (\d+(?:\.\d)?)s +- +{job}$", gravscope("status", env=env).stdout, re.MULTILINE)
    return float(found[1]) if found else None


@pytest.mark.parametrize("step", [-HOUR, HOUR])
def test_a_clock_that_is_set_in_mid_job(gravscope: Gravscope, clock: FakeClock, step: float) -> None:
    """Set back or forward by an hour: timeout, duration, age and `wait --timeout` use a clock that does not jump. Only
    `ended` shows the wall clock."""
    before = time.monotonic()
    ages = gravscope.start("-n", "ages", "--", "sleep", "1000", env=clock.environ)
    job = gravscope.start("-n", "set", "--timeout", "3s", "--", "sleep", "1000", env=clock.environ)
    clock.step(step)
    # With the wall clock it would be 0.0 for an hour, or an hour at once.
    until(lambda: (shown_age(gravscope, ages, clock.environ) or 0) > 0.3, "an age that grows")
    asked = time.monotonic()
    assert gravscope("wait", ages, "--timeout", "0.2s", env=clock.environ).returncode == 124
    assert time.monotonic() - asked >= 0.2
    record = gravscope.ended(job)
    lasted = time.monotonic() - before
    assert record["state"] == "timed-out"
    assert 3 <= record["duration"] <= lasted
    assert record["outlived"] >= 0
    apart = (moment(record["ended"]) - moment(record["started"])).total_seconds()
    assert abs(apart - step) <= lasted
    assert f" after {format_duration(record['duration'])}" in gravscope("show", job, env=clock.environ).stdout


def test_a_clock_that_is_set_during_a_cancel(gravscope: Gravscope, clock: FakeClock) -> None:
    """The grace period has its real length, and the steps stay in their order."""
    script = "trap '' TERM; echo ready; while :; do sleep 0.1; done"
    job = gravscope.start("-n", "deaf", "--grace", "3s", "--", "bash", "-c", script, env=clock.environ)
    assert gravscope("wait", job, "--ready", "ready", env=clock.environ).returncode == 0
    asked = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        cancelled = pool.submit(gravscope, "cancel", job, env=clock.environ)
        until((gravscope.jobs_dir / f"{job}.cancel").exists, "the request")
        clock.step(-HOUR)
        assert cancelled.result().returncode == 0
    assert time.monotonic() - asked >= 3
    record = gravscope.record(job)
    steps = ["SIGTERM to the process group", "SIGKILL to the process group"]
    assert [step["step"] for step in record["cancel"]["steps"]] == steps
    assert moment(record["ended"]) < moment(record["cancel"]["requested"])
    assert record["duration"] >= 3


def listed(gravscope: Gravscope, env: dict[str, str]) -> list[str]:
    """The ids in the order of `status`."""
    return [line.split()[-1] for line in gravscope("status", env=env).stdout.splitlines()[1:]]


def test_the_hour_that_is_repeated(gravscope: Gravscope, clock: FakeClock) -> None:
    """Jobs of one name in both hours: they have their own ids and logs; the name means the job that was really started
    last, whatever the local time in its id; and `status` uses that order."""
    env = {**clock.environ, "TZ": BERLIN}

    def start(after_the_change: timedelta) -> str:
        clock.stand_at(CHANGE + after_the_change)
        return gravscope.start("-n", "fit", "--", "sleep", "1000", env=env)

    first, second = start(timedelta(minutes=-15)), start(timedelta(minutes=15))
    assert (first, second) == ("fit_20261025_024500", "fit_20261025_021500")
    assert [gravscope.record(job)["created"] for job in (first, second)] == [
        "2026-10-25T02:45:00.000+02:00",
        "2026-10-25T02:15:00.000+01:00",
    ]
    assert listed(gravscope, env) == [second, first]
    assert gravscope("show", "fit", env=env).stdout.startswith(f"{second}: running")
    assert gravscope("cancel", "fit", env=env).stdout.startswith(f"{second}: cancelled")
    assert gravscope.record(first)["state"] == "running"
    third = start(timedelta(minutes=45))
    assert third == "fit_20261025_024500_2"
    assert listed(gravscope, env) == [third, first, second]
    assert json.loads(gravscope("show", "--json", "fit", env=env).stdout)["id"] == third
    jobs = (first, second, third)
    assert len({gravscope.record(job)["log_file"] for job in jobs}) == 3
    assert all(Path(gravscope.record(job)["log_file"]).name == f"{job}.log" for job in jobs)
    assert gravscope("cancel", first, third, env=env).returncode == 0
    assert listed(gravscope, env) == [third, second, first]


def test_an_offset_of_a_day_is_refused(gravscope: Gravscope) -> None:
    """Times of records cannot be written in such a time zone: one line, exit status 2, nothing started."""
    done = gravscope("run", "--", "true", env={"TZ": "ODD24"})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "gravscope: TZ=ODD24 is a day or more off UTC; set it to a time zone, such as Asia/Tokyo\n"
    assert not gravscope.jobs_dir.exists()


def test_an_odd_offset_is_exact(gravscope: Gravscope) -> None:
    """In a custom time zone with seconds, the supervisor's times agree with those of `gravscope run`."""
    job = gravscope.start("-n", "odd", "--", "true", env={"TZ": "ODD1:02:03"})
    record = gravscope.ended(job)
    assert record["created"].endswith("-01:02:03")
    assert moment(record["created"]) <= moment(record["started"]) + timedelta(milliseconds=1)
    assert (moment(record["ended"]) - moment(record["created"])).total_seconds() < 60


def test_a_job_older_than_a_year(gravscope: Gravscope) -> None:
    """A job that has run for 400 days on another machine, and one that ran as long: both are listed with days and shown
    with the year."""
    gravscope.jobs_dir.mkdir()
    # In the offset of its own season, which need not be the current one.
    began = (datetime.now(UTC) - timedelta(days=400, hours=1)).astimezone()
    for name, fields in {
        "going": {"state": "running", "host": "elsewhere", "boot_id": "another"},
        "gone": {"state": "succeeded", "ended": "2025-11-30T12:00:00+09:00", "duration": 400.2 * 86400},
    }.items():
        job = f"{name}_{began:%Y%m%d_%H%M%S}"
        text = {"id": job, "name": name, "created": began.isoformat(), "started": began.isoformat(), **fields}
        path = gravscope.jobs_dir / f"{job}.json"
        path.write_text(json.dumps({"cmd": ["x"], "cwd": "/", "log_file": "/x.log", **text}))
    lines = gravscope("status").stdout.splitlines()[1:]
    assert [line.split()[:2] for line in lines] == [["going", "running"], ["gone", "succeeded"]]
    assert all(" 400d " in line for line in lines)
    assert f"started {began:%Y-%m-%d %H:%M:%S}" in gravscope("show", "gone").stdout
    assert "after 400d" in gravscope("show", "gone").stdout
