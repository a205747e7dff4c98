"""A transient scope of the user's service manager: the kernel enforces limits, and all its processes end together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gravscope.launchers import Launch
from gravscope.records.spec import JobSpec
from gravscope.systemd import commands, host


def launch(spec: JobSpec, job_id: str, environ: Mapping[str, str]) -> Launch:
    """The launch in a scope. `environ` must reach the user manager (`host.manager_environment`)."""
    unit = commands.unit_name(job_id)
    properties = commands.scope_properties(spec.limits, spec.grace)
    prefix = commands.systemd_run_scope(unit, properties, description=f"gravscope job {job_id}")
    return Launch("scope", prefix, environ, unit, commands.SLICE)


def verbatim(launch: Launch, words: Sequence[str]) -> Launch:
    """The same launch, changed if needed so that systemd does not expand variables in `words`, which follow the prefix.

    systemd's version is asked for only if a word contains a $.
    """
    if launch.unit is None or not any("$" in word for word in words):
        return launch
    shown = host.call(commands.systemd_run_version(), launch.environ)
    if (commands.parse_version(shown.out) or 0) < commands.EXPANDS_SINCE:
        return launch
    return launch.replaced(prefix=commands.without_expansion(launch.prefix))


def rename(launch: Launch, unit: str) -> Launch:
    """The same launch with another unit name."""
    prefix = [f"--unit={unit}" if word == f"--unit={launch.unit}" else word for word in launch.prefix]
    return launch.replaced(prefix=prefix, unit=unit)
