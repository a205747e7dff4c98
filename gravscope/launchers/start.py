"""Puts a launcher and the supervisor behind it to work, once, and hears how it went."""

from __future__ import annotations

import marshal
import os
import selectors
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from gravscope import commands, host
from gravscope.errors import UnsupportedError
from gravscope.launchers import Launch, scope

SUPERVISOR = Path(__file__).parent.parent / "supervisor" / "__main__.py"


@dataclass(frozen=True)
class Answer:
    """What became of one launch. With news, the supervisor's own word: what changed in the record; without, whoever
    failed before there was one."""

    news: dict[str, Any] | None
    error: str | None


@dataclass(frozen=True)
class Handles:
    """Open files that the supervisor inherits: the job's lock, its log, and in the foreground the line over which we go
    on hearing of it."""

    lock_fd: int
    log_fd: int
    link_fd: int | None = None


def start(launch: Launch, job_id: str, request: Mapping[str, object], handles: Handles) -> Answer:
    """Spawns the launcher with all that the supervisor inherits: the handles, the request, a way to answer. In the
    foreground also our standard streams, in our own session and process group, where the command is to stay.

    Raises UnsupportedError if neither answer nor end comes within `host.PATIENCE`.
    """
    heard, told = os.pipe()
    errors = os.memfd_create("launcher-stderr")
    handed = os.memfd_create("request")
    foreground = handles.link_fd is not None
    streams = tuple(map(os.dup, range(3))) if foreground else ()
    inherited = [fd for fd in (handles.lock_fd, handles.link_fd, told, handed, *streams) if fd is not None]
    try:
        try:
            with os.fdopen(handed, "w+b", closefd=False) as file:
                marshal.dump({**request, **vars(handles), "handshake_fd": told, "streams": streams}, file)
            words = [sys.executable, "-I", "-S", str(SUPERVISOR), str(handed), job_id]
            apart = [] if foreground else _apart(launch)
            argv = [*apart, *scope.verbatim(launch, words).prefix, *words]
            child = subprocess.Popen(
                argv,
                env=dict(launch.environ),
                stdin=subprocess.DEVNULL,
                stdout=handles.log_fd,
                stderr=errors,
                pass_fds=inherited,
                start_new_session=not foreground,
            )
        finally:
            os.close(told)
        answer = _hear(heard, errors, job_id)
        if apart or (launch.launcher == "session" and not foreground):
            child.wait()  # setsid --fork has ended already
    except OSError as error:
        return Answer(None, f"{error.filename or launch.launcher}: {error.strerror}")
    else:
        return answer
    finally:
        for descriptor in (heard, errors, handed, *streams):
            os.close(descriptor)


def _apart(launch: Launch) -> list[str]:
    """What makes a scope's supervisor no child of ours: a program that goes on, such as a notebook, would have to wait
    for it, and nobody wants to be told of children that he did not start."""
    if launch.launcher == "session" or shutil.which("setsid", path=launch.environ.get("PATH")) is None:
        return []
    return commands.setsid()


def _hear(handshake: int, errors: int, job_id: str) -> Answer:
    """The supervisor's answer; the end of the pipe without one means that there never was a supervisor.

    With one, its end is not waited for: what another thread has forked meanwhile may hold the pipe open for long.
    """
    deadline = time.monotonic() + host.PATIENCE
    heard = b""
    with selectors.DefaultSelector() as selector:
        selector.register(handshake, selectors.EVENT_READ)
        while selector.select(max(0.0, deadline - time.monotonic())):
            part = os.read(handshake, 65536)
            heard += part
            if not part or _is_whole(heard):
                return _understood(heard, errors)
    raise UnsupportedError(
        f"{job_id}: the launcher did not answer within {host.PATIENCE:g} s", f"type: gravscope show {job_id}"
    )


def _is_whole(heard: bytes) -> bool:
    try:
        msgspec.json.decode(heard)
    except ValueError:
        return False
    return True


def _understood(heard: bytes, errors: int) -> Answer:
    if not heard:
        said = os.pread(errors, 65536, 0).decode("utf-8", "replace").strip().splitlines()
        return Answer(None, said[-1] if said else "it ended without a word")
    message = msgspec.json.decode(heard)
    return Answer(message["record"], message.get("error"))
