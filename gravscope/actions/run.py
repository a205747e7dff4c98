"""`gravscope run`: record first, then the launcher, then the supervisor's word that the command has been exec'd."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import msgspec

from gravscope import files, host, proc
from gravscope.actions import ended, settle, shared
from gravscope.actions.hide import hide_in_command, hide_secrets
from gravscope.actions.notify import ADDRESS, handed
from gravscope.actions.settle import conclude, survivors, unsupervised
from gravscope.actions.unique import alone
from gravscope.commands import unit_name
from gravscope.errors import GravscopeError, StoreError, UnsupportedError, UsageError
from gravscope.launchers import Launch, scope
from gravscope.launchers.choose import choose, nobody_there, unit_is_taken
from gravscope.launchers.start import Answer, Handles, start
from gravscope.model import JobRecord, JobSpec
from gravscope.project import Project
from gravscope.store import Store, make_private_folder

# added to the job's oom_score_adj, so that a machine out of memory takes the job and not tmux (200 under systemd)
OOM_SCORE = 500


@dataclass(frozen=True)
class Front:
    """What a job in the foreground has of ours: the line on which we hear of it (`gravscope.supervisor.foreground`),
    the terminal, if there is one, and the signals that we were started to ignore."""

    link_fd: int
    terminal: str | None
    ignored: tuple[int, ...]


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
    recorded: Callable[[], None]
    """To be called once its record is on disk."""
    front: Front | None


def run(spec: JobSpec, project: Project, environ: Mapping[str, str], front: Front | None = None) -> JobRecord:
    """Starts the job and returns its record once the command has been exec'd. One in the foreground has a `front`.

    Raises UsageError if it could not be (the record then says `never-started`), UnsupportedError where the launcher
    that was demanded is not to be had, StoreError where no record can be kept.
    """
    with contextlib.ExitStack() as turn:
        if spec.unique:
            turn.enter_context(alone(Store(project.jobs_dir), spec.name))
        return _run(spec, project, environ, turn.close, front)


def _run(
    spec: JobSpec,
    project: Project,
    environ: Mapping[str, str],
    recorded: Callable[[], None],
    front: Front | None,
) -> JobRecord:
    """The same, once it is our turn; `recorded` ends that."""
    store = Store(project.jobs_dir)
    if spec.launcher != "auto":
        choose(spec, "probe", environ)  # nothing is left behind where the demand cannot be met
    now = datetime.now().astimezone()
    make_private_folder(project.log_dir)
    reservation = store.reserve(spec.name, now)
    try:
        log_path, log_fd = open_log(project.log_dir, reservation.job_id)
        try:
            record = new_record(spec, reservation.job_id, now, log_path)
            if front is not None:
                record.foreground, record.terminal = True, front.terminal
                _say_where_output_is(log_fd, front.terminal)
            begun = Begun(spec, project, store, record, reservation.lock_fd, log_path, log_fd, recorded, front)
            return _launch(begun, environ)
        finally:
            os.close(log_fd)
            if not os.path.lexists(store.record_path(reservation.job_id)):
                with contextlib.suppress(OSError):
                    log_path.unlink()  # there was no room even for a record
    finally:
        if not os.path.lexists(store.record_path(reservation.job_id)):
            store.release(reservation.job_id)
        os.close(reservation.lock_fd)


def _say_where_output_is(log_fd: int, terminal: str | None) -> None:
    """The only line in the log of a job in the foreground: a full-screen program's output is no text."""
    where = printable(terminal) if terminal else "the standard output of whoever started it"
    with contextlib.suppress(OSError):  # a disk that is full is told of when the record is written
        os.write(log_fd, f"gravscope: in the foreground: what it writes goes to {where}, not here\n".encode())


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
        record.warnings += shared.warnings([begun.store.jobs_dir, begun.project.log_dir])
        begun.store.write(record)
        begun.recorded()
        ended.link(begun.store, record)
        link_fd = None if begun.front is None else begun.front.link_fd
        answer = start(launch, record.id, _request(begun, launch), Handles(begun.lock_fd, begun.log_fd, link_fd))
        if answer.news is not None:
            return _confirmed(begun.store, record, answer)
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


def _confirmed(store: Store, record: JobRecord, answer: Answer) -> JobRecord:
    confirmed = msgspec.convert({**msgspec.to_builtins(record), **(answer.news or {})}, JobRecord)
    if answer.error is not None and confirmed.live:
        # the supervisor could not write the record, and gave up; what we wrote of it goes, as if we could not either
        store.withdraw(record.id)
        raise StoreError(answer.error, "nothing was started; make room, or set GRAVSCOPE_JOBS_DIR elsewhere")
    if answer.error is not None:
        raise UsageError(answer.error, "nothing was started")
    return confirmed


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
        notify=spec.notify is not None,
        created=now.isoformat(timespec="milliseconds"),
        escaped=not all(map(_is_text, [*spec.cmd, spec.cwd, *spec.env.values()])),
        rerun_of=spec.rerun_of,
    )


def printable(text: str) -> str:
    """`text` with bytes that are no UTF-8 as \\xNN: JSON holds only text. The command itself gets them as they are."""
    return os.fsencode(text).decode("utf-8", "backslashreplace")


def _is_text(text: str) -> bool:
    """True where `printable` leaves every byte as it is."""
    try:
        os.fsencode(text).decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def argv_of(spec: JobSpec) -> list[str]:
    """What is exec'd: the command's words, or a shell for a shell string, with further words as its $0, $1 …"""
    # the string may begin with a dash
    return ["bash", "-c", "--", *spec.cmd] if spec.shell else list(spec.cmd)


def job_environment(spec: JobSpec, record: JobRecord, launch: Launch) -> dict[str, str]:
    """What the command sees: the launcher's environment, the memory-safe defaults, what was given, and what tells
    it where it is."""
    # a job that prints its environment must not print an address that is a secret
    found = {name: value for name, value in launch.environ.items() if name and name != ADDRESS}
    if spec.memsafe:
        found.update(spec.memsafe_env)
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
            return path, files.open_as(str(path), flags)
        except FileExistsError:
            continue
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror}", "set GRAVSCOPE_LOG_DIR elsewhere") from None
    raise StoreError(f"{log_dir}: no free log name for {job_id}")


def _request(begun: Begun, launch: Launch) -> dict[str, object]:
    """What the supervisor is handed (see `gravscope.supervisor.request`)."""
    spec, store, job_id = begun.spec, begun.store, begun.record.id
    environ = job_environment(spec, begun.record, launch)
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
        "notify": None if spec.notify is None else handed(spec.notify),
        # the machine is kept usable for what is in the foreground: that is left as likely a victim as it was
        "oom_score": OOM_SCORE if begun.front is None else 0,
        "ignored": (signal.SIGHUP.value,) if begun.front is None else begun.front.ignored,
    }


def dry_run(spec: JobSpec, project: Project, environ: Mapping[str, str]) -> str:
    """The command line that would start the job, ready to paste into a POSIX shell but for secrets, which are ***."""
    now = datetime.now().astimezone()
    job_id = f"{spec.name}_{now:%Y%m%d_%H%M%S}"
    choice = choose(spec, job_id, environ)
    launch = scope.verbatim(choice.launches[0], argv_of(spec))
    record = new_record(spec, job_id, now, project.log_dir / f"{job_id}.log")
    job = job_environment(spec, record, replace(launch, environ={}))
    tools = {
        name: launch.environ[name]
        for name in ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")
        if launch.environ.get(name) != environ.get(name)
    }
    variables = [f"{name}={value}" for name, value in hide_secrets({**tools, **job}).items()]
    words = ["env", *variables, *launch.prefix, *hide_in_command(argv_of(spec))]
    log = project.log_dir / f"{job_id}.log"
    if spec.foreground:
        return f"cd {shlex.quote(spec.cwd)} && {shlex.join(words)}"
    return (
        f"mkdir -p {shlex.quote(str(log.parent))} && cd {shlex.quote(spec.cwd)} && "
        f"{shlex.join(words)} </dev/null >>{shlex.quote(str(log))} 2>&1"
    )
