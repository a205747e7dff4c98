"""Options that more than one command has."""

from __future__ import annotations

from typing import Annotated

import typer

MemHigh = Annotated[str | None, typer.Option(help="Memory beyond which it is slowed down (6G, 512M, 50%).")]
MemMax = Annotated[str | None, typer.Option(help="Memory beyond which it is killed.")]
SwapMax = Annotated[str | None, typer.Option(help="Swap that it may use [default: none with --mem-max alone].")]
CpuQuota = Annotated[str | None, typer.Option(help="CPU time, in percent of one core (150%).")]
CpuWeight = Annotated[int | None, typer.Option(min=1, max=10000, help="Share of CPU among jobs (100 is usual).")]
IoWeight = Annotated[int | None, typer.Option(min=1, max=10000, help="Share of disk time among jobs.")]
TasksMax = Annotated[str | None, typer.Option(help="Processes and threads that it may have.")]
