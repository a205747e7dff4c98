"""Jobs from Python: what `submit`, `jobs` and `Job` return and raise, and that they leave the process unchanged."""

from __future__ import annotations

import asyncio
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import gravscope
from gravscope import (
    GravscopeError,
    Job,
    JobRecord,
    Limits,
    NoSuchJobError,
    RefusedError,
    UnsupportedError,
    UsageError,
    WaitTimeoutError,
    jobs,
    submit,
)
from gravscope.launchers import start
from gravscope.linux import proc
from gravscope.records.store import Store
from tests.support import REPOSITORY, Gravscope, ManagedGravscope

GIB = 2**30


@pytest.fixture(autouse=True)
def here(gravscope: Gravscope, monkeypatch: pytest.MonkeyPatch) -> Gravscope:
    """This process in the folder and environment that the command line has in other tests."""
    for name in os.environ.keys() - gravscope.environ.keys():
        monkeypatch.delenv(name)
    for name, value in gravscope.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(gravscope.folder)
    return gravscope


def in_python(tool: Gravscope, code: str) -> str:
    """The output of a separate Python program."""
    done = subprocess.run(
        [sys.executable, "-c", code], env=tool.environ, cwd=tool.folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# a job


def test_a_job_from_start_to_end(here: Gravscope) -> None:
    """submit returns a running job; it ends as its command does, and the command line lists it."""
    job = submit(["sleep", "1000"], name="fit", env={"A": "b"}, timeout="1h")
    assert (job.state, job.live, job.name) == ("running", True, "fit")
    assert (job.record.timeout, job.record.env, job.record.cwd) == (3600, {"A": "b"}, str(here.folder))
    assert "fit" in here("status").stdout
    job.cancel(grace=1)

    job = submit(["sh", "-c", 'echo "$A $PWD"; echo two; exit 7'], env={"A": "b"}, cwd="/", grace=2.5)
    assert (job.wait(), job.state, job.live) == (7, "failed", False)
    assert (job.record.exit_code, job.record.grace) == (7, 2.5)
    assert (job.log(), job.log(1)) == ("b /\ntwo\n", "two\n")
    assert job.log_path.read_text() == job.log()
    assert here.record(job.id)["state"] == "failed"


def test_waiting_has_an_end_and_the_job_has_not(here: Gravscope) -> None:
    """wait(timeout) raises and the job goes on; cancel ends it and returns how it ended, also the second time."""
    job = submit(["sleep", "1000"])
    for timeout in (0, 0.05, "50ms"):
        with pytest.raises(WaitTimeoutError):
            job.wait(timeout)
    assert job.state == "running"
    assert job.cancel() == "cancelled"
    assert job.cancel(grace="1s") == "cancelled"
    assert job.wait(timeout=0) == 128 + signal.SIGTERM


def test_limits_reach_the_job() -> None:
    """Limits as people write them; with a hard limit alone there is no swap, as on the command line."""
    limits = Limits(mem_max="1G")
    job = submit(["true"], limits=limits)
    assert job.record.limits == Limits(mem_max=GIB, swap_max=0)
    again = submit(["true"], limits=job.record.limits)
    assert again.record.limits == job.record.limits
    assert [job.wait(), again.wait()] == [0, 0]


def test_the_settings_of_the_project_count(here: Gravscope) -> None:
    """Options that are not given are taken from the project, as in `gravscope run`; given ones win."""
    (here.folder / "gravscope.toml").write_text("memsafe = false\n")
    with_settings = submit(["sh", "-c", "echo ${OMP_NUM_THREADS-unset}"])
    given = submit(["sh", "-c", "echo $OMP_NUM_THREADS"], memsafe=True)
    assert [with_settings.wait(), given.wait()] == [0, 0]
    assert (with_settings.log(), given.log()) == ("unset\n", "1\n")


def test_a_shell_string_and_paths(here: Gravscope) -> None:
    """One string is run by bash only with shell=True; words, folders and files may be paths."""
    (here.folder / "variables").write_text("B=file\n")
    script = here.folder / "script"
    script.write_text("#!/bin/sh\necho $B $1\n")
    script.chmod(0o755)
    piped = submit("set -o pipefail; seq 3 | tail -n 1", shell=True)  # noqa: S604 (bash is what is asked for)
    by_path = submit([script, "word"], cwd=Path("/"), env_file=here.folder / "variables")
    assert [piped.wait(), by_path.wait()] == [0, 0]
    assert (piped.log(), by_path.log()) == ("3\n", "file word\n")


def test_what_a_notebook_shows(here: Gravscope) -> None:
    """repr shows the current id and state and never raises, even if the job's record is gone."""
    job = submit(["sleep", "1000"], name="nap")
    assert repr(job) == f"<Job {job.id}: running>"
    job.cancel()
    assert repr(job) == f"<Job {job.id}: cancelled>"
    here.jobs_dir.joinpath(f"{job.id}.json").unlink()
    assert repr(job).startswith(f"<Job {job.id}: no record ")
    assert {"submit", "jobs", "guard", "Job"} <= set(dir(gravscope))


def test_a_job_is_found_and_stays_the_same(here: Gravscope, monkeypatch: pytest.MonkeyPatch) -> None:
    """By name or id; equal to the result of submit, also after pickling, and from any folder."""
    job = submit(["true"], name="fit")
    job.wait()
    same = [Job("fit"), Job(job.id), Job(str(here.jobs_dir / f"{job.id}.json")), pickle.loads(pickle.dumps(job))]  # noqa: S301
    assert {job, *same} == {job}
    assert job != job.id
    monkeypatch.setenv("GRAVSCOPE_JOBS_DIR", "/elsewhere")
    monkeypatch.chdir("/")
    assert job.state == "succeeded"
    with pytest.raises(NoSuchJobError):
        Job("fit")


def test_jobs_newest_first() -> None:
    """All jobs, those of one name, or live ones."""
    assert jobs() == []
    first, nap, last = submit(["true"], name="fit"), submit(["sleep", "1000"], name="nap"), submit(["true"], name="fit")
    assert [first.wait(), last.wait()] == [0, 0]
    assert jobs() == [last, nap, first]
    assert jobs("fit") == [last, first]
    assert jobs(live=True) == jobs("nap", live=True) == [nap]
    assert jobs("fi") == jobs("fit", live=True) == []
    nap.cancel()
    assert jobs(live=True) == []


def test_the_newest_of_one_second(here: Gravscope) -> None:
    """Neither the times in the ids nor the names tell it; the records do."""
    here.jobs_dir.mkdir()
    for number, name in enumerate("dbface"):
        job_id, when = f"{name}_20260101_120000", f"2026-01-01T12:00:00.{number:03d}+00:00"
        record = JobRecord(id=job_id, name=name, state="failed", cmd=["x"], cwd="/", log_file="/x", created=when)
        Store(here.jobs_dir).write(record)
    assert "".join(job.name for job in jobs()) == "ecafbd"


def test_the_examples_run(here: Gravscope) -> None:
    """The blocks of docs/python.md are one program, which prints what its comments say."""
    text = (REPOSITORY / "docs" / "python.md").read_text()
    code = "".join(re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    # the job goes on once it has been shown as running
    waiting = "import os, time\nwhile not os.path.exists('shown'): time.sleep(0.01)\n"
    (here.folder / "fit.py").write_text(f"{waiting}print('ready')\nprint('done')\n")
    shown = re.sub(r"^(print\(job\).*)$", r"\1\nopen('shown', 'w').close()", code, count=1, flags=re.MULTILINE)
    printed = in_python(here, shown).split("\n")
    promised = re.findall(r"^ *print\(.*\) +# (.*)$", code, re.MULTILINE)
    assert len(promised) == 5
    assert [line for line in printed if line] == [_with_id(line, printed[0]) for line in promised]


def _with_id(line: str, real: str) -> str:
    """`line` with its id replaced by the one in `real`, which has the same length."""
    ids = r"fit_\d{8}_\d{6}"
    return re.sub(ids, re.findall(ids, real)[0], line)


# what cannot be

MISTAKES: list[tuple[dict[str, Any], type[GravscopeError], str]] = [
    ({"command": "true"}, UsageError, "shell=True"),
    ({"command": []}, UsageError, "list of words"),
    ({"command": [""]}, UsageError, "list of words"),
    ({"name": "a/b"}, UsageError, "name: 'a/b'"),
    ({"env": {"A=B": "c"}}, UsageError, "env: 'A=B'"),
    ({"env": {"A": 1}}, UsageError, 'env: the value of \'A\' is 1, and not a string; write it as {"A": "1"}'),
    ({"env": {"1A": "c"}}, UsageError, "env: "),
    ({"env_file": "nowhere"}, UsageError, "env_file: nowhere"),
    ({"cwd": "/nowhere"}, UsageError, "cwd: /nowhere"),
    ({"timeout": "soon"}, UsageError, "timeout: 'soon'"),
    ({"timeout": -1}, UsageError, "timeout: '-1"),
    ({"timeout": float("nan")}, UsageError, "timeout: nan"),
    ({"timeout": 0}, UsageError, "timeout: 0"),
    ({"grace": [1]}, UsageError, "grace: a list is not a duration; give seconds"),
    ({"launcher": "docker"}, UsageError, "launcher: 'docker'"),
    ({"oom_policy": "ignore"}, UsageError, "oom_policy: 'ignore'"),
    ({"limits": Limits(mem_max=1)}, UsageError, "mem_max: 1 bytes is too little"),
    ({"launcher": "scope"}, UnsupportedError, "systemd-run is not installed"),
]


@pytest.mark.parametrize(("wrong", "kind", "said"), MISTAKES)
def test_a_mistake_is_an_error_in_the_words_of_python(
    here: Gravscope, wrong: dict[str, Any], kind: type[GravscopeError], said: str
) -> None:
    """The error class matches the exit status, the message names the argument, not the option; nothing is left."""
    with pytest.raises(GravscopeError) as raised:
        submit(**{"command": ["true"], **wrong})
    assert type(raised.value) is kind
    assert said in str(raised.value)
    assert not any(word.startswith("-") for word in raised.value.message.split()), raised.value
    assert here.records() == []
    assert raised.value.args == (raised.value.message,)


def test_a_command_that_is_not_there(here: Gravscope) -> None:
    """It raises an error, and the record says so."""
    with pytest.raises(UsageError, match="command not found: no-such-command"):
        submit(["no-such-command"])
    assert [(record["state"], record["name"]) for record in here.records()] == [("never-started", "no-such-command")]


def test_unique_refuses_a_twin() -> None:
    """It is refused only while a job of that name lives."""
    job = submit(["sleep", "1000"], name="one", unique=True)
    with pytest.raises(RefusedError, match=job.id):
        submit(["true"], name="one", unique=True)
    job.cancel()
    assert submit(["true"], name="one", unique=True).wait() == 0


# what is left of the process


def test_nothing_is_left_open_and_nobody_is_left_over() -> None:
    """After twenty jobs there are no more descriptors or children than before, and no ResourceWarning about a child."""
    submit(["true"]).wait()  # opens what is opened only once
    before = len(os.listdir("/proc/self/fd")), proc.children(os.getpid()), threading.active_count()
    started = [submit(["true"]) for _ in range(20)]
    assert [job.wait() for job in started] == [0] * 20
    assert len({job.id for job in started}) == 20
    assert (len(os.listdir("/proc/self/fd")), proc.children(os.getpid()), threading.active_count()) == before


def test_from_many_threads() -> None:
    """Threads start, wait for and cancel jobs at the same time, also the same job."""
    with ThreadPoolExecutor(8) as pool:
        started = list(pool.map(lambda number: submit(["sh", "-c", f"exit {number}"], name="same"), range(8)))
        assert list(pool.map(Job.wait, started)) == list(range(8))
        nap = submit(["sleep", "1000"])
        assert set(pool.map(lambda _: nap.cancel(), range(8))) == {"cancelled"}
    assert len({job.id for job in started}) == 8


def test_what_belongs_to_the_process_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signal handlers, umask, working directory and environment are never changed: other threads create files and start
    programs at the same time."""

    def touched(*_arguments: object) -> None:
        raise AssertionError("this belongs to the process")

    def now() -> object:
        return dict(os.environ), os.getcwd(), [signal.getsignal(number) for number in signal.valid_signals()]

    before = now()
    with monkeypatch.context() as patch:
        for name in ("umask", "chdir", "setsid", "putenv"):
            patch.setattr(os, name, touched)
        for name in ("signal", "set_wakeup_fd", "pthread_sigmask"):
            patch.setattr(signal, name, touched)
        job = submit(["sleep", "1000"])
        assert (job.state, job.cancel()) == ("running", "cancelled")
    assert now() == before


def test_beside_an_event_loop() -> None:
    """As in a notebook: a job is started in a running loop, and a thread waits for it while the loop runs."""

    async def main() -> tuple[int, int]:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        ticking = asyncio.create_task(tick())
        own = await asyncio.create_subprocess_exec("sh", "-c", "exit 4")
        job = submit(["sh", "-c", "exit 3"])
        ended = await asyncio.gather(asyncio.to_thread(job.wait), own.wait())
        ticking.cancel()
        assert ticks > 0
        return ended[0], ended[1]

    assert asyncio.run(main()) == (3, 4)


SIGCHLD = {
    "ignored": "signal.signal(signal.SIGCHLD, signal.SIG_IGN)",
    "reaped": """
def reap(*_):
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
signal.signal(signal.SIGCHLD, reap)""",
    "blocked": "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())",
}


@pytest.mark.parametrize("how", SIGCHLD)
def test_whatever_becomes_of_sigchld(here: Gravscope, how: str) -> None:
    """If a program ignores SIGCHLD, reaps all children, or blocks every signal, its jobs still end as they should, and
    start with the proper signal settings."""
    code = f"""
import os, signal
from gravscope import submit
{SIGCHLD[how]}
job = submit(["sh", "-c", "grep -E 'Sig(Blk|Ign)' /proc/self/status; sh -c 'exit 5'"])
nap = submit(["sleep", "1000"])
print(job.wait(), nap.cancel(), *job.log().split()[1::2])
"""
    code_of_job, cancelled, blocked, ignored = in_python(here, code).split()
    assert (code_of_job, cancelled, int(blocked, 16)) == ("5", "cancelled", 0)
    # A job ignores only SIGHUP; 32 and 33 belong to the C library, which lets nobody change them (nptl(7)).
    assert int(ignored, 16) & ~(0b11 << 31) == 1 << (signal.SIGHUP - 1)


def test_a_fork_meanwhile_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that another thread forks during a start inherits our end of the pipe; it is not waited for."""
    forked: list[int] = []
    spawn = start.spawn

    def fork_and_spawn(*arguments: Any, **options: Any) -> int:  # noqa: ANN401 (spawn's own)
        forked.append(os.fork())
        if forked[-1] == 0:
            try:
                signal.pause()
            finally:
                os._exit(0)
        return spawn(*arguments, **options)

    monkeypatch.setattr(start, "spawn", fork_and_spawn)
    try:
        assert submit(["sh", "-c", "exit 6"]).wait() == 6
    finally:
        for pid in forked:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    assert len(forked) == 1


# beside a user manager


def test_a_scope_is_nobodys_child(managed: ManagedGravscope) -> None:
    """A program that started a job in a scope has no child because of it, neither while the job runs nor afterwards."""
    code = """
import os, warnings
from gravscope import submit
from gravscope.linux import proc
warnings.simplefilter("error")
job = submit(["sleep", "1000"], launcher="scope")
print(job.record.unit == f"gravscope-{job.id}.scope", proc.children(os.getpid()))
print(job.cancel(), proc.children(os.getpid()))
"""
    done = managed.manager.run([sys.executable, "-c", code], env=managed.environ, cwd=managed.folder)
    assert (done.stdout, done.stderr) == ("True []\ncancelled []\n", "")
