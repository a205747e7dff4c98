"""What may be said of a job that was hit, given what is known for certain of it: pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ENDED = {"succeeded", "failed", "killed", "oom-killed", "timed-out", "cancelled", "never-started", "lost"}


@dataclass(frozen=True)
class Facts:
    """Of one launch whose processes are all gone."""

    victim: str | None
    """The role of the process that was killed; None if the step was never reached."""
    cancelled: bool
    """It was cancelled, and not left to its own end."""
    ran: bool
    """The command was exec'd."""
    done: bool
    """The command said that it ends by itself, which it does a moment later with exit status 3."""


def wrong_end(facts: Facts, record: Mapping[str, Any] | None) -> str | None:
    """What is wrong with the final record; None if it is true."""
    if record is None:
        return "ran without a record" if facts.ran else None
    state, code, number = record["state"], record["exit_code"], record["signal"]
    told = f"{state}, exit code {code}, signal {number}: {record['reason']}"
    if state not in ENDED or record["ended"] is None:
        return f"still said to live: {told}"
    if state in possible_states(facts) and code in possible_codes(facts, state):
        return None
    return f"{facts}: {told}"


def possible_states(facts: Facts) -> set[str]:
    """The states that are true, or at least admit that it is not known."""
    unknown = {"lost"} if facts.victim == "supervisor" else set()
    cancelled = {"cancelled"} if facts.cancelled else set()
    killed = {"killed"} if facts.victim == "command" else set()
    if facts.done:
        # a cancel that comes while the command is ending by itself is too late; but without a supervisor nobody knows
        return {"failed"} | killed | unknown | (cancelled if unknown else set())
    if facts.ran:
        return cancelled | unknown | killed
    return {"never-started"} | cancelled | unknown


def possible_codes(facts: Facts, state: str) -> set[int | None]:
    """The exit codes that may stand there: the command's own, or none."""
    if state == "failed" and facts.done:
        return {3}
    # told through what systemd or we did, never made up
    return {None}
