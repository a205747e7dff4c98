"""The parts of a record and of the requests beside it: cancels, changes of limits, notifications, and limits.

Sizes are bytes, durations seconds, times ISO 8601 with offset. Unknown is null, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, get_type_hints

import msgspec

from gravscope.records.spec import Limits
from gravscope.records.types import Size

Count = Annotated[int, msgspec.Meta(ge=0)]

# msgspec needs a dataclass, and annotations that are types and not text.
Limits.__annotations__ = get_type_hints(Limits, globalns={"Size": Size, "Count": Count}, include_extras=True)
dataclass(init=False, repr=False, eq=False)(Limits)


class CancelStep(msgspec.Struct):
    """One step of a cancel: what was done, when, and why it failed (None: it may have worked)."""

    step: str
    at: str
    error: str | None = None


class Cancel(msgspec.Struct):
    """A request to end a job: when, by whom, the grace period in seconds (None: the job's own), and the steps that were
    taken, in order."""

    requested: str
    by: str
    grace: float | None = None
    steps: list[CancelStep] = []


class Reach(msgspec.Struct, frozen=True):
    """The processes that a signal reaches: `able` processes may be ended by it, as they do not ignore it. For
    `answering` of them, the command's exit status may be a reaction: the command itself, if it catches the signal, or
    processes whose end it can see."""

    able: int = 0
    answering: int = 0


class CancelRequest(Cancel):
    """A request as it stands beside the record while the job lives. It also says which processes the signals have
    reached, and which ones the current step is about to reach (None: no step is in progress). This tells the effect of
    the cancel from an end of the job by itself."""

    reached: Reach = Reach()
    acting: Reach | None = None

    def as_recorded(self) -> Cancel:
        """The request without the parts that are not recorded."""
        return Cancel(self.requested, self.by, self.grace, self.steps)

    def finish_step(self) -> None:
        """Ends the current step: it has reached what it could, or nothing better is known."""
        if self.acting is not None:
            able, answering = self.reached.able + self.acting.able, self.reached.answering + self.acting.answering
            self.reached, self.acting = Reach(able, answering), None


class LimitChange(msgspec.Struct):
    """A change of a live job's limits: when, by whom, and the limits that were changed."""

    at: str
    by: str
    limits: Limits


class Notified(msgspec.Struct):
    """A notification about the job's end: how (`desktop`, `webhook`, `command`), when, and the error if it failed."""

    channel: str
    at: str
    error: str | None = None
