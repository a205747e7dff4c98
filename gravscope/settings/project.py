"""The project that one stands in: its folders, and the layers of its settings (see `gravscope.settings.layers`).

A project is the nearest folder upwards with a `gravscope.toml`, or with `[tool.gravscope]` in its pyproject.toml. Where
a folder has both, both count: what stands in gravscope.toml is the stronger, so that it can hold what is this machine's
own beside a pyproject.toml that everybody shares. Outside of any project, jobs belong to the user:
`$XDG_STATE_HOME/gravscope/{jobs,logs}`. The user's own settings, for all projects and stronger than theirs, are in
`$XDG_CONFIG_HOME/gravscope/config.toml`. A folder that is not absolute is the project's, whoever has set it: one of the
user's that is relative leaves each project its own, so that a name never means another project's job.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from gravscope.base.errors import UsageError
from gravscope.base.immutable import Immutable
from gravscope.settings.layers import Found, Layer, environment, folders, resolve
from gravscope.settings.tomlfile import read_toml

_TABLE = ("tool", "gravscope")


class Project(Immutable):
    """Where records and logs are, and the layers of settings here, the weakest first. `root` is None outside of any
    project."""

    jobs_dir: Path
    log_dir: Path
    root: Path | None = None
    layers: tuple[Layer, ...] = ()

    def settings_for(self, job: str | None = None) -> dict[str, Found]:
        """The settings for a job of this name (see `layers.resolve`). Raises UsageError for a wrong one."""
        return resolve(self.layers, job)


def here() -> Project:
    """The project that this process stands in."""
    try:
        folder = Path.cwd()
    except FileNotFoundError:
        raise UsageError("the working directory is gone", "type: cd") from None
    return find_project(folder, os.environ)


def find_project(cwd: Path, environ: Mapping[str, str]) -> Project:
    """The project that `cwd` stands in, or the user's own folders.

    Raises UsageError for a settings file that is not TOML, holds a name that is not known, or names no folder where one
    is due. What it holds for jobs is checked by `settings_for`: that must not stand in the way of ending one.
    """
    root, files = _nearest_settings(cwd)
    layers = (*files, *_users_settings(environ), environment(environ))
    given = {key: str(found.value) for key, found in folders(layers).items()}
    base = root if root is not None else _state_home(environ) / "gravscope"
    return Project(
        jobs_dir=(base / _at_home(given.get("jobs_dir") or _default("jobs", root))).absolute(),
        log_dir=(base / _at_home(given.get("log_dir") or _default("logs", root))).absolute(),
        root=root,
        layers=layers,
    )


def _default(what: str, root: Path | None) -> str:
    return what if root is None else f"tmp/{what}"


def _state_home(environ: Mapping[str, str]) -> Path:
    """XDG base directory specification: an unset, empty or relative value means ~/.local/state."""
    given = Path(environ.get("XDG_STATE_HOME") or "")
    return given if given.is_absolute() else _at_home("~/.local/state")


def _users_settings(environ: Mapping[str, str]) -> list[Layer]:
    """Likewise, ~/.config. Who has no home folder has no settings in it."""
    given = Path(environ.get("XDG_CONFIG_HOME") or "")
    try:
        file = (given if given.is_absolute() else Path("~/.config").expanduser()) / "gravscope" / "config.toml"
    except RuntimeError:
        return []
    return [Layer(read_toml(file), file)] if _is_file(file) else []


def _at_home(path: str) -> Path:
    try:
        if b"\0" in os.fsencode(path):
            raise UsageError(f"{path!r}: a folder's name cannot hold a NUL byte")
        return Path(path).expanduser()
    except RuntimeError:
        raise UsageError(f"{path}: there is no such home folder", "set HOME, or XDG_STATE_HOME") from None
    except UnicodeEncodeError:
        raise UsageError(f"{path}: this locale's encoding does not have such a name", "set LC_ALL=C.UTF-8") from None


def _nearest_settings(cwd: Path) -> tuple[Path | None, list[Layer]]:
    for folder in [cwd, *cwd.parents]:
        found = _shared_settings(folder / "pyproject.toml")
        own = folder / "gravscope.toml"
        if _is_file(own):
            found.append(Layer(read_toml(own), own))
        if found:
            return folder, found
    return None, []


def _shared_settings(file: Path) -> list[Layer]:
    """Ours in a pyproject.toml. One that does not even have our name in it is not ours to find fault with."""
    if not _is_file(file) or not _names_us(file):
        return []
    tool = read_toml(file).get(_TABLE[0])
    table = tool.get(_TABLE[1]) if isinstance(tool, dict) else None
    if table is None:
        return []
    if not isinstance(table, dict):
        raise UsageError(f"{file}: tool.gravscope must be a table", "write [tool.gravscope]")
    return [Layer(table, file, _TABLE)]


def _names_us(file: Path) -> bool:
    try:
        return _TABLE[1].encode() in file.read_bytes()
    except OSError:
        return True  # and reading it as TOML says what is wrong


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113 (Path.is_file raises where a folder above is not ours to search)
