"""The current project: its folders, and the layers of its settings (see `gravscope.settings.layers`).

A project is the nearest folder upwards with a `gravscope.toml`, or with `[tool.gravscope]` in its pyproject.toml. If a
folder has both, both count, and gravscope.toml is stronger: it can hold the settings of this machine beside a
pyproject.toml that everybody shares. Outside of any project, jobs belong to the user:
`$XDG_STATE_HOME/gravscope/{jobs,logs}`. The user's own settings, which apply to all projects and are stronger than
theirs, are in `$XDG_CONFIG_HOME/gravscope/config.toml`. A relative folder is relative to the project, even if the
user's file sets it. So each project keeps its own folder, and a name never means a job of another project.
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
    """The folders of records and logs, and the layers of settings, the weakest first. No project: `root` is None."""

    jobs_dir: Path
    log_dir: Path
    root: Path | None = None
    layers: tuple[Layer, ...] = ()

    def settings_for(self, job: str | None = None) -> dict[str, Found]:
        """The settings for a job of this name (see `layers.resolve`). Raises UsageError for a wrong setting."""
        return resolve(self.layers, job)


def here() -> Project:
    """The project of the working directory."""
    try:
        folder = Path.cwd()
    except FileNotFoundError:
        raise UsageError("the working directory is gone", "type: cd") from None
    return find_project(folder, os.environ)


def find_project(cwd: Path, environ: Mapping[str, str]) -> Project:
    """The project that `cwd` is in, or the user's own folders.

    Raises UsageError if a settings file is not TOML, has an unknown name, or sets a folder to something that is not
    one. The settings of jobs are checked by `settings_for`: a mistake there must not prevent a cancel.
    """
    root, files = _nearest_settings(cwd)
    layers = (*files, *_users_settings(environ), environment(environ))
    given = {key: str(found.value) for key, found in folders(layers).items()}
    base = root if root is not None else _state_home(environ) / "gravscope"
    return Project(
        jobs_dir=(base / _expand_home(given.get("jobs_dir") or _default("jobs", root))).absolute(),
        log_dir=(base / _expand_home(given.get("log_dir") or _default("logs", root))).absolute(),
        root=root,
        layers=layers,
    )


def _default(what: str, root: Path | None) -> str:
    return what if root is None else f"tmp/{what}"


def _state_home(environ: Mapping[str, str]) -> Path:
    """XDG base directory specification: if unset, empty or relative, ~/.local/state is used."""
    given = Path(environ.get("XDG_STATE_HOME") or "")
    return given if given.is_absolute() else _expand_home("~/.local/state")


def _users_settings(environ: Mapping[str, str]) -> list[Layer]:
    """The user's file; as above, with ~/.config. A user without a home folder has none."""
    given = Path(environ.get("XDG_CONFIG_HOME") or "")
    try:
        file = (given if given.is_absolute() else Path("~/.config").expanduser()) / "gravscope" / "config.toml"
    except RuntimeError:
        return []
    return [Layer(read_toml(file), file)] if _is_file(file) else []


def _expand_home(path: str) -> Path:
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
    """The settings in a pyproject.toml. A file that does not mention gravscope at all is not checked for mistakes."""
    if not _is_file(file) or not _mentions_gravscope(file):
        return []
    tool = read_toml(file).get(_TABLE[0])
    table = tool.get(_TABLE[1]) if isinstance(tool, dict) else None
    if table is None:
        return []
    if not isinstance(table, dict):
        raise UsageError(f"{file}: tool.gravscope must be a table", "write [tool.gravscope]")
    return [Layer(table, file, _TABLE)]


def _mentions_gravscope(file: Path) -> bool:
    try:
        return _TABLE[1].encode() in file.read_bytes()
    except OSError:
        return True  # reading it as TOML will report the error


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113 (Path.is_file raises where a folder above is not ours to search)
