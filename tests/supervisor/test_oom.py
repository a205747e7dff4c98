"""Which limit caused an OOM kill, from the counters of cgroups that are made of ordinary files."""

from __future__ import annotations

from pathlib import Path

import pytest

from gravscope.linux import cgroup
from gravscope.supervisor import oom
from gravscope.supervisor.cgroups import JobCgroups
from gravscope.supervisor.oom import OomWatch


class Cgroups:
    """A slice, a scope in it, and job/ in the scope, with their counters."""

    def __init__(self, root: Path) -> None:
        self.slice = root / "gravscope.slice"
        self.scope = self.slice / "x.scope"
        self.job = self.scope / "job"
        self.job.mkdir(parents=True)
        self.count()

    def count(self, *, own: int = 0, above: int = 0, kills: int = 0) -> None:
        """Sets the counters."""
        (self.scope / "memory.events.local").write_text(f"oom {own}\n")
        (self.slice / "memory.events.local").write_text(f"oom {above}\n")
        (self.job / "memory.events").write_text(f"oom 0\noom_kill {kills}\noom_group_kill 0\n")


@pytest.fixture
def cgroups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cgroups:
    """Cgroups whose root is the mount point."""
    monkeypatch.setattr(cgroup, "mount_point", lambda: str(tmp_path))
    return Cgroups(tmp_path)


def watch(cgroups: Cgroups) -> OomWatch:
    """An OomWatch that starts with the present counts."""
    return OomWatch(JobCgroups(str(cgroups.scope), str(cgroups.job)))


def test_own_limit(cgroups: Cgroups) -> None:
    """The scope's own counter rose with the kill."""
    seen = watch(cgroups)
    cgroups.count(own=1, kills=1)
    assert seen.sample()
    assert (seen.own, seen.above, seen.kills) == (True, None, 1)


@pytest.mark.parametrize("at_once", [True, False])
def test_a_kill_that_is_seen_in_the_middle(cgroups: Cgroups, at_once: bool) -> None:
    """The kernel counts a job that it kills as a whole process by process: the first kill's cause is that of all."""
    (cgroups.job / "memory.oom.group").write_text(f"{int(at_once)}\n")
    seen = watch(cgroups)
    cgroups.count(own=1, kills=1)
    assert seen.sample()
    cgroups.count(own=1, kills=3)
    assert seen.sample()
    assert (seen.own, seen.kills) == (at_once, 3)


def test_a_limit_that_is_being_lowered(cgroups: Cgroups) -> None:
    """`gravscope limit` first lowers the limit of the job's own cgroup: a kill there is also due to the job's limit."""
    seen = watch(cgroups)
    (cgroups.job / "memory.events.local").write_text("oom 1\n")
    cgroups.count(kills=1)
    assert seen.sample()
    assert (seen.own, seen.above) == (True, None)


def test_the_slice(cgroups: Cgroups) -> None:
    """A counter above the scope rose, and not the scope's own."""
    seen = watch(cgroups)
    cgroups.count(above=3, kills=2)
    assert seen.sample()
    assert (seen.own, seen.above) == (False, "gravscope.slice")


def test_the_machine(cgroups: Cgroups) -> None:
    """Only the kills rose, and no counter of a limit."""
    seen = watch(cgroups)
    cgroups.count(kills=1)
    assert seen.sample()
    assert (seen.own, seen.above) == (False, None)


def test_what_happened_before_does_not_count(cgroups: Cgroups) -> None:
    """A limit that was reached earlier, by another job or in an earlier kill, is not the cause of the next one."""
    cgroups.count(above=5)
    seen = watch(cgroups)
    cgroups.count(own=1, above=5, kills=1)
    assert seen.sample()
    assert seen.own
    cgroups.count(own=1, above=5, kills=2)
    assert seen.sample()
    assert (seen.own, seen.above) == (False, None)


def test_another_jobs_kill_is_forgotten_in_time(cgroups: Cgroups, monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit above that another job reached explains a kill of ours soon after, and none much later."""
    now = [1000.0]
    monkeypatch.setattr(oom.time, "monotonic", lambda: now[0])
    seen = watch(cgroups)
    cgroups.count(above=1)
    for _ in range(3):
        now[0] += oom.WINDOW + 1
        assert not seen.sample()
    cgroups.count(above=1, kills=1)
    assert seen.sample()
    assert (seen.own, seen.above) == (False, None)


@pytest.mark.parametrize("looks", [1, 2, 50])
def test_a_limit_that_is_just_running_out(cgroups: Cgroups, looks: int) -> None:
    """Any number of looks between the rise of the limit's counter and that of the kills does not lose the cause."""
    seen = watch(cgroups)
    cgroups.count(own=1)
    for _ in range(looks):
        assert not seen.sample()
    cgroups.count(own=1, kills=1)
    assert seen.sample()
    assert seen.own
