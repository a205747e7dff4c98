"""How jobs end: a cancel beside `systemctl --user stop`, and a kill for memory until the record says so."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.bench.figures import Samples
from tests.bench.lab import BARE, GRAVSCOPE, HERE, PAUSE, Broken, Lab, NotHere, ended, go, until, wait_for


@contextmanager
def watching(*pids: int) -> Iterator[list[int]]:
    """Their pidfds."""
    descriptors = [os.pidfd_open(pid) for pid in pids]
    try:
        yield descriptors
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def cancel(lab: Lab) -> dict[str, Samples]:
    """Seconds until no process of a job in a scope is left, its supervisor included."""
    if lab.scopes:
        raise NotHere(lab.scopes)
    lab.fresh()
    found = lab.interleaved({"ours": partial(_cancel, lab), "peer": partial(_stop, lab)}, 0.07)
    return {"cancel": found}


def _cancel(lab: Lab) -> float:
    record = lab.start("--launcher", "scope", "--", "sleep", "1000")
    with watching(record["pid"], record["supervisor_pid"]) as processes:
        took = _until_gone(lab, [GRAVSCOPE, "cancel", record["id"]], processes)
    if (state := lab.record(record["id"])["state"]) != "cancelled":
        raise Broken(f"{record['id']}: was cancelled, and is {state}")
    lab.quiet()
    return took


def _stop(lab: Lab) -> float:
    unit = f"bench-{os.urandom(4).hex()}.scope"
    pid = lab.spawn(["systemd-run", "--user", "--scope", "--quiet", f"--unit={unit}", "sleep", "1000"])
    until(lambda: Path(f"/proc/{pid}/comm").read_text() == "sleep\n", "the scope")
    with watching(pid) as processes:
        took = _until_gone(lab, ["systemctl", "--user", "stop", unit], processes)
    ended(pid)
    time.sleep(PAUSE)
    return took


def _until_gone(lab: Lab, argv: list[str], processes: list[int]) -> float:
    began = time.perf_counter()
    ender = lab.spawn(argv)
    wait_for(processes)
    took = time.perf_counter() - began
    if ended(ender) != 0:
        raise Broken(f"{' '.join(argv)}: {lab.complaint()}")
    return took


def oom(lab: Lab) -> dict[str, Samples]:
    """Seconds from the end of the command that was killed until its record says `oom-killed`."""
    lab.fresh()
    found: dict[str, Samples] = {"oom_watch": {"ours": lab.interleaved({"": partial(_oom, lab, "session")}, 0.04)[""]}}
    if lab.scopes or not lab.memory:
        lab.left_out["oom_kernel"] = lab.scopes or "no memory controller in the cgroups of this user manager"
    else:
        found["oom_kernel"] = {"ours": lab.interleaved({"": partial(_oom, lab, "scope")}, 0.04)[""]}
    return found


def _oom(lab: Lab, launcher: str) -> float:
    fifo = lab.fifo("hog")
    record = lab.start("--launcher", launcher, "--mem-max", "100M", "--", *BARE, str(HERE / "hog.py"), str(fifo))
    with watching(record["pid"]) as command:
        go(fifo)
        wait_for(command)
        began = time.perf_counter()
        until(lambda: lab.record(record["id"])["ended"], f"the end of {record['id']}", pause=0.0005)
        took = time.perf_counter() - began
    if (state := lab.record(record["id"])["state"]) != "oom-killed":
        raise Broken(f"{record['id']}: took more than it may, and is {state}")
    lab.quiet()
    return took
