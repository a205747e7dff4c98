"""The command lines of the tools that gravscope calls, and parsers of their output.

Pure functions; each option is on a line with its value. `gravscope.systemd.host.call` runs the command lines. Sources:
systemd-run(1), systemctl(1), journalctl(1), setsid(1), nohup(1).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from gravscope.base.quantity import Size
from gravscope.records.ids import name_of
from gravscope.records.spec import Limits

SLICE = "gravscope.slice"
# Seconds after the grace period. When a job is stopped, the supervisor kills it after the grace period and writes the
# record. systemd's own SIGKILL, which also kills the supervisor, comes so much later, in case the supervisor fails.
STOP_MARGIN = 5.0
# characters of a unit's name that a job's may take
_MOST_OF_A_NAME = 255 - len("gravscope-_YYYYmmdd_HHMMSS_99999-01234567.scope")
# the first version of systemd with --expand-environment
EXPANDS_SINCE = 254


def unit_name(job_id: str, suffix: str = "") -> str:
    """The scope of a job, whose name ends in `suffix`: the id, which in ASCII holds only what unit names may.

    Bytes of other scripts are written \\xe3 as systemd-escape(1) does. What is then too long for a unit (255 bytes, see
    systemd.unit(5)) is cut in the name, and has a checksum of the whole name in place of what is missing.
    """
    if job_id.isascii():
        return f"gravscope-{job_id}{suffix}.scope"
    name, stamp = name_of(job_id), job_id[len(name_of(job_id)) :]
    parts = [each if each.isascii() else _escaped(each) for each in name]
    if len("".join(parts)) > _MOST_OF_A_NAME:
        from zlib import crc32  # noqa: PLC0415 (few names are so long)

        while len("".join(parts)) > _MOST_OF_A_NAME - len("-01234567"):
            parts.pop()
        parts.append(f"-{crc32(name.encode()):08x}")
    return f"gravscope-{''.join(parts)}{stamp}{suffix}.scope"


def _escaped(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in character.encode())


def systemd_run_scope(unit: str, properties: Mapping[str, str], description: str) -> list[str]:
    """A prefix that runs the command after it in a transient scope of the user's manager.

    If a word of the command contains a $, `without_expansion` is needed as well.
    """
    argv = ["systemd-run", "--user", "--scope", "--quiet", "--collect"]
    argv += [f"--unit={unit}"]
    argv += [f"--slice={SLICE}"]
    argv += [f"--description={description}"]
    for name, value in properties.items():
        argv += ["-p", f"{name}={value}"]
    return [*argv, "--"]


def without_expansion(prefix: Sequence[str]) -> list[str]:
    """`prefix`, from systemd_run_scope, changed so that $VAR and ${VAR} reach the command unchanged (systemd-run(1)).

    systemd before version EXPANDS_SINCE does not have the option and does not expand anything in a scope; later
    versions may (systemd issue 28460).
    """
    at = prefix.index("--scope") + 1
    return [*prefix[:at], "--expand-environment=no", *prefix[at:]]


def systemd_run_version() -> list[str]:
    """Prints systemd's version, for `parse_version`."""
    return ["systemd-run", "--version"]


def parse_version(text: str) -> int | None:
    """The version in `systemd 252 (252.39-1~deb12u2)`; a point or a tilde may follow the number."""
    found = re.match(r"systemd ([0-9]{1,6})\b", text)
    return int(found[1]) if found else None


def scope_properties(limits: Limits, grace: float) -> dict[str, str]:
    """The properties of a job's scope: its limits, delegation, and the stop timeout (systemd.scope(5))."""
    return {
        **limit_properties(limits),
        # so that we may make sub-cgroups for the supervisor and the job
        "Delegate": "yes",
        "TimeoutStopSec": f"{_decimal(grace + STOP_MARGIN)}s",
    }


def unit_limits(limits: Limits) -> dict[str, Size]:
    """The limits that are set, by systemd's names (systemd.resource-control(5)), except CPUQuota."""
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
    """`limits` as systemd's properties, with values as systemd writes them."""
    found = {name: str(value) for name, value in unit_limits(limits).items()}
    if limits.cpu_quota is not None:
        found["CPUQuota"] = f"{_decimal(limits.cpu_quota)}%"
    return found


def systemctl_set_property(unit: str, properties: Mapping[str, str]) -> list[str]:
    """Changes properties of a running unit until it ends."""
    return [
        "systemctl",
        "--user",
        "set-property",
        "--runtime",
        "--",
        unit,
        *(f"{k}={v}" for k, v in properties.items()),
    ]


def _decimal(number: float) -> str:
    """`number` without an exponent, which systemd does not read, and with at most two decimals, as CPUQuota allows."""
    return f"{number:.2f}".rstrip("0").rstrip(".")


def setsid() -> list[str]:
    """A prefix that runs the command after it in a new session, not as our child, and returns at once."""
    return ["setsid", "--fork"]


def setsid_nohup() -> list[str]:
    """The same, and the command ignores SIGHUP."""
    return [*setsid(), "nohup"]


def systemctl_stop(unit: str) -> list[str]:
    """Stops `unit`: SIGTERM to all its processes, then SIGKILL after TimeoutStopSec. Returns when it has stopped."""
    return ["systemctl", "--user", "stop", "--", unit]


def systemctl_begin_stop(unit: str) -> list[str]:
    """The same, but returns as soon as the manager has queued the stop job."""
    return ["systemctl", "--user", "stop", "--no-block", "--", unit]


def systemctl_own_cgroup() -> list[str]:
    """Prints the user manager's own cgroup, as a path below the mount point."""
    return ["systemctl", "--user", "show", "--property=ControlGroup", "--value"]


def systemctl_thaw(unit: str) -> list[str]:
    """Thaws a frozen unit."""
    return ["systemctl", "--user", "thaw", "--", unit]


def systemctl_reset_failed(unit: str) -> list[str]:
    """Makes the manager unload a failed unit, so that its name can be used again."""
    return ["systemctl", "--user", "reset-failed", "--", unit]


def systemctl_show(unit: str, properties: Sequence[str]) -> list[str]:
    """Prints these properties of `unit`, for `parse_properties`."""
    return ["systemctl", "--user", "show", f"--property={','.join(properties)}", "--", unit]


def parse_properties(text: str) -> dict[str, str]:
    """The `Name=value` lines of `systemctl show`; a value may contain more equals signs."""
    return {name: value for name, equals, value in (line.partition("=") for line in text.splitlines()) if equals}


# message ids of the manager's journal entries about the end of a unit (systemd's sd-messages.h)
_END_MESSAGES = {
    "fe6faa94e7774663a0da52717891d8ef": "out of memory",  # the kernel killed a process of it
    "d989611b15e44c9dbf31e3c81256e4ed": "oomd",  # systemd-oomd killed all of it
    "d9b373ed55a64feb8242e02dbe79a49c": "",  # it ended, with the result in the entry
}


def journalctl_unit_end(unit: str, uid: int, boot_id: str | None) -> list[str]:
    """Prints the entries of the user's manager about the end of `unit` in that boot, for `parse_unit_end`."""
    argv = ["journalctl", "--quiet", "--no-pager", "--output=json", "--output-fields=MESSAGE_ID,UNIT_RESULT"]
    argv += [f"USER_UNIT={unit}", f"_UID={uid}"]
    if boot_id:
        argv += [f"_BOOT_ID={boot_id.replace('-', '')}"]
    return argv + [f"MESSAGE_ID={message}" for message in _END_MESSAGES]


def parse_unit_end(text: str) -> set[str]:
    """What `journalctl_unit_end` prints: `out of memory`, `oomd`, and results of the unit, such as `oom-kill`."""
    import json  # noqa: PLC0415

    found: set[str] = set()
    for line in text.splitlines():
        try:
            message = json.loads(line)
        except ValueError:
            continue
        if isinstance(message, dict):
            found.add(_END_MESSAGES.get(str(message.get("MESSAGE_ID")), "") or str(message.get("UNIT_RESULT")))
    return found


def journalctl(unit: str, lines: int | None, follow: bool) -> list[str]:
    """Shows the journal of the user unit `unit`. `--user-unit` also finds entries that others wrote about the unit."""
    argv = ["journalctl", "--user", f"--user-unit={unit}"]
    if lines is not None:
        argv += [f"--lines={lines}"]
    if follow:
        argv += ["--follow"]
    return argv
