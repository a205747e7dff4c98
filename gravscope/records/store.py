"""Reads and writes records, for everything but the supervisor and the first record that `gravscope run` writes.

File names and locks, which do not depend on a record's contents: `gravscope.records.folder`.
"""

from __future__ import annotations

import errno
import heapq
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from gravscope.base.errors import GravscopeError, NoSuchJobError, StoreError
from gravscope.base.names import normal
from gravscope.base.printable import printable, quoted
from gravscope.base.stamp import STAMP
from gravscope.linux import files
from gravscope.records import clock
from gravscope.records.folder import JobsFolder, hint_about
from gravscope.records.ids import is_id, name_of, sort_key
from gravscope.records.legacy import convert, is_legacy
from gravscope.records.model import JobRecord
from gravscope.records.parts import Cancel, CancelRequest
from gravscope.records.spec import SCHEMA_VERSION

# The largest difference between the local times of two time zones.
_ZONES = timedelta(hours=26)
_MOVE_IT = "move it out of the folder to be rid of this line"


def _earliest_candidate(stamp: str) -> str:
    """The earliest local time in the id of a job that may have been started after one at `stamp`."""
    try:
        return f"{datetime.strptime(stamp, STAMP) - _ZONES:{STAMP}}"
    except (ValueError, OverflowError):  # digits that are not a time
        return stamp


class Store(JobsFolder):
    """The records of one folder, `jobs_dir`."""

    def ids(self) -> list[str]:
        """Every id that has a record, newest first."""
        return sorted((name[:-5] for name in self._names() if name.endswith(".json")), key=sort_key, reverse=True)

    def latest(self, count: int) -> list[str]:
        """Every id that may be of a live job, then the newest of the others, `count` in all if there are as many."""
        return self.latest_of(count)[0]

    def latest_of(self, count: int) -> tuple[list[str], int]:
        """The same, and how many ids there are in all.

        In a folder of 100,000 records this lists the names once and does not sort the other ids.
        """
        names = self._names()
        locked = {name[:-5] for name in names if name.endswith(".lock")}
        ids = [name[:-5] for name in names if name.endswith(".json")]
        live = sorted((job_id for job_id in ids if job_id in locked), key=sort_key, reverse=True)
        others = (job_id for job_id in ids if job_id not in locked)
        return live + heapq.nlargest(max(0, count - len(live)), others, key=sort_key), len(ids)

    def _names(self) -> list[str]:
        try:
            return [name for name in os.listdir(self.jobs_dir) if not name.startswith(".")]  # noqa: PTH208 (100,000 names)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreError(f"{self.jobs_dir}: {error.strerror}", hint_about(error)) from None

    def locate(self, wanted: str) -> tuple[Store, str]:
        """The store and the id for `wanted`: what `find` takes, or the path of a record in any folder."""
        if "/" in wanted or wanted.endswith(".json"):
            # These two functions never raise, whatever the path is; the methods of Path do.
            path = Path(os.path.realpath(wanted))
            if path.suffix == ".json" and os.path.isfile(path):  # noqa: PTH113
                return Store(path.parent), path.stem
            if "/" in wanted:
                raise NoSuchJobError(f"no record {wanted}")
        return self, self.find(wanted)  # a name may also end with .json

    def find(self, wanted: str) -> str:
        """The id for `wanted`: an id, a name (its newest job), the beginning of exactly one id, or the end of one.

        The end of an id is accepted because `status` shows only the end of an id that is too long for its line.
        """
        wanted = self._spelled(wanted)
        if is_id(wanted) and os.path.lexists(self.record_path(wanted)):
            return wanted  # for a complete id the folder, which may hold 100,000, is not listed
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
                f"{quoted(wanted)} may mean {len(starting)} jobs",
                f"say more of it, such as {starting[0]}",
            )
        raise NoSuchJobError(f"no job {quoted(wanted)} in {self.jobs_dir}", _nearest(wanted, ids))

    def _spelled(self, wanted: str) -> str:
        """`wanted` as names are kept, unless a record is called just so: other programs make files, too."""
        return wanted if os.path.lexists(self.record_path(wanted)) else normal(wanted)

    def _newest(self, ids: list[str]) -> str:
        """The job of `ids`, which are sorted, that was really started last.

        The local times in the ids do not tell this in the hour that is repeated at the end of daylight saving, after
        the clock was set back, or where cron and the shell have different time zones. So every record that may be the
        newest is read.
        """
        since = _earliest_candidate(sort_key(ids[0])[0])
        candidates = [job_id for job_id in ids if sort_key(job_id)[0] >= since]
        return max(candidates, key=self.start_time) if len(candidates) > 1 else ids[0]

    def start_time(self, job_id: str) -> float:
        try:
            return clock.start_time(self.read(job_id, anyone=True)) or 0.0
        except GravscopeError:
            pass
        try:  # an unreadable record is not skipped for an older job: it is an error when it is asked for
            return datetime.strptime(sort_key(job_id)[0], STAMP).timestamp()
        except (ValueError, OverflowError):
            return 0.0

    # records

    def write(self, record: JobRecord) -> None:
        """Replaces the record. Only the holder of the job's lock may do this."""
        self.put(record.id, msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")

    def read(self, job_id: str, *, anyone: bool = False) -> JobRecord:
        """The record of `job_id`. Raises NoSuchJobError, or StoreError if it cannot be read or understood, or was
        written by another user. With `anyone`, root may read the latter too."""
        path = self.record_path(job_id)
        record = read_record(path, anyone=anyone)
        if record.id != job_id:
            # the same name, as a locale that cannot read it has it
            if record.id.encode(errors="surrogatepass") == os.fsencode(job_id):
                raise StoreError(
                    f"{printable(str(path))}: its name is UTF-8, and this locale's encoding is another"
                    f" ({sys.getfilesystemencoding()})",
                    "set LC_ALL=C.UTF-8",
                )
            raise StoreError(f"{path}: is the record of {record.id}", "a copy under another name is no record")
        return record

    def read_cancel(self, job_id: str) -> CancelRequest | None:
        """The request to end `job_id`, if there is a readable one."""
        try:
            return msgspec.json.decode(files.read_whole(str(self.cancel_path(job_id))), type=CancelRequest)
        except (OSError, ValueError, RecursionError):
            return None

    def write_cancel(self, job_id: str, cancel: Cancel) -> None:
        """Writes or replaces the request to end `job_id`."""
        path = self.cancel_path(job_id)
        try:
            files.write_atomically(str(path), msgspec.json.encode(cancel))
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror}", hint_about(error)) from None

    def release(self, job_id: str) -> None:
        """Removes the files beside the record of a job that has ended. Does nothing while the record does not say so,
        as when the disk was full at the job's end: the next reader needs those files."""
        with suppress(GravscopeError):
            if self.read(job_id).live:
                return
        self.clear(job_id)


def read_record(path: Path, *, anyone: bool = False) -> JobRecord:
    """The record in file `path`, which may be one of the older dispatcher. `anyone` is as in `Store.read`."""
    try:
        text = msgspec.json.decode(files.read_whole(str(path), anyone=anyone))
        if is_legacy(text):
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
        hint = hint_about(error) if error.errno in (errno.EACCES, errno.EIO) else _MOVE_IT
        raise StoreError(f"{path}: {error.strerror}", hint) from None
    except (ValueError, RecursionError) as error:  # RecursionError: values nested too deeply
        raise StoreError(f"{path}: not a record: {error}", _MOVE_IT) from None


def read_each(store: Store, ids: Iterable[str]) -> Iterator[JobRecord | GravscopeError]:
    """Every record of `ids`, or the error in its place, so that one bad record never hides the others."""
    for job_id in ids:
        try:
            yield store.read(job_id, anyone=True)
        except GravscopeError as error:
            yield error


def _nearest(wanted: str, ids: list[str]) -> str:
    from gravscope.base.words import near  # noqa: PLC0415 (only for this message)

    found = near(wanted, sorted({name_of(job_id) for job_id in ids}), count=3)
    if found:
        return f"did you mean {' or '.join(found)}?"
    return "gravscope status -a lists what there is"
