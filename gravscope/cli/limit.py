"""`gravscope limit`."""

from __future__ import annotations

import os

from gravscope.actions.control.limit import limit as change
from gravscope.actions.launch.spec import TypedLimits, make_limits
from gravscope.base.quantity import INFINITY
from gravscope.cli.messages import one_line
from gravscope.cli.option_groups import takes
from gravscope.cli.output import print_json, public, store_here

TYPE_CHECKING = False
if TYPE_CHECKING:  # for the annotations, which stay text until Typer wants them (`gravscope.cli.app`)
    from collections.abc import Mapping
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
    """The limits that are new, and who holds them; and those that there are no more."""
    from gravscope.cli.show import limits_in_words  # noqa: PLC0415 (not for --json)

    if not record.live:  # perhaps of this very limit
        return f"{record.id}: {record.state}: {record.reason}"
    given = {name: limit for name, limit in changed.as_dict().items() if limit is not None}
    new = {name: limit for name, limit in given.items() if limit != INFINITY}
    gone = {name: limit for name, limit in given.items() if limit == INFINITY}
    said = []
    if new:
        words = ", ".join(limits_in_words(type(changed)(**new)))
        said.append(f"{words} from now on, held by {_holder(record, new)}")
    if gone:
        said.append(f"{', '.join(limits_in_words(type(changed)(**gone)))} from now on")
    return f"{record.id}: {'; '.join(said)}"


def _holder(record: JobRecord, new: Mapping[str, object]) -> str:
    held = record.effective or {}
    if all(held.get(name) is not None for name in new):
        return "the kernel"
    return "gravscope's watch" if record.enforcement == "watch" and "mem_max" in new else "nobody"
