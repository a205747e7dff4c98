"""`pid_reuse.py FOLDER`, run as the first process of a PID namespace: jobs whose pids are given to other processes.

Prints as JSON what gravscope said in each case, and what happened to the processes that got the pids.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PATIENCE = 60.0
# A child that leaves its group; the command ends once the file `go` exists.
LEAVER = "setsid sleep 1000 & until [ -e go ]; do sleep 0.02; done"


def until(condition: Callable[[], object], what: str) -> None:
    """Waits for a condition, and reaps ended children meanwhile, as all orphans become our children."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        reap()
        if time.monotonic() > deadline:
            raise SystemExit(f"{what} did not come about")
        time.sleep(0.005)


def reap() -> None:
    """Reaps ended children: a pid is free only after that."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def exists(pid: int) -> bool:
    """True for zombies as well."""
    return os.path.exists(f"/proc/{pid}")


class Innocent:
    """A process with a given pid that leads its own group and session and notes every signal."""

    def __init__(self, wanted: int, notes: Path) -> None:
        self.wanted, self.notes = wanted, notes
        deadline = time.monotonic() + PATIENCE
        while True:
            with open("/proc/sys/kernel/ns_last_pid", "w", encoding="ascii") as file:
                file.write(str(wanted - 1))
            self.pid = os.fork()
            if self.pid == 0:
                self._live()
            if self.pid == wanted:
                break
            os.kill(self.pid, signal.SIGKILL)  # another process got this pid first
            os.waitpid(self.pid, 0)
            if time.monotonic() > deadline:
                raise SystemExit(f"number {wanted} could not be had")
        until(notes.exists, "an innocent process")

    def _live(self) -> None:
        try:
            os.setsid()
            for number in range(1, signal.NSIG):
                if number not in (signal.SIGKILL, signal.SIGSTOP, 32, 33):
                    signal.signal(number, self._note)
            self.notes.touch()
            while True:
                signal.pause()
        finally:
            os._exit(1)

    def _note(self, number: int, _frame: object) -> None:
        with self.notes.open("a") as file:
            print(number, file=file)

    def facts(self) -> dict[str, Any]:
        """What happened to it."""
        stat = Path(f"/proc/{self.pid}/stat")
        fields = stat.read_text().rpartition(")")[2].split() if exists(self.pid) else ["gone", "", "0"]
        return {
            "wanted": self.wanted,
            "pid": self.pid,
            "pgid": int(fields[2]),
            "alive": fields[0] in ("S", "R"),
            "signals": self.notes.read_text().split(),
        }


class Case:
    """One job, and what is done to it."""

    def __init__(self, folder: Path, *command: str) -> None:
        self.folder = folder
        folder.mkdir()
        self.environ = {
            **os.environ,
            "GRAVSCOPE_JOBS_DIR": str(folder / "jobs"),
            "GRAVSCOPE_LOG_DIR": str(folder / "logs"),
        }
        self.done: list[dict[str, Any]] = []
        self.innocents: list[Innocent] = []
        self.job = self("run", "-n", "x", "--launcher", "session", "--", *command)["out"].strip()
        self.done.clear()

    def __call__(self, *words: str) -> dict[str, Any]:
        """`gravscope WORDS…`."""
        command = [sys.executable, "-m", "gravscope", *words]
        done = subprocess.run(command, env=self.environ, cwd=self.folder, capture_output=True, text=True, check=False)
        self.done.append({"words": words, "status": done.returncode, "out": done.stdout, "err": done.stderr})
        return self.done[-1]

    def record(self) -> dict[str, Any]:
        """The record on disk."""
        found: dict[str, Any] = json.loads((self.folder / "jobs" / f"{self.job}.json").read_text())
        return found

    def members(self) -> list[int]:
        """The processes of the job, found by the environment that they were started with."""
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
        return [pid for pid in pids if f"GRAVSCOPE_JOB_ID={self.job}" in environment(pid)]

    def recycle(self, *names: str) -> None:
        """Gives the pids of processes that are gone to other processes."""
        record = self.record()
        until(lambda: not any(exists(record[name]) for name in names), f"the end of {names}")
        for name in names:
            self.innocents.append(Innocent(record[name], self.folder / f"signals of {name}"))

    def kill(self, *names: str) -> None:
        """Sends SIGKILL, and waits until the pids are free."""
        record = self.record()
        for name in names:
            os.kill(record[name], signal.SIGKILL)
        until(lambda: not any(exists(record[name]) for name in names), f"the end of {names}")

    def facts(self) -> dict[str, Any]:
        """All facts about the case."""
        found = {"commands": self.done, "record": self.record(), "left": self.members()}
        return {**found, "innocents": [innocent.facts() for innocent in self.innocents]}


def environment(pid: int) -> str:
    """The environment that the process was started with; empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/environ").read_text()
    except OSError:
        return ""


def leads_a_session(pid: int) -> bool:
    """True for the first process of a session; False for a process that is gone."""
    try:
        return os.getsid(pid) == pid
    except ProcessLookupError:
        return False


def all_gone(folder: Path, *verbs: tuple[str, ...]) -> Case:
    """Supervisor and command are killed, both pids recycled."""
    case = Case(folder, "sleep", "1000")
    case.kill("supervisor_pid", "pid")
    case.recycle("supervisor_pid", "pid")
    for verb in verbs:
        case(verb[0], case.job, *verb[1:])
    return case


def supervisor_gone(folder: Path) -> Case:
    """The command lives on. Its session still has the supervisor's pid, so the kernel does not reuse that pid."""
    case = Case(folder, "sleep", "1000")
    case.kill("supervisor_pid")
    case("status", "--json")
    case("pause", case.job)
    case("cancel", case.job)
    case.recycle("supervisor_pid", "pid")
    case("cancel", case.job)
    return case


def command_gone(folder: Path, *killed: str) -> Case:
    """The command has ended, but a child of it, in its own group, has not."""
    case = Case(folder, "bash", "-c", LEAVER)
    until(lambda: any(leads_a_session(pid) for pid in case.members()), "the child, in a session of its own")
    if killed:
        case.kill(*killed)
    (folder / "go").touch()
    pid = case.record()["pid"]
    until(lambda: not exists(pid), "the end of the command")
    case.recycle(*killed, "pid")
    case("cancel", case.job)
    return case


def main(folder: Path) -> None:
    """Runs every case and prints JSON."""
    verbs = (("status", "--json"), ("pause",), ("resume",), ("limit", "--mem-max", "1G"), ("logs",), ("wait",))
    cases = {
        "all gone": all_gone(folder / "1", ("cancel",)),
        "supervisor gone": supervisor_gone(folder / "2"),
        "command gone": command_gone(folder / "3"),
        "both gone, a child left": command_gone(folder / "4", "supervisor_pid"),
        "status first": all_gone(folder / "5", *verbs),
    }
    print(json.dumps({name: case.facts() for name, case in cases.items()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
