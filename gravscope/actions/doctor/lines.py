"""From facts to the lines of `gravscope doctor`: pure functions, one a line. The rest, about the machine around, is
in `doctor_machine`.

ok: as it should be. warn: jobs run, but something that protects them or the machine is missing. fail: what the line
is about does not work at all.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gravscope.actions.doctor.facts import ASKED, OOM_MAX, Facts, Held
from gravscope.base.quantity import format_size
from gravscope.linux import cgroup
from gravscope.systemd import commands

Status = Literal["ok", "warn", "fail"]
NEEDED = ("memory", "pids", "cpu")
MORE = ("io", "cpuset")
SIGKILL_STATUS = 137
DROPIN = "sudo {} units install --system-dropin"


@dataclass(frozen=True)
class Check:
    """One line: how it stands, a short name, what was found, and what to type, if anything helps. `because` is the name
    of another check, of whose failure this one is a mere consequence."""

    name: str
    status: Status
    found: str
    type: str | None = None
    because: str | None = None


def python(facts: Facts) -> Check:
    """The interpreter; an older one than the package asks for does not get here."""
    return Check("python", "ok", facts.python)


def systemd(facts: Facts) -> Check:
    """The version, and the faults that it is known for."""
    if facts.systemd is None:
        return Check("systemd", "warn", "systemctl is not installed", "sudo apt-get install systemd dbus-user-session")
    fault = known_fault(facts.systemd)
    if not facts.booted:
        return Check(
            "systemd", "warn", f"{facts.systemd} is installed, but the first process is another (a container?)"
        )
    if fault is None:
        return Check("systemd", "ok", facts.systemd)
    return Check("systemd", "warn", f"{facts.systemd}: {fault}", "sudo apt-get install --only-upgrade systemd")


def known_fault(version: str) -> str | None:
    """What is known to be broken in a version of systemd, with the issue to read about it."""
    match = re.match(r"(\d+)(?:\.(\d+))?", version)
    number = (int(match[1]), int(match[2] or 0)) if match else (0, 0)
    if number == (249, 6):
        return "it cannot start scopes for users (systemd issue 21297)"
    if (255, 0) <= number < (256, 3):
        return "it may end lingering users' jobs at the last logout (systemd issue 43361, mended in 256.3)"
    return None


def runtime_dir(facts: Facts) -> Check:
    """XDG_RUNTIME_DIR: given, or derived; and whose it is."""
    found = facts.manager
    linger = f"sudo loginctl enable-linger {shlex.quote(facts.user)}" if facts.booted else None
    if found.owner is None:
        return Check("runtime-dir", "fail", f"{found.folder} is not there", linger)
    if found.owner != facts.uid:
        return Check("runtime-dir", "fail", f"{found.folder} belongs to uid {found.owner}", linger)
    if found.given == found.folder:
        return Check("runtime-dir", "ok", found.folder)
    why = "is unset" if found.given is None else f"is {found.given}, which is not yours"
    return Check("runtime-dir", "ok", f"XDG_RUNTIME_DIR {why}: {found.folder} is taken")


def bus(facts: Facts) -> Check:
    """The user bus, by which the manager is told what to do."""
    found = facts.manager
    if found.has_bus:
        return Check("bus", "ok", f"{found.folder}/bus" + ("" if found.address_given else ", its address derived"))
    if found.address_given and found.trouble is None:
        return Check("bus", "ok", "at the address that DBUS_SESSION_BUS_ADDRESS gives")
    install = "sudo apt-get install dbus-user-session; then log in anew" if facts.booted else None
    return Check("bus", "fail", f"there is no bus at {found.folder}/bus", install)


def manager(facts: Facts) -> Check:
    """Whether the user manager answers."""
    found = facts.manager
    if not found.installed:
        return Check("manager", "fail", "systemd-run is not installed", "sudo apt-get install systemd")
    if found.trouble is not None:
        look = f"systemctl status user@{facts.uid}.service" if facts.booted else None
        ours = found.trouble.startswith("no user manager")
        return Check(
            "manager", "fail", found.trouble if ours else f"no user manager answers: {said(found.trouble)}", look
        )
    if found.state in ("running", "degraded"):
        # degraded: some unit of the user's failed, which is none of ours
        return Check("manager", "ok", f"systemd --user answers, and is {found.state}")
    return Check("manager", "warn", f"systemd --user is {found.state}", "systemctl --user list-jobs")


def said(complaint: str) -> str:
    """What a tool complained of, without the number that says nothing beside it."""
    return re.sub(r"^exit status \d+: ", "", complaint)


def cgroups(facts: Facts) -> Check:
    """The version of cgroups: limits of a user's scopes are held only by the unified v2 hierarchy."""
    boot = "; the kernel's option systemd.unified_cgroup_hierarchy=1 brings v2"
    if facts.cgroup == "unified":
        if facts.cgroup_read_only:
            return Check("cgroup", "warn", "v2, mounted read-only, as in a container: it holds no limits")
        return Check("cgroup", "ok", "v2, unified")
    words = {
        "hybrid": "hybrid: v1 has the controllers, and users get none of those",
        "v1": "v1: users get no controllers",
        "none": "no cgroups are mounted",
    }
    return Check("cgroup", "warn", words[facts.cgroup] + (boot if facts.cgroup != "none" and facts.booted else ""))


def controllers(facts: Facts) -> Check:
    """What holds memory, tasks and CPU, if it is handed down to the user manager."""
    return _delegated("controllers", NEEDED, facts)


def more_controllers(facts: Facts) -> Check:
    """io and cpuset, which systemd does not hand down by itself."""
    return _delegated("io-cpuset", MORE, facts)


def _delegated(name: str, wanted: Sequence[str], facts: Facts) -> Check:
    if facts.controllers is None:
        return Check(name, "warn", "not known without a user manager that answers")
    missing = [controller for controller in wanted if controller not in facts.controllers]
    if not missing:
        return Check(name, "ok", f"{', '.join(wanted)} are handed down to the user manager")
    # where v1 has them, systemd cannot hand them down, whatever is typed
    helps = facts.cgroup == "unified" and not facts.cgroup_read_only
    return Check(
        name,
        "warn",
        f"{', '.join(missing)} not handed down to the user manager",
        DROPIN.format(facts.program) if helps else None,
    )


def scope(facts: Facts) -> Check:
    """Whether a scope could really be started."""
    if facts.manager.trouble is not None:
        return Check("scope", "fail", "not to be had without a user manager; jobs run in sessions")
    if facts.trial.trouble is not None:
        return Check("scope", "fail", f"could not be started: {facts.trial.trouble}", "journalctl --user -n 20")
    return Check("scope", "ok", f"one was started in {commands.SLICE}, and ended")


def limits(facts: Facts) -> Check:
    """Which of the limits that the scope was given its cgroup really holds."""
    if facts.trial.trouble is not None:
        return Check("limits", "warn", "the kernel holds none without a scope: gravscope watches memory")
    asked: list[tuple[str, str, Held]] = [
        ("MemoryHigh", "mem_high", ASKED.mem_high),
        ("MemoryMax", "mem_max", ASKED.mem_max),
        ("TasksMax", "tasks_max", ASKED.tasks_max),
        ("CPUQuota", "cpu_quota", ASKED.cpu_quota),
    ]
    held = [title for title, name, wanted in asked if facts.trial.held.get(name) == wanted]
    lost = [title for title, _, _ in asked if title not in held]
    if not lost:
        return Check("limits", "ok", f"the kernel holds {', '.join(held)}: read back from the scope's cgroup")
    watch = ", gravscope watches memory instead" if "MemoryMax" in lost else ""
    rest = f"; it holds {', '.join(held)}" if held else ""
    return Check("limits", "warn", f"the kernel does not hold {', '.join(lost)}{watch}{rest}")


def oom(facts: Facts) -> list[Check]:
    """What became of the process that was to exceed its limit; no line where none was asked for."""
    trial = facts.oom
    if trial is None:
        return []
    if trial.trouble is not None:
        return [Check("oom", "warn", f"not tried, or not seen: {trial.trouble}")]
    kept = format_size(OOM_MAX)
    if trial.status == SIGKILL_STATUS and trial.kills:
        return [Check("oom", "ok", f"the kernel killed a process that exceeded {kept}, and counted it")]
    return [
        Check(
            "oom",
            "fail",
            f"a process that exceeded {kept} ended with exit status {trial.status}, {trial.kills or 0} kills counted",
        )
    ]


def slice_(facts: Facts) -> Check:
    """The limit of all jobs together."""
    install = f"{facts.program} units install"
    if facts.slice is None:
        return Check("slice", "warn", f"{commands.SLICE} not known without a user manager that answers")
    if facts.slice.file is None:
        return Check("slice", "warn", f"{commands.SLICE} is not installed: all jobs together have no limit", install)
    most = facts.slice.limits.get("MemoryMax", cgroup.INFINITY)
    if not most.isdigit():
        return Check("slice", "warn", f"{facts.slice.file} sets no MemoryMax for all jobs together", install)
    if not isinstance(facts.trial.held.get("mem_max"), int):
        return Check("slice", "warn", f"the kernel does not hold the {format_size(int(most))} for all jobs together")
    return Check("slice", "ok", f"all jobs together get at most {format_size(int(most))} ({facts.slice.file})")


def session(facts: Facts) -> Check:
    """The launcher without systemd."""
    if facts.missing_tools:
        names = " and ".join(facts.missing_tools)
        return Check("session", "warn", f"{names} not installed", "sudo apt-get install util-linux coreutils")
    return Check("session", "ok", "setsid and nohup are there, for where no scope is to be had")


def scope_works(facts: Facts) -> bool:
    """True if a job can be had with `--launcher scope`."""
    return facts.trial.trouble is None
