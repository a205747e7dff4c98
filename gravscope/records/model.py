"""The words of gravscope as types: a record, its states, and what stands beside it. (A spec: `gravscope.records.spec`.)

Sizes are bytes, durations seconds, times ISO 8601 with offset. Unknown is null, never 0. `docs/record.md` describes
each field; the JSON Schema in `docs/record.schema.json` is generated from here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal, get_type_hints

import msgspec

from gravscope.records.spec import LARGEST, SCHEMA_VERSION, Limits, check_range

# what a record of the older dispatcher counts as, once read: it had no such field
OLDER_DISPATCHER: Final = 0

LiveState = Literal["queued", "starting", "running"]
EndState = Literal["succeeded", "failed", "killed", "oom-killed", "timed-out", "cancelled", "never-started", "lost"]
State = LiveState | EndState
LIVE_STATES: Final[frozenset[str]] = frozenset({"queued", "starting", "running"})

LauncherName = Literal["scope", "session"]
OomPolicy = Literal["kill", "continue"]
Enforcement = Literal["kernel", "watch", "none"]

Size = int | Literal["infinity"]
Count = Annotated[int, msgspec.Meta(ge=0)]
_PID: Final = (2, 2**31 - 1)

# msgspec reads dataclasses, and types that are more than text
Limits.__annotations__ = get_type_hints(Limits, globalns=globals(), include_extras=True)
dataclass(init=False, repr=False, eq=False)(Limits)


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


class Reach(msgspec.Struct, frozen=True):
    """Whom a signal reaches: `able` processes that it may end, since they do not ignore it. The command's exit status
    may be the answer of `answering` of them: of itself if it catches the signal, or of others whose end it sees."""

    able: int = 0
    answering: int = 0


class CancelRequest(Cancel):
    """A request as it stands beside the record while the job lives, with what tells its effect from the job's own end:
    whom its signals have reached, and whom the step that was begun last is about to (None: that one is through)."""

    reached: Reach = Reach()
    acting: Reach | None = None

    def as_recorded(self) -> Cancel:
        """Without what is none of the record's business."""
        return Cancel(self.requested, self.by, self.grace, self.steps)

    def through(self) -> None:
        """The step that was begun last has reached whom it could, or nobody knows better."""
        if self.acting is not None:
            able, answering = self.reached.able + self.acting.able, self.reached.answering + self.acting.answering
            self.reached, self.acting = Reach(able, answering), None


class LimitChange(msgspec.Struct):
    """A change of a live job's limits: when, by whom, and the limits that were changed."""

    at: str
    by: str
    limits: Limits


class Notified(msgspec.Struct):
    """That somebody was told of the end: how (`desktop`, `webhook`, `command`), when, and why it failed, if it did."""

    channel: str
    at: str
    error: str | None = None


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
    peak_memory_source: Literal["kernel", "sampled"] | None = None
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
        """Values of the right type that cannot be; msgspec makes a ValueError here its own ValidationError."""
        for text in (self.created, self.started, self.ended):
            if text and self.schema != OLDER_DISPATCHER:
                _check_time(text)
        for name, (least, most) in _RANGES.items():
            if (value := getattr(self, name)) is not None:
                check_range(name, value, least, most)
        for whole in ("effective", "memory_events"):
            for name, count in (getattr(self, whole) or {}).items():
                check_range(f"{whole}.{name}", count, 0, LARGEST)
        if self.unit is not None and self.schema != OLDER_DISPATCHER and _UNIT.fullmatch(self.unit) is None:
            raise ValueError(f"unit: no job is in {self.unit!r}")

    @property
    def own_unit(self) -> str | None:
        """The unit, once the supervisor has said that it lives in it: before that, one of this name may be that of a
        job in another folder, started in the same second."""
        return self.unit if self.supervisor_pid is not None else None

    @property
    def live(self) -> bool:
        """True until the job has ended, as far as this record knows."""
        return self.state in LIVE_STATES


# number 1 is the first process and never a job's, and pid_t has 31 bits; a status has eight bits, a signal seven
_RANGES: Final[dict[str, tuple[int, int]]] = {
    "pid": _PID, "pgid": _PID, "supervisor_pid": _PID, "start_ticks": (0, LARGEST),
    "supervisor_start_ticks": (0, LARGEST), "exit_code": (0, 255), "signal": (1, 127), "oom_kills": (0, LARGEST),
    "peak_memory": (0, LARGEST),
}  # fmt: skip
# what a job is in: stopping any other unit, such as the user's whole session, would take what is no job's
_UNIT: Final = re.compile(r"gravscope-(?:[A-Za-z0-9_.-]|\\x[0-9a-f]{2})+\.scope", re.ASCII)


def _check_time(text: str) -> None:
    """A time that can be told in local time: neither end of the calendar can."""
    try:
        datetime.fromisoformat(text).astimezone()
    except OverflowError:
        raise ValueError(f"{text!r} is out of reach") from None


def record_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a record, generated from the type."""
    schema = msgspec.json.schema(JobRecord)
    for described in schema["$defs"].values():
        if "description" in described:  # the lines of a docstring, which Python 3.13 and later indent less
            described["description"] = " ".join(described["description"].split())
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
