"""The supervisor beside a job that does nothing: its memory, its threads, its CPU time."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tests.bench.figures import Samples
from tests.bench.lab import Lab
from tests.bench.parse import cpu_seconds, kilobyte_fields, thread_count

WATCHED = ["--launcher", "session", "--mem-max", "1G"]


def supervisor(lab: Lab) -> dict[str, Samples]:
    """A job for each launcher, and one whose memory the supervisor watches; after some seconds, when it has come to
    look once a second."""
    options = [["--launcher", launcher] for launcher in lab.launchers]
    with lab.sleepers(*options, WATCHED) as records:
        pids = [int(record["supervisor_pid"]) for record in records]
        time.sleep(lab.sizes.idle)
        memory = [kilobyte_fields(Path(f"/proc/{pid}/smaps_rollup").read_text()) for pid in pids]
        threads = [float(thread_count(Path(f"/proc/{pid}/status").read_text())) for pid in pids]
        shares = _cpu_percent(pids, lab.sizes.window)
    return {
        "rss": {"ours": [float(found["Rss"]) for found in memory]},
        "pss": {"ours": [float(found["Pss"]) for found in memory]},
        "threads": {"ours": threads},
        "cpu": {"ours": shares[:-1]},
        "cpu_watch": {"ours": shares[-1:]},
    }


def _cpu_percent(pids: list[int], seconds: float) -> list[float]:
    """How much of a core each process took during so many seconds."""
    before, began = [_cpu(pid) for pid in pids], time.perf_counter()
    time.sleep(seconds)
    after, took = [_cpu(pid) for pid in pids], time.perf_counter() - began
    return [100 * (last - first) / took for first, last in zip(before, after, strict=True)]


def _cpu(pid: int) -> float:
    folder = Path(f"/proc/{pid}")
    counted = folder / "schedstat"
    schedstat = counted.read_text() if counted.exists() else ""
    return cpu_seconds(schedstat, (folder / "stat").read_text(), os.sysconf("SC_CLK_TCK"))
