"""Atomic writes, careful reads, and locks that are held as long as a process holds them."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gravscope.linux import files
from tests.support import REPOSITORY, until

OLD, NEW = b"old" * 1000, b"new!" * 100_000


def only(folder: Path) -> list[str]:
    """Every name in the folder."""
    return sorted(path.name for path in folder.iterdir())


def failing(number: int) -> Callable[..., int]:
    """A system call that always fails with `number`."""

    def call(*_: object, **__: object) -> int:
        raise OSError(number, os.strerror(number))

    return call


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """A file to be replaced, the only one in its folder."""
    path = tmp_path / "a.json"
    path.write_bytes(OLD)
    return path


def test_the_new_file_replaces_the_old(record: Path) -> None:
    """Afterwards the file holds the new bytes, only its owner has access, and no other file is left beside it."""
    files.write_atomically(str(record), NEW)
    assert files.read_whole(str(record)) == NEW
    assert stat.S_IMODE(record.stat().st_mode) == 0o600
    assert only(record.parent) == ["a.json"]


def test_any_bytes_and_none_come_back(tmp_path: Path) -> None:
    """An empty file, and one with all 256 byte values, are read as they were written."""
    for data in (b"", bytes(range(256)) * 9000):
        files.write_atomically(str(tmp_path / "x"), data)
        assert files.read_whole(str(tmp_path / "x")) == data


def test_the_bytes_are_on_disk_before_they_get_their_name(record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write, fsync, rename, fsync of the folder, in this order, because power may fail between any two."""
    calls: list[str] = []

    def noting(name: str, real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object) -> object:
            calls.append(name)
            return real(*arguments)

        return call

    for name in ("write", "fsync", "rename"):
        monkeypatch.setattr(os, name, noting(name, getattr(os, name)))
    files.write_atomically(str(record), NEW)
    assert [call for call in calls if call != "write"] == ["fsync", "rename", "fsync"]
    assert calls[0] == "write"
    assert "write" not in calls[calls.index("fsync") :]


def test_short_writes_are_continued(record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All bytes are written even if each write(2) takes only a few."""
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:70_001]))
    files.write_atomically(str(record), NEW)
    assert record.read_bytes() == NEW


CRASH = """
import os, sys
from gravscope.linux import files
real = getattr(os, sys.argv[2])
count = [0]
def crash(*args):
    if count[0] == int(sys.argv[3]):
        os._exit(9)
    count[0] += 1
    return real(*args)
setattr(os, sys.argv[2], crash)
files.write_atomically(sys.argv[1], b"new!" * 100_000)
"""


@pytest.mark.parametrize(
    ("call", "count", "data"),
    [("write", 0, OLD), ("fsync", 0, OLD), ("rename", 0, OLD), ("fsync", 1, NEW)],
)
def test_a_crash_leaves_the_old_file_or_the_new_one(record: Path, call: str, count: int, data: bytes) -> None:
    """A process that ends before any of the steps leaves the whole old file or the whole new one, and the next write
    succeeds."""
    done = subprocess.run(
        [sys.executable, "-c", CRASH, str(record), call, str(count)],
        env={"PYTHONPATH": str(REPOSITORY)},
        check=False,
        timeout=60,
    )
    assert done.returncode == 9
    assert record.read_bytes() == data
    files.write_atomically(str(record), b"later")
    assert record.read_bytes() == b"later"


def test_a_killed_writer_never_leaves_half_a_file(tmp_path: Path) -> None:
    """A writer that writes two kinds of file in turn and is killed at any moment leaves a whole file of one kind."""
    code = (
        "import sys\nfrom gravscope.linux import files\n"
        "while True:\n    for letter in b'ab':\n"
        "        files.write_atomically(sys.argv[1], bytes([letter]) * 300_000)\n"
        "        print(letter, flush=True)\n"
    )
    path = tmp_path / "x"
    for lines in (1, 2, 5):
        with subprocess.Popen(
            [sys.executable, "-c", code, str(path)], env={"PYTHONPATH": str(REPOSITORY)}, stdout=subprocess.PIPE
        ) as writer:
            assert writer.stdout is not None
            for _ in range(lines):
                writer.stdout.readline()
            writer.kill()
        assert path.read_bytes() in (b"a" * 300_000, b"b" * 300_000)


@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_a_full_disk_leaves_the_old_file_alone(
    record: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    """Trap 49: whichever step fails, the caller gets the error, the old file is there, and no other file is left."""
    monkeypatch.setattr(os, call, failing(number))
    with pytest.raises(OSError, match=os.strerror(number)) as failed:
        files.write_atomically(str(record), NEW)
    monkeypatch.undo()
    assert failed.value.errno == number
    assert record.read_bytes() == OLD
    assert only(record.parent) == ["a.json"]


def test_an_interrupt_leaves_nothing_behind(record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C between writing and renaming removes the temporary file, as an error does."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "rename", interrupt)
    with pytest.raises(KeyboardInterrupt):
        files.write_atomically(str(record), NEW)
    assert only(record.parent) == ["a.json"]
    assert record.read_bytes() == OLD


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB, if this user may mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        yield folder
        return
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_really_full(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trap 49: a full disk, real or for an ordinary user faked, is reported, and the old file is not changed."""
    path = small_disk / "a.json"
    path.write_bytes(OLD)
    if not os.path.ismount(small_disk):
        monkeypatch.setattr(os, "write", failing(errno.ENOSPC))
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        files.write_atomically(str(path), NEW)
    monkeypatch.undo()
    assert path.read_bytes() == OLD
    assert only(small_disk) == ["a.json"]
    files.write_atomically(str(path), b"small enough")
    assert path.read_bytes() == b"small enough"


def test_a_folder_that_cannot_be_synced_is_let_be(record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some network file systems cannot sync a folder; the file is still written."""
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "no")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    files.write_atomically(str(record), NEW)
    assert record.read_bytes() == NEW
    files.sync_folder(str(record.parent / "gone"))


def test_a_link_in_place_of_the_file_is_neither_followed_nor_read(tmp_path: Path) -> None:
    """Trap 50: writing replaces the link and does not change its target; reading through a link is refused."""
    victim, link = tmp_path / "victim", tmp_path / "a.json"
    victim.write_bytes(OLD)
    link.symlink_to(victim)
    with pytest.raises(OSError) as refused:
        files.read_whole(str(link))
    assert refused.value.errno == errno.ELOOP
    files.write_atomically(str(link), NEW)
    assert victim.read_bytes() == OLD
    assert not link.is_symlink()
    assert link.read_bytes() == NEW


def test_a_link_laid_in_wait_for_the_new_file_is_refused(record: Path) -> None:
    """Trap 50: a symbolic or hard link at the name of the temporary file is removed and not followed, and a FIFO there
    does not block."""
    victim = record.parent / "victim"
    victim.write_bytes(OLD)
    lay = [lambda trap: trap.symlink_to(victim), lambda trap: trap.hardlink_to(victim), os.mkfifo]
    for number, set_trap in enumerate(lay):
        set_trap(record.parent / f".a.json.{os.getpid()}.tmp")
        files.write_atomically(str(record), NEW + bytes([number]))
        assert victim.read_bytes() == OLD
        assert record.read_bytes() == NEW + bytes([number])
        assert only(record.parent) == ["a.json", "victim"]


def test_a_folder_laid_in_wait_is_told(record: Path) -> None:
    """If the name of the temporary file cannot be freed, that is an error, and the old file is not changed."""
    (record.parent / f".a.json.{os.getpid()}.tmp").mkdir()
    with pytest.raises(FileExistsError):
        files.write_atomically(str(record), NEW)
    assert record.read_bytes() == OLD


def test_an_error_while_cleaning_up_hides_no_other(record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If writing fails and then removing the temporary file fails as well, the first error is reported."""
    monkeypatch.setattr(os, "fsync", failing(errno.EIO))
    monkeypatch.setattr(os, "unlink", failing(errno.EROFS))
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        files.write_atomically(str(record), NEW)


def test_a_pipe_or_folder_in_place_of_the_file_never_blocks(tmp_path: Path) -> None:
    """A FIFO without a writer, a socket, an endless device and a folder are errors at once."""
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        for path in (tmp_path / "fifo", tmp_path / "socket", Path("/dev/zero")):
            with pytest.raises(OSError, match="is not a regular file"):
                files.read_whole(str(path))
    with pytest.raises(IsADirectoryError):
        files.read_whole(str(tmp_path))


def test_a_file_without_end_is_not_read_whole(tmp_path: Path) -> None:
    """A file of many gigabytes in place of a record is refused before it fills memory."""
    with (tmp_path / "large").open("wb") as file:
        file.truncate(files.MAX_SIZE)
        assert len(files.read_whole(file.name)) == files.MAX_SIZE
        file.truncate(1 << 40)
    with pytest.raises(OSError, match="is larger than 64M"):
        files.read_whole(str(tmp_path / "large"))


@pytest.mark.needs("root")
def test_a_file_of_somebody_else_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of our own and of root are read; a file of another user is refused with that user's id, also for root."""
    (tmp_path / "x").write_bytes(b"x")
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    assert files.read_whole(str(tmp_path / "x")) == b"x"
    os.chown(tmp_path / "x", 4711, 0)
    assert files.read_whole(str(tmp_path / "x")) == b"x"
    for euid in (0, 4712):
        monkeypatch.setattr(os, "geteuid", lambda euid=euid: euid)
        with pytest.raises(PermissionError, match="is owned by user 4711, and not believed"):
            files.read_whole(str(tmp_path / "x"))


@pytest.fixture
def lock_file(tmp_path: Path) -> Iterator[Callable[[], int]]:
    """Opens the same file again at each call."""
    opened: list[int] = []

    def open_it() -> int:
        opened.append(os.open(tmp_path / "x.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        return opened[-1]

    yield open_it
    for descriptor in opened:
        os.close(descriptor)


def test_a_lock_is_had_by_one_alone(lock_file: Callable[[], int]) -> None:
    """An exclusive lock excludes all others, a shared one excludes exclusive ones; nothing blocks."""
    first, second, third = lock_file(), lock_file(), lock_file()
    assert files.try_lock(first)
    assert files.try_lock(first)
    assert not files.try_lock(second)
    assert not files.try_lock(second, shared=True)
    assert files.try_lock(first, shared=True)
    assert files.try_lock(second, shared=True)
    assert not files.try_lock(third)


def test_a_child_that_inherits_the_lock_holds_it(lock_file: Callable[[], int], tmp_path: Path) -> None:
    """The lock stays held without a gap after we close the file, as long as a process that inherited it lives."""
    ours, others = os.open(tmp_path / "x.lock", os.O_RDWR | os.O_CREAT, 0o600), lock_file()
    assert files.try_lock(ours)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[ours])
    os.close(ours)
    assert not files.try_lock(others)
    child.kill()
    child.communicate()
    until(lambda: files.try_lock(others), "the lock of a killed process")


def test_waiting_for_a_lock(lock_file: Callable[[], int], tmp_path: Path) -> None:
    """`lock` returns only after the holder has released it."""
    code = (
        "import os, sys\nfrom gravscope.linux import files\n"
        "fd = os.open(sys.argv[1], os.O_RDWR)\nprint('waits', flush=True)\n"
        "files.lock(fd)\nprint('has it', flush=True)\n"
    )
    ours = lock_file()
    assert files.try_lock(ours)
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "x.lock")],
        env={"PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "waits\n"
        until(lambda: blocked_on_lock(child.pid), "the child to wait for the lock")
        assert child.poll() is None
        fcntl.flock(ours, fcntl.LOCK_UN)
        assert child.stdout.readline() == "has it\n"


def blocked_on_lock(pid: int) -> bool:
    """True if the kernel lists the process as waiting for a lock (proc_locks(5): marked with `->`)."""
    waiting = [line.split() for line in Path("/proc/locks").read_text().splitlines() if "->" in line]
    return any(str(pid) in words for words in waiting)


def test_a_claim_is_told_from_its_owner(tmp_path: Path) -> None:
    """A lock that its owner holds cannot be claimed and is not marked; after the owner's end the claim marks it."""
    path = tmp_path / "lock"
    owner, first, second = (os.open(path, os.O_RDWR | os.O_CREAT) for _ in range(3))
    assert files.try_lock(owner)
    assert not files.try_claim(first)
    assert not files.is_claimed(first)
    os.close(owner)
    assert files.try_claim(first)
    assert not files.try_claim(second)
    assert files.is_claimed(second)
    os.close(first)
    assert files.try_claim(second)
    os.close(second)
