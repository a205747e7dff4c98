"""Cancel at the same time as other events: one outcome, which is true, and no process left."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gravscope.actions.control.cancel import cancel
from gravscope.actions.look.settle import settled
from gravscope.records.store import Store
from tests.support import REPOSITORY, Gravscope, ManagedGravscope, alive, until

# The number of cancels against natural ends; the environment may set another number.
ROUNDS = int(os.environ.get("GRAVSCOPE_RACES", "1000"))
IN_SCOPES, SAVES = 60, 10
RACE = "tests.actions.control.race"
# The possible results by the kind of job (tests/actions/control/race.py): state, exit code and signal.
POSSIBLE: dict[str, set[tuple[str, int | None, int | None]]] = {
    "plain": {("succeeded", 0, None), ("cancelled", None, signal.SIGTERM)},
    # If SIGTERM comes after the shell has read its line and before it exits, the job was cancelled and exits with 0.
    "trap": {("succeeded", 0, None), ("cancelled", 7, None), ("cancelled", 0, None)},
    "saves": {("cancelled", 0, None)},
}
# Processes in their own sessions that fork and end and ignore SIGTERM, but not for ever.
FORKER = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.open(sys.argv[1], os.O_WRONLY)
end = time.monotonic() + 120
print("ready", flush=True)
for _ in range(int(sys.argv[2])):
    if os.fork() == 0:
        break
while time.monotonic() < end:
    if os.fork():
        os._exit(0)
    os.setsid()
    time.sleep(0.002)
"""
DEAF = "trap '' TERM; echo ready; while :; do sleep 0.1; done"


def steps(record: dict[str, Any]) -> list[str]:
    """The steps that were taken."""
    return [step["step"] for step in record["cancel"]["steps"]]


def judge(told: str, folder: Path, kind: str) -> Counter[tuple[str, int | None, int | None]]:
    """Checks every round that a race has printed, and counts the results."""
    rounds = [json.loads(line) for line in told.splitlines()]
    for one in rounds:
        assert one["end"] == one["stored"], "the cancel returned another record than the one on disk"
        assert tuple(one["end"]) in POSSIBLE[kind], one
        path = folder / "jobs" / f"{one['id']}.json"
        assert path.read_text() == one["text"], "a record has changed after its end"
        until(lambda pids=one["pids"]: not any(alive(pid) for pid in pids), "no process left")
    left = {path.name for path in (folder / "jobs").iterdir()}
    assert left == {f"{one['id']}.json" for one in rounds}, "something is left beside a record"
    return Counter(tuple(one["end"]) for one in rounds)


def race(gravscope: Gravscope, launcher: str, kind: str, rounds: int) -> Counter[tuple[str, int | None, int | None]]:
    """Runs the rounds in another process, with its folders in memory if possible, as the disk does not matter here."""
    place = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="gravscope-race-", dir=place if place.is_dir() else None))
    try:
        return judge(rounds_in(gravscope, folder, launcher, kind, rounds), folder, kind)
    finally:
        Gravscope(folder).clean_up()
        shutil.rmtree(folder)


def rounds_in(gravscope: Gravscope, folder: Path, launcher: str, kind: str, rounds: int) -> str:
    """The output of the race."""
    command = [sys.executable, "-m", RACE, str(folder), launcher, kind, str(rounds), "1"]
    if isinstance(gravscope, ManagedGravscope):
        os.chown(folder, gravscope.manager.uid, -1)
        done = gravscope.manager.run(command, env=gravscope.environ, timeout=600)
    else:
        environ = gravscope.environ
        done = subprocess.run(command, env=environ, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_cancel_against_natural_end(gravscope: Gravscope) -> None:
    """In a thousand rounds: a job that ended by itself with 0 succeeded, one that was ended is cancelled, and no record
    changes afterwards."""
    parts = [("plain", ROUNDS // 3), ("plain", ROUNDS // 3 + 1), ("trap", ROUNDS - 2 * (ROUNDS // 3) - 1)]
    with ThreadPoolExecutor(len(parts)) as pool:
        ends = list(pool.map(lambda part: race(gravscope, "session", *part), parts))
    assert sum(sum(part.values()) for part in ends) == ROUNDS
    for part in ends:
        assert part["succeeded", 0, None] >= ROUNDS // 50, "the cancel always came first: that was no race"
        assert part["cancelled", None, signal.SIGTERM] + part["cancelled", 7, None] >= ROUNDS // 50, "it never did"


def test_cancel_against_natural_end_in_scopes(managed: ManagedGravscope) -> None:
    """The same in scopes, where systemd sends the signal a little after the request."""
    with ThreadPoolExecutor(2) as pool:
        plain, trap = pool.map(lambda kind: race(managed, "scope", kind, IN_SCOPES // 2), ("plain", "trap"))
    assert sum(plain.values()) + sum(trap.values()) == IN_SCOPES


def test_a_job_that_saves_and_exits_0_is_cancelled(managed: ManagedGravscope) -> None:
    """In a scope, a command that exits with 0 on SIGTERM at once is never recorded as succeeded."""
    assert race(managed, "scope", "saves", SAVES) == {("cancelled", 0, None): SAVES}


def is_closed(reader: int) -> bool:
    """True once no process has the FIFO open for writing (fifo(7))."""
    try:
        return os.read(reader, 1) == b""
    except BlockingIOError:
        return False


@pytest.mark.slow
@pytest.mark.parametrize("supervised", [True, False], ids=["supervised", "unsupervised"])
def test_fork_bomb(gravscope: Gravscope, supervised: bool) -> None:
    """Chains of processes that fork and end faster than one can look are ended to the last process. Without a
    supervisor, which would hold them together, this makes a fork bomb."""
    outrun(gravscope, 8 if supervised else 1, supervised=supervised)


@pytest.mark.parametrize("supervised", [True, False], ids=["supervised", "unsupervised"])
def test_fork_bomb_in_a_scope(managed: ManagedGravscope, supervised: bool) -> None:
    """The same in a scope."""
    outrun(managed, 8, supervised=supervised)


def outrun(tool: Gravscope, chains: int, *, supervised: bool) -> None:
    """Cancels a fork bomb. All its processes have a FIFO open for writing, so its reader sees the last end."""
    fifo = tool.folder / "fifo"
    os.mkfifo(fifo)
    os.chown(fifo, tool.folder.stat().st_uid, -1)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        job = tool.start("-n", "bomb", "--grace", "0.2s", "--", sys.executable, "-c", FORKER, str(fifo), str(chains))
        assert tool("wait", job, "--ready", "ready").returncode == 0
        record = tool.record(job)
        if not supervised:
            os.kill(record["supervisor_pid"], signal.SIGKILL)
            until(lambda: not alive(record["supervisor_pid"]), "the end of the supervisor")
            shown = json.loads(tool("status", "--json").stdout)[0]
            assert shown["state"] == "running", "whoever looks sees that it goes on"
        assert not is_closed(reader)
        done = tool("cancel", job)
        assert done.returncode == 0, done.stderr
        until(lambda: is_closed(reader), "the end of the last process")
        assert tool.record(job)["state"] == "cancelled"
    finally:
        os.close(reader)


def test_twenty_cancels_and_twenty_looks(gravscope: Gravscope) -> None:
    """For a job that ignores SIGTERM, all at once: one cancel takes the steps, once, and no reader sees two ends."""
    job = gravscope.start("-n", "deaf", "--grace", "0.3s", "--", "bash", "-c", DEAF)
    assert gravscope("wait", job, "--ready", "ready").returncode == 0
    store = Store(gravscope.jobs_dir)
    over = threading.Event()
    seen: set[str] = set()

    def look() -> None:
        last = False
        while not last:
            last = over.is_set()  # read before looking: one look comes after the end, however late
            record = settled(store, store.read(job))
            if not record.live:
                seen.add(store.record_path(job).read_text())
            time.sleep(0.01)

    with ThreadPoolExecutor(40) as pool:
        looks = [pool.submit(look) for _ in range(20)]
        cancels = [pool.submit(cancel, store, job, gravscope.environ) for _ in range(20)]
        ends = {one.result().record.state for one in cancels}
        over.set()
    assert all(one.exception() is None for one in looks)
    assert ends == {"cancelled"}
    assert seen == {store.record_path(job).read_text()}
    assert steps(gravscope.record(job)) == ["SIGTERM to the process group", "SIGKILL to the process group"]
    assert [path.name for path in gravscope.jobs_dir.iterdir()] == [f"{job}.json"]


def test_cancel_before_there_is_a_supervisor(gravscope: Gravscope, tmp_path: Path) -> None:
    """A cancel while the launcher is still at work waits for it, and then the command is never exec'd."""
    go, mark = tmp_path / "go", tmp_path / "ran"
    tools = tmp_path / "tools"
    tools.mkdir()
    real = subprocess.run(["which", "setsid"], capture_output=True, text=True, check=True).stdout.strip()
    (tools / "setsid").write_text(f'#!/bin/sh\nuntil [ -e {go} ]; do sleep 0.02; done\nexec {real} "$@"\n')
    (tools / "setsid").chmod(0o755)
    environ = {**gravscope.environ, "PATH": f"{tools}:{gravscope.environ['PATH']}"}
    command = [*gravscope.command, "run", "-n", "x", "--launcher", "session", "--", "touch", str(mark)]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        until(lambda: list(gravscope.jobs_dir.glob("*.json")), "the record")
        cancelling = subprocess.Popen([*gravscope.command, "cancel", "x"], env=gravscope.environ)
        until(lambda: list(gravscope.jobs_dir.glob("*.cancel")), "the request")
        go.touch()
        assert cancelling.wait() == 0
        assert running.wait() != 0
    (record,) = gravscope.records()
    assert (record["state"], record["pid"], record["exit_code"]) == ("cancelled", None, None)
    assert record["reason"] == "cancelled before its command was started"
    assert not mark.exists()
    assert [path.name for path in gravscope.jobs_dir.iterdir()] == [f"{record['id']}.json"]


@pytest.fixture
def halting(tmp_path: Path) -> Callable[[str, str], dict[str, str]]:
    """An environment whose supervisor waits for a file before one of its lines."""

    def copy(line: str, file: str) -> dict[str, str]:
        site = tmp_path / "site"
        site.mkdir()
        subprocess.run(["cp", "-r", str(REPOSITORY / "gravscope"), str(site / "gravscope")], check=True)
        main = site / "gravscope" / "supervisor" / "main.py"
        text = main.read_text()
        assert text.count(line) == 1
        wait = f"while not os.path.exists({file!r}):\n            time.sleep(0.01)\n"
        main.write_text(text.replace(line, f"        {wait}{line}"))
        return {"PYTHONPATH": str(site)}

    return copy


def test_cancel_between_pid_and_exec(
    gravscope: Gravscope, tmp_path: Path, halting: Callable[[str, str], dict[str, str]]
) -> None:
    """A cancel between the pid in the record and the exec ends the command right after its exec."""
    go = tmp_path / "go"
    environ = {**gravscope.environ, **halting("        child.execute()\n", str(go))}
    command = [*gravscope.command, "run", "-n", "x", "--launcher", "session", "--", "sleep", "1000"]
    # `-m` looks for the package in its working directory before it looks in PYTHONPATH.
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as running:
        until(lambda: any(record["pid"] for record in gravscope.records()), "the pid in the record")
        (supervisor,) = (record["supervisor_pid"] for record in gravscope.records())
        assert str(tmp_path / "site") in Path(f"/proc/{supervisor}/cmdline").read_text()
        cancelling = subprocess.Popen([*gravscope.command, "cancel", "x"], env=gravscope.environ)
        until(lambda: list(gravscope.jobs_dir.glob("*.cancel")), "the request")
        go.touch()
        assert (running.wait(), cancelling.wait()) == (0, 0)
    (record,) = gravscope.records()
    assert (record["state"], record["signal"]) == ("cancelled", signal.SIGTERM)
    assert not alive(record["pid"])


# A job that continues after SIGTERM, on which it runs a command, and then ends by itself.
GOES_ON = "trap '{}' TERM; echo ready; until [ -e {} ]; do sleep 0.02; done"


def interrupted(gravscope: Gravscope, job: str, number: signal.Signals) -> None:
    """A cancel that is interrupted or killed after it has sent SIGTERM."""
    cancelling = subprocess.Popen([*gravscope.command, "cancel", job, "--grace", "1000s"], env=gravscope.environ)
    request = gravscope.jobs_dir / f"{job}.cancel"
    until(lambda: request.exists() and json.loads(request.read_text())["reached"] is not None, "the request")
    until(lambda: json.loads(request.read_text())["steps"], "a step")
    until(lambda: json.loads(request.read_text())["acting"] is None, "its signal to be sent")
    cancelling.send_signal(number)
    cancelling.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_cancel_that_was_given_up_and_ignored(gravscope: Gravscope, number: signal.Signals) -> None:
    """A job that ignores SIGTERM and ends by itself after its cancel was interrupted was not cancelled."""
    go = gravscope.folder / "go"
    job = gravscope.start("-n", "x", "--", "bash", "-c", GOES_ON.format("", go))
    assert gravscope("wait", job, "--ready", "ready").returncode == 0
    interrupted(gravscope, job, number)
    go.touch()
    record = gravscope.ended(job)
    assert (record["state"], record["exit_code"]) == ("succeeded", 0)
    assert record["reason"] == "exit status 0; a request to end it came too late, or was ignored"
    assert steps(record) == ["SIGTERM to the process group"]
    until(lambda: [path.name for path in gravscope.jobs_dir.iterdir()] == [f"{job}.json"], "nothing left beside it")


def test_a_cancel_that_was_given_up_and_heeded(gravscope: Gravscope) -> None:
    """A job that caught SIGTERM and ends with 0 later was cancelled: it may not have done all its work."""
    go = gravscope.folder / "go"
    job = gravscope.start("-n", "x", "--", "bash", "-c", GOES_ON.format("echo heard", go))
    assert gravscope("wait", job, "--ready", "ready").returncode == 0
    interrupted(gravscope, job, signal.SIGINT)
    assert gravscope("wait", job, "--ready", "heard").returncode == 0
    go.touch()
    record = gravscope.ended(job)
    assert (record["state"], record["exit_code"]) == ("cancelled", 0)


def test_a_second_cancel_goes_on_from_the_first(gravscope: Gravscope) -> None:
    """After an interrupted cancel, a second one with a shorter grace period ends the job; the record has both."""
    job = gravscope.start("-n", "x", "--", "bash", "-c", DEAF)
    assert gravscope("wait", job, "--ready", "ready").returncode == 0
    interrupted(gravscope, job, signal.SIGINT)
    assert gravscope("cancel", job, "--grace", "0.1s").returncode == 0
    record = gravscope.record(job)
    assert (record["state"], record["signal"], record["cancel"]["grace"]) == ("cancelled", signal.SIGKILL, 0.1)
    assert steps(record) == ["SIGTERM to the process group"] * 2 + ["SIGKILL to the process group"]
