"""`gravscope run --dry-run`: the command line that would start a job."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping

from gravscope.actions.launch.launch import argv_of, first_facts, job_environment
from gravscope.base.immutable import Immutable
from gravscope.base.redact import redact_command, redact_environment
from gravscope.base.stamp import stamp
from gravscope.launchers import scope
from gravscope.launchers.choose import choose
from gravscope.records.spec import JobSpec
from gravscope.settings.project import Project


class Plan(Immutable):
    """What a launch would be: the command line that would start the job, the unit that it would make, and why it is a
    session although a scope was wanted."""

    line: str
    unit: str | None
    fallback_reason: str | None


def dry_run(spec: JobSpec, project: Project, environ: Mapping[str, str]) -> Plan:
    """The line is ready to be pasted into a POSIX shell but for secrets, which are ***."""
    now = time.time()
    job_id = f"{spec.name}_{stamp(now)}"
    choice = choose(spec, job_id, environ)
    launch = scope.verbatim(choice.launches[0], argv_of(spec))
    log = project.log_dir / f"{job_id}.log"
    job = job_environment(spec, first_facts(spec, job_id, now, log), launch.replaced(environ={}))
    tools = {
        name: launch.environ[name]
        for name in ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")
        if launch.environ.get(name) != environ.get(name)
    }
    variables = [f"{name}={value}" for name, value in redact_environment({**tools, **job}).items()]
    words = ["env", *variables, *launch.prefix, *redact_command(argv_of(spec))]
    line = f"cd {shlex.quote(spec.cwd)} && {shlex.join(words)}"
    if not spec.foreground:
        line = f"mkdir -p {shlex.quote(str(log.parent))} && {line} </dev/null >>{shlex.quote(str(log))} 2>&1"
    return Plan(line, launch.unit, choice.fallback_reason)
