"""`gravscope run`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated

import typer

from gravscope.actions import run as action
from gravscope.actions.spec import Typed, TypedLimits, make_spec
from gravscope.actions.wait import exit_status, wait
from gravscope.cli.logs import show_growing
from gravscope.cli.options import CpuQuota, CpuWeight, IoWeight, MemHigh, MemMax, SwapMax, TasksMax
from gravscope.cli.output import here, note, print_json, public
from gravscope.errors import UsageError
from gravscope.model import JobRecord
from gravscope.store import Store


class Launcher(StrEnum):
    """How the job gets going."""

    AUTO = "auto"
    SCOPE = "scope"
    SESSION = "session"


class Policy(StrEnum):
    """What happens when the job's own memory limit makes the kernel kill."""

    KILL = "kill"
    CONTINUE = "continue"


_LIMITS, _HOW, _AFTER = "Limits", "How it runs", "Once it runs"


def run(
    command: Annotated[
        list[str] | None, typer.Argument(metavar="COMMAND...", help="What to run, and its words.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", "-n", help="The job's name [default: from the command].")
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
    env_file: Annotated[str | None, typer.Option(help="A file of variables, one K=V a line.")] = None,
    cwd: Annotated[str | None, typer.Option(help="Its working directory [default: here].")] = None,
    shell: Annotated[bool, typer.Option("--shell", "-c", help="COMMAND is one string for bash.")] = False,
    launcher: Annotated[
        Launcher, typer.Option(help="scope: a systemd user scope; session: setsid and nohup; auto: whichever there is.")
    ] = Launcher.AUTO,
    timeout: Annotated[str | None, typer.Option(help="End it after this long (2h, 90m).")] = None,
    grace: Annotated[str | None, typer.Option(help="Time between SIGTERM and SIGKILL [default: 10s].")] = None,
    oom_policy: Annotated[
        Policy, typer.Option(help="At its memory limit, kill the whole job, or one process and continue.")
    ] = Policy.KILL,
    no_memsafe: Annotated[bool, typer.Option("--no-memsafe", help="Without OMP_NUM_THREADS=1 and the like.")] = False,
    unique: Annotated[bool, typer.Option("--unique", help="Refuse if a job of that name still runs.")] = False,
    wait_: Annotated[bool, typer.Option("--wait", help="Return when it has ended, with its exit status.")] = False,
    follow: Annotated[bool, typer.Option("--follow", help="The same, showing its output.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the command line that would start it.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the record as JSON.")] = False,
) -> int:
    """Start a job beside this terminal, and return once its command runs. Prints the job's id."""
    if follow and json:
        raise UsageError("--follow prints the job's output, --json nothing but JSON", "take one of them")
    spec = make_spec(
        Typed(
            command=command or [],
            name=name,
            shell=shell,
            cwd=cwd,
            env=env or [],
            env_file=env_file,
            limits=TypedLimits(mem_high, mem_max, swap_max, cpu_quota, cpu_weight, io_weight, tasks_max),
            launcher=launcher.value,
            timeout=timeout,
            grace=grace,
            oom_policy=oom_policy.value,
            memsafe=not no_memsafe,
            unique=unique,
        )
    )
    project = here()
    if dry_run:
        line = action.dry_run(spec, project, os.environ)
        print_json({"command_line": line}) if json else print(line)
        return 0
    record = action.run(spec, project, os.environ)
    tell(record)
    store = Store(project.jobs_dir)
    if follow:
        return _follow(store, record)
    if wait_:
        with going_on(record):
            record = wait(store, [record.id])[0]
        note(f"{record.id}: {record.state}: {record.reason}")
    print_json(public(record)) if json else print(record.id)
    return exit_status(record) if wait_ else 0


def tell(record: JobRecord) -> None:
    """What the user should know about how the job was started, each in one line."""
    if record.fallback_reason:
        note(f"without a systemd scope, in a session of its own: {record.fallback_reason}")
    if record.enforcement == "watch":
        note("the kernel does not hold --mem-max here: gravscope watches the job and kills it at the limit")
    for warning in record.warnings:
        note(warning)
    if sys.stderr.isatty():
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


def add_to(app: typer.Typer) -> None:
    """Adds the command. What follows the first word of COMMAND is the command's own, dashes or not."""
    app.command("run", context_settings={"allow_interspersed_args": False})(run)
