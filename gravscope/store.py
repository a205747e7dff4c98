"""The folder of records: the only reader and writer of records outside of the supervisor.

Beside the record `ID.json` stand, while the job lives, `ID.lock` and, once somebody wants it ended, `ID.cancel`.
The lock is the life line: whoever is in charge of the record holds it (`gravscope run`, then the supervisor, which
inherits it through the launcher, without a gap). A live record whose lock is free has nobody in charge, and whoever
looks settles it while holding that lock.
"""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from gravscope import clock, files
from gravscope.errors import GravscopeError, NoSuchJobError, StoreError
from gravscope.ids import STAMP, is_id, name_of, order_of
from gravscope.model import SCHEMA_VERSION, Cancel, CancelRequest, JobRecord
from gravscope.older import convert, is_older

# seconds in which even a slow machine settles a job
_SETTLING = 60.0
# how far the clocks of two time zones can be apart
_ZONES = timedelta(hours=26)

# the disk, and not the folder, stands in the way
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_MOVE_IT = "move it out of the folder to be rid of this line"


def _earliest_rival(stamp: str) -> str:
    """The earliest local time in an id that may be of a later job than one at `stamp`."""
    try:
        return f"{datetime.strptime(stamp, STAMP) - _ZONES:{STAMP}}"
    except (ValueError, OverflowError):  # digits that are no time
        return stamp


@dataclass(frozen=True)
class Reservation:
    """An id that is ours: the lock is held for as long as `lock_fd`, or a copy of it in a child, is open."""

    job_id: str
    lock_fd: int


class Store:
    """The records of one folder, `jobs_dir`."""

    def __init__(self, jobs_dir: Path) -> None:
        self.jobs_dir = jobs_dir

    def record_path(self, job_id: str) -> Path:
        """Where the record of `job_id` stands."""
        return self.jobs_dir / f"{job_id}.json"

    def lock_path(self, job_id: str) -> Path:
        """Where its lock stands while it lives."""
        return self.jobs_dir / f"{job_id}.lock"

    def cancel_path(self, job_id: str) -> Path:
        """Where a request to end it stands until its record has taken it over."""
        return self.jobs_dir / f"{job_id}.cancel"

    def limits_path(self, job_id: str) -> Path:
        """Where changes of its limits stand while it lives."""
        return self.jobs_dir / f"{job_id}.limits"

    def pause_path(self, job_id: str) -> Path:
        """Where a note stands that it was paused, while it is."""
        return self.jobs_dir / f"{job_id}.paused"

    # ids

    def reserve(self, name: str, now: datetime) -> Reservation:
        """Takes the first free id of `name` at local time `now`: NAME_YYYYmmdd_HHMMSS, then _2, _3 …

        O_EXCL on the lock makes it ours alone; an ended job's lock is gone, but its record is not.
        """
        make_private_folder(self.jobs_dir)
        stem = f"{name}_{now:{STAMP}}"
        for count in range(1, 100_000):
            job_id = stem if count == 1 else f"{stem}_{count}"
            # a link to nowhere takes the name as well; and Path.exists would raise in a folder that is not ours
            if os.path.lexists(self.record_path(job_id)):
                continue
            try:
                descriptor = files.open_as(
                    str(self.lock_path(job_id)), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                )
            except FileExistsError:
                continue
            except OSError as error:
                raise StoreError(f"{self.jobs_dir}: {error.strerror}", _hint(error)) from None
            if not (files.try_lock(descriptor) and self.is_lock_of(job_id, descriptor)):
                os.close(descriptor)  # a `prune` came between, and took it for a left-over
                continue
            if not os.path.lexists(self.record_path(job_id)):
                return Reservation(job_id, descriptor)
            # between our two looks a whole job of that id came and went
            self.lock_path(job_id).unlink(missing_ok=True)
            os.close(descriptor)
        raise StoreError(f"{self.jobs_dir}: no free id for {stem}")

    def ids(self) -> list[str]:
        """Every id that has a record, newest first."""
        return sorted((name[:-5] for name in self._names() if name.endswith(".json")), key=order_of, reverse=True)

    def locked_ids(self) -> set[str]:
        """The ids that have a lock: every job that lives is among them."""
        return {name[:-5] for name in self._names() if name.endswith(".lock")}

    def _names(self) -> list[str]:
        try:
            return [name for name in os.listdir(self.jobs_dir) if not name.startswith(".")]  # noqa: PTH208 (100,000 names)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreError(f"{self.jobs_dir}: {error.strerror}", _hint(error)) from None

    def locate(self, wanted: str) -> tuple[Store, str]:
        """The store and id that `wanted` means: as `find`, or the path of a record, in whatever folder it stands."""
        if "/" in wanted or wanted.endswith(".json"):
            # neither of these raises, whatever stands there; those of Path do
            path = Path(os.path.realpath(wanted))
            if path.suffix == ".json" and os.path.isfile(path):  # noqa: PTH113
                return Store(path.parent), path.stem
            if "/" in wanted:
                raise NoSuchJobError(f"no record {wanted}")
        return self, self.find(wanted)  # a name may end with .json, too

    def find(self, wanted: str) -> str:
        """The id that `wanted` means: an id, a name (its newest job), the beginning of just one id, or its end.

        The end, since `status` shows only that of an id that is too long for its line.
        """
        if is_id(wanted) and os.path.lexists(self.record_path(wanted)):
            return wanted  # whole ids need no look at the others, of which there may be 100,000
        ids = self.ids()
        if wanted in ids:
            return wanted
        named = [job_id for job_id in ids if name_of(job_id) == wanted]
        if named:
            return self._newest(named)
        starting = [job_id for job_id in ids if wanted and job_id.startswith(wanted)]
        if not starting:
            tail = wanted.lstrip("…")
            starting = [job_id for job_id in ids if len(tail) >= len("YYYYmmdd_HHMMSS") and job_id.endswith(tail)]
        if len(starting) == 1:
            return starting[0]
        if starting:
            raise NoSuchJobError(
                f"{wanted!r} may mean {len(starting)} jobs",
                f"say more of it, such as {starting[0]}",
            )
        raise NoSuchJobError(f"no job {wanted!r} in {self.jobs_dir}", _nearest(wanted, ids))

    def _newest(self, ids: list[str]) -> str:
        """The one of `ids`, which are sorted, that was really started last.

        The local times in them do not tell it in the hour that the end of daylight saving repeats, after the clock was
        set back, nor where cron and the shell have different time zones: whatever may be the newest is looked into.
        """
        since = _earliest_rival(order_of(ids[0])[0])
        rivals = [job_id for job_id in ids if order_of(job_id)[0] >= since]
        return max(rivals, key=self.began) if len(rivals) > 1 else ids[0]

    def began(self, job_id: str) -> float:
        try:
            return clock.began(self.read(job_id, anyone=True)) or 0.0
        except GravscopeError:
            pass
        try:  # one that cannot be read makes no older job the newest: it is an error when it is asked for
            return datetime.strptime(order_of(job_id)[0], STAMP).timestamp()
        except (ValueError, OverflowError):
            return 0.0

    # records

    def write(self, record: JobRecord) -> None:
        """Replaces the record. Only whoever holds the job's lock may."""
        path = self.record_path(record.id)
        try:
            files.write_atomically(str(path), msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror}", _hint(error)) from None

    def read(self, job_id: str, *, anyone: bool = False) -> JobRecord:
        """The record of `job_id`. Raises NoSuchJobError, or StoreError for one that cannot be read or understood, or
        that somebody else wrote; with `anyone`, root may read that, too."""
        path = self.record_path(job_id)
        record = read_record(path, anyone=anyone)
        if record.id != job_id:
            raise StoreError(f"{path}: is the record of {record.id}", "a copy under another name is no record")
        return record

    def withdraw(self, job_id: str) -> None:
        """Takes back the record of a job that was never begun. Only whoever holds the job's lock may."""
        with suppress(OSError):
            self.record_path(job_id).unlink()

    def read_cancel(self, job_id: str) -> CancelRequest | None:
        """The request to end `job_id`, if there is one that can be read."""
        try:
            return msgspec.json.decode(files.read_whole(str(self.cancel_path(job_id))), type=CancelRequest)
        except (OSError, ValueError, RecursionError):
            return None

    def write_cancel(self, job_id: str, cancel: Cancel) -> None:
        """Puts, or replaces, the request to end `job_id`."""
        path = self.cancel_path(job_id)
        try:
            files.write_atomically(str(path), msgspec.json.encode(cancel))
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror}", _hint(error)) from None

    # who is in charge

    def in_charge(self, job_id: str) -> bool:
        """True if `gravscope run` or the job's supervisor holds its lock, and not just someone who is settling it."""
        descriptor = self.open_lock(job_id)
        if descriptor is None:
            return False
        try:
            # in this order: who settles it marks the file before taking the lock that we may run into
            return not files.try_lock(descriptor, shared=True) and not files.is_claimed(descriptor)
        finally:
            os.close(descriptor)

    @contextmanager
    def charge(self, job_id: str, patience: float = 0.5) -> Iterator[bool]:
        """Takes charge of a job that nobody is in charge of; False if somebody still is after `patience` seconds.

        One who is settling it is waited for. Where there is no lock and none can be made (a full or read-only disk),
        nobody can hold it: what we find out is then true as well, even if it cannot be written either.
        """
        descriptor = self.open_lock(job_id, create=True)
        if descriptor is None:
            yield not os.path.lexists(self.lock_path(job_id))
            return
        try:
            began = time.monotonic()
            while not (taken := files.try_claim(descriptor)):
                limit = _SETTLING if patience and files.is_claimed(descriptor) else patience
                if time.monotonic() - began > limit:
                    break
                time.sleep(0.01)
            yield taken
        finally:
            os.close(descriptor)

    @contextmanager
    def cancelling(self, job_id: str) -> Iterator[None]:
        """One cancel of a job at a time: a second one waits here, and then finds that it has ended."""
        descriptor = self._open_cancelling(job_id)
        try:
            files.lock(descriptor)
            yield
        finally:
            if not self.lock_path(job_id).exists():  # it has ended: nobody will want this any more
                with suppress(OSError):
                    (self.jobs_dir / f".{job_id}.cancelling").unlink()
            os.close(descriptor)

    def _open_cancelling(self, job_id: str) -> int:
        flags = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        with suppress(OSError):
            descriptor = files.open_as(f"{self.jobs_dir}/.{job_id}.cancelling", flags | os.O_RDWR | os.O_CREAT)
            if files.is_ours(os.fstat(descriptor)):
                return descriptor
            os.close(descriptor)
        # a job that has filled the disk can be ended all the same, and one beside which somebody laid such a file:
        # the record, which nobody else can open, can be locked as well
        try:
            return os.open(self.record_path(job_id), flags | os.O_RDONLY)
        except OSError as error:
            raise StoreError(f"{self.jobs_dir}: {error.strerror}", _hint(error)) from None

    def release(self, job_id: str) -> None:
        """Removes what stands beside the record of a job that has ended; nothing while the record does not say so,
        such as one whose end the disk would not take: without them the next look would know less."""
        with suppress(GravscopeError):
            if self.read(job_id).live:
                return
        names = [f".{job_id}.cancelling", *(f"{job_id}.{kind}" for kind in ("cancel", "limits", "paused", "lock"))]
        for name in [*self._left_by_the_killed(job_id), *names]:  # the lock last
            with suppress(OSError):
                (self.jobs_dir / name).unlink()

    def _left_by_the_killed(self, job_id: str) -> list[str]:
        """What whoever was killed while writing has left beside the record (`files.write_atomically`). What a process
        of that number may still be writing is none of it."""
        left = re.compile(rf"\.{re.escape(job_id)}\.(?:json|cancel|limits|paused)\.(\d+)\.tmp", re.ASCII)
        try:
            names = os.listdir(self.jobs_dir)  # noqa: PTH208 (100,000 names)
        except OSError:
            return []
        return [name for name in names if (found := left.fullmatch(name)) and not os.path.lexists(f"/proc/{found[1]}")]

    def is_lock_of(self, job_id: str, descriptor: int) -> bool:
        """True while that open file is the job's lock: whoever held it before may have removed it."""
        with suppress(OSError):
            return os.path.samestat(os.fstat(descriptor), os.lstat(self.lock_path(job_id)))
        return False

    def open_lock(self, job_id: str, *, create: bool = False) -> int | None:
        """The job's lock; None where there is none. One that somebody else put there is none."""
        flags = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        # on a read-only disk it can be locked all the same
        for mode in (os.O_RDWR | (os.O_CREAT if create else 0), os.O_RDONLY):
            try:
                descriptor = files.open_as(str(self.lock_path(job_id)), flags | mode)
            except OSError as error:
                if error.errno in (errno.EROFS, errno.EACCES):
                    continue
                return None
            if files.is_ours(os.fstat(descriptor)):
                return descriptor
            os.close(descriptor)
        return None


def read_record(path: Path, *, anyone: bool = False) -> JobRecord:
    """The record in file `path`, also one that the older dispatcher wrote; `anyone` is as for `Store.read`."""
    try:
        text = msgspec.json.decode(files.read_whole(str(path), anyone=anyone))
        if is_older(text):
            return convert(text, path)
        schema = text.get("schema", SCHEMA_VERSION) if isinstance(text, dict) else None
        if type(schema) is int and schema > SCHEMA_VERSION:
            raise StoreError(f"{path}: written by a later gravscope (schema {schema})", "upgrade to read it")
        if type(schema) is int and schema != SCHEMA_VERSION:
            raise ValueError(f"there is no schema {schema}")
        return msgspec.convert(text, JobRecord)
    except FileNotFoundError:
        raise NoSuchJobError(f"no record {path}") from None
    except OSError as error:
        hint = _hint(error) if error.errno in (errno.EACCES, errno.EIO) else _MOVE_IT
        raise StoreError(f"{path}: {error.strerror}", hint) from None
    except (ValueError, RecursionError) as error:  # of the latter kind are nested values without end
        raise StoreError(f"{path}: not a record: {error}", _MOVE_IT) from None


def _hint(error: OSError) -> str:
    """What to do about a disk or a folder that will not have it."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "make room, or set GRAVSCOPE_JOBS_DIR to a folder on another disk"
    if error.errno == errno.EROFS:
        return "set GRAVSCOPE_JOBS_DIR to a folder that can be written to"
    if error.errno in (errno.EACCES, errno.EPERM):
        return "is it yours? else set GRAVSCOPE_JOBS_DIR to a folder of your own"
    return "gravscope doctor looks at the folder"


def make_private_folder(folder: Path) -> None:
    """Makes `folder`, readable by its owner alone; one that is there already stays as it is."""
    try:
        files.make_private_folder(str(folder))
    except FileExistsError:
        raise StoreError(f"{folder}: is not a folder", "move that file away") from None
    except OSError as error:
        raise StoreError(
            f"{folder}: {error.strerror}", "set GRAVSCOPE_JOBS_DIR and GRAVSCOPE_LOG_DIR elsewhere"
        ) from None


def each_readable(store: Store, ids: list[str]) -> Iterator[JobRecord | GravscopeError]:
    """Every record of `ids`, or the error that stands in its place: one bad record never hides the others."""
    for job_id in ids:
        try:
            yield store.read(job_id, anyone=True)
        except GravscopeError as error:
            yield error


def _nearest(wanted: str, ids: list[str]) -> str:
    import difflib  # noqa: PLC0415 (only for this message)

    names = sorted({name_of(job_id) for job_id in ids})
    near = difflib.get_close_matches(wanted, names, n=3)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return "gravscope status -a lists what there is"
