"""The command lines of the tools that gravscope calls, and the parsers of what they print.

Pure functions, an option and its value on one line; `gravscope.systemd.host.call` runs them. Sources: systemd-run(1),
systemctl(1), journalctl(1), setsid(1), nohup(1).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from gravscope.base.quantity import Size
from gravscope.records.ids import name_of
from gravscope.records.spec import Limits

SLICE = "gravscope.slice"
# The supervisor ends a stopped job itself after the grace period and writes the record; systemd's own SIGKILL, which
# would take the supervisor too, is the backstop behind it.
STOP_MARGIN = 5.0
# characters of a unit's name that a job's may take
_MOST_OF_A_NAME = 255 - len("gravscope-_YYYYmmdd_HHMMSS_99999-01234567.scope")
# the first systemd that has --expand-environment
EXPANDS = 254


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
    """Prefix that runs what follows it in a transient scope of the user's manager.

    Words after it that hold a $ need `without_expansion` as well.
    """
    argv = ["systemd-run", "--user", "--scope", "--quiet", "--collect"]
    argv += [f"--unit={unit}"]
    argv += [f"--slice={SLICE}"]
    argv += [f"--description={description}"]
    for name, value in properties.items():
        argv += ["-p", f"{name}={value}"]
    return [*argv, "--"]


def without_expansion(prefix: Sequence[str]) -> list[str]:
    """`prefix`, a systemd_run_scope, so that $VAR and ${VAR} reach the command untouched (systemd-run(1)).

    Systemd before EXPANDS does not know the option, and expands nothing in a scope; later ones may (issue 28460).
    """
    at = prefix.index("--scope") + 1
    return [*prefix[:at], "--expand-environment=no", *prefix[at:]]


def systemd_run_version() -> list[str]:
    """Prints systemd's version, for `parse_version`."""
    return ["systemd-run", "--version"]


def parse_version(text: str) -> int | None:
    """The version in `systemd 252 (252.39-1~deb12u2)`, which may have a point or a tilde behind its number."""
    found = re.match(r"systemd ([0-9]{1,6})\b", text)
    return int(found[1]) if found else None


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


def setsid() -> list[str]:
    """Prefix that runs what follows it in a session of its own, as nobody's child, and returns at once."""
    return ["setsid", "--fork"]


def setsid_nohup() -> list[str]:
    """The same, and what follows is deaf to SIGHUP."""
    return [*setsid(), "nohup"]


def systemctl_stop(unit: str) -> list[str]:
    """Ends every process of `unit`: SIGTERM, then SIGKILL after its TimeoutStopSec. Returns when that is done."""
    return ["systemctl", "--user", "stop", "--", unit]


def systemctl_begin_stop(unit: str) -> list[str]:
    """The same, but returns as soon as the manager has taken it on."""
    return ["systemctl", "--user", "stop", "--no-block", "--", unit]


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


# what a manager's messages about a unit are of (systemd's sd-messages.h)
_ENDS = {
    "fe6faa94e7774663a0da52717891d8ef": "out of memory",  # the kernel killed a process of it
    "d989611b15e44c9dbf31e3c81256e4ed": "oomd",  # systemd-oomd killed all of it
    "d9b373ed55a64feb8242e02dbe79a49c": "",  # it ended with the result that stands in the message
}


def journal_of_end(unit: str, uid: int, boot_id: str | None) -> list[str]:
    """Prints what the user's manager has written in that boot of why `unit` ended, for `parse_ends`."""
    argv = ["journalctl", "--quiet", "--no-pager", "--output=json", "--output-fields=MESSAGE_ID,UNIT_RESULT"]
    argv += [f"USER_UNIT={unit}", f"_UID={uid}"]
    if boot_id:
        argv += [f"_BOOT_ID={boot_id.replace('-', '')}"]
    return argv + [f"MESSAGE_ID={message}" for message in _ENDS]


def parse_ends(text: str) -> set[str]:
    """Of `journal_of_end`: `out of memory`, `oomd`, and the unit's results, such as `oom-kill`."""
    import json  # noqa: PLC0415

    found: set[str] = set()
    for line in text.splitlines():
        try:
            message = json.loads(line)
        except ValueError:
            continue
        if isinstance(message, dict):
            found.add(_ENDS.get(str(message.get("MESSAGE_ID")), "") or str(message.get("UNIT_RESULT")))
    return found


def journalctl(unit: str, lines: int | None, follow: bool) -> list[str]:
    """Shows the user journal of `unit`. `--user-unit` also finds lines logged on its behalf by others."""
    argv = ["journalctl", "--user", f"--user-unit={unit}"]
    if lines is not None:
        argv += [f"--lines={lines}"]
    if follow:
        argv += ["--follow"]
    return argv
