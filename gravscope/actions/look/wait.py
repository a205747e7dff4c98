"""`gravscope wait`: sleeps until jobs have ended. The kernel wakes it at the end of their supervisors."""

from __future__ import annotations

import codecs
import os
import re
import select
import stat
import time
from collections.abc import Iterable, Sequence
from typing import BinaryIO

from gravscope.actions.look.owner import read_for_display
from gravscope.actions.look.settle import settled, supervisor_of, survivors
from gravscope.base.errors import GravscopeError, WaitTimeoutError
from gravscope.linux import files
from gravscope.records.model import JobRecord
from gravscope.records.store import Store

# Seconds between two checks if no event can wake us, and between two readings of a log.
LOOK_AGAIN = 0.1
LONGEST_SLEEP = 5.0
BLOCK = 1 << 16


def wait(store: Store, job_ids: Sequence[str], timeout: float | None = None) -> list[JobRecord]:
    """The records of the jobs once all have ended. Raises WaitTimeoutError after `timeout` seconds; they go on."""
    deadline = None if timeout is None else time.monotonic() + timeout
    ended = []
    for job_id in job_ids:
        record = settled(store, read_for_display(store, job_id))
        while record.live:
            if not sleep_until_end(record, _time_left(deadline)) and _time_left(deadline) == 0:
                raise WaitTimeoutError(
                    f"{job_id} is still {record.state} after {timeout:g} s",
                    f"it goes on; type: gravscope status {job_id}",
                )
            record = settled(store, read_for_display(store, job_id))
        ended.append(record)
    return ended


def wait_ready(store: Store, job_id: str, pattern: re.Pattern[str], timeout: float | None = None) -> str:
    """Waits for a line in the job's log that `pattern` matches; returns the first one.

    Raises WaitTimeoutError after `timeout` seconds, and GravscopeError if the job ends without such a line.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    with open_log(read_for_display(store, job_id)) as log:
        rest = ""
        while True:
            # Read before the log, so that the last output of an ended job is not missed.
            record = settled(store, read_for_display(store, job_id))
            if log.tell() > os.fstat(log.fileno()).st_size:
                log.seek(0)  # the log was truncated
            silent = True
            while news := log.read(BLOCK):
                silent = False
                *lines, rest = (rest + decoder.decode(news)).split("\n")
                for line in lines:
                    if pattern.search(line):
                        return line
            # A line without a newline, such as a prompt, counts once nothing more is added to it.
            if (silent or not record.live) and pattern.search(rest):
                return rest
            if not record.live:
                raise GravscopeError(f"{job_id} ended without it: {record.state}, {record.reason}")
            if _time_left(deadline) == 0:
                raise WaitTimeoutError(f"{job_id} has not said it after {timeout:g} s", "it goes on")
            sleep_until_end(record, min(LOOK_AGAIN, _time_left(deadline)))


def open_log(record: JobRecord) -> BinaryIO:
    """Opens the log of a job. Raises GravscopeError if it cannot be read or is not the job's own file."""
    try:
        # O_NONBLOCK because opening a FIFO in its place would wait; a device would be read without end.
        descriptor = os.open(_unescaped_name(record.log_file), os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except (OSError, ValueError) as error:  # ValueError: not possible as a file name
        why = error.strerror if isinstance(error, OSError) else str(error)
    else:
        found = os.fstat(descriptor)
        if stat.S_ISREG(found.st_mode) and files.is_ours(found, anyone=True):
            return os.fdopen(descriptor, "rb")
        os.close(descriptor)
        regular = stat.S_ISREG(found.st_mode)
        why = f"is owned by user {found.st_uid}, and not believed" if regular else "is not a regular file"
    raise GravscopeError(f"the log of {record.id} cannot be read: {record.log_file}: {why}")


def _unescaped_name(printed: str) -> bytes:
    """The file name for the text `printed` in a record, where bytes that are not UTF-8 are written as \\xNN."""
    name = printed.encode("utf-8", "replace")
    if os.path.lexists(name):
        return name
    return re.sub(rb"\\x([0-9a-f]{2})", lambda found: bytes.fromhex(found[1].decode("ascii")), name)


def sleep_until_end(record: JobRecord, longest: float) -> bool:
    """Sleeps until the job's supervisor ends, at most `longest` seconds; True if it has ended.

    For a job without a supervisor, the end of one of its processes counts.
    """
    longest = min(longest, LONGEST_SLEEP)
    pids = supervisors([record]) or [found.pid for found in survivors(record)[:64]]
    if not pids:
        time.sleep(min(longest, LOOK_AGAIN))
        return False
    return sleep_until_any_ends(pids, longest)


def supervisors(records: Iterable[JobRecord]) -> list[int]:
    """The pids of the living supervisors of live jobs."""
    found = (supervisor_of(record) for record in records if record.live)
    return [pid for pid in found if pid is not None]


def sleep_until_any_ends(pids: Sequence[int], longest: float) -> bool:
    """Sleeps until one of the processes ends (pidfd_open(2)), at most `longest` seconds; True if one has ended."""
    handles = [handle for pid in pids if (handle := _open_process(pid)) is not None]
    if len(handles) < len(pids):
        longest = min(longest, LOOK_AGAIN)  # one has already ended, or the kernel has no pidfds
    try:
        poll = select.poll()
        for handle in handles:
            poll.register(handle, select.POLLIN)
        return bool(poll.poll(max(0.0, 1000 * longest)))
    finally:
        for handle in handles:
            os.close(handle)


def exit_status(record: JobRecord) -> int:
    """The exit status of `wait` for one job: the job's own, 128+N if signal N ended it, 137 if OOM-killed.

    It is never 0 for a job that did not succeed, whatever its command returned.
    """
    if record.state == "succeeded":
        return 0
    if record.state == "oom-killed":
        return 137
    if record.signal is not None:
        return 128 + record.signal
    return record.exit_code or 1


def _time_left(deadline: float | None) -> float:
    return LONGEST_SLEEP if deadline is None else max(0.0, deadline - time.monotonic())


def _open_process(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None
