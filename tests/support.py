"""Helpers that tests share: the command line as a user has it, and waiting on conditions."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from tests.private_manager.manager import UserManager

REPOSITORY = Path(__file__).parent.parent
# no condition in these tests takes longer, even on a machine that is ten times slower than a poor one
PATIENCE = 60.0

T = TypeVar("T")


def until(condition: Callable[[], T], what: str = "the condition", patience: float = PATIENCE) -> T:
    """What `condition` returns as soon as that is true. Fails after `patience` seconds."""
    deadline = time.monotonic() + patience
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what} did not come about within {patience:g} s"
        time.sleep(0.01)
    return value


def state_of(pid: int) -> str:
    """One letter, see proc_pid_stat(5): S for a process that sleeps, T for one that is stopped, Z for one that has
    ended; X once it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


def alive(pid: int) -> bool:
    """True for a process that runs; a zombie does not."""
    return state_of(pid) not in "ZX"


def locked_ids(jobs_dir: Path) -> set[str]:
    """The ids that have a lock: every job that lives is among them."""
    return {path.stem for path in jobs_dir.glob("*.lock")}


def clean_environment() -> dict[str, str]:
    """This process's environment without what belongs to a job or a user manager."""
    ours = ("GRAV", "XDG_RUNTIME_DIR", "DBUS_SESSION", "MAKE", "MFLAGS")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def installed(folder: Path, *, checkout: bool = False) -> None:
    """Puts `gravscope` into a folder, as pip does for the Python that we run in; with `checkout`, it is this checkout's
    whatever the environment says."""
    folder.mkdir(parents=True, exist_ok=True)
    tool = folder / "gravscope"
    first = f"import sys\nsys.path.insert(0, {str(REPOSITORY)!r})\n" if checkout else ""
    tool.write_text(f"#!{sys.executable}\n{first}from gravscope.cli import main\n\nmain()\n")
    tool.chmod(0o755)


@cache
def path_without_systemd() -> str:
    """A PATH with gravscope and every tool but systemd-run: as on a machine that has no systemd."""
    folder = Path(tempfile.mkdtemp(prefix="gravscope-tools-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    installed(folder)
    for place in os.environ["PATH"].split(":"):
        for tool in Path(place).iterdir() if Path(place).is_dir() else ():
            if tool.name not in ("systemd-run", "gravscope") and not (folder / tool.name).is_symlink():
                (folder / tool.name).symlink_to(tool)
    return str(folder)


class Gravscope:
    """`gravscope` run as a process of its own, with its folders under `folder` and, by default, no user manager."""

    command = (sys.executable, "-m", "gravscope")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.jobs_dir = folder / "jobs"
        self.log_dir = folder / "logs"
        self.environ = {
            **clean_environment(),
            "PATH": path_without_systemd(),  # whoever runs these tests may well have a manager
            "PYTHONPATH": str(REPOSITORY),
            "XDG_CONFIG_HOME": str(folder / "config"),  # and may have settings of their own
            "GRAVSCOPE_JOBS_DIR": str(self.jobs_dir),
            "GRAVSCOPE_LOG_DIR": str(self.log_dir),
        }

    def __call__(
        self, *words: str, env: Mapping[str, str] | None = None, cwd: Path | None = None, timeout: float = PATIENCE
    ) -> subprocess.CompletedProcess[str]:
        """Runs `gravscope WORDS…` to its end."""
        return subprocess.run(
            [*self.command, *words],
            env={**self.environ, **(env or {})},
            cwd=cwd or self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def start(self, *words: str, env: Mapping[str, str] | None = None) -> str:
        """`gravscope run WORDS…`; the id of the job, which has started."""
        done = self("run", "--launcher", "session", *words, env=env)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def record(self, job_id: str) -> dict[str, Any]:
        """The record as it is on disk."""
        found: dict[str, Any] = json.loads((self.jobs_dir / f"{job_id}.json").read_text())
        return found

    def records(self) -> list[dict[str, Any]]:
        """Every record on disk."""
        return [json.loads(path.read_text()) for path in self.jobs_dir.glob("*.json")]

    def ended(self, job_id: str) -> dict[str, Any]:
        """The record once it says that the job has ended, and its supervisor, which removes what stood beside it, is
        gone as well."""
        from gravscope.linux import proc  # noqa: PLC0415 (collection does not need it)

        record = until(lambda: found if (found := self.record(job_id))["ended"] is not None else {}, f"end of {job_id}")
        supervisor = record["supervisor_pid"], record["supervisor_start_ticks"]
        until(lambda: not proc.is_process(*supervisor), f"the end of the supervisor of {job_id}")
        return record

    def log(self, job_id: str) -> str:
        """What the job has written so far."""
        return Path(self.record(job_id)["log_file"]).read_text()

    def clean_up(self) -> None:
        """Ends what was started and still runs, by what the records say, if those are still the processes."""
        for path in self.jobs_dir.glob("*.json"):
            try:
                record = json.loads(path.read_text())
            except ValueError:
                continue  # some tests spoil records on purpose
            if isinstance(record, dict) and record.get("ended") is None:
                self._end(record)

    def _end(self, record: dict[str, Any]) -> None:
        from gravscope.linux import proc  # noqa: PLC0415 (collection does not need it)

        for pid, ticks in (("supervisor_pid", "supervisor_start_ticks"), ("pid", "start_ticks")):
            if isinstance(record.get(pid), int) and isinstance(record.get(ticks), int):
                for child in reversed(proc.descendants(record[pid])):
                    found = proc.stat(child)
                    if found is not None and proc.is_process(record[pid], record[ticks]):
                        proc.send_signal(child, found.start_ticks, signal.SIGKILL)
                proc.send_signal(record[pid], record[ticks], signal.SIGKILL)


class ManagedGravscope(Gravscope):
    """The same beside a real user manager, as its user; `folder` belongs to that user."""

    def __init__(self, manager: UserManager) -> None:
        super().__init__(manager.new_folder())
        self.manager = manager
        ours = ("PYTHONPATH", "GRAVSCOPE_JOBS_DIR", "GRAVSCOPE_LOG_DIR")
        self.environ = {name: self.environ[name] for name in ours}

    def __call__(
        self, *words: str, env: Mapping[str, str] | None = None, cwd: Path | None = None, timeout: float = PATIENCE
    ) -> subprocess.CompletedProcess[str]:
        """Runs `gravscope WORDS…` to its end, as the manager's user."""
        return self.manager.run(
            [*self.command, *words], env={**self.environ, **(env or {})}, cwd=cwd or self.folder, timeout=timeout
        )

    def start(self, *words: str, env: Mapping[str, str] | None = None) -> str:
        """`gravscope run WORDS…` in a scope; the id of the job, which has started."""
        done = self("run", "--launcher", "scope", *words, env=env)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def systemctl(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`systemctl --user WORDS…`."""
        return self.manager.run(["systemctl", "--user", *words])
