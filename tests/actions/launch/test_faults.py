"""Faults and odd callers: what a launch survives, and that no job ever runs which a record does not name."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import REPOSITORY, Gravscope, ManagedGravscope, alive, until


def test_two_folders_one_id(gravscope: Gravscope, tmp_path: Path) -> None:
    """Jobs of the same name and second in two folders are two jobs: cancelling one leaves the other alone."""
    other = Gravscope(tmp_path / "other")
    other.folder.mkdir()
    job = gravscope.start("-n", "same", "--", "sleep", "1000")
    twin = other.start("-n", "same", "--", "sleep", "1000")
    for tool, old in ((other, twin),):
        _rename(tool, old, job)
    assert gravscope("cancel", job).returncode == 0
    record = other.record(job)
    try:
        assert alive(record["pid"])
    finally:
        os.kill(record["pid"], signal.SIGKILL)


def _rename(tool: Gravscope, old: str, new: str) -> None:
    """Gives a job the id that it might as well have got."""
    text = (tool.jobs_dir / f"{old}.json").read_text()
    (tool.jobs_dir / f"{new}.json").write_text(text.replace(old, new))


def test_a_unit_name_that_is_taken(managed: ManagedGravscope) -> None:
    """Where the manager knows a unit of that name already, the job gets another one, and runs."""
    folder = managed.manager.new_folder("stub")
    stub = Path(folder) / "systemd-run"
    flag = Path(folder) / "second"
    stub.write_text(
        f'#!/bin/sh\n[ -e {flag} ] && exec /usr/bin/systemd-run "$@"\n: >{flag}\n'
        "echo 'Failed to start transient scope unit: Unit x.scope was already loaded' >&2\nexit 1\n"
    )
    stub.chmod(0o755)
    done = managed("run", "-n", "x", "--", "true", env={"PATH": f"{folder}:{managed.manager.path}"})
    assert (done.returncode, done.stderr) == (0, "")
    record = managed.ended(done.stdout.strip())
    assert (record["state"], record["launcher"]) == ("succeeded", "scope")
    assert record["unit"] != f"gravscope-{record['id']}.scope"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams(gravscope: Gravscope, closed: str) -> None:
    """A caller that closed standard input, output or error gets a job with a supervisor in charge of it."""
    line = f"{sys.executable} -m gravscope run -n x --launcher session -- sleep 1000 {closed}"
    assert subprocess.run(["bash", "-c", line], env=gravscope.environ, capture_output=True, check=False).returncode == 0
    (shown,) = json.loads(gravscope("status", "--json").stdout)
    assert (shown["state"], shown["warnings"]) == ("running", [])


@pytest.fixture
def dying(tmp_path: Path) -> Path:
    """A copy of the package, for a supervisor that is to die somewhere."""
    subprocess.run(["cp", "-r", str(REPOSITORY / "gravscope"), str(tmp_path / "copy")], check=True)
    (tmp_path / "site").mkdir()
    (tmp_path / "copy").rename(tmp_path / "site" / "gravscope")
    return tmp_path / "site"


DEATHS = {
    "before the fork": ("    child = Child(", "    os.kill(os.getpid(), 9)\n    child = Child("),
    "after the fork": (
        "    recorder.update(pid=child.pid",
        "    os.kill(os.getpid(), 9)\n    recorder.update(pid=child.pid",
    ),
    "before exec": ("        child.execute()", "        os.kill(os.getpid(), 9)\n        child.execute()"),
    "after exec": (
        '    recorder.update(state="running"',
        '    os.kill(os.getpid(), 9)\n    recorder.update(state="running"',
    ),
    "before the answer": ("    _answer(request, {})", "    os.kill(os.getpid(), 9)\n    _answer(request, {})"),
}


@pytest.mark.parametrize("moment", DEATHS)
def test_no_orphan_whenever_the_supervisor_dies(gravscope: Gravscope, dying: Path, moment: str) -> None:
    """Killed at any step, the supervisor leaves a job that never runs, or that runs, is shown so and can be ended."""
    main = dying / "gravscope" / "supervisor" / "main.py"
    before, after = DEATHS[moment]
    text = main.read_text()
    assert text.count(before) == 1
    main.write_text(text.replace(before, after))
    mark = gravscope.folder / "ran"
    command = ("bash", "-c", f"touch {mark}; exec sleep 1000")
    gravscope("run", "-n", "x", "--launcher", "session", "--", *command, env={"PYTHONPATH": str(dying)})
    (record,) = json.loads(gravscope("status", "--json").stdout)
    if moment in ("after exec", "before the answer"):
        assert record["state"] == "running"
        assert "its supervisor is gone" in record["warnings"][0]
        assert gravscope("cancel", record["id"]).returncode == 0
        assert not alive(record["pid"])
        assert gravscope.record(record["id"])["state"] == "cancelled"
    else:
        assert record["state"] in ("never-started", "lost")
        assert not mark.exists()
        assert record["pid"] is None or not alive(record["pid"])
    assert gravscope.ended(gravscope.start("-n", "x", "--", "true"))["state"] == "succeeded"


def test_signals_meant_for_the_job(gravscope: Gravscope) -> None:
    """Signals that reach the supervisor as well, as those of `systemctl kill` do, do not end it."""
    job = gravscope.start("-n", "x", "--", "sleep", "1000")
    supervisor = gravscope.record(job)["supervisor_pid"]
    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT, signal.SIGALRM, signal.SIGHUP, signal.SIGRTMIN):
        os.kill(supervisor, number)
    assert gravscope("cancel", job).returncode == 0
    assert gravscope.record(job)["signal"] == signal.SIGTERM


def test_a_very_long_command(gravscope: Gravscope) -> None:
    """Half a megabyte of arguments start a job; a single one beyond what the kernel takes is one clear line."""
    words = ["x" * 120_000] * 5
    job = gravscope.start("-n", "long", "--", "bash", "-c", 'echo $# "${#1}"', "x", *words)
    gravscope.ended(job)
    assert gravscope.log(job) == "5 120000\n"


def test_a_job_inside_a_job(gravscope: Gravscope) -> None:
    """A job that another job started is not part of it: cancelling the outer one leaves the inner one alone."""
    inner = f"{sys.executable} -m gravscope run -n inner --launcher session -- sleep 1000"
    outer = gravscope.start("-n", "outer", "--", "bash", "-c", f"{inner}; exec sleep 1000")
    until(lambda: [r for r in gravscope.records() if r["name"] == "inner" and r["state"] == "running"], "the inner job")
    assert gravscope("cancel", outer).returncode == 0
    (record,) = [record for record in gravscope.records() if record["name"] == "inner"]
    assert alive(record["pid"])
    assert alive(record["supervisor_pid"])
    assert gravscope("cancel", "inner").stdout == f"{record['id']}: cancelled by SIGTERM to the process group\n"


@pytest.mark.needs("mount")
def test_a_full_disk(gravscope: Gravscope, tmp_path: Path) -> None:
    """A job that filled the disk of its own records can be cancelled, and its record says so once there is room."""
    folder = tmp_path / "full"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], check=True)
    try:
        env = {"GRAVSCOPE_JOBS_DIR": str(folder)}
        script = f"head -c 1M /dev/zero >{folder}/big; echo full; exec sleep 1000"
        job = gravscope.start("-n", "filler", "--", "bash", "-c", script, env=env)
        assert gravscope("wait", job, "--ready", "full", env=env).returncode == 0
        record = json.loads((folder / f"{job}.json").read_text())
        cancelling = subprocess.Popen([*gravscope.command, "cancel", job], env={**gravscope.environ, **env})
        until(lambda: not alive(record["pid"]), "the end of the job")
        (folder / "big").unlink()
        assert cancelling.wait() == 0
        record = json.loads((folder / f"{job}.json").read_text())
        assert (record["state"], record["signal"]) == ("cancelled", signal.SIGTERM)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_folder_that_is_gone(gravscope: Gravscope) -> None:
    """In a working directory that was deleted, every command is one clear line."""
    line = f"cd $(mktemp -d) && rmdir $PWD && {sys.executable} -m gravscope status"
    done = subprocess.run(["bash", "-c", line], env=gravscope.environ, capture_output=True, text=True, check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "working directory is gone" in done.stderr
