"""The ground the other cases stand on, as the ordinary user alice sees it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

from tests.support import until

from .conftest import output_of

SCOPE = ("systemd-run", "--user", "--scope", "--quiet", "-p", "MemorySwapMax=0")
OWN_CGROUP = "cg=/sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup)"


def test_systemd_is_first() -> None:
    """The first process is systemd, its boot is complete, and we are an ordinary user."""
    assert Path("/proc/1/comm").read_text() == "systemd\n"
    assert output_of("systemctl", "is-system-running") == "running"
    assert os.getuid() >= 1000


def test_user_manager_answers() -> None:
    """Alice has a user manager, in the environment that a login gives."""
    assert os.environ["XDG_RUNTIME_DIR"] == f"/run/user/{os.getuid()}"
    assert output_of("systemctl", "--user", "is-system-running") == "running"
    assert output_of("loginctl", "show-user", "-P", "Linger", "alice") == "yes"


def test_limits_of_a_scope_are_the_kernels() -> None:
    """Memory, pids and cpu are delegated to the user manager: what a scope is given stands in its cgroup."""
    limits = ["-p", "MemoryMax=48M", "-p", "MemoryHigh=32M", "-p", "TasksMax=20", "-p", "CPUQuota=50%"]
    script = f"{OWN_CGROUP}; cat $cg/memory.max $cg/memory.high $cg/memory.swap.max $cg/pids.max $cg/cpu.max"
    shown = output_of(*SCOPE, *limits, "sh", "-c", script)
    assert shown.split() == [str(48 << 20), str(32 << 20), "0", "20", "50000", "100000"]


def test_oom_kill_is_real() -> None:
    """A command that needs more than its scope may have is killed by the kernel, and the scope says so."""
    command = [*SCOPE, "--unit=too-much.scope", "-p", "MemoryMax=20M", sys.executable, "-c", "bytearray(60 << 20)"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL, done
    result = partial(output_of, "systemctl", "--user", "show", "-P", "Result", "too-much.scope")
    until(lambda: result() == "oom-kill", "the scope's result")


def test_user_journal_can_be_read() -> None:
    """What a user's process says to the journal, and what the user manager says of a unit, alice can read."""
    subprocess.run(["logger", "--tag", "ground", "said by alice"], check=True)
    read = ["journalctl", "--user", "--quiet", "--output=cat"]
    until(lambda: "said by alice" in output_of(*read, "--identifier=ground"), "the line in the journal")
    subprocess.run([*SCOPE, "--unit=noted.scope", "true"], check=True)
    until(lambda: "Started noted.scope" in output_of(*read, "--unit=noted.scope"), "the note on the scope")


def test_the_checkout_is_here() -> None:
    """The checkout stands where it stands on the host, and what is written to it is not in anyone's way."""
    assert Path(__file__).exists()
    assert not os.access(Path(__file__), os.W_OK)
