"""Settled once: all readers at the same time see, and leave, the same record."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gravscope.linux import proc
from gravscope.records.store import Store
from tests.support import REPOSITORY, Gravscope, until

LOOKERS, JOBS = 20, 5
# Reads every job once it is told to; with a second argument, it stops in the middle, says so and waits.
LOOK = """
import sys
from pathlib import Path
from gravscope.actions.look import settle
from gravscope.records.store import Store
def slow(record):
    print("in the middle", flush=True)
    sys.stdin.readline()
    return []
if len(sys.argv) > 2:
    settle.survivors = slow
store = Store(Path(sys.argv[1]))
records = [store.read(job_id) for job_id in sorted(store.ids())]
print("ready", flush=True)
sys.stdin.readline()
for record in records:
    found = settle.settled(store, record)
    print(found.id, found.state, found.ended, found.reason, sep="|")
"""
# What a crash may leave of a job, by how far it had got.
LEFT = {
    "launch": {"state": "starting", "supervisor_pid": None, "pid": None},
    "supervisor": {"state": "running"},
    "reboot": {"state": "running", "boot_id": "another"},
}


def leave(store: Store, job_id: str, gone: subprocess.Popen[bytes], **facts: Any) -> None:  # noqa: ANN401
    """A record that nobody is in charge of, with the pid of a process that is gone."""
    record = {"id": job_id, "name": "x", "cmd": ["true"], "cwd": "/", "log_file": "/dev/null"}
    record |= {"pid": gone.pid, "pgid": gone.pid, "start_ticks": 1, "supervisor_pid": gone.pid}
    record |= {
        "supervisor_start_ticks": 1,
        "host": socket.gethostname(),
        "boot_id": proc.boot_id(),
        "created": "2026-01-01T00:00:00.000+00:00",
    }
    store.record_path(job_id).write_text(json.dumps({**record, **facts}))
    store.record_path(job_id).chmod(0o600)
    store.lock_path(job_id).touch(0o600)


@pytest.fixture
def gone() -> subprocess.Popen[bytes]:
    """A process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process


@pytest.fixture
def look(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts readers that wait until they are told to go on; they are killed after the test."""
    started: list[subprocess.Popen[str]] = []

    def start(*words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", LOOK, str(tmp_path), *words]
        environ = {"PYTHONPATH": str(REPOSITORY), "PATH": "/nonexistent"}
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, env=environ, stdin=pipe, stdout=pipe, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def said(process: subprocess.Popen[str], word: str) -> bool:
    """Waits for the next line of a reader; True if it is that word."""
    assert process.stdout is not None
    return process.stdout.readline() == f"{word}\n"


def tell(process: subprocess.Popen[str]) -> None:
    """Lets a reader continue."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.mark.slow
def test_twenty_look_at_once(
    tmp_path: Path, gone: subprocess.Popen[bytes], look: Callable[..., subprocess.Popen[str]]
) -> None:
    """Twenty readers at once agree about each abandoned job, to the millisecond, and with the disk."""
    store = Store(tmp_path)
    for number in range(JOBS):
        for kind, facts in LEFT.items():
            leave(store, f"{kind}_20260101_0000{number:02}", gone, **facts)
    lookers = [look() for _ in range(LOOKERS)]
    assert all(said(looker, "ready") for looker in lookers)
    for looker in lookers:
        tell(looker)
    seen = {looker.communicate()[0] for looker in lookers}
    assert len(seen) == 1
    for line in seen.pop().splitlines():
        job_id, state, ended, reason = line.split("|")
        stored = store.read(job_id)
        assert (stored.state, stored.ended, stored.reason) == (state, ended, reason)
        assert state == ("never-started" if job_id.startswith("launch") else "lost")
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json"] * (JOBS * len(LEFT))


@pytest.mark.parametrize("kind", LEFT)
def test_whoever_comes_meanwhile_waits(
    tmp_path: Path, gone: subprocess.Popen[bytes], look: Callable[..., subprocess.Popen[str]], kind: str
) -> None:
    """While one reader is settling a job, another one does not say that it still lives, but waits."""
    leave(Store(tmp_path), f"{kind}_20260101_000000", gone, **LEFT[kind])
    slow, other = look("slowly"), look()
    assert said(slow, "ready")
    assert said(other, "ready")
    tell(slow)
    assert said(slow, "in the middle")
    tell(other)
    until(lambda: is_at_the_lock(other), "the other to wait")
    tell(slow)
    found = slow.communicate()[0]
    assert found == other.communicate()[0]
    assert "|lost|" in found or "|never-started|" in found


def is_at_the_lock(process: subprocess.Popen[str]) -> bool:
    """True for a process that waits for a job's lock, or has ended."""
    try:
        names = [os.readlink(f"/proc/{process.pid}/fd/{name}") for name in os.listdir(f"/proc/{process.pid}/fd")]
    except OSError:
        names = []
    return process.poll() is not None or any(name.endswith(".lock") for name in names)


def test_what_was_only_true_of_a_live_job(gravscope: Gravscope) -> None:
    """A paused job that is then lost or cancelled is no longer recorded as paused."""
    job = gravscope.start("-n", "x", "--", "sleep", "1000")
    assert gravscope("pause", job).returncode == 0
    record = gravscope.record(job)
    assert record["paused"] is True
    for name in ("supervisor", "start"):
        pid, ticks = ("supervisor_pid", "supervisor_start_ticks") if name == "supervisor" else ("pid", "start_ticks")
        assert proc.send_signal(record[pid], record[ticks], 9)
    assert gravscope("wait", job).returncode == 1
    record = gravscope.record(job)
    assert (record["state"], record["paused"], record["throttled"]) == ("lost", False, False)
