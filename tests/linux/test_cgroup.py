"""The parsers of cgroup files, on ordinary folders and mount tables with pasted contents."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from gravscope.linux import cgroup

V2_ONLY = """\
22 27 0:21 / /proc rw,nosuid,nodev,noexec,relatime shared:12 - proc proc rw
24 23 0:22 / /sys rw,nosuid,nodev,noexec,relatime shared:2 - sysfs sysfs rw
30 24 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate
31 24 0:27 / /sys/fs/pstore rw,nosuid,nodev,noexec,relatime shared:10 - pstore pstore rw
"""
HYBRID = """\
30 24 0:26 / /sys/fs/cgroup ro,nosuid,nodev,noexec shared:9 - tmpfs tmpfs ro,size=4096k,nr_inodes=1024,mode=755
31 30 0:27 / /sys/fs/cgroup/unified rw,nosuid,nodev,noexec,relatime shared:10 - cgroup2 cgroup2 rw,nsdelegate
32 30 0:28 / /sys/fs/cgroup/systemd rw,nosuid,nodev,noexec,relatime shared:11 - cgroup cgroup rw,xattr,name=systemd
35 30 0:31 / /sys/fs/cgroup/memory rw,nosuid,nodev,noexec,relatime shared:14 - cgroup cgroup rw,memory
"""
V1_ONLY = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /mnt/cgroup2\\040x rw,relatime - tmpfs cgroup2 rw
"""
AWKWARD = "30 24 0:26 / /mnt/my\\040cgroups rw,relatime master:1 propagate_from:2 - cgroup2 none rw\n"
SCOPE = "/user.slice/user-1000.slice/user@1000.service/gravscope.slice/gravscope-fit_20260101_120000.scope"


def paste(root: Path, files: Mapping[str, str]) -> None:
    """Makes folders and files like a cgroup tree, from `path/file: text`."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def pretend(monkeypatch: pytest.MonkeyPatch, files: Mapping[str, str]) -> None:
    """Makes /proc appear to contain only `files`."""
    monkeypatch.setattr(cgroup, "read_text", files.get)


@pytest.mark.parametrize(
    ("mounts", "root"),
    [
        (V2_ONLY, "/sys/fs/cgroup"),
        (HYBRID, "/sys/fs/cgroup/unified"),
        (V1_ONLY, None),
        (AWKWARD, "/mnt/my cgroups"),
        ("", None),
    ],
)
def test_where_cgroup_v2_is_mounted(mounts: str, root: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is found with cgroup v2 and in hybrid mode; with v1 alone there is none, whatever mount points are called."""
    pretend(monkeypatch, {"/proc/self/mountinfo": mounts})
    assert cgroup.mount_point() == root


def test_without_a_mount_table_there_is_no_cgroup(monkeypatch: pytest.MonkeyPatch) -> None:
    """A /proc that shows nothing is a machine without cgroups, not an error."""
    pretend(monkeypatch, {})
    assert cgroup.mount_point() is None
    assert cgroup.folder_of() is None
    assert cgroup.folder_of(1) is None


@pytest.mark.parametrize(
    ("mounts", "text", "folder"),
    [
        (V2_ONLY, f"0::{SCOPE}\n", f"/sys/fs/cgroup{SCOPE}"),
        (V2_ONLY, "0::/\n", "/sys/fs/cgroup"),
        (V2_ONLY, "0::/../other\n", None),
        (V2_ONLY, "0::/..\n", None),
        (V2_ONLY, None, None),
        (HYBRID, f"9:memory:/user.slice\n1:name=systemd:/init.scope\n0::{SCOPE}\n", f"/sys/fs/cgroup/unified{SCOPE}"),
        (V1_ONLY, "9:memory:/user.slice\n1:name=systemd:/init.scope\n", None),
        (V2_ONLY, "10::/wrong\n0::/right\n", "/sys/fs/cgroup/right"),
    ],
)
def test_the_folder_of_a_process(
    mounts: str, text: str | None, folder: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its v2 line counts; a process outside of our cgroup namespace, or one that is gone, has no folder."""
    files = {"/proc/self/mountinfo": mounts}
    pretend(monkeypatch, files if text is None else {**files, "/proc/42/cgroup": text})
    assert cgroup.folder_of(42) == folder


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("low 0\nhigh 12\nmax 3\noom 2\noom_kill 1\noom_group_kill 1\n", (0, 12, 3, 2, 1, 1)),
        ("low 0\nhigh 12\nmax 3\noom 2\noom_kill 1\n", (0, 12, 3, 2, 1, None)),
        ("oom_kill\noom -1\nhigh x\n\nmax 3 4\nlow 0", (0, None, None, None, None, None)),
        ("", (None,) * 6),
        (None, (None,) * 6),
    ],
)
def test_keyed_files(text: str | None, numbers: tuple[int | None, ...]) -> None:
    """memory.events as numbers, with or without the counters of newer kernels; other lines are left out."""
    found = cgroup.parse_keyed(text)
    assert tuple(found.get(key) for key in ("low", "high", "max", "oom", "oom_kill", "oom_group_kill")) == numbers
    assert None not in found.values()


def test_a_keyed_file_of_a_cgroup(tmp_path: Path) -> None:
    """It is read from the cgroup's folder; for a cgroup that is gone (trap 29) it is empty."""
    paste(tmp_path, {"memory.events": "oom 1\noom_kill 2\n"})
    assert cgroup.read_keyed(str(tmp_path), "memory.events") == {"oom": 1, "oom_kill": 2}
    assert cgroup.read_keyed(str(tmp_path / "gone"), "memory.events") == {}


@pytest.mark.parametrize(
    ("text", "number", "limit"),
    [
        ("41943040\n", 41943040, 41943040),
        ("0\n", 0, 0),
        ("max\n", None, "infinity"),
        ("default 100\n", None, 100),
        ("default 100\n8:16 200\n", None, 100),
        ("", None, None),
        ("nonsense\n", None, None),
        (None, None, None),
    ],
)
def test_numbers_and_limits(tmp_path: Path, text: str | None, number: int | None, limit: object) -> None:
    """`max` is not a number, and as a limit it is infinity; a missing controller is None (trap 30), never 0."""
    paste(tmp_path, {} if text is None else {"file": text})
    assert cgroup.read_number(str(tmp_path), "file") == number
    assert cgroup.read_limit(str(tmp_path), "file") == limit


@pytest.mark.parametrize(
    ("text", "percent"),
    [("150000 100000\n", 150.0), ("max 100000\n", "infinity"), ("5000 100000\n", 5.0), ("1000 3000\n", 33.33),
     ("", None), (None, None), ("max\n", None)],
)  # fmt: skip
def test_the_cpu_quota(text: str | None, percent: object) -> None:
    """cpu.max is a quota and a period, which give percent of one core."""
    assert cgroup.quota_percent(text) == percent


@pytest.mark.parametrize(
    ("limits", "least"),
    [
        # from the root of the tree down to the job's own cgroup; None: the cgroup does not have the file
        ((None, "max", "max", "400"), 400),
        ((None, "max", "300", "400"), 300),
        ((None, "200", "max", "max"), 200),
        ((None, "200", "0", "400"), 0),
        ((None, "max", "max", "max"), "infinity"),
        ((None, "max", None, None), "infinity"),
        ((None, None, None, "400"), 400),
        ((None, None, None, None), None),
        (("100", "200", "300", "400"), 100),
        (("max", "200", "max", "400"), 200),
    ],
)
def test_the_least_limit_up_the_tree_binds(tmp_path: Path, limits: tuple[str | None, ...], least: object) -> None:
    """Trap 21: the lowest limit from the cgroup up to the root counts, including that of a container's root."""
    root = tmp_path / "root"
    folders = [root, root / "user.slice", root / "user.slice/a.slice", root / "user.slice/a.slice/x.scope"]
    paste(tmp_path, {"memory.max": "1\n"})
    for folder, limit in zip(folders, limits, strict=True):
        paste(folder, {"cgroup.procs": "", **({} if limit is None else {"memory.max": f"{limit}\n"})})
    assert cgroup.lowest(str(folders[-1]), str(root), "memory.max") == least


def test_the_walk_up_ends() -> None:
    """The search ends, too, where the root of the file system is the root of the tree."""
    assert cgroup.lowest("/proc/self", "/", "no such file") is None


def test_what_really_binds(tmp_path: Path) -> None:
    """Each limit by our name: the lowest up the tree, the cgroup's own for a weight, None where there is none."""
    scope = tmp_path / "a.slice/x.scope"
    paste(tmp_path / "a.slice", {"memory.max": "max\n", "memory.high": "500\n", "cpu.max": "50000 100000\n"})
    paste(tmp_path / "a.slice", {"cpu.weight": "20\n", "pids.max": "99\n"})
    paste(scope, {"memory.max": "600\n", "memory.high": "max\n", "memory.swap.max": "0\n", "cpu.max": "max 100000\n"})
    paste(scope, {"cpu.weight": "100\n", "pids.max": "max\n"})
    assert cgroup.effective(str(scope), str(tmp_path)) == {
        "mem_high": 500,
        "mem_max": 600,
        "swap_max": 0,
        "tasks_max": 99,
        "cpu_weight": 100,
        "io_weight": None,
        "cpu_quota": 50.0,
    }


def test_missing_controllers_hold_nothing(tmp_path: Path) -> None:
    """Trap 3: a cgroup without controllers (v1, hybrid, not delegated) enforces nothing, whatever was asked for."""
    paste(tmp_path / "x.scope", {"cgroup.procs": "1\n", "cgroup.controllers": "\n"})
    assert set(cgroup.effective(str(tmp_path / "x.scope"), str(tmp_path)).values()) == {None}


def test_processes_of_a_whole_tree(tmp_path: Path) -> None:
    """Trap 36: those in child cgroups that the job made itself count as well; a cgroup that is gone has none."""
    paste(tmp_path, {"job/cgroup.procs": "", "job/a/cgroup.procs": "12\n13\n", "job/a/b/cgroup.procs": "14\n"})
    paste(tmp_path, {"supervisor/cgroup.procs": "9\n"})
    assert sorted(cgroup.pids(str(tmp_path / "job"))) == [12, 13, 14]
    assert cgroup.pids(str(tmp_path / "gone")) == []


@pytest.mark.parametrize(
    ("text", "populated"),
    [("populated 1\nfrozen 0\n", True), ("populated 0\nfrozen 0\n", False), ("", None), (None, None)],
)
def test_whether_anybody_lives_there(tmp_path: Path, text: str | None, populated: bool | None) -> None:
    """True, False, or None because the cgroup is gone."""
    paste(tmp_path, {} if text is None else {"cgroup.events": text})
    assert cgroup.populated(str(tmp_path)) is populated


def test_a_write_that_the_kernel_refuses_is_told(tmp_path: Path) -> None:
    """None on success, otherwise the file's name and the kernel's message; never an exception."""
    paste(tmp_path, {"cgroup.procs": ""})
    assert cgroup.write(str(tmp_path), "cgroup.procs", "42") is None
    assert (tmp_path / "cgroup.procs").read_text() == "42"
    assert cgroup.write(str(tmp_path / "gone"), "cgroup.kill", "1") == f"cgroup.kill: {os.strerror(2)}"
    (tmp_path / "folder").mkdir()
    assert cgroup.write(str(tmp_path), "folder", "1") == f"folder: {os.strerror(21)}"
