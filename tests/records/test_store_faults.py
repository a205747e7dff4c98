"""Folders of records in a bad state: a bad record gives one line, and all others are listed, however many there are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gravscope.actions.launch import exposed_folders
from gravscope.actions.look.status import RECENT, Standing, status
from gravscope.base.errors import StoreError
from gravscope.cli.messages import note
from gravscope.linux import files
from gravscope.records.folder import make_private_folder
from gravscope.records.store import Store
from tests.disks import small_disk
from tests.inside import Inside, inside
from tests.records.test_store_hostile import BAD, GOOD, put, record
from tests.support import REPOSITORY, Gravscope, until

__all__ = ["inside"]
# As many records as some years of nightly jobs leave.
MANY = 20_000
STRANGER = 64123


# a record cut at every byte


def test_a_record_cut_at_every_byte(inside: Inside) -> None:
    """Wherever a crash has cut it: status lists all others and prints one line for it, and so does every command."""
    put(inside, GOOD, record(GOOD))
    path = put(inside, BAD, record(BAD))
    whole = path.read_bytes()
    for length in reversed(range(len(whole))):
        os.truncate(path, length)
        bad, good = sorted(status(Store(inside.jobs_dir)), key=lambda item: isinstance(item, Standing))
        assert isinstance(bad, StoreError)
        assert isinstance(good, Standing)
        if length % 61:
            continue  # not the command line itself each time, which takes longer
        done = inside("status")
        assert (done.status, GOOD in done.out, BAD in done.out) == (0, True, False)
        assert done.complaint.startswith(f"gravscope: {path}: not a record: ")
        assert done.complaint.endswith("; move it out of the folder to be rid of this line")
        for verb in ("show", "wait", "logs", "cancel", "pause"):
            refused = inside(verb, BAD)
            assert (refused.status, refused.out, refused.complaint) == (6, "", done.complaint)
    assert sorted(os.listdir(inside.jobs_dir)) == [f"{BAD}.json", f"{GOOD}.json"]
    watched = inside("status", "--watch", GOOD, BAD)
    assert (watched.status, watched.out) == (6, f"{GOOD}: cancelled\n")
    assert watched.complaint.startswith(f"gravscope: {path}: not a record: ")
    put(inside, BAD, whole)
    assert inside("status").err == ""


def test_a_job_of_the_same_name_runs_beside_a_cut_record(gravscope: Gravscope) -> None:
    """A bad record only keeps its id: a job with the same name and second gets another id."""
    store = Store(gravscope.jobs_dir)
    make_private_folder(store.jobs_dir)
    for job_id in ("x_20260101_120000", "x_20260101_120000_2"):
        store.record_path(job_id).write_text('{"schema": 1, "id": "x_2026')
    reservation = store.reserve("x", "20260101_120000")
    assert reservation.job_id == "x_20260101_120000_3"
    os.close(reservation.lock_fd)
    store.release(reservation.job_id)
    assert gravscope.ended(gravscope.start("-n", "x", "--unique", "--", "true"))["state"] == "succeeded"
    assert store.record_path("x_20260101_120000").read_text() == '{"schema": 1, "id": "x_2026'


# many records


@pytest.mark.slow
def test_twenty_thousand_records(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    """status opens only the live jobs and the last few; all are listed on request, bad ones included; and a job is
    found by its name."""
    text = json.dumps(record("JOB", boot_id="another", started="TIME", created="TIME"))
    times = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number) for number in range(MANY)]
    ids = [f"job{number % 7}_{moment:%Y%m%d_%H%M%S}" for number, moment in enumerate(times)]
    for job_id, moment in zip(ids, times, strict=True):
        (inside.jobs_dir / f"{job_id}.json").write_text(text.replace("JOB", job_id).replace("TIME", moment.isoformat()))
    put(inside, ids[5], '{"schema": 1, "id"')
    live = record(ids[0], state="starting", supervisor_pid=None)
    put(inside, ids[0], live)
    held = os.open(inside.jobs_dir / f"{ids[0]}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    assert files.try_lock(held)
    opened: list[str] = []
    real = files.read_whole

    def noting(path: str, *, anyone: bool = False) -> bytes:
        opened.append(path)
        return real(path, anyone=anyone)

    monkeypatch.setattr(files, "read_whole", noting)
    newest = ids[::-1]
    shown = [item["id"] for item in json.loads(inside("status", "--json").out)]
    assert shown == [ids[0], *newest[: RECENT - 1]]
    assert len(opened) <= RECENT + 5
    opened.clear()
    assert json.loads(inside("show", ids[7], "--json").out)["id"] == ids[7]
    named = next(job_id for job_id in newest if job_id.startswith("job3_"))
    assert json.loads(inside("show", "job3", "--json").out)["id"] == named
    assert len(opened) < MANY / 10
    everything = inside("status", "-a")
    assert everything.out.count("\n") == 1 + MANY - 1
    assert ids[5] in everything.complaint
    os.close(held)


# whose folders


def told(folder: Path) -> list[str]:
    """The warnings that `run` would print."""
    return list(exposed_folders.warnings([folder, folder]))


def test_a_folder_that_others_can_write_to_is_told(tmp_path: Path) -> None:
    """One line for a folder from which others could remove files; none with the sticky bit or if it is ours."""
    tmp_path.chmod(0o777)
    assert told(tmp_path) == [
        f"others can take this job's files out of {tmp_path}; to stop that, type: chmod go-w {tmp_path}"
    ]
    for mode in (0o700, 0o755, 0o1777, 0o1775):
        tmp_path.chmod(mode)
        assert told(tmp_path) == []
    assert told(tmp_path / "gone") == []


@pytest.mark.needs("root")
def test_whose_folder_it_is(tmp_path: Path) -> None:
    """The user's own group may have write permission; other groups may not, and the folder must be the user's."""
    tmp_path.chmod(0o770)
    assert told(tmp_path) == []
    os.chown(tmp_path, 0, STRANGER)
    assert len(told(tmp_path)) == 1
    os.chown(tmp_path, STRANGER, 0)
    tmp_path.chmod(0o700)
    (line,) = told(tmp_path)
    assert f"belongs to user {STRANGER}" in line


def test_run_tells_it_in_one_line(gravscope: Gravscope) -> None:
    """The line is printed and recorded, and the job runs."""
    gravscope.jobs_dir.mkdir()
    gravscope.jobs_dir.chmod(0o777)
    done = gravscope("run", "-n", "x", "--launcher", "session", "--", "true")
    assert (done.returncode, len(done.stderr.splitlines())) == (0, 1)
    assert f"chmod go-w {gravscope.jobs_dir}" in done.stderr
    assert len(gravscope.ended(done.stdout.strip())["warnings"]) == 1


@contextmanager
def as_somebody() -> Iterator[None]:
    """Runs the block as an ordinary user, for whom permissions count."""
    if os.geteuid() != 0:
        yield
        return
    os.setegid(STRANGER)
    os.seteuid(STRANGER)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def test_without_permission(monkeypatch: pytest.MonkeyPatch) -> None:
    """EACCES anywhere gives one line that says what to do; a record that cannot be opened hides no other."""
    # Another user cannot enter pytest's own folders.
    with tempfile.TemporaryDirectory(prefix="gravscope-") as name:
        folder = Path(name)
        if os.geteuid() == 0:
            os.chown(folder, STRANGER, STRANGER)
        with as_somebody():
            tool = Inside(folder, monkeypatch)
            note("")  # imports now what that user could not import later
            monkeypatch.chdir(folder)  # so that the settings of a checkout that root owns are not read
            put(tool, GOOD, record(GOOD))
            put(tool, BAD, record(BAD)).chmod(0)
            done = tool("status")
            assert (done.status, GOOD in done.out) == (0, True)
            assert done.complaint.startswith(f"gravscope: {tool.jobs_dir / BAD}.json: Permission denied; is it yours?")
            assert tool("show", BAD).status == 6
            for mode in (0o500, 0o400, 0o000):
                for closed in (tool.jobs_dir, tool.log_dir):
                    closed.chmod(mode)
                    refused = tool("run", "--launcher", "session", "-n", "x", "--", "true")
                    assert (refused.status, refused.out) == (6, "")
                    assert "Permission denied; " in refused.complaint
                    closed.chmod(0o700)
                    assert sorted(os.listdir(tool.jobs_dir)) == [f"{BAD}.json", f"{GOOD}.json"]
                    assert os.listdir(tool.log_dir) == []
            tool.jobs_dir.chmod(0o000)
            for words in (("status",), ("show", BAD), ("wait", BAD), ("cancel", BAD), ("logs", BAD)):
                assert (tool(*words).status, len(tool(*words).err.splitlines())) == (6, 1)
            tool.jobs_dir.chmod(0o700)


WRITER = """
import sys
from pathlib import Path
from gravscope.base.errors import StoreError
from gravscope.records.store import Store
store, refused = Store(Path(sys.argv[1])), 0
record = store.read(sys.argv[2])
record.reason = sys.argv[3] * 100_000
print("ready", flush=True)
while not (store.jobs_dir.parent / "stop").exists():
    try:
        store.write(record)
    except StoreError as error:
        assert "No space left on device" in error.message, error
        refused += 1
        (store.jobs_dir.parent / "refused").touch()
print(refused)
"""


@pytest.mark.needs("mount")
def test_two_writers_on_a_disk_that_is_full_every_other_moment(tmp_path: Path) -> None:
    """Trap 49: a reader always finds a complete record of one of the two, and at the end no other file is left."""
    with small_disk(tmp_path / "jobs", "size=240k") as folder:
        store = Store(folder)
        store.record_path(GOOD).write_text(json.dumps(record(GOOD, reason="")))
        argv = [sys.executable, "-c", WRITER, str(folder), GOOD]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "text": True, "env": {"PYTHONPATH": str(REPOSITORY)}}
        writers = [subprocess.Popen([*argv, letter], **pipes) for letter in "ab"]
        seen = set()
        try:
            assert [hear(writer) for writer in writers] == ["ready", "ready"]
            until(lambda: seen.add(str(store.read(GOOD).reason)) or {"a" * 100_000, "b" * 100_000} <= seen, "both")
            until((tmp_path / "refused").exists, "two that write at the same moment")
            for _ in range(300):
                seen.add(str(store.read(GOOD).reason))
            (tmp_path / "stop").touch()
            refused = [int(hear(writer)) for writer in writers]
        finally:
            for writer in writers:
                writer.kill()
                writer.communicate()
        assert sum(refused) > 0
        assert seen <= {"", "a" * 100_000, "b" * 100_000}
        assert os.listdir(folder) == [f"{GOOD}.json"]


def hear(process: subprocess.Popen[str]) -> str:
    """The next line that the process prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()
