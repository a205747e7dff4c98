"""Reads and parses cgroup files (the kernel's Documentation/admin-guide/cgroup-v2.rst).

Imports nothing larger than `os`, because the supervisor uses it (see `proc.py`).
A cgroup is named by its folder, such as /sys/fs/cgroup/user.slice/…/gravscope-fit_20260101_120000.scope.
"""

from __future__ import annotations

import os

from gravscope.linux.proc import read_text

# "no limit" as the kernel writes it (cgroup v2), and as systemd and gravscope do
NO_LIMIT = "max"
INFINITY = "infinity"

# an extended attribute of a scope's folder that names the job it belongs to (xattr(7); cgroups have `user.` attributes
# since Linux 5.7)
OWNER = "user.gravscope.invocation_id"

# gravscope's name for each limit, and the file that holds it
LIMIT_FILES = {
    "mem_high": "memory.high",
    "mem_max": "memory.max",
    "swap_max": "memory.swap.max",
    "tasks_max": "pids.max",
    "cpu_weight": "cpu.weight",
    "io_weight": "io.weight",
}


def mount_point() -> str | None:
    """Where the cgroup v2 hierarchy is mounted; None where there is none (v1 only)."""
    for line in (read_text("/proc/self/mountinfo") or "").splitlines():
        before, _, after = line.partition(" - ")
        if after.startswith("cgroup2 "):
            # spaces are written as octal escapes in mountinfo (proc(5))
            return before.split()[4].replace("\\040", " ")
    return None


def folder_of(pid: int | str = "self") -> str | None:
    """The cgroup v2 folder of process `pid`; None if it has none or has ended."""
    root = mount_point()
    if root is None:
        return None
    for line in (read_text(f"/proc/{pid}/cgroup") or "").splitlines():
        if line.startswith("0::"):
            path = line[3:]
            # the path of a process outside of this cgroup namespace begins with /.. and cannot be reached from here
            return None if path.startswith("/..") else (root + path).rstrip("/")
    return None


def parse_keyed(text: str | None) -> dict[str, int]:
    """The numbers in the text of a flat keyed file, such as memory.events or cpu.stat; other lines are left out."""
    found: dict[str, int] = {}
    for line in (text or "").splitlines():
        key, _, value = line.partition(" ")
        if value.strip().isdigit():
            found[key] = int(value)
    return found


def read_keyed(folder: str, name: str) -> dict[str, int]:
    """File `name` of the cgroup as numbers; empty where it is not there."""
    return parse_keyed(read_text(f"{folder}/{name}"))


def read_number(folder: str, name: str) -> int | None:
    """File `name` of the cgroup as a number; None where it is not there, or says `max`."""
    text = (read_text(f"{folder}/{name}") or "").strip()
    return int(text) if text.isdigit() else None


def read_limit(folder: str, name: str) -> int | str | None:
    """A limit file: a number, `infinity` for no limit, None where the controller is not there."""
    text = (read_text(f"{folder}/{name}") or "").strip()
    if text.startswith("default "):  # io.weight
        text = text.split()[1]
    return INFINITY if text == NO_LIMIT else int(text) if text.isdigit() else None


def quota_percent(text: str | None) -> float | str | None:
    """cpu.max ("150000 100000") as percent of one core; `infinity` for no limit, None where it is not there."""
    words = (text or "").split()
    if len(words) != 2:
        return None
    return INFINITY if words[0] == NO_LIMIT else round(100 * int(words[0]) / int(words[1]), 2)


def lowest(folder: str, root: str, name: str) -> int | float | str | None:
    """The lowest value of limit `name` from this cgroup up to `root`, because limits of cgroups above apply as well.

    None if no cgroup on the way has the file. In a container `root` itself may have it.
    """
    found: int | float | str | None = None
    while len(folder) >= len(root):
        limit = quota_percent(read_text(f"{folder}/{name}")) if name == "cpu.max" else read_limit(folder, name)
        if limit is not None and (found is None or _number(limit) < _number(found)):
            found = limit
        if folder == "/":
            break
        folder = os.path.dirname(folder)
    return found


def _number(limit: float | str) -> float:
    return float("inf") if isinstance(limit, str) else limit


def effective(folder: str, root: str) -> dict[str, int | float | str | None]:
    """The limits that are in effect for the cgroup: each the lowest up to `root`, None where there is none."""
    found: dict[str, int | float | str | None] = {}
    for limit, name in LIMIT_FILES.items():
        # a weight is relative to siblings, so those of cgroups above do not matter
        if limit.endswith("_weight"):
            found[limit] = read_limit(folder, name)
        else:
            found[limit] = lowest(folder, root, name)
    found["cpu_quota"] = lowest(folder, root, "cpu.max")
    return found


def pids(folder: str) -> list[int]:
    """Every process in this cgroup and those below it."""
    found = [int(word) for word in (read_text(f"{folder}/cgroup.procs") or "").split()]
    try:
        # a folder without subfolders has two links: its name and `.`; each subfolder adds one (fs/kernfs/inode.c)
        if os.stat(folder).st_nlink != 2:
            found += [pid for entry in os.scandir(folder) if entry.is_dir() for pid in pids(entry.path)]
    except OSError:
        pass  # it is gone
    return found


def claim(folder: str, invocation_id: str) -> None:
    """Marks a cgroup as belonging to the job with this id. Does nothing where the kernel refuses."""
    try:
        os.setxattr(folder, OWNER, invocation_id.encode("ascii"))
    except OSError:
        pass


def belongs_to_another(folder: str, invocation_id: str | None) -> bool:
    """True if the cgroup is marked as another job's: two jobs of the same second may have the same unit name."""
    try:
        return os.getxattr(folder, OWNER) != (invocation_id or "").encode("utf-8", "replace")
    except OSError:
        return False


def populated(folder: str) -> bool | None:
    """Whether there is any process in this cgroup or below it; None if the cgroup is gone."""
    value = read_keyed(folder, "cgroup.events").get("populated")
    return None if value is None else value == 1


def write(folder: str, name: str, value: str) -> str | None:
    """Writes `value` to file `name`. None on success, else the kernel's error message."""
    try:
        with open(f"{folder}/{name}", "w", encoding="ascii") as file:
            file.write(value)
    except OSError as error:
        return f"{name}: {error.strerror}"
    return None
