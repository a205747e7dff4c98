"""What `gravscope run` and `gravscope rerun` do and say once the job runs."""

from __future__ import annotations

import sys

from gravscope.base.errors import UsageError
from gravscope.base.immutable import Immutable
from gravscope.cli.messages import note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gravscope.actions.launch.launch import Facts
    from gravscope.actions.launch.spec import Changes


class Afterwards(Immutable):
    """What is to follow once there is a spec. Raises UsageError for what does not go together."""

    wait: bool = False
    follow: bool = False
    dry_run: bool = False
    json: bool = False

    def __post_init__(self) -> None:
        if self.follow and self.json:
            raise UsageError("--follow prints the job's output, --json nothing but JSON", "take one of them")

    def go_with(self, typed: Changes) -> None:
        """Raises UsageError for what does not go together with --fg."""
        if typed.foreground and (self.wait or self.follow or (self.json and not self.dry_run)):
            raise UsageError("--fg hands the terminal to the command, and waits for it", "leave the other option away")


# what a record's warning says of a limit that nobody holds, behind the limit's name (`gravscope.supervisor.observe`)
_LOST = " does not hold here"


def tell(facts: Facts) -> None:
    """What the user should know about how the job was started: one line of where it runs and what does not hold there,
    and one for whatever else the record warns of."""
    lost = [warning.partition(_LOST)[0] for warning in facts["warnings"] if _LOST in warning]
    found = place_in_words(facts, watched=facts["enforcement"] == "watch", lost=lost)
    if found is not None:
        note(found)
    for warning in facts["warnings"]:
        if _LOST not in warning:
            note(warning)


def place_in_words(facts: Facts, *, watched: bool, lost: list[str], before: str = "") -> str | None:
    """The one line for a job that has no scope although it should, or limits that the kernel does not hold, such as the
    `lost` ones, which nobody holds; None where all is as it was asked for. `show` and `doctor` tell the rest."""
    if not (facts["fallback_reason"] or watched or lost):
        return None
    held = ["gravscope itself watches --mem-max"] if watched else []
    held += [f"{' and '.join(lost)} {'does' if len(lost) == 1 else 'do'} not hold"] if lost else []
    if not held:
        held = ["the job runs without one" if facts["foreground"] else "the job runs in a session"]
    where = "no systemd scope here" if facts["fallback_reason"] else "without a systemd scope"
    if facts["unit"] is not None:
        where = "the kernel does not hold all limits here"
    return f"{where}: {before}{', '.join(held)}; type: gravscope doctor"


def say_how_to_follow(job_id: str) -> None:
    """For whoever sits there."""
    if sys.stderr.isatty():
        note(f"{job_id} runs; follow it with: gravscope logs -f {job_id}")
