"""Atomic writes (a temporary file, fsync, rename), careful reads, and locks on files.

Imports nothing larger than `os` and `fcntl`, because the supervisor uses it (see `proc.py`).
"""

from __future__ import annotations

import errno
import fcntl
import os

PRIVATE = 0o600
# the name of gravscope's folder in the user's state folder
STATE_FOLDER = "gravscope"
# bytes; no file of gravscope's is nearly as large, and a log that was renamed to one must not fill memory
MAX_SIZE = 1 << 26
# S_IFMT, S_IFREG and S_IFDIR (inode(7)); importing `stat` for three numbers would cost memory
_TYPE, _REGULAR, _FOLDER = 0o170000, 0o100000, 0o040000
# all permissions of the owner
_OWNERS = 0o700


def write_atomically(path: str, data: bytes, mode: int = PRIVATE) -> None:
    """Writes `data` to `path` atomically: at every moment, also after a power failure, `path` is the whole old file or
    the whole new one.

    Writes a temporary file beside it, then fsync, rename, and fsync of the folder (rename(2), fsync(2)). Raises
    OSError, and then leaves no temporary file.
    """
    folder, name = os.path.split(path)
    temporary = f"{folder}/.{name}.{os.getpid()}.tmp"
    descriptor = _open_new(temporary, mode)
    try:
        try:
            write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(temporary, path)
    except BaseException:
        _unlink(temporary)
        raise
    sync_folder(folder)


def _open_new(path: str, mode: int) -> int:
    """Creates a new file, which nobody else can have opened before.

    A file that is already there, left by a killed writer or put there by an attacker, is removed and never written to:
    it may be a link to a file that must not change.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return open_as(path, flags, mode)
    except FileExistsError:
        _unlink(path)
        return open_as(path, flags, mode)


def open_as(path: str, flags: int, mode: int = PRIVATE) -> int:
    """Like os.open, but with O_CREAT a file of our own gets exactly this mode, whatever the umask is: a umask that
    takes the owner's permissions away would make our own files inaccessible to us."""
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
    """Makes `folder` with access for its owner only; one that exists is not changed. Raises OSError.

    Missing folders above it are made with the usual mode and the umask, except gravscope's own in the user's state
    folder, which is private, too. Whatever the umask is, the owner has access to each of them. (The umask itself is not
    changed: it belongs to the whole process, and other threads may be making files.)
    """
    for above in _missing(folder):
        own = above == folder or (above == os.path.dirname(folder) and os.path.basename(above) == STATE_FOLDER)
        try:
            os.mkdir(above, _OWNERS if own else 0o777)
        except FileExistsError:
            continue  # another process has just made it
        mode = os.stat(above).st_mode & ~_TYPE
        if mode & _OWNERS != _OWNERS:
            os.chmod(above, mode | _OWNERS)
    if not os.path.isdir(folder):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), folder)


def _missing(folder: str) -> list[str]:
    """Those of `folder` and the folders above it that do not exist, the topmost first."""
    found: list[str] = []
    while folder and not os.path.lexists(folder):
        found.insert(0, folder)
        folder = os.path.dirname(folder)
    return found


def write_all(descriptor: int, data: bytes) -> None:
    """Writes all of `data`, with as many calls as that takes."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def sync_folder(folder: str) -> None:
    """Makes the names in `folder` durable (fsync(2)). Ignores that a file system cannot do it, as some network ones."""
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
    """The bytes of a regular file that we or root own. With `anyone`, root may read files of other users as well.

    A symbolic link at `path` is not followed, and a FIFO or a device does not block. Raises OSError that says why.
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
            if size > MAX_SIZE:  # it grows while it is read
                raise OSError(errno.EFBIG, f"is larger than {MAX_SIZE >> 20}M", path)
        return b"".join(parts)
    finally:
        os.close(descriptor)


def _check(found: os.stat_result, path: str, *, anyone: bool) -> None:
    """Raises OSError unless an open file is regular, owned by us or root, and not larger than MAX_SIZE."""
    if found.st_mode & _TYPE == _FOLDER:
        raise IsADirectoryError(errno.EISDIR, "is a folder", path)
    if found.st_mode & _TYPE != _REGULAR:
        raise OSError(errno.EINVAL, "is not a regular file", path)
    if not is_ours(found, anyone=anyone):
        raise PermissionError(errno.EPERM, f"is owned by user {found.st_uid}, and not believed", path)
    if found.st_size > MAX_SIZE:
        raise OSError(errno.EFBIG, f"is larger than {MAX_SIZE >> 20}M", path)


def is_ours(found: os.stat_result, *, anyone: bool = False) -> bool:
    """True for a file that we or root own. With `anyone`, root gets True for any file."""
    user = os.geteuid()
    return found.st_uid in (user, 0) or (anyone and user == 0)


def try_lock(descriptor: int, *, shared: bool = False) -> bool:
    """Takes the lock of an open file without waiting; False if another process holds it (flock(2)).

    The lock belongs to the open file description: a process that inherits the descriptor holds the lock as well, and
    the kernel releases it when the last of these processes has closed it or ended.
    """
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def try_claim(descriptor: int) -> bool:
    """Takes the lock of a file whose owner, the only process that held it, has ended; False if it is held.

    The file is marked first, while a shared lock proves that the owner is gone. So a process that finds the file locked
    later can tell whether the owner holds it or another process that claimed it.
    """
    if not try_lock(descriptor, shared=True):
        return False
    try:
        os.pwrite(descriptor, b"\n", 0)
    except OSError:
        pass  # a full or read-only disk
    return try_lock(descriptor)


def is_claimed(descriptor: int) -> bool:
    """True if a process has tried to claim the file after its owner had ended."""
    return os.pread(descriptor, 1, 0) != b""


def lock(descriptor: int) -> None:
    """Takes the lock of an open file; waits while another process holds it."""
    fcntl.flock(descriptor, fcntl.LOCK_EX)
