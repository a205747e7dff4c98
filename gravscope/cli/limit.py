"""`gravscope limit`."""

from __future__ import annotations

import os

from gravscope.actions.control.limit import limit as change
from gravscope.actions.launch.spec import TypedLimits, make_limits
from gravscope.cli.messages import one_line
from gravscope.cli.option_groups import takes
from gravscope.cli.output import print_json, public, store_here

TYPE_CHECKING = False
if TYPE_CHECKING:  # for the annotations, which stay text until Typer wants them (`gravscope.cli.app`)
    from typing import Annotated

    import typer

    from gravscope.cli.options import Job, Json
    from gravscope.records.model import JobRecord
    from gravscope.records.spec import Limits


@takes(typed=TypedLimits)
def limit(
    job: Job,
    typed: TypedLimits,
    force: Annotated[bool, typer.Option("--force", help="Even below what it uses now.")] = False,
    json: Json = False,
) -> None:
    """Change the limits of a job that runs. The record keeps each change with its time."""
    store = store_here()
    limits = make_limits(typed)
    record = change(store, store.find(job), limits, os.environ, force=force)
    print_json(public(record)) if json else print(one_line(_in_words(record, limits)))


def _in_words(record: JobRecord, changed: Limits) -> str:
    """The limits that are new, and who holds them."""
    from gravscope.cli.show import limits_in_words  # noqa: PLC0415 (not for --json)

    if not record.live:  # perhaps of this very limit
        return f"{record.id}: {record.state}: {record.reason}"
    held = record.effective or {}
    names = [name for name, limit in changed.as_dict().items() if limit is not None]
    by = "the kernel" if all(held.get(name) is not None for name in names) else "nobody"
    if by == "nobody" and record.enforcement == "watch" and changed.mem_max is not None:
        by = "gravscope's watch"
    return f"{record.id}: {', '.join(limits_in_words(changed))} from now on, held by {by}"
