"""Has people told that the job has ended, by a process of its own, which neither we nor anybody else waits for.

By now the final record is on disk, and whatever becomes of that process changes nothing of it. What it is to do stands
in a file without a name, its standard input: the address is a secret, and the command line of a process is not.
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

# what of the record it needs, to say how the job ended and to find the record again
FIELDS = ("id", "invocation_id", "ended", "name", "state", "exit_code", "signal", "duration", "host", "reason")


def tell(request: Request, recorder: Recorder) -> None:
    """Starts whoever tells, if that was asked for. That it could not be started is noted in the record."""
    if request.notify is None:
        return
    try:
        _start(request.notify, request, recorder.record)
    except OSError as error:
        whom = request.notify["whom"]
        names = [name for name, value in whom.items() if value] if isinstance(whom, dict) else []
        now = timestamp(time.time())
        why = f"{error.filename or sys.executable}: {error.strerror}"
        recorder.update(notified=[{"channel": name, "at": now, "error": why} for name in names])
        recorder.write()


def _start(notify: dict[str, object], request: Request, record: dict[str, object]) -> None:
    program = str(notify["program"])
    os.stat(program)  # gravscope may have been deleted since
    told = {name: record.get(name) for name in FIELDS}
    handed = os.memfd_create("notify")
    try:
        with os.fdopen(handed, "w+b", closefd=False) as file:
            paths = {"record_path": request.record_path, "lock_path": request.lock_path}
            marshal.dump({**notify, **paths, "record": told}, file)
        os.lseek(handed, 0, os.SEEK_SET)
        # of our own files it gets none: not the lock, and not the log
        streams = [
            (os.POSIX_SPAWN_DUP2, handed, 0),
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
        os.close(handed)
