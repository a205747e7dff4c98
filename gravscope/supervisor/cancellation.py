"""What a request to end the job had to do with its end, asked when its last process has just ended.

`gravscope cancel` puts each step beside the record before it takes it, and then whom its signal has reached. So a step
that is not there yet did not end the job, and one that is only just being taken is waited for.
"""

from __future__ import annotations

import time

from gravscope.records.outcome import STOP_UNIT
from gravscope.supervisor.requests import read_cancel, steps_of

# seconds for which a step is waited for that was being taken when the job ended, and between two looks at it
PATIENCE, LOOK_AGAIN = 1.0, 0.005
# seconds that a stop job may take from one process of the unit to the next, just in case
ONE_WALK = 0.005
# the step of a request that a full disk would not take
UNWRITTEN = "a step that there was no room to write down"


class Wish:
    """The request as the record takes it, its steps, and what they may have done (see `outcome.Evidence`)."""

    def __init__(self, found: dict[str, object], *, acted: bool) -> None:
        """`acted` says whether the step that was being taken counts as well."""
        self.record = for_record(found)
        self.steps = steps_of(found) or ((UNWRITTEN,) if found.get("unwritten") is True else ())
        reached = [_reach(found.get("reached"))]
        if acted:
            reached.append(_reach(found.get("acting")))
        self.reached = any(able for able, _ in reached)
        self.answered = any(answering for _, answering in reached)


def wish_at_the_end(path: str, told: list[int], *, told_first: bool) -> Wish | None:
    """The request in file `path` as it stood when the job ended; None if there was none.

    `told` lists the signals to stop that have reached the supervisor, also those that come while we are here: a unit's
    stop job sends one to it, and to the job before or, with `told_first`, after that.
    """
    found = read_cancel(path)
    if found is None:
        return None
    steps = steps_of(found)
    stopping = steps[-1:] == (STOP_UNIT,)
    deadline = time.monotonic() + (ONE_WALK if stopping and told_first else PATIENCE)
    while _acting(found) and time.monotonic() < deadline and not (stopping and told):
        time.sleep(LOOK_AGAIN)
        now = read_cancel(path) or found
        if steps_of(now) != steps:
            break  # whatever it goes on to comes after the end
        found = now
    return Wish(found, acted=_acting(found) and (bool(told) or not stopping))


def for_record(found: dict[str, object]) -> dict[str, object]:
    """A request without what is none of the record's business."""
    return {name: found.get(name) for name in ("requested", "by", "grace", "steps")}


def _acting(found: dict[str, object]) -> bool:
    return isinstance(found.get("acting"), dict)


def _reach(value: object) -> tuple[int, int]:
    """How many processes a signal may have ended, and how many may have answered it; without a word of it, one may."""
    if not isinstance(value, dict):
        return 1, 1
    able, answering = value.get("able"), value.get("answering")
    return (able if isinstance(able, int) else 1), (answering if isinstance(answering, int) else 1)
