"""`run --unique`: one job of a name at a time, however many are asked for at the same moment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gravscope.actions.look.settle import live_records
from gravscope.base.errors import RefusedError, StoreError
from gravscope.linux import files
from gravscope.records.folder import make_private_folder
from gravscope.records.store import Store


@contextmanager
def alone(jobs_dir: Path, name: str) -> Iterator[None]:
    """Raises RefusedError if a job of that name lives, and keeps others that ask from going on while in here.

    The record of the job that is begun has to be on disk before the end of it: that is what refuses the next one.
    """
    make_private_folder(jobs_dir)
    path = f"{jobs_dir}/.{name}.unique"
    descriptor = _locked(path)
    try:
        for record in live_records(Store(jobs_dir)):
            if record.name == name:
                raise RefusedError(f"{record.id} is still {record.state}", f"type: gravscope wait {record.id}")
        yield
    finally:
        with suppress(OSError):
            os.unlink(path)  # noqa: PTH108 (the lock is still ours, so the file is)
        os.close(descriptor)


def _locked(path: str) -> int:
    """The file of that name, locked; a new one where whoever had the lock before has removed it."""
    while True:
        try:
            descriptor = files.open_as(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror}", "--unique cannot do without that file") from None
        opened = os.fstat(descriptor)
        if not files.is_ours(opened):
            os.close(descriptor)
            raise StoreError(f"{path}: is owned by user {opened.st_uid}", "remove it")
        files.lock(descriptor)
        with suppress(OSError):
            if os.path.samestat(opened, os.lstat(path)):
                return descriptor
        os.close(descriptor)
