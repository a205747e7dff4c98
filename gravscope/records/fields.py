"""The fields of a record. This is the only list of them.

A launch makes its first record from this list (`blank_record`), without loading msgspec or `typing`. `model.JobRecord`,
which checks what is read, is made from the same class. A new field needs one line here and a row in docs/record.md.
"""

from __future__ import annotations

import re

from gravscope.records.spec import LARGEST, SCHEMA_VERSION, Limits, check_range

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from msgspec import Struct

    from gravscope.records.parts import Cancel, LimitChange, Notified
    from gravscope.records.types import Enforcement, LauncherName, OomPolicy, PeakSource, State
else:

    class Struct:
        """Stands in for msgspec's Struct, which need not be loaded then. Type checkers see the real one."""

        def __init_subclass__(cls, **_options: object) -> None:
            """Accepts the options of a Struct."""


# The schema number of a record of the older dispatcher after it was read; its file had no such field.
LEGACY_SCHEMA = 0
LIVE_STATES = frozenset({"queued", "starting", "running"})
_PID = (2, 2**31 - 1)
# Pid 1 is the init process and never a job's; pid_t has 31 bits. An exit status has eight bits, a signal seven.
_RANGES = {
    "pid": _PID, "pgid": _PID, "supervisor_pid": _PID, "start_ticks": (0, LARGEST),
    "supervisor_start_ticks": (0, LARGEST), "exit_code": (0, 255), "signal": (1, 127), "oom_kills": (0, LARGEST),
    "peak_memory": (0, LARGEST),
}  # fmt: skip
# The units that a job can be in. To stop any other unit, such as the user's whole session, would end what is not a job.
_UNIT = re.compile(r"gravscope-(?:[A-Za-z0-9_.-]|\\x[0-9a-f]{2})+\.scope", re.ASCII)


class JobRecord(Struct, kw_only=True):
    """A job's JSON file: the spec, one state, and what is known so far. Flat, so that jq reads it."""

    schema: int = SCHEMA_VERSION
    id: str
    name: str
    state: State
    cmd: list[str]
    shell: bool = False
    cwd: str
    env: dict[str, str] = {}
    memsafe: bool = True
    foreground: bool = False
    terminal: str | None = None
    launcher: LauncherName | None = None
    unit: str | None = None
    slice: str | None = None
    pid: int | None = None
    pgid: int | None = None
    start_ticks: int | None = None
    supervisor_pid: int | None = None
    supervisor_start_ticks: int | None = None
    invocation_id: str | None = None
    boot_id: str | None = None
    host: str | None = None
    log_file: str
    limits: Limits = Limits()
    effective: dict[str, int | float | str | None] | None = None
    enforcement: Enforcement = "none"
    oom_policy: OomPolicy = "kill"
    timeout: float | None = None
    grace: float = 10.0
    created: str
    started: str | None = None
    ended: str | None = None
    duration: float | None = None
    exit_code: int | None = None
    signal: int | None = None
    reason: str | None = None
    peak_memory: int | None = None
    peak_memory_source: PeakSource | None = None
    oom_kills: int | None = None
    cpu_seconds: float | None = None
    outlived: float | None = None
    memory_events: dict[str, int] | None = None
    paused: bool = False
    throttled: bool = False
    limit_changes: list[LimitChange] = []
    cancel: Cancel | None = None
    notify: bool = False
    notified: list[Notified] = []
    fallback_reason: str | None = None
    warnings: list[str] = []
    escaped: bool | None = None
    rerun_of: str | None = None
    rerun_as: list[str] = []

    def __post_init__(self) -> None:
        """Refuses impossible values of the right type. msgspec turns a ValueError here into its own ValidationError."""
        for text in (self.created, self.started, self.ended):
            if text and self.schema != LEGACY_SCHEMA:
                _check_time(text)
        for name, (least, most) in _RANGES.items():
            if (value := getattr(self, name)) is not None:
                check_range(name, value, least, most)
        for whole in ("effective", "memory_events"):
            for name, count in (getattr(self, whole) or {}).items():
                check_range(f"{whole}.{name}", count, 0, LARGEST)
        if self.unit is not None and self.schema != LEGACY_SCHEMA and _UNIT.fullmatch(self.unit) is None:
            raise ValueError(f"unit: no job is in {self.unit!r}")

    @property
    def own_unit(self) -> str | None:
        """The job's unit, once the supervisor has recorded that it runs in it. Before that, a unit of this name may
        belong to a job in another folder that was started in the same second."""
        return self.unit if self.supervisor_pid is not None else None

    @property
    def live(self) -> bool:
        """True until the job has ended, as far as this record knows."""
        return self.state in LIVE_STATES


def _check_time(text: str) -> None:
    """Refuses a time that cannot be converted to local time, as at both ends of the calendar."""
    from datetime import datetime  # noqa: PLC0415 (a launch reads no record)

    try:
        datetime.fromisoformat(text).astimezone()
    except OverflowError:
        raise ValueError(f"{text!r} is out of reach") from None


def blank_record() -> dict[str, Any]:
    """Every field in order, with its default, or None if it has none. Lists and dicts are new objects."""
    defaults = vars(JobRecord)
    values = {name: defaults.get(name) for name in JobRecord.__annotations__}
    return {name: value.copy() if isinstance(value, list | dict) else value for name, value in values.items()}
