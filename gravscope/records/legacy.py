"""Records of the older shell dispatcher, converted to current records.

It stored pid, pgid, name, started, log_file, workdir, command, env and unit, and never how a job ended. A job counts as
running if its process is alive and was started when the record says.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gravscope.linux import cgroup, proc
from gravscope.records.fields import LEGACY_SCHEMA
from gravscope.records.model import JobRecord

# Seconds. The shell read its clock a little before or after the process was started.
TOLERANCE = 10.0
_FORMATS = ["%Y%m%d_%H%M%S", "%Y-%m-%d %H:%M:%S", "%Y/%m/%d %H:%M:%S"]


def is_legacy(text: object) -> bool:
    """True for a record of the older dispatcher: it has a pid and a command, and no schema."""
    return isinstance(text, dict) and "schema" not in text and {"pid", "command"} <= text.keys()


def convert(text: dict[str, Any], path: Path) -> JobRecord:
    """The current form of such a record: `running` if the same process is still alive, else `lost`, with the reason."""
    pid, pgid = _number(text.get("pid")), _number(text.get("pgid"))
    began = parse_started(text.get("started"))
    found = proc.stat(pid) if pid else None
    if found is not None and not _began_then(found, began):
        # At the end of daylight saving a local time occurs twice; this may be the second one.
        again = parse_started(text.get("started"), fold=1)
        began = again if _began_then(found, again) else began
    alive = found is not None and not found.ended and _began_then(found, began)
    command = text.get("command")
    unit = str(text["unit"]) if text.get("unit") else None
    if alive and unit is not None and not (cgroup.folder_of(str(pid)) or "").endswith(f"/{unit}"):
        unit = None  # its process is not in that unit, so stopping the unit would end something else
    return JobRecord(
        schema=LEGACY_SCHEMA,
        id=path.stem,
        name=str(text.get("name") or path.stem),
        state="running" if alive else "lost",
        cmd=[str(word) for word in command] if isinstance(command, list) else [str(command)],
        shell=not isinstance(command, list),
        cwd=str(text.get("workdir") or ""),
        env=_environment(text.get("env")),
        launcher="scope" if unit else "session",
        unit=unit,
        pid=pid,
        pgid=pgid,
        start_ticks=found.start_ticks if alive and found else None,
        boot_id=proc.boot_id() if alive else None,
        log_file=str(text.get("log_file") or ""),
        created=began.isoformat() if began else "",
        started=began.isoformat() if began else None,
        reason=None if alive else _why_lost(found, began),
    )


def _number(value: object) -> int | None:
    text = str(value) if isinstance(value, (int, str)) else ""
    # pid_t has 31 bits, so at most ten digits
    return int(text) if re.fullmatch(r"[0-9]{1,10}", text) and 1 < int(text) < 2**31 else None


def parse_started(value: object, fold: int = 0) -> datetime | None:
    """The start time: ISO 8601, the usual formats of shells (local time), or seconds since 1970.

    `fold`: which one is meant of two equal local times (as in `datetime`).
    """
    text = str(value or "").strip()
    if re.fullmatch(r"\d{9,11}(\.\d+)?", text):
        return datetime.fromtimestamp(float(text), UTC).astimezone()
    try:
        return datetime.fromisoformat(text).replace(fold=fold).astimezone()
    except (ValueError, OverflowError):
        pass
    for form in _FORMATS:
        try:
            return datetime.strptime(text, form).replace(fold=fold).astimezone()
        except (ValueError, OverflowError):
            continue
    return None


def _began_then(found: proc.Stat, began: datetime | None) -> bool:
    boot = boot_time()
    if began is None or boot is None:
        return False
    return abs(boot + found.start_ticks / proc.TICKS - began.timestamp()) <= TOLERANCE


def boot_time() -> float | None:
    """When the machine was booted, in seconds since 1970 (btime of /proc/stat)."""
    for line in (proc.read_text("/proc/stat") or "").splitlines():
        if line.startswith("btime "):
            return float(line.split()[1])
    return None


def _why_lost(found: proc.Stat | None, began: datetime | None) -> str:
    if began is None:
        return "the older dispatcher's record has no start time, so its process cannot be told from another"
    if found is None or found.ended:
        return "its process is gone, and the older dispatcher did not record how it ended"
    return f"pid {found.pid} is another process now, and the older dispatcher did not record how its own ended"


def _environment(value: object) -> dict[str, str]:
    """The variables in `env`, which is an object or a string of K=V words."""
    if isinstance(value, dict):
        return {str(key): str(item) for key, item in value.items()}
    words = (word.partition("=") for word in str(value or "").split())
    return {key: item for key, equals, item in words if equals}
