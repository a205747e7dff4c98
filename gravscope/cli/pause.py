"""`gravscope pause` and `gravscope resume`."""

from __future__ import annotations

from typing import Annotated

import typer

from gravscope.actions import pause as action
from gravscope.cli.output import print_json, public, store_here
from gravscope.model import JobRecord

Job = Annotated[str, typer.Argument(metavar="JOB", help="Id, the beginning of one, or a name.")]
Json = Annotated[bool, typer.Option("--json", help="Print the record as JSON.")]


def pause(job: Job, json: Json = False) -> None:
    """Let a job stand still; it keeps its memory."""
    store = store_here()
    _tell(action.pause(store, store.find(job)), json=json)


def resume(job: Job, json: Json = False) -> None:
    """Let a paused job go on."""
    store = store_here()
    _tell(action.resume(store, store.find(job)), json=json)


def _tell(record: JobRecord, *, json: bool) -> None:
    print_json(public(record)) if json else print(f"{record.id}: {'paused' if record.paused else record.state}")


def add_to(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("pause")(pause)
    app.command("resume")(resume)
