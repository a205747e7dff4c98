"""The folder of records: the only reader and writer of records outside of the supervisor.

Beside the record `ID.json` stand, while the job lives, `ID.lock` and, once somebody wants it ended, `ID.cancel`.
The lock is the life line: whoever is in charge of the record holds it (`gravscope run`, then the supervisor, which
inherits it through the launcher, without a gap). A live record whose lock is free has nobody in charge, and whoever
looks settles it while holding that lock.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from gravscope import files
from gravscope.errors import GravscopeError, NoSuchJobError, StoreError, UsageError
from gravscope.model import SCHEMA_VERSION, Cancel, JobRecord
from gravscope.older import convert, is_older

_ID = re.compile(r"(?P<name>.+)_(?P<stamp>\d{8}_\d{6})(?:_(?P<count>\d+))?", re.ASCII)
# what both a file and a unit may be called (systemd.unit(5)), with room for gravscope-….scope within 255 bytes
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", re.ASCII)


def check_name(name: str) -> str:
    """`name` itself; raises UsageError unless it is fit to be part of a file's and a unit's name."""
    if _NAME.fullmatch(name) is None:
        raise UsageError(
            f"name: {name!r} cannot be a job's name",
            "take 1 to 100 of A-Z a-z 0-9 . _ -, the first of them no dot or dash",
        )
    return name


def name_of(job_id: str) -> str:
    """The name part of an id; of a file that is not named like one, all of it."""
    match = _ID.fullmatch(job_id)
    return match["name"] if match else job_id


def order_of(job_id: str) -> tuple[str, int]:
    """Sorts ids by the time in them, then by the number behind it."""
    match = _ID.fullmatch(job_id)
    return (match["stamp"], int(match["count"] or 1)) if match else ("", 0)


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
        stem = f"{name}_{now:%Y%m%d_%H%M%S}"
        for count in range(1, 100_000):
            job_id = stem if count == 1 else f"{stem}_{count}"
            if os.path.exists(self.record_path(job_id)):  # noqa: PTH110 (Path.exists raises in a folder that is not ours)
                continue
            try:
                descriptor = os.open(
                    self.lock_path(job_id), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, files.PRIVATE
                )
            except FileExistsError:
                continue
            except OSError as error:
                raise StoreError(
                    f"{self.jobs_dir}: {error.strerror}", "is the folder yours, and the disk not full?"
                ) from None
            files.try_lock(descriptor)
            if not self.record_path(job_id).exists():
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
            raise StoreError(f"{self.jobs_dir}: {error.strerror}") from None

    def locate(self, wanted: str) -> tuple[Store, str]:
        """The store and id that `wanted` means: as `find`, or the path of a record, in whatever folder it stands."""
        if "/" in wanted or wanted.endswith(".json"):
            path = Path(wanted).resolve()
            if path.suffix != ".json" or not path.is_file():
                raise NoSuchJobError(f"no record {wanted}")
            return Store(path.parent), path.stem
        return self, self.find(wanted)

    def find(self, wanted: str) -> str:
        """The id that `wanted` means: an id, a name (its newest job), the beginning of just one id, or its end.

        The end, since `status` shows only that of an id that is too long for its line.
        """
        ids = self.ids()
        if wanted in ids:
            return wanted
        for job_id in ids:
            if name_of(job_id) == wanted:
                return job_id
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

    # records

    def write(self, record: JobRecord) -> None:
        """Replaces the record. Only whoever holds the job's lock may."""
        path = self.record_path(record.id)
        try:
            files.write_atomically(str(path), msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror}", "is the disk full, or the folder not yours?") from None

    def read(self, job_id: str) -> JobRecord:
        """The record of `job_id`. Raises NoSuchJobError, or StoreError for one that cannot be read or understood."""
        path = self.record_path(job_id)
        record = read_record(path)
        if record.id != job_id:
            raise StoreError(f"{path}: is the record of {record.id}", "a copy under another name is no record")
        return record

    def read_cancel(self, job_id: str) -> Cancel | None:
        """The request to end `job_id`, if there is one that can be read."""
        try:
            return msgspec.json.decode(files.read_whole(str(self.cancel_path(job_id))), type=Cancel)
        except (OSError, msgspec.DecodeError):
            return None

    def write_cancel(self, job_id: str, cancel: Cancel) -> None:
        """Puts, or replaces, the request to end `job_id`."""
        path = self.cancel_path(job_id)
        try:
            files.write_atomically(str(path), msgspec.json.encode(cancel))
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror}") from None

    # who is in charge

    def in_charge(self, job_id: str) -> bool:
        """True if somebody holds the job's lock: `gravscope run`, its supervisor, or someone settling it."""
        descriptor = self._open_lock(job_id)
        if descriptor is None:
            return False
        try:
            return not files.try_lock(descriptor, shared=True)
        finally:
            os.close(descriptor)

    @contextmanager
    def charge(self, job_id: str, patience: float = 2.0) -> Iterator[bool]:
        """Takes charge of a job that nobody is in charge of; False if somebody still is after `patience` seconds."""
        descriptor = self._open_lock(job_id, create=True)
        if descriptor is None:
            yield False
            return
        try:
            deadline = time.monotonic() + patience
            while not (taken := files.try_lock(descriptor)) and time.monotonic() < deadline:
                time.sleep(0.02)
            yield taken
        finally:
            os.close(descriptor)

    @contextmanager
    def cancelling(self, job_id: str) -> Iterator[None]:
        """One cancel of a job at a time: a second one waits here, and then finds that it has ended."""
        try:
            descriptor = os.open(
                self.jobs_dir / f".{job_id}.cancelling",
                os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW,
                files.PRIVATE,
            )
        except OSError as error:
            raise StoreError(f"{self.jobs_dir}: {error.strerror}") from None
        try:
            files.lock(descriptor)
            yield
        finally:
            if not self.lock_path(job_id).exists():  # it has ended: nobody will want this any more
                (self.jobs_dir / f".{job_id}.cancelling").unlink(missing_ok=True)
            os.close(descriptor)

    def release(self, job_id: str) -> None:
        """Removes what stands beside the record of a job that has ended."""
        (self.jobs_dir / f".{job_id}.cancelling").unlink(missing_ok=True)
        for path in (self.cancel_path, self.limits_path, self.pause_path, self.lock_path):
            path(job_id).unlink(missing_ok=True)

    def _open_lock(self, job_id: str, *, create: bool = False) -> int | None:
        flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_CREAT if create else 0)
        try:
            return os.open(self.lock_path(job_id), flags, files.PRIVATE)
        except OSError:
            return None


def read_record(path: Path) -> JobRecord:
    """The record in file `path`, also one that the older dispatcher wrote."""
    try:
        data = files.read_whole(str(path))
        text = msgspec.json.decode(data)
        if is_older(text):
            return convert(text, path)
        schema = text.get("schema") if isinstance(text, dict) else None
        if isinstance(schema, int) and schema > SCHEMA_VERSION:
            raise StoreError(f"{path}: written by a later gravscope (schema {schema})", "upgrade to read it")
        return msgspec.convert(text, JobRecord)
    except FileNotFoundError:
        raise NoSuchJobError(f"no record {path}") from None
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from None
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError) as error:
        raise StoreError(f"{path}: not a record: {error}", "move it out of the folder to be rid of this line") from None


def make_private_folder(folder: Path) -> None:
    """Makes `folder`, readable by its owner alone; one that is there already stays as it is."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
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
            yield store.read(job_id)
        except GravscopeError as error:
            yield error


def _nearest(wanted: str, ids: list[str]) -> str:
    import difflib  # noqa: PLC0415 (only for this message)

    names = sorted({name_of(job_id) for job_id in ids})
    near = difflib.get_close_matches(wanted, names, n=3)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return "gravscope status -a lists what there is"
