"""Launching: record first, then the launcher, then the supervisor's word that the command has been exec'd.

This stands between a user and every job, so nothing is loaded here that a launch which goes well can do without. The
record is a dict of what JSON holds (`Facts`), with the fields of `gravscope.records.fields.JobRecord`.
"""

from __future__ import annotations

import contextlib
import os
import time
from _signal import SIGHUP  # the numbers alone, without their names
from pathlib import Path

from gravscope.actions.launch import exposed_folders
from gravscope.base import plainjson
from gravscope.base.errors import StoreError, UsageError
from gravscope.base.immutable import Immutable
from gravscope.base.printable import is_text, printable
from gravscope.base.stamp import stamp, timestamp
from gravscope.launchers import Launch, scope
from gravscope.launchers.choose import choose, no_manager, unit_is_taken
from gravscope.launchers.start import Answer, Descriptors, start
from gravscope.linux import files, proc
from gravscope.records.fields import blank_record
from gravscope.records.folder import JobsFolder, make_private_folder
from gravscope.records.spec import JobSpec
from gravscope.settings.known import variable_of
from gravscope.systemd import host
from gravscope.systemd.commands import unit_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from gravscope.records.spec import Notify
    from gravscope.settings.project import Project

    Facts = dict[str, Any]

# added to the job's oom_score_adj, so that a machine out of memory takes the job and not tmux (200 under systemd)
OOM_SCORE = 500
# a secret
ADDRESS = variable_of("notify.webhook")


class Front(Immutable):
    """What a job in the foreground has of ours: the line on which we hear of it (`gravscope.supervisor.foreground`),
    the terminal, if there is one, and the signals that we were started to ignore."""

    link_fd: int
    terminal: str | None
    ignored: tuple[int, ...]


class Begun(Immutable):
    """A job whose id and log are taken and whose record is about to be written."""

    spec: JobSpec
    project: Project
    folder: JobsFolder
    facts: Facts
    lock_fd: int
    log_path: Path
    log_fd: int
    recorded: Callable[[], None]
    """To be called once its record is on disk."""
    front: Front | None


def launch(spec: JobSpec, project: Project, environ: Mapping[str, str], front: Front | None = None) -> Facts:
    """Starts the job and returns its record once the command has been exec'd. One in the foreground has a `front`.

    Raises UsageError if it could not be (the record then says `never-started`), UnsupportedError where the launcher
    that was demanded is not to be had, StoreError where no record can be kept.
    """
    with contextlib.ExitStack() as turn:
        if spec.unique:
            from gravscope.actions.launch.unique import alone  # noqa: PLC0415 (it looks into records)

            turn.enter_context(alone(project.jobs_dir, spec.name))
        return _launch(spec, project, environ, turn.close, front)


def _launch(
    spec: JobSpec,
    project: Project,
    environ: Mapping[str, str],
    recorded: Callable[[], None],
    front: Front | None,
) -> Facts:
    """The same, once it is our turn; `recorded` ends that."""
    folder = JobsFolder(project.jobs_dir)
    if spec.launcher != "auto":
        choose(spec, "probe", environ)  # nothing is left behind where the demand cannot be met
    now = time.time()
    make_private_folder(project.log_dir)
    reservation = folder.reserve(spec.name, stamp(now))
    job_id = reservation.job_id
    try:
        log_path, log_fd = open_log(project.log_dir, job_id)
        try:
            facts = first_facts(spec, job_id, now, log_path)
            if front is not None:
                facts.update(foreground=True, terminal=front.terminal)
                _say_where_output_is(log_fd, front.terminal)
            begun = Begun(spec, project, folder, facts, reservation.lock_fd, log_path, log_fd, recorded, front)
            return _try_each(begun, environ)
        finally:
            os.close(log_fd)
            if not os.path.lexists(folder.record_path(job_id)):
                with contextlib.suppress(OSError):
                    log_path.unlink()  # there was no room even for a record
    finally:
        if not os.path.lexists(folder.record_path(job_id)):
            folder.clear(job_id)
        os.close(reservation.lock_fd)


def _say_where_output_is(log_fd: int, terminal: str | None) -> None:
    """The only line in the log of a job in the foreground: a full-screen program's output is no text."""
    where = printable(terminal) if terminal else "the standard output of whoever started it"
    with contextlib.suppress(OSError):  # a disk that is full is told of when the record is written
        os.write(log_fd, f"gravscope: in the foreground: what it writes goes to {where}, not here\n".encode())


def _try_each(begun: Begun, environ: Mapping[str, str]) -> Facts:
    """Tries each launcher in turn, the record always telling which."""
    facts = begun.facts
    choice = choose(begun.spec, facts["id"], environ)
    facts["fallback_reason"] = choice.fallback_reason and printable(choice.fallback_reason)
    launches = list(choice.launches)
    while True:
        launch = launches.pop(0)
        _record(begun, launch)
        link_fd = None if begun.front is None else begun.front.link_fd
        answer = start(launch, facts["id"], _request(begun, launch), Descriptors(begun.lock_fd, begun.log_fd, link_fd))
        if answer.changes is not None:
            return _confirmed(begun, answer)
        from gravscope.actions.launch import failed  # noqa: PLC0415 (rare, and it looks into records)

        complaint = answer.error or ""
        known = failed.survivor(begun.project.jobs_dir, facts["id"])
        if known is not None:
            return known
        if unit_is_taken(complaint) and launch.unit == unit_name(facts["id"]):
            # a left-over, or a job of the same name and second in another folder: a name that nobody else can have
            launches.insert(0, scope.rename(launch, unit_name(facts["id"], f"-{os.urandom(4).hex()}")))
        elif not launches or not no_manager(complaint):
            raise failed.never_started(begun.project.jobs_dir, facts["id"], printable(complaint))
        else:
            facts["fallback_reason"] = printable(complaint)


def _record(begun: Begun, launch: Launch) -> None:
    """Puts the record on disk, before anything is started."""
    facts, folder = begun.facts, begun.folder
    facts.update(launcher=launch.launcher, unit=launch.unit, slice=launch.slice)
    linger = host.linger_warning(os.geteuid()) if launch.unit is not None else None
    facts["warnings"] = [linger] if linger else []
    facts["warnings"] += map(printable, exposed_folders.warnings([folder.jobs_dir, begun.project.log_dir]))
    folder.put(facts["id"], f"{plainjson.dumps(facts)}\n".encode())
    begun.recorded()
    if begun.spec.rerun_of is not None:
        from gravscope.actions.look.ended import link  # noqa: PLC0415 (it looks into records)

        facts["warnings"] += link(folder.jobs_dir, begun.spec.rerun_of, facts["id"])


def _confirmed(begun: Begun, answer: Answer) -> Facts:
    facts = {**begun.facts, **(answer.changes or {})}
    if answer.error is not None and facts["ended"] is None:
        # the supervisor could not write the record, and gave up; what we wrote of it goes, as if we could not either
        begun.folder.remove_record(facts["id"])
        raise StoreError(answer.error, "nothing was started; make room, or set GRAVSCOPE_JOBS_DIR elsewhere")
    if answer.error is not None:
        raise UsageError(answer.error, "nothing was started")
    return facts


def first_facts(spec: JobSpec, job_id: str, now: float, log_path: Path) -> Facts:
    """The record of a job of which nothing has happened yet, every field of it; `now` is in seconds since 1970."""
    return {
        **blank_record(),
        "id": job_id,
        "name": spec.name,
        "state": "starting",
        "cmd": [printable(word) for word in spec.cmd],
        "shell": spec.shell,
        "cwd": printable(spec.cwd),
        "env": {name: printable(value) for name, value in spec.env.items()},
        "memsafe": spec.memsafe,
        "invocation_id": os.urandom(16).hex(),
        "boot_id": proc.boot_id(),
        "host": os.uname().nodename,
        "log_file": printable(str(log_path)),
        "limits": spec.limits.as_dict(),
        "oom_policy": spec.oom_policy,
        "timeout": spec.timeout,
        "grace": spec.grace,
        "created": timestamp(now),
        "notify": spec.notify is not None,
        "escaped": not all(map(is_text, [*spec.cmd, spec.cwd, *spec.env.values()])),
        "rerun_of": spec.rerun_of,
    }


def argv_of(spec: JobSpec) -> list[str]:
    """What is exec'd: the command's words, or a shell for a shell string, with further words as its $0, $1 …"""
    # the string may begin with a dash
    return ["bash", "-c", "--", *spec.cmd] if spec.shell else list(spec.cmd)


def job_environment(spec: JobSpec, facts: Facts, launch: Launch) -> dict[str, str]:
    """What the command sees: the launcher's environment, the memory-safe defaults, what was given, and what tells
    it where it is."""
    # a job that prints its environment must not print an address that is a secret
    found = {name: value for name, value in launch.environ.items() if name and name != ADDRESS}
    if spec.memsafe:
        found.update(spec.memsafe_env)
    found.setdefault("PYTHONUNBUFFERED", "1")
    found.update(spec.env)
    found.update(GRAV_BG_JOB="1", GRAVSCOPE_JOB_ID=facts["id"], GRAVSCOPE_NAME=spec.name)
    found["GRAVSCOPE_INVOCATION_ID"] = facts["invocation_id"]
    if launch.unit is not None:
        found["GRAVSCOPE_UNIT"] = launch.unit
    return found


def open_log(log_dir: Path, job_id: str) -> tuple[Path, int]:
    """The job's log file, new, private, and opened so that every line is appended: O_EXCL never shares another's."""
    for count in range(1, 1000):
        path = log_dir / (f"{job_id}.log" if count == 1 else f"{job_id}.{count}.log")
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            return path, files.open_as(str(path), flags)
        except FileExistsError:
            continue
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror}", "set GRAVSCOPE_LOG_DIR elsewhere") from None
    raise StoreError(f"{log_dir}: no free log name for {job_id}")


def _request(begun: Begun, launch: Launch) -> dict[str, object]:
    """What the supervisor is handed (see `gravscope.supervisor.request`)."""
    spec, folder, job_id = begun.spec, begun.folder, begun.facts["id"]
    environ = job_environment(spec, begun.facts, launch)
    limits = spec.limits
    return {
        "argv": [os.fsencode(word) for word in argv_of(spec)],
        "environ": {os.fsencode(name): os.fsencode(value) for name, value in environ.items()},
        "cwd": os.fsencode(spec.cwd),
        "record": begun.facts,
        "record_path": str(folder.record_path(job_id)),
        "lock_path": str(folder.lock_path(job_id)),
        "cancel_path": str(folder.cancel_path(job_id)),
        "limits_path": str(folder.limits_path(job_id)),
        "pause_path": str(folder.pause_path(job_id)),
        "log_path": os.fsencode(begun.log_path),
        "unit": launch.unit,
        "mem_high": limits.mem_high if isinstance(limits.mem_high, int) else None,
        "mem_max": limits.mem_max if isinstance(limits.mem_max, int) else None,
        "timeout": spec.timeout,
        "grace": spec.grace,
        "oom_policy": spec.oom_policy,
        "notify": None if spec.notify is None else _telling(spec.notify),
        # the machine is kept usable for what is in the foreground: that is left as likely a victim as it was
        "oom_score": OOM_SCORE if begun.front is None else 0,
        "ignored": (int(SIGHUP),) if begun.front is None else begun.front.ignored,
    }


def _telling(asked: Notify) -> dict[str, object]:
    from gravscope.notify.notify import supervisor_request  # noqa: PLC0415 (for few jobs)

    return supervisor_request(asked)
