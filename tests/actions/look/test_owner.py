"""Trap 48: other users can neither read nor end nor deceive; root may look, and acts only on its own jobs."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import signal
import stat
import subprocess
import tempfile
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.others import OF_THE_STRANGER, STRANGER, Other, one_line, removed, session
from tests.support import ManagedGravscope, alive, state_of, until


def attempts(job: str) -> list[tuple[str, ...]]:
    """Every command that does something with a job."""
    return [
        ("status", job), ("show", job), ("logs", "-f", job), ("wait", job), ("cancel", job),
        ("limit", job, "--mem-max", "1G"), ("pause", job),
    ]  # fmt: skip


# what others see, and can do


def test_private_folders_are_out_of_reach(owner: ManagedGravscope, stranger: Other) -> None:
    """Any attempt on a user's folders by another user gives exit status 6 and one line; the job is not affected."""
    job = session(owner, "-n", "mine", "--", "sleep", "1000")
    before = owner.record(job)
    for words in [("status",), *attempts(job)]:
        assert "Permission denied" in one_line(stranger(*words), 6)
    for words in (("show", str(owner.jobs_dir / f"{job}.json")), ("cancel", str(owner.jobs_dir / f"{job}.json"))):
        one_line(stranger(*words), 3)
    for path in (owner.jobs_dir / f"{job}.json", Path(before["log_file"]), owner.jobs_dir, owner.log_dir):
        assert stranger.run("cat", str(path)).returncode != 0
    assert "Permission denied" in one_line(stranger("run", "-n", "x", "--", "true"), 6)
    assert owner.record(job) == before


def test_in_a_folder_that_all_may_read(owner: ManagedGravscope, stranger: Other) -> None:
    """Others can see names and times there, as they are in file names, but neither records nor logs."""
    for folder in (owner.manager.home, owner.folder, owner.jobs_dir, owner.log_dir):
        owner.manager.run(["mkdir", "-p", folder])
        owner.manager.run(["chmod", "0755", folder])
    try:
        job = session(owner, "-n", "mine", "-e", "A=hush", "--", "sleep", "1000")
        before = owner.record(job)
        assert [path.stat().st_mode & 0o777 for path in (owner.jobs_dir, owner.log_dir)] == [0o755, 0o755], "kept"
        listed = stranger("status")
        assert (listed.returncode, listed.stdout) == (0, "")
        assert "Permission denied" in listed.stderr
        for words in attempts(job):
            assert "Permission denied" in one_line(stranger(*words), 6)
        assert "Permission denied" in one_line(stranger("cancel", str(owner.jobs_dir / f"{job}.json")), 6)
        assert stranger.run("cat", before["log_file"]).returncode != 0
        assert owner.record(job) == before
        names = {path.name for path in owner.jobs_dir.iterdir()}
        assert names == {f"{job}.json", f"{job}.lock"}, "nothing was laid beside it"
    finally:
        owner.manager.run(["chmod", "0700", owner.manager.home])


def test_attempts_of_others_do_not_stand_in_the_way(owner: ManagedGravscope, stranger: Other, shared: Path) -> None:
    """The same in a folder that all may write to: afterwards the owner can still pause and end the job."""
    job = session(owner, "-n", "mine", "--", "sleep", "1000")
    for words in attempts(job)[-3:]:
        one_line(stranger(*words), 6)
    laid = shared / f".{job}.cancelling"
    assert not laid.exists()
    stranger.plant(laid, "")
    with laid.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # never released, as far as the owner can tell
        paused = owner("pause", job)
        assert paused.returncode == 0, paused.stderr
        done = owner("cancel", job)
    assert (done.returncode, owner.record(job)["state"]) == (0, "cancelled"), done.stderr


# what others lay beside, or in the place of, records


@pytest.mark.parametrize("older", [False, True], ids=["record", "older record"])
def test_a_planted_record_ends_nobody(
    owner: ManagedGravscope, stranger: Other, root: Other, open_folder: Path, older: bool
) -> None:
    """A record by another user, with all that proves a process, is accepted by neither the user nor root."""
    with ExitStack() as stack:
        for uid in (owner.manager.uid, STRANGER, 0):
            victim = stack.enter_context(
                subprocess.Popen(["sleep", "1000"], user=uid, group=uid, extra_groups=[], process_group=0)
            )
            stack.callback(victim.kill)
            name = f"fit{uid}"
            planted = open_folder / f"{name}_20990101_000000.json"
            stranger.plant(planted, json.dumps(claim(victim.pid, planted, older=older)))
            for words in (("cancel", name), ("cancel", str(planted))):
                assert f"is owned by {OF_THE_STRANGER}, and not believed" in one_line(owner(*words), 6)
                assert f"a job of {OF_THE_STRANGER}'s" in one_line(root(*words), 4)
            assert state_of(victim.pid) == "S", "neither ended nor stopped"
        for words in () if older else attempts(name):
            assert f"is owned by {OF_THE_STRANGER}, and not believed" in one_line(owner(*words), 6)
        assert owner("status").stderr.count("not believed") == 3


def claim(pid: int, path: Path, *, older: bool) -> dict[str, object]:
    """A record for the file `path` which says that `pid` is a job, with data that anybody can read in /proc."""
    if older:
        started = datetime.now().astimezone().isoformat(timespec="seconds")
        return {
            "pid": pid, "pgid": pid, "name": "fit", "started": started, "log_file": "/dev/null", "workdir": "/",
            "command": "sleep 1000", "env": "", "unit": None,
        }  # fmt: skip
    ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    return {
        "schema": 1, "id": path.stem, "name": "fit", "state": "running", "cmd": ["sleep", "1000"],
        "cwd": "/", "log_file": "/dev/null", "created": "2099-01-01T00:00:00.000+00:00",
        "launcher": "session", "pid": pid, "pgid": pid, "start_ticks": ticks, "supervisor_pid": pid,
        "supervisor_start_ticks": ticks, "boot_id": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
    }  # fmt: skip


def requests_of(folder: Path, job: str) -> dict[Path, str]:
    """One of each kind of request that may be beside a record, as gravscope itself writes them."""
    cancel = {"requested": "2026-01-01T00:00:00+00:00", "by": "nobody", "grace": 0, "steps": []}
    cancel["steps"] = [{"step": "SIGTERM to the process group", "at": "2026-01-01T00:00:00+00:00"}]
    limits = [{"at": "2026-01-01T00:00:00+00:00", "by": "nobody", "limits": {"mem_max": 1 << 20}}]
    return {
        folder / f"{job}.cancel": json.dumps(cancel), folder / f"{job}.limits": json.dumps(limits),
        folder / f"{job}.paused": "",
    }  # fmt: skip


@pytest.mark.parametrize("as_link", [False, True], ids=["file", "link"])
def test_planted_requests_are_none(owner: ManagedGravscope, stranger: Other, shared: Path, as_link: bool) -> None:
    """A request to end a job, or a limit, that another user put beside its record has no effect."""
    job = session(owner, "-n", "mine", "--mem-max", "1G", "--", "sleep", "1000")
    for path, text in requests_of(shared, job).items():
        target = shared / f"elsewhere{path.suffix}" if as_link else path
        stranger.plant(target, text)
        if as_link:
            path.symlink_to(target)
            os.chown(path, STRANGER, STRANGER, follow_symlinks=False)
    record = owner.record(job)
    os.kill(record["supervisor_pid"], signal.SIGUSR1)  # makes it look at once
    os.kill(record["pid"], signal.SIGTERM)
    ended = owner.ended(job)
    assert (ended["state"], ended["cancel"], ended["limit_changes"]) == ("killed", None, [])
    assert ended["limits"] == record["limits"]


def test_the_same_requests_of_ones_own_are_believed(owner: ManagedGravscope, shared: Path) -> None:
    """The same files written by the owner are accepted, so the test above can fail."""
    job = session(owner, "-n", "mine", "--mem-max", "1G", "--", "sleep", "1000")
    for path, text in requests_of(shared, job).items():
        if path.suffix != ".limits":  # with the new limit the watch would end the job
            path.write_text(text)
            os.chown(path, owner.manager.uid, owner.manager.uid)
    os.kill(owner.record(job)["pid"], signal.SIGTERM)
    assert owner.ended(job)["state"] == "cancelled"


def test_a_cancel_laid_in_wait(owner: ManagedGravscope, stranger: Other, shared: Path) -> None:
    """Ids can be guessed. A request for a future id does not prevent the job from starting."""
    now = datetime.now().astimezone()
    guessed = {f"mine_{now + timedelta(seconds=second):%Y%m%d_%H%M%S}" for second in range(120)}
    for job in guessed:
        for path, text in requests_of(shared, job).items():
            stranger.plant(path, text)
    job = session(owner, "-n", "mine", "--", "true")
    assert job in guessed
    assert owner.ended(job)["state"] == "succeeded"


@pytest.mark.parametrize("as_fifo", [False, True], ids=["file", "fifo"])
def test_requests_of_ones_own_beside_planted_ones(
    owner: ManagedGravscope, stranger: Other, shared: Path, as_fifo: bool
) -> None:
    """If another user's file is in the place of a request and cannot be replaced, cancel still works."""
    job = session(owner, "-n", "mine", "--mem-max", "1G", "--", "sleep", "1000")
    for path, text in requests_of(shared, job).items():
        if path.suffix == ".cancel" and as_fifo:
            os.mkfifo(path)
            path.chmod(0o666)
            os.chown(path, STRANGER, STRANGER)
        else:
            stranger.plant(path, text)
    limited = owner("limit", job, "--mem-max", "2G")
    if shared.stat().st_mode & stat.S_ISVTX:
        assert f"{job}.limits: Operation not permitted" in one_line(limited, 6)
    else:
        assert limited.returncode == 0, limited.stderr
    done = owner("cancel", job)
    assert done.returncode == 0, done.stderr
    record = owner.record(job)
    assert (record["state"], record["cancel"]["by"].split()[0]) == ("cancelled", owner.manager.user)


def test_a_lock_taken_away(owner: ManagedGravscope, stranger: Other, shared: Path) -> None:
    """In an open folder anybody can remove or replace the lock; the job's supervisor still counts."""
    job = session(owner, "-n", "mine", "--", "sleep", "1000")
    before = owner.record(job)
    (shared / f"{job}.lock").unlink()
    assert owner("show", job).returncode == 0
    stranger.plant(shared / f"{job}.lock", "")
    assert owner("show", job).returncode == 0
    assert owner.record(job) == before
    assert owner("cancel", job).returncode == 0
    assert owner.record(job)["state"] == "cancelled"


# root


def test_root_may_look(owner: ManagedGravscope, root: Other) -> None:
    """status, show, logs and wait show root a user's job, and create no file that root owns."""
    job = session(owner, "-n", "mine", "--", "sh", "-c", "echo said; exec sleep 1000")
    until(lambda: owner.log(job), "its output")
    before = owner.record(job)
    (listed,) = json.loads(root("status", "--json").stdout)
    assert (listed["id"], listed["state"]) == (job, "running")
    assert listed["memory_now"] > 0
    assert f"{job}: running" in root("show", job).stdout
    assert root("logs", job).stdout == "said\n"
    assert root("wait", "--timeout", "0", job).returncode == 124
    assert root("wait", "--ready", "said", job).stdout == "said\n"
    assert owner.record(job) == before
    assert {path.stat().st_uid for path in owner.jobs_dir.iterdir()} == {owner.manager.uid}


def test_root_is_told_the_truth_and_writes_none(owner: ManagedGravscope, root: Other) -> None:
    """Root is told that a job is lost if it was killed together with its supervisor; the file stays the owner's."""
    job = session(owner, "-n", "mine", "--", "sleep", "1000")
    record = owner.record(job)
    os.kill(record["supervisor_pid"], signal.SIGKILL)
    until(lambda: not alive(record["supervisor_pid"]), "the end of the supervisor")
    assert "its supervisor is gone; it still runs" in root("show", job).stdout
    os.kill(record["pid"], signal.SIGKILL)
    until(lambda: not alive(record["pid"]), "the end of the job")
    assert json.loads(root("show", "--json", job).stdout)["state"] == "lost"
    assert root("wait", job).returncode == 1
    assert owner.record(job) == record, "nothing was written"
    assert (owner.jobs_dir / f"{job}.json").stat().st_uid == owner.manager.uid
    assert json.loads(owner("show", "--json", job).stdout)["state"] == "lost"
    assert owner.record(job)["state"] == "lost"


def test_root_acts_as_the_user(owner: ManagedGravscope, root: Other) -> None:
    """Root does not end, pause or limit a user's job, whose manager is not root's; the command in the hint does."""
    job = owner.start("-n", "mine", "--", "sleep", "1000")
    for words in (("limit", job, "--mem-max", "1G"), ("resume", job), ("pause", job), ("cancel", job)):
        line = one_line(root(*words), 4)
        assert f"{job} is a job of {owner.manager.user}'s" in line
    assert owner.record(job)["state"] == "running"
    typed = shlex.split(line.partition("; type: ")[2])
    words = [*typed[: typed.index("gravscope")], *owner.command, *typed[typed.index("gravscope") + 1 :]]
    done = root.run(*words, env={"XDG_RUNTIME_DIR": "/run/user/0"})
    assert done.returncode == 0, done.stderr
    record = owner.record(job)
    assert record["state"] == "cancelled"
    assert record["cancel"]["steps"][-1]["step"] == "systemctl stop"
    assert record["cancel"]["by"].startswith(f"{owner.manager.user} ")


# settings


@pytest.mark.parametrize(
    "text",
    ["[env]\nLD_PRELOAD = '/x'\n", "[jobs.mine.env]\nBASH_ENV = '/x'\n", "[memsafe_env]\nPYTHONPATH = '/x'\n"],
)
def test_variables_that_somebody_else_set(
    owner: ManagedGravscope, stranger: Other, open_folder: Path, text: str
) -> None:
    """Another user's settings file in a parent folder sets no variable for a job: it could start any program."""
    del owner.environ["GRAVSCOPE_JOBS_DIR"], owner.environ["GRAVSCOPE_LOG_DIR"]
    settings, below = open_folder / "gravscope.toml", open_folder / "work"
    below.mkdir()
    stranger.plant(settings, text)
    line = one_line(owner("run", "-n", "mine", "--", "true", cwd=below), 2)
    assert f"{settings}: is owned by {OF_THE_STRANGER}, and its " in line
    assert owner("status", cwd=below).returncode == 0, "which only looks"
    os.chown(settings, owner.manager.uid, owner.manager.uid)
    assert owner("run", "--dry-run", "-n", "mine", "--", "true", cwd=below).returncode == 0


def test_other_settings_of_a_colleague_count(owner: ManagedGravscope, stranger: Other, open_folder: Path) -> None:
    """Limits and folders of another user's project are used."""
    del owner.environ["GRAVSCOPE_JOBS_DIR"], owner.environ["GRAVSCOPE_LOG_DIR"]
    mine = owner.manager.new_folder()
    stranger.plant(
        open_folder / "gravscope.toml", f"jobs_dir = '{mine}/jobs'\nlog_dir = '{mine}/logs'\nmem_max = '100M'\n"
    )
    done = owner("run", "--launcher", "session", "-n", "mine", "--json", "--wait", "--", "true", cwd=open_folder)
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["limits"]["mem_max"] == 100 << 20
    assert record["log_file"].startswith(f"{mine}/logs/")


# the way to the manager


def test_the_runtime_folder_of_somebody_else(owner: ManagedGravscope, stranger: Other) -> None:
    """As after su: another user's XDG_RUNTIME_DIR is not used, and the reason says which folder is missing."""
    top = Path(tempfile.mkdtemp(prefix="gravscope-stranger-"))
    os.chown(top, STRANGER, STRANGER)
    theirs = {
        "XDG_RUNTIME_DIR": str(owner.manager.runtime_dir),
        "DBUS_SESSION_BUS_ADDRESS": f"unix:path={owner.manager.runtime_dir}/bus",
        "GRAVSCOPE_JOBS_DIR": str(top / "jobs"),
        "GRAVSCOPE_LOG_DIR": str(top / "logs"),
    }
    try:
        missing = f"no user manager: its folder /run/user/{STRANGER} is not there"
        assert missing in one_line(stranger("run", "--launcher", "scope", "--", "true", env=theirs), 5)
        done = stranger("run", "-n", "x", "--", "true", env=theirs)
        assert done.returncode == 0, done.stderr
        record = until(lambda: ended_in(top / "jobs" / f"{done.stdout.strip()}.json"), "the end of the job")
        assert (record["launcher"], record["fallback_reason"]) == ("session", missing)
    finally:
        removed(top)


def ended_in(path: Path) -> dict[str, object] | None:
    """The record in that file once its job has ended; None before."""
    record: dict[str, object] = json.loads(path.read_text())
    return record if record["ended"] is not None else None
