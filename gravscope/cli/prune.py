"""`gravscope prune`."""

from __future__ import annotations

from gravscope.actions.keep import prune as action
from gravscope.actions.keep.prune import Pruned
from gravscope.base.errors import UsageError
from gravscope.base.quantity import format_size, parse_duration
from gravscope.cli.called import as_called
from gravscope.cli.messages import note
from gravscope.cli.output import print_json
from gravscope.records.store import Store
from gravscope.settings.project import here

TYPE_CHECKING = False
if TYPE_CHECKING:  # for the annotations, which stay text until Typer wants them (`gravscope.cli.app`)
    from typing import Annotated

    import typer


def prune(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME...", help="Only jobs of these names [default: all].")
    ] = None,
    older_than: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Those that ended at least this long ago, with a unit (30d, 12h)."),
    ] = None,
    keep: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Keep the newest N of each name, however old they are.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be removed.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> int:
    """Remove jobs that have ended, records and logs. Says how much that freed."""
    project = here()
    seconds = None if older_than is None else parse_duration(older_than, "--older-than", needs_unit=True)
    if older_than is not None and seconds is None:
        raise UsageError("--older-than: nothing is older than infinity", "write it as 30d, 12h or 0s")
    which = action.Which(names or (), seconds, keep)
    done = action.prune(Store(project.jobs_dir), project, which, dry_run=dry_run)
    if json:
        print_json(_as_json(done, dry_run=dry_run))
    else:
        print("\n".join(_in_words(done, dry_run=dry_run) or [as_called(_nothing(done, which, older_than))]))
    for text in done.notes:
        note(text)
    for error in done.errors:
        note(str(error))
    return next((error.exit_code for error in done.errors), 0)


def _as_json(done: Pruned, *, dry_run: bool) -> dict[str, object]:
    return {
        "dry_run": dry_run,
        "jobs": [{"id": gone.job_id, "bytes": gone.size} for gone in done.jobs],
        "bytes": done.size,
        "orphans": done.orphans,
        "notes": done.notes,
        "errors": [str(error) for error in done.errors],
    }


def _in_words(done: Pruned, *, dry_run: bool) -> list[str]:
    """A line for all; in a dry run, one for each job before it. None where there is nothing to remove."""
    lines = [f"{format_size(gone.size):>5}  {gone.job_id}" for gone in done.jobs] if dry_run else []
    jobs = "1 job" if len(done.jobs) == 1 else f"{len(done.jobs)} jobs"
    verb = "would free" if dry_run else "freed"
    if done.jobs:
        lines.append(f"{verb} {format_size(done.size)} ({done.size} bytes) of {jobs}")
    if done.orphans:
        which = "1 id" if len(done.orphans) == 1 else f"{len(done.orphans)} ids"
        lines.append(f"{'would remove' if dry_run else 'removed'} what was left of {which} without a record")
    return lines


def _nothing(done: Pruned, which: action.Which, older_than: str | None) -> str:
    """That nothing is to be removed, why, and where to look."""
    jobs = "the one job that has ended" if done.ended == 1 else f"the {done.ended} jobs that have ended"
    if not done.ended:
        why = "no job has ended"
    elif older_than is None:
        why = f"no name has more than {which.keep} of {jobs}"
    else:
        beyond = f" and is not of the newest {which.keep} of its name" if which.keep is not None else ""
        why = f"none of {jobs} did so {older_than.strip()} ago{beyond}"
    return f"nothing to remove: {why}; all: gravscope status -a"
