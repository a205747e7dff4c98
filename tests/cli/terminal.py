"""A shell on a terminal of its own: keys are pressed, and what it shows is read."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shutil
import struct
import termios
import time
from collections.abc import Mapping
from pathlib import Path

from tests.support import PATIENCE

# so many rows that no list is ever asked about, or shown in parts
ROWS, COLUMNS = 5000, 200
PROMPT = "ASK> "
SHELLS = {
    # one item a row, nothing asked, no escape sequences
    "bash": (
        ["bash", "--norc", "--noprofile", "-i"],
        """
        bind 'set show-all-if-ambiguous on'; bind 'set page-completions off'; bind 'set completion-query-items 0'
        bind 'set completion-display-width 0'; bind 'set enable-bracketed-paste off'; bind 'set bell-style none'
        """,
    ),
    # BAUD=0: a list is shown even if more keys have been pressed meanwhile
    "zsh": (
        ["zsh", "-f", "-i"],
        """
        unset zle_bracketed_paste; unsetopt prompt_sp prompt_cr auto_menu beep; LISTMAX=10000; BAUD=0
        autoload -Uz compinit; compinit -u -D
        """,
    ),
}


class Terminal:
    """An interactive shell that has read `setup`."""

    def __init__(self, shell: str, folder: Path, environ: Mapping[str, str], setup: str) -> None:
        argv, settings = SHELLS[shell]
        program = shutil.which(argv[0])
        assert program is not None
        file = folder / f"setup.{shell}"
        file.write_text(f"{settings}\n{setup}\nPS1='{PROMPT}'\n")
        self.heard = ""
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execve(program, argv, {**environ, "TERM": "dumb"})
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self._press(f" . {file}\r")
        self._until(PROMPT)

    def listed(self, line: str) -> list[str]:
        """What the shell offers when Tab is pressed behind `line`; nothing if it goes on by itself."""
        self._press(f"{line}\t")
        # the line is taken back, and something else done, so that there is an end to wait for
        self._press("\x15echo E''ND\r")
        shown = self._until("END\r\n").partition(line)[2]
        self._until(PROMPT)
        # what follows in the same row was put into the line, and is not offered
        shown = shown.partition("echo E")[0].partition("\n")[2]
        rows = [row for row in re.split(r"[\r\n]+", shown) if row.strip() and not row.startswith(PROMPT.strip())]
        return [item for row in rows for item in row.partition(" -- ")[0].split()]

    def run(self, line: str) -> str:
        """What `line` prints, which is to begin with <, when Tab and Return are pressed behind it."""
        self._press(f"{line}\t\r")
        self._until("\n<")
        return "<" + self._until("\n" + PROMPT).partition("\r")[0]

    def _press(self, keys: str) -> None:
        os.write(self.descriptor, keys.encode())

    def _until(self, mark: str) -> str:
        """All that is shown up to `mark`, which is the last of it."""
        deadline = time.monotonic() + PATIENCE
        while mark not in self.heard:
            ready, _, _ = select.select([self.descriptor], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"{mark!r} was not shown, but {self.heard!r}"
            self.heard += os.read(self.descriptor, 65536).decode("utf-8", "replace")
        before, found, self.heard = self.heard.partition(mark)
        return before + found

    def close(self) -> None:
        """Hangs up."""
        os.close(self.descriptor)
        os.waitpid(self.pid, 0)
