"""Reads the machine for `gravscope doctor`: each function asks one thing, within a time limit, and changes nothing."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import gravscope
from gravscope.actions.doctor.facts import (
    CgroupMode,
    Clock,
    Facts,
    Journal,
    Linger,
    Manager,
    OomTrial,
    Slice,
    Trial,
)
from gravscope.actions.doctor.folders import look_at, unsafe_parts
from gravscope.actions.doctor.trial import try_oom, try_scope
from gravscope.actions.units import package_data
from gravscope.base.errors import UnsupportedError
from gravscope.base.quantity import total_memory
from gravscope.linux import cgroup, proc
from gravscope.settings.project import Project
from gravscope.systemd import commands, host

# seconds that one tool may take: a machine that is slower than that is in trouble, and says so by it
PATIENCE = 8.0
# what journald was told a moment ago may not be readable yet
JOURNAL_WITHIN = 3.0
KILLERS = ("systemd-oomd", "earlyoom")


def gather(project: Project, environ: Mapping[str, str], program: str, *, oom: bool) -> Facts:
    """Finds everything out; `oom` adds the trial that has a process killed."""
    uid = os.geteuid()
    user = user_name(uid)
    manager, reach = ask_manager(environ, uid)
    trial = try_scope(reach) if manager.trouble is None else Trial(manager.trouble, {})
    swap, swap_is_zram = read_swap()
    mode, read_only = cgroup_mode()
    return Facts(
        uid=uid,
        user=user,
        program=program,
        python=".".join(map(str, sys.version_info[:3])),
        memory=total_memory(),
        systemd=systemd_version(environ),
        booted=Path("/run/systemd/system").is_dir(),  # sd_booted(3)
        manager=manager,
        cgroup=mode,
        cgroup_read_only=read_only,
        controllers=controllers_of(manager),
        trial=trial,
        oom=_oom(trial, reach) if oom else None,
        slice=None if manager.trouble else read_slice(reach),
        missing_tools=tuple(tool for tool in commands.setsid_nohup() if tool.isalpha() and not _which(tool, environ)),
        linger=read_linger(user, environ),
        journal=read_journal(trial, reach),
        swap=swap,
        swap_is_zram=swap_is_zram,
        swap_script=_swap_script(),
        pressure=proc.read_text("/proc/pressure/memory") is not None,
        killers=running_killers(environ),
        jobs_dir=look_at(project.jobs_dir, uid),
        log_dir=look_at(project.log_dir, uid),
        clock=read_clock(environ),
        pystemd=_version_of("pystemd"),
        path=environ.get("PATH", os.defpath),
        unsafe_path=unsafe_parts(environ.get("PATH", os.defpath)),
    )


def user_name(uid: int) -> str:
    """The user's name, or the number where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)  # in a container, a user may have a number only


def _which(tool: str, environ: Mapping[str, str]) -> str | None:
    return shutil.which(tool, path=environ.get("PATH"))


def _version_of(package: str) -> str | None:
    from importlib import metadata  # noqa: PLC0415 (of all commands, only this one needs it)

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _swap_script() -> str | None:
    found = package_data.find("scripts/swap_extend.sh")
    return None if found is None else str(found)


def _oom(trial: Trial, reach: Mapping[str, str]) -> OomTrial:
    """Only where the kernel holds a scope's memory limit: elsewhere nothing would stop the process."""
    if trial.trouble is not None:
        return OomTrial(trial.trouble)
    if not isinstance(trial.held.get("mem_max"), int):
        return OomTrial("the kernel holds no memory limit here")
    return try_oom(reach)


# the user manager


def ask_manager(environ: Mapping[str, str], uid: int) -> tuple[Manager, dict[str, str]]:
    """The user manager's own word, and the environment that reaches it."""
    given = environ.get("XDG_RUNTIME_DIR")
    reach, trouble = dict(environ), None
    try:
        reach = host.manager_environment(environ, uid)
        folder = reach["XDG_RUNTIME_DIR"]
    except UnsupportedError as error:
        trouble = error.message
        folder = given if given and _owner(given) == uid else f"/run/user/{uid}"
    address = reach.get("DBUS_SESSION_BUS_ADDRESS")
    found = Manager(
        given=given or None,
        folder=folder,
        owner=_owner(folder),
        installed=_which("systemd-run", environ) is not None,
        address_given=bool(address) and address == environ.get("DBUS_SESSION_BUS_ADDRESS"),
        has_bus=Path(folder, "bus").is_socket() if _owner(folder) == uid else False,
        trouble=trouble,
    )
    return (_answer(found, reach) if trouble is None else found), reach


def _answer(found: Manager, reach: Mapping[str, str]) -> Manager:
    argv = ["systemctl", "--user", "show", "--property=SystemState,ControlGroup"]
    asked = host.call(argv, reach, PATIENCE)
    said = commands.parse_properties(asked.out)
    if asked.complaint is not None or "SystemState" not in said:
        return _with(found, trouble=asked.complaint or "it says nothing of itself")
    return _with(found, state=said["SystemState"], cgroup=said.get("ControlGroup"))


def _with(found: Manager, **changes: str | None) -> Manager:
    return Manager(**{**vars(found), **changes})


def _owner(folder: str) -> int | None:
    try:
        return Path(folder).stat().st_uid
    except OSError:
        return None


def controllers_of(manager: Manager) -> frozenset[str] | None:
    """The controllers that the user manager may use in its part of the tree; None where that cannot be told."""
    root = cgroup.mount_point()
    if manager.cgroup is None or root is None:
        return None
    text = proc.read_text(f"{root.rstrip('/')}{manager.cgroup}/cgroup.controllers")
    return None if text is None else frozenset(text.split())


def read_slice(reach: Mapping[str, str]) -> Slice | None:
    """gravscope.slice as the manager has it; None where it does not say."""
    argv = commands.systemctl_show(commands.SLICE, ["FragmentPath", "MemoryHigh", "MemoryMax"])
    asked = host.call(argv, reach, PATIENCE)
    said = commands.parse_properties(asked.out)
    if asked.complaint is not None or not said:
        return None
    return Slice(said.pop("FragmentPath", "") or None, said)


def systemd_version(environ: Mapping[str, str]) -> str | None:
    """The version as its packagers write it, such as 252.38-1~deb12u1: the release alone hides the patch level."""
    asked = host.call(["systemctl", "--version"], environ, PATIENCE)
    match = re.match(r"systemd (\S+)(?: \(([^)]+)\))?", asked.out)
    return (match[2] or match[1]) if match else None


def read_linger(user: str, environ: Mapping[str, str]) -> Linger:
    """logind's word, or where it does not know the user, the file by which it remembers."""
    if Path("/var/lib/systemd/linger", user).exists():
        return Linger(True)
    asked = host.call(["loginctl", "show-user", "--property=Linger", "--", user], environ, PATIENCE)
    said = commands.parse_properties(asked.out).get("Linger")
    if said is not None:
        return Linger(said == "yes")
    if "not logged in or lingering" in asked.err:
        return Linger(False)
    return Linger(None, asked.complaint or "logind says nothing")


def read_journal(trial: Trial, reach: Mapping[str, str]) -> Journal:
    """Reads what the manager has just said of the trial scope; without one, any line of this user's."""
    if not Path("/run/systemd/journal/socket").is_socket():
        return Journal(there=False, readable=False)
    wanted = [f"--user-unit={trial.unit}"] if trial.unit else []
    argv = ["journalctl", "--user", "--quiet", "--lines=1", "--output=cat", *wanted]
    deadline = time.monotonic() + JOURNAL_WITHIN
    while True:
        asked = host.call(argv, reach, PATIENCE)
        if asked.status == 0 and asked.out.strip():
            return Journal(there=True, readable=True)
        if not wanted or asked.status != 0 or time.monotonic() > deadline:
            return Journal(there=True, readable=False, trouble=asked.complaint)
        time.sleep(0.1)


# the machine


def cgroup_mode() -> tuple[CgroupMode, bool]:
    """Which hierarchies of cgroups there are, and whether the v2 one is mounted read-only, as in most containers."""
    kinds: dict[str, str] = {}
    for line in (proc.read_text("/proc/self/mountinfo") or "").splitlines():
        before, _, after = line.partition(" - ")
        kind = after.partition(" ")[0]
        if kind in ("cgroup", "cgroup2"):
            kinds[kind] = before.split()[5]
    read_only = "ro" in kinds.get("cgroup2", "").split(",")
    if "cgroup2" in kinds:
        return ("hybrid" if "cgroup" in kinds else "unified"), read_only
    return ("v1" if kinds else "none"), False


def read_swap() -> tuple[int, bool]:
    """Bytes of swap, and whether all of it is zram, which lies in the very memory that it is to relieve."""
    rows = [line.split() for line in (proc.read_text("/proc/swaps") or "").splitlines()[1:]]
    sizes = {row[0]: int(row[2]) * 1024 for row in rows if len(row) > 2 and row[2].isdigit()}
    return sum(sizes.values()), bool(sizes) and all(name.startswith("/dev/zram") for name in sizes)


def running_killers(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Programs that run and kill when memory is short; processes of others may be hidden, so systemd is asked too."""
    names = {(proc.read_text(f"/proc/{pid}/comm") or "").strip() for pid in os.listdir("/proc") if pid.isdigit()}  # noqa: PTH208
    found = []
    for killer in KILLERS:
        argv = ["systemctl", "is-active", "--quiet", f"{killer}.service"]
        if killer in names or host.call(argv, environ, PATIENCE).status == 0:
            found.append(killer)
    return tuple(found)


def read_clock(environ: Mapping[str, str]) -> Clock:
    """timesyncd's own mark where it is, else what timedated says of the kernel's clock."""
    synchronised: bool | None = None
    if Path("/run/systemd/timesync/synchronized").exists():
        synchronised = True
    else:
        asked = host.call(["timedatectl", "show", "--property=NTPSynchronized"], environ, PATIENCE)
        said = commands.parse_properties(asked.out).get("NTPSynchronized")
        synchronised = None if said is None else said == "yes"
    now = time.time()
    return Clock(
        now=now,
        booted=now - time.clock_gettime(time.CLOCK_BOOTTIME),
        installed=Path(gravscope.__file__).stat().st_mtime,
        synchronised=synchronised,
    )
