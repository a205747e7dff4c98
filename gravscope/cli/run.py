"""`gravscope run`."""

from __future__ import annotations

import sys

from gravscope.actions.launch.launch import launch
from gravscope.actions.launch.spec import Changes, Typed, make_spec
from gravscope.base.errors import UsageError
from gravscope.base.immutable import Immutable
from gravscope.cli import note
from gravscope.cli.option_groups import takes
from gravscope.settings.project import here
from gravscope.systemd.host import given_environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gravscope.actions.launch.launch import Facts
    from gravscope.records.spec import JobSpec
    from gravscope.settings.project import Project


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


@takes(typed=Typed, after=Afterwards)
def run(typed: Typed, after: Afterwards) -> int:
    """Start a job beside this terminal, and return once its command runs. Prints the job's id."""
    after.go_with(typed)
    project = here()
    return carry_out(make_spec(typed, project), project, after)


def carry_out(spec: JobSpec, project: Project, after: Afterwards) -> int:
    """Starts the job, does what is to follow, and returns the exit status."""
    environ = given_environment()
    if spec.foreground or after != Afterwards():
        from gravscope.cli.run_modes import carry_out as and_more  # noqa: PLC0415 (all that a mere launch is without)

        return and_more(spec, project, environ, after)
    facts = launch(spec, project, environ)
    tell(facts)
    say_how_to_follow(facts["id"])
    print(facts["id"])
    return 0


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
