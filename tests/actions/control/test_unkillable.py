"""Cancel of jobs that cannot be ended, or not easily: it finishes in time and says what is left."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.needs import needing
from tests.support import REPOSITORY, Gravscope, ManagedGravscope, alive, state_of, until

HUNG_DISK = REPOSITORY / "tests" / "hung_disk.py"
GRACE = 0.3
# Seconds that a slow machine may take beyond the two that a cancel needs; earlier versions took four more.
SLACK = 3.0
DEAF = "trap '' TERM; echo ready; while :; do sleep 0.1; done"


class HungDisk:
    """A folder that never answers; `unplug` ends all processes that wait for it."""

    def __init__(self, folder: Path, before: tuple[str, ...] = ()) -> None:
        self.folder = folder
        command = [*before, sys.executable, "-I", "-S", str(HUNG_DISK), str(folder)]
        self.server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.hear("ready")

    def hear(self, word: str) -> None:
        """Waits until the server prints that word."""
        assert self.server.stdout is not None
        assert self.server.stdout.readline() == f"{word}\n"

    def unplug(self) -> None:
        """Every waiting process gets an error."""
        self.server.kill()
        self.server.wait()


@pytest.fixture
@needing("mount")
def plug() -> Iterator[Callable[..., HungDisk]]:
    """Makes folders that hang, and removes them after the test."""
    made: list[tuple[HungDisk, tuple[str, ...]]] = []

    def make(folder: Path, before: tuple[str, ...] = ()) -> HungDisk:
        folder.mkdir()
        made.append((HungDisk(folder, before), before))
        return made[-1][0]

    yield make
    for disk, before in made:
        disk.unplug()
        disk.server.stdout.close()  # type: ignore[union-attr]
        subprocess.run([*before, "umount", "-l", str(disk.folder)], check=True)


def steps(record: dict[str, Any]) -> list[str]:
    """The steps that were taken."""
    return [step["step"] for step in record["cancel"]["steps"]]


def cancelled(tool: Gravscope, job: str, *words: str) -> tuple[subprocess.CompletedProcess[str], float]:
    """Runs `gravscope cancel`; returns its result and the seconds from its first step on."""
    known = len(request(tool, job)["steps"])
    done = tool("cancel", job, *words)
    path = tool.jobs_dir / f"{job}.cancel"
    # The time of its last write or of the job's end; the interpreter's own start and end are not counted.
    ended = path.stat().st_mtime if path.exists() else moment(tool.record(job)["ended"])
    return done, ended - moment(request(tool, job)["steps"][known]["at"])


def moment(text: str) -> float:
    """A time in a record, in seconds since 1970."""
    return datetime.fromisoformat(text).timestamp()


def request(tool: Gravscope, job: str) -> dict[str, Any]:
    """The request to end a job: beside its record, or in the record once the job has ended."""
    path = tool.jobs_dir / f"{job}.cancel"
    found = json.loads(path.read_text()) if path.exists() else tool.record(job)["cancel"]
    return found or {"steps": []}


def test_uninterruptible_sleep(gravscope: Gravscope, plug: Callable[..., HungDisk]) -> None:
    """A process that waits for a hung disk survives SIGKILL: this is reported within two seconds after the grace
    period, and the record stays running. Once the disk answers, the process ends and the job is cancelled."""
    disk = plug(gravscope.folder / "disk")
    job = gravscope.start("-n", "x", "--", "cat", str(disk.folder / "file"))
    pid = gravscope.record(job)["pid"]
    disk.hear("asked")
    done, took = cancelled(gravscope, job, "--grace", f"{GRACE}s")
    assert state_of(pid) == "D"
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{job}: still there after SIGKILL: {pid} (state D)" in done.stderr
    assert took < GRACE + 2 + SLACK
    assert gravscope.record(job)["state"] == "running"
    disk.unplug()
    record = gravscope.ended(job)
    # The first signal that was to end it; the kernel keeps it (get_signal() in kernel/signal.c).
    assert (record["state"], record["signal"]) == ("cancelled", signal.SIGTERM)
    expected = ["SIGTERM to the process group", "SIGKILL to the process group", "SIGKILL to every process"]
    assert steps(record) == expected
    assert all(step["error"] for step in record["cancel"]["steps"])
    until(lambda: [path.name for path in gravscope.jobs_dir.iterdir()] == [f"{job}.json"], "nothing left beside it")


def test_uninterruptible_sleep_in_a_scope(managed: ManagedGravscope, plug: Callable[..., HungDisk]) -> None:
    """The same in a scope, where the stop job itself would wait much longer."""
    before = tuple(word for word in managed.manager.prefix[:2] if word)
    disk = plug(managed.folder / "disk", (*before, "--") if before else ())
    job = managed.start("-n", "x", "--grace", f"{GRACE}s", "--", "cat", str(disk.folder / "file"))
    pid = managed.record(job)["pid"]
    disk.hear("asked")
    done, took = cancelled(managed, job)
    assert state_of(pid) == "D"
    assert done.returncode == 1
    assert f"{job}: still there after SIGKILL: {pid} (state D)" in done.stderr
    assert took < GRACE + 2 + SLACK
    assert managed.record(job)["state"] == "running"
    disk.unplug()
    record = managed.ended(job)
    assert (record["state"], record["signal"]) == ("cancelled", signal.SIGTERM)
    assert steps(record)[0] == "systemctl stop"


def frozen(folder: Path) -> None:
    """Freezes a cgroup."""
    (folder / "cgroup.freeze").write_text("1")
    until(lambda: "frozen 1" in (folder / "cgroup.events").read_text(), "it is frozen")


@pytest.mark.parametrize("supervised", [True, False], ids=["supervised", "unsupervised"])
@pytest.mark.parametrize("what", ["job", "scope"])
def test_frozen(managed: ManagedGravscope, what: str, supervised: bool) -> None:
    """A frozen job, and a frozen scope with its supervisor, is thawed and ends by SIGTERM, also without supervisor."""
    job = managed.start("-n", "x", "--", "sleep", "1000")
    record = managed.record(job)
    scope = managed.manager.cgroup_of(record["unit"])
    if not supervised:
        os.kill(record["supervisor_pid"], signal.SIGKILL)
        until(lambda: not alive(record["supervisor_pid"]), "the end of the supervisor")
    frozen(scope / "job" if what == "job" else scope)
    done, _ = cancelled(managed, job)
    assert done.stdout == f"{job}: cancelled by thaw, then systemctl stop\n", done.stderr
    record = managed.record(job)
    assert (record["state"], record["signal"]) == ("cancelled", signal.SIGTERM if supervised else None)
    assert not alive(record["pid"])


def test_a_deaf_job_without_its_supervisor(managed: ManagedGravscope) -> None:
    """A job that ignores SIGTERM, in a scope without a supervisor: gravscope keeps the grace period, not systemd."""
    job = managed.start("-n", "x", "--", "bash", "-c", DEAF)
    assert managed("wait", job, "--ready", "ready").returncode == 0
    record = managed.record(job)
    os.kill(record["supervisor_pid"], signal.SIGKILL)
    until(lambda: not alive(record["supervisor_pid"]), "the end of the supervisor")
    done, took = cancelled(managed, job, "--grace", f"{GRACE}s")
    assert done.returncode == 0, done.stderr
    assert took < GRACE + 2 + SLACK
    record = managed.record(job)
    assert (record["state"], record["exit_code"], record["signal"]) == ("cancelled", None, None)
    assert steps(record) == ["systemctl stop", "SIGKILL to the process group"]


def test_a_stopped_supervisor(gravscope: Gravscope) -> None:
    """A stopped supervisor is continued, as only it can write how the job ended."""
    job = gravscope.start("-n", "x", "--", "sleep", "1000")
    supervisor = gravscope.record(job)["supervisor_pid"]
    os.kill(supervisor, signal.SIGSTOP)
    until(lambda: state_of(supervisor) == "T", "it stands still")
    assert gravscope("cancel", job).stdout == f"{job}: cancelled by SIGTERM to the process group\n"
    assert gravscope.record(job)["signal"] == signal.SIGTERM


def test_stopped_and_deaf(gravscope: Gravscope) -> None:
    """A job that is stopped and ignores SIGTERM ends by SIGKILL."""
    job = gravscope.start("-n", "x", "--", "bash", "-c", DEAF)
    assert gravscope("wait", job, "--ready", "ready").returncode == 0
    pid = gravscope.record(job)["pid"]
    os.kill(pid, signal.SIGSTOP)
    until(lambda: state_of(pid) == "T", "it stands still")
    done, took = cancelled(gravscope, job, "--grace", f"{GRACE}s")
    assert re.fullmatch(rf"{job}: cancelled by SIGTERM .*, then SIGKILL to the process group\n", done.stdout)
    assert took < GRACE + 2 + SLACK
