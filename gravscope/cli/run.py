"""`gravscope run`."""

from __future__ import annotations

import sys

from gravscope.actions.launch.launch import launch
from gravscope.actions.launch.spec import Typed, TypedLimits, make_spec
from gravscope.base.errors import UsageError
from gravscope.base.immutable import Immutable
from gravscope.cli import note
from gravscope.settings.project import here
from gravscope.systemd.host import given_environment

TYPE_CHECKING = False
if TYPE_CHECKING:  # for the annotations, which stay text until Typer wants them (`gravscope.cli.app`)
    from typing import Annotated

    import typer

    from gravscope.actions.launch.launch import Facts
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
    from gravscope.records.spec import JobSpec
    from gravscope.settings.project import Project


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
        list[str] | None, typer.Option("--env", "-e", metavar="NAME=VALUE", help="A variable; may be repeated.")
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
        str | None, typer.Option(metavar="DURATION", help="Time between SIGTERM and SIGKILL [default: 10s].")
    ] = None,
    oom_policy: Annotated[
        Policy | None,
        typer.Option(help="At its memory limit, kill the whole job, or one process and continue [default: kill]."),
    ] = None,
    memsafe: Annotated[
        bool | None,
        typer.Option(
            "--memsafe/--no-memsafe",
            help="Numerical libraries get one thread, to save memory (OMP_NUM_THREADS=1 and the like) [default: yes].",
        ),
    ] = None,
    unique: Unique = False,
    notify: Notify = False,
    wait_: Wait = False,
    follow: Follow = False,
    fg: Foreground = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> int:
    """Start a job beside this terminal, and print its id. Returns once its command runs."""
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
            launcher=launcher,
            timeout=timeout,
            grace=grace,
            oom_policy=oom_policy,
            memsafe=memsafe,
            unique=unique,
            foreground=fg,
            notify=notify,
        ),
        project,
    )
    return carry_out(spec, project, after)


class Afterwards(Immutable):
    """What is to follow once there is a spec. Raises UsageError for what does not go together."""

    wait: bool = False
    follow: bool = False
    fg: bool = False
    dry_run: bool = False
    json: bool = False

    def __post_init__(self) -> None:
        if self.follow and self.json:
            raise UsageError("--follow prints the job's output, --json nothing but JSON", "take one of them")
        if self.fg and (self.wait or self.follow or (self.json and not self.dry_run)):
            raise UsageError("--fg hands the terminal to the command, and waits for it", "leave the other option away")


def carry_out(spec: JobSpec, project: Project, after: Afterwards) -> int:
    """Starts the job, does what is to follow, and returns the exit status."""
    environ = given_environment()
    if after != Afterwards():
        from gravscope.cli.run_modes import carry_out as and_more  # noqa: PLC0415 (all that a mere launch is without)

        return and_more(spec, project, environ, after)
    facts = launch(spec, project, environ)
    tell(facts)
    say_how_to_follow(facts["id"])
    print(facts["id"])
    return 0


# what a record's warning says of a limit that nobody holds, behind the limit's name (`gravscope.supervisor.observe`)
_LOST = " does not hold here"


def tell(facts: Facts) -> None:
    """What the user should know about how the job was started: one line of where it runs and what does not hold there,
    and one for whatever else the record warns of."""
    lost = [warning.partition(_LOST)[0] for warning in facts["warnings"] if _LOST in warning]
    found = place_in_words(facts, watched=facts["enforcement"] == "watch", lost=lost)
    if found is not None:
        note(found)
    for warning in facts["warnings"]:
        if _LOST not in warning:
            note(warning)


def place_in_words(facts: Facts, *, watched: bool, lost: list[str], before: str = "") -> str | None:
    """The one line for a job that has no scope although it should, or limits that the kernel does not hold, such as the
    `lost` ones, which nobody holds; None where all is as it was asked for. `show` and `doctor` tell the rest."""
    if not (facts["fallback_reason"] or watched or lost):
        return None
    held = ["gravscope itself watches --mem-max"] if watched else []
    held += [f"{' and '.join(lost)} {'does' if len(lost) == 1 else 'do'} not hold"] if lost else []
    if not held:
        held = ["the job runs without one" if facts["foreground"] else "the job runs in a session"]
    where = "no systemd scope here" if facts["fallback_reason"] else "without a systemd scope"
    if facts["unit"] is not None:
        where = "the kernel does not hold all limits here"
    return f"{where}: {before}{', '.join(held)}; type: gravscope doctor"


def say_how_to_follow(job_id: str) -> None:
    """For whoever sits there."""
    if sys.stderr.isatty():
        note(f"{job_id} runs; follow it with: gravscope logs -f {job_id}")
