"""Puts a launcher and the supervisor behind it to work, once, and hears how it went."""

from __future__ import annotations

import marshal
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from gravscope import host
from gravscope.errors import UnsupportedError
from gravscope.launchers import Launch

SUPERVISOR = Path(__file__).parent.parent / "supervisor" / "__main__.py"


@dataclass(frozen=True)
class Answer:
    """What became of one launch. With news, the supervisor's own word: what changed in the record; without, whoever
    failed before there was one."""

    news: dict[str, Any] | None
    error: str | None


def start(launch: Launch, job_id: str, request: Mapping[str, object], lock_fd: int, log_fd: int) -> Answer:
    """Spawns the launcher with all that the supervisor inherits: the lock, the log, the request, a way to answer.

    Raises UnsupportedError if neither answer nor end comes within `host.PATIENCE`.
    """
    heard, told = os.pipe()
    errors = os.memfd_create("launcher-stderr")
    handed = os.memfd_create("request")
    try:
        try:
            with os.fdopen(handed, "w+b", closefd=False) as file:
                marshal.dump({**request, "lock_fd": lock_fd, "handshake_fd": told}, file)
            argv = [*launch.prefix, sys.executable, "-I", "-S", str(SUPERVISOR), str(handed), job_id]
            child = subprocess.Popen(
                argv,
                env=dict(launch.environ),
                stdin=subprocess.DEVNULL,
                stdout=log_fd,
                stderr=errors,
                pass_fds=(lock_fd, told, handed),
                start_new_session=True,
            )
        finally:
            os.close(told)
        answer = _hear(heard, errors, job_id)
        if launch.launcher == "session":
            child.wait()  # setsid --fork has ended already
    except OSError as error:
        return Answer(None, f"{launch.prefix[0]}: {error.strerror}")
    else:
        return answer
    finally:
        for descriptor in (heard, errors, handed):
            os.close(descriptor)


def _hear(handshake: int, errors: int, job_id: str) -> Answer:
    """The supervisor's answer; the end of the pipe without one means that there never was a supervisor."""
    deadline = time.monotonic() + host.PATIENCE
    heard = b""
    with selectors.DefaultSelector() as selector:
        selector.register(handshake, selectors.EVENT_READ)
        while selector.select(max(0.0, deadline - time.monotonic())):
            part = os.read(handshake, 65536)
            if not part:
                return _understood(heard, errors)
            heard += part
    raise UnsupportedError(
        f"{job_id}: the launcher did not answer within {host.PATIENCE:g} s", f"type: gravscope show {job_id}"
    )


def _understood(heard: bytes, errors: int) -> Answer:
    if not heard:
        said = os.pread(errors, 65536, 0).decode("utf-8", "replace").strip().splitlines()
        return Answer(None, said[-1] if said else "it ended without a word")
    message = msgspec.json.decode(heard)
    return Answer(message["record"], message.get("error"))
