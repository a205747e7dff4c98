"""`gravscope wait`."""

from __future__ import annotations

import re

from gravscope.actions.look.wait import exit_status, wait_ready
from gravscope.actions.look.wait import wait as wait_for
from gravscope.base.errors import UsageError
from gravscope.base.printable import quoted
from gravscope.base.quantity import parse_duration
from gravscope.cli.messages import one_line
from gravscope.cli.output import print_json, public, store_here

TYPE_CHECKING = False
if TYPE_CHECKING:  # for the annotations, which stay text until Typer wants them (`gravscope.cli.app`)
    from typing import Annotated

    import typer


def wait(
    jobs: Annotated[list[str], typer.Argument(metavar="JOB...", help="Ids, beginnings of ids, or names.")],
    timeout: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Give up after this long, with exit status 124.")
    ] = None,
    ready: Annotated[
        str | None, typer.Option(metavar="REGEX", help="Return when a line of the log matches, and print it.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the records as JSON.")] = False,
) -> int:
    """Sleep until jobs have ended. For one job, the exit status is the job's own."""
    store = store_here()
    seconds = parse_duration(timeout, "--timeout") if timeout else None
    ids = [store.find(job) for job in jobs]
    if ready is not None:
        return _wait_ready(ids, ready, seconds, json=json)
    records = wait_for(store, ids, seconds)
    if json:
        print_json([public(record) for record in records])
    else:
        for record in records:
            print(one_line(f"{record.id}: {record.state}: {record.reason}"))
    return exit_status(records[0]) if len(records) == 1 else int(any(map(exit_status, records)))


def _wait_ready(ids: list[str], ready: str, seconds: float | None, *, json: bool) -> int:
    if len(ids) != 1:
        raise UsageError("--ready looks at one job's log", "name one job")
    try:
        pattern = re.compile(ready)
    except re.error as error:
        raise UsageError(f"--ready: {quoted(ready)} is not a regular expression: {error}") from None
    line = wait_ready(store_here(), ids[0], pattern, seconds)
    print_json({"id": ids[0], "line": line}) if json else print(line)
    return 0
