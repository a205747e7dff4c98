"""`gravscope status`."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from gravscope.actions.status import Standing
from gravscope.actions.status import status as status_of
from gravscope.actions.watch import changes
from gravscope.actions.watch import watch as watch_jobs
from gravscope.cli import complain
from gravscope.cli.output import print_json, public, store_here, width
from gravscope.errors import GravscopeError, UsageError
from gravscope.model import JobRecord
from gravscope.quantity import format_duration, format_size
from gravscope.store import Store

BAR = 5
_HEAD = ("NAME", "STATE", "MEMORY", "", "TIME", "EXIT", "ID")


def status(
    jobs: Annotated[list[str] | None, typer.Argument(metavar="JOB...", help="Only these.")] = None,
    everything: Annotated[bool, typer.Option("--all", "-a", help="All jobs, not only the last 20.")] = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on: redraw, or in a pipe a line a change.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the records as JSON.")] = False,
) -> int:
    """List jobs: live ones on top, newest first. MEMORY is now/limit of a live job, peak/limit of an ended one."""
    store = store_here()
    if watch:
        if json or everything:
            raise UsageError("--watch goes with neither --json nor --all")
        _watch(store, [store.find(job) for job in jobs or []])
        return 0
    found = status_of(store, [store.find(job) for job in jobs or []], everything=everything)
    if json:
        print_json([as_json(item) for item in found])
        return 0
    standings = [item for item in found if isinstance(item, Standing)]
    if standings:
        print(table(standings, width()))
    elif not found:
        print(f"no jobs yet in {store.jobs_dir}")
    for item in found:
        if isinstance(item, GravscopeError):
            complain(str(item))
    return 0


def _watch(store: Store, job_ids: list[str]) -> None:
    """Redraws in place on a terminal; elsewhere prints a line for every change. Ends with the jobs that were named."""
    before: dict[str, str] = {}
    for found in watch_jobs(store, job_ids):
        news = changes(before, found)
        standings = [item for item in found if isinstance(item, Standing)]
        if sys.stdout.isatty():
            # cursor home, then each line cleared to its end, then everything below (ECMA-48 CUP, EL, ED)
            lines = table(standings, width()).splitlines() if standings else ["no jobs yet"]
            print("\x1b[H" + "".join(f"{line}\x1b[K\n" for line in lines) + "\x1b[J", end="", flush=True)
        else:
            for item in news:
                print(f"{item.record.id}: {state_of(item.record)}", flush=True)
        if job_ids and not any(item.record.live for item in standings):
            return


def as_json(item: Standing | GravscopeError) -> dict[str, Any]:
    """One job, or the error that stands in its place."""
    if isinstance(item, GravscopeError):
        return {"error": item.message}
    return {**public(item.record), "memory_now": item.memory}


def table(standings: list[Standing], columns: int) -> str:
    """The jobs as a table of at most `columns` columns."""
    rows = [_HEAD, *(_cells(standing) for standing in standings)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    gaps = len(_HEAD) - 1
    # name and id give way, in this order: the id says the name once more
    excess = sum(widths) + gaps - columns
    for column, least in ((0, 8), (6, 17)):
        cut = max(0, min(excess, widths[column] - least))
        widths[column] -= cut
        excess -= cut
    lines = []
    for row in rows:
        cells = [
            _fit(cell, size, front=column == 6) for column, (cell, size) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(" ".join(cells).rstrip())
    return "\n".join(lines)


def _fit(cell: str, size: int, *, front: bool) -> str:
    """`cell` in `size` columns; of an id the end is kept, which names it as well as all of it."""
    if len(cell) <= size:
        return cell.ljust(size)
    return "…" + cell[len(cell) - size + 1 :] if front else cell[: size - 1] + "…"


def _cells(standing: Standing) -> tuple[str, ...]:
    record = standing.record
    used = standing.memory if record.live else record.peak_memory
    code = "-" if record.exit_code is None else str(record.exit_code)
    return (
        record.name,
        state_of(record),
        f"{format_size(used)}/{format_size(standing.limit)}" if used or standing.limit else "-",
        bar(used, standing.limit),
        format_duration(standing.seconds),
        code if record.signal is None else f"s{record.signal}",
        record.id,
    )


def state_of(record: JobRecord) -> str:
    """The state, or the flag on `running` that says more."""
    if record.state == "running" and (record.paused or record.throttled):
        return "paused" if record.paused else "throttled"
    return record.state


def bar(used: int | None, limit: int | None) -> str:
    """How much of the limit is used, in ASCII: block characters are two columns wide on some Japanese terminals."""
    if used is None or not limit:
        return ""
    full = min(BAR, round(BAR * used / limit))
    return "#" * full + "." * (BAR - full)


def add_to(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("status")(status)
