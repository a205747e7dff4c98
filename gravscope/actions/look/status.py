"""`gravscope status`: every job as it really stands, with what it uses now."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from gravscope.actions.look.owner import read_for_display
from gravscope.actions.look.settle import job_cgroup, settled
from gravscope.actions.look.wait import open_log
from gravscope.base.errors import GravscopeError, NoSuchJobError
from gravscope.linux import cgroup, proc
from gravscope.records import clock
from gravscope.records.model import JobRecord
from gravscope.records.outcome import NEVER_STARTED
from gravscope.records.progress import TAIL, Progress, find
from gravscope.records.store import Store, read_each

# how many jobs are listed unless all are asked for
RECENT = 20
# how many older ones are read to find as many that were started
SEARCHED = 500
# seconds that a supervisor may take from the end of the last process to the final record
TO_WRITE = 1.0
UNWRITTEN = "it has ended, but the disk does not take how: there may be no room"


@dataclass(frozen=True)
class Standing:
    """One job now: its record, memory in use (bytes; None once it has ended, or where it cannot be told), and how far
    it is, by its own word."""

    record: JobRecord
    memory: int | None = None
    progress: Progress | None = None

    @property
    def limit(self) -> int | None:
        """The memory limit that binds first, in bytes: of those that the kernel holds, or that the watch holds."""
        held = self.record.effective or {}
        limits: list[object] = [held.get("mem_high"), held.get("mem_max")]
        if self.record.enforcement == "watch":
            limits.append(self.record.limits.mem_max)
        numbers = [limit for limit in limits if isinstance(limit, int)]
        return min(numbers) if numbers and self.record.enforcement != "none" else None

    @property
    def seconds(self) -> float | None:
        """How long it ran, or how long it has been running."""
        return clock.age(self.record) if self.record.live else self.record.duration


@dataclass(frozen=True)
class Overview:
    """The jobs to look at, how many there are in all, and how many of the newest are left out since they never started:
    whoever mistyped a command was told so, and what hides his jobs is no help."""

    found: list[Standing | GravscopeError]
    total: int
    never_started: int = 0


def overview(store: Store) -> Overview:
    """The last 20 jobs, as `status` has them, but for those that never started if there is any other."""
    found: list[Standing | GravscopeError] = []
    left_out: list[Standing | GravscopeError] = []
    latest, total = store.latest_of(RECENT)
    for item in _each(store, latest):
        (left_out if _never_started(item) else found).append(item)
    if left_out and total > len(latest) and len(found) < RECENT:
        known = set(latest)  # more of them are worth the sorting of a whole folder only now
        older = (job_id for job_id in store.ids() if job_id not in known)
        for item in _each(store, islice(older, SEARCHED)):
            (left_out if _never_started(item) else found).append(item)
            if len(found) == RECENT:
                break
    if not found:
        return Overview(_live_first(_newest_first(left_out[:RECENT])), total)
    return Overview(_live_first(_newest_first(found)), total, len(left_out))


def _each(store: Store, ids: Iterable[str]) -> Iterator[Standing | GravscopeError]:
    """Each as it stands; one that was removed since the folder was listed is none of the jobs there are."""
    for record in read_each(store, ids):
        item = _standing_or_error(store, record)
        if not isinstance(item, NoSuchJobError):
            yield item


def _never_started(item: Standing | GravscopeError) -> bool:
    return isinstance(item, Standing) and item.record.state == NEVER_STARTED


def status(store: Store, job_ids: Sequence[str] = (), *, everything: bool = False) -> list[Standing | GravscopeError]:
    """The jobs of `job_ids`, or the last 20, or all: live ones first, newest first.

    A record that cannot be read stands in the list as its error, and hides no other.
    """
    ids = list(job_ids) or (store.ids() if everything else store.latest(RECENT))
    if not job_ids:
        return _live_first(_newest_first([*_each(store, ids)]))
    return _live_first([_standing_or_error(store, record) for record in read_each(store, ids)])


def _standing_or_error(store: Store, record: JobRecord | GravscopeError) -> Standing | GravscopeError:
    try:
        return standing(store, record) if isinstance(record, JobRecord) else record
    except GravscopeError as error:
        return error


def _live_first(found: list[Standing | GravscopeError]) -> list[Standing | GravscopeError]:
    return sorted(found, key=lambda item: not (isinstance(item, Standing) and item.record.live))


def _newest_first(found: list[Standing | GravscopeError]) -> list[Standing | GravscopeError]:
    """By when they were really started, which the local times in their ids do not always tell; an error stays behind
    the one that it follows."""
    dated, latest = [], float("inf")
    for item in found:
        if isinstance(item, Standing):
            latest = clock.start_time(item.record) or 0.0
        dated.append((latest, item))
    return [item for _, item in sorted(dated, key=lambda pair: pair[0], reverse=True)]


def standing(store: Store, record: JobRecord) -> Standing:
    """How a job stands now."""
    record = settled(store, record)
    deadline = time.monotonic() + TO_WRITE
    while record.live and _is_over(record):
        if time.monotonic() > deadline:
            record.warnings.append(UNWRITTEN)
            break
        time.sleep(0.01)
        record = settled(store, read_for_display(store, record.id))
    return Standing(record, memory_now(record), progress_of(record)) if record.live else Standing(record)


def _is_over(record: JobRecord) -> bool:
    """True of a job of which nothing is left but its supervisor, which is about to write how it ended."""
    pid = record.supervisor_pid
    if record.pid is None or proc.is_process(record.pid, record.start_ticks):
        return False
    if pid is None or not proc.is_process(pid, record.supervisor_start_ticks) or proc.descendants(pid):
        return False
    folder = job_cgroup(record)
    return folder is None or not cgroup.populated(folder)


def progress_of(record: JobRecord) -> Progress | None:
    """How far a job is, by the end of its log; None where that does not tell it, or cannot be read."""
    try:
        with open_log(record) as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(0, size - TAIL))
            tail = log.read(TAIL)
    except (GravscopeError, OSError):
        return None
    if size > TAIL:  # it begins in the middle of a line
        tail = tail.partition(b"\n")[2] or tail.partition(b"\r")[2]
    return find(tail, clock.age(record))


def memory_now(record: JobRecord) -> int | None:
    """Bytes that the job uses: its cgroup's own count, else resident memory of its processes added up."""
    pid = record.supervisor_pid
    if record.boot_id != proc.boot_id():
        return None  # its numbers are those of other processes here
    if pid is not None and proc.is_process(pid, record.supervisor_start_ticks):
        folder = job_cgroup(record)
        used = None if folder is None else cgroup.read_number(folder, "memory.current")
        if used is not None:
            return used
        return sum(proc.resident(child) for child in proc.descendants(pid))
    if record.pid is not None and proc.is_process(record.pid, record.start_ticks):
        return proc.resident(record.pid) + sum(proc.resident(child) for child in proc.descendants(record.pid))
    return None
