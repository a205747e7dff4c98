"""The progress notes: a JSON list of {time, rate, note}, appended to by update_progress.py (standard library only)."""

from __future__ import annotations

import argparse
import fcntl
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from rep6.files import PROGRESS, ROOT, InputError, read_json, write_json
from rep6.options import finish


def percentage(text: str) -> float:
    """An argparse type: a number from 0 to 100."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"not a number: {text!r}") from None
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 100")
    return value


def read_entries(path: Path) -> list[dict[str, Any]]:
    """All entries, oldest first; none if there is no such file yet."""
    if not path.exists():
        return []
    entries = read_json(path, "")
    names = {"time", "rate", "note"}
    if not isinstance(entries, list) or not all(isinstance(one, dict) and names <= one.keys() for one in entries):
        raise InputError(f"{path} is not a list of progress entries")
    return entries


def append(path: Path, rate: float, note: str) -> dict[str, Any]:
    """Add an entry to the file, which may be missing, and return it. Two writers at once lose nothing."""
    entry = {"time": datetime.now().astimezone().isoformat(timespec="seconds"), "rate": rate, "note": note}
    lock = path.with_name(f".{path.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A file of its own carries the lock: the list itself is replaced, and a lock on it would go with the old one.
        handle = os.open(lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise InputError(f"cannot write beside {path}: {error.strerror}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        write_json(path, [*read_entries(path), entry])
    finally:
        os.close(handle)
    return entry


def main(program: str, description: str, arguments: Sequence[str] | None = None) -> int:
    """Entry of update_progress.py: returns the exit status."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rate", type=percentage, required=True, metavar="PERCENT", help="0 to 100")
    parser.add_argument("--note", default="", metavar="TEXT")
    parser.add_argument("--file", type=Path, metavar="FILE", help=f"default: {PROGRESS} below --root")
    parser.add_argument("--root", type=Path, default=ROOT, metavar="DIR", help="default: the repository")
    options = parser.parse_args(arguments)

    def work() -> None:
        entry = append(options.file or options.root / PROGRESS, options.rate, options.note)
        print(f"[progress] {entry['rate']:g}% {entry['note']}".rstrip())

    return finish(program, work)
