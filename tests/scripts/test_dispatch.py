"""The compatibility scripts: dispatch_bg.sh and cancel_job.sh, also with records of the older dispatcher."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from tests.support import REPOSITORY, Gravscope, alive, until

JOBS = REPOSITORY / "scripts" / "jobs"


@pytest.fixture
def environ(gravscope: Gravscope) -> dict[str, str]:
    """An environment in which the scripts find this checkout's gravscope."""
    tool = gravscope.folder / "gravscope"
    tool.write_text(f'#!/bin/sh\nexec {sys.executable} -m gravscope "$@"\n')
    tool.chmod(0o755)
    return {**gravscope.environ, "GRAVSCOPE": str(tool)}


def script(name: str, *words: str, env: dict[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Runs one of the scripts to its end."""
    return subprocess.run(["bash", JOBS / name, *words], env=env, cwd=cwd, capture_output=True, text=True, check=False)


def test_dispatch_and_cancel(gravscope: Gravscope, environ: dict[str, str]) -> None:
    """dispatch prints job, PID, PGID, log, meta, scope as the record has them; cancel -f ends that job."""
    meta = gravscope.folder / "meta" / "m.json"
    words = (
        "-n",
        "fit",
        "--cwd",
        "/",
        "--env",
        "A=1 B=2",
        "--meta",
        str(meta),
        "--",
        'echo "$A$B $PWD" | cat; sleep 1000',
    )
    done = script("dispatch_bg.sh", *words, env=environ, cwd=gravscope.folder)
    assert done.returncode == 0, done.stderr
    told = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    record = json.loads(meta.read_text())
    assert told == {
        "job": record["id"],
        "PID": str(record["pid"]),
        "PGID": str(record["pgid"]),
        "log": record["log_file"],
        "meta": str(meta),
        "scope": "none (setsid + nohup)",
    }
    assert gravscope("wait", "fit", "--ready", "^12 /$").returncode == 0
    cancelled = script("cancel_job.sh", "-f", str(meta), env=environ, cwd=gravscope.folder)
    assert "cancelled by SIGTERM to the process group" in cancelled.stdout
    assert not alive(record["pid"])


def test_cancel_takes_the_newest_of_that_name(gravscope: Gravscope, environ: dict[str, str]) -> None:
    """cancel -n ends the newest job of the name and leaves an earlier one alone."""
    first = gravscope.start("-n", "same", "--", "sleep", "1000")
    second = gravscope.start("-n", "same", "--", "sleep", "1000")
    assert script("cancel_job.sh", "-n", "same", env=environ, cwd=gravscope.folder).returncode == 0
    assert (gravscope.record(first)["state"], gravscope.record(second)["state"]) == ("running", "cancelled")


@pytest.mark.parametrize(
    ("name", "words", "status"),
    [
        ("dispatch_bg.sh", ("--", "true"), 2),
        ("dispatch_bg.sh", ("-n",), 2),
        ("dispatch_bg.sh", ("-n", "x"), 2),
        ("dispatch_bg.sh", ("-n", "x", "--nonsense"), 2),
        ("dispatch_bg.sh", ("-n", "x", "--scope", "--", "true"), 5),
        ("cancel_job.sh", (), 2),
        ("cancel_job.sh", ("-f", "/no/such.json"), 3),
        ("cancel_job.sh", ("-n", "nosuch"), 3),
    ],
)
def test_mistakes_are_one_line(
    gravscope: Gravscope, environ: dict[str, str], name: str, words: tuple[str, ...], status: int
) -> None:
    """A mistake is one line on standard error and the right exit status."""
    done = script(name, *words, env=environ, cwd=gravscope.folder)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (status, "", 1)


def older_record(gravscope: Gravscope, pid: int, started: datetime) -> Path:
    """A record as the older dispatcher wrote it."""
    gravscope.jobs_dir.mkdir(exist_ok=True)
    path = gravscope.jobs_dir / f"old_{started:%Y%m%d_%H%M%S}.json"
    keys = {
        "name": "old",
        "log_file": "/tmp/old.log",
        "workdir": "/",
        "command": "sleep 1000",
        "env": "A=1",
        "unit": "",
    }
    path.write_text(json.dumps({"pid": pid, "pgid": pid, "started": started.isoformat(), **keys}))
    return path


def test_a_running_job_of_the_older_dispatcher(gravscope: Gravscope, environ: dict[str, str]) -> None:
    """status lists it as running, and cancel ends it, once its start time proves that it is that process."""
    process = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    try:
        older_record(gravscope, process.pid, datetime.now().astimezone())
        (shown,) = json.loads(gravscope("status", "--json").stdout)
        assert (shown["name"], shown["state"], shown["cmd"]) == ("old", "running", ["sleep 1000"])
        done = script("cancel_job.sh", "-n", "old", env=environ, cwd=gravscope.folder)
        assert done.returncode == 0, done.stderr
        assert until(process.poll, "its end") == -15
    finally:
        process.kill()
        process.wait()


def test_a_recycled_pid_of_the_older_dispatcher(gravscope: Gravscope, environ: dict[str, str]) -> None:
    """A pid that began at another time than the record says is somebody else's: lost, and not signalled."""
    process = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    try:
        path = older_record(gravscope, process.pid, datetime(2025, 1, 1).astimezone())
        (shown,) = json.loads(gravscope("status", "--json").stdout)
        assert shown["state"] == "lost"
        done = script("cancel_job.sh", "-f", str(path), env=environ, cwd=gravscope.folder)
        assert "had already ended: lost" in done.stdout
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
