"""Starts the process that sends notifications of the job's end. Nothing waits for it.

The final record is on disk by now, and a failure of that process does not change the outcome. It reads what to do from
its standard input, an anonymous file (memfd_create(2)), because the webhook's address is a secret and command lines
can be read by everybody.
"""

from __future__ import annotations

import _signal
import marshal
import os
import sys
import time

from gravscope.base.stamp import timestamp
from gravscope.supervisor.record import Recorder
from gravscope.supervisor.request import Request

# fields of the record that it needs to say how the job ended and to find the record again
FIELDS = ("id", "invocation_id", "ended", "name", "state", "exit_code", "signal", "duration", "host", "reason")


def start_notifier(request: Request, recorder: Recorder) -> None:
    """Starts the notifier, if notification was asked for. If that fails, the record says so (`notified`)."""
    if request.notify is None:
        return
    try:
        _start(request.notify, request, recorder.record)
    except OSError as error:
        recipients = request.notify["whom"]
        names = [name for name, value in recipients.items() if value] if isinstance(recipients, dict) else []
        now = timestamp(time.time())
        why = f"{error.filename or sys.executable}: {error.strerror}"
        recorder.update(notified=[{"channel": name, "at": now, "error": why} for name in names])
        recorder.write()


def _start(notify: dict[str, object], request: Request, record: dict[str, object]) -> None:
    program = str(notify["program"])
    os.stat(program)  # raises if gravscope was deleted meanwhile
    fields = {name: record.get(name) for name in FIELDS}
    stdin = os.memfd_create("notify")
    try:
        with os.fdopen(stdin, "w+b", closefd=False) as file:
            paths = {"record_path": request.record_path, "lock_path": request.lock_path}
            marshal.dump({**notify, **paths, "record": fields}, file)
        os.lseek(stdin, 0, os.SEEK_SET)
        # it inherits none of our open files: neither the lock nor the log
        streams = [
            (os.POSIX_SPAWN_DUP2, stdin, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        os.posix_spawn(
            sys.executable,
            [sys.executable, "-I", "-S", program, str(record["id"])],
            os.environ,
            file_actions=streams,
            setsigmask=(),
            setsigdef=_signal.valid_signals(),
        )
    finally:
        os.close(stdin)
