"""`gravscope cancel`."""

from __future__ import annotations

import os
import sys

from gravscope.actions.control.cancel import CancelResult
from gravscope.actions.control.cancel import cancel as cancel_job
from gravscope.actions.look.owner import is_foreign
from gravscope.actions.look.settle import live_records
from gravscope.base.errors import GravscopeError, RefusedError, UsageError
from gravscope.base.quantity import parse_duration
from gravscope.cli.messages import note, one_line
from gravscope.cli.output import print_json, public, store_here
from gravscope.records.fields import LEGACY_SCHEMA
from gravscope.records.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:  # for the annotations, which stay text until Typer wants them (`gravscope.cli.app`)
    from typing import Annotated

    import typer


def cancel(
    jobs: Annotated[
        list[str] | None, typer.Argument(metavar="JOB...", help="Ids, beginnings of ids, names, or records (.json).")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", "-a", help="All jobs that live; asks first.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="With --all, do not ask.")] = False,
    grace: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Time between SIGTERM and SIGKILL [default: the job's].")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the records as JSON.")] = False,
) -> int:
    """End jobs, and return once they have ended."""
    store = store_here()
    seconds = parse_duration(grace, "--grace") if grace else None
    found = _all_live(store, jobs, yes=yes) if everything else [store.locate(job) for job in _named(jobs)]
    done: list[CancelResult] = []
    status = 0
    for its_store, job_id in found:
        try:
            done.append(cancel_job(its_store, job_id, os.environ, seconds))
        except GravscopeError as error:
            note(str(error))
            status = error.exit_code
    if json:
        print_json([public(one.record) for one in done])
    else:
        for one in done:
            print(one_line(_line(one)))
    return status


def _named(jobs: list[str] | None) -> list[str]:
    if not jobs:
        raise UsageError("no job to cancel", "type: gravscope cancel JOB, or gravscope cancel --all")
    return jobs


def _all_live(store: Store, jobs: list[str] | None, *, yes: bool) -> list[tuple[Store, str]]:
    """Every job that lives in this folder and is ours, once somebody has agreed that they end."""
    if jobs:
        raise UsageError("--all is all of them, and there are names as well", "take one of them")
    ids = [record.id for record in live_records(store) if not is_foreign(store, record.id)]
    if not ids:
        note(f"no job lives in {store.jobs_dir}")
    elif not yes:
        _ask(ids)
    return [(store, job_id) for job_id in ids]


def _ask(ids: list[str]) -> None:
    """Raises RefusedError unless somebody at a terminal says yes."""
    count = "1 job lives" if len(ids) == 1 else f"{len(ids)} jobs live"
    if not (sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()):
        raise RefusedError(f"{count}, and there is no terminal at which to ask", "type: gravscope cancel --all --yes")
    for job_id in ids:
        print(one_line(job_id), file=sys.stderr)
    print(f"{count}. Cancel {'it' if len(ids) == 1 else 'all of them'}? [y/N] ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline()
    if not answer:
        print(file=sys.stderr)
    if answer.strip().lower() not in ("y", "yes"):
        raise RefusedError("nothing was cancelled", "type: gravscope cancel JOB")


def _line(done: CancelResult) -> str:
    record = done.record
    if done.had_ended:
        why = f": {record.reason}; nothing was signalled" if record.state == "lost" else ""
        return f"{record.id} had already ended: {record.state}{why}"
    if record.state != "cancelled" and record.schema != LEGACY_SCHEMA:
        return f"{record.id} ended before the cancel took effect: {record.state}"
    steps = [step.step for step in record.cancel.steps] if record.cancel else []
    return f"{record.id}: {record.state}" + (f" by {', then '.join(steps)}" if steps else "")
