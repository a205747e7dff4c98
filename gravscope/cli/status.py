"""`gravscope status`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

from gravscope.actions.look.settle import UNSUPERVISED
from gravscope.actions.look.status import UNWRITTEN, Overview, Standing, overview
from gravscope.actions.look.status import status as status_of
from gravscope.actions.look.watch import changes
from gravscope.actions.look.watch import watch as watch_jobs
from gravscope.base.errors import GravscopeError, UsageError
from gravscope.base.quantity import format_duration, format_size
from gravscope.base.redact import redact_text
from gravscope.cli.called import as_called
from gravscope.cli.messages import note, one_line
from gravscope.cli.output import (
    GREEN,
    RED,
    YELLOW,
    coloured,
    columns,
    cut,
    has_escapes,
    is_coloured,
    print_json,
    public,
    store_here,
    width,
)
from gravscope.cli.redraw import Drawing
from gravscope.records.model import JobRecord
from gravscope.records.progress import Progress
from gravscope.records.store import Store
from gravscope.settings.project import here

TYPE_CHECKING = False
if TYPE_CHECKING:  # for the annotations, which stay text until Typer wants them (`gravscope.cli.app`)
    from typing import Annotated

    import typer

# cells of the bar
BAR = 5
_HEAD = ("NAME", "STATE", "MEMORY", "", "TIME", "EXIT", "ID")
_NAME, _STATE, _MEMORY, _BAR, _TIME, _EXIT, _ID = range(len(_HEAD))
# columns: the end of a longer id is enough, `records.store` finds the job by it; and the least width of other columns
_LONG_ID, _SHORT_NAME, _SHORT_ID = 40, 8, 17


def status(
    jobs: Annotated[list[str] | None, typer.Argument(metavar="JOB...", help="Only these.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", "-a", help="All jobs, also those that never started, not only the last 20.")
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on: redraw, or in a pipe a line a change.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the records as JSON.")] = False,
) -> int:
    """List jobs: live ones on top, newest first. MEMORY is now/limit of a live job, peak/limit of an ended one; DONE is
    how far one is that says so, and the time that is left."""
    store = store_here()
    wanted = [store.find(job) for job in jobs or []]
    if watch:
        if json or everything:
            raise UsageError("--watch goes with neither --json nor --all")
        return _watch(store, wanted)
    if json or wanted or everything:
        found = status_of(store, wanted, everything=everything)
        seen = Overview(found, len(found))
    else:
        seen = overview(store)
    if json:
        print_json([as_json(item) for item in seen.found])
    else:
        _print(store, seen)
    return _exit_status(seen.found) if jobs else 0


def _print(store: Store, seen: Overview) -> None:
    standings = [item for item in seen.found if isinstance(item, Standing)]
    if standings:
        print(table(standings, width(), colour=is_coloured(sys.stdout)))
    elif not seen.found:
        _tell_none(store)
    if (others := of_the_others(seen)) is not None:
        print(as_called(others))
    for item in seen.found:
        if isinstance(item, GravscopeError):
            note(str(item))
        elif UNWRITTEN in item.record.warnings:
            note(f"{item.record.id}: {UNWRITTEN}; type: df {store.jobs_dir}")


def of_the_others(seen: Overview) -> str | None:
    """That there are more jobs than these, and how to see them; None if there are none."""
    if len(seen.found) >= seen.total:
        return None
    without = f" ({seen.never_started} never started)" if seen.never_started else ""
    return f"{len(seen.found)} of {seen.total} jobs{without}; all: gravscope status -a"


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
    drawing = Drawing() if has_escapes(sys.stdout) else None
    for seen in watch_jobs(store, job_ids, every_end=drawing is None):
        standings = [item for item in seen.found if isinstance(item, Standing)]
        errors = {str(item) for item in seen.found if isinstance(item, GravscopeError)}
        if drawing is not None:
            _draw(drawing, seen, standings, sorted(errors))
        else:
            for item in changes(before, seen.found):
                print(f"{one_line(item.record.id)}: {state_of(item.record)}", flush=True)
            for error in sorted(errors - complained):
                note(error)
            complained |= errors
        if job_ids and not any(item.record.live for item in standings):
            return _exit_status(seen.found)
    return 0


def _draw(drawing: Drawing, seen: Overview, standings: list[Standing], errors: list[str]) -> None:
    most = width()
    lines = table(standings, most, colour=is_coloured(sys.stdout)).splitlines() if standings else ["no jobs yet"]
    notes = [as_called(others)] if (others := of_the_others(seen)) is not None else []
    notes += [one_line(as_called(redact_text(error))) for error in errors]
    drawing.draw(lines, [cut(line, most).rstrip() for line in notes])


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
    widths = _fitted({column: max(columns(row[column]) for row in rows) for column in range(len(_HEAD))}, most)
    lines = []
    for row, standing in zip(rows, [None, *standings], strict=True):
        # of an id the end is kept, which names it as well as all of it
        cells = {column: cut(row[column], size, front=column == _ID) for column, size in widths.items()}
        if standing is not None:
            cells[_STATE] = coloured(cells[_STATE], colour_of(standing.record), on=colour)
        lines.append(" ".join(cells.values()).rstrip())
    return "\n".join(lines)


def _fitted(widths: dict[int, int], most: int) -> dict[int, int]:
    """The columns that have room in a line, each with its width. The state is whole, and an id as long as can be: it is
    what is typed, and says the name once more."""
    widths = {column: size for column, size in widths.items() if size}

    def narrow(column: int, least: int) -> None:
        excess = sum(widths.values()) + len(widths) - 1 - most
        if column in widths and excess > 0:
            widths[column] -= max(0, min(excess, widths[column] - least))

    narrow(_ID, _LONG_ID)
    narrow(_NAME, _SHORT_NAME)
    for column in (_BAR, _NAME, _TIME, _EXIT, _MEMORY):
        if sum(widths.values()) + len(widths) - 1 > most:
            widths.pop(column, None)
    narrow(_ID, _SHORT_ID)
    return widths


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
