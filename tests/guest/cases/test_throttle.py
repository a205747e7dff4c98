"""A job at MemoryHigh is seen to crawl; a live job's limits change in the kernel; a paused one is frozen."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import until

from .helpers import CGROUPS, MIB, PYTHON, GuestGravscope, properties

# takes a page at a time, far beyond the limit, so that it is slowed down and not stopped
CRAWL = f"exec {PYTHON} -c 'x = []; [x.append(bytearray(1 << 16)) for _ in range(4000)]; print(1, flush=True)'"
COUNT = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done"


def cgroup_of(unit: str) -> Path:
    """The folder of a unit's cgroup."""
    return CGROUPS / properties(unit, "ControlGroup")["ControlGroup"].lstrip("/")


def test_throttling_is_seen_and_can_be_ended(guest: GuestGravscope) -> None:
    """Over --mem-high without swap a job is throttled within two samples; show says why and what to type."""
    job = guest.start("-n", "crawls", "--mem-high", "24M", "--swap-max", "0", "-c", "--", CRAWL)
    unit = guest.record(job)["unit"]
    events = cgroup_of(unit) / "memory.events"
    until(lambda: "high 0" not in events.read_text().splitlines(), "the first time that it is slowed down")
    until(lambda: guest.record(job)["throttled"], "two samples", patience=10)
    assert " throttled " in guest("status").stdout
    shown = guest("show", job).stdout
    assert "throttled: it is at its memory limit" in shown
    assert f"gravscope limit {job} --mem-high 36M" in shown
    assert guest("limit", job, "--mem-high", "400M").returncode == 0
    until(lambda: not guest.record(job)["throttled"], "that it goes on")
    assert guest.record(job)["effective"]["mem_high"] == 400 * MIB
    assert guest("cancel", job).returncode == 0
    assert guest.record(job)["throttled"] is False


def test_limits_of_a_live_job(guest: GuestGravscope) -> None:
    """limit changes what the kernel holds; below current use it wants --force, and then the kernel kills."""
    script = f"exec {PYTHON} -c 'x = bytearray(30 << 20); print(1, flush=True); import time; time.sleep(1000)'"
    job = guest.start("-n", "live", "--mem-max", "60M", "-c", "--", script)
    assert guest("wait", job, "--ready", "1").returncode == 0
    folder = cgroup_of(guest.record(job)["unit"])
    assert guest("limit", job, "--mem-max", "80M", "--tasks-max", "30").returncode == 0
    assert [(folder / name).read_text().strip() for name in ("memory.max", "pids.max")] == [str(80 * MIB), "30"]
    refused = guest("limit", job, "--mem-max", "20M")
    assert (refused.returncode, len(refused.stderr.splitlines())) == (4, 1)
    assert (folder / "memory.max").read_text().strip() == str(80 * MIB)
    assert guest("limit", job, "--mem-max", "20M", "--force").returncode == 0
    record = guest.ended(job)
    assert record["state"] == "oom-killed"
    assert "at the job's own memory limit of 20M" in record["reason"]
    assert [change["limits"]["mem_max"] for change in record["limit_changes"]] == [80 * MIB, 20 * MIB]


def test_pause_freezes_the_job_and_not_its_supervisor(guest: GuestGravscope) -> None:
    """pause freezes job/ alone and is recorded by the living supervisor; resume lets it go on."""
    job = guest.start("-n", "count", "-c", "--", COUNT)
    folder = cgroup_of(guest.record(job)["unit"])
    assert guest("pause", job).returncode == 0
    assert "frozen 1" in (folder / "job" / "cgroup.events").read_text().splitlines()
    assert "frozen 0" in (folder / "supervisor" / "cgroup.events").read_text().splitlines()
    written = guest.log(job)
    with pytest.raises(AssertionError):
        until(lambda: guest.log(job) != written, "more lines, which must not come", patience=1)
    assert guest("resume", job).returncode == 0
    until(lambda: guest.log(job) != written, "more lines")
    assert guest("cancel", job).returncode == 0


def test_cancel_of_a_paused_job_thaws_first(guest: GuestGravscope) -> None:
    """A frozen job acts on no SIGTERM: it is thawed, and ends well before the grace period."""
    job = guest.start("-n", "count", "--grace", "50s", "-c", "--", COUNT)
    assert guest("pause", job).returncode == 0
    assert guest("cancel", job).returncode == 0
    record = guest.record(job)
    assert [step["step"] for step in record["cancel"]["steps"]] == ["thaw", "systemctl stop"]
    assert (record["state"], record["signal"], record["duration"] < 50) == ("cancelled", 15, True)
