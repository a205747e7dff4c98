"""`gravscope limit`."""

from __future__ import annotations

import os

from gravscope.actions.control.limit import limit as change
from gravscope.actions.launch.spec import TypedLimits, make_limits
from gravscope.cli.option_groups import takes
from gravscope.cli.output import print_json, public, store_here

TYPE_CHECKING = False
if TYPE_CHECKING:  # for the annotations, which stay text until Typer wants them (`gravscope.cli.app`)
    from typing import Annotated

    import typer

    from gravscope.cli.options import Job, Json


@takes(typed=TypedLimits)
def limit(
    job: Job,
    typed: TypedLimits,
    force: Annotated[bool, typer.Option("--force", help="Even below what it uses now.")] = False,
    json: Json = False,
) -> None:
    """Change the limits of a job that runs. The record keeps each change with its time."""
    store = store_here()
    record = change(store, store.find(job), make_limits(typed), os.environ, force=force)
    print_json(public(record)) if json else print(f"{record.id}: {record.state}, limits held by: {record.enforcement}")
