"""Trap 50: links, devices and foreign files in place of a record or a log are never followed or waited for."""

from __future__ import annotations

import json
import os
import socket
import stat
from pathlib import Path

import pytest

from gravscope.actions.launch.launch import open_log
from gravscope.records.folder import make_private_folder
from gravscope.records.store import Store
from tests.inside import Inside, inside
from tests.records.test_store_hostile import BAD, GOOD, put, record
from tests.support import Gravscope

__all__ = ["inside"]
STRANGER = 64123
# whoever makes these has to be root
DEVICE = pytest.param("endless device", marks=pytest.mark.needs("root"))
SOMEBODY_ELSES = pytest.param("somebody else's file", marks=pytest.mark.needs("root"))


def others(folder: Path, kind: str) -> Path:
    """Something that is not a file of ours, under its own name."""
    path = folder / f"the {kind}"
    if kind == "folder":
        path.mkdir()
    elif kind == "FIFO":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))
    elif kind == "endless device":
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))
    elif kind == "file":
        path.write_text(json.dumps(record(BAD)))
    return path


KINDS = {
    "folder": "is a folder",
    "FIFO": "is not a regular file",
    "socket": "is not a regular file",
    "endless device": "is not a regular file",
}


@pytest.mark.parametrize("kind", ["nothing", "file", "folder", "FIFO", "socket", DEVICE, "itself"])
@pytest.mark.parametrize("linked", [True, False])
def test_something_else_in_place_of_a_record(inside: Inside, tmp_path: Path, kind: str, linked: bool) -> None:
    """Trap 50: it is not followed, waited for or written through; it gives one line, and all others are listed."""
    put(inside, GOOD, record(GOOD))
    there, path = tmp_path / f"the {kind}", inside.jobs_dir / f"{BAD}.json"
    if kind != "itself":
        there = others(tmp_path, kind)
    if linked:
        path.symlink_to(path if kind == "itself" else there)
    elif kind in ("nothing", "file", "itself"):
        return
    else:
        there.rename(path)
    why = "is a symbolic link, which is not followed" if linked else KINDS[kind]
    done = inside("status")
    assert (done.status, GOOD in done.out) == (0, True)
    assert done.complaint == f"gravscope: {path}: {why}; move it out of the folder to be rid of this line"
    for verb in ("show", "wait", "logs", "cancel", "pause"):
        refused = inside(verb, BAD)
        assert (refused.status, refused.complaint) == (6, done.complaint)
    before = there.read_bytes() if kind == "file" else None
    Store(inside.jobs_dir).release(BAD)
    assert path.is_symlink() or not linked
    assert before is None or there.read_bytes() == before


def test_a_link_keeps_its_id(tmp_path: Path) -> None:
    """A record that is a link, even a dangling one, takes its id as a file would: no job gets that id."""
    store = Store(tmp_path)
    store.record_path("x_20260101_120000").symlink_to(tmp_path / "nowhere")
    reservation = store.reserve("x", "20260101_120000")
    assert reservation.job_id == "x_20260101_120000_2"
    os.close(reservation.lock_fd)


@pytest.mark.parametrize("relative", [True, False])
def test_folders_that_are_links(gravscope: Gravscope, tmp_path: Path, relative: bool) -> None:
    """If a user moved the folders to another disk and left links, jobs work as before."""
    for link in (gravscope.jobs_dir, gravscope.log_dir):
        real = tmp_path / "disk" / link.name
        real.mkdir(parents=True, mode=0o700)
        link.symlink_to(os.path.relpath(real, link.parent) if relative else real)
    job = gravscope.start("-n", "x", "--", "bash", "-c", "echo out; exec sleep 1000")
    assert gravscope("wait", job, "--ready", "out").returncode == 0
    assert gravscope("cancel", job).returncode == 0
    assert gravscope("logs", job).stdout == "out\n"
    assert gravscope.jobs_dir.is_symlink()
    assert os.listdir(tmp_path / "disk" / "jobs") == [f"{job}.json"]


def test_a_folder_that_is_a_link_to_nowhere(inside: Inside, tmp_path: Path) -> None:
    """A dangling link gives one line; nothing is created at its target."""
    inside.jobs_dir.rmdir()
    inside.jobs_dir.symlink_to(tmp_path / "nowhere")
    done = inside("run", "--launcher", "session", "--", "true")
    assert (done.status, done.complaint) == (
        6, f"gravscope: {inside.jobs_dir}: is not a folder; move that file away",
    )  # fmt: skip
    assert inside("status").status == 0
    assert not (tmp_path / "nowhere").exists()
    assert os.listdir(inside.log_dir) == []


@pytest.mark.parametrize(
    "word", ["a/" * 3000 + "x.json", "x" * 300 + ".json", "./loop.json", "./folder.json", "./FIFO.json"]
)
def test_a_path_that_leads_nowhere(inside: Inside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    """A record may be named by its path; any path gives at most one line."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop.json").symlink_to("loop.json")
    (tmp_path / "folder.json").mkdir()
    os.mkfifo(tmp_path / "FIFO.json")
    for verb in ("show", "cancel", "logs"):
        done = inside(verb, word)
        assert (done.status, len(done.err.splitlines())) == (3, 1)


# logs


@pytest.mark.parametrize("kind", ["link", "link to nowhere", "FIFO", "folder", "somebody else's file"])
def test_something_else_in_place_of_a_log(gravscope: Gravscope, tmp_path: Path, kind: str) -> None:
    """Trap 50: a foreign file at the path of the log is never written to; the log gets another name beside it."""
    precious = tmp_path / "precious"
    precious.write_text("precious")
    name = "x_20260101_120000.log"
    make_private_folder(gravscope.log_dir)
    trap = gravscope.log_dir / name
    if kind == "FIFO":
        os.mkfifo(trap)
    elif kind == "folder":
        trap.mkdir()
    elif kind == "somebody else's file":
        trap.write_text("precious")
        trap.chmod(0o666)
        if os.geteuid() == 0:
            os.chown(trap, STRANGER, STRANGER)
    else:
        trap.symlink_to(precious if kind == "link" else tmp_path / "nowhere")
    path, descriptor = open_log(gravscope.log_dir, name.removesuffix(".log"))
    os.write(descriptor, b"output")
    os.close(descriptor)
    assert (path.name, path.read_text()) == ("x_20260101_120000.2.log", "output")
    assert precious.read_text() == "precious"
    assert not (tmp_path / "nowhere").exists()
    assert kind != "somebody else's file" or trap.read_text() == "precious"


@pytest.mark.parametrize("kind", ["FIFO", DEVICE, "folder", SOMEBODY_ELSES, "nothing", "\0"])
def test_a_log_that_was_replaced_is_not_read(inside: Inside, tmp_path: Path, kind: str) -> None:
    """It is not waited for, read without end, or shown as the job's output: one line names the path."""
    path = others(tmp_path, kind) if kind != "\0" else Path("/x\0")
    if kind == "somebody else's file":
        path.write_text("lies\n")
        os.chown(path, STRANGER, STRANGER)
    put(inside, BAD, record(BAD, log_file=str(path)))
    if os.geteuid() == 0 and kind == "somebody else's file":
        assert inside("logs", BAD).out == "lies\n"  # root may read everybody's files
        return
    for words in (("logs", BAD), ("logs", BAD, "-f"), ("wait", BAD, "--ready", "x")):
        done = inside(*words)
        assert (done.status, done.out) == (1, "")
        assert done.complaint.startswith(f"gravscope: the log of {BAD} cannot be read: ")
