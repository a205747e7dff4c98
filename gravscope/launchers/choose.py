"""Which launchers to try, in which order, and which failures are a reason to try the next."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from gravscope.base.errors import UnsupportedError
from gravscope.base.immutable import Immutable
from gravscope.launchers import Launch, scope, session
from gravscope.records.spec import JobSpec, Limits
from gravscope.systemd import host

# Messages of systemd-run when there is no manager that could start a scope. Then `session` is tried. When a manager
# refuses the scope, `session` is not tried, because the job's limits would be lost without notice.
_NO_MANAGER = (
    r"failed to connect to .*bus|connection refused|no such file or directory|host is down"
    r"|has not been booted with systemd|transport endpoint is not connected|did not answer"
)
_TAKEN = r"already (loaded|exists)|was already|has a fragment file"
# variables that mark a process as part of a job; they are removed, because a job that is started inside another job is
# not part of it
JOB_VARIABLES = ("GRAV_BG_JOB", "GRAVSCOPE_JOB_ID", "GRAVSCOPE_NAME", "GRAVSCOPE_UNIT", "GRAVSCOPE_INVOCATION_ID")


class Choice(Immutable):
    """The launchers to try, in order. `fallback_reason` says why `scope`, though preferred, is not among them."""

    launches: list[Launch]
    fallback_reason: str | None = None


def choose(spec: JobSpec, job_id: str, environ: Mapping[str, str]) -> Choice:
    """The launchers for this job. Raises UnsupportedError if the launcher that was asked for cannot be used."""
    environ = {name: value for name, value in environ.items() if name not in JOB_VARIABLES}
    if spec.launcher == "session":
        return Choice([session.launch(environ, foreground=spec.foreground)])
    try:
        wanted = scope.launch(spec, job_id, host.manager_environment(environ, os.geteuid()))
    except UnsupportedError as error:
        if spec.launcher == "scope":
            raise
        return Choice([session.launch(environ, foreground=spec.foreground)], error.message)
    refuse_undelegated(spec.limits, wanted.environ)
    if spec.launcher == "scope":
        return Choice([wanted])
    return Choice([wanted, session.launch(environ, foreground=spec.foreground)])


def refuse_undelegated(limits: Limits, environ: Mapping[str, str]) -> None:
    """Raises UnsupportedError for a limit that systemd would accept and the kernel could not enforce.

    (Memory limits are not refused: the supervisor's watch can enforce them.)
    """
    asked = {
        "--cpu-quota": (limits.cpu_quota, "cpu"),
        "--cpu-weight": (limits.cpu_weight, "cpu"),
        "--io-weight": (limits.io_weight, "io"),
        "--tasks-max": (limits.tasks_max, "pids"),
    }
    wanted = {option: controller for option, (limit, controller) in asked.items() if limit is not None}
    delegated = host.delegated_controllers(environ) if wanted else None
    sudo = "sudo " if os.geteuid() != 0 else ""
    for option, controller in wanted.items():
        if delegated is not None and controller not in delegated:
            raise UnsupportedError(
                f"{option}: the {controller} controller is not delegated to your user manager",
                f"type: {sudo}gravscope units install --system-dropin, and log in anew",
            )


def no_manager(complaint: str) -> bool:
    """True if a launcher failed because there is no manager, and not because the manager refused the job."""
    return re.search(_NO_MANAGER, complaint, re.IGNORECASE) is not None


def unit_is_taken(complaint: str) -> bool:
    """True if a launcher failed because the manager already has a unit of that name (systemd issues 1351, 27127)."""
    return re.search(_TAKEN, complaint, re.IGNORECASE) is not None
