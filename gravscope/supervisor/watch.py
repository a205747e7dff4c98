"""From exec to the end of the last process: reaps, samples, enforces timeout and memory limit, obeys a stop."""

from __future__ import annotations

import _signal
import os
import select
import time

from gravscope.linux import proc
from gravscope.supervisor.cgroups import Place
from gravscope.supervisor.foreground import LINGERING, Waiter
from gravscope.supervisor.observe import Notice
from gravscope.supervisor.processes import Tree
from gravscope.supervisor.request import Request
from gravscope.supervisor.requests import grace_of, read_cancel

# seconds between samples: short at first, since many jobs are short, growing to one second
SLOWEST, FASTEST, GROWTH = 1.0, 0.02, 0.25
# bytes a second, the fastest growth that is expected: the next sample is taken before the limit could be passed
FAST_ALLOCATION = 2**30
# seconds that may pass between the signals of one stop job
LATE_STOP = 0.2
# seconds between two attempts to kill a job
KILL_AGAIN = 0.05


class Watch:
    """Watches the job while it runs. All times are of the monotonic clock, because the wall clock may be set."""

    def __init__(self, request: Request, place: Place, notice: Notice) -> None:
        self.request = request
        self.place = place
        self.pid: int | None = None
        self.notice = notice
        self.tree = Tree(place.job)
        self.is_measured = place.peak() is not None
        self.waiter = Waiter(request.link_fd)
        self.began = time.monotonic()
        self.status: int | None = None
        self.command_ended: float | None = None
        self.peak = 0
        # Before exec a child has the memory of the supervisor, and that counts in its ru_maxrss (getrusage(2)). So
        # only values above this one say something about the command.
        self.inherited_peak = proc.highest_resident()
        self.cpu_seconds = 0.0
        self.watch_kill: int | None = None
        self.timed_out = False
        self.stopped_by: str | None = None
        self.kill_at: float | None = None
        self.killing = False
        self.told: list[int] = []
        self.next_sample = self.began
        self.wake, self._wake_end = _wakeup_pipe()

    def listen(self) -> None:
        """Installs signal handlers: SIGCHLD and SIGUSR1 wake the loop, SIGTERM and SIGINT ask it to stop the job.

        In the foreground SIGINT comes from Ctrl-C and is left to the command.
        """
        for number in (_signal.SIGTERM,) if self.request.foreground else (_signal.SIGTERM, _signal.SIGINT):
            _signal.signal(number, lambda caught, _frame: self.told.append(caught))
        _signal.signal(_signal.SIGCHLD, lambda _number, _frame: None)
        # a request was put beside the record: take a sample now
        _signal.signal(_signal.SIGUSR1, lambda _number, _frame: setattr(self, "next_sample", 0.0))
        _signal.set_wakeup_fd(self._wake_end, warn_on_full_buffer=False)

    def run(self, pid: int) -> None:
        """Watches the job whose command is `pid`; returns when the last process of the job has ended."""
        self.pid, self.began = pid, time.monotonic()
        poll = select.poll()
        poll.register(self.wake, select.POLLIN)
        self.waiter.listen(poll)
        while True:
            self.reap()
            if self.status is not None and self.tree.empty():
                self._hear_late_stop(poll)
                return
            self.keep_time(time.monotonic())
            ready = poll.poll(max(1, 1000 * (self._next_look() - time.monotonic())))
            _drain(self.wake)
            if self.waiter.gone(ready) and self.status is None:
                self.notice.hung_up()
                self.waiter.hang_up(self.tree)

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
                    self.waiter.command_stopped(os.WSTOPSIG(status))
                continue
            self.cpu_seconds += usage.ru_utime + usage.ru_stime
            if usage.ru_maxrss * 1024 > self.inherited_peak:
                self.peak = max(self.peak, usage.ru_maxrss * 1024)
            if pid == self.pid:
                self.status = status
                self.command_ended = time.monotonic()
                self.waiter.command_ended()

    def keep_time(self, now: float) -> None:
        """Does whatever is due at `now`: a sample, the timeout, a stop that was asked for, SIGKILL after the grace."""
        if now >= self.next_sample:
            self.sample(now)
        released = self._released_at()
        if self.status is not None and released is not None and now >= released:
            self.waiter.release(self.status)
        if self.told and self.stopped_by is None and not self.killing:
            self.stopped_by = _name(self.told[0])
            cancel = read_cancel(self.request.cancel_path)
            if cancel is None or self.request.unit is None:
                self._end_gently(now)
            else:
                # the stop job of our unit has sent SIGTERM to every process already; do not send it twice
                self.kill_at = now + grace_of(cancel, self.request.grace)
        timeout = self.request.timeout
        if timeout is not None and not self.timed_out and self.kill_at is None and now >= self.began + timeout:
            self.timed_out = True
            self._end_gently(now)
        if self.killing or (self.kill_at is not None and now >= self.kill_at):
            self.killing = True
            self.tree.kill()

    def sample(self, now: float) -> None:
        """Updates the record. Where the kernel does not, measures memory and enforces the memory limit."""
        self.notice.look(self.tree)
        interval = min(SLOWEST, max(FASTEST, GROWTH * (now - self.began)))
        if self.request.watched or not self.is_measured:
            used = self.tree.memory()
            limit = self.request.mem_max if self.request.watched else None
            if limit is not None and used > limit:
                # only now the slower measurement, which counts pages shared by forked workers once
                used = self.tree.fair_memory()
            self.peak = max(self.peak, used)
            if limit is not None:
                interval = min(interval, max(FASTEST, (limit - used) / FAST_ALLOCATION))
                if used > limit and self.watch_kill is None:
                    self.watch_kill = used
                    self.killing = True
        self.next_sample = now + interval

    def _end_gently(self, now: float) -> None:
        self.kill_at = now + self.request.grace
        self.place.freeze(frozen=False)  # a frozen process acts on no signal but SIGKILL
        self.tree.signal(_signal.SIGTERM)
        self.tree.signal(_signal.SIGCONT)  # a stopped process acts on SIGTERM only once it goes on

    def _hear_late_stop(self, poll: select.poll) -> None:
        """Waits up to LATE_STOP for our own SIGTERM, if SIGTERM ended a command in a scope.

        A stop job signals the processes of a unit one after the other, and the supervisor may be the last.
        """
        if self.request.unit is not None and self.status == _signal.SIGTERM:
            deadline = time.monotonic() + LATE_STOP
            while not self.told and time.monotonic() < deadline:
                poll.poll(1000 * LATE_STOP)
                _drain(self.wake)
        if self.told and self.stopped_by is None:
            self.stopped_by = _name(self.told[0])

    def _released_at(self) -> float | None:
        """When `gravscope run --fg` need not wait any longer for the remaining processes of the job.

        None while the job is being stopped or killed: then it waits for the end, to report the reason.
        """
        if self.command_ended is None or self.waiter.link is None or self.killing or self.kill_at is not None:
            return None
        return self.command_ended + LINGERING

    def _next_look(self) -> float:
        due = [self.next_sample]
        if (released := self._released_at()) is not None:
            due.append(released)
        if self.request.timeout is not None and not self.timed_out:
            due.append(self.began + self.request.timeout)
        if self.kill_at is not None:
            due.append(self.kill_at)
        return time.monotonic() + KILL_AGAIN if self.killing else min(due)


def _name(number: int) -> str:
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
