"""`gravscope show`, and `gravscope path` to the record itself."""

from __future__ import annotations

import shlex
from datetime import datetime
from typing import Annotated

import typer

from gravscope.actions.hide import hide_secrets
from gravscope.actions.status import Standing, standing
from gravscope.cli.output import print_json, store_here
from gravscope.cli.status import as_json, state_of
from gravscope.model import JobRecord, Limits
from gravscope.outcome import signal_name
from gravscope.quantity import format_duration, format_size


def show(
    job: Annotated[str, typer.Argument(metavar="JOB", help="Id, the beginning of one, a name, or a record (.json).")],
    json: Annotated[bool, typer.Option("--json", help="Print the record as JSON.")] = False,
) -> None:
    """Tell one job in words: what was asked, what holds, what happened and why, what to type next."""
    store, job_id = store_here().locate(job)
    found = standing(store, store.read(job_id))
    print_json(as_json(found)) if json else print(in_words(found))


def path(
    job: Annotated[str, typer.Argument(metavar="JOB", help="Id, the beginning of one, a name, or a record (.json).")],
    json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Print where the record of a job is."""
    store, job_id = store_here().locate(job)
    found = str(store.record_path(job_id))
    print_json({"path": found}) if json else print(found)


def in_words(found: Standing) -> str:
    """The job as text, a heading and four paragraphs."""
    record = found.record
    paragraphs = [
        ("asked", _asked(record)),
        ("holds", _holds(record)),
        ("happened", _happened(found)),
        ("next", _next(record)),
    ]
    lines = [f"{record.id}: {state_of(record)}" + (f": {record.reason}" if record.reason else "")]
    for title, texts in paragraphs:
        for number, text in enumerate(texts):
            lines.append(f"{title if number == 0 else '':<10}{text}")
    return "\n".join(lines)


def _asked(record: JobRecord) -> list[str]:
    command = record.cmd[0] if record.shell and len(record.cmd) == 1 else shlex.join(record.cmd)
    lines = [command, f"in {record.cwd}"]
    if record.env:
        lines.append("with " + " ".join(f"{name}={value}" for name, value in hide_secrets(record.env).items()))
    given = limits_in_words(record.limits)
    if record.timeout:
        given.append(f"timeout {format_duration(record.timeout)}")
    return [*lines, ", ".join(given) if given else "no limits"]


def limits_in_words(limits: Limits) -> list[str]:
    """Each limit that is set, as `memory high 6G`."""
    named = [
        ("memory high", limits.mem_high and format_size(limits.mem_high)),
        ("memory max", limits.mem_max and format_size(limits.mem_max)),
        ("swap max", None if limits.swap_max is None else format_size(limits.swap_max)),
        ("CPU quota", limits.cpu_quota and f"{limits.cpu_quota:g}%"),
        ("CPU weight", limits.cpu_weight and str(limits.cpu_weight)),
        ("IO weight", limits.io_weight and str(limits.io_weight)),
        ("tasks max", limits.tasks_max and str(limits.tasks_max)),
    ]
    return [f"{name} {value}" for name, value in named if value]


def _holds(record: JobRecord) -> list[str]:
    if record.unit is not None:
        lines = [f"unit {record.unit}" + (f" in {record.slice}" if record.slice else "")]
    elif record.fallback_reason:
        lines = [f"a session of its own, without systemd: {record.fallback_reason}"]
    else:
        lines = ["a session of its own, without systemd"]
    if record.enforcement == "kernel":
        held = record.effective or {}
        names = [("mem_high", "memory high"), ("mem_max", "memory max"), ("swap_max", "swap max")]
        parts = [
            f"{title} {format_size(int(held[name] or 0))}" for name, title in names if isinstance(held.get(name), int)
        ]
        lines.append(f"the kernel holds {', '.join(parts)}")
    elif record.enforcement == "watch":
        lines.append("the kernel holds no memory limit: gravscope's watch kills the job at memory max")
    else:
        lines.append("nobody holds a memory limit")
    return [*lines, *record.warnings]


def _happened(found: Standing) -> list[str]:
    record = found.record
    lines = [f"started {_clock(record.started)}" if record.started else f"asked for {_clock(record.created)}"]
    if record.live and found.memory is not None:
        lines.append(f"runs for {format_duration(found.seconds)}, uses {format_size(found.memory)} of memory")
    if record.ended:
        lasted = f" after {format_duration(record.duration)}" if record.duration is not None else ""
        lines.append(f"ended {_clock(record.ended)}{lasted}")
    if not record.live and record.state != "never-started":
        lines.append(_own_end(record))
    if record.outlived is not None and record.outlived >= 0.1:
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
    if record.pid is not None:
        beside = f", supervisor {record.supervisor_pid}" if record.supervisor_pid else ""
        lines.append(f"pid {record.pid}, process group {record.pgid}{beside}")
    return [*lines, f"log {record.log_file}"]


def _own_end(record: JobRecord) -> str:
    if record.signal is not None:
        return f"its command was ended by {signal_name(record.signal)} ({record.signal})"
    return "its exit status is not known" if record.exit_code is None else f"its exit status was {record.exit_code}"


def _next(record: JobRecord) -> list[str]:
    if record.paused:
        return [f"gravscope resume {record.id}", f"gravscope cancel {record.id}"]
    if record.throttled:
        return [
            f"gravscope limit {record.id} --mem-high {_more(record)}    to give it room",
            f"gravscope cancel {record.id}    to end it; without swap it may crawl like this for ever",
        ]
    if record.live:
        return [f"gravscope logs -f {record.id}", f"gravscope cancel {record.id}"]
    if record.state == "oom-killed":
        return [f"gravscope logs -n 20 {record.id}", "run it again with a higher --mem-max, or with less to do at once"]
    if record.state == "never-started":
        return ["mend what is said above, and run it again"]
    return [f"gravscope logs {record.id}"]


def _more(record: JobRecord) -> str:
    """Half as much again as the limit at which the job is slowed down."""
    limit = record.limits.mem_high if isinstance(record.limits.mem_high, int) else record.limits.mem_max
    return f"{int(limit * 1.5) >> 20}M" if isinstance(limit, int) else "8G"


def _clock(text: str | None) -> str:
    return (
        "at a time not known" if not text else datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    )


def add_to(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("show")(show)
    app.command("path")(path)
