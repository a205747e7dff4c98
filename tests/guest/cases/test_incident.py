"""The incident that gravscope is for: one process needs too much memory, and tmux goes with it. And then not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import until

from .helpers import MIB, PYTHON, PYTHON_HOG, GuestGravscope, properties, tmux, typed_gravscope

GUEST = {"mem": "400M"}
EDITOR_MB = 170
LIMITED = ("MemoryMax=60M", "MemorySwapMax=0")


def killed_by_the_kernel() -> list[str]:
    """The commands that the kernel says it killed for memory, so far."""
    log = subprocess.run(["dmesg"], capture_output=True, text=True, check=True).stdout
    return [line.partition("(")[2].partition(")")[0] for line in log.splitlines() if "Killed process" in line]


def ended_job(guest: GuestGravscope, name: str) -> dict[str, Any]:
    """The record of the job of that name, once it has one and has ended."""
    found = until(lambda: [record for record in guest.records() if record["name"] == name], f"a record of {name}")
    return guest.ended(found[0]["id"])


@pytest.mark.parametrize("limits", [LIMITED, ()], ids=["its scope runs out", "the machine runs out"])
def test_without_gravscope_tmux_goes(guest: GuestGravscope, limits: tuple[str, ...]) -> None:
    """Control: a hog in a pane is all that the kernel kills; systemd then stops the scope, and tmux is gone."""
    before = killed_by_the_kernel()
    with tmux(guest.folder, guest.environ, *limits) as server:
        server.type(PYTHON_HOG)
        until(lambda: not server.lives(), "the end of tmux")
        assert killed_by_the_kernel()[len(before) :] == [Path(sys.executable).name]
        until(lambda: properties(server.unit, "ActiveState")["ActiveState"] == "failed", "the end of the scope")
        assert properties(server.unit, "Result") == {"Result": "oom-kill"}


def test_with_gravscope_tmux_lives(guest: GuestGravscope) -> None:
    """The same hog as a job with a limit: tmux lives, the record says what happened, and the next job runs."""
    with tmux(guest.folder, guest.environ) as server:
        server.type(f"{typed_gravscope()} run -n hog --mem-max 60M --swap-max 0 -- {PYTHON_HOG}")
        record = ended_job(guest, "hog")
        assert (record["state"], record["exit_code"], record["signal"]) == ("oom-killed", None, 9)
        assert "the job's own memory limit of 60M" in record["reason"]
        assert record["effective"]["mem_max"] == 60 * MIB
        assert 40 * MIB < record["peak_memory"] <= 60 * MIB
        assert record["peak_memory_source"] == "kernel"
        assert record["memory_events"]["oom_group_kill"] == 1
        # allocations that fail while the victim is still dying count too (cgroup-v2.rst: "was about to fail")
        assert record["memory_events"]["oom"] >= 1
        assert record["memory_events"]["oom_kill"] >= 1
        server.type(f"{typed_gravscope()} run -n next -- true")
        assert ended_job(guest, "next")["state"] == "succeeded"
        assert server.lives()
        assert properties(server.unit, "ActiveState", "Result") == {"ActiveState": "active", "Result": "success"}


def test_a_hog_without_a_limit_takes_nothing_else(guest: GuestGravscope) -> None:
    """A job without a limit uses up the machine: the job dies, tmux lives, and the reason says whose memory it was."""
    with tmux(guest.folder, guest.environ) as server:
        server.type(f"{typed_gravscope()} run -n hog -- {PYTHON_HOG}")
        record = ended_job(guest, "hog")
        assert (record["state"], record["signal"]) == ("oom-killed", 9)
        assert "the machine, not the job's limit, ran out of memory" in record["reason"]
        assert (record["memory_events"]["oom"], record["memory_events"]["oom_group_kill"]) == (0, 1)
        assert record["enforcement"] == "none"
        server.type(f"{typed_gravscope()} run -n next -- true")
        assert ended_job(guest, "next")["state"] == "succeeded"
        assert server.lives()
        assert properties(server.unit, "ActiveState", "Result") == {"ActiveState": "active", "Result": "success"}


def test_a_larger_neighbour_is_spared(guest: GuestGravscope) -> None:
    """When the machine runs out, the kernel takes the job, although an editor in tmux has more memory than it."""
    held = f"x = [bytearray(1 << 20) for _ in range({EDITOR_MB})]; print('held', len(x)); input()"
    with tmux(guest.folder, guest.environ) as server:
        server.type(f'{PYTHON} -c "{held}"')
        until(lambda: f"held {EDITOR_MB}" in server.screen(), "the editor's memory")
        record = guest.run("-n", "hog", "--", "bash", "-c", PYTHON_HOG)
        assert record["state"] == "oom-killed"
        assert "the machine, not the job's limit, ran out of memory" in record["reason"]
        assert record["peak_memory"] < EDITOR_MB * MIB
        assert server.lives()
        assert "$" not in server.screen().rpartition("held")[2]  # the editor has not given way to its shell
