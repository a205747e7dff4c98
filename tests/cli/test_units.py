"""`gravscope units` beside a real user manager."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gravscope.actions.units.units import USER_UNITS
from tests.doctor_output import statuses
from tests.support import Gravscope, ManagedGravscope, until

TIMER = "gravscope-prune.timer"


@pytest.fixture
def installed(managed: ManagedGravscope) -> Iterator[ManagedGravscope]:
    """The units installed in a folder that the manager reads, and removed afterwards."""
    if not managed.manager.private:
        pytest.skip("the user's own manager reads the user's own unit files, which are not the tests' to replace")
    done = managed("units", "install")
    assert (done.returncode, done.stderr) == (0, "")
    yield managed
    managed("units", "remove", "--force")


def shown(managed: ManagedGravscope) -> dict[str, Any]:
    """`units status --json`."""
    found: dict[str, Any] = json.loads(managed("units", "status", "--json").stdout)
    return found


def states(managed: ManagedGravscope) -> set[tuple[str, bool]]:
    """How the units stand, and whether they are loaded from there."""
    return {(unit["state"], unit["loaded"]) for unit in shown(managed)["units"]}


def test_all_jobs_together_have_a_limit(installed: ManagedGravscope) -> None:
    """Once installed, the manager has our MemoryMax on gravscope.slice, of which a job's scope is part."""
    assert states(installed) == {("installed", True)}
    job = installed.start("-n", "part", "--", "sleep", "1000")
    assert installed.record(job)["slice"] == "gravscope.slice"
    said = installed.systemctl("show", "gravscope.slice", "-p", "MemoryMax,MemoryHigh,ActiveState,FragmentPath").stdout
    found = dict(line.split("=", 1) for line in said.splitlines())
    memory = int(Path("/proc/meminfo").read_text().split()[1]) * 1024
    assert found["ActiveState"] == "active"
    assert found["FragmentPath"] == shown(installed)["units"][0]["path"]
    assert abs(int(found["MemoryMax"]) - 0.8 * memory) < memory / 100
    assert int(found["MemoryHigh"]) < int(found["MemoryMax"])
    assert shown(installed)["slice"]["limits"]["MemoryMax"] == found["MemoryMax"]
    assert installed("cancel", job).returncode == 0


def test_remove(installed: ManagedGravscope) -> None:
    """After remove the manager knows the limits no more, and a job still starts."""
    assert installed("units", "remove").returncode == 0
    assert states(installed) == {("missing", False)}
    said = installed.systemctl("show", "gravscope.slice", "-p", "MemoryMax,FragmentPath").stdout
    assert set(said.split()) == {"MemoryMax=infinity", "FragmentPath="}
    assert installed.ended(installed.start("-n", "after", "--", "true"))["state"] == "succeeded"


def test_a_changed_file_is_named(installed: ManagedGravscope) -> None:
    """A file that the user changed is kept by install and remove, which say so, and status calls it changed."""
    path = Path(shown(installed)["units"][0]["path"])
    path.write_text(path.read_text() + "# mine\n")
    for verb in ("install", "remove"):
        done = installed("units", verb)
        assert done.returncode == 0
        assert str(path) in done.stderr
        assert "kept" in done.stderr
    assert shown(installed)["units"][0]["state"] == "changed"
    assert path.read_text().endswith("# mine\n")


def test_the_timer_is_enabled_only_when_asked(installed: ManagedGravscope) -> None:
    """No record goes without being asked for: install leaves the timer disabled, --enable-prune enables it."""
    assert installed.systemctl("is-enabled", TIMER).stdout.strip() == "disabled"
    done = installed("units", "install", "--enable-prune")
    assert (done.returncode, done.stderr) == (0, "")
    assert installed.systemctl("is-enabled", TIMER).stdout.strip() == "enabled"
    assert installed.systemctl("is-active", TIMER).stdout.strip() == "active"


def test_the_service_prunes(installed: ManagedGravscope) -> None:
    """What the timer starts removes a job of the user's own that ended 40 days ago, log and all, and leaves one that
    ended just now, and one of a project."""
    home = installed.manager.run(["sh", "-c", 'echo "${XDG_STATE_HOME:-$HOME/.local/state}/gravscope"']).stdout.strip()
    theirs, jobs = installed.jobs_dir, Path(home) / "jobs"
    started = {"old": jobs, "new": jobs, "project": theirs}
    for name, folder in started.items():
        env = {"GRAVSCOPE_JOBS_DIR": "", "GRAVSCOPE_LOG_DIR": ""} if folder == jobs else {}
        done = installed("run", "--launcher", "session", "-n", name, "--wait", "--", "true", env=env)
        assert done.returncode == 0, done.stderr
        if name != "new":
            (record,) = folder.glob(f"{name}_*.json")
            past = (datetime.now(UTC) - timedelta(days=40)).isoformat()
            script = f's/"ended": .*/"ended": "{past}",/'
            assert installed.manager.run(["sed", "-i", script, str(record)]).returncode == 0
    assert len([*Path(home).glob("logs/*.log")]) == 2
    done = installed.systemctl("start", "gravscope-prune.service")
    assert done.returncode == 0, done.stderr
    assert [path.name.partition("_")[0] for path in Path(home).glob("*/*_*.*")] == ["new", "new"]
    assert len([*theirs.glob("project_*.json")]) == 1


def test_remove_disables_the_timer(installed: ManagedGravscope) -> None:
    """An enabled timer is stopped and disabled before its file goes, so that no dangling link is left."""
    installed.systemctl("enable", "--now", TIMER)
    assert installed.systemctl("is-active", TIMER).stdout.strip() == "active"
    assert installed("units", "remove").returncode == 0
    assert installed.systemctl("is-active", TIMER).stdout.strip() == "inactive"
    folder = Path(shown(installed)["units"][0]["path"]).parent
    assert not [path for path in folder.rglob("*") if not path.is_dir()]


def test_doctor_sees_them(installed: ManagedGravscope) -> None:
    """`doctor` no longer asks for the slice to be installed."""
    printed = installed("doctor").stdout
    assert "gravscope.slice is not installed" not in printed
    assert statuses(printed)["slice"] == statuses(printed)["limits"]


def test_fix_reloads_where_a_file_changed(installed: ManagedGravscope) -> None:
    """`doctor --fix` has the manager read a unit file that changed behind its back, and only then."""
    assert "daemon-reload" not in installed("doctor", "--fix").stderr
    path = Path(shown(installed)["units"][0]["path"])
    before = path.stat().st_mtime_ns
    path.write_text(path.read_text().replace("MemoryMax=80%", "MemoryMax=79%"))
    until(lambda: path.stat().st_mtime_ns != before)
    assert "systemctl --user daemon-reload" in installed("doctor", "--fix").stderr
    assert "daemon-reload" not in installed("doctor", "--fix").stderr


def test_without_a_manager(gravscope: Gravscope) -> None:
    """The files are written all the same; it says who will read them, and status that nothing is loaded."""
    env = {"HOME": str(gravscope.folder), "XDG_CONFIG_HOME": ""}
    done = gravscope("units", "install", env=env)
    assert (done.returncode, "no manager answers here" in done.stderr) == (0, True)
    assert {path.name for path in (gravscope.folder / ".config/systemd/user").iterdir()} == set(USER_UNITS)
    printed = gravscope("units", "status", env=env).stdout
    assert printed.count("installed  not loaded") == len(USER_UNITS)
    assert gravscope("units", "install", "--enable-prune", env=env).returncode == 5


def test_json_and_dry_run(gravscope: Gravscope) -> None:
    """--json prints one object and nothing else; with --dry-run nothing is written."""
    env = {"HOME": str(gravscope.folder), "XDG_CONFIG_HOME": ""}
    done = gravscope("units", "install", "--dry-run", "--json", env=env)
    found = json.loads(done.stdout)
    assert found["dry_run"]
    assert [file["deed"] for file in found["files"]] == ["written"] * len(USER_UNITS)
    assert list(gravscope.folder.iterdir()) == []
    text = gravscope("units", "install", "--dry-run", env=env).stdout
    assert text.count("would be written") == len(USER_UNITS)


def test_the_drop_in_as_an_ordinary_user(managed: ManagedGravscope) -> None:
    """One line with the sudo command to type, and exit status 5."""
    done = managed("units", "install", "--system-dropin")
    assert (done.returncode, len(done.stderr.splitlines())) == (5, 1)
    assert "type: sudo /" in done.stderr
    assert done.stderr.strip().endswith("units install --system-dropin")
