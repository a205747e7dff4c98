"""SIGKILL at every step of a job's life, in sessions and in scopes: no wrong status, no orphan, no lost record."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.crash import launch
from tests.crash.launch import Process
from tests.crash.matrix import plain
from tests.crash.truth import Facts, wrong_end
from tests.needs import need
from tests.private_manager.manager import UserManager
from tests.support import REPOSITORY

ENDED = {"exit_code": None, "signal": None, "reason": "", "ended": "2026-01-01T00:00:00+00:00"}


def matrix(*words: str) -> list[dict[str, Any]]:
    """What `make crash-matrix` finds, a dict for each hit."""
    need("gcc")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("GRAV", "CRASH"))}
    argv = [sys.executable, "-m", "tests.crash", "--json", *words]
    done = subprocess.run(argv, cwd=REPOSITORY, env=environ, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode in (0, 1), done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def wrong(verdicts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that were not as they should be."""
    return [verdict for verdict in verdicts if verdict["wrong"] or verdict["orphans"]]


def steps_hit(verdicts: list[dict[str, Any]]) -> set[tuple[str, str]]:
    """Role and name of every step at which something was really killed."""
    return {(verdict["hit"]["role"], verdict["hit"]["what"]) for verdict in verdicts if verdict["killed"]}


@pytest.mark.slow
@pytest.mark.needs("gcc")
def test_every_step_of_a_session() -> None:
    """Each step of run, launcher, supervisor, child, command, cancel and settling is hit, and some random moments."""
    verdicts = matrix("--random", "60")
    assert not wrong(verdicts)
    renames = {("cli", "before rename ID.json"), ("supervisor", "before rename ID.json")}
    others = {("supervisor", "before fork"), ("setsid", "before setsid"), ("command", "before open done")}
    others.add(("cli", "before posix_spawn setsid"))
    assert renames | others <= steps_hit(verdicts)


@pytest.mark.slow
@pytest.mark.needs("gcc")
def test_steps_of_a_scope(user_manager: UserManager) -> None:
    """The same beside a real user manager, every third step, as its user."""
    assert user_manager.uid
    verdicts = matrix("--launcher", "scope", "--every", "3", "--random", "30")
    assert not wrong(verdicts)
    assert {role for role, _what in steps_hit(verdicts)} >= {"cli", "systemd-run", "supervisor"}


@contextmanager
def killed_at_last(argv: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process that does not outlive the block."""
    with subprocess.Popen(argv) as process:
        try:
            yield process
        finally:
            process.kill()


def test_who_was_killed_is_found_out_at_last(tmp_path: Path) -> None:
    """A process that has become another since it was found dies as what it is now, and one that is gone not at all."""
    command = tmp_path / "crashpoint-command"
    command.symlink_to("/bin/sleep")
    with killed_at_last([str(command), "1000"]) as process:
        found = Process(process.pid, "child")
        assert found.kill() == "command"
        assert process.wait() == -signal.SIGKILL
    assert found.kill() is None


def test_who_is_let_go_on_is_stopped_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel lets a stopped process go on when its group becomes an orphan: it is killed all the same."""
    really, continued = launch.state_of, []

    def orphaned_once(pid: int) -> str:
        if really(pid) == "T" and not continued:
            continued.append(pid)
            os.kill(pid, signal.SIGCONT)
        return really(pid)

    monkeypatch.setattr(launch, "state_of", orphaned_once)
    with killed_at_last(["sleep", "1000"]) as process:
        assert Process(process.pid, "command").kill() == "other"
        assert continued == [process.pid]


@pytest.mark.parametrize(
    ("facts", "record", "is_wrong"),
    [
        (Facts("cli", False, True, True), ENDED | {"state": "failed", "exit_code": 3}, False),
        (Facts("cli", False, True, True), ENDED | {"state": "failed", "exit_code": 0}, True),
        (Facts("cli", False, True, True), ENDED | {"state": "succeeded", "exit_code": 0}, True),
        (Facts("cli", False, True, True), ENDED | {"state": "lost"}, True),
        (Facts("supervisor", False, True, True), ENDED | {"state": "lost"}, False),
        (Facts("supervisor", False, True, True), ENDED | {"state": "lost", "exit_code": 0}, True),
        (Facts("cli", False, True, True), ENDED | {"state": "killed", "signal": 9}, True),
        (Facts("command", False, True, True), ENDED | {"state": "killed", "signal": 9}, False),
        (Facts("command", False, True, True), ENDED | {"state": "killed", "exit_code": 3}, True),
        (Facts("cli", False, True, True), ENDED | {"state": "running", "ended": None}, True),
        (Facts("cli", True, True, True), ENDED | {"state": "cancelled", "exit_code": 3}, True),
        (Facts("cli", True, True, False), ENDED | {"state": "cancelled"}, False),
        (Facts("cli", False, False, False), None, False),
        (Facts("cli", False, True, False), None, True),
        (Facts("child", False, False, False), ENDED | {"state": "never-started"}, False),
    ],
)
def test_what_counts_as_wrong(facts: Facts, record: dict[str, Any] | None, is_wrong: bool) -> None:
    """A status is judged by what is known from outside: an end that was made up, or is still to come, is wrong."""
    assert (wrong_end(facts, record) is not None) is is_wrong


def test_steps_have_one_name_in_every_launch() -> None:
    """Folders, ids, pids and descriptors are left out of a step's name."""
    assert plain("rename /tmp/x/jobs/x_20260101_120000.json") == "rename ID.json"
    assert plain("open /tmp/x/jobs/.x_20260101_120000.json.12.tmp") == "open .ID.json.tmp"
    assert plain("write 7") == "write"
