"""Looks at a folder of gravscope's for `gravscope doctor`."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from pathlib import Path
from typing import Any, Literal

from gravscope.actions.doctor.facts import Folder

# what is below one of these may be fetched by anybody, where a web server runs; some are called so only in one place
WEB_ROOTS = frozenset({"public", "public_html", "www", "wwwroot", "webroot", "htdocs", "httpdocs"})
WEB_PLACES = frozenset({("srv", "http"), ("nginx", "html"), ("httpd", "html"), ("apache2", "html")})
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
        real=Path(os.path.realpath(path)),
        open_above=_open_above(path),
    )


def _stat(path: Path) -> tuple[Literal["folder", "missing", "other", "out of reach"], os.stat_result | None]:
    try:
        found = path.stat()
    except FileNotFoundError:
        return "missing", None
    except OSError:
        return "out of reach", None
    return ("folder" if stat.S_ISDIR(found.st_mode) else "other"), found


def _open_above(path: Path) -> Path | None:
    """The first folder above that lets anybody rename what is in it: the sticky bit would not (see inode(7))."""
    for above in path.parents:
        try:
            mode = above.stat().st_mode
        except OSError:
            continue
        if mode & WRITABLE_BY_OTHERS and not mode & stat.S_ISVTX:
            return above
    return None


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


def web_root(folder: Folder) -> str | None:
    """The part of its path that looks like the root of a web server, if one does; links are followed, too."""
    for path in (folder.path, folder.real or folder.path):
        before = ""
        for part in path.parts:
            if part.lower() in WEB_ROOTS or (before.lower(), part.lower()) in WEB_PLACES:
                return part
            before = part
    return None


def unsafe_parts(path: str) -> tuple[str, ...]:
    """The parts of a PATH into which somebody else could put a program: the working directory, and whatever anybody
    can write to."""
    return tuple(part for part in path.split(os.pathsep) if not part.startswith("/") or _writable_by_anybody(part))


def _writable_by_anybody(folder: str) -> bool:
    try:
        return bool(Path(folder).stat().st_mode & WRITABLE_BY_OTHERS)
    except OSError:
        return False
