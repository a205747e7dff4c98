"""From exec to the end of the last process: reaps, samples, enforces timeout and memory limit, obeys a stop."""

from __future__ import annotations

import _signal
import os
import select
import time

from gravscope.linux import proc
from gravscope.supervisor.cgroups import JobCgroups
from gravscope.supervisor.foreground import BACKGROUND_AFTER, Client
from gravscope.supervisor.observe import Observer
from gravscope.supervisor.processes import JobProcesses
from gravscope.supervisor.request import Request
from gravscope.supervisor.requests import grace_of, read_cancel

# seconds between samples: short at first, since many jobs are short, growing to one second
MAX_INTERVAL, MIN_INTERVAL, GROWTH = 1.0, 0.02, 0.25
# bytes a second, the fastest growth that is expected: the next sample is taken before the limit could be passed
FAST_ALLOCATION = 2**30
# seconds that may pass between the signals of one stop job
LATE_STOP = 0.2
# seconds between two attempts to kill a job
KILL_INTERVAL = 0.05


class Watch:
    """Watches the job while it runs. All times are of the monotonic clock, because the wall clock may be set."""

    def __init__(self, request: Request, cgroups: JobCgroups, observer: Observer) -> None:
        self.request = request
        self.cgroups = cgroups
        self.pid: int | None = None
        self.observer = observer
        self.processes = JobProcesses(cgroups.job)
        self.is_measured = cgroups.peak() is not None
        self.client = Client(request.link_fd)
        self.began = time.monotonic()
        self.status: int | None = None
        self.command_ended: float | None = None
        self.peak = 0
        # Before exec a child has the memory of the supervisor, and that counts in its ru_maxrss (getrusage(2)). So
        # only values above this one say something about the command.
        self.inherited_peak = proc.peak_resident()
        self.cpu_seconds = 0.0
        self.watch_kill: int | None = None
        self.timed_out = False
        self.stopped_by: str | None = None
        self.kill_at: float | None = None
        self.killing = False
        self.stop_signals: list[int] = []
        self.next_sample = self.began
        self.wake, self._wake_end = _wakeup_pipe()

    def listen(self) -> None:
        """Installs signal handlers: SIGCHLD and SIGUSR1 wake the loop, SIGTERM and SIGINT ask it to stop the job.

        In the foreground SIGINT comes from Ctrl-C and is left to the command.
        """
        for number in (_signal.SIGTERM,) if self.request.foreground else (_signal.SIGTERM, _signal.SIGINT):
            _signal.signal(number, lambda caught, _frame: self.stop_signals.append(caught))
        _signal.signal(_signal.SIGCHLD, lambda _number, _frame: None)
        # a request was put beside the record: take a sample now
        _signal.signal(_signal.SIGUSR1, lambda _number, _frame: setattr(self, "next_sample", 0.0))
        _signal.set_wakeup_fd(self._wake_end, warn_on_full_buffer=False)

    def run(self, pid: int) -> None:
        """Watches the job whose command is `pid`; returns when the last process of the job has ended."""
        self.pid, self.began = pid, time.monotonic()
        poll = select.poll()
        poll.register(self.wake, select.POLLIN)
        self.client.register(poll)
        while True:
            self.reap()
            if self.status is not None and self.processes.empty():
                self._wait_for_late_stop(poll)
                return
            self.handle_timers(time.monotonic())
            ready = poll.poll(max(1, 1000 * (self._next_wakeup() - time.monotonic())))
            _drain(self.wake)
            if self.client.disconnected(ready) and self.status is None:
                self.observer.hung_up()
                self.client.hang_up(self.processes)

    def reap(self) -> None:
        """Reaps every child that has ended: the command, and orphaned descendants of it."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG | (os.WUNTRACED if self.request.foreground else 0))
            except ChildProcessError:
                return
            if pid == 0:
                return
            if os.WIFSTOPPED(status):
                if pid == self.pid:
                    self.client.command_stopped(os.WSTOPSIG(status))
                continue
            self.cpu_seconds += usage.ru_utime + usage.ru_stime
            if usage.ru_maxrss * 1024 > self.inherited_peak:
                self.peak = max(self.peak, usage.ru_maxrss * 1024)
            if pid == self.pid:
                self.status = status
                self.command_ended = time.monotonic()
                self.client.command_ended()

    def handle_timers(self, now: float) -> None:
        """Does whatever is due at `now`: a sample, the timeout, a stop that was asked for, SIGKILL after the grace."""
        if now >= self.next_sample:
            self.sample(now)
        released = self._released_at()
        if self.status is not None and released is not None and now >= released:
            self.client.release(self.status)
        if self.stop_signals and self.stopped_by is None and not self.killing:
            self.stopped_by = _signal_name(self.stop_signals[0])
            cancel = read_cancel(self.request.cancel_path)
            if cancel is None or self.request.unit is None:
                self._terminate(now)
            else:
                # the stop job of our unit has sent SIGTERM to every process already; do not send it twice
                self.kill_at = now + grace_of(cancel, self.request.grace)
        timeout = self.request.timeout
        if timeout is not None and not self.timed_out and self.kill_at is None and now >= self.began + timeout:
            self.timed_out = True
            self._terminate(now)
        if self.killing or (self.kill_at is not None and now >= self.kill_at):
            self.killing = True
            self.processes.kill()

    def sample(self, now: float) -> None:
        """Updates the record. Where the kernel does not, measures memory and enforces the memory limit."""
        self.observer.sample(self.processes)
        interval = min(MAX_INTERVAL, max(MIN_INTERVAL, GROWTH * (now - self.began)))
        if self.request.watched or not self.is_measured:
            used = self.processes.resident()
            limit = self.request.mem_max if self.request.watched else None
            if limit is not None and used > limit:
                # only now the slower measurement, which counts pages shared by forked workers once
                used = self.processes.proportional()
            self.peak = max(self.peak, used)
            if limit is not None:
                interval = min(interval, max(MIN_INTERVAL, (limit - used) / FAST_ALLOCATION))
                if used > limit and self.watch_kill is None:
                    self.watch_kill = used
                    self.killing = True
        self.next_sample = now + interval

    def _terminate(self, now: float) -> None:
        self.kill_at = now + self.request.grace
        self.cgroups.freeze(frozen=False)  # a frozen process acts on no signal but SIGKILL
        self.processes.signal(_signal.SIGTERM)
        self.processes.signal(_signal.SIGCONT)  # a stopped process acts on SIGTERM only once it goes on

    def _wait_for_late_stop(self, poll: select.poll) -> None:
        """Waits up to LATE_STOP for our own SIGTERM, if SIGTERM ended a command in a scope.

        A stop job signals the processes of a unit one after the other, and the supervisor may be the last.
        """
        if self.request.unit is not None and self.status == _signal.SIGTERM:
            deadline = time.monotonic() + LATE_STOP
            while not self.stop_signals and time.monotonic() < deadline:
                poll.poll(1000 * LATE_STOP)
                _drain(self.wake)
        if self.stop_signals and self.stopped_by is None:
            self.stopped_by = _signal_name(self.stop_signals[0])

    def _released_at(self) -> float | None:
        """When `gravscope run --fg` need not wait any longer for the remaining processes of the job.

        None while the job is being stopped or killed: then it waits for the end, to report the reason.
        """
        if self.command_ended is None or self.client.link is None or self.killing or self.kill_at is not None:
            return None
        return self.command_ended + BACKGROUND_AFTER

    def _next_wakeup(self) -> float:
        due = [self.next_sample]
        if (released := self._released_at()) is not None:
            due.append(released)
        if self.request.timeout is not None and not self.timed_out:
            due.append(self.began + self.request.timeout)
        if self.kill_at is not None:
            due.append(self.kill_at)
        return time.monotonic() + KILL_INTERVAL if self.killing else min(due)


def _signal_name(number: int) -> str:
    return "SIGTERM" if number == _signal.SIGTERM else "SIGINT"


def _wakeup_pipe() -> tuple[int, int]:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    return reading, writing


def _drain(descriptor: int) -> None:
    try:
        os.read(descriptor, 4096)
    except BlockingIOError:
        pass
