"""`gravscope logs`: the file is the truth; it is shown as it is, byte for byte."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

from gravscope.actions.look.owner import read_for_display
from gravscope.actions.look.settle import settled
from gravscope.actions.look.wait import BLOCK, open_log, sleep_until_end
from gravscope.records.model import JobRecord
from gravscope.records.store import Store

# seconds between two looks at a log that is followed
LOOK_AGAIN = 0.03


def read_log(record: JobRecord, lines: int | None = None) -> Iterator[bytes]:
    """The log of a job, or its last `lines` lines, in blocks."""
    with open_log(record) as log:
        if lines is not None:
            log.seek(_start_of_last(log, lines))
        while block := log.read(BLOCK):
            yield block


def follow_log(store: Store, job_id: str, lines: int | None = None) -> Iterator[bytes]:
    """The same, and then what is added to it, until the job has ended and everything of it has been shown."""
    record = read_for_display(store, job_id)
    with open_log(record) as log:
        if lines is not None:
            log.seek(_start_of_last(log, lines))
        while True:
            # asked before the log is read: the last words are then read for certain
            record = settled(store, record)
            while block := log.read(BLOCK):
                yield block
            if not record.live:
                return
            if log.tell() > os.fstat(log.fileno()).st_size:
                log.seek(0)  # it was truncated
            sleep_until_end(record, LOOK_AGAIN)
            record = read_for_display(store, job_id)


def _start_of_last(log: BinaryIO, lines: int) -> int:
    """Where the last `lines` lines begin, found from the end: a log may be larger than memory."""
    end = position = log.seek(0, os.SEEK_END)
    if lines <= 0:
        return end
    wanted, first = lines, True
    while position > 0:
        start = max(0, position - BLOCK)
        log.seek(start)
        block = log.read(position - start)
        if first and block.endswith(b"\n"):
            wanted += 1  # the newline that ends the last line begins no other
        first = False
        count = block.count(b"\n")
        if count >= wanted:
            at = len(block)
            for _ in range(wanted):
                at = block.rindex(b"\n", 0, at)
            return start + at + 1
        wanted -= count
        position = start
    return 0
