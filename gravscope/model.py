"""The words of gravscope as types: limits, a spec, a record and its states.

Sizes are bytes, durations seconds, times ISO 8601 with offset. Unknown is null, never 0. `docs/record.md` describes
each field; the JSON Schema in `docs/record.schema.json` is generated from here.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec

from gravscope.quantity import Size

SCHEMA_VERSION: Final = 1
# what a record of the older dispatcher counts as, once read: it had no such field
OLDER_DISPATCHER: Final = 0

LiveState = Literal["queued", "starting", "running"]
EndState = Literal["succeeded", "failed", "killed", "oom-killed", "timed-out", "cancelled", "never-started", "lost"]
State = LiveState | EndState
LIVE_STATES: Final[frozenset[str]] = frozenset({"queued", "starting", "running"})

LauncherName = Literal["scope", "session"]
LauncherChoice = Literal["auto", "scope", "session"]
OomPolicy = Literal["kill", "continue"]
Enforcement = Literal["kernel", "watch", "none"]

Count = Annotated[int, msgspec.Meta(ge=0)]


class Limits(msgspec.Struct, frozen=True):
    """What a job may use. None: nothing was asked for. Sizes in bytes, cpu_quota in percent of one core."""

    mem_high: Size | None = None
    mem_max: Size | None = None
    swap_max: Size | None = None
    cpu_quota: float | None = None
    tasks_max: Size | None = None
    cpu_weight: Count | None = None
    io_weight: Count | None = None


class JobSpec(msgspec.Struct, frozen=True):
    """What was asked for. `cmd` and `env` are what the command gets, byte for byte (os.fsdecode of it)."""

    cmd: list[str]
    name: str
    cwd: str
    shell: bool = False
    env: dict[str, str] = {}
    limits: Limits = Limits()
    launcher: LauncherChoice = "auto"
    timeout: float | None = None
    grace: float = 10.0
    oom_policy: OomPolicy = "kill"
    memsafe: bool = True
    unique: bool = False


class CancelStep(msgspec.Struct):
    """One rung of the cancel ladder: what was done, when, and why it was not enough (None: it may have been)."""

    step: str
    at: str
    error: str | None = None


class Cancel(msgspec.Struct):
    """A request to end a job: when, by whom, with what grace period in seconds (None: the job's own), and the rungs
    that were climbed, in order."""

    requested: str
    by: str
    grace: float | None = None
    steps: list[CancelStep] = []


class LimitChange(msgspec.Struct):
    """A change of a live job's limits: when, by whom, and the limits that were changed."""

    at: str
    by: str
    limits: Limits


class JobRecord(msgspec.Struct, kw_only=True):
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
    peak_memory_source: Literal["kernel", "sampled"] | None = None
    oom_kills: int | None = None
    cpu_seconds: float | None = None
    outlived: float | None = None
    memory_events: dict[str, int] | None = None
    paused: bool = False
    throttled: bool = False
    limit_changes: list[LimitChange] = []
    cancel: Cancel | None = None
    fallback_reason: str | None = None
    warnings: list[str] = []

    def __post_init__(self) -> None:
        """Every time is one; msgspec makes a ValueError here its own ValidationError."""
        for text in (self.created, self.started, self.ended):
            if text and self.schema != OLDER_DISPATCHER:
                datetime.fromisoformat(text)

    @property
    def own_unit(self) -> str | None:
        """The unit, once the supervisor has said that it lives in it: before that, one of this name may be the unit of a
        job in another folder, started in the same second."""
        return self.unit if self.supervisor_pid is not None else None

    @property
    def live(self) -> bool:
        """True until the job has ended, as far as this record knows."""
        return self.state in LIVE_STATES


def record_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a record, generated from the type."""
    schema = msgspec.json.schema(JobRecord)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
