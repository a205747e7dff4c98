"""`gravscope limit`."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from gravscope.actions.limit import limit as change
from gravscope.actions.spec import TypedLimits, make_limits
from gravscope.cli.options import CpuQuota, CpuWeight, IoWeight, MemHigh, MemMax, SwapMax, TasksMax
from gravscope.cli.output import print_json, public, store_here


def limit(
    job: Annotated[str, typer.Argument(metavar="JOB", help="Id, the beginning of one, or a name.")],
    mem_high: MemHigh = None,
    mem_max: MemMax = None,
    swap_max: SwapMax = None,
    cpu_quota: CpuQuota = None,
    cpu_weight: CpuWeight = None,
    io_weight: IoWeight = None,
    tasks_max: TasksMax = None,
    force: Annotated[bool, typer.Option("--force", help="Even below what it uses now.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the record as JSON.")] = False,
) -> None:
    """Change the limits of a job that runs. The record keeps each change with its time."""
    store = store_here()
    limits = make_limits(TypedLimits(mem_high, mem_max, swap_max, cpu_quota, cpu_weight, io_weight, tasks_max))
    record = change(store, store.find(job), limits, os.environ, force=force)
    print_json(public(record)) if json else print(f"{record.id}: {record.state}, limits held by: {record.enforcement}")


def add_to(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("limit")(limit)
