"""`gravscope doctor` and `gravscope units` on a whole machine: systemd first, cgroup v2, limits that really hold."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doctor_output import MACHINES_OWN, expected, masked, statuses
from tests.support import REPOSITORY, until

from .conftest import output_of

GRAVSCOPE = [sys.executable, "-m", "gravscope"]
LEFT_OPEN = MACHINES_OWN | {"controllers", "io-cpuset"}
SLICE_MAX = 0.8


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Jobs and logs in a folder of the test's own."""
    monkeypatch.setenv("GRAVSCOPE_JOBS_DIR", str(tmp_path / "jobs"))
    monkeypatch.setenv("GRAVSCOPE_LOG_DIR", str(tmp_path / "logs"))
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def installed_units(own_folder: Path) -> Iterator[Path]:
    """The user's unit files, removed again afterwards."""
    output_of(*GRAVSCOPE, "units", "install")
    yield own_folder
    output_of(*GRAVSCOPE, "units", "remove", "--force")


def doctor(*words: str) -> str:
    """What `gravscope doctor` prints, as this user."""
    done = subprocess.run([*GRAVSCOPE, "doctor", *words], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_on_a_whole_machine(own_folder: Path) -> None:
    """Everything is really there, a limit is really enforced, and the answer is the same to the letter."""
    names = {
        str(own_folder): "FOLDER",
        str(Path(sys.executable).parent / "gravscope"): "PROGRAM",
        f"{sys.executable} -m gravscope": "PROGRAM",
        str(REPOSITORY / "scripts/swap_extend.sh"): "SCRIPT",
        os.environ["XDG_RUNTIME_DIR"]: "RUNTIME",
    }
    assert masked(doctor("--oom"), LEFT_OPEN, names) == expected("guest")
    left = output_of("systemctl", "--user", "list-units", "--all", "--plain", "--no-legend", "gravscope-doctor-*")
    assert left == "", "no unit of the trials is left"


def test_controllers_are_those_of_the_manager(own_folder: Path) -> None:
    """What it says of controllers is what the kernel says of the manager's cgroup."""
    del own_folder
    folder = output_of("systemctl", "--user", "show", "-P", "ControlGroup")
    there = set(Path(f"/sys/fs/cgroup{folder}/cgroup.controllers").read_text().split())
    found = statuses(doctor())
    assert found["controllers"] == ("ok" if {"memory", "pids", "cpu"} <= there else "warn")
    assert found["io-cpuset"] == ("ok" if {"io", "cpuset"} <= there else "warn")


def test_all_jobs_together_are_limited_by_the_kernel(installed_units: Path) -> None:
    """With the units installed, gravscope.slice's memory.max is four fifths of the machine's memory once a job runs."""
    del installed_units
    job = output_of(*GRAVSCOPE, "run", "-n", "slice", "--launcher", "scope", "--", "sleep", "1000")
    try:
        folder = Path(
            f"/sys/fs/cgroup{output_of('systemctl', '--user', 'show', '-P', 'ControlGroup', 'gravscope.slice')}"
        )
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        held = int((folder / "memory.max").read_text())
        assert abs(held - SLICE_MAX * memory) < memory / 100
        assert int((folder / "memory.high").read_text()) < held
        shown = json.loads(output_of(*GRAVSCOPE, "units", "status", "--json"))
        assert shown["slice"]["held"]["mem_max"] == held
        assert statuses(doctor())["slice"] == "ok"
    finally:
        output_of(*GRAVSCOPE, "cancel", job)


@pytest.mark.as_root
def test_the_drop_in_hands_more_down() -> None:
    """What doctor says to type for io and cpuset works: systemd takes the drop-in, and a new user manager has io."""
    command = [*GRAVSCOPE, "units", "install", "--system-dropin"]
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    unit = f"user@{output_of('id', '-u', 'alice')}.service"
    try:
        controllers = set(output_of("systemctl", "show", "-P", "DelegateControllers", unit).split())
        assert {"pids", "memory", "cpu", "io", "cpuset"} <= controllers
        output_of("systemctl", "restart", unit)
        of_machine = set(Path("/sys/fs/cgroup/cgroup.controllers").read_text().split())
        folder = Path(f"/sys/fs/cgroup{output_of('systemctl', 'show', '-P', 'ControlGroup', unit)}")
        there = set((folder / "cgroup.controllers").read_text().split())
        assert there >= {"io", "cpuset"} & of_machine
    finally:
        command[-2] = "remove"
        subprocess.run(command, env=env, check=True, timeout=120)
        output_of("systemctl", "restart", unit)
        until(lambda: output_of("systemctl", "is-active", unit) == "active", "alice's manager runs again")
    assert not Path("/etc/systemd/system/user@.service.d/10-gravscope-delegate.conf").exists()
