"""`gravscope status`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

from gravscope.actions.look.settle import UNSUPERVISED
from gravscope.actions.look.status import UNWRITTEN, Standing
from gravscope.actions.look.status import status as status_of
from gravscope.actions.look.watch import changes
from gravscope.actions.look.watch import watch as watch_jobs
from gravscope.base.errors import GravscopeError, UsageError
from gravscope.base.quantity import format_duration, format_size
from gravscope.base.redact import redact_text
from gravscope.cli import complain, note, one_line
from gravscope.cli.output import (
    GREEN,
    RED,
    YELLOW,
    coloured,
    columns,
    cut,
    is_coloured,
    print_json,
    public,
    store_here,
    width,
)
from gravscope.records.model import JobRecord
from gravscope.records.progress import Progress
from gravscope.records.store import Store
from gravscope.settings.project import here

TYPE_CHECKING = False
if TYPE_CHECKING:  # for the annotations, which stay text until Typer wants them (`gravscope.cli.app`)
    from typing import Annotated

    import typer

BAR = 5
_HEAD = ("NAME", "STATE", "MEMORY", "", "TIME", "EXIT", "ID")
_EXIT, _ID = 5, 6


def status(
    jobs: Annotated[list[str] | None, typer.Argument(metavar="JOB...", help="Only these.")] = None,
    everything: Annotated[bool, typer.Option("--all", "-a", help="All jobs, not only the last 20.")] = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on: redraw, or in a pipe a line a change.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the records as JSON.")] = False,
) -> int:
    """List jobs: live ones on top, newest first. MEMORY is now/limit of a live job, peak/limit of an ended one; DONE is
    how far one is that says so, and the time that is left."""
    store = store_here()
    if watch:
        if json or everything:
            raise UsageError("--watch goes with neither --json nor --all")
        return _watch(store, [store.find(job) for job in jobs or []])
    found = status_of(store, [store.find(job) for job in jobs or []], everything=everything)
    if json:
        print_json([as_json(item) for item in found])
        return _exit_status(found) if jobs else 0
    standings = [item for item in found if isinstance(item, Standing)]
    if standings:
        print(table(standings, width(), colour=is_coloured(sys.stdout)))
    elif not found:
        _tell_none(store)
    for item in found:
        if isinstance(item, GravscopeError):
            complain(str(item))
        elif UNWRITTEN in item.record.warnings:
            note(f"{item.record.id}: {UNWRITTEN}; type: df {store.jobs_dir}")
    return _exit_status(found) if jobs else 0


def _tell_none(store: Store) -> None:
    """That there is no job here; whoever sits at a terminal is told how to start one, and why one may be missing."""
    print(f"no jobs yet in {store.jobs_dir}")
    if sys.stderr.isatty():
        note("start one: gravscope run -n NAME -- COMMAND…")
        if here().root is None:
            note("the jobs of a project are listed in its folder, and below it")


def _exit_status(found: list[Standing | GravscopeError]) -> int:
    """That of the first job that was asked for and cannot be told; a list of all tells the others as well."""
    return next((item.exit_code for item in found if isinstance(item, GravscopeError)), 0)


def _watch(store: Store, job_ids: list[str]) -> int:
    """Redraws in place on a terminal; elsewhere prints a line for every change. Ends with the jobs that were named."""
    before: dict[str, str] = {}
    complained: set[str] = set()
    for found in watch_jobs(store, job_ids):
        news = changes(before, found)
        standings = [item for item in found if isinstance(item, Standing)]
        errors = {str(item) for item in found if isinstance(item, GravscopeError)}
        if sys.stdout.isatty():
            # cursor home, then each line cleared to its end, then everything below (ECMA-48 CUP, EL, ED)
            colour = is_coloured(sys.stdout)
            lines = table(standings, width(), colour=colour).splitlines() if standings else ["no jobs yet"]
            lines += [cut(one_line(redact_text(error)), width()).rstrip() for error in sorted(errors)]
            print("\x1b[H" + "".join(f"{line}\x1b[K\n" for line in lines) + "\x1b[J", end="", flush=True)
        else:
            for item in news:
                print(f"{one_line(item.record.id)}: {state_of(item.record)}", flush=True)
            for error in sorted(errors - complained):
                complain(error)
            complained |= errors
        if job_ids and not any(item.record.live for item in standings):
            return _exit_status(found)
    return 0


def as_json(item: Standing | GravscopeError) -> dict[str, Any]:
    """One job, or the error that stands in its place."""
    if isinstance(item, GravscopeError):
        return {"error": one_line(redact_text(item.message))}
    progress = None if item.progress is None else asdict(item.progress)
    return {**public(item.record), "memory_now": item.memory, "progress": progress}


def table(standings: list[Standing], most: int, *, colour: bool = False) -> str:
    """The jobs as a table of at most `most` columns."""
    head = [*_HEAD]
    if any(standing.progress for standing in standings):
        head[_EXIT] = "DONE/EXIT"
    rows = [tuple(head), *(_cells(standing) for standing in standings)]
    widths = [max(columns(row[column]) for row in rows) for column in range(len(_HEAD))]
    gaps = len(_HEAD) - 1
    # name and id give way, in this order: the id says the name once more
    excess = sum(widths) + gaps - most
    for column, least in ((0, 8), (_ID, 17)):
        less = max(0, min(excess, widths[column] - least))
        widths[column] -= less
        excess -= less
    lines = []
    for row, standing in zip(rows, [None, *standings], strict=True):
        # of an id the end is kept, which names it as well as all of it
        cells = [cut(cell, size, front=at == _ID) for at, (cell, size) in enumerate(zip(row, widths, strict=True))]
        if standing is not None:
            cells[1] = coloured(cells[1], colour_of(standing.record), on=colour)
        lines.append(" ".join(cells).rstrip())
    return "\n".join(lines)


def colour_of(record: JobRecord) -> int | None:
    """The colour of a job's state: whether it is good, bad, or to be looked at; none for one that just runs."""
    shown = state_of(record)
    if shown in ("queued", "starting", "running"):
        return None
    if shown == "succeeded":
        return GREEN
    return YELLOW if shown in ("paused", "throttled", "unsupervised", "cancelled") else RED


def _cells(standing: Standing) -> tuple[str, ...]:
    record = standing.record
    used = standing.memory if record.live else record.peak_memory
    code = "-" if record.exit_code is None else str(record.exit_code)
    if standing.progress is not None and record.live:
        code = in_short(standing.progress)
    return (
        one_line(record.name),
        state_of(record) + (f" {_place(record)}" if record.foreground and record.live else ""),
        f"{format_size(used)}/{format_size(standing.limit)}" if used or standing.limit else "-",
        bar(used, standing.limit),
        format_duration(standing.seconds),
        code if record.signal is None else f"s{record.signal}",
        one_line(record.id),
    )


def in_short(progress: Progress) -> str:
    """How far a job is, and how long it will take: `42% 5m00s`."""
    left = "" if progress.eta is None else f" {format_duration(progress.eta)}"
    return f"{progress.percent}%{left}"


def _place(record: JobRecord) -> str:
    """Where a job in the foreground is: its terminal, as ps(1) names it."""
    return one_line(record.terminal.removeprefix("/dev/")) if record.terminal else "fg"


def state_of(record: JobRecord) -> str:
    """The state, or what says more of `running`."""
    if record.state != "running":
        return record.state
    if UNSUPERVISED in record.warnings:
        return "unsupervised"
    return "paused" if record.paused else "throttled" if record.throttled else record.state


def bar(used: int | None, limit: int | None) -> str:
    """How much of the limit is used, in ASCII: block characters are two columns wide on some Japanese terminals."""
    if used is None or not limit:
        return ""
    full = min(BAR, round(BAR * used / limit))
    return "#" * full + "." * (BAR - full)
