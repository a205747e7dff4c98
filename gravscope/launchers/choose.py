"""Which launchers to try, in order, and what counts as a reason to try the next."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from gravscope.base.errors import UnsupportedError
from gravscope.base.immutable import Immutable
from gravscope.launchers import Launch, scope, session
from gravscope.records.spec import JobSpec, Limits
from gravscope.systemd import host

# What systemd-run says when nobody is there to start a scope, as opposed to one who will not: in the former case the
# job can still be had by `session`, in the latter its limits would silently be lost.
_NOBODY_THERE = (
    r"failed to connect to .*bus|connection refused|no such file or directory|host is down"
    r"|has not been booted with systemd|transport endpoint is not connected|did not answer"
)
_TAKEN = r"already (loaded|exists)|was already|has a fragment file"
# what marks a process as part of a job: a job that is started from inside another is not part of that
OF_A_JOB = ("GRAV_BG_JOB", "GRAVSCOPE_JOB_ID", "GRAVSCOPE_NAME", "GRAVSCOPE_UNIT", "GRAVSCOPE_INVOCATION_ID")


class Choice(Immutable):
    """The launchers to try in order; `fallback_reason` is set when `scope` was wanted and cannot even be tried."""

    launches: list[Launch]
    fallback_reason: str | None = None


def choose(spec: JobSpec, job_id: str, environ: Mapping[str, str]) -> Choice:
    """Raises UnsupportedError where the launcher that was demanded is not to be had."""
    environ = {name: value for name, value in environ.items() if name not in OF_A_JOB}
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
    """Raises UnsupportedError for a limit that systemd would take and the kernel never hold. (Memory is none of those:
    the watch can hold it.)"""
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


def nobody_there(complaint: str) -> bool:
    """True if a launcher failed because there is no manager, and not because it refused this job."""
    return re.search(_NOBODY_THERE, complaint, re.IGNORECASE) is not None


def unit_is_taken(complaint: str) -> bool:
    """True if the manager knows a unit of that name already (systemd issues 1351, 27127)."""
    return re.search(_TAKEN, complaint, re.IGNORECASE) is not None
