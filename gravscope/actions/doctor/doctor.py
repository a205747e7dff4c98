"""`gravscope doctor`: finds out by doing what this machine can do for jobs, and says what to type where it cannot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from gravscope.actions.doctor import lines, machine
from gravscope.actions.doctor.facts import Facts
from gravscope.actions.doctor.lines import Check, scope_works
from gravscope.actions.doctor.probes import gather
from gravscope.settings.project import Project

# What a scope needs, in the order in which one thing needs the other: the first that is missing is the cause.
CHAIN = ("systemd", "runtime-dir", "bus", "manager", "scope")
# what is not to be had, or not known, without it
AFTER = ("controllers", "io-cpuset", "limits", "oom", "slice")
# and without systemd as the machine's first process
AFTER_SYSTEMD = ("linger", "journal")


@dataclass(frozen=True)
class Diagnosis:
    """Whether `--launcher scope` works here, and every line."""

    scope_works: bool
    checks: list[Check]


def doctor(project: Project, environ: Mapping[str, str], program: str, *, oom: bool = False) -> Diagnosis:
    """`program` is how this gravscope is to be typed; `oom` also has a process exceed its limit."""
    return judge(gather(project, environ, program, oom=oom))


def judge(facts: Facts) -> Diagnosis:
    """What the facts amount to, in the order in which one thing needs the other."""
    checks = [
        lines.python(facts),
        lines.systemd(facts),
        lines.runtime_dir(facts),
        lines.bus(facts),
        lines.manager(facts),
        lines.cgroups(facts),
        lines.controllers(facts),
        lines.more_controllers(facts),
        lines.scope(facts),
        lines.limits(facts),
        *lines.oom(facts),
        lines.slice_(facts),
        lines.session(facts),
        *machine.path(facts),
        machine.linger(facts),
        machine.journal(facts),
        machine.swap(facts),
        machine.pressure(facts),
        machine.killers(facts),
        machine.folder("jobs-dir", facts.jobs_dir, facts.uid),
        machine.room("jobs-room", facts.jobs_dir),
        machine.folder("log-dir", facts.log_dir, facts.uid),
        machine.room("log-room", facts.log_dir),
        machine.clock(facts),
        machine.pystemd(facts),
    ]
    checks = _with_cause(facts, checks)
    if facts.uid == 0:  # who needs nobody's leave
        checks = [replace(check, type=check.type and check.type.replace("sudo ", "")) for check in checks]
    return Diagnosis(scope_works(facts), checks)


def _with_cause(facts: Facts, checks: list[Check]) -> list[Check]:
    """`checks`, in which everything that fails for one cause names that, and the cause alone counts as a failure."""
    cause = None if scope_works(facts) else _cause(facts, checks)
    if cause is None:
        return checks
    after = (*CHAIN[1:], *AFTER, *(AFTER_SYSTEMD if cause == "systemd" else ()))
    found = []
    for check in checks:
        if check.name == cause:
            found.append(replace(check, status="fail"))
        else:
            follows = check.name in after and check.status != "ok"
            found.append(replace(check, because=cause) if follows else check)
    return found


def _cause(facts: Facts, checks: list[Check]) -> str | None:
    """The first thing that is missing for a scope. A manager may run without systemd as the first process."""
    status = {check.name: check.status for check in checks}
    if (facts.systemd is None or not facts.booted) and not facts.manager.has_bus:
        return "systemd"
    if not facts.manager.installed:
        return "manager"
    return next((name for name in CHAIN if status.get(name) == "fail"), None)
