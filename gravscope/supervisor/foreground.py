"""A job in the foreground: its command is in the session and process group of `gravscope run --fg`, which waits.

The kernel sends the terminal's signals to the command, as under any shell. Only a parent learns that the command has
stopped or how it ended, so the supervisor reports both to `gravscope run --fg` over a socket: a stop, and the end of a
command whose job goes on. The socket also shows the supervisor when `gravscope run --fg` has ended.
"""

from __future__ import annotations

import _signal
import os
import select

from gravscope.linux import proc
from gravscope.supervisor.processes import JobProcesses

# seconds after the end of the command; processes that are left by then are not just ending, but in the background
BACKGROUND_AFTER = 0.3
HUNG_UP = "gravscope run --fg was gone before its command had ended, which was sent SIGHUP as at the end of a terminal"


class Client:
    """The waiting `gravscope run --fg`, our parent. For a job in the background `link` is None and nothing is sent."""

    def __init__(self, link: int | None) -> None:
        self.link = link
        self.process = None if link is None else proc.stat(os.getppid())
        self.poll: select.poll | None = None
        if link is not None:
            os.set_blocking(link, False)  # it does not read while it is stopped

    def register(self, poll: select.poll) -> None:
        """Registers the socket with `poll`, so that the end of `gravscope run --fg` wakes it."""
        if self.link is not None:
            self.poll = poll
            poll.register(self.link, 0)  # POLLHUP is always reported (poll(2))

    def disconnected(self, ready: list[tuple[int, int]]) -> bool:
        """True, and only once, if the result of a poll shows that `gravscope run --fg` has ended."""
        if self.poll is None or not any(descriptor == self.link for descriptor, _ in ready):
            return False
        self._unregister()
        return True

    def command_stopped(self, number: int) -> None:
        """Reports that this signal stopped the command, so that the shell gets its terminal back."""
        self._send(b"stopped %d\n" % number)

    def command_ended(self) -> None:
        """Continues `gravscope run --fg`, which stops itself with the command. From now on its end is not watched."""
        self._unregister()
        if self.process is not None:
            proc.send_signal(self.process.pid, self.process.start_ticks, _signal.SIGCONT)

    def release(self, status: int) -> None:
        """Reports the wait status of the command. The job goes on in the background, and nobody has to wait for it."""
        self._send(b"ended %d\n" % status)
        if self.link is not None:
            os.close(self.link)
            self.link = None

    def hang_up(self, processes: JobProcesses) -> None:
        """Sends SIGHUP and SIGCONT to every process in the session of the terminal, as the kernel and the shell do when
        a terminal ends. Processes that have left the session, such as a tmux server, are spared."""
        session = None if self.process is None else self.process.session
        for process in processes.alive():
            if process.session == session:
                proc.send_signal(process.pid, process.start_ticks, _signal.SIGHUP)
                proc.send_signal(process.pid, process.start_ticks, _signal.SIGCONT)

    def _unregister(self) -> None:
        if self.poll is not None and self.link is not None:
            self.poll.unregister(self.link)
        self.poll = None

    def _send(self, message: bytes) -> None:
        if self.link is not None:
            try:
                os.write(self.link, message)
            except OSError:
                pass  # it has ended, or the socket is full because it has been stopped for long; it learns the end
