"""A real terminal for tests: tmux with a server of its own, and an interactive bash in it."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.needs import need
from tests.support import PATIENCE, Gravscope, ManagedGravscope, until

COLUMNS, LINES = 80, 24


class Screen:
    """One window of one shell, whose prompt is `NUMBER:STATUS>`: the command that it waits for, and how the last ended.

    In it `$G` is gravscope, with the folders of `gravscope`.
    """

    patience = PATIENCE

    def __init__(
        self, gravscope: Gravscope, size: tuple[int, int] = (COLUMNS, LINES), environ: Mapping[str, str] | None = None
    ) -> None:
        self.gravscope = gravscope
        self.number = 1
        self.socket = gravscope.folder / "tmux"
        self.environ = {
            **gravscope.environ,
            "G": shlex.join(gravscope.command),
            "PS1": r"\#:$?> ",
            "LC_ALL": "C.UTF-8",
            "TERM": "screen",
            "LESS": "",
            "SHELL": "/bin/sh",
            **(environ or {}),
        }
        window = ("-x", str(size[0]), "-y", str(size[1]))
        need("tmux")
        self.tmux("-f", "/dev/null", "new-session", "-d", *window, "exec bash --norc --noprofile -i")
        self.tmux("set-option", "-g", "remain-on-exit", "on")
        self.status()

    def tmux(self, *words: str) -> str:
        """What tmux prints when told `words`."""
        # whatever signals pytest was started to ignore
        argv = ["env", "--default-signal", "tmux", "-S", str(self.socket), *words]
        if isinstance(self.gravscope, ManagedGravscope):
            done = self.gravscope.manager.run(argv, env=self.environ, cwd=self.gravscope.folder)
        else:
            done = subprocess.run(
                argv, env=self.environ, cwd=self.gravscope.folder, capture_output=True, text=True, check=False
            )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def command(self, line: str) -> None:
        """Types a line and Enter; `status` then tells how it ended."""
        self.tmux("send-keys", "-l", line)
        self.tmux("send-keys", "Enter")
        self.number += 1

    def keys(self, *names: str) -> None:
        """Presses keys, by tmux's names for them: C-c, q, Enter …"""
        self.tmux("send-keys", *names)

    def text(self) -> str:
        """What is on the screen."""
        return self.tmux("capture-pane", "-p")

    def shows(self, pattern: str) -> re.Match[str]:
        """Waits until the screen shows `pattern`, a regular expression in which ^ and $ are the ends of lines."""
        shown = ""

        def found() -> re.Match[str] | None:
            nonlocal shown
            shown = self.text()
            return re.search(pattern, shown, re.MULTILINE)

        try:
            return until(found, f"{pattern!r} on the screen", patience=self.patience)
        except AssertionError as error:
            raise AssertionError(f"{error}; it shows\n{shown}") from None

    def status(self) -> int:
        """Waits until the shell has its terminal back after the last command; the exit status that the shell saw."""
        return int(self.shows(rf"^(?:\^C)?{self.number}:(\d+)>$")[1])

    def resize(self, columns: int, lines: int) -> None:
        """Gives the window another size, and returns once its terminal has that: whoever runs there is told by then."""
        self.tmux("resize-window", "-x", str(columns), "-y", str(lines))
        tty = self.tmux("display-message", "-p", "#{pane_tty}").strip()
        until(lambda: size_of(tty) == (columns, lines), f"{tty} of {columns} by {lines}")


def size_of(tty: str) -> tuple[int, int]:
    """Columns and lines of a terminal."""
    descriptor = os.open(tty, os.O_RDWR | os.O_NOCTTY)
    try:
        return os.get_terminal_size(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def screen_for(gravscope: Gravscope) -> Iterator[Screen]:
    """A screen; its server is ended afterwards, whatever came."""
    screen = None
    try:
        screen = Screen(gravscope)
        yield screen
    finally:
        if screen is not None:
            screen.tmux("kill-server")


def waiting(gravscope: Gravscope) -> int:
    """The pid of the one `gravscope run --fg` that is at work in these folders."""
    mine = f"GRAVSCOPE_JOBS_DIR={gravscope.jobs_dir}".encode()
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().split(b"\0")
            if b"--fg" in words and b"gravscope" in words and mine in (path / "environ").read_bytes().split(b"\0"):
                return int(path.name)
        except OSError:
            continue
    raise AssertionError("nobody waits")
