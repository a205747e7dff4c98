"""Whether a cancel request ended the job. This is decided when the job's last process has just ended.

`gravscope cancel` writes each step into the request file beside the record before it takes the step, and afterwards
how many processes the signal reached. So a step that is not in the file yet did not end the job. If a step is just
being taken, its result is waited for.
"""

from __future__ import annotations

import time

from gravscope.records.outcome import STOP_UNIT
from gravscope.supervisor.requests import read_cancel, steps_of

# seconds to wait for a step that was being taken when the job ended, and seconds between two reads of the file
PATIENCE, INTERVAL = 1.0, 0.005
# seconds that systemd's stop job may need from signalling one process of the unit to signalling the next
STOP_JOB_TIME = 0.005
# stands for the steps of a request that could not be written because the disk was full
UNWRITTEN = "a step that there was no room to write down"


class CancelRequest:
    """A cancel request: as it goes into the record, its steps, and what they may have done (see `outcome.Evidence`)."""

    def __init__(self, found: dict[str, object], *, acted: bool) -> None:
        """`acted` says whether the step that was being taken when the job ended counts as well."""
        self.record = for_record(found)
        self.steps = steps_of(found) or ((UNWRITTEN,) if found.get("unwritten") is True else ())
        reached = [_reach(found.get("reached"))]
        if acted:
            reached.append(_reach(found.get("acting")))
        self.reached = any(able for able, _ in reached)
        self.answered = any(answering for _, answering in reached)


def cancel_at_end(path: str, stop_signals: list[int], *, supervisor_first: bool) -> CancelRequest | None:
    """The request in file `path` as it was when the job ended; None if there was none.

    `stop_signals` lists the stop signals that the supervisor has received. It grows when one arrives while this
    function waits. The stop job of a unit signals the supervisor as well as the job: the supervisor after the job, or
    before it if `supervisor_first`.
    """
    found = read_cancel(path)
    if found is None:
        return None
    steps = steps_of(found)
    stopping = steps[-1:] == (STOP_UNIT,)
    deadline = time.monotonic() + (STOP_JOB_TIME if stopping and supervisor_first else PATIENCE)
    while _acting(found) and time.monotonic() < deadline and not (stopping and stop_signals):
        time.sleep(INTERVAL)
        now = read_cancel(path) or found
        if steps_of(now) != steps:
            break  # a step that is begun now comes after the end of the job
        found = now
    return CancelRequest(found, acted=_acting(found) and (bool(stop_signals) or not stopping))


def for_record(found: dict[str, object]) -> dict[str, object]:
    """The fields of a request that the record keeps."""
    return {name: found.get(name) for name in ("requested", "by", "grace", "steps")}


def _acting(found: dict[str, object]) -> bool:
    return isinstance(found.get("acting"), dict)


def _reach(value: object) -> tuple[int, int]:
    """How many processes a signal may have ended, and how many may have handled it; one each if this is not known."""
    if not isinstance(value, dict):
        return 1, 1
    able, answering = value.get("able"), value.get("answering")
    return (able if isinstance(able, int) else 1), (answering if isinstance(answering, int) else 1)
