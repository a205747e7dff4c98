"""The request that `gravscope run` hands to the supervisor: one value in `marshal` format, in an inherited file.

Both processes run the same Python and the same installation, and `marshal` keeps bytes that are not text as they are.
"""

from __future__ import annotations

import marshal
import os


class Request:
    """The job as the supervisor has to run it. Sizes are in bytes, durations in seconds."""

    argv: list[bytes]
    environ: dict[bytes, bytes]
    cwd: bytes
    record: dict[str, object]
    """The record as it is on disk, in state `starting`."""
    record_path: str
    lock_path: str
    cancel_path: str
    limits_path: str
    pause_path: str
    log_path: bytes
    lock_fd: int
    handshake_fd: int
    link_fd: int | None
    """In the foreground, the socket to the waiting `gravscope run --fg` (`gravscope.supervisor.foreground`)."""
    streams: tuple[int, ...]
    """In the foreground, the command's standard input, output and error."""
    ignored: tuple[int, ...]
    """Signals that are ignored when the command starts."""
    unit: str | None
    mem_high: int | None
    mem_max: int | None
    timeout: float | None
    grace: float
    oom_policy: str
    oom_score: int
    notify: dict[str, object] | None
    """Who is notified of the end, and the program that does it (`gravscope.supervisor.notify`)."""
    watched: bool = False
    """True if the supervisor has to enforce mem_max, because the kernel does not."""

    def __init__(self, values: dict[str, object]) -> None:
        for name in Request.__annotations__:
            if name != "watched":
                setattr(self, name, values[name])

    @property
    def foreground(self) -> bool:
        """True if the command runs at the caller's terminal."""
        return self.link_fd is not None


def receive(descriptor: int) -> Request:
    """Reads the request from the inherited file `descriptor`, and closes it."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    with os.fdopen(descriptor, "rb") as file:
        return Request(marshal.load(file))  # noqa: S302 (written by our own gravscope run, in a file with no name)
