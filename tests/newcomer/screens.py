"""The screens that are kept: where they are, and how what was shown differs from them."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path

from tests.newcomer.player import Hour
from tests.newcomer.tour import NAMES

FOLDER = Path(__file__).parent / "screens"
MACHINES = ("bare", "guest")
# under which a test hands what was shown to whoever keeps it
PROPERTY = "newcomer's screen"


def path_of(machine: str, name: str) -> Path:
    """The file of a page, numbered as they follow each other."""
    return FOLDER / machine / f"{NAMES.index(name) + 1:02}-{name}.txt"


def difference(machine: str, name: str, shown: str) -> str:
    """How a page that was shown differs from the one that is kept, as diff -u tells it."""
    path = path_of(machine, name)
    kept = path.read_text() if path.exists() else ""
    title = f"{machine}/{path.name}"
    lines = difflib.unified_diff(kept.splitlines(), shown.splitlines(), f"{title} kept", f"{title} shown", lineterm="")
    return "\n".join(lines)


def check(machine: str, hour: Hour, name: str, record_property: Callable[[str, object], None]) -> None:
    """A page is shown as it is kept."""
    shown = hour.page(name)
    record_property(PROPERTY, [machine, name, shown])
    found = difference(machine, name, shown)
    assert not found, f"\n{found}\nif that is as it should be: python -m tests.newcomer {machine}"
