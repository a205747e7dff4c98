"""`gravscope limit`."""

from __future__ import annotations

import os

from gravscope.actions.control.limit import limit as change
from gravscope.actions.launch.spec import TypedLimits, make_limits
from gravscope.cli.output import print_json, public, store_here

TYPE_CHECKING = False
if TYPE_CHECKING:  # for the annotations, which stay text until Typer wants them (`gravscope.cli.app`)
    from typing import Annotated

    import typer

    from gravscope.cli.options import CpuQuota, CpuWeight, IoWeight, Job, Json, MemHigh, MemMax, SwapMax, TasksMax


def limit(
    job: Job,
    mem_high: MemHigh = None,
    mem_max: MemMax = None,
    swap_max: SwapMax = None,
    cpu_quota: CpuQuota = None,
    cpu_weight: CpuWeight = None,
    io_weight: IoWeight = None,
    tasks_max: TasksMax = None,
    force: Annotated[bool, typer.Option("--force", help="Even below what it uses now.")] = False,
    json: Json = False,
) -> None:
    """Change the limits of a job that runs. The record keeps each change with its time."""
    store = store_here()
    limits = make_limits(TypedLimits(mem_high, mem_max, swap_max, cpu_quota, cpu_weight, io_weight, tasks_max))
    record = change(store, store.find(job), limits, os.environ, force=force)
    print_json(public(record)) if json else print(f"{record.id}: {record.state}, limits held by: {record.enforcement}")
