"""Files that are whole at every moment: written beside, synced, and renamed into place; and locks on files.

Standard library only, and of that nothing heavier than `os` and `fcntl`: the supervisor uses it (see `proc.py`).
"""

from __future__ import annotations

import fcntl
import os

PRIVATE = 0o600


def write_atomically(path: str, data: bytes, mode: int = PRIVATE) -> None:
    """Puts `data` at `path` so that a reader, or a machine that loses power, finds the old file or the new one, whole.

    A unique name beside it, fsync, rename, fsync of the folder (rename(2), fsync(2)). Raises OSError with nothing
    left behind.
    """
    folder, name = os.path.split(path)
    beside = f"{folder}/.{name}.{os.getpid()}.tmp"
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        try:
            write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(beside, path)
    except BaseException:
        os.unlink(beside)
        raise
    sync_folder(folder)


def write_all(descriptor: int, data: bytes) -> None:
    """Every byte of `data`, however many writes that takes."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def sync_folder(folder: str) -> None:
    """Makes the names in `folder` durable. File systems that cannot sync a folder (some network ones) are let be."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)


def read_whole(path: str) -> bytes:
    """The bytes of a regular file. A symbolic link in its place is refused: raises OSError (ELOOP)."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(descriptor, 1 << 20):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)


def try_lock(descriptor: int, *, shared: bool = False) -> bool:
    """Takes the lock of an open file without waiting; False when somebody else holds it (flock(2)).

    Such a lock belongs to the open file description: a process that inherits the descriptor holds it as well, and it
    ends with the last of them, however that ends.
    """
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def lock(descriptor: int) -> None:
    """Takes the lock of an open file, waiting for as long as somebody else holds it."""
    fcntl.flock(descriptor, fcntl.LOCK_EX)
