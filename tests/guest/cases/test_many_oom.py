"""Fifty OOM kills in a row: each told rightly, and nothing left of them."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from gravscope.actions.launch.run import run
from gravscope.records.spec import JobSpec, Limits
from gravscope.settings.project import Project
from tests.support import until

from .helpers import HOG, MIB, GuestGravscope, job_scopes, limited_slice, tmux

GUEST = {"mem": "400M"}
# What fifty jobs may leave of the 1200 MB that they took together. Records, logs and the journal lie in memory here,
# and so does what the kernel and systemd keep of cgroups that are gone: about 4 MB were seen.
TOLERANCE = 12 * MIB
OWN = "at the job's own memory limit of 24M"


@dataclass(frozen=True)
class Kind:
    """A job that loses a process, and what is to be told of it."""

    name: str
    policy: Literal["kill", "continue"]
    command: str
    state: str
    ended: tuple[int | None, int | None]
    reason: str


OWN_KINDS = (
    Kind("alone", "kill", f"exec {HOG}", "oom-killed", (None, 9), f"the kernel killed the whole job {OWN}"),
    Kind("shell", "kill", f"{HOG}; exit 0", "oom-killed", (None, 9), f"the kernel killed the whole job {OWN}"),
    Kind("wrapper", "continue", f"{HOG}; exit $?", "oom-killed", (137, None), f"killed 1 of its processes {OWN}"),
    Kind("fails", "continue", f"{HOG}; exit 1", "oom-killed", (1, None), f"killed 1 of its processes {OWN}"),
    Kind("succeeds", "continue", f"{HOG}; exit 0", "succeeded", (0, None), "the kernel killed 1 of its processes"),
)
SLICE = "the memory limit of gravscope.slice, not the job's own, ran out and the kernel killed the whole job"
SLICE_KIND = Kind("crowded", "kill", f"{HOG}; exit 0", "oom-killed", (None, 9), SLICE)


def started(guest: GuestGravscope, kind: Kind, mem_max: int) -> str:
    """The id of a job of that kind. Through `run` itself, for the command line takes as long as all the rest."""
    spec = JobSpec(
        cmd=["bash", "-c", kind.command],
        name=kind.name,
        cwd=str(guest.folder),
        limits=Limits(mem_max=mem_max * MIB, swap_max=0),
        launcher="scope",
        oom_policy=kind.policy,
    )
    return run(spec, Project(guest.jobs_dir, guest.log_dir), guest.environ).id


def told(record: dict[str, Any], kind: Kind) -> str | None:
    """What is wrong with the record of a job of that kind; None if nothing is."""
    ended = (record["exit_code"], record["signal"])
    right = record["state"] == kind.state and ended == kind.ended and kind.reason in record["reason"]
    counted = record["oom_kills"] >= 1 and record["warnings"] == [] and record["launcher"] == "scope"
    return None if right and counted else f"{record['id']}: {record['state']} {ended}: {record['reason']}"


def available_memory() -> int:
    """MemAvailable of the guest, in bytes."""
    with open("/proc/meminfo", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable:"))


def settled(measure: Callable[[], int], least: int) -> int:
    """What is measured once it is `least` or more: the kernel frees what is gone a little later."""
    until(lambda: measure() >= least, f"at least {least >> 20} MB available, of {measure() >> 20}", 20)
    return measure()


def test_fifty_kills(guest: GuestGravscope) -> None:
    """Fifty jobs in five ways and at the slice's limit: fifty right records, tmux alive, no unit, cgroup, or memory."""
    with tmux(guest.folder, guest.environ) as server:
        started(guest, OWN_KINDS[0], 24)  # what only the first one costs is not counted
        until(lambda: not job_scopes(), "the end of the first")
        gc.collect()
        before = available_memory()
        jobs: list[tuple[str, Kind]] = []
        for _ in range(9):
            batch = [(started(guest, kind, 24), kind) for kind in OWN_KINDS]
            for job, _kind in batch:
                guest.ended(job)
            jobs += batch
        with limited_slice("MemoryMax=30M", "MemorySwapMax=0"):
            for _ in range(5):
                jobs.append((started(guest, SLICE_KIND, 60), SLICE_KIND))
                guest.ended(jobs[-1][0])
        wrong = [fault for job, kind in jobs if (fault := told(guest.record(job), kind))]
        assert (len({job for job, _ in jobs}), wrong) == (50, [])
        assert server.lives()
        until(lambda: not job_scopes(), "no unit and no cgroup is left")
        assert settled(available_memory, before - TOLERANCE) > 0
        print(f"MemAvailable: {before >> 10} kB before, {available_memory() >> 10} kB after")
