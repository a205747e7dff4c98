"""`gravscope status`: every job as it really stands, with what it uses now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from gravscope import cgroup, proc
from gravscope.actions.settle import job_folder, settled
from gravscope.errors import GravscopeError
from gravscope.model import JobRecord
from gravscope.store import Store, each_readable

# how many jobs are listed unless all are asked for
RECENT = 20


@dataclass(frozen=True)
class Standing:
    """One job now: its record, memory in use (bytes; None once it has ended, or where it cannot be told)."""

    record: JobRecord
    memory: int | None = None

    @property
    def limit(self) -> int | None:
        """The memory limit that binds first, in bytes: what the kernel holds, or what the watch holds."""
        held = self.record.effective or {}
        limits = [held.get("mem_high"), held.get("mem_max"), self.record.limits.mem_high, self.record.limits.mem_max]
        numbers = [limit for limit in limits if isinstance(limit, int)]
        return min(numbers) if numbers and self.record.enforcement != "none" else None

    @property
    def seconds(self) -> float | None:
        """How long it ran, or how long it has been running."""
        if not self.record.live:
            return self.record.duration
        began = self.record.started or self.record.created
        if not began:
            return None
        return max(0.0, datetime.now().astimezone().timestamp() - datetime.fromisoformat(began).timestamp())


def status(store: Store, job_ids: Sequence[str] = (), *, everything: bool = False) -> list[Standing | GravscopeError]:
    """The jobs of `job_ids`, or the last 20, or all: live ones first, newest first.

    A record that cannot be read stands in the list as its error, and hides no other.
    """
    ids = list(job_ids) or _recent(store, everything=everything)
    found: list[Standing | GravscopeError] = []
    for record in each_readable(store, ids):
        try:
            found.append(standing(store, record) if isinstance(record, JobRecord) else record)
        except GravscopeError as error:
            found.append(error)
    return sorted(found, key=lambda item: not (isinstance(item, Standing) and item.record.live))


def standing(store: Store, record: JobRecord) -> Standing:
    """How a job stands now."""
    record = settled(store, record)
    return Standing(record, memory_now(record) if record.live else None)


def _recent(store: Store, *, everything: bool) -> list[str]:
    ids = store.ids()
    if everything:
        return ids
    locked = store.locked_ids()
    live = [job_id for job_id in ids if job_id in locked]
    return live + [job_id for job_id in ids if job_id not in locked][: max(0, RECENT - len(live))]


def memory_now(record: JobRecord) -> int | None:
    """Bytes that the job uses: its cgroup's own count, else resident memory of its processes added up."""
    pid = record.supervisor_pid
    if pid is not None and proc.is_process(pid, record.supervisor_start_ticks):
        folder = job_folder(record)
        used = None if folder is None else cgroup.read_number(folder, "memory.current")
        if used is not None:
            return used
        return sum(proc.resident(child) for child in proc.descendants(pid))
    if record.pid is not None and proc.is_process(record.pid, record.start_ticks):
        return proc.resident(record.pid) + sum(proc.resident(child) for child in proc.descendants(record.pid))
    return None
