"""`gravscope doctor`: from facts to lines, and what is read of folders."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from gravscope.actions.doctor import fix, machine
from gravscope.actions.doctor.doctor import Diagnosis, judge
from gravscope.actions.doctor.facts import (
    ASKED,
    MIB,
    Clock,
    Facts,
    Folder,
    Held,
    Journal,
    Linger,
    Manager,
    OomTrial,
    Slice,
    Trial,
)
from gravscope.actions.doctor.folders import look_at, unsafe_parts
from gravscope.actions.doctor.lines import Check, known_fault
from gravscope.settings.project import Project

UID = 1000
HELD: dict[str, Held] = {"mem_high": ASKED.mem_high, "mem_max": ASKED.mem_max, "tasks_max": 16, "cpu_quota": 50.0}
RUNTIME = "/run/user/1000"
JOBS = Folder(
    path=Path("/home/u/jobs"), kind="folder", nearest=Path("/home/u/jobs"), can_write=True, owner=UID, mode=0o700,
    free=9999 * MIB, free_names=10**6,
)  # fmt: skip
GOOD = Facts(
    uid=UID, user="u", program="gravscope", python="3.12.1", memory=8 * 2**30, systemd="257.1-1", booted=True,
    manager=Manager(RUNTIME, RUNTIME, UID, True, True, True, None, "running", "/user.slice/user@1000.service"),
    cgroup="unified", cgroup_read_only=False, controllers=frozenset({"memory", "pids", "cpu", "io", "cpuset"}),
    trial=Trial(None, HELD, "gravscope-doctor-1.scope"), oom=OomTrial(None, 137, 1),
    slice=Slice("/home/u/.config/systemd/user/gravscope.slice", {"MemoryMax": str(6 * 2**30)}),
    missing_tools=(), linger=Linger(True), journal=Journal(True, True), swap=4 * 2**30, swap_is_zram=False,
    swap_script="/x/swap_extend.sh", pressure=True, killers=(), jobs_dir=JOBS, log_dir=JOBS,
    clock=Clock(now=1.8e9, booted=1.8e9 - 1000, installed=1.7e9, synchronised=True), pystemd="0.13",
)  # fmt: skip


def check(facts: Facts, name: str) -> Check:
    """The line of that name."""
    (found,) = [line for line in judge(facts).checks if line.name == name]
    return found


def test_a_good_machine() -> None:
    """Where all is as it should be every line is ok, scopes work, and there is nothing to type."""
    found = judge(GOOD)
    assert [(line.name, line.found) for line in found.checks if line.status != "ok" or line.type] == []
    assert found.scope_works


def test_names_are_unique() -> None:
    """JSON readers may take the name for a key."""
    names = [line.name for line in judge(GOOD).checks]
    assert len(names) == len(set(names))


NO_MANAGER = replace(GOOD.manager, trouble="no bus", has_bus=False, address_given=False, state=None, cgroup=None)
LOST = {**HELD, "mem_high": None, "mem_max": None}


@pytest.mark.parametrize(
    ("name", "facts", "status", "words"),
    [
        ("systemd", replace(GOOD, systemd="249.6-1-arch"), "warn", "21297"),
        ("systemd", replace(GOOD, systemd="255.4-1ubuntu8.17"), "warn", "43361"),
        ("systemd", replace(GOOD, systemd=None), "warn", "not installed"),
        ("systemd", replace(GOOD, booted=False), "warn", "first process is another"),
        ("runtime-dir", replace(GOOD, manager=replace(GOOD.manager, owner=None)), "fail", "is not there"),
        ("runtime-dir", replace(GOOD, manager=replace(GOOD.manager, owner=0)), "fail", "belongs to uid 0"),
        ("runtime-dir", replace(GOOD, manager=replace(GOOD.manager, given=None)), "ok", "is unset"),
        ("runtime-dir", replace(GOOD, manager=replace(GOOD.manager, given="/run/user/7")), "ok", "is not yours"),
        ("bus", replace(GOOD, manager=NO_MANAGER), "fail", "there is no bus"),
        ("manager", replace(GOOD, manager=NO_MANAGER), "fail", "no bus"),
        ("manager", replace(GOOD, manager=replace(GOOD.manager, installed=False)), "fail", "not installed"),
        ("manager", replace(GOOD, manager=replace(GOOD.manager, state="degraded")), "ok", "degraded"),
        ("manager", replace(GOOD, manager=replace(GOOD.manager, state="stopping")), "warn", "stopping"),
        ("cgroup", replace(GOOD, cgroup="hybrid"), "warn", "hybrid"),
        ("cgroup", replace(GOOD, cgroup="v1"), "warn", "v1"),
        ("cgroup", replace(GOOD, cgroup_read_only=True), "warn", "read-only"),
        ("controllers", replace(GOOD, controllers=frozenset({"memory", "pids"})), "warn", "cpu not handed down"),
        ("controllers", replace(GOOD, controllers=None), "warn", "not known"),
        ("io-cpuset", replace(GOOD, controllers=frozenset({"memory", "pids", "cpu"})), "warn", "io, cpuset not"),
        ("scope", replace(GOOD, trial=Trial("Job failed.", {})), "fail", "could not be started: Job failed."),
        ("limits", replace(GOOD, trial=Trial(None, LOST)), "warn", "does not hold MemoryHigh, MemoryMax, gravscope"),
        ("limits", replace(GOOD, trial=Trial(None, {**HELD, "mem_max": "infinity"})), "warn", "not hold MemoryMax"),
        ("limits", replace(GOOD, trial=Trial(None, {**HELD, "mem_max": 50 * MIB})), "warn", "not hold MemoryMax"),
        ("oom", replace(GOOD, oom=OomTrial(None, 137, 0)), "fail", "0 kills counted"),
        ("oom", replace(GOOD, oom=OomTrial(None, 0, 0)), "fail", "exit status 0"),
        ("oom", replace(GOOD, oom=OomTrial("no limit")), "warn", "not tried"),
        ("slice", replace(GOOD, slice=Slice(None, {})), "warn", "not installed"),
        ("slice", replace(GOOD, slice=Slice("/f", {"MemoryMax": "infinity"})), "warn", "no MemoryMax"),
        ("slice", replace(GOOD, trial=Trial(None, LOST)), "warn", "the kernel does not hold the 6G"),
        ("session", replace(GOOD, missing_tools=("setsid",)), "warn", "setsid not installed"),
        ("linger", replace(GOOD, linger=Linger(False)), "warn", "off"),
        ("linger", replace(GOOD, linger=Linger(None, "no bus")), "warn", "does not say: no bus"),
        ("journal", replace(GOOD, journal=Journal(True, False, "denied")), "warn", "cannot be read: denied"),
        ("journal", replace(GOOD, journal=Journal(False, False)), "warn", "no journald"),
        ("swap", replace(GOOD, swap=0), "warn", "none"),
        ("swap", replace(GOOD, swap_is_zram=True), "warn", "zram"),
        ("psi", replace(GOOD, pressure=False), "warn", "psi=1"),
        ("oomd", replace(GOOD, killers=("systemd-oomd",)), "ok", "systemd-oomd is active"),
        ("clock", replace(GOOD, clock=replace(GOOD.clock, synchronised=False)), "warn", "not synchronised"),
        ("clock", replace(GOOD, clock=replace(GOOD.clock, now=1.6e9, booted=1.59e9)), "warn", "before gravscope"),
        ("clock", replace(GOOD, clock=replace(GOOD.clock, booted=100.0)), "warn", "1970"),
        ("pystemd", replace(GOOD, pystemd=None), "ok", "not needed"),
    ],
)  # fmt: skip
def test_each_line(name: str, facts: Facts, status: str, words: str) -> None:
    """What is wrong is named, with the status that it deserves."""
    found = check(facts, name)
    assert found.status == status
    assert words in found.found


@pytest.mark.parametrize(
    ("version", "issue"),
    [
        ("249.5-1", None), ("249.6-1-arch", "21297"), ("249.7", None), ("252.38-1~deb12u1", None), ("254.26", None),
        ("255", "43361"), ("255.4-1ubuntu8.17", "43361"), ("256.2-1", "43361"), ("256.3-1", None), ("257", None),
        ("256~rc1", "43361"), ("nonsense", None),
    ],
)  # fmt: skip
def test_known_faults(version: str, issue: str | None) -> None:
    """Just the broken versions are named, with the issue to read."""
    found = known_fault(version)
    assert (issue in (found or "")) if issue else found is None


def test_a_scope_that_does_not_work() -> None:
    """`scope_works` follows the trial alone: lost limits leave it true, a refused scope makes it false."""
    assert judge(replace(GOOD, trial=Trial(None, LOST))).scope_works
    found: Diagnosis = judge(replace(GOOD, trial=Trial("no", {}), manager=NO_MANAGER))
    assert not found.scope_works
    assert "sessions" in next(line.found for line in found.checks if line.name == "scope")


BROKEN = replace(GOOD, trial=Trial("no", {}), controllers=None, slice=None)


@pytest.mark.parametrize(
    ("facts", "cause"),
    [
        (replace(BROKEN, booted=False, manager=NO_MANAGER, linger=Linger(None)), "systemd"),
        (replace(BROKEN, systemd=None, manager=replace(NO_MANAGER, installed=False, owner=None)), "systemd"),
        (replace(BROKEN, manager=replace(NO_MANAGER, owner=None)), "runtime-dir"),
        (replace(BROKEN, manager=NO_MANAGER), "bus"),
        (replace(BROKEN, manager=replace(GOOD.manager, trouble="exit status 1: Connection refused")), "manager"),
        (replace(BROKEN, booted=False, manager=replace(GOOD.manager, trouble="it hangs")), "manager"),
        (replace(BROKEN, manager=replace(NO_MANAGER, installed=False)), "manager"),
        (replace(BROKEN, controllers=GOOD.controllers), "scope"),
    ],
)  # fmt: skip
def test_one_cause_has_one_failure(facts: Facts, cause: str) -> None:
    """The first thing that is missing fails; what needs it says so, and nothing else fails."""
    checks = judge(facts).checks
    assert [line.name for line in checks if line.status == "fail" and line.because is None] == [cause]
    assert {line.because for line in checks} == {None, cause}
    assert all(cause in (line.because, line.name) for line in checks if line.name in ("scope", "limits"))


def test_nobody_is_told_of_a_cause_where_scopes_work() -> None:
    """A warning beside a scope that works stands for itself."""
    found = judge(replace(GOOD, linger=Linger(False), slice=Slice(None, {}), booted=False))
    assert {line.because for line in found.checks} == {None}


def test_root_is_not_told_to_use_sudo() -> None:
    """Who is root already types the rest."""
    facts = replace(GOOD, uid=0, swap=0, controllers=frozenset({"memory"}), journal=Journal(True, False))
    facts = replace(facts, clock=replace(GOOD.clock, synchronised=False))
    assert not any("sudo" in (line.type or "") for line in judge(facts).checks)
    assert check(facts, "clock").type == "timedatectl set-ntp true"
    assert check(replace(facts, uid=UID), "clock").type == "sudo timedatectl set-ntp true"


def test_our_words_come_before_a_tools() -> None:
    """What systemctl and loginctl say stands behind what it means, without a bare exit status."""
    dead = replace(
        GOOD, manager=replace(GOOD.manager, trouble="exit status 1: Failed to connect to bus: No medium found")
    )
    assert check(dead, "manager").found == "no user manager answers: Failed to connect to bus: No medium found"
    assert check(replace(GOOD, linger=Linger(None, "exit status 1: Host is down")), "linger").found == (
        "not known, logind does not say: Host is down"
    )


def test_nothing_to_type_where_it_cannot_help() -> None:
    """In a container without systemd nobody is told to log in anew, nor to install a drop-in on a hybrid machine."""
    bare = replace(GOOD, booted=False, manager=replace(NO_MANAGER, owner=None), controllers=None, cgroup="hybrid")
    assert [check(bare, name).type for name in ("runtime-dir", "bus", "manager", "cgroup")] == [None] * 4
    hybrid = replace(GOOD, cgroup="hybrid", controllers=frozenset())
    assert check(hybrid, "io-cpuset").type is None
    unified = replace(GOOD, controllers=frozenset())
    assert check(unified, "io-cpuset").type == "sudo gravscope units install --system-dropin"


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({}, "ok", "/home/u/jobs"),
        ({"kind": "missing", "owner": None, "mode": 0}, "ok", "made when needed"),
        ({"kind": "missing", "can_write": False}, "fail", "is not there, and /home/u/jobs cannot"),
        ({"kind": "missing", "link_owner": UID}, "fail", "link to nowhere"),
        ({"kind": "other"}, "fail", "not a folder"),
        ({"kind": "out of reach"}, "fail", "out of reach"),
        ({"owner": 0}, "fail", "belongs to uid 0"),
        ({"link_owner": 1001}, "fail", "symbolic link of uid 1001's"),
        ({"link_owner": UID}, "ok", "jobs"),
        ({"can_write": False}, "fail", "cannot be written to"),
        ({"mode": 0o702}, "warn", "by others"),
        ({"mode": 0o770}, "warn", "by others"),
        ({"mode": 0o770, "group_is_own": True}, "ok", "jobs"),
        ({"mode": 0o755}, "ok", "jobs"),
        ({"path": Path("/srv/site/public/logs")}, "warn", "below public/"),
        ({"path": Path("/home/u/public_html/logs")}, "warn", "below public_html/"),
        ({"path": Path("/home/u/Public/logs"), "mode": 0o755}, "warn", "below Public/: a web server may show it"),
        ({"path": Path("/var/www/x/logs")}, "warn", "only one that runs as you can enter it (0700)"),
        ({"path": Path("/var/www/x/logs"), "mode": 0o755}, "warn", "only one that runs as you can read the files"),
        ({"path": Path("/srv/http/logs")}, "warn", "below http/"),
        ({"path": Path("/usr/share/nginx/html/logs")}, "warn", "below html/"),
        ({"path": Path("/home/u/http/html/logs")}, "ok", "html"),
        ({"path": Path("/home/u/logs"), "real": Path("/var/www/logs")}, "warn", "below www/"),
        ({"path": Path("/home/u/republic/logs")}, "ok", "republic"),
        ({"open_above": Path("/srv/all")}, "warn", "can be replaced by anybody who can write to /srv/all"),
    ],
)
def test_folders(changes: dict[str, object], status: str, words: str) -> None:
    """A folder that somebody else could write to, or see, is told from one that is ours alone, with what to type."""
    found = machine.folder("log-dir", replace(JOBS, **changes), UID)  # type: ignore[arg-type]
    assert (found.status, words in found.found) == (status, True), found
    assert (found.type is None) == (status == "ok"), found


def test_what_to_type_about_folders() -> None:
    """Another folder where this one cannot be mended; root's own is taken back."""
    public = replace(JOBS, path=Path("/srv/site/public/logs"))
    assert machine.folder("log-dir", public, UID).type == "export GRAVSCOPE_LOG_DIR=~/.local/state/gravscope/logs"
    assert machine.folder("jobs-dir", public, UID).type == "export GRAVSCOPE_JOBS_DIR=~/.local/state/gravscope/jobs"
    assert machine.folder("jobs-dir", replace(JOBS, owner=7), UID).type == machine.folder("jobs-dir", public, UID).type
    assert machine.folder("jobs-dir", replace(JOBS, owner=0), UID).type == 'sudo chown -R "$(id -un)" /home/u/jobs'


def test_a_path_that_others_can_put_programs_into(tmp_path: Path) -> None:
    """Trap: `.`, an empty part and a folder that all may write to are named, with a PATH without them; else no line."""
    for name, mode in (("open", 0o777), ("sticky", 0o1777), ("own", 0o755)):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(mode)
    bad = (".", "", "bin", f"{tmp_path}/open", f"{tmp_path}/sticky")
    good = (f"{tmp_path}/own", f"{tmp_path}/missing")
    path = ":".join(["/usr/bin", *bad, *good])
    assert unsafe_parts(path) == bad
    found = check(replace(GOOD, path=path, unsafe_path=bad), "path")
    assert (found.status, found.type) == ("warn", f"export PATH=/usr/bin:{':'.join(good)}")
    assert "PATH has . and an empty part and bin and" in found.found
    assert [line for line in judge(GOOD).checks if line.name == "path"] == []


@pytest.mark.parametrize(
    ("free", "names", "status"),
    [
        (9999 * MIB, None, "ok"), (500 * MIB, None, "warn"), (0, None, "fail"), (9999 * MIB, 5, "warn"),
        (9999 * MIB, 0, "fail"), (None, None, "warn"),
    ],
)  # fmt: skip
def test_room(free: int | None, names: int | None, status: str) -> None:
    """Little room, or few names left, is a warning; none at all a failure."""
    assert machine.room("log-room", replace(JOBS, free=free, free_names=names)).status == status


def test_looking_at_real_folders(tmp_path: Path) -> None:
    """Kinds, links, modes and room are those of the disk, and nothing is made by looking."""
    uid = os.geteuid()
    open_to_all, file = tmp_path / "open", tmp_path / "file"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    file.touch()
    (tmp_path / "link").symlink_to(open_to_all)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    found = {name: look_at(tmp_path / name, uid) for name in ("open", "file", "link", "dangling", "a/b/c", "file/x")}
    kinds = {name: folder.kind for name, folder in found.items()}
    assert kinds == {
        "open": "folder", "file": "other", "link": "folder", "dangling": "missing", "a/b/c": "missing",
        "file/x": "out of reach",
    }  # fmt: skip
    assert (found["open"].mode, found["open"].owner, found["open"].link_owner) == (0o777, uid, None)
    assert found["link"].link_owner == found["dangling"].link_owner == uid
    assert found["a/b/c"].nearest == tmp_path
    assert found["a/b/c"].can_write and found["a/b/c"].free
    assert (found["link"].real, found["open"].open_above) == (open_to_all, None)
    assert look_at(open_to_all / "jobs", uid).open_above == open_to_all
    open_to_all.chmod(0o1777)
    assert look_at(open_to_all / "jobs", uid).open_above is None, "whose sticky bit keeps others from renaming it"
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("status", "said"),
    [(0, ["loginctl enable-linger"]), (1, ["needs a password, or is not allowed: exit status 1: no"])],
)
def test_fix_lingers_only_without_a_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, said: list[str]
) -> None:
    """Where linger is off, loginctl is asked not to ask for a password; what came of it is said, and when it is on
    already nothing is done."""
    stub = tmp_path / "loginctl"
    stub.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\necho no >&2\nexit {status}\n')
    stub.chmod(0o755)
    for name in ("jobs", "logs"):
        (tmp_path / name).mkdir(mode=0o700)
    project = Project(tmp_path / "jobs", tmp_path / "logs")
    environ = {"PATH": str(tmp_path)}
    monkeypatch.setattr(fix, "read_linger", lambda *_: Linger(True))
    assert fix.fix(project, environ) == []
    assert not (tmp_path / "asked").exists()
    monkeypatch.setattr(fix, "read_linger", lambda *_: Linger(False))
    done = fix.fix(project, environ)
    assert len(done) == 1
    assert said[0] in done[0]
    assert (tmp_path / "asked").read_text() == "--no-ask-password enable-linger\n"
