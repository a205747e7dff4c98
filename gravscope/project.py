"""Settings and folders, decided once for each command.

A project is the nearest folder upwards with a `gravscope.toml`, or with `[tool.gravscope]` in its pyproject.toml.
Outside of any, jobs belong to the user: `$XDG_STATE_HOME/gravscope/{jobs,logs}`. `GRAVSCOPE_JOBS_DIR` and
`GRAVSCOPE_LOG_DIR` override either.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gravscope.errors import UsageError

# A job that forks one BLAS thread a core, and one malloc arena a thread, needs many times the memory it would alone
MEMSAFE_ENV: dict[str, str] = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NUMEXPR_MAX_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
}

_KEYS = {"jobs_dir": str, "log_dir": str, "memsafe": bool}


@dataclass(frozen=True)
class Project:
    """Where records and logs are, and the defaults for jobs started here. `root` is None outside of any project."""

    jobs_dir: Path
    log_dir: Path
    root: Path | None = None
    memsafe: bool = True
    memsafe_env: Mapping[str, str] = field(default_factory=lambda: dict(MEMSAFE_ENV))


def find_project(cwd: Path, environ: Mapping[str, str]) -> Project:
    """The project that `cwd` stands in, or the user's own folders.

    Raises UsageError for a settings file that is not TOML or holds a setting that gravscope does not know.
    """
    root, settings = _nearest_settings(cwd)
    base = root if root is not None else _state_home(environ) / "gravscope"
    jobs = environ.get("GRAVSCOPE_JOBS_DIR") or settings.get("jobs_dir") or _default("jobs", root)
    logs = environ.get("GRAVSCOPE_LOG_DIR") or settings.get("log_dir") or _default("logs", root)
    return Project(
        jobs_dir=(base / _at_home(jobs)).absolute(),
        log_dir=(base / _at_home(logs)).absolute(),
        root=root,
        memsafe=settings.get("memsafe", True),
    )


def _default(what: str, root: Path | None) -> str:
    return what if root is None else {"jobs": "tmp/jobs", "logs": "tmp/logs"}[what]


def _state_home(environ: Mapping[str, str]) -> Path:
    """XDG base directory specification: an unset, empty or relative value means ~/.local/state."""
    given = Path(environ.get("XDG_STATE_HOME") or "")
    return given if given.is_absolute() else _at_home("~/.local/state")


def _at_home(path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise UsageError(f"{path}: there is no such home folder", "set HOME, or XDG_STATE_HOME") from None


def _nearest_settings(cwd: Path) -> tuple[Path | None, dict[str, Any]]:
    for folder in [cwd, *cwd.parents]:
        own = folder / "gravscope.toml"
        if os.path.isfile(own):  # noqa: PTH113 (Path.is_file raises where a folder above is not ours to search)
            return folder, _checked(_read_toml(own), own)
        shared = folder / "pyproject.toml"
        if os.path.isfile(shared):  # noqa: PTH113
            tool = _read_toml(shared).get("tool")
            table = tool.get("gravscope") if isinstance(tool, dict) else None
            if table is not None:
                return folder, _checked(table, shared)
    return None, {}


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: {error}", "mend the file, or run from another folder") from None


def _checked(table: Any, path: Path) -> dict[str, Any]:  # noqa: ANN401 (TOML holds anything)
    if not isinstance(table, dict):
        raise UsageError(f"{path}: tool.gravscope must be a table, not {table!r}")
    for key, value in table.items():
        if key not in _KEYS:
            raise UsageError(f"{path}: unknown setting {key!r}", f"known are {', '.join(sorted(_KEYS))}")
        if not isinstance(value, _KEYS[key]):
            raise UsageError(f"{path}: {key} must be a {_KEYS[key].__name__}, not {value!r}")
    return dict(table)
