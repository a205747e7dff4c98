"""From facts to the lines of `gravscope doctor` that are about the machine around the jobs: pure functions."""

from __future__ import annotations

import shlex
from datetime import datetime

from gravscope.actions.doctor.facts import MIB, Facts, Folder
from gravscope.actions.doctor.folders import web_root, writable_by_others
from gravscope.actions.doctor.lines import Check, Status, said
from gravscope.base.quantity import format_size

ROOM_WANTED, ROOM_NEEDED = 1024 * MIB, MIB
NAMES_WANTED = 1000
DAY = 86400.0
# what overrides every other setting of a folder, and where nobody else looks
ELSEWHERE = {
    "jobs-dir": "GRAVSCOPE_JOBS_DIR=~/.local/state/gravscope/jobs",
    "log-dir": "GRAVSCOPE_LOG_DIR=~/.local/state/gravscope/logs",
}
# 2020-01-01: a machine without a clock of its own starts in 1970, or when its firmware was made
EARLIEST_BOOT = 1577836800.0


def linger(facts: Facts) -> Check:
    """Whether jobs go on after the last logout."""
    if facts.linger.on is None:
        return Check("linger", "warn", f"not known, logind does not say: {said(facts.linger.trouble or 'nothing')}")
    if facts.linger.on:
        return Check("linger", "ok", "on: jobs go on after the last logout")
    found = "off: the user manager, and every scope in it, ends some seconds after the last logout"
    return Check("linger", "warn", found, "loginctl enable-linger")


def journal(facts: Facts) -> Check:
    """Whether `gravscope logs --journal` has anything to show."""
    if not facts.journal.there:
        return Check("journal", "warn", "there is no journald; the log files have everything")
    if facts.journal.readable:
        return Check("journal", "ok", "the lines of your own units can be read")
    why = f": {said(facts.journal.trouble)}" if facts.journal.trouble else ""
    member = f"sudo usermod -aG systemd-journal {shlex.quote(facts.user)}; then log in anew"
    return Check("journal", "warn", f"the lines of your own units cannot be read{why}", member)


def swap(facts: Facts) -> Check:
    """Where pages go that a job over --mem-high must give up."""
    script = shlex.quote(facts.swap_script or "scripts/swap_extend.sh")
    make = f"sudo bash {script} -s 8G"
    if facts.swap == 0:
        return Check("swap", "warn", "none: over --mem-high a job crawls, and may never reach --mem-max", make)
    if facts.swap_is_zram:
        return Check("swap", "warn", f"{format_size(facts.swap)}, all of it in memory itself (zram)", make)
    return Check("swap", "ok", format_size(facts.swap))


def pressure(facts: Facts) -> Check:
    """PSI, by which systemd-oomd and `systemctl status` tell how short memory is."""
    if facts.pressure:
        return Check("psi", "ok", "/proc/pressure is there")
    return Check("psi", "warn", "no /proc/pressure, by which stalls are told; the kernel's option psi=1 may bring it")


def killers(facts: Facts) -> Check:
    """Programs that may kill a job before the kernel does."""
    if not facts.killers:
        return Check("oomd", "ok", "neither systemd-oomd nor earlyoom is active: the kernel alone kills")
    verb = "is" if len(facts.killers) == 1 else "are"
    return Check("oomd", "ok", f"{' and '.join(facts.killers)} {verb} active, and may kill jobs before the kernel does")


def folder(name: str, found: Folder, uid: int) -> Check:
    """Who may do what with a folder of ours: the first thing that is wrong with it."""
    path, look = str(found.path), f"ls -ld {shlex.quote(str(found.nearest))}"
    missing, there = found.kind == "missing", found.kind == "folder"
    another = f"export {ELSEWHERE[name]}"
    take = f'sudo chown -R "$(id -un)" {shlex.quote(path)}' if found.owner == 0 else another
    wrong: list[tuple[bool, Status, str, str | None]] = [
        (found.link_owner not in (None, 0, uid), "fail", f"is a symbolic link of uid {found.link_owner}'s", another),
        (missing and found.link_owner is not None, "fail", "is a symbolic link to nowhere", look),
        (missing and not found.can_write, "fail", f"is not there, and {found.nearest} cannot be written to", look),
        (found.kind == "other", "fail", "is not a folder", look),
        (found.kind == "out of reach", "fail", "is out of reach", look),
        (there and found.owner != uid, "fail", f"belongs to uid {found.owner}", take),
        (there and not found.can_write, "fail", "cannot be written to", f"chmod u+rwx {shlex.quote(path)}"),
        (writable_by_others(found), "warn", "can be written to by others", f"chmod go-w {shlex.quote(path)}"),
        (
            found.open_above is not None,
            "warn",
            f"can be replaced by anybody who can write to {found.open_above}",
            another,
        ),
        (
            web_root(found) is not None,
            "warn",
            f"is below {web_root(found)}/: a web server may show it{_to_whom(found)}",
            another,
        ),
    ]
    for is_so, status, what, type_ in wrong:
        if is_so:
            return Check(name, status, f"{path} {what}", type_)
    return Check(name, "ok", f"{path}, made when needed" if missing else path)


def _to_whom(found: Folder) -> str:
    """What keeps a web server from it: each file is its owner's alone, and so may the folder be."""
    if found.kind == "folder" and found.mode & 0o077:
        return ", though only one that runs as you can read the files (0600)"
    return ", though only one that runs as you can enter it (0700)"


def path(facts: Facts) -> list[Check]:
    """PATH, by which systemctl and the like are found; no line where nobody else can put one there."""
    if not facts.unsafe_path:
        return []
    named = " and ".join(part or "an empty part" for part in facts.unsafe_path)
    why = f"PATH has {named}: a systemctl that somebody puts there would be run"
    safe = ":".join(part for part in facts.path.split(":") if part not in facts.unsafe_path)
    return [Check("path", "warn", why, f"export PATH={shlex.quote(safe)}")]


def room(name: str, found: Folder) -> Check:
    """How much may still be written there."""
    look = f"df -h {shlex.quote(str(found.nearest))}"
    if found.free is None:
        return Check(name, "warn", "not known", look)
    text = f"{format_size(found.free)} free"
    if found.free < ROOM_NEEDED or found.free_names == 0:
        return Check(name, "fail", f"{text}: the disk is full", look)
    if found.free < ROOM_WANTED:
        return Check(name, "warn", f"{text}: soon full", look)
    if found.free_names is not None and found.free_names < NAMES_WANTED:
        return Check(name, "warn", f"{text}, but only for {found.free_names} more files", f"df -i {look[6:]}")
    return Check(name, "ok", text)


def clock(facts: Facts) -> Check:
    """Whether times in ids and records can be believed."""
    found = facts.clock
    if found.now < found.installed - DAY:
        why = f"it says {_day(found.now)}, before gravscope was installed"
        return Check("clock", "warn", why, "sudo timedatectl set-ntp true")
    if found.booted < EARLIEST_BOOT:
        return Check("clock", "warn", f"by it, the boot was on {_day(found.booted)}", "timedatectl status")
    if found.synchronised is None:
        return Check("clock", "ok", "sane; whether it is synchronised cannot be told here")
    if found.synchronised:
        return Check("clock", "ok", "synchronised")
    return Check("clock", "warn", "not synchronised: times in records may be wrong", "sudo timedatectl set-ntp true")


def _day(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds).astimezone():%Y-%m-%d}"


def pystemd(facts: Facts) -> Check:
    """The one optional package."""
    if facts.pystemd is not None:
        return Check("pystemd", "ok", facts.pystemd)
    return Check("pystemd", "ok", "not installed, and not needed: systemctl does the same, some milliseconds slower")
