"""Where the measuring is done: a folder, the sizes of this run, and timed commands in it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from gravscope.linux.proc import send_signal
from tests.bench.figures import interleaved

HERE = Path(__file__).parent
GRAVSCOPE = f"{sys.prefix}/bin/gravscope"
# a Python that a job or a peer can be written in, as light as it gets
BARE = (sys.executable, "-I", "-S")
# seconds: nothing that is measured here takes longer
PATIENCE = 120.0
# seconds after a job's end in which the user manager clears up behind it
PAUSE = 0.02

T = TypeVar("T")


class NotHere(Exception):
    """This machine, or this version, does not have what was to be measured; the text says what."""


class Broken(Exception):
    """What was to be measured did not work."""


@dataclass(frozen=True)
class Sizes:
    """How much a run does."""

    seconds: float
    least: int
    most: int
    warm_up: int
    profiled: int
    jobs: int
    output: int
    some: int
    many: int
    live: int
    more_live: int
    idle: float
    window: float
    lines: int

    def within(self, seconds: float) -> Sizes:
        """The same in another time."""
        return replace(self, seconds=seconds)

    def shown(self) -> dict[str, str]:
        """As the table has them."""
        output = f"{self.output / 1e9:g} GB" if self.output >= 1e9 else f"{self.output / 1e6:g} MB"
        return {
            "output": output,
            **{name: f"{getattr(self, name):,}" for name in ("jobs", "some", "many", "live")},
        }


SIZES = {
    "full": Sizes(180, 5, 300, 2, 3, 200, 2 * 10**9, 10_000, 100_000, 10, 30, 6, 20, 100),
    "quick": Sizes(40, 3, 30, 1, 3, 50, 2 * 10**8, 1_000, 10_000, 10, 10, 6, 5, 20),
    # for the tests: everything once, nothing worth reading
    "tiny": Sizes(0, 1, 1, 0, 1, 2, 10**6, 5, 10, 2, 1, 0, 0.2, 2),
}


@dataclass
class Lab:
    """One run. `scopes` says why there are no scopes here; empty where there are. `memory`: the user manager's cgroups
    have the memory controller."""

    folder: Path
    sizes: Sizes
    scopes: str = ""
    memory: bool = False
    jobs: Path = Path()
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def launchers(self) -> list[str]:
        """Those that can be measured here."""
        return ["session"] if self.scopes else ["scope", "session"]

    def fresh(self) -> None:
        """An empty folder of records for what comes next."""
        count = len(list(self.folder.glob("jobs-*")))
        self.jobs = self.folder / f"jobs-{count}"
        self.jobs.mkdir(mode=0o700)
        os.environ["GRAVSCOPE_JOBS_DIR"] = str(self.jobs)
        os.environ["GRAVSCOPE_LOG_DIR"] = str(self.folder / "logs")

    def interleaved(
        self, variants: Mapping[str, Callable[[], float]], share: float, *, heavy: bool = False
    ) -> dict[str, list[float]]:
        """Samples of each variant, taking `share` of the run's time; few of what is heavy, and it warms itself up."""
        sizes = self.sizes
        least, warm_up = (min(2, sizes.least), 0) if heavy else (sizes.least, sizes.warm_up)
        return interleaved(variants, share * sizes.seconds, least=least, most=sizes.most, warm_up=warm_up)

    def fifo(self, name: str) -> Path:
        """A FIFO at which a job waits for `go`."""
        path = self.folder / name
        path.unlink(missing_ok=True)
        os.mkfifo(path)
        return path

    # commands

    def timed(self, argv: Sequence[str], env: Mapping[str, str] | None = None) -> float:
        """Seconds from spawning `argv` until it has ended."""
        began = time.perf_counter()
        pid = self.spawn(argv, env)
        status = ended(pid)
        took = time.perf_counter() - began
        if status != 0:
            raise Broken(f"{' '.join(argv)}: ended with {status}: {self.complaint()}")
        return took

    def spawn(self, argv: Sequence[str], env: Mapping[str, str] | None = None) -> int:
        """Starts `argv` the cheapest way there is; its pid. The first word is a path or is looked up."""
        null, errors = os.devnull, self.folder / "stderr"
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, null, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, null, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_OPEN, 2, str(errors), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
        ]
        return os.posix_spawn(tool(argv[0]), list(argv), {**os.environ, **(env or {})}, file_actions=actions)

    def complaint(self) -> str:
        """What the last command said on standard error."""
        said = (self.folder / "stderr").read_text(errors="replace").strip().splitlines()
        return said[-1] if said else "without a word"

    def output(self, argv: Sequence[str]) -> str:
        """What `argv` prints."""
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        if done.returncode != 0:
            raise Broken(f"{' '.join(argv)}: ended with {done.returncode}: {done.stderr.strip()[-300:]}")
        return done.stdout

    # jobs

    def start(self, *words: str) -> dict[str, Any]:
        """`gravscope run WORDS…`: the record of the job, which has started."""
        return self.record(self.output([GRAVSCOPE, "run", "-n", "bench", *words]).strip())

    def record(self, job_id: str) -> dict[str, Any]:
        """The record as it is on disk."""
        found: dict[str, Any] = json.loads((self.jobs / f"{job_id}.json").read_text())
        return found

    def quiet(self) -> None:
        """Returns once every job has ended and everything has come to rest."""
        until(lambda: not self.live(), "the end of the jobs", pause=0.002)
        time.sleep(PAUSE)

    def live(self) -> list[str]:
        """The jobs that live: they have a lock."""
        return [name.removesuffix(".lock") for name in os.listdir(self.jobs) if name.endswith(".lock")]

    def end_jobs(self) -> None:
        """Ends whatever still lives, in every folder of records: a supervisor that is told to ends its job."""
        for jobs in sorted(self.folder.glob("jobs-*")):
            self.jobs = jobs
            for job in self.live():
                with contextlib.suppress(OSError, ValueError, TypeError):  # it is ending, or has not begun
                    record = self.record(job)
                    send_signal(record["supervisor_pid"], record["supervisor_start_ticks"], signal.SIGTERM)
            try:
                until(lambda: not self.live(), "the end of the jobs")
            except Broken as error:
                print(f"bench: {error}: {' '.join(self.live())}", file=sys.stderr)

    @contextlib.contextmanager
    def sleepers(self, *options: Sequence[str]) -> Iterator[list[dict[str, Any]]]:
        """Jobs that do nothing, one for each list of options."""
        self.fresh()
        try:
            yield [self.start(*words, "--", "sleep", "1000") for words in options]
        finally:
            self.end_jobs()


def tool(name: str) -> str:
    """The path of a command. Raises NotHere where it is not installed."""
    found = shutil.which(name)
    if found is None:
        raise NotHere(f"{name} is not installed")
    return found


def go(fifo: Path) -> None:
    """Lets the job go on that waits at `fifo`, once it does."""
    os.close(os.open(fifo, os.O_WRONLY))


def ended(pid: int) -> int:
    """The exit status of our child `pid`, once it has ended. Raises Broken if it takes too long."""
    descriptor = os.pidfd_open(pid)
    try:
        wait_for([descriptor], PATIENCE)
    except Broken:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    finally:
        os.close(descriptor)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def wait_for(pidfds: Sequence[int], patience: float = PATIENCE) -> None:
    """Returns when the processes of all these pidfds have ended (pidfd_open(2))."""
    deadline = time.monotonic() + patience
    poll = select.poll()
    for descriptor in pidfds:
        poll.register(descriptor, select.POLLIN)
    left = len(pidfds)
    while left:
        found = poll.poll(1000 * max(0.0, deadline - time.monotonic()))
        if not found:
            raise Broken(f"something did not end within {patience:g} s")
        for descriptor, _ in found:
            poll.unregister(descriptor)
            left -= 1


def until(condition: Callable[[], T], what: str, pause: float = 0.001) -> T:
    """What `condition` returns as soon as that is true."""
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise Broken(f"{what} did not come about within {PATIENCE:g} s")
        time.sleep(pause)
    return value
