"""The command lines of the tools that gravscope calls, and the parsers of what they print.

Pure functions, an option and its value on one line; `gravscope.host.call` runs them. Sources: systemd-run(1),
systemctl(1), journalctl(1), setsid(1), nohup(1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gravscope.model import Limits
from gravscope.quantity import Size

SLICE = "gravscope.slice"
# The supervisor ends a stopped job itself after the grace period and writes the record; systemd's own SIGKILL, which
# would take the supervisor too, is the backstop behind it.
STOP_MARGIN = 5.0


def unit_name(job_id: str) -> str:
    """The scope of a job. Job ids hold only characters that unit names may (systemd.unit(5))."""
    return f"gravscope-{job_id}.scope"


def systemd_run_scope(unit: str, properties: Mapping[str, str], description: str) -> list[str]:
    """Prefix that runs what follows it in a transient scope of the user's manager.

    The words after it reach the command untouched: scopes expand no variables unless told to (systemd-run(1),
    --expand-environment).
    """
    argv = ["systemd-run", "--user", "--scope", "--quiet", "--collect"]
    argv += [f"--unit={unit}"]
    argv += [f"--slice={SLICE}"]
    argv += [f"--description={description}"]
    for name, value in properties.items():
        argv += ["-p", f"{name}={value}"]
    return [*argv, "--"]


def scope_properties(limits: Limits, grace: float) -> dict[str, str]:
    """What every job's scope has: its limits, sub-cgroups of our own making, time to end (systemd.scope(5))."""
    return {
        **limit_properties(limits),
        # sub-cgroups for the supervisor and the job are ours to make
        "Delegate": "yes",
        "TimeoutStopSec": f"{_plain(grace + STOP_MARGIN)}s",
    }


def unit_limits(limits: Limits) -> dict[str, Size]:
    """The limits that are set, under systemd's names for them (systemd.resource-control(5)); CPUQuota is apart."""
    asked = {
        "MemoryHigh": limits.mem_high,
        "MemoryMax": limits.mem_max,
        "MemorySwapMax": limits.swap_max,
        "TasksMax": limits.tasks_max,
        "CPUWeight": limits.cpu_weight,
        "IOWeight": limits.io_weight,
    }
    return {name: value for name, value in asked.items() if value is not None}


def limit_properties(limits: Limits) -> dict[str, str]:
    """systemd's names and spellings for `limits`."""
    found = {name: str(value) for name, value in unit_limits(limits).items()}
    if limits.cpu_quota is not None:
        found["CPUQuota"] = f"{_plain(limits.cpu_quota)}%"
    return found


def systemctl_set_property(unit: str, properties: Mapping[str, str]) -> list[str]:
    """Changes properties of a live unit, until it ends."""
    return [
        "systemctl",
        "--user",
        "set-property",
        "--runtime",
        "--",
        unit,
        *(f"{k}={v}" for k, v in properties.items()),
    ]


def _plain(number: float) -> str:
    """`number` without an exponent, of which systemd knows none; two decimals are all that CPUQuota takes."""
    return f"{number:.2f}".rstrip("0").rstrip(".")


def setsid_nohup() -> list[str]:
    """Prefix that runs what follows it in a session of its own, deaf to SIGHUP, and returns at once."""
    return ["setsid", "--fork", "nohup"]


def systemctl_stop(unit: str) -> list[str]:
    """Ends every process of `unit`: SIGTERM, then SIGKILL after its TimeoutStopSec. Returns when that is done."""
    return ["systemctl", "--user", "stop", "--", unit]


def systemctl_own_cgroup() -> list[str]:
    """Prints the cgroup of the user manager itself, as a path below the mount point."""
    return ["systemctl", "--user", "show", "--property=ControlGroup", "--value"]


def systemctl_thaw(unit: str) -> list[str]:
    """Lets a frozen unit go on."""
    return ["systemctl", "--user", "thaw", "--", unit]


def systemctl_reset_failed(unit: str) -> list[str]:
    """Makes the manager forget a unit that failed, so that its name is free again."""
    return ["systemctl", "--user", "reset-failed", "--", unit]


def systemctl_show(unit: str, properties: Sequence[str]) -> list[str]:
    """Prints the named properties of `unit`, for `parse_properties`."""
    return ["systemctl", "--user", "show", f"--property={','.join(properties)}", "--", unit]


def parse_properties(text: str) -> dict[str, str]:
    """`Name=value` lines of `systemctl show`; a value may hold further equals signs."""
    return {name: value for name, equals, value in (line.partition("=") for line in text.splitlines()) if equals}


def journalctl(unit: str, lines: int | None, follow: bool) -> list[str]:
    """Shows the user journal of `unit`. `--user-unit` also finds lines logged on its behalf by others."""
    argv = ["journalctl", "--user", f"--user-unit={unit}"]
    if lines is not None:
        argv += [f"--lines={lines}"]
    if follow:
        argv += ["--follow"]
    return argv
