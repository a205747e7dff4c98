"""`gravscope run`: record first, then the launcher, then the supervisor's word that the command has been exec'd."""

from __future__ import annotations

import os
import shlex
import socket
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import msgspec

from gravscope import files, host, proc
from gravscope.actions import settle
from gravscope.actions.settle import conclude, live_records, survivors, unsupervised
from gravscope.commands import unit_name
from gravscope.errors import GravscopeError, RefusedError, StoreError, UnsupportedError, UsageError
from gravscope.launchers import Launch, scope
from gravscope.launchers.choose import choose, nobody_there, unit_is_taken
from gravscope.launchers.start import Answer, start
from gravscope.model import JobRecord, JobSpec
from gravscope.project import Project
from gravscope.store import Store, make_private_folder

# added to the job's oom_score_adj, so that a machine out of memory takes the job and not tmux (200 under systemd)
OOM_SCORE = 500


@dataclass(frozen=True)
class Begun:
    """A job whose id and log are taken and whose record is about to be written."""

    spec: JobSpec
    project: Project
    store: Store
    record: JobRecord
    lock_fd: int
    log_path: Path
    log_fd: int


def run(spec: JobSpec, project: Project, environ: Mapping[str, str]) -> JobRecord:
    """Starts the job and returns its record once the command has been exec'd.

    Raises UsageError if it could not be (the record then says `never-started`), UnsupportedError where the launcher
    that was demanded is not to be had, StoreError where no record can be kept.
    """
    store = Store(project.jobs_dir)
    if spec.unique:
        _refuse_twin(store, spec.name)
    if spec.launcher != "auto":
        choose(spec, "probe", environ)  # nothing is left behind where the demand cannot be met
    now = datetime.now().astimezone()
    make_private_folder(project.log_dir)
    reservation = store.reserve(spec.name, now)
    try:
        log_path, log_fd = open_log(project.log_dir, reservation.job_id)
        try:
            record = new_record(spec, reservation.job_id, now, log_path)
            begun = Begun(spec, project, store, record, reservation.lock_fd, log_path, log_fd)
            return _launch(begun, environ)
        finally:
            os.close(log_fd)
            if not store.record_path(reservation.job_id).exists():
                log_path.unlink(missing_ok=True)  # there was no room even for a record
    finally:
        if not store.record_path(reservation.job_id).exists():
            store.release(reservation.job_id)
        os.close(reservation.lock_fd)


def _refuse_twin(store: Store, name: str) -> None:
    for record in live_records(store):
        if record.name == name:
            raise RefusedError(f"{record.id} is still {record.state}", f"type: gravscope wait {record.id}")


def _launch(begun: Begun, environ: Mapping[str, str]) -> JobRecord:
    """Tries each launcher in turn, the record always telling which."""
    record = begun.record
    choice = choose(begun.spec, record.id, environ)
    record.fallback_reason = choice.fallback_reason and printable(choice.fallback_reason)
    launches = list(choice.launches)
    while True:
        launch = launches.pop(0)
        record.launcher, record.unit, record.slice = launch.launcher, launch.unit, launch.slice
        linger = host.linger_warning(os.geteuid()) if launch.unit is not None else None
        record.warnings = [linger] if linger else []
        begun.store.write(record)
        answer = start(launch, record.id, _request(begun, launch), begun.lock_fd, begun.log_fd)
        if answer.news is not None:
            return _confirmed(record, answer)
        complaint = answer.error or ""
        known = begun.store.read(record.id)  # a supervisor that has died since may have got further than we know
        if survivors(known):
            return unsupervised(begun.store, known)
        if known.supervisor_pid is not None:
            conclude(begun.store, known)
            begun.store.release(known.id)
            raise UnsupportedError(
                f"{known.id}: its supervisor ended while starting it", f"type: gravscope show {known.id}"
            )
        if unit_is_taken(complaint) and launch.unit == unit_name(record.id):
            # a left-over, or a job of the same name and second in another folder: a name that nobody else can have
            launches.insert(0, scope.rename(launch, unit_name(f"{record.id}-{os.urandom(4).hex()}")))
        elif not launches or not nobody_there(complaint):
            raise _never_started(begun.store, record, complaint)
        else:
            record.fallback_reason = printable(complaint)


def _confirmed(record: JobRecord, answer: Answer) -> JobRecord:
    if answer.error is not None:
        raise UsageError(answer.error, "nothing was started")
    return msgspec.convert({**msgspec.to_builtins(record), **(answer.news or {})}, JobRecord)


def _never_started(store: Store, record: JobRecord, complaint: str) -> GravscopeError:
    """Ends the record of a job whose launcher failed before there was a supervisor."""
    record.state = "never-started"
    record.reason = f"{record.launcher}: {printable(complaint)}"
    record.ended = settle.now()
    store.write(record)
    store.release(record.id)
    hint = (
        "--launcher session does without systemd" if record.launcher == "scope" else f"type: gravscope show {record.id}"
    )
    return UnsupportedError(f"{record.id} was not started: {printable(complaint)}", hint)


def new_record(spec: JobSpec, job_id: str, now: datetime, log_path: Path) -> JobRecord:
    """The record of a job of which nothing has happened yet."""
    return JobRecord(
        id=job_id,
        name=spec.name,
        state="starting",
        cmd=[printable(word) for word in spec.cmd],
        shell=spec.shell,
        cwd=printable(spec.cwd),
        env={name: printable(value) for name, value in spec.env.items()},
        memsafe=spec.memsafe,
        invocation_id=os.urandom(16).hex(),
        boot_id=proc.boot_id(),
        host=socket.gethostname(),
        log_file=printable(str(log_path)),
        limits=spec.limits,
        oom_policy=spec.oom_policy,
        timeout=spec.timeout,
        grace=spec.grace,
        created=now.isoformat(timespec="milliseconds"),
    )


def printable(text: str) -> str:
    """`text` with bytes that are no UTF-8 as \\xNN: JSON holds only text. The command itself gets them as they are."""
    return os.fsencode(text).decode("utf-8", "backslashreplace")


def argv_of(spec: JobSpec) -> list[str]:
    """What is exec'd: the command's words, or a shell for a shell string, with further words as its $0, $1 …"""
    return ["bash", "-c", *spec.cmd] if spec.shell else list(spec.cmd)


def job_environment(spec: JobSpec, project: Project, record: JobRecord, launch: Launch) -> dict[str, str]:
    """What the command sees: the launcher's environment, the project's memory-safe defaults, what was given, and
    what tells it where it is."""
    found = {name: value for name, value in launch.environ.items() if name}
    if spec.memsafe and project.memsafe:
        found.update(project.memsafe_env)
    found.setdefault("PYTHONUNBUFFERED", "1")
    found.update(spec.env)
    found.update(GRAV_BG_JOB="1", GRAVSCOPE_JOB_ID=record.id, GRAVSCOPE_NAME=spec.name)
    found["GRAVSCOPE_INVOCATION_ID"] = record.invocation_id or ""
    if launch.unit is not None:
        found["GRAVSCOPE_UNIT"] = launch.unit
    return found


def open_log(log_dir: Path, job_id: str) -> tuple[Path, int]:
    """The job's log file, new, private, and opened so that every line is appended: O_EXCL never shares another's."""
    for count in range(1, 1000):
        path = log_dir / (f"{job_id}.log" if count == 1 else f"{job_id}.{count}.log")
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            return path, os.open(path, flags, files.PRIVATE)
        except FileExistsError:
            continue
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror}", "set GRAVSCOPE_LOG_DIR elsewhere") from None
    raise StoreError(f"{log_dir}: no free log name for {job_id}")


def _request(begun: Begun, launch: Launch) -> dict[str, object]:
    """What the supervisor is handed (see `gravscope.supervisor.request`)."""
    spec, store, job_id = begun.spec, begun.store, begun.record.id
    environ = job_environment(spec, begun.project, begun.record, launch)
    limits = spec.limits
    return {
        "argv": [os.fsencode(word) for word in argv_of(spec)],
        "environ": {os.fsencode(name): os.fsencode(value) for name, value in environ.items()},
        "cwd": os.fsencode(spec.cwd),
        "record": msgspec.to_builtins(begun.record),
        "record_path": str(store.record_path(job_id)),
        "lock_path": str(store.lock_path(job_id)),
        "cancel_path": str(store.cancel_path(job_id)),
        "limits_path": str(store.limits_path(job_id)),
        "pause_path": str(store.pause_path(job_id)),
        "log_path": os.fsencode(begun.log_path),
        "unit": launch.unit,
        "mem_high": limits.mem_high if isinstance(limits.mem_high, int) else None,
        "mem_max": limits.mem_max if isinstance(limits.mem_max, int) else None,
        "timeout": spec.timeout,
        "grace": spec.grace,
        "oom_policy": spec.oom_policy,
        "oom_score": OOM_SCORE,
    }


def dry_run(spec: JobSpec, project: Project, environ: Mapping[str, str]) -> str:
    """The command line that would start the job, ready to paste into a POSIX shell, and why it is that one."""
    now = datetime.now().astimezone()
    job_id = f"{spec.name}_{now:%Y%m%d_%H%M%S}"
    choice = choose(spec, job_id, environ)
    launch = choice.launches[0]
    record = new_record(spec, job_id, now, project.log_dir / f"{job_id}.log")
    job = job_environment(spec, project, record, replace(launch, environ={}))
    tools = {
        name: launch.environ[name]
        for name in ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")
        if launch.environ.get(name) != environ.get(name)
    }
    variables = [f"{name}={value}" for name, value in {**tools, **job}.items()]
    words = ["env", *variables, *launch.prefix, *argv_of(spec)]
    log = project.log_dir / f"{job_id}.log"
    return (
        f"mkdir -p {shlex.quote(str(log.parent))} && cd {shlex.quote(spec.cwd)} && "
        f"{shlex.join(words)} </dev/null >>{shlex.quote(str(log))} 2>&1"
    )
