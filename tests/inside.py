"""The command line inside of the test's own process: quick, and whatever it would signal can be caught."""

from __future__ import annotations

import _signal
import contextlib
import io
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer

from gravscope import cli
from gravscope.cli.app import app

# what the command line may exit with when it is asked about a job (docs/architecture.md)
CONTRACT = {0, 1, 2, 3, 4, 5, 6, 124}


@dataclass(frozen=True)
class Done:
    """What a command did."""

    status: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line on standard error; it is no other."""
        (line,) = self.err.splitlines()
        return line


class Inside:
    """`gravscope WORDS…` over a folder of records, every signal and every tool it would use noted instead."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.jobs_dir, self.log_dir = folder / "jobs", folder / "logs"
        for made in (self.jobs_dir, self.log_dir):
            made.mkdir(mode=0o700)
        self.deeds: list[tuple[object, ...]] = []
        patch.setenv("GRAVSCOPE_JOBS_DIR", str(self.jobs_dir))
        patch.setenv("GRAVSCOPE_LOG_DIR", str(self.log_dir))
        command = typer.main.get_command(app)
        patch.setattr(typer.main, "get_command", lambda _app: command)  # making it takes longer than most commands
        for module, name in ((os, "kill"), (os, "killpg"), (_signal, "pidfd_send_signal")):
            self._note(patch, module, name)
        self._note(patch, signal, "pidfd_send_signal")
        self._note(patch, subprocess, "run")
        self._note(patch, subprocess, "Popen")

    def _note(self, patch: pytest.MonkeyPatch, module: Any, name: str) -> None:  # noqa: ANN401 (a module)
        patch.setattr(module, name, lambda *words, **_: self.deeds.append((name, *words)))

    def __call__(self, *words: str) -> Done:
        """Runs it to its end; an exception that is no exit status fails the test."""
        out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace") for _ in range(2))
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = cli.status_of(list(words))
        out.flush()
        err.flush()
        assert status in CONTRACT or 128 < status < 256 or words[0] == "wait"
        return Done(status, out.buffer.getvalue().decode(), err.buffer.getvalue().decode())


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Inside]:
    """The command line in this process; nothing may have been signalled, nor any tool called, unless the test took it
    out of `deeds`."""
    tool = Inside(tmp_path, monkeypatch)
    yield tool
    assert tool.deeds == []
