"""`gravscope prune`: removes jobs that ended long ago, record and log together, and what others left beside them.

Only what is ours, whole and over for certain goes: whatever cannot be read or told is left alone, and said.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from gravscope.actions.look.ended import locked
from gravscope.actions.look.owner import is_foreign
from gravscope.actions.look.settle import settled
from gravscope.base.errors import GravscopeError, NoSuchJobError, StoreError, UsageError
from gravscope.base.names import normal
from gravscope.base.printable import printable, quoted
from gravscope.records import clock
from gravscope.records.fields import LEGACY_SCHEMA
from gravscope.records.ids import name_of, sort_key
from gravscope.records.model import JobRecord
from gravscope.records.store import Store
from gravscope.settings.project import Project

# what stands beside a record, by the id in its name
_BESIDE = (
    re.compile(r"([^.].*)\.(?:lock|cancel|limits|paused)", re.ASCII),
    re.compile(r"\.(.+)\.(?:cancelling|(?:json|cancel|limits|paused)\.\d+\.tmp)", re.ASCII),
)


@dataclass(frozen=True)
class Which:
    """Which jobs are to go: of these names (of any, if there are none), that ended this many seconds ago, and without
    the newest `keep` of each name."""

    names: Sequence[str] = ()
    older_than: float | None = None
    keep: int | None = None

    def __post_init__(self) -> None:
        if self.older_than is None and self.keep is None:
            raise UsageError(
                "prune removes nothing by itself", "say which jobs: gravscope prune --older-than 30d, or --keep 20"
            )


@dataclass(frozen=True)
class Gone:
    """A job that was removed, and the bytes that its files had."""

    job_id: str
    size: int


@dataclass
class Pruned:
    """What was removed, or in a dry run would be; what was left alone, and why; and what could not be done."""

    jobs: list[Gone] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    """Ids that had no record, but something that once stood beside one."""
    notes: list[str] = field(default_factory=list)
    errors: list[GravscopeError] = field(default_factory=list)
    ended: int = 0
    """How many there were to choose from."""

    @property
    def size(self) -> int:
        """Bytes of all that went with the jobs."""
        return sum(gone.size for gone in self.jobs)


@dataclass(frozen=True)
class _Ended:
    """As much of a record as it takes to choose."""

    job_id: str
    name: str
    began: float
    ended: str

    @property
    def age(self) -> float:
        return time.time() - datetime.fromisoformat(self.ended).astimezone().timestamp()

    @property
    def order(self) -> tuple[float, tuple[str, int]]:
        return self.began, sort_key(self.job_id)


@dataclass(frozen=True)
class _Files:
    """What there is of a job: the files to remove, in that order, their bytes, and why its log is left alone."""

    paths: list[Path]
    size: int
    complaint: str | None


def prune(store: Store, project: Project, which: Which, *, dry_run: bool = False) -> Pruned:
    """Removes the jobs that `which` says and that have ended. One that cannot be removed keeps no other."""
    done = Pruned()
    names = {*map(normal, which.names)}
    ids = [job_id for job_id in store.ids() if not names or name_of(job_id) in names]
    for name in sorted(names - {name_of(job_id) for job_id in ids}):
        raise NoSuchJobError(
            f"no job is named {quoted(name)} in {store.jobs_dir}", "gravscope status -a lists what there is"
        )
    beside = _beside(store)
    for job in _chosen(_ended_jobs(store, ids, done), which):
        try:
            if dry_run:
                found = _files_of(store, project, job)
            else:
                found = _remove(store, project, job, beside.get(job.job_id, []))
        except NoSuchJobError:
            continue  # another prune was quicker
        except GravscopeError as error:
            done.errors.append(error)
            continue
        if found is not None:
            done.jobs.append(Gone(job.job_id, found.size))
            done.notes += [found.complaint] if found.complaint else []
    for job_id, files in sorted(beside.items()):
        wanted = not names or name_of(job_id) in names
        if wanted and _is_orphan(store, job_id, files) and (dry_run or _remove_orphan(store, job_id, files)):
            done.orphans.append(job_id)
    return done


def _ended_jobs(store: Store, ids: Sequence[str], done: Pruned) -> Iterator[_Ended]:
    """The jobs that have ended, each as it really stands."""
    foreign = older = 0
    for job_id in ids:
        if is_foreign(store, job_id):
            foreign += 1
            continue
        try:
            record = settled(store, store.read(job_id))
        except NoSuchJobError:
            continue
        except GravscopeError as error:
            done.errors.append(error)
            continue
        if record.schema == LEGACY_SCHEMA:
            older += 1
        elif not record.live and record.ended is not None:
            done.ended += 1
            yield _Ended(job_id, record.name, clock.start_time(record) or 0.0, record.ended)
        elif not record.live:
            done.errors.append(StoreError(f"{store.record_path(job_id)}: does not say when the job ended"))
    if foreign:
        done.notes.append(f"left alone in {store.jobs_dir}: {foreign} of another user's")
    if older:
        done.notes.append(f"left alone in {store.jobs_dir}: {older} of the older dispatcher's, which say no end")


def _chosen(ended: Iterator[_Ended], which: Which) -> list[_Ended]:
    by_name: dict[str, list[_Ended]] = defaultdict(list)
    for job in ended:
        by_name[job.name].append(job)
    found = []
    for jobs in by_name.values():
        jobs.sort(key=lambda job: job.order, reverse=True)
        found += jobs[which.keep or 0 :]
    return [job for job in found if which.older_than is None or job.age >= which.older_than]


def _remove(store: Store, project: Project, job: _Ended, beside: Sequence[str]) -> _Files | None:
    """What went; None if somebody else is at it, or it is another job by now.

    The log goes before the record: whoever is killed half-way leaves a record, from which the next one goes on.
    """
    with locked(store, job.job_id) as ours:
        found = _files_of(store, project, job) if ours else None
        if found is not None:
            for path in found.paths:
                _unlink(path)
            _remove_beside(store, beside)
        return found


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}", "is the folder yours, and can it be written to?") from None


def _files_of(store: Store, project: Project, job: _Ended) -> _Files | None:
    """None if it is not that job any more: one that was started in the same second may have got its id."""
    record = store.read(job.job_id)
    if record.live or record.ended != job.ended:
        return None
    paths = [store.record_path(record.id)]
    log = _log_of(record, project)
    complaint = _complaint_of(log, record)
    if log is not None and complaint is None:
        paths.insert(0, log)
    size = 0
    for path in paths:
        with suppress(OSError):  # a log may be gone already
            size += path.lstat().st_size
    return _Files(paths, size, complaint)


def _log_of(record: JobRecord, project: Project) -> Path | None:
    """The job's log in our folder of logs; None if it is elsewhere, or named like none of this job."""
    folder, name = os.path.split(record.log_file)
    if re.fullmatch(rf"{re.escape(record.id)}(?:\.\d+)?\.log", name, re.ASCII) is None:
        return None
    ours = str(project.log_dir)
    return project.log_dir / name if folder == printable(ours) or _same(folder, ours) else None


def _same(folder: str, other: str) -> bool:
    with suppress(OSError, ValueError):
        return os.path.samefile(folder, other)  # noqa: PTH121 (Path.samefile is no better)
    return False


def _complaint_of(log: Path | None, record: JobRecord) -> str | None:
    """Why a log is left alone; None if it may go, or is gone already."""
    try:
        found = os.lstat(record.log_file if log is None else log)
    except (OSError, ValueError):
        return None
    why = None
    if log is None:
        why = "is not this job's, or not in the folder of logs"
    elif stat.S_ISLNK(found.st_mode):
        why = "is a symbolic link"
    elif not stat.S_ISREG(found.st_mode):
        why = "is not a regular file"
    elif found.st_uid != os.geteuid():
        why = f"is owned by user {found.st_uid}"
    return why and f"left alone, the log of {record.id}: {record.log_file} {why}"


# what stands beside records


def _beside(store: Store) -> dict[str, list[str]]:
    """Names of files of ours that stand beside a record, or once did, by the id; in one look, for there may be very
    many."""
    found: dict[str, list[str]] = defaultdict(list)
    try:
        names = os.listdir(store.jobs_dir)  # noqa: PTH208 (100,000 names)
    except OSError:
        return found
    for name in names:
        job_id = next((match[1] for shape in _BESIDE if (match := shape.fullmatch(name))), "")
        # what is not named after a job is somebody else's, such as poetry.lock
        if sort_key(job_id)[0] and _is_own(f"{store.jobs_dir}/{name}"):
            found[job_id].append(name)
    return found


def _is_own(path: str) -> bool:
    with suppress(OSError):
        return os.lstat(path).st_uid == os.geteuid()
    return False


def _is_orphan(store: Store, job_id: str, names: Sequence[str]) -> bool:
    """True for what stands beside a record that is gone, or never came: whoever was to write it was killed."""
    if os.path.lexists(store.record_path(job_id)) or not _are_there(store, names):
        return False
    return not store.in_charge(job_id)  # that is a job which is just being started


def _are_there(store: Store, names: Sequence[str]) -> bool:
    return any(os.path.lexists(store.jobs_dir / name) for name in names)


def _remove_orphan(store: Store, job_id: str, names: Sequence[str]) -> bool:
    """False if it turns out to be a job that is just being started."""
    with locked(store, job_id, patience=0) as ours:
        if not ours or os.path.lexists(store.record_path(job_id)):
            return False
        _remove_beside(store, names)
    return not _are_there(store, names)


def _remove_beside(store: Store, names: Sequence[str]) -> None:
    """All but the lock, which whoever holds it removes in the end."""
    for name in names:
        if not name.endswith(".lock"):
            with suppress(OSError):
                (store.jobs_dir / name).unlink()
