"""The folder of records: file names, locks, and records as bytes. The contents of records: `gravscope.records.store`.

While a job lives, `ID.lock` stands beside its record `ID.json`, and also `ID.cancel` once somebody asked to end it. The
lock says who is in charge: whoever is in charge of the record holds it. That is first `gravscope run`, then the
supervisor, which inherits the lock through the launcher without a gap. If a record says that the job lives but its lock
is free, nobody is in charge, and the next reader settles the record while holding that lock.
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

# Seconds within which even a slow machine settles a job.
_SETTLING = 60.0


class Reservation(Immutable):
    """An id that was reserved. The lock is held as long as `lock_fd`, or a copy of it in a child, is open."""

    job_id: str
    lock_fd: int


class JobsFolder:
    """The folder `jobs_dir`, which holds the records."""

    def __init__(self, jobs_dir: Path) -> None:
        self.jobs_dir = jobs_dir

    def record_path(self, job_id: str) -> Path:
        """The file of the job's record."""
        return self.jobs_dir / f"{job_id}.json"

    def lock_path(self, job_id: str) -> Path:
        """The file of the job's lock, which exists while the job lives."""
        return self.jobs_dir / f"{job_id}.lock"

    def cancel_path(self, job_id: str) -> Path:
        """The file of a request to end the job, which exists until its record contains the request."""
        return self.jobs_dir / f"{job_id}.cancel"

    def limits_path(self, job_id: str) -> Path:
        """The file of changes of the job's limits, which exists while the job lives."""
        return self.jobs_dir / f"{job_id}.limits"

    def pause_path(self, job_id: str) -> Path:
        """The file that marks the job as paused, which exists while it is paused."""
        return self.jobs_dir / f"{job_id}.paused"

    # ids

    def reserve(self, name: str, stamp: str) -> Reservation:
        """Reserves the first free id of `name` at `stamp`, a local time: NAME_YYYYmmdd_HHMMSS, then _2, _3 …

        The lock file is created with O_EXCL, so only one process gets the id. After a job has ended its lock is gone,
        but its record still takes the id.
        """
        make_private_folder(self.jobs_dir)
        stem = f"{name}_{stamp}"
        for count in range(1, 100_000):
            job_id = stem if count == 1 else f"{stem}_{count}"
            # A dangling link takes the name as well; Path.exists would raise in a folder that we may not search.
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
                os.close(descriptor)  # `prune` took it for a left-over lock meanwhile
                continue
            if not os.path.lexists(self.record_path(job_id)):
                return Reservation(job_id, descriptor)
            # Between our two checks a whole job with this id was started and ended.
            self.lock_path(job_id).unlink(missing_ok=True)
            os.close(descriptor)
        raise StoreError(f"{self.jobs_dir}: no free id for {stem}")

    def put(self, job_id: str, data: bytes) -> None:
        """Replaces the record. Only the holder of the job's lock may do this."""
        path = self.record_path(job_id)
        try:
            files.write_atomically(str(path), data)
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror}", hint_about(error)) from None

    def remove_record(self, job_id: str) -> None:
        """Removes the record of a job that was never started. Only the holder of the job's lock may do this."""
        with suppress(OSError):
            self.record_path(job_id).unlink()

    # who is in charge

    def in_charge(self, job_id: str) -> bool:
        """True if `gravscope run` or the supervisor holds the lock, and not a reader that is settling the record."""
        descriptor = self.open_lock(job_id)
        if descriptor is None:
            return False
        try:
            # The order matters: a reader that settles marks the file before it takes the lock, which may be the lock
            # found here.
            return not files.try_lock(descriptor, shared=True) and not files.is_claimed(descriptor)
        finally:
            os.close(descriptor)

    @contextmanager
    def take_charge(self, job_id: str, patience: float = 0.5) -> Iterator[bool]:
        """Takes charge of a job that nobody is in charge of. Yields False if somebody still is after `patience`
        seconds.

        If a reader is settling the job, this waits for it. Where there is no lock file and none can be created (a full
        or read-only disk), nobody can hold the lock: what the caller finds out is valid, even if it cannot be written.
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
        """Allows one cancel of a job at a time. A second one waits here and then finds that the job has ended."""
        descriptor = self._open_cancelling(job_id)
        try:
            files.lock(descriptor)
            yield
        finally:
            if not self.lock_path(job_id).exists():  # the job has ended: the file is no longer needed
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
        # A job that has filled the disk must still be cancellable, and so must a job beside which another user put a
        # file of this name. In both cases the record is locked instead, which no other user can open.
        try:
            return os.open(self.record_path(job_id), flags | os.O_RDONLY)
        except OSError as error:
            raise StoreError(f"{self.jobs_dir}: {error.strerror}", hint_about(error)) from None

    def clear(self, job_id: str) -> None:
        """Removes the files beside the record of a job that has ended or was never started."""
        names = [f".{job_id}.cancelling", *(f"{job_id}.{kind}" for kind in ("cancel", "limits", "paused", "lock"))]
        for name in [*self._stale_temporary_files(job_id), *names]:  # the lock must be last
            with suppress(OSError):
                (self.jobs_dir / name).unlink()

    def _stale_temporary_files(self, job_id: str) -> list[str]:
        """The temporary files that killed writers left beside the record (`files.write_atomically`). Files whose writer
        may still be alive, going by the pid in the name, are not among them."""
        left = re.compile(rf"\.{re.escape(job_id)}\.(?:json|cancel|limits|paused)\.(\d+)\.tmp", re.ASCII)
        try:
            names = os.listdir(self.jobs_dir)  # noqa: PTH208 (100,000 names)
        except OSError:
            return []
        return [name for name in names if (found := left.fullmatch(name)) and not os.path.lexists(f"/proc/{found[1]}")]

    def is_lock_of(self, job_id: str, descriptor: int) -> bool:
        """True while the open file is the job's lock; an earlier holder may have removed that file."""
        with suppress(OSError):
            return os.path.samestat(os.fstat(descriptor), os.lstat(self.lock_path(job_id)))
        return False

    def open_lock(self, job_id: str, *, create: bool = False) -> int | None:
        """Opens the job's lock; None if there is none. A lock file of another user does not count."""
        flags = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        # On a read-only disk a lock can still be taken.
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
    """What the user can do about a disk or a folder that cannot be used."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "make room, or set GRAVSCOPE_JOBS_DIR to a folder on another disk"
    if error.errno == errno.EROFS:
        return "set GRAVSCOPE_JOBS_DIR to a folder that can be written to"
    if error.errno in (errno.EACCES, errno.EPERM):
        return "is it yours? else set GRAVSCOPE_JOBS_DIR to a folder of your own"
    return "gravscope doctor looks at the folder"


def make_private_folder(folder: Path) -> None:
    """Makes `folder` with access for its owner only. A folder that exists stays as it is."""
    try:
        files.make_private_folder(str(folder))
    except FileExistsError:
        raise StoreError(f"{folder}: is not a folder", "move that file away") from None
    except OSError as error:
        raise StoreError(
            f"{folder}: {error.strerror}", "set GRAVSCOPE_JOBS_DIR and GRAVSCOPE_LOG_DIR elsewhere"
        ) from None
