"""`gravscope rerun`."""

from __future__ import annotations

from gravscope.actions.launch.rerun import spec_of_rerun
from gravscope.actions.launch.spec import Typed, TypedLimits
from gravscope.cli.run import Afterwards, carry_out
from gravscope.records.store import Store
from gravscope.settings.project import here

TYPE_CHECKING = False
if TYPE_CHECKING:  # for the annotations, which stay text until Typer wants them (`gravscope.cli.app`)
    from typing import Annotated

    import typer

    from gravscope.cli.options import (
        CpuQuota,
        CpuWeight,
        DryRun,
        EnvFile,
        Follow,
        Foreground,
        IoWeight,
        Job,
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


def rerun(
    job: Job,
    name: Annotated[str | None, typer.Option("--name", "-n", metavar="NAME", help="Another name.")] = None,
    mem_high: MemHigh = None,
    mem_max: MemMax = None,
    swap_max: SwapMax = None,
    cpu_quota: CpuQuota = None,
    cpu_weight: CpuWeight = None,
    io_weight: IoWeight = None,
    tasks_max: TasksMax = None,
    env: Annotated[
        list[str] | None,
        typer.Option("--env", "-e", metavar="NAME=VALUE", help="A variable more, or another value; may be repeated."),
    ] = None,
    env_file: EnvFile = None,
    cwd: Annotated[str | None, typer.Option(metavar="DIR", help="Another working directory.")] = None,
    launcher: Annotated[
        Launcher | None,
        typer.Option(help="scope: a systemd user scope; session: setsid and nohup; auto: whichever there is."),
    ] = None,
    timeout: Timeout = None,
    grace: Annotated[str | None, typer.Option(metavar="DURATION", help="Time between SIGTERM and SIGKILL.")] = None,
    oom_policy: Annotated[
        Policy | None, typer.Option(help="At its memory limit, kill the whole job, or one process and continue.")
    ] = None,
    memsafe: Annotated[
        bool | None,
        typer.Option(
            "--memsafe/--no-memsafe",
            help="Numerical libraries get one thread, to save memory (OMP_NUM_THREADS=1 and the like), or not.",
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
    """Start an ended job once more, with changes. Command, directory, variables and limits are else the same."""
    after = Afterwards(wait=wait_, follow=follow, fg=fg, dry_run=dry_run, json=json)
    project = here()
    store = Store(project.jobs_dir)
    changes = Typed(
        command=(),
        name=name,
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
    )
    return carry_out(spec_of_rerun(store, store.find(job), changes, project), project, after)
