"""`gravscope run`."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Annotated

import typer

from gravscope.actions import run as action
from gravscope.actions.foreground import run_in_foreground
from gravscope.actions.hide import HIDDEN
from gravscope.actions.spec import Typed, TypedLimits, make_spec
from gravscope.actions.wait import exit_status, wait
from gravscope.cli.logs import show_growing
from gravscope.cli.options import (
    CpuQuota,
    CpuWeight,
    DryRun,
    EnvFile,
    Follow,
    Foreground,
    IoWeight,
    Json,
    Launcher,
    MemHigh,
    MemMax,
    Notify,
    Policy,
    SwapMax,
    TasksMax,
    Timeout,
    Unique,
    Wait,
)
from gravscope.cli.output import note, print_json, public
from gravscope.errors import UsageError
from gravscope.host import given_environment
from gravscope.model import JobRecord, JobSpec
from gravscope.project import Project, here
from gravscope.store import Store


def run(
    command: Annotated[
        list[str] | None, typer.Argument(metavar="COMMAND...", help="What to run, and its words.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", "-n", metavar="NAME", help="The job's name [default: from the command].")
    ] = None,
    mem_high: MemHigh = None,
    mem_max: MemMax = None,
    swap_max: SwapMax = None,
    cpu_quota: CpuQuota = None,
    cpu_weight: CpuWeight = None,
    io_weight: IoWeight = None,
    tasks_max: TasksMax = None,
    env: Annotated[
        list[str] | None, typer.Option("--env", "-e", metavar="K=V", help="A variable; may be repeated.")
    ] = None,
    env_file: EnvFile = None,
    cwd: Annotated[str | None, typer.Option(metavar="DIR", help="Its working directory [default: here].")] = None,
    shell: Annotated[bool, typer.Option("--shell", "-c", help="COMMAND is one string for bash.")] = False,
    launcher: Annotated[
        Launcher | None,
        typer.Option(
            help="scope: a systemd user scope; session: setsid and nohup; auto: whichever there is [default: auto]."
        ),
    ] = None,
    timeout: Timeout = None,
    grace: Annotated[
        str | None, typer.Option(metavar="TIME", help="Time between SIGTERM and SIGKILL [default: 10s].")
    ] = None,
    oom_policy: Annotated[
        Policy | None,
        typer.Option(help="At its memory limit, kill the whole job, or one process and continue [default: kill]."),
    ] = None,
    no_memsafe: Annotated[
        bool | None,
        typer.Option("--no-memsafe/--memsafe", help="Without OMP_NUM_THREADS=1 and the like [default: with]."),
    ] = None,
    unique: Unique = False,
    notify: Notify = False,
    wait_: Wait = False,
    follow: Follow = False,
    fg: Foreground = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> int:
    """Start a job beside this terminal, and return once its command runs. Prints the job's id."""
    after = Afterwards(wait=wait_, follow=follow, fg=fg, dry_run=dry_run, json=json)
    project = here()
    spec = make_spec(
        Typed(
            command=command or [],
            name=name,
            shell=shell,
            cwd=cwd,
            env=env or [],
            env_file=env_file,
            limits=TypedLimits(mem_high, mem_max, swap_max, cpu_quota, cpu_weight, io_weight, tasks_max),
            launcher=None if launcher is None else launcher.value,
            timeout=timeout,
            grace=grace,
            oom_policy=None if oom_policy is None else oom_policy.value,
            memsafe=None if no_memsafe is None else not no_memsafe,
            unique=unique,
            foreground=fg,
            notify=notify,
        ),
        project,
    )
    return carry_out(spec, project, after)


@dataclass(frozen=True)
class Afterwards:
    """What is to follow once there is a spec. Raises UsageError for what does not go together."""

    wait: bool
    follow: bool
    fg: bool
    dry_run: bool
    json: bool

    def __post_init__(self) -> None:
        if self.follow and self.json:
            raise UsageError("--follow prints the job's output, --json nothing but JSON", "take one of them")
        if self.fg and (self.wait or self.follow or (self.json and not self.dry_run)):
            raise UsageError("--fg hands the terminal to the command, and waits for it", "leave the other option away")


def carry_out(spec: JobSpec, project: Project, after: Afterwards) -> int:
    """Starts the job, does what is to follow, and returns the exit status."""
    environ = given_environment()
    if after.dry_run:
        return _print_line(action.dry_run(spec, project, environ), json=after.json)
    if after.fg:
        return _in_foreground(spec, project, environ)
    record = action.run(spec, project, environ)
    tell(record)
    store = Store(project.jobs_dir)
    if after.follow:
        return _follow(store, record)
    if after.wait:
        with going_on(record):
            record = wait(store, [record.id])[0]
        note(f"{record.id}: {record.state}: {record.reason}")
    print_json(public(record)) if after.json else print(record.id)
    return exit_status(record) if after.wait else 0


def _print_line(line: str, *, json: bool) -> int:
    if HIDDEN in line:
        note(f"what looks like a secret is shown as {HIDDEN}: put it in before you paste this")
    print_json({"command_line": action.printable(line)}) if json else _print_exactly(line)
    return 0


def _print_exactly(line: str) -> None:
    """What is to be pasted: bytes that are no text stay what they are."""
    sys.stdout.flush()
    sys.stdout.buffer.write(os.fsencode(line) + b"\n")


def tell(record: JobRecord) -> None:
    """What the user should know about how the job was started, each in one line."""
    if record.fallback_reason:
        where = "" if record.foreground else ", in a session of its own"
        note(f"without a systemd scope{where}: {record.fallback_reason}")
    if record.enforcement == "watch":
        note("the kernel does not hold --mem-max here: gravscope watches the job and kills it at the limit")
    for warning in record.warnings:
        note(warning)
    if sys.stderr.isatty() and not record.foreground:
        note(f"{record.id} runs; follow it with: gravscope logs -f {record.id}")


@contextmanager
def going_on(record: JobRecord) -> Iterator[None]:
    """While we wait for a job, Ctrl-C ends our waiting and not the job, and we say so."""
    try:
        yield
    except KeyboardInterrupt:
        note(f"{record.id} goes on; type: gravscope cancel {record.id}, or gravscope logs -f {record.id}")
        raise


def _follow(store: Store, record: JobRecord) -> int:
    note(f"{record.id}: its log is {record.log_file}")
    with going_on(record):
        show_growing(store, record.id)
    record = store.read(record.id)
    note(f"{record.id}: {record.state}: {record.reason}")
    return exit_status(record)


def _in_foreground(spec: JobSpec, project: Project, environ: Mapping[str, str]) -> int:
    """What there is to say is said when the command has ended: until then the terminal is its own."""
    finished = run_in_foreground(spec, project, environ)
    record = finished.record
    interrupted = (record.state, record.signal) == ("killed", signal.SIGINT)
    with suppress(OSError):  # the terminal may be gone
        tell(record)
        if finished.goes_on:
            note(f"{record.id}: its background processes go on; type: gravscope show {record.id}")
        # of its own exit status, and of Ctrl-C, a shell says nothing either
        elif record.state not in ("succeeded", "failed") and not interrupted:
            note(f"{record.id}: {record.state}: {record.reason}")
    if interrupted and record.terminal:
        # to the shell that is 130 as well; but only so does Ctrl-C end a loop of such commands, too
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    return finished.status


def add_to(app: typer.Typer) -> None:
    """Adds the command. What follows the first word of COMMAND is the command's own, dashes or not."""
    app.command("run", context_settings={"allow_interspersed_args": False})(run)
