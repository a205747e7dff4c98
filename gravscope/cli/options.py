"""Options that more than one command has."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

# how the job gets going
Launcher = Literal["auto", "scope", "session"]
# what happens when the job's own memory limit makes the kernel kill
Policy = Literal["kill", "continue"]

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

# of `run` and `rerun`
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
