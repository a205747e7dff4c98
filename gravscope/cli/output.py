"""What printing has in common: JSON, notes, the width of a line."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import msgspec

from gravscope.actions.hide import hide_secrets
from gravscope.errors import UsageError
from gravscope.model import JobRecord
from gravscope.project import Project, find_project
from gravscope.store import Store

WIDTH = 80


def print_json(value: object) -> None:
    """`value` as JSON, indented, and nothing else."""
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode("utf-8"))


def note(line: str) -> None:
    """Something worth knowing that is neither result nor error."""
    print(f"gravscope: {line}", file=sys.stderr)


def width() -> int:
    """Columns that a line may have: the terminal's, 80 where there is none."""
    return shutil.get_terminal_size((WIDTH, 24)).columns if sys.stdout.isatty() else WIDTH


def public(record: JobRecord) -> dict[str, Any]:
    """A record for other eyes: values of secret-looking variables hidden."""
    shown: dict[str, Any] = msgspec.to_builtins(record)
    shown["env"] = hide_secrets(record.env)
    return shown


def here() -> Project:
    """The project that the command was given in."""
    try:
        folder = Path.cwd()
    except FileNotFoundError:
        raise UsageError("the working directory is gone", "type: cd") from None
    return find_project(folder, os.environ)


def store_here() -> Store:
    """Its records."""
    return Store(here().jobs_dir)
