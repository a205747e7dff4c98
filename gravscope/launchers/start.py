"""Puts a launcher and the supervisor behind it to work, once, and hears how it went."""

from __future__ import annotations

import marshal
import os
import select
import sys
import time
from contextlib import suppress

from gravscope import commands, host, plainjson
from gravscope.errors import UnsupportedError
from gravscope.immutable import Immutable
from gravscope.launchers import Launch, scope
from gravscope.spawn import find_tool, new_numbers, spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

SUPERVISOR = f"{os.path.abspath(__file__).rpartition('/launchers/')[0]}/supervisor/__main__.py"  # noqa: PTH100 (hot path)


class Answer(Immutable):
    """What became of one launch. With news, the supervisor's own word: what changed in the record; without, whoever
    failed before there was one."""

    news: dict[str, Any] | None
    error: str | None


class Handles(Immutable):
    """Open files that the supervisor inherits: the job's lock, its log, and in the foreground the line over which we go
    on hearing of it."""

    lock_fd: int
    log_fd: int
    link_fd: int | None = None

    def inherited(self) -> dict[str, int]:
        """Those that it has under their names; the log is its standard output."""
        return {"lock_fd": self.lock_fd} | ({} if self.link_fd is None else {"link_fd": self.link_fd})


def start(launch: Launch, job_id: str, request: Mapping[str, object], handles: Handles) -> Answer:
    """Spawns the launcher with all that the supervisor inherits: the handles, the request, a way to answer. In the
    foreground also our standard streams, in our own session and process group, where the command is to stay.

    Raises UnsupportedError if neither answer nor end comes within `host.PATIENCE`.
    """
    heard, told = os.pipe()
    errors, handed = os.memfd_create("launcher-stderr"), os.memfd_create("request")
    nothing = os.open(os.devnull, os.O_RDONLY)
    foreground = handles.link_fd is not None
    terminal = [os.dup(number) for number in range(3)] if foreground else []
    try:
        try:
            streams = (nothing, handles.log_fd, errors)
            named = {"handshake_fd": told, **handles.inherited()}
            there = new_numbers([*streams, handed, *named.values(), *terminal])
            numbers = {name: there[descriptor] for name, descriptor in named.items()}
            _write(handed, {**request, "link_fd": None, **numbers, "streams": tuple(map(there.get, terminal))})
            words = [sys.executable, "-I", "-S", SUPERVISOR, str(there[handed]), job_id]
            apart = [] if foreground else _apart(launch)
            argv = [*apart, *scope.verbatim(launch, words).prefix, *words]
            pid = spawn(argv, launch.environ, streams, there, apart=not foreground)
        finally:
            os.close(told)
        answer = _hear(heard, errors, job_id)
        if apart or (launch.launcher == "session" and not foreground):
            _wait(pid)  # setsid --fork has ended already
    except OSError as error:
        return Answer(None, f"{error.filename or launch.launcher}: {error.strerror}")
    else:
        return answer
    finally:
        for descriptor in (heard, errors, handed, nothing, *terminal):
            os.close(descriptor)


def _write(handed: int, request: Mapping[str, object]) -> None:
    with os.fdopen(handed, "w+b", closefd=False) as file:
        marshal.dump({**request}, file)


def _wait(pid: int) -> None:
    with suppress(ChildProcessError):  # whoever called us ignores SIGCHLD, and the kernel has reaped it (waitpid(2))
        os.waitpid(pid, 0)


def _apart(launch: Launch) -> list[str]:
    """What makes a scope's supervisor no child of ours: a program that goes on, such as a notebook, would have to wait
    for it, and nobody wants to be told of children that he did not start."""
    if launch.launcher == "session" or find_tool("setsid", launch.environ) is None:
        return []
    return commands.setsid()


def _hear(handshake: int, errors: int, job_id: str) -> Answer:
    """The supervisor's answer; the end of the pipe without one means that there never was a supervisor.

    With one, its end is not waited for: what another thread has forked meanwhile may hold the pipe open for long.
    """
    deadline = time.monotonic() + host.PATIENCE
    heard = b""
    poll = select.poll()
    poll.register(handshake, select.POLLIN)
    while poll.poll(1000 * max(0.0, deadline - time.monotonic())):
        part = os.read(handshake, 65536)
        heard += part
        if not part or _is_whole(heard):
            return _understood(heard, errors)
    raise UnsupportedError(
        f"{job_id}: the launcher did not answer within {host.PATIENCE:g} s", f"type: gravscope show {job_id}"
    )


def _is_whole(heard: bytes) -> bool:
    try:
        plainjson.loads(heard.decode())
    except (ValueError, StopIteration):
        return False
    return True


def _understood(heard: bytes, errors: int) -> Answer:
    if not heard:
        said = os.pread(errors, 65536, 0).decode("utf-8", "replace").strip().splitlines()
        return Answer(None, said[-1] if said else "it ended without a word")
    message: Any = plainjson.loads(heard.decode())
    return Answer(message["record"], message.get("error"))
