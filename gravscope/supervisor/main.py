"""The supervisor's main function: all that it does, in order."""

from __future__ import annotations

import os
import time

from gravscope.base import plainjson
from gravscope.base.stamp import timestamp
from gravscope.linux import files, proc
from gravscope.records.outcome import CANCELLED, NEVER_STARTED, Evidence, Outcome, decide
from gravscope.supervisor import syscalls
from gravscope.supervisor.cancellation import for_record
from gravscope.supervisor.cgroups import create_cgroups
from gravscope.supervisor.command import Child, SpawnError
from gravscope.supervisor.finish import finish, split_status, write_final_record
from gravscope.supervisor.journal import ENDED, STARTED, Journal
from gravscope.supervisor.observe import Observer, update_enforcement
from gravscope.supervisor.record import Recorder
from gravscope.supervisor.request import Request, receive
from gravscope.supervisor.requests import read_cancel
from gravscope.supervisor.watch import Watch


def main(request_fd: int) -> None:
    """Runs one job. `request_fd` is the inherited file with the request; the launcher is answered over a pipe."""
    request = receive(request_fd)
    _detach(request)
    recorder = Recorder(request.record_path, request.record)
    cgroups = create_cgroups(request.unit, request.oom_policy, str(request.record["invocation_id"]))
    recorder.update(supervisor_pid=os.getpid(), supervisor_start_ticks=_start_ticks(os.getpid()))
    for warning in cgroups.warnings:
        recorder.warn(warning)
    update_enforcement(request, recorder, cgroups)
    log_fd = _open_log(request.log_path)
    journal = Journal(str(request.record["id"]), str(request.record["name"]), request.unit, log_fd)
    watch = Watch(request, cgroups, Observer(request, cgroups, recorder, journal))
    watch.listen()  # before the command is started: a stop that comes now is obeyed as soon as there is a command
    cancel = read_cancel(request.cancel_path)
    if cancel is not None:
        recorder.update(cancel=for_record(cancel))
        _give_up(request, recorder, Outcome(CANCELLED, "cancelled before its command was started"))
        return
    child = Child(request, cgroups.job)
    recorder.update(pid=child.pid, pgid=child.pgid, start_ticks=_start_ticks(child.pid))
    if not recorder.write():
        # The disk has become full since `gravscope run` wrote the first record. Nothing may run that no record names.
        child.abandon()
        _answer(request, {"error": f"{request.record_path}: {recorder.complaint}"})
        return
    try:
        child.execute()
    except SpawnError as error:
        recorder.update(pid=None, pgid=None, start_ticks=None)
        _give_up(request, recorder, Outcome(NEVER_STARTED, str(error)))
        return
    recorder.update(state="running", started=timestamp(time.time()))
    recorder.write()
    _answer(request, {})
    journal.event(STARTED, f"job {request.record['id']} started: pid {child.pid}")
    watch.run(child.pid)
    _end(request, recorder, watch)
    journal.mirror(last=True)
    journal.event(ENDED, f"job {request.record['id']} {request.record['state']}: {request.record['reason']}")


def _end(request: Request, recorder: Recorder, watch: Watch) -> None:
    """The end of a job that ran. If gathering evidence fails, the exit status of the command is still recorded."""
    try:
        finish(request, recorder, watch)
    except Exception as error:
        code, number = split_status(watch.status)
        outcome = decide(Evidence(exit_code=code, signal=number))
        recorder.warn(f"gravscope failed to gather all evidence: {error!r}")
        recorder.update(state=outcome.state, reason=outcome.reason, exit_code=code, signal=number)
        recorder.update(ended=timestamp(time.time()))
        write_final_record(request, recorder)


def _give_up(request: Request, recorder: Recorder, outcome: Outcome) -> None:
    """Ends a job whose command was never exec'd."""
    recorder.update(state=outcome.state, reason=outcome.reason, ended=timestamp(time.time()))
    recorder.write()
    _answer(request, {"error": outcome.reason})  # before `write_final_record`, which waits while the disk is full
    write_final_record(request, recorder)


def _detach(request: Request) -> None:
    """Detaches the supervisor: own session, signals ignored, errors into the job's log, no open file passed on."""
    syscalls.ignore_signals(interrupts=request.foreground)
    syscalls.become_subreaper()
    if os.getsid(0) != os.getpid() and not request.foreground:
        os.setsid()  # in the foreground later, after the fork (see `command.Child`)
    # Until now standard error was the file for messages of the launcher, which `gravscope run` reads. From here on it
    # is the log.
    os.dup2(1, 2)
    for descriptor in (request.lock_fd, request.handshake_fd, request.link_fd, *request.streams):
        if descriptor is not None:
            os.set_inheritable(descriptor, False)


def _start_ticks(pid: int) -> int | None:
    found = proc.stat(pid)
    return None if found is None else found.start_ticks


def _open_log(path: bytes) -> int | None:
    """The log, opened for reading, to send it to the journal; the job writes to it through another descriptor.

    None if another file is at that path by now. Does not block on a FIFO.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    if os.path.samestat(os.fstat(descriptor), os.fstat(1)):
        return descriptor
    os.close(descriptor)
    return None


def _answer(request: Request, message: dict[str, object]) -> None:
    """Tells `gravscope run` whether the job was started. If that process has ended, the job goes on without it.

    Fields that it knows already (the command, the environment) are left out, so that the answer fits into the pipe
    even if it is not read yet.
    """
    known = ("cmd", "env", "cwd")
    news = {name: value for name, value in request.record.items() if name not in known}
    try:
        files.write_all(request.handshake_fd, plainjson.dumps({**message, "record": news}).encode("utf-8", "replace"))
        os.close(request.handshake_fd)
    except OSError:
        pass
