"""What is asked for is what the kernel holds, read back from the job's cgroup; what nobody could mean is refused."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from gravscope.settings.known import LEAST_MEMORY
from tests.support import until

from .helpers import CGROUPS, MIB, GuestGravscope, limited_slice, properties, systemctl

ALL = ("--mem-high", "40M", "--mem-max", "48M", "--swap-max", "0", "--cpu-quota", "50%", "--tasks-max", "20")
SHOWN = ("MemoryHigh", "MemoryMax", "MemorySwapMax", "CPUQuotaPerSecUSec", "TasksMax", "Slice", "Delegate")


def cgroup_of(unit: str) -> Path:
    """The folder of a unit's cgroup."""
    return CGROUPS / properties(unit, "ControlGroup")["ControlGroup"].lstrip("/")


def test_every_limit_is_read_back(guest: GuestGravscope) -> None:
    """Each limit stands in the kernel's file, in systemd's properties and in `effective`, held by the kernel."""
    job = guest.start("-n", "all", *ALL, "--", "sleep", "1000")
    record = guest.record(job)
    wanted = {"mem_high": 40 * MIB, "mem_max": 48 * MIB, "swap_max": 0, "cpu_quota": 50.0, "tasks_max": 20}
    assert record["effective"].items() >= wanted.items()
    assert (record["enforcement"], record["warnings"]) == ("kernel", [])
    folder = cgroup_of(record["unit"])
    files = ("memory.high", "memory.max", "memory.swap.max", "cpu.max", "pids.max")
    assert [(folder / name).read_text().strip() for name in files] == [
        str(40 * MIB),
        str(48 * MIB),
        "0",
        "50000 100000",
        "20",
    ]
    shown = properties(record["unit"], *SHOWN)
    assert shown == {
        "MemoryHigh": str(40 * MIB),
        "MemoryMax": str(48 * MIB),
        "MemorySwapMax": "0",
        "CPUQuotaPerSecUSec": "500ms",
        "TasksMax": "20",
        "Slice": "gravscope.slice",
        "Delegate": "yes",
    }
    assert json.loads(guest("show", job, "--json").stdout)["effective"] == record["effective"]


def test_the_command_is_below_its_limits(guest: GuestGravscope) -> None:
    """The command lives in `job/`, below the scope that has the limits, as it sees itself; its tasks are counted."""
    script = "cat /proc/self/cgroup; for i in $(seq 30); do sleep 1000 & done; wait"
    job = guest.start("-n", "forks", "--tasks-max", "12", "--", "bash", "-c", script)
    record = guest.record(job)
    until(lambda: "Resource temporarily unavailable" in guest.log(job), "the refusal of a fork")
    assert guest.log(job).splitlines()[0].endswith(f"/gravscope.slice/{record['unit']}/job")
    assert guest("cancel", job).returncode == 0


def test_cpu_quota_holds(guest: GuestGravscope) -> None:
    """A job that could use the processor for 2 seconds gets a fifth of it."""
    script = "import os, time; end = time.monotonic() + 2\nwhile time.monotonic() < end: pass"
    record = guest.run("-n", "busy", "--cpu-quota", "20%", "--", "python3", "-I", "-S", "-c", script)
    assert record["state"] == "succeeded"
    assert 0.1 < record["cpu_seconds"] < 0.3 * record["duration"]


def test_the_least_up_the_tree(guest: GuestGravscope) -> None:
    """Where gravscope.slice is limited below the job, that is what holds, whatever the job asked for."""
    with limited_slice("MemoryMax=100M", "MemoryHigh=90M", "TasksMax=50"):
        above = guest.record(guest.start("-n", "above", "--mem-max", "200M", "--", "sleep", "1000"))
        below = guest.record(guest.start("-n", "below", "--mem-max", "50M", "--", "sleep", "1000"))
        none = guest.record(guest.start("-n", "none", "--", "sleep", "1000"))
    assert [job["effective"]["mem_max"] for job in (above, below, none)] == [100 * MIB, 50 * MIB, 100 * MIB]
    assert [job["effective"]["mem_high"] for job in (above, below, none)] == [90 * MIB] * 3
    assert {job["effective"]["tasks_max"] for job in (above, below, none)} == {50}
    assert {job["enforcement"] for job in (above, below, none)} == {"kernel"}
    assert above["limits"]["mem_max"] == 200 * MIB  # what was asked for stays what was asked for


def test_percentages_are_of_the_machine(guest: GuestGravscope) -> None:
    """10% is a tenth of the machine's memory, as the kernel rounds it to pages."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    record = guest.record(guest.start("-n", "tenth", "--mem-max", "10%", "--mem-high", "5%", "--", "sleep", "1000"))
    assert 0 <= total // 10 - record["effective"]["mem_max"] < 4096
    assert 0 <= total // 20 - record["effective"]["mem_high"] < 4096
    assert record["enforcement"] == "kernel"


def test_no_limit_is_infinity(guest: GuestGravscope) -> None:
    """`infinity` is what a job without a limit has, and the record says that nobody holds one."""
    record = guest.run("-n", "free", "--mem-max", "infinity", "--", "true")
    assert (record["effective"]["mem_max"], record["enforcement"]) == ("infinity", "none")


@pytest.mark.parametrize(
    "words",
    [
        ("--mem-max", "100K"),
        ("--mem-max", "0"),
        ("--mem-max", "0%"),
        ("--mem-high", "1M"),
        ("--tasks-max", "1"),
        ("--cpu-quota", "0%"),
        ("--mem-max", "-5M"),
        ("--mem-max", "much"),
    ],
)
def test_what_nobody_could_mean_is_refused(guest: GuestGravscope, words: tuple[str, str]) -> None:
    """A limit in which nothing can run is a mistake of usage: one line that names it, and nothing is left behind."""
    done = guest("run", "--launcher", "scope", *words, "--", "true")
    assert (done.returncode, done.stdout) == (2, "")
    assert words[0] in done.stderr
    assert not guest.jobs_dir.exists()


def test_the_least_that_is_taken(guest: GuestGravscope) -> None:
    """A job with the least limit that is accepted ends one way or another, and the next one runs."""
    record = guest.run("-n", "small", "--mem-max", str(LEAST_MEMORY), "--swap-max", "0", "--", "true")
    assert record["state"] in ("succeeded", "oom-killed"), record["reason"]
    assert guest.run("-n", "next", "--", "true")["state"] == "succeeded"


def test_dry_run_can_be_pasted(guest: GuestGravscope) -> None:
    """The line that `--dry-run` prints starts, in a plain shell, the same scope that `run` would have started."""
    words = ("-n", "same", *ALL, "--grace", "3s", "--", "sleep", "1000")
    names = (*SHOWN, "TimeoutStopUSec")
    line = guest("run", "--launcher", "scope", "--dry-run", *words).stdout.strip()
    assert not guest.jobs_dir.exists()
    unit = re.findall(r"--unit=(\S+)", line)[0]
    shell = subprocess.Popen(["sh", "-c", line], stdin=subprocess.DEVNULL, env=guest.environ)
    try:
        until(lambda: properties(unit, "ActiveState")["ActiveState"] == "active", "the pasted scope")
        pasted = properties(unit, *names)
    finally:
        systemctl("stop", unit)
        shell.wait(60)
    assert properties(guest.record(guest.start(*words))["unit"], *names) == pasted


def test_a_controller_that_is_not_delegated(guest: GuestGravscope) -> None:
    """io is not handed to user managers by default: its limit is refused in one line that says what to type."""
    done = guest("run", "-n", "io", "--launcher", "scope", "--io-weight", "50", "--", "true")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (5, "", 1)
    assert "--io-weight: the io controller is not delegated" in done.stderr
    assert "gravscope units install --system-dropin" in done.stderr
    assert not list(guest.folder.rglob("*.json"))


def test_weights_reach_the_kernel(guest: GuestGravscope) -> None:
    """A share of CPU is read back from the job's scope."""
    job = guest.start("-n", "share", "--cpu-weight", "50", "--", "sleep", "1000")
    assert guest.record(job)["effective"]["cpu_weight"] == 50
    assert guest("cancel", job).returncode == 0
