"""Reads and parses cgroup files (the kernel's Documentation/admin-guide/cgroup-v2.rst).

Standard library only, and of that nothing heavier than `os`: the supervisor uses it (see `proc.py`).
A cgroup is named by its folder, such as /sys/fs/cgroup/user.slice/…/gravscope-fit_20260101_120000.scope.
"""

from __future__ import annotations

import os

from gravscope.linux.proc import read_text

# What the kernel writes for "no limit" (cgroup v2), here and in systemd's own spelling
NO_LIMIT = "max"
INFINITY = "infinity"

# An extended attribute of a scope's folder (xattr(7); cgroups take those of `user` since Linux 5.7): whose scope it is
OWNER = "user.gravscope.invocation_id"

# Our name for each limit, and the file that holds it
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
            # spaces and the like stand as octal escapes in mountinfo (proc(5))
            return before.split()[4].replace("\\040", " ")
    return None


def folder_of(pid: int | str = "self") -> str | None:
    """The cgroup v2 folder of process `pid`; None where it has none or is gone."""
    root = mount_point()
    if root is None:
        return None
    for line in (read_text(f"/proc/{pid}/cgroup") or "").splitlines():
        if line.startswith("0::"):
            path = line[3:]
            # a process outside of this cgroup namespace shows as /../…, out of reach from here
            return None if path.startswith("/..") else (root + path).rstrip("/")
    return None


def keyed(text: str | None) -> dict[str, int]:
    """A flat keyed file, such as memory.events or cpu.stat, as numbers; lines that are none are left out."""
    found: dict[str, int] = {}
    for line in (text or "").splitlines():
        key, _, value = line.partition(" ")
        if value.strip().isdigit():
            found[key] = int(value)
    return found


def read_keyed(folder: str, name: str) -> dict[str, int]:
    """File `name` of the cgroup as numbers; empty where it is not there."""
    return keyed(read_text(f"{folder}/{name}"))


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


def least(folder: str, root: str, name: str) -> int | float | str | None:
    """The least of limit `name` from this cgroup up to `root`, for a limit above binds just as well; None if no
    cgroup on the way has the file. In a container `root` itself may have one."""
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
    """What the kernel really holds the cgroup to: for each limit the least up the tree, None where nobody does."""
    found: dict[str, int | float | str | None] = {}
    for limit, name in LIMIT_FILES.items():
        # a weight is a share among siblings and has no least
        if limit.endswith("_weight"):
            found[limit] = read_limit(folder, name)
        else:
            found[limit] = least(folder, root, name)
    found["cpu_quota"] = least(folder, root, "cpu.max")
    return found


def processes(folder: str) -> list[int]:
    """Every process in this cgroup and those below it."""
    found = [int(word) for word in (read_text(f"{folder}/cgroup.procs") or "").split()]
    try:
        # two links are its own name and its dot, and each folder below it would be one more (fs/kernfs/inode.c)
        if os.stat(folder).st_nlink != 2:
            found += [pid for entry in os.scandir(folder) if entry.is_dir() for pid in processes(entry.path)]
    except OSError:
        pass  # it is gone
    return found


def claim(folder: str, invocation_id: str) -> None:
    """Writes onto a cgroup whose it is; silently not where the kernel does not take it."""
    try:
        os.setxattr(folder, OWNER, invocation_id.encode("ascii"))
    except OSError:
        pass


def is_anothers(folder: str, invocation_id: str | None) -> bool:
    """True if the cgroup says that it is that of another job: a unit's name may come back in the same second."""
    try:
        return os.getxattr(folder, OWNER) != (invocation_id or "").encode("utf-8", "replace")
    except OSError:
        return False


def populated(folder: str) -> bool | None:
    """Whether any process lives in this cgroup or below it; None where the cgroup is gone."""
    value = read_keyed(folder, "cgroup.events").get("populated")
    return None if value is None else value == 1


def write(folder: str, name: str, value: str) -> str | None:
    """Writes `value` to file `name`; None when it was taken, else the kernel's word against it."""
    try:
        with open(f"{folder}/{name}", "w", encoding="ascii") as file:
            file.write(value)
    except OSError as error:
        return f"{name}: {error.strerror}"
    return None
