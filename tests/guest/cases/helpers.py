"""What cases about jobs share: the command line beside the guest's own user manager, tmux in a scope, hogs."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.support import REPOSITORY, Gravscope, until

CGROUPS = Path("/sys/fs/cgroup")
PYTHON = f"{sys.executable} -I -S"
# Takes ever more memory, 24 MB in a quarter of a second.
HOG = "tail /dev/zero"
# The same as one python, as in the incident.
PYTHON_HOG = f"{PYTHON} -c '[bytearray(1 << 20) for _ in range(4000)]'"
MIB = 1 << 20


class GuestGravscope(Gravscope):
    """`gravscope` as the user of the guest has it, with folders of its own under `folder`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        ours = ("PYTHONPATH", "GRAVSCOPE_JOBS_DIR", "GRAVSCOPE_LOG_DIR")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GRAVSCOPE", "MAKE"))}
        self.environ = {**kept, **{name: self.environ[name] for name in ours}}

    def start(self, *words: str, env: Mapping[str, str] | None = None) -> str:
        """`gravscope run WORDS…` in a scope; the id of the job, which has started."""
        done = self("run", "--launcher", "scope", *words, env=env)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def run(self, *words: str) -> dict[str, Any]:
        """The record of a job that has been run to its end, in a scope."""
        return self.ended(self.start(*words))


def typed_gravscope() -> str:
    """What is typed into a shell for `gravscope` of this checkout, before its words."""
    return f"PYTHONPATH={REPOSITORY} {sys.executable} -m gravscope"


def command(place: Path, *words: str) -> list[str]:
    """`gravscope WORDS…` with its folders in `place`."""
    variables = {"PYTHONPATH": REPOSITORY, "GRAVSCOPE_JOBS_DIR": place / "jobs", "GRAVSCOPE_LOG_DIR": place / "logs"}
    return ["env", *(f"{name}={value}" for name, value in variables.items()), sys.executable, "-m", "gravscope", *words]


def systemctl(*words: str) -> str:
    """What `systemctl --user WORDS…` prints."""
    done = subprocess.run(["systemctl", "--user", *words], capture_output=True, text=True, check=False, timeout=60)
    return done.stdout.strip()


def properties(unit: str, *names: str) -> dict[str, str]:
    """Properties of a unit of the user's, by name."""
    return dict(line.split("=", 1) for line in systemctl("show", "-p", ",".join(names), unit).splitlines())


def job_scopes() -> list[str]:
    """Every scope of a job that the user manager still knows, or that still has a cgroup."""
    units = systemctl("list-units", "--all", "--plain", "--no-legend", "gravscope-*.scope").splitlines()
    home = CGROUPS / f"user.slice/user-{os.getuid()}.slice"
    return [line.split()[0] for line in units] + [str(folder) for folder in home.rglob("gravscope-*.scope")]


@contextlib.contextmanager
def limited_slice(*limits: str) -> Iterator[None]:
    """gravscope.slice with limits such as MemoryMax=40M, until the end of the block."""
    names = [limit.partition("=")[0] for limit in limits]
    # a slice is there while something is in it, and its runtime settings wait for it
    subprocess.run(["systemctl", "--user", "start", "gravscope.slice"], check=True)
    subprocess.run(["systemctl", "--user", "set-property", "--runtime", "gravscope.slice", *limits], check=True)
    try:
        yield
    finally:
        open_again = [f"{name}=infinity" for name in names]
        subprocess.run(["systemctl", "--user", "set-property", "--runtime", "gravscope.slice", *open_again], check=True)


class Tmux:
    """A tmux server in a scope of its own, as a terminal started by systemd is, with a shell in its only pane."""

    def __init__(self, folder: Path, environ: dict[str, str], *limits: str) -> None:
        self.command = ["tmux", "-S", str(folder / "tmux")]
        self.unit = f"tmux-{re.sub('[^a-z]', '', folder.name)}-{os.urandom(4).hex()}.scope"
        scope = ["systemd-run", "--user", "--scope", "--quiet", f"--unit={self.unit}"]
        # as it was in the incident: a tmux that finds the user's bus may put each pane into a scope (Debian 13)
        start = ["env", "-uXDG_RUNTIME_DIR", "-uDBUS_SESSION_BUS_ADDRESS", *self.command, "-f", "/dev/null"]
        start += ["new-session", "-d", "-s", "work", "-x", "200", "bash --norc"]
        subprocess.run([*scope, *(f"-p{limit}" for limit in limits), *start], env=environ, check=True, timeout=60)
        self.pid = int(self.answer("display-message", "-p", "#{pid}"))

    def answer(self, *words: str) -> str:
        """What `tmux WORDS…` prints, nothing if there is no server."""
        done = subprocess.run([*self.command, *words], capture_output=True, text=True, check=False, timeout=60)
        return done.stdout.strip()

    def lives(self) -> bool:
        """True while the server that was started answers, with its pane."""
        return self.answer("list-panes", "-a", "-F", "#{pid} #{pane_dead}").split() == [str(self.pid), "0"]

    def type(self, line: str) -> None:
        """Types a line into the pane."""
        subprocess.run([*self.command, "send-keys", "-t", "work", "-l", line], check=True, timeout=60)
        subprocess.run([*self.command, "send-keys", "-t", "work", "Enter"], check=True, timeout=60)

    def screen(self) -> str:
        """What the pane shows."""
        return self.answer("capture-pane", "-p", "-J", "-t", "work")

    def end(self) -> None:
        """Ends the server, if it is there, and what it leaves."""
        subprocess.run([*self.command, "kill-server"], capture_output=True, check=False, timeout=60)
        until(lambda: properties(self.unit, "ActiveState")["ActiveState"] in ("inactive", "failed"), "the end of tmux")
        systemctl("reset-failed", self.unit)


@contextlib.contextmanager
def tmux(folder: Path, environ: dict[str, str], *limits: str) -> Iterator[Tmux]:
    """A tmux, ended at the end of the block."""
    server = Tmux(folder, environ, *limits)
    try:
        yield server
    finally:
        server.end()
