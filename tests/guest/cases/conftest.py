"""What the cases share."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import select
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .helpers import GuestGravscope

WITHIN = 60.0


def output_of(*command: str) -> str:
    """What a command prints, which must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=WITHIN)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class Login:
    """An open login session: a shell on a terminal of its own, started through PAM and known to logind."""

    def __init__(self, user: str) -> None:
        self.user = user
        self.terminal, shell_end = os.openpty()
        # su, not runuser or systemd-run --uid: its PAM configuration is the one that opens a session.
        self.process = subprocess.Popen(
            ["setsid", "--ctty", "su", "--login", user],
            stdin=shell_end,
            stdout=shell_end,
            stderr=shell_end,
            env=os.environ | {"TERM": "dumb"},
        )
        os.close(shell_end)
        self.session = self.run("echo $XDG_SESSION_ID").strip()

    def run(self, command: str, within: float = WITHIN) -> str:
        """Type a command, wait for its end, and return what it printed; it must succeed."""
        # What is typed is echoed, so the marks must not look there as they do when printed.
        os.write(self.terminal, f"printf '<%s>' begin; {command}; printf '<%s-%d>' end $?\n".encode())
        deadline, seen = time.monotonic() + within, ""
        while not (found := re.search(r"<begin>(.*)<end-(\d+)>", seen, re.DOTALL)):
            left = deadline - time.monotonic()
            assert left > 0, f"{command!r} did not end within {within:.0f} s: {seen}"
            if select.select([self.terminal], [], [], left)[0]:
                seen += os.read(self.terminal, 4096).decode(errors="replace")
        printed, status = found.groups()
        assert status == "0", f"{command!r} ended with {status}: {printed}"
        return str(printed).replace("\r\n", "\n")

    def log_out(self) -> None:
        """Leave as with `exit`."""
        if self.terminal >= 0:
            os.write(self.terminal, b"exit\n")
            self._wait()
            self.hang_up()

    def hang_up(self) -> None:
        """Leave as when the connection breaks: the terminal goes, and the shell gets SIGHUP."""
        if self.terminal >= 0:
            os.close(self.terminal)
            self.terminal = -1
            self._wait()

    def _wait(self) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(WITHIN)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
            pytest.fail(f"the shell of {self.user} did not end")


OpenSession = Callable[[str], contextlib.AbstractContextManager[Login]]


@pytest.fixture
def guest(tmp_path: Path) -> Iterator[GuestGravscope]:
    """The command line beside the real user manager; whatever it started is ended afterwards."""
    tool = GuestGravscope(tmp_path)
    yield tool
    tool.clean_up()


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that every user may write to."""
    folder = tmp_path_factory.mktemp("place")
    for each in (folder, *folder.parents[:2]):
        each.chmod(0o777)
    return folder


@pytest.fixture
def login() -> Iterator[OpenSession]:
    """`with login("bob") as session:` is a login session of bob's, closed at the end; for tests as root."""

    @contextlib.contextmanager
    def open_session(user: str) -> Iterator[Login]:
        session = Login(user)
        try:
            yield session
        finally:
            session.log_out()

    yield open_session


def user_manager_runs(user: str) -> bool:
    """Does the user have a user manager just now?"""
    unit = f"user@{pwd.getpwnam(user).pw_uid}.service"
    return output_of("systemctl", "show", "-P", "ActiveState", unit) != "inactive"
