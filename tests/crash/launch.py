"""One job under the crash matrix: launched, perhaps hit by SIGKILL, and then looked at from outside.

What is true is taken from the processes and from what the command itself left, never from the product.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.support import REPOSITORY, state_of, until

HERE = Path(__file__).resolve().parent
LAUNCHERS = ("setsid", "nohup", "systemd-run")
# how often one looks for processes of which none is found
LOOKS = 8
# says that it runs, waits for the word to end, says that it ends by itself
COMMAND = """#!/bin/sh
echo $$ >{folder}/ran
read -r _ <{folder}/word
echo $? >{folder}/done
exit 3
"""


@dataclass(frozen=True)
class Process:
    """A live process of one launch, recognised by the environment it was started with."""

    pid: int
    role: str

    def kill(self) -> str | None:
        """SIGKILL to just this process; the role in which it died, None if it has ended meanwhile.

        It is held still first: what was the supervisor's child when it was found may be the command by now. As often as
        it takes: when its process group becomes an orphan the kernel lets it go on (setpgid(2)).
        """
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return None
        try:
            until(lambda: is_still(self.pid, descriptor), f"that {self} stands still")
            role = role_of(self.pid) if state_of(self.pid) == "T" else None
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        except (ProcessLookupError, FileNotFoundError):
            return None
        finally:
            os.close(descriptor)
        return role


def is_still(pid: int, descriptor: int) -> bool:
    """Whether a process does nothing any more; told to stop, if not. Raises ProcessLookupError once it is reaped."""
    if state_of(pid) in "TZX":
        return True
    signal.pidfd_send_signal(descriptor, signal.SIGSTOP)
    return False


def role_of(pid: int) -> str:
    """What part a process plays, by its command line; `other` for the programs that those call."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    if "supervisor/__main__.py" in words:
        name = Path(f"/proc/{pid}/comm").read_text().strip()
        if name in LAUNCHERS:
            return name
        parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        beside = Path(f"/proc/{parent}/cmdline").read_bytes() if parent > 1 else b""
        return "child" if beside == Path(f"/proc/{pid}/cmdline").read_bytes() else "supervisor"
    if "-m gravscope " in words:
        return "cli"
    return "command" if "crashpoint-command" in words else "other"


def last_pid() -> str:
    """The number of the process that came into being last (proc(5), loadavg)."""
    return Path("/proc/loadavg").read_text().split()[-1]


def is_being_execed(name: str) -> bool:
    """Whether a process, by the name of its folder in /proc, has memory and no place for its environment there yet."""
    try:
        fields = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split() if name.isdigit() else []
    except OSError:
        return False
    return len(fields) > 48 and int(fields[20]) > 0 and fields[48] == "0"


@dataclass
class Launch:
    """A folder of its own, and the environment under which everything of this launch can be recognised."""

    shim: Path
    launcher: str
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="gravscope-crash-")))
    struck: str | None = None
    """The role of the process that was killed, once it was."""

    def __post_init__(self) -> None:
        self.mark = f"CRASHPOINT_RUN={self.folder.name}".encode()
        self.jobs, self.trace = self.folder / "jobs", self.folder / "trace"
        self.command = self.folder / "crashpoint-command"
        self.command.write_text(COMMAND.format(folder=self.folder))
        self.command.chmod(0o755)
        os.mkfifo(self.folder / "word")

    def gravscope(self, *words: str, role: str = "", at: int = 0) -> subprocess.Popen[bytes]:
        """`gravscope WORDS…`, to be killed before step `at` of whoever plays `role`."""
        environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("GRAV", "CRASHPOINT"))},
            **{"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin", "LD_PRELOAD": str(self.shim)},
            **{"GRAVSCOPE_JOBS_DIR": str(self.jobs), "GRAVSCOPE_LOG_DIR": str(self.folder / "logs")},
            **{"CRASHPOINT_RUN": self.folder.name, "CRASHPOINT_TRACE": str(self.trace)},
            **{"CRASHPOINT_ROLE": role, "CRASHPOINT_AT": str(at)},
        }
        argv = [sys.executable, "-m", "gravscope", *words]
        null, pipe = subprocess.DEVNULL, subprocess.PIPE
        return subprocess.Popen(argv, env=environ, cwd=self.folder, stdin=null, stdout=null, stderr=pipe)

    def run(self, role: str = "", at: int = 0) -> subprocess.Popen[bytes]:
        """`gravscope run` of the command."""
        words = ("run", "-n", "x", "--launcher", self.launcher, "--grace", "20s", "--", str(self.command))
        return self.gravscope(*words, role=role, at=at)

    def processes(self) -> list[Process]:
        """Everything of this launch that lives."""
        found = []
        for entry in os.listdir("/proc"):
            try:
                if entry.isdigit() and self.mark in Path(f"/proc/{entry}/environ").read_bytes().split(b"\0"):
                    found.append(Process(int(entry), role_of(int(entry))))
            except (OSError, IndexError):
                continue  # it is gone, or somebody else's
        return found

    def working(self) -> list[Process]:
        """Those that are or will be the job: all but the command line itself.

        That there is none is believed of a look during which no process came into being, for it may have been missed,
        and none was being exec'd, for by its environment nobody could have known it.
        """
        for _ in range(LOOKS):
            before = last_pid()
            found = [process for process in self.processes() if process.role not in ("cli", "other")]
            if found or (last_pid() == before and not any(map(is_being_execed, os.listdir("/proc")))):
                return found
            time.sleep(0.005)
        return []

    def said(self, name: str) -> bool:
        """Whether the command has left file `name`: `ran`, or `done` when it came to its own end."""
        path = self.folder / name
        return path.exists() and path.stat().st_size > 0

    def settled_down(self) -> bool:
        """Nothing more happens by itself: the command waits for its word, or there is nothing left."""
        return self.said("ran") or not self.working()

    def command_lives(self) -> bool:
        """Whether the command itself is there to hear its word."""
        return any(process.role == "command" for process in self.processes())

    def release(self) -> None:
        """Gives the command its word, if it is still there."""
        while self.command_lives():
            try:
                os.close(os.open(self.folder / "word", os.O_WRONLY | os.O_NONBLOCK))
            except OSError:
                time.sleep(0.005)  # ENXIO: it does not read yet
                continue
            return

    def killed_steps(self) -> Mapping[tuple[str, int], str]:
        """What was traced: role and number, and what it was; what differs from launch to launch is left out."""
        found = {}
        for line in self.trace.read_text().splitlines() if self.trace.exists() else ():
            role, number, what = line.split(" ", 2)
            found[role, int(number)] = what.strip()
        return found

    def last_words(self) -> str:
        """The ends of its logs: a supervisor that fails says why there."""
        return " ".join(repr(path.read_text(errors="replace")[-600:]) for path in self.folder.glob("logs/*"))

    def forget(self) -> None:
        """Ends whatever still lives, and removes the folder."""
        while left := self.processes():
            for process in left:
                process.kill()
            time.sleep(0.005)
        shutil.rmtree(self.folder, ignore_errors=True)


def build_shim(folder: Path) -> Path:
    """Compiles the library that is loaded into everything. Raises FileNotFoundError where there is no gcc."""
    shim = folder / "crashpoint.so"
    source = HERE / "crashpoint.c"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", shim, source, "-ldl"], check=True)
    shim.chmod(0o755)
    return shim
