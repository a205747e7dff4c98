"""Who is in charge of a job: locks between real processes."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gravscope.base.errors import StoreError
from gravscope.linux import files
from gravscope.records.model import JobRecord
from gravscope.records.store import Store
from tests.support import REPOSITORY, locked_ids, until

STAMP = "20260101_120000"
RUNNERS, EACH = 8, 12

RESERVE = """
import sys
from pathlib import Path
from gravscope.records.store import Store
store = Store(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
print(*[store.reserve("fit", "20260101_120000").job_id for _ in range(int(sys.argv[2]))], flush=True)
sys.stdin.readline()
"""
CANCELLING = """
import sys
from pathlib import Path
from gravscope.records.store import Store
print("ready", flush=True)
with Store(Path(sys.argv[1])).cancelling("a"):
    print("in", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store whose folder exists."""
    store = Store(tmp_path / "jobs")
    store.jobs_dir.mkdir(mode=0o700)
    return store


@pytest.fixture
def spawn() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts Python code in processes that are killed after the test; they inherit `fds`."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str, *words: str, fds: tuple[int, ...] = ()) -> subprocess.Popen[str]:
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", code, *words],
                env={"PYTHONPATH": str(REPOSITORY)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                pass_fds=fds,
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def hear(process: subprocess.Popen[str]) -> str:
    """The next line that the process prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tell(process: subprocess.Popen[str]) -> None:
    """Lets the process continue."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_no_id_is_given_twice(store: Store, spawn: Callable[..., subprocess.Popen[str]]) -> None:
    """Eight processes that want the same second get different ids without a gap, and each holds its own lock."""
    runners = [spawn(RESERVE, str(store.jobs_dir), str(EACH)) for _ in range(RUNNERS)]
    assert [hear(runner) for runner in runners] == ["ready"] * RUNNERS
    for runner in runners:
        tell(runner)
    ids = [job_id for runner in runners for job_id in hear(runner).split()]
    count = RUNNERS * EACH
    stem = "fit_20260101_120000"
    assert sorted(ids) == sorted([stem] + [f"{stem}_{number}" for number in range(2, count + 1)])
    assert locked_ids(store.jobs_dir) == set(ids)
    assert all(store.in_charge(job_id) for job_id in ids)


def test_a_job_of_nobody_has_nobody_in_charge(store: Store) -> None:
    """Nobody is in charge without a lock file or with a free lock; and looking creates no lock file."""
    assert not store.in_charge("gone")
    assert locked_ids(store.jobs_dir) == set()
    store.lock_path("left").touch()
    assert not store.in_charge("left")


def test_whoever_inherits_the_lock_is_in_charge(store: Store, spawn: Callable[..., subprocess.Popen[str]]) -> None:
    """The lock goes from `run` to the supervisor without a gap, and is free after its end, even by SIGKILL (trap
    32)."""
    reservation = store.reserve("fit", STAMP)
    assert store.in_charge(reservation.job_id)
    child = spawn("print('up', flush=True); input()", fds=(reservation.lock_fd,))
    assert hear(child) == "up"
    os.close(reservation.lock_fd)
    assert store.in_charge(reservation.job_id)
    with store.take_charge(reservation.job_id, patience=0) as ours:
        assert not ours
    child.kill()
    child.wait()
    assert not store.in_charge(reservation.job_id)
    with store.take_charge(reservation.job_id) as ours:
        assert ours


def test_a_child_that_was_not_given_the_lock_does_not_hold_it(
    store: Store, spawn: Callable[..., subprocess.Popen[str]]
) -> None:
    """Only a child that is given the descriptor inherits the lock; a job's own processes never hold it."""
    reservation = store.reserve("fit", STAMP)
    child = spawn("print('up', flush=True); input()")
    assert hear(child) == "up"
    os.close(reservation.lock_fd)
    assert not store.in_charge(reservation.job_id)


@pytest.mark.parametrize("before", [1, 2])
def test_who_settles_is_never_taken_for_who_is_in_charge(
    store: Store, monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    """Also when settling begins between any two checks of a reader. (Once in some hundred runs, twenty `status` at once
    disagreed about a job.)"""
    store.lock_path("a").touch(0o600)
    looks = []
    settling = []

    def look(real: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any) -> Any:  # noqa: ANN401 (whatever the call takes and gives)
            looks.append(real)
            if len(looks) == before:
                settling.append(os.open(store.lock_path("a"), os.O_RDWR))
                real_pwrite(settling[0], b"\n", 0)
                real_flock(settling[0], fcntl.LOCK_EX | fcntl.LOCK_NB)
            return real(*args)

        return wrapped

    real_flock, real_pwrite = fcntl.flock, os.pwrite
    monkeypatch.setattr(fcntl, "flock", look(fcntl.flock))
    monkeypatch.setattr(os, "pread", look(os.pread))
    try:
        assert not store.in_charge("a")
        assert looks
    finally:
        for descriptor in settling:
            os.close(descriptor)


def test_taking_charge_is_for_one_at_a_time(store: Store) -> None:
    """While one settles a job, a second one is refused, and nobody takes the first one for the job's supervisor."""
    with store.take_charge("a") as ours:
        assert ours
        with store.take_charge("a", patience=0) as second:
            assert not second
        assert not store.in_charge("a")
    with store.take_charge("a", patience=0) as ours:
        assert ours
    assert not store.in_charge("a")


def test_looking_keeps_nobody_from_taking_charge(store: Store) -> None:
    """Any number of readers may check at once: none of them takes another for whoever is in charge."""
    store.lock_path("a").touch()
    with store.lock_path("a").open() as somebody_asking:
        assert files.try_lock(somebody_asking.fileno(), shared=True)
        assert not store.in_charge("a")
    with store.take_charge("a", patience=0) as ours:
        assert ours


def test_a_link_in_place_of_a_lock_is_not_followed(store: Store, tmp_path: Path) -> None:
    """Trap 50: a lock that is a link is not locked, and no file is created through it."""
    store.lock_path("a").symlink_to(tmp_path / "victim")
    (store.jobs_dir / ".a.cancelling").symlink_to(tmp_path / "victim")
    assert not store.in_charge("a")
    with store.take_charge("a", patience=0) as ours:
        assert not ours
    with pytest.raises(StoreError), store.cancelling("a"):
        pass
    assert not (tmp_path / "victim").exists()


def test_two_cancels_go_one_after_the_other(store: Store, spawn: Callable[..., subprocess.Popen[str]]) -> None:
    """Trap 37: the second waits until the first has finished or was killed."""
    first = spawn(CANCELLING, str(store.jobs_dir))
    assert (hear(first), hear(first)) == ("ready", "in")
    second = spawn(CANCELLING, str(store.jobs_dir))
    assert hear(second) == "ready"
    until(lambda: waits_for_lock(second.pid), "the second cancel to wait")
    first.kill()
    assert hear(second) == "in"


def waits_for_lock(pid: int) -> bool:
    """True once the kernel lists the process as waiting for a lock (proc_locks(5): `->` marks a waiting process)."""
    waiting = [line.split() for line in Path("/proc/locks").read_text().splitlines() if "->" in line]
    return any(str(pid) in words for words in waiting)


def test_release_leaves_the_record_alone(store: Store) -> None:
    """The files beside the record of an ended job are removed, those of a killed writer as well, and a second call does
    no harm. The record stays, and so do the files of other jobs."""
    others = [".a.b.json.7.tmp", ".a.json.x.tmp", ".aXjson.7.tmp", ".b.json.7.tmp", "a.json", "b.lock"]
    own = ["a.lock", "a.cancel", "a.limits", "a.paused", ".a.cancelling"]
    # Pids of no process: the highest pid is 2**22.
    own += [".a.json.4194307.tmp", ".a.cancel.4194308.tmp"]
    for name in [*own, *others]:
        (store.jobs_dir / name).touch()
    store.release("a")
    store.release("a")
    assert sorted(path.name for path in store.jobs_dir.iterdir()) == others


def test_release_leaves_a_write_in_progress_alone(store: Store) -> None:
    """A file that is being written, such as the end of a cancel or of a notifier, is not removed."""
    beside = store.jobs_dir / f".a.json.{os.getpid()}.tmp"
    beside.touch()
    store.release("a")
    assert beside.exists()


def test_release_keeps_what_a_live_record_needs(store: Store) -> None:
    """While the record on disk says that the job lives, as on a full disk, its lock and requests stay."""
    fields = {"name": "a", "state": "running", "cmd": ["x"], "cwd": "/", "log_file": "/x.log", "created": ""}
    record = JobRecord(id="a", **fields)  # type: ignore[arg-type]
    store.write(record)
    for name in ("a.lock", "a.cancel"):
        (store.jobs_dir / name).touch()
    store.release("a")
    assert sorted(path.name for path in store.jobs_dir.iterdir()) == ["a.cancel", "a.json", "a.lock"]
    record.state = "lost"
    store.write(record)
    store.release("a")
    assert [path.name for path in store.jobs_dir.iterdir()] == ["a.json"]
