"""The folder of records: its names, its locks, and records as bytes. What a record says: `gravscope.records.store`.

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
from contextlib import contextmanager, suppress
from pathlib import Path

from gravscope.base.errors import StoreError
from gravscope.base.immutable import Immutable
from gravscope.linux import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# seconds in which even a slow machine settles a job
_SETTLING = 60.0


class Reservation(Immutable):
    """An id that is ours: the lock is held for as long as `lock_fd`, or a copy of it in a child, is open."""

    job_id: str
    lock_fd: int


class JobsFolder:
    """The folder of records `jobs_dir`."""

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

    def reserve(self, name: str, stamp: str) -> Reservation:
        """Takes the first free id of `name` at `stamp`, a local time: NAME_YYYYmmdd_HHMMSS, then _2, _3 …

        O_EXCL on the lock makes it ours alone; an ended job's lock is gone, but its record is not.
        """
        make_private_folder(self.jobs_dir)
        stem = f"{name}_{stamp}"
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
                raise StoreError(f"{self.jobs_dir}: {error.strerror}", hint_about(error)) from None
            if not (files.try_lock(descriptor) and self.is_lock_of(job_id, descriptor)):
                os.close(descriptor)  # a `prune` came between, and took it for a left-over
                continue
            if not os.path.lexists(self.record_path(job_id)):
                return Reservation(job_id, descriptor)
            # between our two looks a whole job of that id came and went
            self.lock_path(job_id).unlink(missing_ok=True)
            os.close(descriptor)
        raise StoreError(f"{self.jobs_dir}: no free id for {stem}")

    def put(self, job_id: str, data: bytes) -> None:
        """Replaces the record. Only whoever holds the job's lock may."""
        path = self.record_path(job_id)
        try:
            files.write_atomically(str(path), data)
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror}", hint_about(error)) from None

    def withdraw(self, job_id: str) -> None:
        """Takes back the record of a job that was never begun. Only whoever holds the job's lock may."""
        with suppress(OSError):
            self.record_path(job_id).unlink()

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
            raise StoreError(f"{self.jobs_dir}: {error.strerror}", hint_about(error)) from None

    def clear(self, job_id: str) -> None:
        """Removes what stands beside the record of a job that has ended, or was never begun."""
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


def hint_about(error: OSError) -> str:
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
