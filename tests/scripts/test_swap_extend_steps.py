"""scripts/swap_extend.sh when something fails: each of its steps in turn fails, is interrupted, or is the last."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.scripts.swap_machine import FSTAB, Machine, grown

pytestmark = pytest.mark.slow


def problems(machine: Machine, before: int, done: subprocess.CompletedProcess[str], mib: int) -> list[str]:
    """What is wrong after a run in which something failed; nothing should be."""
    found = []
    if done.returncode == 0 and not machine.is_done(mib):
        found.append("success is claimed and not there")
    if machine.least() < before or machine.total() < before:
        found.append("there was less swap than before")
    if machine.fstab.read_text() not in (FSTAB, FSTAB + machine.entry):
        found.append("fstab is torn")
    if done.returncode != 0 and machine.leftovers():
        found.append(f"left behind: {machine.leftovers()}")
    return [f"{problem}\n{done.stdout}{done.stderr}" for problem in found]


def start(root: Path, old: int) -> Machine:
    """A machine with that many MiB of swap by this script."""
    return grown(root) if old else Machine(root)


@pytest.mark.parametrize("old", [0, 2])
@pytest.mark.parametrize("lasting", ["", "+"])
def test_every_step_may_fail(tmp_path: Path, old: int, lasting: str) -> None:
    """Whichever call fails, once or from then on: no less swap, a whole fstab, nothing behind; the next run does it."""
    clean = start(tmp_path / "clean", old)
    clean.run("-s", "4M")
    for step in clean.calls():
        machine = start(tmp_path / step.replace(":", "-"), old)
        before = machine.total()
        done = machine.run("-s", "4M", FAIL=step + lasting)
        assert done.returncode in (0, 1)
        left = step.startswith(("rm", "swapoff")) and lasting  # what cannot be removed stays
        assert [p for p in problems(machine, before, done, 4) if not (left and p.startswith("left"))] == [], step
        again = machine.run("-s", "4M")
        assert (again.returncode, machine.is_done(4)) == (0, True), (step, again)
        shutil.rmtree(tmp_path / step.replace(":", "-"))


@pytest.mark.parametrize("old", [0, 2])
@pytest.mark.parametrize("signal", ["TERM"])
def test_every_step_may_be_interrupted(tmp_path: Path, old: int, signal: str) -> None:
    """A signal at any step: no less swap, a whole fstab, nothing left behind."""
    clean = start(tmp_path / "clean", old)
    clean.run("-s", "4M")
    for step in clean.calls():
        machine = start(tmp_path / step.replace(":", "-"), old)
        before = machine.total()
        done = machine.run("-s", "4M", SIGNAL=f"{signal}:{step}")
        assert problems(machine, before, done, 4) == [], step
        shutil.rmtree(tmp_path / step.replace(":", "-"))


@pytest.mark.parametrize("old", [0, 2])
@pytest.mark.parametrize("reboot", [False, True])
def test_every_step_may_be_the_last(tmp_path: Path, old: int, reboot: bool) -> None:
    """A crash after any step leaves as much swap on, now and after a reboot; and the next run puts all of it right."""
    clean = start(tmp_path / "clean", old)
    clean.run("-s", "4M")
    for step in clean.calls():
        machine = start(tmp_path / step.replace(":", "-"), old)
        before = machine.total()
        machine.run("-s", "4M", SIGNAL=f"KILL:{step}")
        assert machine.least() >= before, step
        assert machine.fstab.read_text() in (FSTAB, FSTAB + machine.entry), step
        if reboot:
            machine.reboot()
            assert machine.total() >= before, step
        now = machine.total()
        again = machine.run("-s", "4M")
        assert again.returncode == 0, (step, again)
        assert machine.least() >= min(now, before), step
        # A crash in the midst of writing fstab leaves the half-written copy, which nothing reads.
        for copy in machine.root.glob("fstab.*"):
            copy.unlink()
        assert machine.is_done(4), (step, again, machine.leftovers())
        shutil.rmtree(tmp_path / step.replace(":", "-"))


def test_a_bridge_that_holds_too_little(tmp_path: Path) -> None:
    """Where the bridge holds less than the old file, the old one stays on."""
    machine = grown(tmp_path)
    before = machine.total()
    done = machine.run("-s", "4M", SMALL="gravscope-bridge")
    assert done.returncode == 1
    assert "too small" in done.stderr
    assert problems(machine, before, done, 4) == []
    assert machine.on() == [str(machine.file)]


@pytest.mark.parametrize("fail", ["swapon:4+", "swapon:4 swapon:5"])
def test_the_bridge_stays_where_nothing_else_can(tmp_path: Path, fail: str) -> None:
    """Where the new file cannot be switched on after all, the bridge goes on holding the swap, and it is said."""
    machine = grown(tmp_path)
    before = machine.total()
    done = machine.run("-s", "4M", FAIL=fail)
    assert done.returncode == 1
    assert machine.total() >= before
    assert machine.on() == [f"{machine.file}.gravscope-bridge"]
    assert "run this again" in done.stderr
