"""A job in the foreground: its command is in the session and process group of `gravscope run --fg`, which waits.

The terminal's signals reach the command from the kernel, as from any shell. Over a socket we tell whoever waits what
only a parent is told: that the command has stopped, and how it ended where the job goes on without it. The other way
the socket tells us that nobody waits any more.
"""

from __future__ import annotations

import _signal
import os
import select

from gravscope.linux import proc
from gravscope.supervisor.processes import Tree

# seconds after its command from which what is left of a job is in the background for good, and is not just ending
LINGERING = 0.3
HUNG_UP = "gravscope run --fg was gone before its command had ended, which was sent SIGHUP as at the end of a terminal"


class Waiter:
    """`gravscope run --fg`, our parent; of a job in the background there is none, and nothing is said to nobody."""

    def __init__(self, link: int | None) -> None:
        self.link = link
        self.process = None if link is None else proc.stat(os.getppid())
        self.poll: select.poll | None = None
        if link is not None:
            os.set_blocking(link, False)  # one that is stopped itself reads nothing

    def listen(self, poll: select.poll) -> None:
        """Lets the end of whoever waits end this poll, too."""
        if self.link is not None:
            self.poll = poll
            poll.register(self.link, 0)  # a hang-up is told unasked (poll(2))

    def gone(self, ready: list[tuple[int, int]]) -> bool:
        """True, once, if nobody waits any more, by what a poll has returned."""
        if self.poll is None or not any(descriptor == self.link for descriptor, _ in ready):
            return False
        self._deafen()
        return True

    def command_stopped(self, number: int) -> None:
        """The command was stopped by this signal: the shell is to have its terminal back."""
        self._say(b"stopped %d\n" % number)

    def command_ended(self) -> None:
        """Lets it go on, should it be stopped: it was so for the command's sake. From now on it may end as it likes."""
        self._deafen()
        if self.process is not None:
            proc.send_signal(self.process.pid, self.process.start_ticks, _signal.SIGCONT)

    def release(self, status: int) -> None:
        """The command ended with this wait status; the job goes on in the background, and is not waited for."""
        self._say(b"ended %d\n" % status)
        if self.link is not None:
            os.close(self.link)
            self.link = None

    def hang_up(self, tree: Tree) -> None:
        """Does what the kernel and the shell do at the end of a terminal: SIGHUP, and SIGCONT for what is stopped, to
        all that has stayed in its session. What has left it, such as the server that tmux makes, is none of them."""
        session = None if self.process is None else self.process.session
        for process in tree.processes():
            if process.session == session:
                proc.send_signal(process.pid, process.start_ticks, _signal.SIGHUP)
                proc.send_signal(process.pid, process.start_ticks, _signal.SIGCONT)

    def _deafen(self) -> None:
        if self.poll is not None and self.link is not None:
            self.poll.unregister(self.link)
        self.poll = None

    def _say(self, message: bytes) -> None:
        if self.link is not None:
            try:
                os.write(self.link, message)
            except OSError:
                pass  # it is gone, or has been stopped for long and is told at the end
