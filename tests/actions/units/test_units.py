"""Unit files: systemd accepts them, and files that somebody changed are never replaced or removed."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import gravscope
from gravscope.actions.units import package_data, units
from gravscope.actions.units.files import quoted_word, rendered, state_of
from gravscope.actions.units.units import DROPIN, SYSTEM_FOLDER, USER_UNITS, Place
from gravscope.base.errors import UnsupportedError
from tests.support import REPOSITORY, ManagedGravscope, until

PRUNE = "[Service]\nType=oneshot\nExecStart=@PROGRAM_WORDS@ prune --older-than 30d\n"
ODD_FOLDER = "a b %h %% $HOME ${HOME} ü; 途中"

needs_analyze = pytest.mark.needs("systemd-analyze")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A user's folder for units, without a manager."""
    monkeypatch.setattr(package_data, "program", lambda: ["/bin/true"])
    return Place({"HOME": str(tmp_path), "PATH": "/nowhere"})


@pytest.fixture
def system(tmp_path: Path) -> Place:
    """A root folder for the test."""
    return Place({"PATH": "/nowhere"}, system=True, root=tmp_path)


def folder_of(place: Place) -> Path:
    """The folder of its user units."""
    return Path(place.environ["HOME"]) / ".config/systemd/user"


def deeds(outcome: units.Outcome) -> dict[str, str]:
    """What was done to each file."""
    return {unit.name: deed for unit, deed in outcome.files}


def test_install_twice_and_remove(place: Place) -> None:
    """Install writes each file once, readable by all; a second time changes nothing; remove leaves no file."""
    assert set(deeds(units.install(place)).values()) == {"written"}
    found = {path.name: path for path in folder_of(place).iterdir()}
    assert set(found) == set(USER_UNITS)
    assert {stat.S_IMODE(path.stat().st_mode) for path in found.values()} == {0o644}
    before = {path: path.stat().st_mtime_ns for path in found.values()}
    assert set(deeds(units.install(place)).values()) == {"unchanged"}
    assert {path: path.stat().st_mtime_ns for path in found.values()} == before
    assert set(deeds(units.remove(place)).values()) == {"removed"}
    assert list(folder_of(place).iterdir()) == []
    assert set(deeds(units.remove(place)).values()) == {"absent"}


def test_a_changed_file_is_kept(place: Place) -> None:
    """A file that somebody changed is neither replaced nor removed, and is reported; with --force both are done."""
    units.install(place)
    changed = folder_of(place) / "gravscope.slice"
    text = changed.read_text().replace("MemoryMax=80%", "MemoryMax=60%")
    changed.write_text(text)
    assert deeds(units.install(place))["gravscope.slice"] == "kept"
    assert deeds(units.remove(place)) == {
        "gravscope.slice": "kept", "gravscope-prune.service": "removed", "gravscope-prune.timer": "removed",
    }  # fmt: skip
    assert changed.read_text() == text
    assert deeds(units.install(place, force=True))["gravscope.slice"] == "written"
    changed.write_text(text)
    assert deeds(units.remove(place, force=True))["gravscope.slice"] == "removed"
    assert not changed.exists()


def test_a_file_that_is_not_ours_is_kept(place: Place) -> None:
    """A slice that the user wrote before, or masked with a link to /dev/null, is not changed."""
    folder_of(place).mkdir(parents=True)
    own, masked = folder_of(place) / "gravscope.slice", folder_of(place) / "gravscope-prune.timer"
    own.write_text("[Slice]\nMemoryMax=1G\n")
    masked.symlink_to("/dev/null")
    found = deeds(units.install(place))
    assert (found["gravscope.slice"], found["gravscope-prune.timer"]) == ("kept", "kept")
    units.remove(place)
    assert own.read_text() == "[Slice]\nMemoryMax=1G\n"
    assert masked.is_symlink()


def test_an_older_file_of_ours_is_renewed(place: Place) -> None:
    """A file from an earlier gravscope that nobody changed is outdated and is replaced."""
    units.install(place)
    path = folder_of(place) / "gravscope.slice"
    path.write_text(rendered("[Slice]\nMemoryMax=50%\n", ["/bin/true"]))
    (found,) = [unit for unit in units.units_of(place) if unit.name == "gravscope.slice"]
    assert found.state == "outdated"
    assert deeds(units.install(place))["gravscope.slice"] == "written"


def test_state_of() -> None:
    """A file is ours if the checksum in its first line matches all bytes that follow."""
    wanted = rendered(PRUNE, ["/bin/true"])
    older = rendered("[Service]\n", ["/bin/true"])
    found = [state_of(text, wanted) for text in (None, wanted, older, older + "\n", wanted[:-1], "", PRUNE)]
    assert found == ["missing", "installed", "outdated", "changed", "changed", "changed", "changed"]


def test_a_dry_run_changes_nothing(place: Place, system: Place) -> None:
    """It says what it would do, and does nothing."""
    for where in (place, system):
        assert set(deeds(units.install(where, dry_run=True)).values()) == {"written"}
    assert not folder_of(place).exists()
    assert not (system.root / "etc").exists()
    units.install(place)
    assert set(deeds(units.remove(place, dry_run=True)).values()) == {"removed"}
    assert len(list(folder_of(place).iterdir())) == len(USER_UNITS)


def test_the_system_drop_in(system: Place) -> None:
    """The drop-in is where systemd reads it, with no other file; after removal its folder is gone."""
    units.install(system)
    path = system.root / SYSTEM_FOLDER / DROPIN
    assert path.read_text().endswith("[Service]\nDelegate=pids memory cpu io cpuset\n")
    assert [found for found in system.root.rglob("*") if found.is_file()] == [path]
    units.remove(system)
    assert not path.parent.exists()
    assert path.parent.parent.exists()


def test_somebody_elses_drop_in_stays(system: Place) -> None:
    """Removing our drop-in leaves another one in the same folder."""
    units.install(system)
    other = (system.root / SYSTEM_FOLDER / DROPIN).with_name("other.conf")
    other.touch()
    units.remove(system)
    assert list(other.parent.iterdir()) == [other]


def test_the_drop_in_needs_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without root: exit status 5, and one line with the sudo command to type. A dry run needs no rights."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    place = Place({"PATH": "/nowhere"}, system=True)
    with pytest.raises(UnsupportedError, match=r"type: sudo gravscope units install --system-dropin$"):
        units.install(place)
    with pytest.raises(UnsupportedError, match=r"units remove --system-dropin$"):
        units.remove(place)
    assert units.install(place, dry_run=True).files


@pytest.mark.parametrize(
    ("value", "where"), [("/x", "/x/systemd/user"), ("", "/h/.config/systemd/user"), ("y", "/h/.config/systemd/user")]
)
def test_user_folder(value: str, where: str) -> None:
    """XDG_CONFIG_HOME counts if it is absolute, as in systemd; else ~/.config is used."""
    assert units.user_folder({"HOME": "/h", "XDG_CONFIG_HOME": value}) == Path(where)


def test_a_path_that_systemd_refuses() -> None:
    """Quotes and backslashes are not allowed in a program's path, even in quotes: there is an error at once."""
    for path in ('/a"b', "/a'b", "/a\\b", "/a\nb"):
        with pytest.raises(UnsupportedError, match="systemd starts no program"):
            rendered(PRUNE, [path])


@pytest.fixture
def installed(tmp_path: Path) -> list[Path]:
    """All unit files of a gravscope in a folder with an odd name, and the drop-in beside a user@.service."""
    program = tmp_path / ODD_FOLDER / "gravscope"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    found = []
    for name in (*USER_UNITS, DROPIN):
        path = tmp_path / "units" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(rendered((REPOSITORY / "units" / name).read_text(), [str(program)]))
        found.append(path)
    return found


@needs_analyze
def test_systemd_takes_the_user_units(installed: list[Path]) -> None:
    """`systemd-analyze --user verify` reports nothing about the user units or the slice's settings."""
    done = analyze("--user", files=installed[:-1])
    assert (done.returncode, done.stderr) == (0, "")


@needs_analyze
def test_systemd_takes_the_drop_in(installed: list[Path]) -> None:
    """`systemd-analyze verify` reports nothing about the drop-in as a part of user@.service."""
    unit = installed[-1].parent.parent / "user@.service"
    unit.write_text("[Service]\nExecStart=/bin/true\n")
    done = analyze(files=[unit])
    assert (done.returncode, done.stderr) == (0, "")


@needs_analyze
def test_verify_would_tell(installed: list[Path]) -> None:
    """The check above can fail: an unknown setting is reported."""
    slice_ = installed[0]
    slice_.write_text(slice_.read_text() + "MemoryMost=1G\nMemoryMax=much\n")
    done = analyze("--user", files=[slice_])
    assert "MemoryMost" in done.stderr
    assert "much" in done.stderr


def analyze(*options: str, files: list[Path]) -> subprocess.CompletedProcess[str]:
    """`systemd-analyze verify`, which needs a runtime folder but no manager."""
    runtime = str(files[0].parent)
    environ = {"PATH": os.environ["PATH"], "HOME": runtime, "XDG_RUNTIME_DIR": runtime, "LANG": "C.UTF-8"}
    argv = ["systemd-analyze", "--man=no", *options, "verify", *map(str, files)]
    return subprocess.run(argv, env=environ, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def started(managed: ManagedGravscope) -> Iterator[list[str]]:
    """Names of units in the user's folder; they are removed afterwards."""
    names: list[str] = []
    yield names
    for name in names:
        managed.systemctl("stop", name)
        (managed.manager.home / ".config/systemd/user" / name).unlink(missing_ok=True)
        (managed.manager.runtime_dir / "systemd/user" / name).unlink(missing_ok=True)
    managed.systemctl("daemon-reload")


def test_the_program_is_started_from_an_odd_folder(managed: ManagedGravscope, started: list[str]) -> None:
    """A real manager starts the program by the inserted path, with spaces, % and $, and passes each word unchanged."""
    folder = managed.folder / ODD_FOLDER
    managed.manager.run(["mkdir", folder])
    program, out = folder / "gravscope", managed.folder / "out"
    program.write_text(f'#!/bin/sh\nprintf \'%s\\n\' "$0" "$@" > {out}.new; mv {out}.new {out}\n')
    program.chmod(0o755)
    name = f"gravscope-odd-{os.getpid()}.service"
    text = rendered(
        PRUNE.replace("[Service]", "[Unit]\nConditionFileIsExecutable=@PROGRAM_PATH@\n[Service]"),
        [str(program), "-m", "$HOME %h 'x' \"y\" \\z"],
    )
    place = managed.manager.runtime_dir / "systemd/user" / name
    managed.manager.run(["mkdir", "-p", place.parent])
    managed.manager.run(["tee", place], input=text)
    started.append(name)
    managed.systemctl("daemon-reload")
    done = managed.systemctl("start", name)
    assert done.returncode == 0, done.stderr + managed.systemctl("status", name).stdout
    words = [str(program), "-m", "$HOME %h 'x' \"y\" \\z", "prune", "--older-than", "30d"]
    assert until(lambda: out.exists() and out.read_text().splitlines()) == words


def test_found_in_an_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a wheel they are in the package's data, in a checkout at its top; otherwise there is an error."""
    monkeypatch.setattr(gravscope, "__file__", str(tmp_path / "gravscope" / "__init__.py"))
    assert package_data.find("units/gravscope.slice") is None
    with pytest.raises(UnsupportedError, match="is missing from this installation"):
        package_data.path_of("units/gravscope.slice")
    for place in (tmp_path / "units", tmp_path / "gravscope/data/units"):
        place.mkdir(parents=True)
        (place / "gravscope.slice").touch()
        assert package_data.path_of("units/gravscope.slice") == place / "gravscope.slice"


def test_quoted_word() -> None:
    """Each character with a special meaning in systemd is escaped."""
    assert quoted_word('a "b" %h $X \\') == '"a \\"b\\" %%h $$X \\\\"'
