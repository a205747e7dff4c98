"""Options that more than one command has, and all of those that stand in groups (`gravscope.cli.option_groups`)."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gravscope.records.types import LauncherChoice, OomPolicy

MemHigh = Annotated[
    str | None, typer.Option(metavar="SIZE", help="Memory beyond which it is slowed down (6G, 512M, 50%).")
]
MemMax = Annotated[str | None, typer.Option(metavar="SIZE", help="Memory beyond which it is killed.")]
SwapMax = Annotated[
    str | None, typer.Option(metavar="SIZE", help="Swap that it may use [default: none with --mem-max alone].")
]
CpuQuota = Annotated[str | None, typer.Option(metavar="PERCENT", help="CPU time, in percent of one core (150%).")]
CpuWeight = Annotated[
    int | None, typer.Option(metavar="N", min=1, max=10000, help="Share of CPU among jobs (100 is usual).")
]
IoWeight = Annotated[int | None, typer.Option(metavar="N", min=1, max=10000, help="Share of disk time among jobs.")]
TasksMax = Annotated[str | None, typer.Option(metavar="N", help="Processes and threads that it may have.")]

Job = Annotated[str, typer.Argument(metavar="JOB", help="Id, the beginning of one, or a name.")]
Json = Annotated[bool, typer.Option("--json", help="Print the record as JSON.")]

Command = Annotated[list[str] | None, typer.Argument(metavar="COMMAND...", help="What to run, and its words.")]
Name = Annotated[
    str | None, typer.Option("--name", "-n", metavar="NAME", help="The job's name [default: from the command].")
]
Env = Annotated[
    list[str] | None, typer.Option("--env", "-e", metavar="NAME=VALUE", help="A variable; may be repeated.")
]
Cwd = Annotated[str | None, typer.Option(metavar="DIR", help="Its working directory [default: here].")]
Shell = Annotated[bool, typer.Option("--shell", "-c", help="COMMAND is one string for bash.")]
LauncherOption = Annotated[
    LauncherChoice | None,
    typer.Option(
        help="scope: a systemd user scope; session: setsid and nohup; auto: whichever there is [default: auto]."
    ),
]
Grace = Annotated[str | None, typer.Option(metavar="DURATION", help="Time between SIGTERM and SIGKILL [default: 10s].")]
OomPolicyOption = Annotated[
    OomPolicy | None,
    typer.Option(help="At its memory limit, kill the whole job, or one process and continue [default: kill]."),
]
Memsafe = Annotated[
    bool | None,
    typer.Option(
        "--memsafe/--no-memsafe",
        help="Numerical libraries get one thread, to save memory (OMP_NUM_THREADS=1 and the like) [default: yes].",
    ),
]
EnvFile = Annotated[str | None, typer.Option(metavar="FILE", help="A file of variables, one NAME=VALUE a line.")]
Timeout = Annotated[str | None, typer.Option(metavar="DURATION", help="End it after this long (2h, 90m).")]
Unique = Annotated[bool, typer.Option("--unique", help="Refuse if a job of that name still runs.")]
Notify = Annotated[
    bool, typer.Option("--notify", help="When it has ended, tell whom notify.* names, or else the desktop.")
]
Wait = Annotated[bool, typer.Option("--wait", help="Return when it has ended, with its exit status.")]
Follow = Annotated[bool, typer.Option("--follow", help="The same, showing its output.")]
Foreground = Annotated[
    bool, typer.Option("--fg", help="In the foreground, at this terminal, and with the command's exit status.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the command line that would start it.")]

# the options in groups, by the fields of their classes
OF_FIELD: dict[str, Any] = {
    "command": Command,
    "name": Name,
    "mem_high": MemHigh,
    "mem_max": MemMax,
    "swap_max": SwapMax,
    "cpu_quota": CpuQuota,
    "cpu_weight": CpuWeight,
    "io_weight": IoWeight,
    "tasks_max": TasksMax,
    "env": Env,
    "env_file": EnvFile,
    "cwd": Cwd,
    "shell": Shell,
    "launcher": LauncherOption,
    "timeout": Timeout,
    "grace": Grace,
    "oom_policy": OomPolicyOption,
    "memsafe": Memsafe,
    "unique": Unique,
    "notify": Notify,
    "foreground": Foreground,
    "wait": Wait,
    "follow": Follow,
    "dry_run": DryRun,
    "json": Json,
}
