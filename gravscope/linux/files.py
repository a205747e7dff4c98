"""Files that are whole at every moment: written beside, synced, and renamed into place; and locks on files.

Standard library only, and of that nothing heavier than `os` and `fcntl`: the supervisor uses it (see `proc.py`).
"""

from __future__ import annotations

import errno
import fcntl
import os

PRIVATE = 0o600
# the folder in the user's state folder that holds both of gravscope's
OWN = "gravscope"
# bytes; nothing that gravscope keeps is nearly as large, and a log that was given such a name must not fill memory
LARGEST = 1 << 26
# the type of a file in its mode, and that of a regular one (inode(7)); `stat` is not loaded for two numbers
_TYPE, _REGULAR, _FOLDER = 0o170000, 0o100000, 0o040000
# what the owner of a folder may do with it
_OWNERS = 0o700


def write_atomically(path: str, data: bytes, mode: int = PRIVATE) -> None:
    """Puts `data` at `path` so that a reader, or a machine that loses power, finds the old file or the new one, whole.

    A unique name beside it, fsync, rename, fsync of the folder (rename(2), fsync(2)). Raises OSError with nothing
    left behind.
    """
    folder, name = os.path.split(path)
    beside = f"{folder}/.{name}.{os.getpid()}.tmp"
    descriptor = _open_new(beside, mode)
    try:
        try:
            write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(beside, path)
    except BaseException:
        _unlink(beside)
        raise
    sync_folder(folder)


def _open_new(path: str, mode: int) -> int:
    """A file that is there only since now, and so is nobody's else. What a killed writer left, or somebody laid in
    wait, is removed, never written to: it may be another name of a file that somebody wants to keep."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return open_as(path, flags, mode)
    except FileExistsError:
        _unlink(path)
        return open_as(path, flags, mode)


def open_as(path: str, flags: int, mode: int = PRIVATE) -> int:
    """As os.open, but a file that it makes, or that we have made, gets just this mode, whatever the umask: one that
    takes the owner's own rights would keep us from our own files later."""
    descriptor = os.open(path, flags, mode)
    try:
        found = os.fstat(descriptor)
        if flags & os.O_CREAT and found.st_uid == os.geteuid() and found.st_mode & ~_TYPE != mode:
            os.fchmod(descriptor, mode)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass


def make_private_folder(folder: str) -> None:
    """Makes `folder`, which only its owner can enter; one that is there already stays as it is. Raises OSError.

    Folders above it that are missing are made as others are, by the umask, but for gravscope's own in the user's state
    folder; and under no umask do they keep out their owner. (The umask stays as it is: it is the whole process's, whose
    other threads may be making files of their own.)
    """
    for above in _missing(folder):
        own = above == folder or (above == os.path.dirname(folder) and os.path.basename(above) == OWN)
        try:
            os.mkdir(above, _OWNERS if own else 0o777)
        except FileExistsError:
            continue  # somebody else has just made it
        mode = os.stat(above).st_mode & ~_TYPE
        if mode & _OWNERS != _OWNERS:
            os.chmod(above, mode | _OWNERS)
    if not os.path.isdir(folder):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), folder)


def _missing(folder: str) -> list[str]:
    """`folder` and those above it that are not there, the topmost first."""
    found: list[str] = []
    while folder and not os.path.lexists(folder):
        found.insert(0, folder)
        folder = os.path.dirname(folder)
    return found


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


def read_whole(path: str, *, anyone: bool = False) -> bytes:
    """The bytes of a regular file of our own, or of root's: what anybody else put there is not believed, unless root
    only wants to look at it (`anyone`).

    A symbolic link in its place is not followed, a FIFO or a device is not waited for. Raises OSError that says why.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "is a symbolic link, which is not followed", path) from None
        if error.errno == errno.ENXIO:
            raise OSError(errno.EINVAL, "is not a regular file", path) from None
        raise
    try:
        found = os.fstat(descriptor)
        _check(found, path, anyone=anyone)
        parts, size = [], 0
        while part := os.read(descriptor, 1 << 20):
            parts.append(part)
            size += len(part)
            if size > LARGEST:  # it grows while we read
                raise OSError(errno.EFBIG, f"is larger than {LARGEST >> 20}M", path)
        return b"".join(parts)
    finally:
        os.close(descriptor)


def _check(found: os.stat_result, path: str, *, anyone: bool) -> None:
    """Raises OSError unless an open file is regular, ours or root's, and of a size that may be."""
    if found.st_mode & _TYPE == _FOLDER:
        raise IsADirectoryError(errno.EISDIR, "is a folder", path)
    if found.st_mode & _TYPE != _REGULAR:
        raise OSError(errno.EINVAL, "is not a regular file", path)
    if not is_ours(found, anyone=anyone):
        raise PermissionError(errno.EPERM, f"is owned by user {found.st_uid}, and not believed", path)
    if found.st_size > LARGEST:
        raise OSError(errno.EFBIG, f"is larger than {LARGEST >> 20}M", path)


def is_ours(found: os.stat_result, *, anyone: bool = False) -> bool:
    """True for a file that we own, or root does, who can do everything anyway; with `anyone`, to root for any file."""
    user = os.geteuid()
    return found.st_uid in (user, 0) or (anyone and user == 0)


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


def try_claim(descriptor: int) -> bool:
    """Takes the lock of a file whose owner, who alone held it until then, has left it for ever; False if it is held.

    The file is marked first, while the shared lock proves that the owner is gone: whoever finds it locked from then on
    can tell another claimant from the owner.
    """
    if not try_lock(descriptor, shared=True):
        return False
    try:
        os.pwrite(descriptor, b"\n", 0)
    except OSError:
        pass  # a full or read-only disk
    return try_lock(descriptor)


def is_claimed(descriptor: int) -> bool:
    """True once anybody has tried to claim it while its owner was gone."""
    return os.pread(descriptor, 1, 0) != b""


def lock(descriptor: int) -> None:
    """Takes the lock of an open file, waiting for as long as somebody else holds it."""
    fcntl.flock(descriptor, fcntl.LOCK_EX)
