"""`gravscope prune`: what ended long ago goes, record and log together, and nothing else ever does."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import subprocess
import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from gravscope.actions.keep.prune import Which, prune
from gravscope.linux import files
from gravscope.records.store import Store
from gravscope.settings.project import Project
from tests.disks import PAGE, fill, small_disk
from tests.others import Other, session
from tests.support import Gravscope, ManagedGravscope, alive, until

DATA = Path(__file__).parents[2] / "data"
ZONES = (UTC, timezone(timedelta(hours=14)), timezone(-timedelta(hours=12)))


def plant(tool: Gravscope, name: str, days: float, **fields: object) -> str:
    """A job that ended so many days ago, as its record says; its files are of this moment."""
    for folder in (tool.jobs_dir, tool.log_dir):
        folder.mkdir(mode=0o700, exist_ok=True)
    ended = datetime.now(fields.pop("zone", UTC)) - timedelta(days=days)  # type: ignore[arg-type]
    job = f"{name}_{ended:%Y%m%d_%H%M%S}"
    log = tool.log_dir / f"{job}.log"
    log.write_text("x" * 1000)
    record: dict[str, Any] = {
        "schema": 1, "id": job, "name": name, "state": "succeeded", "cmd": ["true"], "cwd": "/", "log_file": str(log),
        "created": ended.isoformat(), "started": ended.isoformat(), "ended": ended.isoformat(), **fields,
    }  # fmt: skip
    (tool.jobs_dir / f"{job}.json").write_text(json.dumps(record))
    return job


def left(tool: Gravscope) -> set[str]:
    """Every file in both folders."""
    return {path.name for folder in (tool.jobs_dir, tool.log_dir) for path in folder.iterdir()}


def files_of(*jobs: str) -> set[str]:
    """The files that an ended job has."""
    return {f"{job}.{kind}" for job in jobs for kind in ("json", "log")}


def pruned(tool: Gravscope, *words: str, status: int = 0) -> Any:  # noqa: ANN401
    """What `gravscope prune --json WORDS…` says."""
    done = tool("prune", "--json", *words)
    assert done.returncode == status, done.stderr
    return json.loads(done.stdout)


def test_by_when_it_ended(gravscope: Gravscope) -> None:
    """The record says it, with its offset; neither the files' times nor the local time in an id count."""
    young = [plant(gravscope, f"young{number}", 29.9, zone=zone) for number, zone in enumerate(ZONES)]
    old = [plant(gravscope, f"old{number}", 30.1, zone=zone) for number, zone in enumerate(ZONES)]
    for job in young:
        os.utime(gravscope.jobs_dir / f"{job}.json", (0, 0))
    said = pruned(gravscope, "--older-than", "30d")
    assert sorted(gone["id"] for gone in said["jobs"]) == sorted(old)
    assert left(gravscope) == files_of(*young)


def test_the_newest_of_each_name_are_kept(gravscope: Gravscope) -> None:
    """By when they were started, and however old they are; a live job is neither counted nor touched."""
    a, b = ([plant(gravscope, name, days) for days in (50, 40, 3, 2, 1)] for name in "ab")
    live = gravscope.start("-n", "a", "--", "sleep", "1000")
    pruned(gravscope, "--keep", "3", "--older-than", "45d", "b")
    assert left(gravscope) == files_of(*a, *b[1:], live) | {f"{live}.lock"}
    pruned(gravscope, "--keep", "4", "--older-than", "2d")
    assert left(gravscope) == files_of(*a[1:], *b[1:], live) | {f"{live}.lock"}
    pruned(gravscope, "--keep", "0", "a")
    assert left(gravscope) == files_of(*b[1:], live) | {f"{live}.lock"}
    assert gravscope.record(live)["state"] == "running"


@pytest.mark.slow
def test_nothing_goes_without_being_asked_for(gravscope: Gravscope) -> None:
    """Without a choice, with one that means nothing, or for a name that no job has: one line, and all is there."""
    job = plant(gravscope, "a", 1000)
    for words, status in (((), 2), (("a",), 2), (("--older-than", "infinity"), 2), (("--older-than", "soon"), 2),
                          (("--keep", "-1"), 2), (("--keep", "0", "b"), 3)):  # fmt: skip
        done = gravscope("prune", *words)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (status, "", 1)
    assert "gravscope prune --older-than 30d" in gravscope("prune").stderr
    assert left(gravscope) == files_of(job)


def test_it_says_what_it_freed(gravscope: Gravscope) -> None:
    """A dry run lists each and removes none; both say the bytes of the files that are really gone afterwards."""
    jobs = [plant(gravscope, name, 40) for name in "ab"]
    size = sum((folder / name).stat().st_size for folder in (gravscope.jobs_dir, gravscope.log_dir)
               for name in files_of(*jobs) if (folder / name).exists())  # fmt: skip
    dry = gravscope("prune", "--older-than", "30d", "--dry-run").stdout
    assert all(re.search(rf"^ *1\.\dK  {job}$", dry, re.MULTILINE) for job in jobs)
    assert f"would free {size / 1024:.1f}K ({size} bytes) of 2 jobs\n" in dry
    assert left(gravscope) == files_of(*jobs)
    assert gravscope("prune", "--older-than", "30d").stdout == f"freed {size / 1024:.1f}K ({size} bytes) of 2 jobs\n"
    assert left(gravscope) == set()
    said = pruned(gravscope, "--older-than", "30d")
    assert said == {"dry_run": False, "jobs": [], "bytes": 0, "orphans": [], "notes": [], "errors": []}


def test_why_there_is_nothing_to_remove(gravscope: Gravscope) -> None:
    """It says which jobs there were to choose from, and where to look; a dry run says the same."""
    look = "; all: gravscope status -a\n"
    assert gravscope("prune", "--keep", "0").stdout == f"nothing to remove: no job has ended{look}"
    job = plant(gravscope, "one", 1)
    said = f"nothing to remove: none of the one job that has ended did so 30d ago{look}"
    assert gravscope("prune", "--older-than", "30d").stdout == said
    assert gravscope("prune", "--older-than", "30d", "--dry-run").stdout == said
    plant(gravscope, "two", 40)
    for words, why in (
        (("--keep", "1"), "no name has more than 1 of the 2 jobs that have ended"),
        (("--older-than", "90d"), "none of the 2 jobs that have ended did so 90d ago"),
        (
            ("--older-than", "30d", "--keep", "1"),
            "none of the 2 jobs that have ended did so 30d ago and is not of the newest 1 of its name",
        ),
        (("--keep", "1", "one"), "no name has more than 1 of the one job that has ended"),
    ):
        assert gravscope("prune", *words).stdout == f"nothing to remove: {why}{look}"
    assert left(gravscope) >= files_of(job)


def test_a_log_that_may_not_be_ours_is_left_alone(gravscope: Gravscope) -> None:
    """A link, a FIFO, a file elsewhere, another job's log: it stays, it is said, and the record goes."""
    other = plant(gravscope, "other", 1)
    (gravscope.folder / "elsewhere.log").write_text("mine")
    link, fifo, outside, stolen, parent = (plant(gravscope, name, 40) for name in ("l", "f", "o", "s", "p"))
    for job, log in ((outside, gravscope.folder / f"{outside}.log"), (stolen, gravscope.log_dir / f"{other}.log"),
                     (parent, gravscope.log_dir / "sub" / ".." / ".." / f"{parent}.log")):  # fmt: skip
        (gravscope.log_dir / f"{job}.log").unlink()
        record = gravscope.record(job)
        (gravscope.jobs_dir / f"{job}.json").write_text(json.dumps({**record, "log_file": str(log)}))
    (gravscope.log_dir / "sub").mkdir()
    for job in (outside, parent):
        (gravscope.folder / f"{job}.log").write_text("mine")
    for job in (link, fifo):
        (gravscope.log_dir / f"{job}.log").unlink()
    (gravscope.log_dir / f"{link}.log").symlink_to(gravscope.folder / "elsewhere.log")
    os.mkfifo(gravscope.log_dir / f"{fifo}.log")
    said = pruned(gravscope, "--older-than", "30d")
    assert (len(said["jobs"]), len(said["notes"])) == (5, 5)
    assert all(any(job in note for note in said["notes"]) for job in (link, fifo, outside, stolen, parent))
    assert left(gravscope) == {*files_of(other), f"{link}.log", f"{fifo}.log", "sub"}
    assert {path.read_text() for path in gravscope.folder.glob("*.log")} == {"mine"}


def test_folders_by_another_name(gravscope: Gravscope) -> None:
    """A folder of logs that is a link is the folder that it leads to; one whose name is no UTF-8 is found as well."""
    real, link = gravscope.folder / os.fsdecode(b"real \xe9"), gravscope.folder / "link"
    real.mkdir(mode=0o700)
    link.symlink_to(real)
    for folder in (real, link):
        done = gravscope("run", "-n", "a", "--wait", "--", "true", env={"GRAVSCOPE_LOG_DIR": str(folder)})
        assert done.returncode == 0
    assert len(list(real.iterdir())) == 2
    done = gravscope("prune", "--keep", "0", "--json", env={"GRAVSCOPE_LOG_DIR": str(real)})
    assert (json.loads(done.stdout)["notes"], list(real.iterdir())) == ([], [])


def test_what_cannot_be_read_keeps_no_other(gravscope: Gravscope) -> None:
    """Half a record, a link, one of a later schema: each is left, is one line, and exit status 6; the others go."""
    good, half, later, linked = (plant(gravscope, name, 40) for name in ("g", "h", "l", "s"))
    path = gravscope.jobs_dir / f"{half}.json"
    path.write_text(path.read_text()[:100])
    (gravscope.jobs_dir / f"{later}.json").write_text(json.dumps({**gravscope.record(later), "schema": 9}))
    (gravscope.jobs_dir / f"{linked}.json").rename(gravscope.folder / "x.json")
    (gravscope.jobs_dir / f"{linked}.json").symlink_to(gravscope.folder / "x.json")
    done = gravscope("prune", "--older-than", "30d")
    assert (done.returncode, len(done.stderr.splitlines())) == (6, 3)
    assert all(job in done.stderr for job in (half, later, linked))
    assert left(gravscope) == files_of(half, later, linked)
    assert good not in done.stderr


def test_records_of_the_older_dispatcher_stay(gravscope: Gravscope) -> None:
    """They never say when a job ended, and are never written to: one line for all of them."""
    plant(gravscope, "a", 40)
    (gravscope.jobs_dir / "old.json").write_bytes((DATA / "record_older.json").read_bytes())
    (gravscope.jobs_dir / "old2.json").write_bytes((DATA / "record_older_list.json").read_bytes())
    said = pruned(gravscope, "--keep", "0")
    assert (len(said["notes"]), left(gravscope)) == (1, {"old.json", "old2.json"})


def test_a_job_is_settled_first(gravscope: Gravscope) -> None:
    """One that says it runs, and whose supervisor and command were killed, has ended: it goes. Its command goes on:
    it stays."""
    dead, orphaned = (gravscope.start("-n", name, "--", "sleep", "1000") for name in ("dead", "orphaned"))
    for job in (dead, orphaned):
        record = gravscope.record(job)
        os.kill(record["supervisor_pid"], signal.SIGKILL)
        until(lambda record=record: not alive(record["supervisor_pid"]))  # type: ignore[misc]
    os.kill(gravscope.record(dead)["pid"], signal.SIGKILL)
    until(lambda: not alive(gravscope.record(dead)["pid"]))
    assert [gone["id"] for gone in pruned(gravscope, "--older-than", "0s")["jobs"]] == [dead]
    assert files_of(orphaned) <= left(gravscope)
    assert not any(name.startswith("dead") for name in left(gravscope))


def test_leftovers_go_too(gravscope: Gravscope) -> None:
    """What writers that were killed left, of a job that goes and of ids that have no record; not of jobs that stay, nor
    what only looks alike, nor what a job that is just being started holds."""
    job, kept, ghost = plant(gravscope, "a", 40), plant(gravscope, "b", 1), "ghost_20260101_000000"
    kinds = ("{}.cancel", "{}.limits", "{}.paused", "{}.lock", ".{}.cancelling")
    kinds += (".{}.json.4194377.tmp", ".{}.cancel.4194307.tmp")  # of no process: the highest number is 2**22
    for each in (job, ghost, kept):
        for kind in kinds:
            (gravscope.jobs_dir / kind.format(each)).touch(mode=0o600)
    strangers = {"poetry.lock", ".x.unique", ".notes.json.1.tmp", "x.cancel", f"{ghost}.txt"}
    for name in strangers:
        (gravscope.jobs_dir / name).touch()
    (gravscope.jobs_dir / "now_20260101_000000.lock").touch(mode=0o600)
    with (gravscope.jobs_dir / "now_20260101_000000.lock").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        stays = files_of(kept) | strangers | {"now_20260101_000000.lock"} | {kind.format(kept) for kind in kinds}
        dry = pruned(gravscope, "--older-than", "30d", "--dry-run")
        said = pruned(gravscope, "--older-than", "30d")
        assert said["orphans"] == dry["orphans"] == [ghost]
        assert left(gravscope) == stays
    assert pruned(gravscope, "--older-than", "30d")["orphans"] == ["now_20260101_000000"]


def test_two_at_once(gravscope: Gravscope) -> None:
    """Each job is removed by one of them, and neither has anything to complain of; no lock stays."""
    for number in range(60):
        plant(gravscope, f"a{number}", 40)
    both = [
        subprocess.Popen(
            [*gravscope.command, "prune", "--json", "--keep", "0"],
            env=gravscope.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    told = [process.communicate() for process in both]
    assert [(process.returncode, errors) for process, (_, errors) in zip(both, told, strict=True)] == [(0, "")] * 2
    gone = [job["id"] for out, _ in told for job in json.loads(out)["jobs"]]
    assert len(gone) == len(set(gone)) == 60
    assert [orphan for out, _ in told for orphan in json.loads(out)["orphans"]] == []
    assert left(gravscope) == set()


def test_status_meanwhile(gravscope: Gravscope) -> None:
    """A list of jobs that go while it is made is a list of the others, without a word; nobody fails."""
    store, project = Store(gravscope.jobs_dir), Project(gravscope.jobs_dir, gravscope.log_dir)
    done = threading.Event()

    def remove() -> None:
        for _ in range(5):
            for number in range(100):
                plant(gravscope, f"a{number}", 40)
            assert prune(store, project, Which(keep=0)).errors == []
        done.set()

    remover = threading.Thread(target=remove)
    remover.start()
    looks = []
    while not done.is_set() or not looks:
        assert remover.is_alive() or done.is_set()
        looks.append(gravscope("status", "-a", "--json"))
    remover.join()
    assert {(look.returncode, look.stderr) for look in looks} == {(0, "")}


def test_status_of_one_that_went_after_the_listing(gravscope: Gravscope, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that is gone once it is to be read is none of the jobs there are; asked for by id, it is an error."""
    from gravscope.actions.look.status import status  # noqa: PLC0415

    store, job = Store(gravscope.jobs_dir), plant(gravscope, "a", 1)
    monkeypatch.setattr(Store, "ids", lambda self: [job, "gone_20260101_000000"])
    assert len(status(store)) == 1
    assert len(status(store, ["gone_20260101_000000"])) == 1


@pytest.mark.parametrize("removed", [True, False])
def test_an_id_that_is_taken_for_a_leftover(
    gravscope: Gravscope, monkeypatch: pytest.MonkeyPatch, removed: bool
) -> None:
    """Between the making of a lock and its locking, a prune may hold it, or have removed it: another id is taken, whose
    lock is really there and really held."""
    store, really, theirs = Store(gravscope.jobs_dir), files.try_lock, []

    def late(descriptor: int, *, shared: bool = False) -> bool:
        monkeypatch.setattr(files, "try_lock", really)
        (path,) = gravscope.jobs_dir.glob("*.lock")
        if removed:
            path.unlink()
        else:
            theirs.append(os.open(path, os.O_RDWR))
            assert really(theirs[0])
        return really(descriptor, shared=shared)

    monkeypatch.setattr(files, "try_lock", late)
    found = store.reserve("a", "20260101_120000")
    assert found.job_id.endswith("_2")
    assert os.path.samestat(os.fstat(found.lock_fd), store.lock_path(found.job_id).stat())
    assert store.in_charge(found.job_id)


def test_jobs_that_are_started_meanwhile(gravscope: Gravscope) -> None:
    """However often everything that has ended goes, each job that is started runs, and is removed whole."""
    store, project = Store(gravscope.jobs_dir), Project(gravscope.jobs_dir, gravscope.log_dir)
    done, found = threading.Event(), []

    def remove() -> None:
        while not done.is_set():
            found.append(prune(store, project, Which(keep=0)))

    remover = threading.Thread(target=remove)
    remover.start()
    marks = [gravscope.folder / f"mark{number}" for number in range(8)]
    started = [
        subprocess.Popen(
            [*gravscope.command, "run", "-n", "a", "--launcher", "session", "--", "touch", str(mark)],
            env=gravscope.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for mark in marks
    ]  # fmt: skip
    told = [process.communicate() for process in started]
    assert [(process.returncode, errors) for process, (_, errors) in zip(started, told, strict=True)] == [(0, "")] * 8
    until(lambda: all(mark.exists() for mark in marks))
    until(lambda: not [name for name in left(gravscope) if not name.startswith(".")], "the end of every file")
    done.set()
    remover.join()
    assert [error for each in found for error in each.errors] == []
    assert sum(len(each.jobs) for each in found) == len(marks)


@pytest.mark.needs("mount")
def test_on_a_full_disk(gravscope: Gravscope) -> None:
    """Where not even a lock can be made any more, prune is what makes room."""
    with small_disk(gravscope.folder / "disk", f"size={64 * PAGE}", "nr_inodes=12") as disk:
        gravscope.jobs_dir, gravscope.log_dir = disk / "jobs", disk / "logs"
        gravscope.environ |= {"GRAVSCOPE_JOBS_DIR": str(disk / "jobs"), "GRAVSCOPE_LOG_DIR": str(disk / "logs")}
        jobs = [plant(gravscope, name, 40) for name in "abc"]
        fill(disk)
        for number in range(100):
            try:
                (disk / str(number)).touch()
            except OSError:
                break
        else:
            pytest.fail("there was room for 100 files more")
        assert len(pruned(gravscope, "--older-than", "30d")["jobs"]) == len(jobs)
        assert left(gravscope) == set()


def test_root_leaves_a_users_jobs_alone(owner: ManagedGravscope, root: Other) -> None:
    """And says so; the user's own prune then removes them."""
    job = session(owner, "-n", "mine", "--wait", "--", "true")
    done = root("prune", "--keep", "0")
    assert (done.returncode, len(done.stderr.splitlines())) == (0, 1)
    assert "1 of another user's" in done.stderr
    assert (owner.jobs_dir / f"{job}.json").exists()
    assert [gone["id"] for gone in pruned(owner, "--keep", "0")["jobs"]] == [job]
    assert left(owner) == set()
