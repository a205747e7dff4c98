"""What the kernel kills at a limit, what becomes of the rest of the job, and whose limit it was."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import alive, until

from .helpers import HOG, MIB, GuestGravscope, limited_slice, properties

GUEST = {"mem": "400M"}
LIMIT = ("--mem-max", "24M", "--swap-max", "0")
# A pool whose only worker takes too much; what its parent does about it is its own affair.
POOL = """
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
import multiprocessing, sys

def work(_):
    return len([bytearray(1 << 20) for _ in range(400)])

with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
    try:
        print(list(pool.map(work, [1])))
    except BrokenProcessPool:
        sys.exit(int(sys.argv[1]))
"""
# Fills its scope up to the limit, but not beyond. What Python shows an error with is there before: 3.13 loads it, 2 MB
# of it, when there is one to show, which was the one allocation too many.
ALMOST_FULL = """
import io, resource, traceback
try:
    raise MemoryError
except MemoryError:
    traceback.print_exc(file=io.StringIO())
folder = "/sys/fs/cgroup" + open("/proc/self/cgroup").read().strip()[3:]
scope = folder.removesuffix("/job")
limit = int(open(scope + "/memory.max").read())
held = []
while int(open(scope + "/memory.current").read()) < limit - (3 << 19):
    held.append(bytearray(1 << 18))
"""
MEMORY_ERROR = """
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + (1 << 20), resource.RLIM_INFINITY))
held.append(bytearray(100 << 20))
"""
SEGFAULT = "import ctypes; ctypes.string_at(0)"


def hog_and(rest: str) -> list[str]:
    """A shell that starts a hog, and goes on with something else if it can."""
    return ["--", "bash", "-c", f"{HOG}; {rest}"]


def large_files(size: int) -> list[str]:
    """Files of the machine that hold that much together: few, because opening one takes its time here."""
    files = sorted(Path("/usr").glob("lib/*/*.so*"), key=lambda file: -file.stat().st_size if file.is_file() else 0)
    found: list[Path] = []
    while sum(file.stat().st_size for file in found) < size:
        found.append(files.pop(0))
    return [str(file) for file in found]


def memory_events(record: dict[str, Any], *names: str) -> tuple[int, ...]:
    """Counters of the record, by name."""
    return tuple(record["memory_events"][name] for name in names)


def test_kill_takes_the_whole_job_and_not_its_supervisor(guest: GuestGravscope) -> None:
    """Policy `kill`: every process of the job dies at once, its shell too; the supervisor lives and writes it down."""
    job = guest.start("-n", "all", *LIMIT, "--", "bash", "-c", f"sleep 1000 & echo $!; {HOG}; echo went on; sleep 1000")
    supervisor = guest.record(job)["supervisor_pid"]
    record = guest.ended(job)
    assert (record["state"], record["signal"], record["exit_code"]) == ("oom-killed", 9, None)
    assert "the kernel killed the whole job at the job's own memory limit of 24M" in record["reason"]
    assert memory_events(record, "oom_group_kill") == (1,)
    # allocations that fail while the victims are still dying count too (cgroup-v2.rst: "was about to fail")
    assert record["memory_events"]["oom"] >= 1
    assert record["oom_kills"] == 3
    assert record["supervisor_pid"] == supervisor
    assert record["warnings"] == []
    sleeper = guest.log(job).split()
    assert len(sleeper) == 1
    assert not alive(int(sleeper[0]))


def test_continue_takes_one_process(guest: GuestGravscope) -> None:
    """Policy `continue`: the hog dies and the job goes on; the record counts the kill while it runs, and at its end."""
    go = guest.folder / "go"
    rest = f"echo went on; until [ -e {go} ]; do sleep 0.1; done"
    job = guest.start("-n", "one", "--oom-policy", "continue", *LIMIT, *hog_and(rest))
    until(lambda: guest.record(job)["oom_kills"] == 1, "the kill in the record of a job that runs")
    assert guest.record(job)["state"] == "running"
    unit = guest.record(job)["unit"]
    assert properties(unit, "ActiveState") == {"ActiveState": "active"}
    go.touch()
    record = guest.ended(job)
    assert (record["state"], record["exit_code"], record["oom_kills"]) == ("succeeded", 0, 1)
    assert record["reason"] == "exit status 0, though the kernel killed 1 of its processes for memory"
    assert memory_events(record, "oom_kill", "oom_group_kill") == (1, 0)
    assert "went on" in guest.log(job)
    said = guest("show", job, "--json")
    assert json.loads(said.stdout)["oom_kills"] == 1


@pytest.mark.parametrize(("status", "state"), [(1, "oom-killed"), (0, "succeeded")])
def test_a_pool_loses_its_worker(guest: GuestGravscope, status: int, state: str) -> None:
    """A pool's worker is OOM-killed: oom-killed if the parent exits 1; if 0, it succeeded, with the count."""
    script = guest.folder / "pool.py"
    script.write_text(POOL)
    limit = ("--mem-max", "60M", "--swap-max", "0")
    words = ("--", sys.executable, "-I", str(script), str(status))
    job = guest.start("-n", "pool", "--oom-policy", "continue", *limit, *words)
    record = guest.ended(job)
    assert (record["state"], record["exit_code"], record["signal"]) == (state, status, None), guest.log(job)
    assert record["oom_kills"] == 1
    if status:
        assert "killed 1 of its processes at the job's own memory limit of 60M" in record["reason"]
        assert record["reason"].endswith("its command then ended (exit status 1)")
    else:
        assert record["reason"].startswith("exit status 0, though the kernel killed 1 of its processes")


@pytest.mark.parametrize("policy", ["kill", "continue"])
def test_a_wrapper_exits_137(guest: GuestGravscope, policy: str) -> None:
    """A shell that passes on 137, because what it ran was OOM-killed: oom-killed, under either policy."""
    job = guest.start("-n", "wrapped", "--oom-policy", policy, *LIMIT, *hog_and("exit $?"))
    record = guest.ended(job)
    assert record["state"] == "oom-killed"
    ended = (None, 9) if policy == "kill" else (137, None)
    assert (record["exit_code"], record["signal"]) == ended
    assert guest("wait", job).returncode == 137


def test_137_without_a_kill_is_a_failure(guest: GuestGravscope) -> None:
    """A command that exits 137, or is sent SIGKILL, by itself: no counter says so, and so nothing says OOM."""
    record = guest.run("-n", "liar", *LIMIT, "--", "bash", "-c", "exit 137")
    assert (record["state"], record["exit_code"], record["oom_kills"]) == ("failed", 137, 0)
    record = guest.run("-n", "shot", *LIMIT, "--", "bash", "-c", "kill -KILL $$")
    assert (record["state"], record["signal"], record["oom_kills"]) == ("killed", 9, 0)


@pytest.mark.parametrize(
    ("end", "state", "how"),
    [(MEMORY_ERROR, "failed", "exit status 1"), (SEGFAULT, "killed", "ended by SIGSEGV")],
    ids=["MemoryError", "SIGSEGV"],
)
def test_a_failure_near_the_limit(guest: GuestGravscope, tmp_path: Path, end: str, state: str, how: str) -> None:
    """An allocation that is refused, or a crash, near the limit: `probably for memory`, and never oom-killed."""
    script = tmp_path / "full.py"
    script.write_text(ALMOST_FULL + end)
    job = guest.start("-n", "full", "--mem-max", "40M", "--swap-max", "0", "--", sys.executable, "-I", str(script))
    record = guest.ended(job)
    assert (record["state"], record["oom_kills"]) == (state, 0), guest.log(job)
    assert record["reason"].startswith(f"{how}, probably for memory: ")


def test_a_failure_far_from_the_limit(guest: GuestGravscope) -> None:
    """The same crash with memory to spare is no more than itself."""
    record = guest.run("-n", "crash", "--mem-max", "60M", "--", sys.executable, "-I", "-c", SEGFAULT)
    assert (record["state"], record["reason"]) == ("killed", "ended by SIGSEGV")


def test_a_failure_after_much_reading(guest: GuestGravscope) -> None:
    """File pages fill the limit and give way again: a failure after that is no sign of too little memory."""
    read = f"cat {shlex.join(large_files(50 * MIB))} >/dev/null; exit 1"
    record = guest.run("-n", "reads", *LIMIT, "--", "bash", "-c", read)
    assert record["memory_events"]["max"] > 0
    assert record["peak_memory"] > 18 * MIB
    assert (record["state"], record["reason"]) == ("failed", "exit status 1")


@pytest.mark.parametrize("policy", ["kill", "continue"])
def test_the_limit_of_the_slice_is_told_apart(guest: GuestGravscope, policy: str) -> None:
    """When all jobs together are at the limit of gravscope.slice, the reason names the slice, not the job's limit."""
    with limited_slice("MemoryMax=30M", "MemorySwapMax=0"):
        words = ("-n", "much", "--oom-policy", policy, "--mem-max", "60M", "--swap-max", "0", *hog_and("exit 1"))
        record = guest.run(*words)
    assert record["state"] == "oom-killed"
    assert "the memory limit of gravscope.slice, not the job's own, ran out" in record["reason"]
    assert memory_events(record, "oom") == (0,)
    assert record["effective"]["mem_max"] == 30 * MIB


def test_the_jobs_own_limit_below_a_limited_slice(guest: GuestGravscope) -> None:
    """A job at its own limit, in a slice that has one too but has not reached it: its own."""
    with limited_slice("MemoryMax=100M"):
        record = guest.run("-n", "own", *LIMIT, *hog_and("exit 1"))
    assert record["state"] == "oom-killed"
    assert "the job's own memory limit of 24M" in record["reason"]


def test_a_quiet_neighbour_in_a_full_slice(guest: GuestGravscope) -> None:
    """The slice's limit takes the largest job; a small one beside it goes on and succeeds, with no word of memory."""
    go = guest.folder / "go"
    with limited_slice("MemoryMax=40M", "MemorySwapMax=0"):
        quiet = guest.start("-n", "quiet", "--", "bash", "-c", f"until [ -e {go} ]; do sleep 0.1; done")
        assert guest.run("-n", "loud", "--", "bash", "-c", HOG)["state"] == "oom-killed"
        go.touch()
        record = guest.ended(quiet)
    assert (record["state"], record["reason"], record["oom_kills"]) == ("succeeded", "exit status 0", 0)
