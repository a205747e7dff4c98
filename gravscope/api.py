"""Jobs from Python: what the command line does, as functions that return or raise.

    from gravscope import Job, Limits, jobs, submit

    job = submit(["python", "fit.py"], name="fit", limits=Limits(mem_high="6G"))
    job.wait()

Records, settings and folders are those of the command line: `gravscope status` lists jobs that were started here, and
jobs() lists those started there. Nothing here prints, exits, changes the process (its signals, its umask, its
children), or keeps anything open, so it may be used from any thread, in a notebook, and beside an event loop. The
package re-exports the public names (`gravscope.__init__`).
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
from gravscope.actions.look.owner import read_for_display
from gravscope.actions.look.settle import live_records, settled
from gravscope.actions.look.wait import exit_status, wait
from gravscope.base import arguments
from gravscope.base.errors import (
    GravscopeError,
    NoSuchJobError,
    RefusedError,
    StoreError,
    UnsupportedError,
    UsageError,
    WaitTimeoutError,
)
from gravscope.base.names import normal
from gravscope.base.quantity import INFINITY, parse_duration
from gravscope.records.ids import name_of, sort_key
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
_SIZES = ("mem_high", "mem_max", "swap_max", "tasks_max")
F = TypeVar("F", bound=Callable[..., object])


class JobOptions(TypedDict, total=False):
    """The options of `submit` and `Job.rerun`, which are those of `gravscope run`. Times are seconds or text such as
    "90m". None means that the option is not given."""

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


def _explicit_options(function: F) -> F:
    """Gives the function a signature that lists each option by name, for help() and notebooks."""
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
    """A job, identified by its id. Everything else is read anew each time, so it is never out of date."""

    __slots__ = ("_store", "id")

    id: str

    def __init__(self, job: StrPath) -> None:
        """Finds the job as the command line does: `job` is an id, the beginning of one, a name, or the path of a
        record.

        Raises NoSuchJobError if there is none.
        """
        arguments.check(job, "Job", "job")
        self._store, self.id = Store(here().jobs_dir).locate(os.fspath(job))

    @classmethod
    def _from_store(cls, store: Store, job_id: str) -> Job:
        found = cls.__new__(cls)
        found._store, found.id = store, job_id
        return found

    @property
    def record(self) -> JobRecord:
        """All that is known of the job now. The values of its variables are not redacted, so secrets are included."""
        return settled(self._store, read_for_display(self._store, self.id))

    @property
    def state(self) -> State:
        """`starting` or `running` while it lives, then how it ended: `succeeded`, `failed`, `oom-killed` …"""
        return self.record.state

    @property
    def live(self) -> bool:
        """True until the job has ended."""
        return self.record.live

    @property
    def name(self) -> str:
        """Its name, which other jobs may have as well."""
        return self.record.name

    @property
    def log_path(self) -> Path:
        """The file with its output."""
        return Path(self.record.log_file)

    def log(self, lines: int | None = None) -> str:
        """Its output so far, or the last `lines` lines of it."""
        arguments.check_count(lines, "lines")
        return b"".join(read_log(self.record, lines)).decode("utf-8", "replace")

    def wait(self, timeout: Duration | None = None) -> int:
        """Waits until it has ended. Returns its exit status, 128+N if signal N ended it, 137 if it was killed for
        memory; never 0 unless it succeeded.

        Raises WaitTimeoutError after `timeout` (seconds, or text such as "90m"); the job goes on.
        """
        return exit_status(wait(self._store, [self.id], _seconds(timeout, "timeout"))[0])

    def cancel(self, grace: Duration | None = None) -> State:
        """Ends it and returns once it has ended. Returns its final state, also if it had ended before.

        `grace` is the time between SIGTERM and SIGKILL; the default is the job's own. Raises GravscopeError if some of
        its processes are left.
        """
        return cancel(self._store, self.id, os.environ, _seconds(grace, "grace")).record.state

    def pause(self) -> JobRecord:
        """Pauses it; it keeps its memory. Returns its record once it is paused. Raises RefusedError if it has ended."""
        from gravscope.actions.control.pause import pause  # noqa: PLC0415 (nothing that starts a job needs it)

        return pause(self._store, self.id)

    def resume(self) -> JobRecord:
        """Resumes it. Returns its record once it runs. Raises RefusedError if it has ended."""
        from gravscope.actions.control.pause import resume  # noqa: PLC0415

        return resume(self._store, self.id)

    def limit(self, limits: Limits, *, force: bool = False) -> JobRecord:
        """Changes the limits that are not None in `limits`. Returns its record once they hold.

        Raises RefusedError if it has ended, or if it now uses more than the new limit; with `force`, it is slowed down
        or killed at once instead. Raises UnsupportedError for a limit that nothing can hold here.
        """
        from gravscope.actions.control.limit import limit  # noqa: PLC0415

        typed = _typed_limits(limits)
        arguments.check(force, "bool", "force")
        if typed == TypedLimits():
            raise UsageError("limits: there is none to change", 'give some, such as Limits(mem_high="8G")')
        with _arguments_for_options(everywhere=True):
            return limit(self._store, self.id, make_limits(typed), os.environ, force=force)

    @_explicit_options
    def rerun(self, **options: Unpack[JobOptions]) -> Job:
        """Starts it again after it has ended. Options that are not given are taken from its record; the others are as
        in `submit`. The new job is in the same folder of records, and each record names the other job.

        Raises RefusedError while it still lives, and the errors of `submit`.
        """
        from gravscope.actions.launch.rerun import spec_of_rerun  # noqa: PLC0415

        with _arguments_for_options():
            changes = _changes(options)
            project = here()
            if project.jobs_dir != self._store.jobs_dir:
                project = project.replaced(jobs_dir=self._store.jobs_dir, log_dir=self.log_path.parent)
            spec = spec_of_rerun(self._store, self.id, changes, project)
            return Job._from_store(self._store, launch(spec, project, given_environment())["id"])

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


@_explicit_options
def submit(command: str | Sequence[StrPath], *, shell: bool = False, **options: Unpack[JobOptions]) -> Job:
    """Starts a job as `gravscope run` does, and returns once its command runs.

    `command` is a list of words, or with `shell=True` one string for bash. Times are seconds or text such as "90m".
    Options that are not given are taken from the project's settings. Raises a kind of GravscopeError.
    """
    with _arguments_for_options():
        arguments.check(shell, "bool", "shell")
        words = arguments.words_of(command, shell=shell)
        typed = Typed(command=words, shell=shell, **_changes(options).as_dict())
        project = here()
        spec = make_spec(typed, project)
        return Job._from_store(Store(project.jobs_dir), launch(spec, project, given_environment())["id"])


def jobs(name: str | None = None, *, live: bool = False) -> list[Job]:
    """The jobs of this project, newest first; with `name` only those of that name, with `live` only live ones."""
    arguments.check(name, "str | None", "name")
    arguments.check(live, "bool", "live")
    store = Store(here().jobs_dir)
    ids = [record.id for record in live_records(store)] if live else store.ids()
    wanted = [job_id for job_id in ids if name is None or name_of(job_id) == normal(name)]
    return [Job._from_store(store, job_id) for job_id in _newest_first(store, wanted)]


def _newest_first(store: Store, ids: list[str]) -> Iterator[str]:
    """`ids`, which are sorted, with those of the same second in the order in which they were really started."""
    for _second, group in groupby(ids, key=lambda job_id: sort_key(job_id)[0]):
        same = list(group)
        yield from same if len(same) == 1 else sorted(same, key=store.start_time, reverse=True)


def _changes(options: JobOptions) -> Changes:
    """The options as the command line would pass them. Raises TypeError for an unknown option, as Python does."""
    for name in options.keys() - JobOptions.__annotations__.keys():
        raise TypeError(f"there is no option {name!r}; there are {', '.join(JobOptions.__annotations__)}")
    for name, value in options.items():
        kind = JobOptions.__annotations__[name]
        if value is not None:
            arguments.check(value, str(getattr(kind, "__forward_arg__", kind)), name)
    cwd, env_file = options.get("cwd"), options.get("env_file")
    return Changes(
        name=options.get("name"),
        limits=_typed_limits(options.get("limits")),
        env=arguments.pairs_of(options.get("env") or {}),
        env_file=None if env_file is None else os.fspath(env_file),
        cwd=None if cwd is None else os.fspath(cwd),
        launcher=arguments.one_of(options.get("launcher"), LAUNCHERS, "launcher"),
        timeout=arguments.duration_text(options.get("timeout"), "timeout"),
        grace=arguments.duration_text(options.get("grace"), "grace"),
        oom_policy=arguments.one_of(options.get("oom_policy"), OOM_POLICIES, "oom_policy"),
        memsafe=options.get("memsafe"),
        unique=options.get("unique") or False,
        notify=options.get("notify") or False,
    )


def _typed_limits(limits: Limits | None) -> TypedLimits:
    """Limits as the command line would pass them."""
    if limits is None:
        return TypedLimits()
    if not isinstance(limits, Limits):
        raise UsageError(f"limits: {arguments.shown(limits)} is not Limits", 'write it as Limits(mem_max="6G")')
    quota = None if limits.cpu_quota is None else INFINITY if limits.cpu_quota == math.inf else f"{limits.cpu_quota}%"
    sizes = {name: None if (size := getattr(limits, name)) is None else str(size) for name in _SIZES}
    return TypedLimits(**sizes, cpu_quota=quota, cpu_weight=limits.cpu_weight, io_weight=limits.io_weight)


def _seconds(duration: Duration | None, option: str) -> float | None:
    typed = arguments.duration_text(duration, option)
    return None if typed is None else parse_duration(typed, option)


_ARGUMENTS = {"force", "shell", *JobOptions.__annotations__, *Limits().as_dict()}
_OPTION = re.compile(r"(?<![\w-])--?[a-z][a-z-]*")
_OPTION_FIRST = re.compile(rf"{_OPTION.pattern}(?=:)")


@contextmanager
def _arguments_for_options(*, everywhere: bool = False) -> Iterator[None]:
    """Replaces options by arguments in the text of errors: `mem_high`, not `--mem-high`. In a message only an option at
    the beginning is replaced, as the user's command has options too; with `everywhere`, for messages without a command,
    all."""
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
