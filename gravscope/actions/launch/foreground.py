"""`gravscope run --fg`: the command at our own terminal, in our own session and process group, while we wait for it.

What the terminal has to say (Ctrl-C, Ctrl-Z, its size, its end) the kernel says to the whole process group, and so to
the command itself, as from any shell; nothing of it passes through us, and pipelines and `&` work as ever. What is left
to do is what a shell expects of a command: to stop when it stops, to go on when it goes on, to pass on what is sent to
us alone (`kill PID`), and to end as it ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import termios
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from signal import Signals

from gravscope.actions.launch.launch import Front
from gravscope.actions.launch.run import run
from gravscope.actions.look.wait import exit_status, wait
from gravscope.linux import proc
from gravscope.records.model import JobRecord
from gravscope.records.spec import JobSpec
from gravscope.records.store import Store
from gravscope.settings.project import Project

# what would end us and is the command's to act on
_MEANT_FOR_IT = (
    Signals.SIGINT, Signals.SIGQUIT, Signals.SIGTERM, Signals.SIGHUP, Signals.SIGUSR1, Signals.SIGUSR2,
)  # fmt: skip
# what would stop us, though the command may see to its screen first, or not stop at all
_STOPPING = (Signals.SIGTSTP, Signals.SIGTTIN, Signals.SIGTTOU)
# si_code of a signal that the kernel itself sent (sigaction(2)); those of processes are none above 0
_BY_A_PROCESS = 0
STREAMS = range(3)


@dataclass(frozen=True)
class Finished:
    """The command has ended with this exit status; `goes_on` while the job has other processes, in the background."""

    record: JobRecord
    status: int
    goes_on: bool


def run_in_foreground(spec: JobSpec, project: Project, environ: Mapping[str, str]) -> Finished:
    """Runs the command to its end. Raises what `run` does, and KeyboardInterrupt if Ctrl-C came before it was there."""
    ours, theirs = socket.socketpair()
    terminal = _Terminal()
    with ours, _deaf() as deaf:
        with theirs:
            try:
                record = run(spec, project, environ, Front(theirs.fileno(), terminal.name, deaf.ignored))
            except Exception:
                if Signals.SIGINT in deaf.heard:
                    raise KeyboardInterrupt from None
                raise
        attendance = _Attendance(record, ours, deaf)
        status = attendance.attend()
        if status is None:
            with attendance.beside():  # without its supervisor the command may go on for long
                record = wait(Store(project.jobs_dir), [record.id])[0]
            terminal.give_back(killed=record.state not in ("succeeded", "failed"))
            return Finished(record, exit_status(record), goes_on=False)
        terminal.give_back(killed=os.WIFSIGNALED(status))
    code = os.waitstatus_to_exitcode(status)
    return Finished(record, code if code >= 0 else 128 - code, goes_on=True)


class _Deafness:
    """Which signals we were started to ignore, which all others do, too, and what has come before anybody attends."""

    def __init__(self) -> None:
        self.ignored = tuple(
            number.value for number in (*_MEANT_FOR_IT, *_STOPPING) if signal.getsignal(number) is signal.SIG_IGN
        )
        self.heard: list[int] = []


@contextlib.contextmanager
def _deaf() -> Iterator[_Deafness]:
    """Keeps us from being ended by what the command is to act on. By handlers, which whatever we start does not
    inherit: Ctrl-C ends a launcher that is stuck."""
    deaf = _Deafness()
    numbers = [number for number in (*_MEANT_FOR_IT, Signals.SIGIO) if number not in deaf.ignored]
    before = {number: signal.signal(number, lambda caught, _frame: deaf.heard.append(caught)) for number in numbers}
    try:
        yield deaf
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Attendance:
    """The time from exec to the end of the command: whatever happens in it is a signal to us, also news on the line."""

    def __init__(self, record: JobRecord, line: socket.socket, deaf: _Deafness) -> None:
        self.record = record
        self.line = line
        self.deaf = deaf
        self.rest = b""
        self.signals = {Signals.SIGIO, Signals.SIGCONT, *_MEANT_FOR_IT, *_STOPPING} - set(deaf.ignored)

    def attend(self) -> int | None:
        """The command's wait status, where the job goes on without it; None where nobody says more about it, since the
        job, or its supervisor, has ended."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, self.signals)
        try:
            self.line.setblocking(False)
            fcntl.fcntl(self.line, fcntl.F_SETOWN, os.getpid())
            fcntl.fcntl(self.line, fcntl.F_SETFL, fcntl.fcntl(self.line, fcntl.F_GETFL) | os.O_ASYNC)
            self._catch_up()
            while True:
                for word, number in self._news():
                    if word == b"stopped":
                        self._stop(number)
                    else:
                        return number if word == b"ended" else None
                self._heed(signal.sigwaitinfo(self.signals))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    @contextlib.contextmanager
    def beside(self) -> Iterator[None]:
        """Goes on passing signals on while something else is waited for. In a thread, which is told who sent them; a
        handler is not, and Ctrl-C would come to the command twice."""
        from threading import Event, Thread  # noqa: PLC0415 (rare)

        signals, over = {Signals.SIGIO, *_MEANT_FOR_IT} - set(self.deaf.ignored), Event()

        def listen() -> None:
            while not over.is_set():
                self._heed(signal.sigwaitinfo(signals))

        before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        thread = Thread(target=listen, daemon=True)
        thread.start()
        try:
            self._catch_up()
            yield
        finally:
            over.set()
            signal.pthread_kill(thread.ident or 0, Signals.SIGIO)
            thread.join()
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _catch_up(self) -> None:
        """Passes on what has come before anybody attended, Ctrl-C as well: while a command is being started its
        supervisor ignores SIGINT. One that has it already is told twice; better than never."""
        while self.deaf.heard:
            self._pass_on(self.deaf.heard.pop(0))

    def _news(self) -> Iterator[tuple[bytes, int]]:
        """What the supervisor has said since the last time; in the end ("gone", 0)."""
        while True:
            try:
                part = self.line.recv(4096)
            except BlockingIOError:
                return
            except OSError:
                part = b""
            *lines, self.rest = (self.rest + part).split(b"\n")
            for line in lines:
                word, _, number = line.partition(b" ")
                yield word, int(number)
            if not part:
                yield b"gone", 0

    def _heed(self, info: signal.struct_siginfo) -> None:
        number = info.si_signo
        if number == Signals.SIGCONT:
            # the shell's own comes to the whole process group; one that was sent to us alone is passed on
            if self._command_is_stopped() and info.si_pid != os.getpid():
                os.killpg(os.getpgrp(), number)
        elif number in _MEANT_FOR_IT and (info.si_code <= _BY_A_PROCESS or self._is_for_a_leader(number)):
            # one that was sent to the whole process group comes to the command twice; better than never
            self._pass_on(number)

    def _is_for_a_leader(self, number: int) -> bool:
        """The end of a terminal is told to the leader of its session, and to the others only when that has ended."""
        return number == Signals.SIGHUP and os.getsid(0) == os.getpid()

    def _pass_on(self, number: int) -> None:
        if self.record.pid is not None and self.record.start_ticks is not None:
            proc.send_signal(self.record.pid, self.record.start_ticks, number)

    def _command_is_stopped(self) -> bool:
        found = None if self.record.pid is None else proc.stat(self.record.pid)
        return found is not None and found.start_ticks == self.record.start_ticks and found.state == "T"

    def _stop(self, number: int) -> None:
        """Stops us as the command was stopped, until the shell lets both go on. Where there is no shell that could, as
        in a window that only runs this, the kernel does not stop us either (an orphaned process group)."""
        if not self._command_is_stopped():
            return  # it goes on already
        ours = Signals(number) if number in _STOPPING else Signals.SIGTSTP
        if ours.value not in self.deaf.ignored:
            os.kill(os.getpid(), ours)  # with one that has come from the terminal meanwhile it is still only one
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {ours})
            signal.pthread_sigmask(signal.SIG_BLOCK, {ours})


class _Terminal:
    """Our terminal, as it was when we came, if there is one and it is ours to give (tcgetpgrp(3), termios(3))."""

    def __init__(self) -> None:
        self.stream = next((stream for stream in STREAMS if os.isatty(stream)), None)
        self.name = None if self.stream is None else _name_of(self.stream)
        self.modes = None
        if self.stream is not None:
            with contextlib.suppress(OSError, termios.error):
                self.modes = termios.tcgetattr(self.stream)

    def give_back(self, *, killed: bool) -> None:
        """After a command that was killed, and so could not put the terminal in order itself. What one that ended by
        itself has set is what it was to set."""
        if self.stream is None or self.modes is None or not killed:
            return
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {Signals.SIGTTOU})
        try:
            group = os.tcgetpgrp(self.stream)
            if group != os.getpgrp() and not _is_there(group):
                os.tcsetpgrp(self.stream, os.getpgrp())  # a shell that was killed leaves it to a group of its own
                group = os.getpgrp()
            if group == os.getpgrp():
                termios.tcsetattr(self.stream, termios.TCSANOW, self.modes)
        except (OSError, termios.error):
            pass  # it is gone
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _name_of(stream: int) -> str | None:
    try:
        return os.ttyname(stream)
    except OSError:
        return None  # of another container


def _is_there(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
