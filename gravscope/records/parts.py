"""What stands inside a record and in the requests beside it: cancels, changes of limits, notifications; and limits.

Sizes are bytes, durations seconds, times ISO 8601 with offset. Unknown is null, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, get_type_hints

import msgspec

from gravscope.records.spec import Limits
from gravscope.records.types import Size

Count = Annotated[int, msgspec.Meta(ge=0)]

# msgspec reads dataclasses, and types that are more than text
Limits.__annotations__ = get_type_hints(Limits, globalns={"Size": Size, "Count": Count}, include_extras=True)
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
