"""`gravscope units`: installs the unit files where systemd reads them, shows their status, and removes them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from gravscope.actions.units import package_data
from gravscope.actions.units.files import State, rendered, state_of
from gravscope.base.errors import GravscopeError, StoreError, UnsupportedError
from gravscope.linux import cgroup, files
from gravscope.systemd import commands, host

USER_UNITS = (commands.SLICE, "gravscope-prune.service", "gravscope-prune.timer")
TIMER = "gravscope-prune.timer"
DROPIN = "user@.service.d/10-gravscope-delegate.conf"
SYSTEM_FOLDER = "etc/systemd/system"
# Unit files must be readable by everybody; systemd warns about others.
READABLE = 0o644
PATIENCE = 15.0
LIMITS = ("MemoryHigh", "MemoryMax", "TasksMax", "CPUWeight", "IOWeight")

Deed = Literal["written", "unchanged", "kept", "removed", "absent"]


@dataclass(frozen=True)
class Unit:
    """One unit file: its name, its path, its wanted contents, and its state."""

    name: str
    path: Path
    wanted: str
    state: State


@dataclass(frozen=True)
class Place:
    """Where units are installed: for the user, or for the machine (below `root`, which tests change)."""

    environ: Mapping[str, str]
    system: bool = False
    root: Path = Path("/")


@dataclass
class Outcome:
    """What was done to each file, and what else was done; in a dry run, what would be done."""

    files: list[tuple[Unit, Deed]] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def units_of(place: Place) -> list[Unit]:
    """The unit files of a place, with their states."""
    folder = place.root / SYSTEM_FOLDER if place.system else user_folder(place.environ)
    program = package_data.program()
    found = []
    for name in (DROPIN,) if place.system else USER_UNITS:
        wanted = rendered(package_data.path_of(f"units/{name}").read_text(encoding="utf-8"), program)
        found.append(Unit(name, folder / name, wanted, state_of(_read(folder / name), wanted)))
    return found


def user_folder(environ: Mapping[str, str]) -> Path:
    """The folder of the user's own units (systemd.unit(5)). An empty or relative XDG_CONFIG_HOME counts as unset."""
    given = Path(environ.get("XDG_CONFIG_HOME") or "")
    if given.is_absolute():
        return given / "systemd/user"
    home = environ.get("HOME")
    if not home:
        raise UnsupportedError("there is no home folder to put units in", "set HOME, or XDG_CONFIG_HOME")
    return Path(home) / ".config/systemd/user"


def _read(path: Path) -> str | None:
    """The text of the file; None if it does not exist. Anything but a plain text file counts as a user's change."""
    try:
        return files.read_whole(str(path)).decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return None
    except OSError:
        return ""


def install(place: Place, *, force: bool = False, dry_run: bool = False, enable_prune: bool = False) -> Outcome:
    """Writes files that are missing, or ours and outdated, and makes the manager read them.

    Raises UnsupportedError if this needs root, or if the timer is to be enabled and cannot be.
    """
    manager_env = _manager_environment(place)
    if not dry_run:
        _refuse_without_root(place, "install")
    if enable_prune and manager_env is None:
        raise UnsupportedError("no user manager answers that could enable the timer", "type: gravscope doctor")
    done = Outcome()
    for unit in units_of(place):
        wanted = unit.state in ("missing", "outdated") or (unit.state == "changed" and force)
        deed: Deed = "written" if wanted else "kept" if unit.state == "changed" else "unchanged"
        if wanted and not dry_run:
            _write(unit)
        done.files.append((unit, deed))
    if any(deed == "written" for _, deed in done.files):
        _reload(place, manager_env, done, dry_run=dry_run)
    if enable_prune:
        _step(["systemctl", "--user", "enable", "--now", TIMER], manager_env, done, dry_run=dry_run)
    if place.system:
        done.notes.append("it holds for user managers started from now on: log out everywhere and in again, or reboot")
    return done


def remove(place: Place, *, force: bool = False, dry_run: bool = False) -> Outcome:
    """Removes the files that install wrote and that nobody has changed since."""
    manager_env = _manager_environment(place)
    if not dry_run:
        _refuse_without_root(place, "remove")
    done = Outcome()
    units = units_of(place)
    deeds: dict[State, Deed] = {"missing": "absent", "changed": "removed" if force else "kept"}
    going = [unit for unit in units if deeds.get(unit.state, "removed") == "removed"]
    if manager_env is not None and any(unit.name == TIMER for unit in going) and _enabled(manager_env):
        _step(["systemctl", "--user", "disable", "--now", TIMER], manager_env, done, dry_run=dry_run)
    for unit in units:
        deed = deeds.get(unit.state, "removed")
        if deed == "removed" and not dry_run:
            _unlink(unit.path, place)
        done.files.append((unit, deed))
    if going:
        _reload(place, manager_env, done, dry_run=dry_run)
    return done


def _refuse_without_root(place: Place, verb: str) -> None:
    """Applies only to the machine's real root folder: any other root folder may belong to anybody."""
    if place.system and place.root == Path("/") and os.geteuid() != 0:
        raise UnsupportedError(f"/{SYSTEM_FOLDER} is root's", f"type: sudo gravscope units {verb} --system-dropin")


def _write(unit: Unit) -> None:
    try:
        unit.path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        files.write_atomically(str(unit.path), unit.wanted.encode("utf-8", "surrogateescape"), READABLE)
    except OSError as error:
        raise StoreError(f"{unit.path}: {error.strerror}") from None


def _unlink(path: Path, place: Place) -> None:
    """Removes the file, for a drop-in also its empty folder, for the timer also the link that enabled it."""
    try:
        path.unlink()
        if place.system and not any(path.parent.iterdir()):
            path.parent.rmdir()
        if path.name == TIMER:
            # If no manager answered, the timer was not disabled.
            (path.parent / "timers.target.wants" / TIMER).unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from None


# the manager


def _manager_environment(place: Place) -> dict[str, str] | None:
    """The environment for calls of the manager that reads this place; None if no manager answers."""
    if place.system:
        there = place.root == Path("/") and Path("/run/systemd/system").is_dir()
        return dict(place.environ) if there else None
    try:
        manager_env = host.manager_environment(place.environ, os.geteuid())
    except GravscopeError:
        return None
    answers = host.call(["systemctl", "--user", "show", "--property=Version"], manager_env, PATIENCE).status == 0
    return manager_env if answers else None


def _reload(place: Place, manager_env: Mapping[str, str] | None, done: Outcome, *, dry_run: bool) -> None:
    if manager_env is None:
        done.notes.append("no manager answers here: it will read the files when it starts")
        return
    _step(["systemctl", *([] if place.system else ["--user"]), "daemon-reload"], manager_env, done, dry_run=dry_run)


def _step(argv: list[str], manager_env: Mapping[str, str] | None, done: Outcome, *, dry_run: bool) -> None:
    done.steps.append(" ".join(argv))
    if dry_run or manager_env is None:
        return
    complaint = host.call(argv, manager_env, host.PATIENCE).complaint
    if complaint is not None:
        raise UnsupportedError(f"{' '.join(argv)}: {complaint}", "the files are in place; type: gravscope units status")


def _enabled(manager_env: Mapping[str, str]) -> bool:
    return host.call(["systemctl", "--user", "is-enabled", "--quiet", TIMER], manager_env, PATIENCE).status == 0


# status


@dataclass(frozen=True)
class UnitStatus:
    """A unit file and its status in the manager: which file was loaded, whether the unit is active and enabled.

    A value is None if no manager answers, or if the manager has no such unit (a drop-in is part of another).
    """

    unit: Unit
    file: str | None = None
    active: str | None = None
    enabled: str | None = None
    needs_reload: bool = False

    @property
    def loaded(self) -> bool:
        """True if the manager has loaded this file."""
        return self.file == str(self.unit.path)


@dataclass(frozen=True)
class Status:
    """The status of every unit file, and the limits of the slice: as set in the manager, and as its cgroup has them."""

    units: list[UnitStatus]
    dropin: Unit
    limits: Mapping[str, str] | None
    held: Mapping[str, int | float | str | None] | None


def status(environ: Mapping[str, str], root: Path = Path("/")) -> Status:
    """The status of all units. Only asks, and changes nothing."""
    place = Place(environ)
    manager_env = _manager_environment(place)
    units = [_unit_status(unit, manager_env) for unit in units_of(place)]
    (dropin,) = units_of(Place(environ, system=True, root=root))
    if manager_env is None:
        return Status(units, dropin, None, None)
    said = _show(commands.SLICE, [*LIMITS, "ControlGroup"], manager_env)
    folder = said.pop("ControlGroup", "")
    mount = cgroup.mount_point()
    held = cgroup.effective(f"{mount}{folder}", f"{mount}{folder}") if mount and folder else None
    return Status(units, dropin, said, held)


def _unit_status(unit: Unit, manager_env: Mapping[str, str] | None) -> UnitStatus:
    if manager_env is None:
        return UnitStatus(unit)
    said = _show(unit.name, ["FragmentPath", "ActiveState", "UnitFileState", "NeedDaemonReload"], manager_env)
    return UnitStatus(
        unit,
        file=said.get("FragmentPath") or None,
        active=said.get("ActiveState") or None,
        enabled=said.get("UnitFileState") or None,
        needs_reload=said.get("NeedDaemonReload") == "yes",
    )


def _show(unit: str, properties: list[str], manager_env: Mapping[str, str]) -> dict[str, str]:
    return commands.parse_properties(host.call(commands.systemctl_show(unit, properties), manager_env, PATIENCE).out)
