"""`gravscope doctor`: finds out by doing what this machine can do for jobs, and says what to type where it cannot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gravscope.actions.doctor import lines, machine
from gravscope.actions.doctor.facts import Facts
from gravscope.actions.doctor.lines import Check, scope_works
from gravscope.actions.doctor.probes import gather
from gravscope.settings.project import Project


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
    return Diagnosis(scope_works(facts), checks)
