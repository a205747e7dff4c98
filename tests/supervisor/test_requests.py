"""A file beside a record is a request only if it belongs to the job's user or to root."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gravscope.linux import proc
from gravscope.supervisor import requests
from gravscope.supervisor.cgroups import JobCgroups
from gravscope.supervisor.journal import Journal
from gravscope.supervisor.observe import Observer
from gravscope.supervisor.processes import JobProcesses
from gravscope.supervisor.record import Recorder
from gravscope.supervisor.request import Request
from gravscope.supervisor.requests import is_noted, read_cancel, read_changes

STRANGER = 64123
CANCEL = {"requested": "2026-01-01T00:00:00+00:00", "by": "me", "grace": 1.5, "steps": []}
CHANGES = [{"at": "2026-01-01T00:00:00+00:00", "by": "me", "limits": {"mem_max": 1 << 30}}]
READERS: dict[str, tuple[Callable[[str], object], str]] = {
    "cancel": (read_cancel, json.dumps(CANCEL)),
    "limits": (read_changes, json.dumps(CHANGES)),
    "paused": (is_noted, ""),
}


@pytest.fixture(params=READERS)
def laid(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Callable[[str], object], Path]:
    """A request of each kind, and the function that reads it."""
    reader, text = READERS[request.param]
    path = tmp_path / f"x.{request.param}"
    path.write_text(text)
    return reader, path


def of_a_stranger(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes another user the owner of the file; without root, makes this process appear as another user."""
    if os.geteuid() == 0:
        os.chown(path, STRANGER, STRANGER, follow_symlinks=False)
        monkeypatch.setattr(os, "geteuid", lambda: 4711)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: STRANGER)


def test_ones_own_is_believed(laid: tuple[Callable[[str], object], Path]) -> None:
    """A request of one's own is read; without the file there is none."""
    reader, path = laid
    assert reader(str(path))
    path.unlink()
    assert not reader(str(path))


def test_that_of_somebody_else_is_not(
    laid: tuple[Callable[[str], object], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request of another user does not count, whatever it says, even if everybody may read and write it."""
    reader, path = laid
    path.chmod(0o666)
    of_a_stranger(path, monkeypatch)
    assert not reader(str(path))


@pytest.mark.parametrize("kind", ["cancel", "limits"])
def test_a_link_is_not_followed(tmp_path: Path, kind: str) -> None:
    """A symbolic link is not followed, not even to a request of one's own, such as that for another job."""
    reader, text = READERS[kind]
    (tmp_path / "x").write_text(text)
    (tmp_path / "y").symlink_to(tmp_path / "x")
    assert reader(str(tmp_path / "x"))
    assert not reader(str(tmp_path / "y"))


def test_a_request_that_is_written_at_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If an empty file, as a full disk leaves it, is replaced between two reads, the request is still found."""
    path, real = tmp_path / "x.cancel", os.lstat
    path.touch()

    def lstat(looked_at: str) -> os.stat_result:
        path.write_text(json.dumps(CANCEL))
        return real(looked_at)

    monkeypatch.setattr(requests.os, "lstat", lstat)
    assert read_cancel(str(path)) == CANCEL


class Stopped(JobProcesses):
    """A job whose processes are all stopped."""

    def alive(self) -> list[proc.Stat]:
        """One process, in state T."""
        return [proc.Stat(f"7 (x) T {'1 ' * 20}")]


@pytest.mark.parametrize("ours", [True, False])
def test_who_may_say_that_a_job_was_paused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ours: bool) -> None:
    """Without a freezer, a job whose processes are all stopped counts as paused only if there is a note of our own."""
    note = tmp_path / "x.paused"
    note.touch()
    if not ours:
        of_a_stranger(note, monkeypatch)
    values: dict[str, object] = dict.fromkeys(name for name in Request.__annotations__ if name != "watched")
    values |= {"pause_path": str(note), "limits_path": str(tmp_path / "x.limits")}
    recorder = Recorder(str(tmp_path / "x.json"), {"limits": {}, "warnings": [], "paused": False})
    Observer(Request(values), JobCgroups(), recorder, Journal("x", "x", None, None)).sample(Stopped(None))
    assert recorder.record["paused"] is ours
