"""A transient scope of the user's service manager: limits held by the kernel, everything in it ended together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gravscope.launchers import Launch
from gravscope.records.spec import JobSpec
from gravscope.systemd import commands, host


def launch(spec: JobSpec, job_id: str, environ: Mapping[str, str]) -> Launch:
    """`environ` is what reaches the manager (`host.manager_environment`)."""
    unit = commands.unit_name(job_id)
    properties = commands.scope_properties(spec.limits, spec.grace)
    prefix = commands.systemd_run_scope(unit, properties, description=f"gravscope job {job_id}")
    return Launch("scope", prefix, environ, unit, commands.SLICE)


def verbatim(launch: Launch, words: Sequence[str]) -> Launch:
    """The same launch, such that `words` behind its prefix are not expanded by a systemd that would.

    Only words with a $ are worth the question which one it is.
    """
    if launch.unit is None or not any("$" in word for word in words):
        return launch
    shown = host.call(commands.systemd_run_version(), launch.environ)
    if (commands.parse_version(shown.out) or 0) < commands.EXPANDS:
        return launch
    return launch.replaced(prefix=commands.without_expansion(launch.prefix))


def rename(launch: Launch, unit: str) -> Launch:
    """The same launch with another unit name."""
    prefix = [f"--unit={unit}" if word == f"--unit={launch.unit}" else word for word in launch.prefix]
    return launch.replaced(prefix=prefix, unit=unit)
