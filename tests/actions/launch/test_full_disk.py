"""Trap 49: a disk that takes nothing more, before a job and while it runs: the job goes on, and the truth is told."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import pytest

from gravscope.actions.control.cancel import Escalation
from gravscope.actions.look.settle import settled
from gravscope.actions.look.status import UNWRITTEN
from gravscope.linux import files, proc
from gravscope.records.model import JobRecord
from gravscope.records.outcome import TERM_GROUP
from gravscope.records.parts import Reach
from gravscope.records.store import Store
from tests.disks import PAGE, fill, fill_names, free, quota_disk, read_only, small_disk
from tests.support import REPOSITORY, Gravscope, alive, until

SIZE = f"size={64 * PAGE}"
NO_SPACE, OVER_QUOTA, READ_ONLY = (
    "No space left on device", "Disk quota exceeded", "Read-only file system",
)  # fmt: skip


def names_in(folder: Path) -> set[str]:
    """Every name in the folder but those that the test put there, hidden ones too."""
    return {path.name for path in folder.iterdir()} - {"filler", "names"} if folder.exists() else set()


def processes_of(mark: Path) -> list[str]:
    """Every process that has this path in its environment or command line."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            try:
                text = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            except OSError:
                continue
            if str(mark).encode() in text:
                found.append(process.name)
    return found


def refused(gravscope: Gravscope, why: str, hint: str) -> None:
    """`run` says why in one line, and leaves neither file nor process; the command was never run."""
    mark = gravscope.folder / "ran"
    done = gravscope("run", "-n", "x", "--launcher", "session", "--", "touch", str(mark))
    assert (done.returncode, done.stdout) == (6, "")
    assert len(done.stderr.splitlines()) == 1
    assert why in done.stderr
    assert hint in done.stderr
    assert (names_in(gravscope.jobs_dir), names_in(gravscope.log_dir)) == (set(), set())
    until(lambda: not processes_of(mark), "the end of every process of that launch")
    assert not mark.exists()


@contextmanager
def over(disk: AbstractContextManager[Path], gravscope: Gravscope) -> Iterator[Path]:
    """A disk under the records; what was started is ended before it is gone, and the records with it."""
    with disk as folder:
        try:
            yield folder
        finally:
            gravscope.clean_up()


@contextmanager
def full(folder: Path, take: Callable[[Path], None], *options: str) -> Iterator[Path]:
    """A small disk that is full already."""
    with small_disk(folder, *options):
        take(folder)
        yield folder


@pytest.mark.needs("mount")
def test_no_room_for_a_record(gravscope: Gravscope) -> None:
    """A full disk under the records: nothing is started, and nothing half-written is left."""
    with full(gravscope.jobs_dir, fill, SIZE):
        refused(gravscope, NO_SPACE, "make room, or set GRAVSCOPE_JOBS_DIR")
        free(gravscope.jobs_dir)
        assert gravscope.ended(gravscope.start("-n", "x", "--", "true"))["state"] == "succeeded"


@pytest.mark.needs("mount")
def test_no_room_for_a_name(gravscope: Gravscope) -> None:
    """A disk with bytes to spare and no inode left: the same, for records and for logs."""
    with full(gravscope.jobs_dir, fill_names, SIZE, "nr_inodes=16"):
        refused(gravscope, NO_SPACE, "make room, or set GRAVSCOPE_JOBS_DIR")
    with full(gravscope.log_dir, fill_names, SIZE, "nr_inodes=16"):
        refused(gravscope, NO_SPACE, "set GRAVSCOPE_LOG_DIR elsewhere")


@pytest.mark.needs("mount")
def test_no_room_for_the_pid(gravscope: Gravscope) -> None:
    """Room for the first record, and none for the one with the pid: nothing runs that no record names."""
    with small_disk(gravscope.jobs_dir, f"size={PAGE}"):
        refused(gravscope, NO_SPACE, "nothing was started; make room")


@pytest.mark.needs("mount")
def test_no_room_for_output(gravscope: Gravscope) -> None:
    """A full disk under the logs is the job's own affair: it starts, and what it makes of that is recorded."""
    with full(gravscope.log_dir, fill, SIZE):
        assert gravscope.ended(gravscope.start("-n", "silent", "--", "true"))["state"] == "succeeded"
        loud = gravscope.ended(gravscope.start("-n", "loud", "--", "echo", "x"))
        assert (loud["state"], loud["exit_code"]) == ("failed", 1)


@pytest.mark.needs("mount", "btrfs", "mkfs.btrfs")
def test_a_quota_that_is_used_up(gravscope: Gravscope) -> None:
    """A real quota, before and while a job runs: as a full disk, in the kernel's own words."""
    with over(quota_disk(gravscope.jobs_dir, "512K"), gravscope) as folder:
        fill(folder)
        refused(gravscope, OVER_QUOTA, "make room, or set GRAVSCOPE_JOBS_DIR")
        free(folder)
        subprocess.run(["sync", "-f", str(folder)], check=True)  # what was freed counts once it is on disk
        stays_true_while_full(gravscope, lambda: fill(folder), lambda: free(folder))


def start_waiting(gravscope: Gravscope, code: int) -> tuple[str, Path]:
    """A job that ends with `code` once the file is there."""
    go = gravscope.folder / f"go{code}"
    script = f"until [ -e {go} ]; do sleep 0.02; done; exit {code}"
    return gravscope.start("-n", "waiting", "--", "bash", "-c", script), go


def stays_true_while_full(gravscope: Gravscope, take: Callable[[], None], give: Callable[[], None]) -> None:
    """A job runs on over a disk that takes nothing, status tells what can be known, and its end is recorded later."""
    job, go = start_waiting(gravscope, 3)
    began = gravscope.record(job)
    take()
    shown = json.loads(gravscope("status", job, "--json").stdout)[0]
    assert (shown["state"], shown["warnings"]) == ("running", [])
    assert alive(began["pid"])
    go.touch()
    until(lambda: not alive(began["pid"]), "the end of the command")
    assert gravscope.record(job) == began  # whole, and as old as it was
    done = gravscope("status", job)
    assert (done.returncode, UNWRITTEN in done.stderr, len(done.stderr.splitlines())) == (0, True, 1)
    assert gravscope("wait", job, "--timeout", "0").returncode == 124
    assert alive(began["supervisor_pid"])
    give()
    record = gravscope.ended(job)
    assert (record["state"], record["exit_code"], record["warnings"]) == ("failed", 3, [])
    assert gravscope("wait", job).returncode == 3
    until(lambda: not alive(began["supervisor_pid"]), "the end of the supervisor")
    assert names_in(gravscope.jobs_dir) == {f"{job}.json"}


@pytest.mark.needs("mount")
def test_full_while_a_job_runs(gravscope: Gravscope) -> None:
    """Filled after the start, freed after the end: the record has the end, and its exit status."""
    with over(small_disk(gravscope.jobs_dir, SIZE), gravscope) as folder:
        stays_true_while_full(gravscope, lambda: fill(folder), lambda: free(folder))


@pytest.mark.needs("mount")
def test_read_only_while_a_job_runs(gravscope: Gravscope) -> None:
    """A disk that turns read-only, as one with errors does: the same."""
    gravscope.jobs_dir.mkdir()
    with ExitStack() as stack:
        stays_true_while_full(gravscope, lambda: stack.enter_context(read_only(gravscope.jobs_dir)), stack.close)


def test_full_just_before_it_ran(tmp_path: Path) -> None:
    """A job whose record could not be brought from `starting` to `running` is told as running once it has been
    exec'd, and not before."""
    ours, store = proc.stat(os.getpid()), Store(tmp_path)
    assert ours is not None
    wait_in_the_fork = "import os, sys\nif not os.fork(): sys.stdin.read(); os._exit(0)\nos.wait()"
    with subprocess.Popen([sys.executable, "-c", wait_in_the_fork], stdin=subprocess.PIPE) as parent:
        (child,) = until(lambda: proc.children(parent.pid), "the child")
        states = []
        for pid in (child, parent.pid):
            found = proc.stat(pid)
            assert found is not None
            facts = {"pid": pid, "pgid": pid, "start_ticks": found.start_ticks, "boot_id": proc.boot_id()}
            facts |= {"supervisor_pid": os.getpid(), "supervisor_start_ticks": ours.start_ticks}
            text = {"name": "a", "cmd": ["x"], "cwd": "/", "log_file": "/x.log", "created": "", "state": "starting"}
            states.append(settled(store, JobRecord(id="a", **text, **facts)).state)  # type: ignore[arg-type]
        parent.communicate()
    assert states == ["starting", "running"]


@pytest.mark.needs("mount")
def test_read_only_folders(gravscope: Gravscope) -> None:
    """Nothing can be started there, and that is one line."""
    gravscope.jobs_dir.mkdir()
    gravscope.log_dir.mkdir()
    with read_only(gravscope.jobs_dir):
        refused(gravscope, READ_ONLY, "set GRAVSCOPE_JOBS_DIR")
    with read_only(gravscope.log_dir):
        refused(gravscope, READ_ONLY, "set GRAVSCOPE_LOG_DIR elsewhere")


@pytest.mark.needs("mount")
def test_a_job_over_a_read_only_disk_can_be_ended(gravscope: Gravscope) -> None:
    """Neither its request nor its end can be written, and it ends all the same; later the record has the end."""
    gravscope.jobs_dir.mkdir()
    job = gravscope.start("-n", "x", "--", "sleep", "1000")
    record = gravscope.record(job)
    with read_only(gravscope.jobs_dir):
        cancel = subprocess.Popen([*gravscope.command, "cancel", job], env=gravscope.environ)
        until(lambda: not alive(record["pid"]), "the end of the job")
        assert gravscope.record(job) == record
    assert cancel.wait() == 0
    assert gravscope.record(job)["state"] == "cancelled"


@pytest.mark.needs("mount")
def test_what_was_lost_is_told_over_a_read_only_disk(gravscope: Gravscope) -> None:
    """A job whose supervisor was killed is told as lost where nothing can be written, with and without its lock."""
    gravscope.jobs_dir.mkdir()
    job = gravscope.start("-n", "x", "--", "sleep", "1000")
    record = gravscope.record(job)
    for pid in (record["supervisor_pid"], record["pid"]):
        os.kill(pid, signal.SIGKILL)
    until(lambda: not alive(record["supervisor_pid"]) and not alive(record["pid"]), "the end of both")
    for path in (None, gravscope.jobs_dir / f"{job}.lock"):
        if path is not None:
            path.unlink()
        with read_only(gravscope.jobs_dir):
            (shown,) = json.loads(gravscope("status", "--json").stdout)
        assert (shown["state"], gravscope.record(job)) == ("lost", record)


@pytest.mark.needs("mount")
def test_cancel_with_room_for_one_request(gravscope: Gravscope) -> None:
    """Where the disk takes the request and nothing after it, the job is cancelled although its step is not on disk."""
    with over(small_disk(gravscope.jobs_dir, SIZE), gravscope) as folder:
        job = gravscope.start("-n", "x", "--", "sleep", "1000")
        record = gravscope.record(job)
        fill(folder)
        os.truncate(folder / "filler", (folder / "filler").stat().st_size - PAGE)
        cancel = subprocess.Popen([*gravscope.command, "cancel", job], env=gravscope.environ, stdout=subprocess.DEVNULL)
        until(lambda: not alive(record["pid"]), "the end of the job")
        assert gravscope.record(job) == record
        free(folder)
        assert cancel.wait() == 0
        record = gravscope.record(job)
        assert (record["state"], record["signal"]) == ("cancelled", signal.SIGTERM)


@pytest.mark.needs("mount")
def test_a_request_that_is_written_too_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there was no room for it before the signal and there is some after that, the supervisor may have looked
    in between, and have known of nobody who asked: it is cancelled all the same."""
    store = Store(tmp_path)
    text = {"id": "x", "name": "x", "cmd": ["x"], "cwd": "/", "log_file": "/x.log", "created": ""}
    store.write(JobRecord(state="killed", signal=signal.SIGTERM, ended="", reason="", **text))  # type: ignore[arg-type]
    escalation = Escalation(store, JobRecord(state="running", **text), {}, None)  # type: ignore[arg-type]

    def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, NO_SPACE)

    with monkeypatch.context() as patch:
        for name in ("write_atomically", "open_as"):
            patch.setattr(files, name, full)
        escalation._begin_step(TERM_GROUP, Reach(1, 0))
    escalation._mark_reached()
    assert escalation.final_record().state == store.read("x").state == "cancelled"


@pytest.mark.needs("mount")
def test_cancel_without_a_name_left(gravscope: Gravscope) -> None:
    """A job that took the last inode of its records' disk can be ended all the same, and once only."""
    with over(small_disk(gravscope.jobs_dir, SIZE, "nr_inodes=16"), gravscope) as folder:
        job = gravscope.start("-n", "x", "--", "sleep", "1000")
        record = gravscope.record(job)
        fill_names(folder)
        cancels = [
            subprocess.Popen([*gravscope.command, "cancel", job], env=gravscope.environ, stdout=-1) for _ in range(2)
        ]
        until(lambda: not alive(record["pid"]), "the end of the job")
        free(folder)
        assert [cancel.wait() for cancel in cancels] == [0, 0]
        record = gravscope.record(job)
        assert (record["state"], record["signal"]) == ("cancelled", signal.SIGTERM)
        for cancel in cancels:
            cancel.communicate()


@pytest.fixture
def impatient(tmp_path: Path) -> dict[str, str]:
    """An environment with a copy of the package whose supervisors wait for room no longer than a moment."""
    site = tmp_path / "site"
    site.mkdir()
    subprocess.run(["cp", "-r", str(REPOSITORY / "gravscope"), str(site)], check=True)
    module = site / "gravscope" / "supervisor" / "finish.py"
    text = module.read_text()
    assert text.count("PATIENCE, INTERVAL = 7 * 86400.0, 1.0") == 1
    module.write_text(text.replace("PATIENCE, INTERVAL = 7 * 86400.0, 1.0", "PATIENCE, INTERVAL = 0.0, 0.01"))
    return {"PYTHONPATH": str(site)}


@pytest.mark.needs("mount")
def test_never_any_room(gravscope: Gravscope, impatient: dict[str, str]) -> None:
    """A supervisor that gave up leaves a whole record of a job that ran; each look says `lost`, and the request to
    cancel it, which the next look is to know of, stays until that is on disk."""
    with over(small_disk(gravscope.jobs_dir, SIZE), gravscope) as folder:
        job = gravscope.start("-n", "x", "--", "sleep", "1000", env=impatient)
        began = gravscope.record(job)
        request = folder / f"{job}.cancel"
        request.write_text('{"requested": "", "by": "me", "steps": []}')
        fill(folder)
        os.kill(began["pid"], signal.SIGTERM)
        until(lambda: not alive(began["supervisor_pid"]), "a supervisor that gives up")
        for _ in range(2):
            done = gravscope("status", "--json")
            assert [(item["state"], item["exit_code"]) for item in json.loads(done.stdout)] == [("lost", None)]
        assert names_in(folder) == {f"{job}.json", f"{job}.lock", f"{job}.cancel"}
        assert gravscope.record(job) == began
        free(folder)
        assert gravscope("status").returncode == 0
        record = gravscope.record(job)
        assert (record["state"], record["exit_code"], record["cancel"]["by"]) == ("lost", None, "me")
        assert names_in(folder) == {f"{job}.json"}
