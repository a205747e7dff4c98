"""Small disks that can be full, over quota or read-only; each is gone when its `with` block is left."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.needs import PATH, leave_out, need

PAGE = os.sysconf("SC_PAGE_SIZE")


def call(*words: str | Path) -> None:
    """Runs a tool that has to succeed."""
    argv = [str(word) for word in words]
    done = subprocess.run(argv, env={"PATH": PATH}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@contextmanager
def small_disk(folder: Path, *options: str) -> Iterator[Path]:
    """A tmpfs on `folder` (tmpfs(5): size=, nr_inodes=)."""
    need("mount")
    folder.mkdir(parents=True, exist_ok=True)
    call("mount", "-t", "tmpfs", "-o", ",".join(["mode=700", *options]), "tmpfs", folder)
    try:
        yield folder
    finally:
        call("umount", "-l", folder)


@contextmanager
def read_only(folder: Path) -> Iterator[Path]:
    """`folder`, read-only for whoever comes by this path: mounted over itself."""
    need("mount")
    call("mount", "--bind", folder, folder)
    try:
        call("mount", "-o", "remount,bind,ro", folder)
        yield folder
    finally:
        call("umount", "-l", folder)


@contextmanager
def quota_disk(folder: Path, room: str) -> Iterator[Path]:
    """A folder with a real quota of `room`: a btrfs subvolume in a file. Skips where there is no such thing."""
    need("mount", "btrfs", "mkfs.btrfs")
    image, disk = folder.parent / f"{folder.name}.img", folder.parent / f"{folder.name}.btrfs"
    with image.open("wb") as file:
        file.truncate(128 << 20)
    disk.mkdir()
    call("mkfs.btrfs", "-q", image)
    argv = ["mount", "-o", "loop", str(image), str(disk)]
    mounted = subprocess.run(argv, env={"PATH": PATH}, capture_output=True, text=True, check=False)
    if mounted.returncode:
        leave_out(f"needs a kernel with btrfs and loop devices: {mounted.stderr.strip()}")
    try:
        call("btrfs", "quota", "enable", disk)
        call("btrfs", "subvolume", "create", disk / "own")
        call("btrfs", "qgroup", "limit", room, disk / "own")
        folder.symlink_to(disk / "own")
        yield folder
    finally:
        call("umount", "-l", disk)


def fill(folder: Path) -> None:
    """Takes every byte that is left, in a file of its own."""
    with (folder / "filler").open("ab", buffering=0) as file:
        size = 1 << 16
        while size:
            try:
                file.write(b"x" * size)
                os.fsync(file.fileno())
            except OSError:
                size //= 2


def fill_names(folder: Path) -> None:
    """Takes every file name (inode) that is left."""
    (folder / "names").mkdir()
    number = 0
    while True:
        try:
            (folder / "names" / str(number)).touch()
        except OSError:
            return
        number += 1


def free(folder: Path) -> None:
    """Gives back what `fill` and `fill_names` took."""
    (folder / "filler").unlink(missing_ok=True)
    shutil.rmtree(folder / "names", ignore_errors=True)
