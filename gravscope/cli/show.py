"""`gravscope show`, and `gravscope path` to the record itself."""

from __future__ import annotations

import shlex
import sys
from datetime import datetime

from gravscope.actions.launch.rerun import doubt_about
from gravscope.actions.look.owner import read_for_display
from gravscope.actions.look.status import Standing, standing
from gravscope.base.quantity import INFINITY, Size, format_duration, format_size
from gravscope.cli.called import as_called
from gravscope.cli.messages import one_line
from gravscope.cli.output import coloured, is_coloured, print_json, store_here
from gravscope.cli.status import as_json, colour_of, state_of
from gravscope.records.model import JobRecord
from gravscope.records.outcome import OUTLIVED, signal_name
from gravscope.records.progress import Progress
from gravscope.records.redacted import redacted
from gravscope.records.spec import Limits

TYPE_CHECKING = False
if TYPE_CHECKING:  # for the annotations, which stay text until Typer wants them (`gravscope.cli.app`)
    from typing import Annotated

    import typer

_BAR = 30


def show(
    job: Annotated[str, typer.Argument(metavar="JOB", help="Id, the beginning of one, a name, or a record (.json).")],
    json: Annotated[bool, typer.Option("--json", help="Print the record as JSON.")] = False,
) -> None:
    """Tell in words what became of a job, and why. Also what was asked, what holds, and what to type next."""
    store, job_id = store_here().locate(job)
    found = standing(store, read_for_display(store, job_id))
    print_json(as_json(found)) if json else print(in_words(found, colour=is_coloured(sys.stdout)))


def path(
    job: Annotated[str, typer.Argument(metavar="JOB", help="Id, the beginning of one, a name, or a record (.json).")],
    json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Print where the record of a job is."""
    store, job_id = store_here().locate(job)
    found = str(store.record_path(job_id))
    print_json({"path": found}) if json else print(found)


def in_words(found: Standing, *, colour: bool = False) -> str:
    """The job as text, a heading and a few paragraphs."""
    record = redacted(found.record)
    paragraphs = [
        ("asked", _asked(record)),
        ("holds", _holds(record)),
        ("progress", [in_full(found.progress)] if found.progress else []),
        ("happened", _happened(record, found.memory, found.seconds)),
        ("next", [as_called(line) for line in _next(record)]),
    ]
    lines = [f": {record.reason}" if record.reason else ""]
    for title, texts in paragraphs:
        for number, text in enumerate(texts):
            lines.append(f"{title if number == 0 else '':<10}{text}")
    # the lines of a shell's program stay lines; nothing in a record tells a terminal to do anything
    text = "\n".join(one_line(line) for line in "\n".join(lines).split("\n"))
    return f"{one_line(record.id)}: {coloured(state_of(record), colour_of(record), on=colour)}{text}"


def _asked(record: JobRecord) -> list[str]:
    command = record.cmd[0] if record.shell and len(record.cmd) == 1 else shlex.join(record.cmd)
    lines = [command, f"in {record.cwd}"]
    if record.env:
        lines.append("with " + " ".join(f"{name}={value}" for name, value in record.env.items()))
    given = limits_in_words(record.limits)
    if record.timeout:
        given.append(f"--timeout {format_duration(record.timeout)}")
    return [*lines, ", ".join(given) if given else "no limits"]


def limits_in_words(limits: Limits) -> list[str]:
    """Each limit that is set, as it is typed: `--mem-high 6G`."""
    sizes = [("--mem-high", limits.mem_high), ("--mem-max", limits.mem_max), ("--swap-max", limits.swap_max)]
    others = [
        ("--cpu-quota", limits.cpu_quota and f"{limits.cpu_quota:g}%"),
        ("--cpu-weight", limits.cpu_weight and str(limits.cpu_weight)),
        ("--io-weight", limits.io_weight and str(limits.io_weight)),
        ("--tasks-max", limits.tasks_max and str(limits.tasks_max)),
    ]
    given = [_amount(name, size) for name, size in sizes if size is not None]
    return given + [f"no {name}" if value == INFINITY else f"{name} {value}" for name, value in others if value]


def _amount(name: str, size: Size) -> str:
    """`--mem-high 6G`; a job that has no swap at all mostly never asked about it, and is told so in words."""
    if size == INFINITY:
        return f"no {name}"
    return "no swap" if (name, size) == ("--swap-max", 0) else f"{name} {format_size(size)}"


def _holds(record: JobRecord) -> list[str]:
    if record.unit is not None:
        lines = [f"unit {record.unit}" + (f" in {record.slice}" if record.slice else "")]
    else:
        where = "the session of whoever started it" if record.foreground else "a session of its own"
        why = f": {record.fallback_reason}" if record.fallback_reason else ""
        lines = [f"{where}, without systemd{why}"]
    if record.foreground:
        lines.append(f"in the foreground of {record.terminal}" if record.terminal else "in the foreground")
    if record.enforcement == "kernel":
        held = record.effective or {}
        names = [("mem_high", "--mem-high"), ("mem_max", "--mem-max"), ("swap_max", "--swap-max")]
        parts = [_amount(title, int(held[name] or 0)) for name, title in names if isinstance(held.get(name), int)]
        lines.append(f"the kernel holds {', '.join(parts)}")
    elif record.enforcement == "watch":
        lines.append("the kernel holds no memory limit: gravscope's watch kills the job above --mem-max")
    else:
        lines.append("nobody holds a memory limit")
    return [*lines, *record.warnings]


def _happened(record: JobRecord, memory: int | None, seconds: float | None) -> list[str]:
    lines = [f"started {_clock(record.started)}" if record.started else f"asked for {_clock(record.created)}"]
    lines += [f"run again for {record.rerun_of}"] if record.rerun_of else []
    lines += [f"run again as {', '.join(record.rerun_as)}"] if record.rerun_as else []
    if record.live and memory is not None:
        lines.append(f"runs for {format_duration(seconds)}, uses {format_size(memory)} of memory")
    if record.ended:
        lasted = f" after {format_duration(record.duration)}" if record.duration is not None else ""
        lines.append(f"ended {_clock(record.ended)}{lasted}")
    if not record.live and record.state != "never-started":
        lines.append(_own_end(record))
    if record.outlived is not None and record.outlived >= OUTLIVED:
        lines.append(f"its background processes went on for {format_duration(record.outlived)} after its command")
    if record.peak_memory is not None:
        how = " (sampled)" if record.peak_memory_source == "sampled" else ""
        lines.append(f"peak memory {format_size(record.peak_memory)}{how}, CPU {format_duration(record.cpu_seconds)}")
    elif not record.live:
        lines.append("peak memory not measured")
    if record.throttled:
        lines.append("throttled: it is at its memory limit, and the kernel makes it wait for every page that it takes")
    for change in record.limit_changes:
        lines.append(f"limits changed {_clock(change.at)} by {change.by}: {', '.join(limits_in_words(change.limits))}")
    if record.oom_kills:
        lines.append(f"the kernel killed {record.oom_kills} of its processes for memory")
    if record.cancel is not None:
        lines.append(f"cancel asked for by {record.cancel.by}, {_clock(record.cancel.requested)}")
        lines += [f"  {step.step}" + (f": {step.error}" if step.error else "") for step in record.cancel.steps]
    for told in record.notified:
        how = f"told {_clock(told.at)}" if told.error is None else f"could not be told {_clock(told.at)}: {told.error}"
        lines.append(f"notify: {told.channel} {how}")
    if record.pid is not None:
        beside = f", supervisor {record.supervisor_pid}" if record.supervisor_pid else ""
        group = f", process group {record.pgid}" if record.pgid else ""
        lines.append(f"pid {record.pid}{group}{beside}")
    return [*lines, f"log {record.log_file}"]


def in_full(progress: Progress) -> str:
    """How far a job is, with a bar, in ASCII as that of `status`."""
    words = [f"{progress.done}/{progress.total}"] if progress.total is not None else []
    words += [f"[{progress.stage}]"] if progress.stage else []
    words += [f"{format_duration(progress.eta)} left"] if progress.eta is not None else []
    full = int(_BAR * progress.fraction)
    return f"[{'#' * full}{'.' * (_BAR - full)}] {progress.percent}%  {', '.join(words)}".rstrip()


def _own_end(record: JobRecord) -> str:
    if record.signal is not None:
        return f"its command was ended by {signal_name(record.signal)} ({record.signal})"
    return "its exit status is not known" if record.exit_code is None else f"its exit status was {record.exit_code}"


def _next(record: JobRecord) -> list[str]:
    if record.paused:
        return [f"gravscope resume {record.id}", f"gravscope cancel {record.id}"]
    if record.throttled:
        return [
            f"gravscope limit {record.id} --mem-high {_more(record)}    # to give it room",
            f"gravscope cancel {record.id}    # to end it; without swap it may crawl like this for ever",
        ]
    if record.live:
        return [f"gravscope logs -f {record.id}", f"gravscope cancel {record.id}"]
    return _next_of_ended(record)


def _next_of_ended(record: JobRecord) -> list[str]:
    logs, again = f"gravscope logs {record.id}", f"gravscope rerun {record.id}"
    if record.state == "oom-killed":
        return [f"gravscope logs -n 20 {record.id}", _with_more(record)]
    if doubt_about(record) is not None:
        return ["mend what is said above, and run it again"] if record.state == "never-started" else [logs]
    if record.state == "never-started":
        return [f"{again}    # once what is said above is mended"]
    if record.state == "timed-out":
        return [logs, f"{again} --timeout DURATION    # to give it longer"]
    return [logs] if record.state == "succeeded" else [logs, again]


def _with_more(record: JobRecord) -> str:
    """What to do about a job that was killed for memory: its own limit may be raised, the machine's memory not."""
    if not isinstance(record.limits.mem_max, int) or doubt_about(record) is not None:
        return "run it again with a higher --mem-max, or with less to do at once"
    more = f"{record.limits.mem_max * 2 >> 20}M"
    return f"gravscope rerun {record.id} --mem-max {more}    # or give it less to do at once"


def _more(record: JobRecord) -> str:
    """Half as much again as the limit at which the job is slowed down."""
    limit = record.limits.mem_high if isinstance(record.limits.mem_high, int) else record.limits.mem_max
    return f"{int(limit * 1.5) >> 20}M" if isinstance(limit, int) else "8G"


def _clock(text: str | None) -> str:
    try:
        moment = datetime.fromisoformat(text or "").astimezone()
    except (ValueError, OverflowError):  # such as that of a request, which nobody has looked at when it was read
        return text or "at a time not known"
    return moment.strftime("%Y-%m-%d %H:%M:%S")
