"""What becomes of jobs at the last logout: with linger nothing; without, their end, and a record that says so."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import alive, until

from .conftest import Login, OpenSession, user_manager_runs
from .helpers import command

pytestmark = pytest.mark.as_root
# logind waits UserStopDelaySec=1s after the last logout (see `init`); longer than this nothing lives without linger
AFTER_LOGOUT = 4.0


class UsersJobs:
    """`gravscope` typed into a login session, its folders, and the records that it leaves."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.go = folder / "go"
        self.command = shlex.join(command(folder))

    def start(self, session: Login, *words: str) -> str:
        """The id of a job that was started in the session."""
        return session.run(f"{self.command} run {shlex.join(words)} 2>{self.folder}/told").strip()

    def told(self) -> str:
        """What the last `start` had to say about it."""
        return (self.folder / "told").read_text()

    def record(self, job: str) -> dict[str, Any]:
        """The record on disk."""
        found: dict[str, Any] = json.loads((self.folder / "jobs" / f"{job}.json").read_text())
        return found

    def ended(self, job: str) -> dict[str, Any]:
        """The record once the job has ended."""
        until(lambda: self.record(job)["ended"] is not None, f"the end of {job}")
        return self.record(job)

    def until_told(self) -> list[str]:
        """A command that ends well once it is told to by `go`."""
        return ["bash", "-c", f"until [ -e {self.go} ]; do sleep 0.1; done; echo done"]


@pytest.fixture
def jobs(place: Path) -> Iterator[UsersJobs]:
    """Folders that every user may write to; jobs are told to end at last."""
    found = UsersJobs(place)
    yield found
    found.go.touch()


def test_with_linger_the_job_outlives_the_last_logout(login: OpenSession, jobs: UsersJobs) -> None:
    """Alice lingers: her job, in a scope, does not notice that she logs out, and ends well in its own time."""
    with login("alice") as session:
        job = jobs.start(session, "-n", "stays", "--launcher", "scope", "--", *jobs.until_told())
        assert jobs.told() == ""
    time.sleep(AFTER_LOGOUT)
    record = jobs.record(job)
    assert record["state"] == "running"
    assert alive(record["pid"])
    assert alive(record["supervisor_pid"])
    jobs.go.touch()
    record = jobs.ended(job)
    assert (record["state"], record["exit_code"]) == ("succeeded", 0)


@pytest.mark.parametrize("leave", ["log_out", "hang_up"])
def test_without_linger_it_ends_with_the_last_logout(login: OpenSession, jobs: UsersJobs, leave: str) -> None:
    """Bob does not linger: his scope is stopped soon after his last logout, and the record says who ended it and how.

    A first logout, with another login still there, changes nothing.
    """
    with login("bob") as first, login("bob") as last:
        job = jobs.start(first, "-n", "goes", "--launcher", "scope", "--grace", "2s", "--", *jobs.until_told())
        first.log_out()
        time.sleep(AFTER_LOGOUT)
        assert jobs.record(job)["state"] == "running"
        getattr(last, leave)()
        record = jobs.ended(job)
    assert (record["state"], record["exit_code"], record["signal"]) == ("killed", None, 15)
    assert record["cancel"] is None
    assert "its user manager was stopped after the last logout" in record["reason"]
    assert not alive(record["pid"])
    until(lambda: not user_manager_runs("bob"), "bob's user manager is gone")


def test_a_deaf_job_without_linger(login: OpenSession, jobs: UsersJobs) -> None:
    """A job that ignores SIGTERM is ended all the same, after its grace period, and still gets its record."""
    with login("bob") as session:
        words = ("bash", "-c", "trap '' TERM; while :; do sleep 0.1; done")
        job = jobs.start(session, "-n", "deaf", "--launcher", "scope", "--grace", "1s", "--", *words)
    record = jobs.ended(job)
    assert (record["state"], record["signal"]) == ("killed", 9)
    until(lambda: not user_manager_runs("bob"), "bob's user manager is gone")


def test_a_session_job_lives_in_the_login_it_was_started_from(login: OpenSession, jobs: UsersJobs) -> None:
    """A job in a session of its own stays in the login's scope, and outlives the logout where logind does not kill."""
    with login("bob") as session:
        job = jobs.start(session, "-n", "own", "--launcher", "session", "--", *jobs.until_told())
        scope = f"session-{session.session}.scope"
    assert scope in Path(f"/proc/{jobs.record(job)['pid']}/cgroup").read_text()
    time.sleep(AFTER_LOGOUT)
    assert jobs.record(job)["state"] == "running"
    jobs.go.touch()
    assert jobs.ended(job)["state"] == "succeeded"
    until(lambda: not user_manager_runs("bob"), "bob's user manager is gone")


def test_the_machine_goes_down(login: OpenSession, jobs: UsersJobs) -> None:
    """Stopping a lingering user's manager, as a shutdown does, ends her job with a record: killed, by SIGTERM."""
    uid = os.stat("/home/alice").st_uid
    with login("alice") as session:
        job = jobs.start(session, "-n", "down", "--launcher", "scope", "--", *jobs.until_told())
    try:
        subprocess.run(["systemctl", "stop", f"user@{uid}.service"], check=True, timeout=60)
        record = jobs.ended(job)
    finally:
        subprocess.run(["systemctl", "start", f"user@{uid}.service"], check=True, timeout=60)
    assert (record["state"], record["signal"], record["cancel"]) == ("killed", 15, None)
    assert "logout" not in record["reason"]
