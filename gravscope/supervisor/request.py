"""What `gravscope run` hands to the supervisor: one value through an inherited file, in Python's own `marshal`.

Both ends are the same Python and the same installation, and bytes that are no text pass as they are.
"""

from __future__ import annotations

import marshal
import os


class Request:
    """The spec as the supervisor needs it. Sizes in bytes, durations in seconds."""

    argv: list[bytes]
    environ: dict[bytes, bytes]
    cwd: bytes
    record: dict[str, object]
    """The record as it stands, in state `starting`."""
    record_path: str
    lock_path: str
    cancel_path: str
    limits_path: str
    pause_path: str
    log_path: bytes
    lock_fd: int
    handshake_fd: int
    link_fd: int | None
    """In the foreground, the line to `gravscope run --fg`, which waits (`gravscope.supervisor.foreground`)."""
    streams: tuple[int, ...]
    """In the foreground, what the command gets as standard input, output and error."""
    ignored: tuple[int, ...]
    """Signals that the command ignores when it begins."""
    unit: str | None
    mem_high: int | None
    mem_max: int | None
    timeout: float | None
    grace: float
    oom_policy: str
    oom_score: int
    notify: dict[str, object] | None
    """Whom to tell of the end, and by which program (`gravscope.supervisor.notify`)."""
    watched: bool = False
    """True where the supervisor has to hold mem_max, since the kernel does not."""

    def __init__(self, values: dict[str, object]) -> None:
        for name in Request.__annotations__:
            if name != "watched":
                setattr(self, name, values[name])

    @property
    def foreground(self) -> bool:
        """True if its command runs at the caller's own terminal."""
        return self.link_fd is not None


def receive(descriptor: int) -> Request:
    """Reads the request from the file that the launcher let us inherit, and closes it."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    with os.fdopen(descriptor, "rb") as file:
        return Request(marshal.load(file))  # noqa: S302 (written by our own gravscope run, in a file with no name)
