"""`gravscope cancel`."""

from __future__ import annotations

import os

from gravscope.actions.control.cancel import CancelResult
from gravscope.actions.control.cancel import cancel as cancel_job
from gravscope.base.errors import GravscopeError
from gravscope.base.quantity import parse_duration
from gravscope.cli import complain, one_line
from gravscope.cli.output import print_json, public, store_here
from gravscope.records.fields import LEGACY_SCHEMA

TYPE_CHECKING = False
if TYPE_CHECKING:  # for the annotations, which stay text until Typer wants them (`gravscope.cli.app`)
    from typing import Annotated

    import typer


def cancel(
    jobs: Annotated[
        list[str], typer.Argument(metavar="JOB...", help="Ids, beginnings of ids, names, or records (.json).")
    ],
    grace: Annotated[
        str | None, typer.Option(metavar="TIME", help="Time between SIGTERM and SIGKILL [default: the job's].")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the records as JSON.")] = False,
) -> int:
    """End jobs, and return once they have ended."""
    store = store_here()
    seconds = parse_duration(grace, "--grace") if grace else None
    found = [store.locate(job) for job in jobs]
    done: list[CancelResult] = []
    status = 0
    for its_store, job_id in found:
        try:
            done.append(cancel_job(its_store, job_id, os.environ, seconds))
        except GravscopeError as error:
            complain(str(error))
            status = error.exit_code
    if json:
        print_json([public(one.record) for one in done])
    else:
        for one in done:
            print(one_line(_line(one)))
    return status


def _line(done: CancelResult) -> str:
    record = done.record
    if done.had_ended:
        why = f": {record.reason}; nothing was signalled" if record.state == "lost" else ""
        return f"{record.id} had already ended: {record.state}{why}"
    if record.state != "cancelled" and record.schema != LEGACY_SCHEMA:
        return f"{record.id} ended before the cancel took effect: {record.state}"
    steps = [step.step for step in record.cancel.steps] if record.cancel else []
    return f"{record.id}: {record.state}" + (f" by {', then '.join(steps)}" if steps else "")
