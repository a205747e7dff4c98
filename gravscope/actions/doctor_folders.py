"""Looks at a folder of gravscope's for `gravscope doctor`."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from pathlib import Path
from typing import Any, Literal

from gravscope.actions.doctor_facts import Folder

# what is written beside this may be fetched by anybody, where a web server runs
WEB_ROOTS = frozenset({"public", "public_html", "www", "htdocs", "wwwroot"})
WRITABLE_BY_GROUP, WRITABLE_BY_OTHERS = 0o020, 0o002


def look_at(path: Path, uid: int) -> Folder:
    """Who may do what with `path`, and how much room its disk has. Never raises: what is out of reach is said so."""
    kind, found = _stat(path)
    nearest = path
    while kind == "missing" and not os.path.lexists(nearest) and nearest != nearest.parent:
        nearest = nearest.parent
    free, free_names = _room(nearest)
    return Folder(
        path=path,
        kind=kind,
        nearest=nearest,
        can_write=os.access(nearest, os.W_OK | os.X_OK),
        link_owner=_link_owner(path),
        owner=None if found is None else found.st_uid,
        mode=0 if found is None else stat.S_IMODE(found.st_mode),
        group_is_own=found is not None and _is_own_group(found.st_gid, uid),
        free=free,
        free_names=free_names,
    )


def _stat(path: Path) -> tuple[Literal["folder", "missing", "other", "out of reach"], os.stat_result | None]:
    try:
        found = path.stat()
    except FileNotFoundError:
        return "missing", None
    except OSError:
        return "out of reach", None
    return ("folder" if stat.S_ISDIR(found.st_mode) else "other"), found


def _link_owner(path: Path) -> int | None:
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_uid if stat.S_ISLNK(found.st_mode) else None


def _is_own_group(gid: int, uid: int) -> bool:
    """True for a group of the user's name, in which distributions that have such groups put nobody else."""
    try:
        return grp.getgrgid(gid).gr_name == pwd.getpwuid(uid).pw_name
    except KeyError:
        return False


def _room(folder: Path) -> tuple[int | None, int | None]:
    """Bytes and file names that are free for this user; some file systems do not count names and say 0 of 0."""
    try:
        found: Any = os.statvfs(folder)
    except OSError:
        return None, None
    return found.f_bavail * found.f_frsize, (found.f_favail if found.f_files else None)


def writable_by_others(folder: Folder) -> bool:
    """True if somebody else could put files there, or take them away."""
    by_group = folder.mode & WRITABLE_BY_GROUP and not folder.group_is_own
    return bool(by_group or folder.mode & WRITABLE_BY_OTHERS)


def web_root(path: Path) -> str | None:
    """The part of `path` that looks like the root of a web server, if one does."""
    return next((part for part in path.parts if part in WEB_ROOTS), None)
