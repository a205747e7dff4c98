"""Starts a launcher, and through it the supervisor, once, and reads the answer."""

from __future__ import annotations

import marshal
import os
import select
import sys
import time
from contextlib import ExitStack, suppress

from gravscope.base import plainjson
from gravscope.base.errors import UnsupportedError
from gravscope.base.immutable import Immutable
from gravscope.base.spawn import find_tool, new_numbers, spawn
from gravscope.launchers import Launch, scope
from gravscope.systemd import commands, host

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

SUPERVISOR = f"{os.path.abspath(__file__).rpartition('/launchers/')[0]}/supervisor/__main__.py"  # noqa: PTH100 (hot path)


class Answer(Immutable):
    """The result of one launch.

    `changes` are the fields of the record that the supervisor has changed; None if the launcher failed and there never
    was a supervisor. `error` says why the command was not started.
    """

    changes: dict[str, Any] | None
    error: str | None


class Descriptors(Immutable):
    """Open files that the supervisor inherits: the job's lock, its log, and in the foreground the socket to us."""

    lock_fd: int
    log_fd: int
    link_fd: int | None = None

    def inherited(self) -> dict[str, int]:
        """The descriptors that the request names. The log is not among them, because it is standard output."""
        return {"lock_fd": self.lock_fd} | ({} if self.link_fd is None else {"link_fd": self.link_fd})


def start(launch: Launch, job_id: str, request: Mapping[str, object], descriptors: Descriptors) -> Answer:
    """Starts the launcher and waits for the supervisor's answer.

    The supervisor inherits `descriptors`, the request, and a pipe for its answer. In the foreground it also inherits
    our standard streams and starts in our session and process group, where the command stays.

    Raises UnsupportedError if the supervisor neither answers nor ends within `host.PATIENCE`.
    """
    _reap()
    try:
        with ExitStack() as ours:
            reading, writing = os.pipe()
            ours.callback(os.close, reading)
            with ExitStack() as theirs:
                theirs.callback(os.close, writing)
                errors = os.memfd_create("launcher-stderr")
                ours.callback(os.close, errors)
                pid, is_brief = _spawn(launch, job_id, request, descriptors, (writing, errors))
                _unreaped.add(pid)
            answer = _read_answer(reading, errors, job_id)
    # an invalid environment, or a C library that cannot start a program in a new session
    except (OSError, ValueError, NotImplementedError) as error:
        file = getattr(error, "filename", None) or launch.launcher
        return Answer(None, f"{file}: {getattr(error, 'strerror', None) or error}")
    _reap(pid if is_brief else None)
    return answer


def _spawn(
    launch: Launch, job_id: str, request: Mapping[str, object], descriptors: Descriptors, back: tuple[int, int]
) -> tuple[int, bool]:
    """Starts the launcher. Returns its pid, and whether it ends at once, as `setsid --fork` does.

    `back` is the pipe for the supervisor's answer, and the file for the launcher's error messages. Whatever else is
    opened here is inherited, and closed again in this process.
    """
    handshake, errors = back
    foreground = descriptors.link_fd is not None
    with ExitStack() as opened:

        def keep(descriptor: int) -> int:
            opened.callback(os.close, descriptor)
            return descriptor

        request_fd = keep(os.memfd_create("request"))
        streams = (keep(os.open(os.devnull, os.O_RDONLY)), descriptors.log_fd, errors)
        terminal = [keep(os.dup(number)) for number in range(3)] if foreground else []
        named = {"handshake_fd": handshake, **descriptors.inherited()}
        targets = new_numbers([*streams, request_fd, *named.values(), *terminal])
        numbers = {name: targets[descriptor] for name, descriptor in named.items()}
        _write(request_fd, {**request, "link_fd": None, **numbers, "streams": tuple(map(targets.get, terminal))})
        words = [sys.executable, "-I", "-S", SUPERVISOR, str(targets[request_fd]), job_id]
        prefix = [] if foreground else _setsid(launch)
        argv = [*prefix, *scope.verbatim(launch, words).prefix, *words]
        return spawn(argv, launch.environ, streams, targets, new_session=not foreground), argv[0] == commands.setsid()[
            0
        ]


def _write(request_fd: int, request: Mapping[str, object]) -> None:
    with os.fdopen(request_fd, "w+b", closefd=False) as file:
        marshal.dump({**request}, file)


# launchers that have not been waited for
_unreaped: set[int] = set()


def _reap(brief: int | None = None) -> None:
    """Reaps launchers that have ended, and waits for `brief`, which is about to end.

    So a program that uses gravscope and goes on has no zombies. In the foreground, and without setsid(1), these
    children are the supervisors themselves and end with their jobs.
    """
    for pid in [*_unreaped]:
        with suppress(ChildProcessError):  # the calling program has reaped it, or ignores SIGCHLD (waitpid(2))
            if os.waitpid(pid, 0 if pid == brief else os.WNOHANG)[0] == 0:
                continue
        _unreaped.discard(pid)


def _setsid(launch: Launch) -> list[str]:
    """The prefix that keeps a scope's supervisor from being our child.

    Otherwise a program that goes on, such as a notebook, would have to wait for a child that it did not start itself.
    """
    if launch.launcher == "session" or find_tool("setsid", launch.environ) is None:
        return []
    return commands.setsid()


def _read_answer(handshake: int, errors: int, job_id: str) -> Answer:
    """Reads the supervisor's answer. If the pipe ends without one, there never was a supervisor.

    Once the answer is complete the end of the pipe is not waited for: a process that another thread has forked
    meanwhile may hold it open for long.
    """
    deadline = time.monotonic() + host.PATIENCE
    data = b""
    poll = select.poll()
    poll.register(handshake, select.POLLIN)
    while poll.poll(1000 * max(0.0, deadline - time.monotonic())):
        part = os.read(handshake, 65536)
        data += part
        if not part or _is_complete(data):
            return _parse_answer(data, errors)
    raise UnsupportedError(
        f"{job_id}: the launcher did not answer within {host.PATIENCE:g} s", f"type: gravscope show {job_id}"
    )


def _is_complete(data: bytes) -> bool:
    try:
        plainjson.loads(data.decode())
    except (ValueError, StopIteration):
        return False
    return True


def _parse_answer(data: bytes, errors: int) -> Answer:
    if not data:
        said = os.pread(errors, 65536, 0).decode("utf-8", "replace").strip().splitlines()
        return Answer(None, said[-1] if said else "it ended without a word")
    message: Any = plainjson.loads(data.decode())
    return Answer(message["record"], message.get("error"))
