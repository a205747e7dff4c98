"""Jobs from Python: what the command line does, as functions that return or raise.

    from gravscope import Job, Limits, jobs, submit

    job = submit(["python", "fit.py"], name="fit", limits=Limits(mem_high="6G"))
    job.wait()

Records, settings and folders are the command line's: a job that was started here is listed there, and the other way
round. Nothing here prints, exits, changes the process (its signals, its umask, its children), or keeps anything open,
so it may be called from any thread, in a notebook, and beside an event loop. Names start here as the package re-exports
them (`gravscope.__init__`).
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from inspect import Parameter, Signature, signature
from itertools import groupby
from pathlib import Path
from typing import TypedDict, TypeVar, Unpack

from gravscope.actions.control.cancel import cancel
from gravscope.actions.launch.launch import launch
from gravscope.actions.launch.spec import Changes, Typed, TypedLimits, make_limits, make_spec
from gravscope.actions.look.logs import read_log
from gravscope.actions.look.owner import look
from gravscope.actions.look.settle import live_records, settled
from gravscope.actions.look.wait import exit_status, wait
from gravscope.base.errors import (
    GravscopeError,
    NoSuchJobError,
    RefusedError,
    StoreError,
    UnsupportedError,
    UsageError,
    WaitTimeoutError,
)
from gravscope.base.quantity import INFINITY, parse_duration
from gravscope.records.ids import name_of, order_of
from gravscope.records.model import JobRecord
from gravscope.records.spec import LAUNCHERS, OOM_POLICIES, Limits
from gravscope.records.store import Store
from gravscope.records.types import LauncherChoice, OomPolicy, State
from gravscope.settings.project import here
from gravscope.systemd.host import given_environment

__all__ = [
    "GravscopeError",
    "Job",
    "JobRecord",
    "Limits",
    "NoSuchJobError",
    "RefusedError",
    "StoreError",
    "UnsupportedError",
    "UsageError",
    "WaitTimeoutError",
    "jobs",
    "submit",
]

StrPath = str | os.PathLike[str]
Duration = float | str
Word = TypeVar("Word", bound=str)

_SIZES = ("mem_high", "mem_max", "swap_max", "tasks_max")
F = TypeVar("F", bound=Callable[..., object])


class JobOptions(TypedDict, total=False):
    """The options of `submit` and `Job.rerun`, which are those of `gravscope run`. Times are seconds or as "90m"; None
    is as if the option were left away."""

    name: str | None
    limits: Limits | None
    env: Mapping[str, str] | None
    env_file: StrPath | None
    cwd: StrPath | None
    launcher: LauncherChoice | None
    timeout: Duration | None
    grace: Duration | None
    oom_policy: OomPolicy | None
    memsafe: bool | None
    unique: bool
    notify: bool


def _spelled_out(function: F) -> F:
    """The same function, whose signature has each of the options by its name: for help() and notebooks."""
    own = [each for each in signature(function).parameters.values() if each.kind is not Parameter.VAR_KEYWORD]
    options = [
        Parameter(
            name,
            Parameter.KEYWORD_ONLY,
            default=False if name in ("unique", "notify") else None,
            annotation=getattr(kind, "__forward_arg__", kind),
        )
        for name, kind in JobOptions.__annotations__.items()
    ]
    vars(function)["__signature__"] = Signature([*own, *options])
    return function


class Job:
    """A job by its id; everything else is looked up anew at each look, so nothing here is ever out of date."""

    __slots__ = ("_store", "id")

    id: str

    def __init__(self, job: str) -> None:
        """The job that the command line would take `job` for: an id, the beginning of one, a name, or a record's path.

        Raises NoSuchJobError where there is none.
        """
        self._store, self.id = Store(here().jobs_dir).locate(job)

    @classmethod
    def _known(cls, store: Store, job_id: str) -> Job:
        found = cls.__new__(cls)
        found._store, found.id = store, job_id
        return found

    @property
    def record(self) -> JobRecord:
        """All that is known of it now. Values of its variables are in it as they are, secrets included."""
        return settled(self._store, look(self._store, self.id))

    @property
    def state(self) -> State:
        """`starting` or `running` while it lives, and then how it ended: `succeeded`, `failed`, `oom-killed` …"""
        return self.record.state

    @property
    def live(self) -> bool:
        """True until it has ended."""
        return self.record.live

    @property
    def name(self) -> str:
        """Its name, which other jobs may have as well."""
        return self.record.name

    @property
    def log_path(self) -> Path:
        """The file that its output goes to."""
        return Path(self.record.log_file)

    def log(self, lines: int | None = None) -> str:
        """What it has written so far, or the last `lines` lines of it."""
        return b"".join(read_log(self.record, lines)).decode("utf-8", "replace")

    def wait(self, timeout: Duration | None = None) -> int:
        """Sleeps until it has ended; its exit status, 128+N if signal N ended it, 137 if it was killed for memory, and
        never 0 unless it succeeded.

        Raises WaitTimeoutError after `timeout` (seconds, or as "90m"); the job goes on.
        """
        return exit_status(wait(self._store, [self.id], _seconds(timeout, "timeout"))[0])

    def cancel(self, grace: Duration | None = None) -> State:
        """Ends it, and returns once it has ended; the state that it ended in, maybe before.

        `grace` is the time between SIGTERM and SIGKILL, else the job's own. Raises GravscopeError if it is still there.
        """
        return cancel(self._store, self.id, os.environ, _seconds(grace, "grace")).record.state

    def pause(self) -> JobRecord:
        """Lets it stand still, keeping its memory; its record once it does. Raises RefusedError if it has ended."""
        from gravscope.actions.control.pause import pause  # noqa: PLC0415 (nothing that starts a job needs it)

        return pause(self._store, self.id)

    def resume(self) -> JobRecord:
        """Lets it go on; its record once it does. Raises RefusedError if it has ended."""
        from gravscope.actions.control.pause import resume  # noqa: PLC0415

        return resume(self._store, self.id)

    def limit(self, limits: Limits, *, force: bool = False) -> JobRecord:
        """Changes those of its limits that are not None in `limits`; its record once that holds.

        Raises RefusedError if it has ended, or uses more by now: with `force`, it is slowed down or killed at once.
        Raises UnsupportedError for what nobody can hold here.
        """
        from gravscope.actions.control.limit import limit  # noqa: PLC0415

        if limits == Limits():
            raise UsageError("limits: there is none to change", 'give some, such as Limits(mem_high="8G")')
        with _words_of_python(everywhere=True):
            return limit(self._store, self.id, make_limits(_typed_limits(limits)), os.environ, force=force)

    @_spelled_out
    def rerun(self, **options: Unpack[JobOptions]) -> Job:
        """Starts it once more, now that it has ended: what is left away is as its record has it, the rest as in
        `submit`. The new job is kept where this one is, and both records name each other.

        Raises RefusedError while it still lives, and the errors of `submit`.
        """
        from gravscope.actions.launch.rerun import spec_of_rerun  # noqa: PLC0415

        with _words_of_python():
            changes = _changes(options)
            project = here()
            if project.jobs_dir != self._store.jobs_dir:
                project = project.replaced(jobs_dir=self._store.jobs_dir, log_dir=self.log_path.parent)
            spec = spec_of_rerun(self._store, self.id, changes, project)
            return Job._known(self._store, launch(spec, project, given_environment())["id"])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Job):
            return NotImplemented
        return (self.id, self._store.jobs_dir) == (other.id, other._store.jobs_dir)

    def __hash__(self) -> int:
        return hash((self.id, self._store.jobs_dir))

    def __repr__(self) -> str:
        try:
            record = self.record
        except GravscopeError as error:
            return f"<Job {self.id}: {error.message}>"
        return f"<Job {self.id}: {record.state}>"


@_spelled_out
def submit(command: str | Sequence[StrPath], *, shell: bool = False, **options: Unpack[JobOptions]) -> Job:
    """Starts a job as `gravscope run` does, and returns once its command runs.

    `command` is a list of words, or with `shell=True` one string for bash. Times are seconds or as "90m". What is left
    away is as the project's settings have it. Raises one of the kinds of GravscopeError.
    """
    with _words_of_python():
        words = _words(command, shell=shell)
        typed = Typed(command=words, shell=shell, **_changes(options).as_dict())
        project = here()
        spec = make_spec(typed, project)
        return Job._known(Store(project.jobs_dir), launch(spec, project, given_environment())["id"])


def jobs(name: str | None = None, *, live: bool = False) -> list[Job]:
    """The jobs of this project, newest first; only those named `name`, only those that live."""
    store = Store(here().jobs_dir)
    ids = [record.id for record in live_records(store)] if live else store.ids()
    wanted = [job_id for job_id in ids if name is None or name_of(job_id) == name]
    return [Job._known(store, job_id) for job_id in _newest_first(store, wanted)]


def _newest_first(store: Store, ids: list[str]) -> Iterator[str]:
    """`ids`, which are sorted, with those of the same second in the order in which they were really started."""
    for _second, group in groupby(ids, key=lambda job_id: order_of(job_id)[0]):
        same = list(group)
        yield from same if len(same) == 1 else sorted(same, key=store.began, reverse=True)


def _changes(options: JobOptions) -> Changes:
    """The options as the command line would have them. Raises TypeError for one that there is not, as Python does."""
    for name in options.keys() - JobOptions.__annotations__.keys():
        raise TypeError(f"there is no option {name!r}; there are {', '.join(JobOptions.__annotations__)}")
    cwd, env_file = options.get("cwd"), options.get("env_file")
    return Changes(
        name=options.get("name"),
        limits=_typed_limits(options.get("limits") or Limits()),
        env=_pairs(options.get("env") or {}),
        env_file=None if env_file is None else os.fspath(env_file),
        cwd=None if cwd is None else os.fspath(cwd),
        launcher=_one_of(options.get("launcher"), LAUNCHERS, "launcher"),
        timeout=_typed(options.get("timeout"), "timeout"),
        grace=_typed(options.get("grace"), "grace"),
        oom_policy=_one_of(options.get("oom_policy"), OOM_POLICIES, "oom_policy"),
        memsafe=options.get("memsafe"),
        unique=options.get("unique", False),
        notify=options.get("notify", False),
    )


def _words(command: str | Sequence[StrPath], *, shell: bool) -> list[str]:
    if isinstance(command, str):
        if not shell:
            raise UsageError(f"command: {command!r} is one string", "give a list of words, or shell=True")
        return [command]
    words = [os.fspath(word) for word in command]
    if not words or not words[0]:
        raise UsageError("command: there is none", 'give a list of words, such as ["python", "fit.py"]')
    return words


def _pairs(env: Mapping[str, str]) -> list[str]:
    for name, value in env.items():
        if "=" in name or not isinstance(value, str):
            raise UsageError(f"env: {name!r} is no name, or has a value that is no string")
    return [f"{name}={value}" for name, value in env.items()]


def _one_of(word: Word | None, words: Sequence[str], option: str) -> Word | None:
    if word is not None and word not in words:
        raise UsageError(f"{option}: {word!r} is none of {', '.join(words)}")
    return word


def _typed_limits(limits: Limits) -> TypedLimits:
    """Limits as the command line would have them."""
    quota = None if limits.cpu_quota is None else INFINITY if limits.cpu_quota == math.inf else f"{limits.cpu_quota}%"
    sizes = {name: None if (size := getattr(limits, name)) is None else str(size) for name in _SIZES}
    return TypedLimits(**sizes, cpu_quota=quota, cpu_weight=limits.cpu_weight, io_weight=limits.io_weight)


def _typed(duration: Duration | None, option: str) -> str | None:
    """A duration as the command line would have it."""
    if duration is None or isinstance(duration, str):
        return duration
    if not isinstance(duration, int | float) or math.isnan(duration):
        raise UsageError(f"{option}: {duration!r} is not a duration", "give seconds, or a string such as 90m")
    return "infinity" if duration == math.inf else f"{duration:f}"


def _seconds(duration: Duration | None, option: str) -> float | None:
    typed = _typed(duration, option)
    return None if typed is None else parse_duration(typed, option)


_ARGUMENTS = {"force", "shell", *JobOptions.__annotations__, *Limits().as_dict()}
_OPTION = re.compile(r"(?<![\w-])--?[a-z][a-z-]*")
_OPTION_FIRST = re.compile(rf"{_OPTION.pattern}(?=:)")


@contextmanager
def _words_of_python(*, everywhere: bool = False) -> Iterator[None]:
    """What the command line would say of an option, said of the argument: `mem_high`, not `--mem-high`. In a message
    that is where it begins, for a command has options, too; or, where there is none in it, `everywhere`."""
    try:
        yield
    except GravscopeError as error:
        if everywhere:
            error.message = _OPTION.sub(_as_argument, error.message)
        elif found := _OPTION_FIRST.match(error.message):
            error.message = _as_argument(found) + error.message[found.end() :]
        error.hint = error.hint and _OPTION.sub(_as_argument, error.hint)
        error.args = (error.message,)
        raise


def _as_argument(option: re.Match[str]) -> str:
    name = option[0].lstrip("-").replace("-", "_")
    return "env" if option[0] == "-e" else name if name in _ARGUMENTS else option[0]
