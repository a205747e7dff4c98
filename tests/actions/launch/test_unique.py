"""`run --unique`: one of many at the same moment, and nothing that stays locked."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import REPOSITORY, Gravscope, until

# runs a job when told to, and says with what exit status
RACER = """
import os, sys
from pathlib import Path
from gravscope.actions.launch.run import run
from gravscope.base.errors import GravscopeError
from gravscope.records.spec import JobSpec
from gravscope.settings.project import Project
folder, name = Path(sys.argv[1]), sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
try:
    spec = JobSpec(cmd=["sleep", "1000"], name=name, cwd="/", launcher="session", unique=True)
    run(spec, Project(folder / "jobs", folder / "logs"), os.environ)
    print(0)
except GravscopeError as error:
    print(error.exit_code)
"""
# takes the turn and keeps it
HOLDER = """
import sys
from pathlib import Path
from gravscope.actions.launch.unique import alone
with alone(Path(sys.argv[1]) / "jobs", "x"):
    print("in", flush=True)
    sys.stdin.readline()
"""
AT_ONCE, ROUNDS = 10, 2
RUN = ("run", "-n", "x", "--unique", "--launcher", "session", "--")


def start(gravscope: Gravscope, code: str, *words: str) -> subprocess.Popen[str]:
    """Python code as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", code, str(gravscope.folder), *words],
        env={**gravscope.environ, "PYTHONPATH": str(REPOSITORY)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def hear(process: subprocess.Popen[str]) -> str:
    """The next line that it says."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.fixture
def holder(gravscope: Gravscope) -> Iterator[subprocess.Popen[str]]:
    """A process whose turn it is."""
    process = start(gravscope, HOLDER)
    assert hear(process) == "in"
    yield process
    process.kill()
    process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("number", range(ROUNDS))
def test_ten_at_once(gravscope: Gravscope, number: int) -> None:
    """Of ten that ask at the same moment exactly one runs, the others are refused with 4, and no lock is left."""
    racers = [start(gravscope, RACER, f"x{number}") for _ in range(AT_ONCE)]
    assert [hear(racer) for racer in racers] == ["ready"] * AT_ONCE
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("\n")
        racer.stdin.flush()
    statuses = sorted(int(racer.communicate()[0]) for racer in racers)
    assert statuses == [0] + [4] * (AT_ONCE - 1)
    (record,) = gravscope.records()
    assert record["state"] == "running"
    assert sorted(path.suffix for path in gravscope.jobs_dir.iterdir()) == [".json", ".lock"]


def test_whoever_is_slow_is_waited_for(gravscope: Gravscope, holder: subprocess.Popen[str]) -> None:
    """One whose turn it is keeps others of that name waiting until its job can be seen; another name does not wait."""
    other = subprocess.Popen([*gravscope.command, *RUN, "true"], env=gravscope.environ, stdout=subprocess.DEVNULL)
    until(lambda: waits_for_lock(other.pid), "the other to wait")
    assert gravscope("run", "-n", "y", "--unique", "--launcher", "session", "--", "true").returncode == 0
    assert other.poll() is None
    holder.communicate("\n")
    assert other.wait() == 0


def test_a_killed_one_keeps_nobody_from_running(gravscope: Gravscope, holder: subprocess.Popen[str]) -> None:
    """SIGKILL to one whose turn it is: the next one goes on at once, and removes what was left."""
    holder.kill()
    assert gravscope(*RUN, "true").returncode == 0
    assert not (gravscope.jobs_dir / ".x.unique").exists()


def test_a_lock_that_cannot_be_made(gravscope: Gravscope, tmp_path: Path) -> None:
    """A link in its place is not followed, but one line and exit status 6."""
    gravscope.jobs_dir.mkdir(mode=0o700)
    (gravscope.jobs_dir / ".x.unique").symlink_to(tmp_path / "victim")
    done = gravscope(*RUN, "true")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (6, "", 1)
    assert not (tmp_path / "victim").exists()


def waits_for_lock(pid: int) -> bool:
    """True once the kernel lists the process as waiting for a lock (proc_locks(5): `->` marks one who waits)."""
    waiting = [line.split() for line in Path("/proc/locks").read_text().splitlines() if "->" in line]
    return any(str(pid) in words for words in waiting) or not os.path.exists(f"/proc/{pid}")
