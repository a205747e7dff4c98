"""A wall clock that tests can step, for the processes that they start and for no other: no real clock is touched."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest

from tests.needs import needing

SOURCE = Path(__file__).with_name("fake_clock.c")


class FakeClock:
    """Whatever is started with `environ` reads its wall clock here; it goes right until it is told otherwise."""

    def __init__(self, folder: Path, library: Path) -> None:
        self._file = folder / "clock"
        self.environ = {"LD_PRELOAD": str(library), "FAKE_CLOCK": str(self._file)}
        self.step(0)

    def step(self, seconds: float) -> None:
        """From now on it is `seconds` off the real one."""
        self._tell(f"{seconds:+f}")

    def stand_at(self, moment: datetime) -> None:
        """From now on it stands still."""
        self._tell(f"={moment.timestamp():f}")

    def _tell(self, text: str) -> None:
        beside = self._file.with_suffix(".new")
        beside.write_text(text)
        beside.chmod(0o644)
        os.replace(beside, self._file)


@contextmanager
def fake_clock() -> Iterator[FakeClock]:
    """Raises FileNotFoundError where there is no gcc. Other users can read it, too: a private manager's, for one."""
    folder = Path(tempfile.mkdtemp(prefix="gravscope-clock-"))
    try:
        folder.chmod(0o755)
        library = folder / "fake_clock.so"
        subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library, SOURCE], check=True)
        library.chmod(0o755)
        yield FakeClock(folder, library)
    finally:
        shutil.rmtree(folder)


@pytest.fixture
@needing("gcc")
def clock() -> Iterator[FakeClock]:
    """A clock of the test's own."""
    with fake_clock() as made:
        yield made
