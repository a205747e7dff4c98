"""The files of gravscope that are not modules: the Make include, the unit files, and the program itself."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import gravscope
from gravscope.base.errors import UnsupportedError


def find(name: str) -> Path | None:
    """The path of file `name`, in the installed package's data or at the top of a checkout; None if it is missing."""
    package = Path(gravscope.__file__).parent
    for place in (package / "data" / name, package.parent / name):
        if place.is_file():
            return place
    return None


def path_of(name: str) -> Path:
    """As `find`, but raises UnsupportedError if it is missing."""
    place = find(name)
    if place is None:
        raise UnsupportedError(f"{name} is missing from this installation", "install gravscope anew")
    return place


def program() -> list[str]:
    """The words that start this gravscope from anywhere, as root and timers have another PATH.

    Links are not resolved: the interpreter of a virtual environment is a link, and finds its packages by its own path.
    """
    beside = Path(sys.executable).absolute().parent / "gravscope"
    if os.access(beside, os.X_OK):
        return [str(beside)]
    found = shutil.which("gravscope")
    return [str(Path(found).absolute())] if found else [sys.executable, "-m", "gravscope"]
