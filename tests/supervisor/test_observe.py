"""Who enforces a limit while it is changed, with a scope that is made of ordinary files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gravscope.linux import cgroup
from gravscope.supervisor.cgroups import JobCgroups
from gravscope.supervisor.journal import Journal
from gravscope.supervisor.observe import Observer, update_enforcement
from gravscope.supervisor.record import Recorder
from gravscope.supervisor.request import Request

MIB = 1 << 20


def request_in(folder: Path, mem_max: int | None) -> Request:
    """The request of a job in a scope, with the fields that limits need."""
    values: dict[str, object] = dict.fromkeys(name for name in Request.__annotations__ if name != "watched")
    paths = {"limits_path": str(folder / "x.limits"), "pause_path": str(folder / "x.paused")}
    return Request(values | paths | {"mem_max": mem_max})


def scope_in(folder: Path, **files: str) -> JobCgroups:
    """A scope with these files; an underscore stands for a dot in the name."""
    scope = folder / "gravscope.slice" / "x.scope"
    scope.mkdir(parents=True)
    for name, text in files.items():
        (scope / name.replace("_", ".")).write_text(text)
    return JobCgroups(str(scope), str(scope / "job"))


@pytest.fixture(autouse=True)
def mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test's folder is the mount point."""
    monkeypatch.setattr(cgroup, "mount_point", lambda: str(tmp_path))


@pytest.mark.parametrize(("has_file", "watched"), [(True, False), (False, True)])
def test_the_watch_does_not_step_in_while_the_kernel_is_told(tmp_path: Path, has_file: bool, watched: bool) -> None:
    """A lower limit that was asked for and is not in effect yet is left to the kernel, if the kernel can enforce it."""
    cgroups = scope_in(tmp_path, **({"memory_max": str(80 * MIB)} if has_file else {}))
    request = request_in(tmp_path, 80 * MIB)
    recorder = Recorder(str(tmp_path / "x.json"), {"limits": {"mem_max": 80 * MIB}, "warnings": []})
    update_enforcement(request, recorder, cgroups)
    assert request.watched is watched
    observer = Observer(request, cgroups, recorder, Journal("x", "x", None, None))
    Path(request.limits_path).write_text(json.dumps([{"at": "", "by": "", "limits": {"mem_max": 20 * MIB}}]))
    assert observer.new_limits()
    assert (request.mem_max, request.watched) == (20 * MIB, watched)


def test_at_the_start_the_watch_takes_what_the_kernel_did_not(tmp_path: Path) -> None:
    """A limit that the manager did not pass on to the kernel is enforced by the watch from the start."""
    request = request_in(tmp_path, 20 * MIB)
    recorder = Recorder(str(tmp_path / "x.json"), {"limits": {"mem_max": 20 * MIB}, "warnings": []})
    update_enforcement(request, recorder, scope_in(tmp_path, memory_max="max"))
    assert (request.watched, recorder.record["enforcement"]) == (True, "watch")
