"""Whether somebody else could take a job's files away, or put others in their place: `gravscope run` then says so."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def warnings(folders: Iterable[Path]) -> Iterator[str]:
    """A line for each folder in which others could. In one with the sticky bit, such as /tmp, they cannot
    (inode(7)), and what they add themselves is not believed (`gravscope.linux.files`)."""
    ours = os.geteuid()
    for folder in dict.fromkeys(folders):
        try:
            found = os.stat(folder)  # noqa: PTH116 (hot path)
        except OSError:
            continue
        if found.st_uid not in (ours, 0):
            yield f"{folder} belongs to user {found.st_uid}, who can take this job's files away; choose one of your own"
        elif found.st_mode & _BY_OTHERS and not found.st_mode & stat.S_ISVTX and _others_are_meant(folder, ours):
            yield f"others can take this job's files out of {folder}; to stop that, type: chmod go-w {folder}"


def _others_are_meant(folder: Path, ours: int) -> bool:
    """False where only a group of the user's own may write, which a umask of 002 does."""
    from gravscope.actions.doctor.folders import look_at, writable_by_others  # noqa: PLC0415 (5 ms, for a rare case)

    return writable_by_others(look_at(folder, ours))
