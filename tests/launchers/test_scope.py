"""Jobs in real scopes of a real user manager: launched, limited, cancelled, with nothing left behind."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.support import ManagedGravscope, alive, until

RUNAWAYS = "setsid sleep 1000 & (sleep 1001 &) ; echo ready; sleep 1002"
DEAF = "trap '' TERM; echo ready; while :; do sleep 0.1; done"


def unit_is_gone(managed: ManagedGravscope, unit: str) -> bool:
    """True if the manager no longer has the unit."""
    return "LoadState=not-found" in managed.systemctl("show", unit, "-p", "LoadState").stdout


def test_a_job_is_a_scope_in_our_slice(managed: ManagedGravscope) -> None:
    """`run` makes gravscope-ID.scope in gravscope.slice, active, with unit and pgid in the record; cancel needs one
    step, and no process is left, not even one that called setsid."""
    job = managed.start("-n", "a", "--mem-high", "6G", "--", "bash", "-c", RUNAWAYS)
    record = managed.record(job)
    assert re.fullmatch(r"gravscope-a_\d{8}_\d{6}\.scope", record["unit"])
    assert (record["slice"], record["launcher"], record["pgid"]) == ("gravscope.slice", "scope", record["pid"])
    assert managed.systemctl("is-active", record["unit"]).stdout.strip() == "active"
    shown = managed.systemctl("show", record["unit"], "-p", "MemoryHigh,Slice,Delegate").stdout
    assert {"MemoryHigh=6442450944", "Slice=gravscope.slice", "Delegate=yes"} <= set(shown.split())
    assert managed("wait", job, "--ready", "ready").returncode == 0
    folder = managed.manager.cgroup_of(record["unit"])
    pids = [int(pid) for pid in (folder / "job" / "cgroup.procs").read_text().split()]
    assert len(pids) == 3
    assert (folder / "supervisor" / "cgroup.procs").read_text().split() == [str(record["supervisor_pid"])]
    assert managed("cancel", "a").stdout == f"{job}: cancelled by systemctl stop\n"
    record = managed.record(job)
    assert [step["step"] for step in record["cancel"]["steps"]] == ["systemctl stop"]
    assert record["cancel"]["steps"][0]["error"] is None
    assert not any(alive(pid) for pid in pids)
    until(lambda: unit_is_gone(managed, record["unit"]), "no unit is left")
    assert not folder.exists()


def test_auto_takes_the_scope(managed: ManagedGravscope) -> None:
    """If a manager can be reached, `auto` uses a scope and prints nothing about it."""
    done = managed("run", "-n", "auto", "--", "true")
    assert (done.returncode, done.stderr) == (0, "")
    assert managed.ended(done.stdout.strip())["launcher"] == "scope"


def test_found_without_its_variables(managed: ManagedGravscope) -> None:
    """cron, ssh without PAM and sudo leave XDG_RUNTIME_DIR and the bus address unset: both are derived."""
    managed.manager = managed.manager.without_bus_env()
    job = managed.start("-n", "cron", "--", "true")
    assert managed.ended(job)["unit"] is not None


def test_a_command_that_ends_at_once(managed: ManagedGravscope) -> None:
    """No unit is left, neither active nor failed, and the exit status is recorded."""
    job = managed.start("-n", "quick", "--", "bash", "-c", "exit 3")
    record = managed.ended(job)
    assert (record["state"], record["exit_code"]) == ("failed", 3)
    until(lambda: unit_is_gone(managed, record["unit"]), "no unit is left")


def test_never_started_leaves_no_unit(managed: ManagedGravscope) -> None:
    """A command that does not exist gives exit status 2, and its scope is removed."""
    assert managed("run", "-n", "none", "--launcher", "scope", "--", "/no/such/command").returncode == 2
    (record,) = managed.records()
    assert record["state"] == "never-started"
    until(lambda: unit_is_gone(managed, record["unit"]), "no unit is left")


def failing_systemctl(managed: ManagedGravscope) -> dict[str, str]:
    """An environment in which `systemctl` fails, because a stub comes first in PATH."""
    folder = managed.manager.new_folder("stub")
    stub = Path(folder) / "systemctl"
    stub.write_text("#!/bin/sh\necho 'Failed to connect to bus: stubbed' >&2\nexit 1\n")
    stub.chmod(0o755)
    return {"PATH": f"{folder}:{managed.manager.path}"}


def test_cancel_without_systemctl(managed: ManagedGravscope) -> None:
    """If systemctl fails, cancel goes on to SIGTERM to the process group; both steps are recorded in order."""
    job = managed.start("-n", "stubbed", "--", "sleep", "1000")
    assert managed("cancel", job, env=failing_systemctl(managed)).returncode == 0
    record = managed.record(job)
    assert [step["step"] for step in record["cancel"]["steps"]] == ["systemctl stop", "SIGTERM to the process group"]
    assert "stubbed" in record["cancel"]["steps"][0]["error"]
    assert (record["state"], record["signal"]) == ("cancelled", 15)


def test_cancel_of_a_deaf_job_without_systemctl(managed: ManagedGravscope) -> None:
    """A job that ignores SIGTERM then gets SIGKILL after the grace period; three steps are recorded in order."""
    job = managed.start("-n", "deaf", "--grace", "0.3s", "--", "bash", "-c", DEAF)
    assert managed("wait", job, "--ready", "ready").returncode == 0
    assert managed("cancel", job, env=failing_systemctl(managed)).returncode == 0
    record = managed.record(job)
    steps = ["systemctl stop", "SIGTERM to the process group", "SIGKILL to the process group"]
    assert [step["step"] for step in record["cancel"]["steps"]] == steps
    assert record["signal"] == 9


def test_systemctl_stop_of_a_deaf_job(managed: ManagedGravscope) -> None:
    """The stop job is enough for a job that ignores SIGTERM: the supervisor kills it in time and writes the record."""
    job = managed.start("-n", "deaf", "--grace", "0.3s", "--", "bash", "-c", DEAF)
    assert managed("wait", job, "--ready", "ready").returncode == 0
    assert managed("cancel", job).returncode == 0
    record = managed.record(job)
    assert [step["step"] for step in record["cancel"]["steps"]] == ["systemctl stop"]
    assert (record["state"], record["signal"]) == ("cancelled", 9)


def test_stopped_behind_our_back(managed: ManagedGravscope) -> None:
    """`systemctl --user stop` by hand ends the job, but not as `cancelled`, which needs gravscope's own cancel."""
    job = managed.start("-n", "stopped", "--", "sleep", "1000")
    unit = managed.record(job)["unit"]
    assert managed.systemctl("stop", unit).returncode == 0
    record = managed.ended(job)
    assert (record["state"], record["signal"], record["cancel"]) == ("killed", 15, None)
    assert "told to stop by SIGTERM" in record["reason"]


def test_limits_that_the_kernel_does_not_hold_are_watched(managed: ManagedGravscope) -> None:
    """Limits given to systemd are read back from the cgroup: without a memory controller the watch enforces them."""
    script = "x = b'x' * (200 << 20); print('full', flush=True); import time; time.sleep(1000)"
    done = managed("run", "-n", "hog", "--mem-max", "64M", "--", "python3", "-c", script)
    job = done.stdout.strip()
    record = managed.record(job)
    if record["enforcement"] == "kernel":
        assert record["effective"]["mem_max"] == 64 << 20
    else:
        assert record["effective"]["mem_max"] is None
        assert "gravscope itself watches --mem-max" in done.stderr
    assert managed("wait", job).returncode == 137
    assert managed.record(job)["state"] == "oom-killed"


def test_a_unit_of_that_name_is_there_already(managed: ManagedGravscope) -> None:
    """If the unit is refused, one line says so and the record is never-started; no job runs without its limits."""
    managed.manager.run(["systemd-run", "--user", "--slice=x", "--unit=blocker.service", "sleep", "1000"])
    try:
        done = managed("run", "-n", "x", "--", "true", env=refusing_systemd_run(managed))
        assert (done.returncode, len(done.stderr.splitlines())) == (5, 1)
        assert "already exists" in done.stderr or "already loaded" in done.stderr
        (record,) = managed.records()
        assert (record["state"], record["launcher"]) == ("never-started", "scope")
    finally:
        managed.systemctl("stop", "blocker.service")


GONE = {"pid": 2**22, "start_ticks": 1, "pgid": 2**22}
TWINS = {
    "died before its supervisor": ({}, {"state": "starting", "started": None, "effective": None}, "never-started"),
    "died as a whole": ({"supervisor_pid": 2**22, "supervisor_start_ticks": 1, **GONE}, {}, "lost"),
}


@pytest.mark.parametrize("twin", TWINS.values(), ids=TWINS)
def test_a_unit_of_another_folders_job(
    managed: ManagedGravscope, twin: tuple[dict[str, object], dict[str, object], str]
) -> None:
    """A record may name a unit that now belongs to another job of the same name and second: neither status nor cancel
    of that record changes anything of the other job."""
    known, standing, state = twin
    job = managed.start("-n", "x", "--", "sleep", "1000")
    record = managed.record(job)
    other = ManagedGravscope(managed.manager)
    other.environ |= {"GRAVSCOPE_JOBS_DIR": str(other.jobs_dir), "GRAVSCOPE_LOG_DIR": str(other.log_dir)}
    unknown = {"supervisor_pid": None, "supervisor_start_ticks": None, "pid": None, "pgid": None, "start_ticks": None}
    other_record = record | unknown | known | {"invocation_id": "0" * 32} | standing
    other("status")
    managed.manager.run(["mkdir", "-p", str(other.jobs_dir)])
    managed.manager.run(["tee", str(other.jobs_dir / f"{job}.json")], input=json.dumps(other_record))
    cancelled = other("cancel", job)
    assert other.record(job)["state"] == state, cancelled.stderr
    assert alive(record["pid"])
    assert managed.record(job)["state"] == "running"


def refusing_systemd_run(managed: ManagedGravscope) -> dict[str, str]:
    """An environment in which `systemd-run` calls the real one with a unit name that is already in use."""
    folder = managed.manager.new_folder("stub")
    stub = Path(folder) / "systemd-run"
    stub.write_text("#!/bin/sh\nexec /usr/bin/systemd-run --user --unit=blocker.service true\n")
    stub.chmod(0o755)
    return {"PATH": f"{folder}:{managed.manager.path}"}


def test_a_controller_that_is_not_delegated(managed: ManagedGravscope) -> None:
    """A limit that systemd would accept and the kernel could not enforce is refused in one line, before any record."""
    there = (managed.manager.cgroup_root / "cgroup.controllers").read_text().split()
    for words, controller in (
        (("--io-weight", "50"), "io"),
        (("--cpu-quota", "50%"), "cpu"),
        (("--tasks-max", "9"), "pids"),
    ):
        if controller in there:
            continue
        done = managed("run", "-n", "x", *words, "--", "true")
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (5, "", 1)
        assert f"{words[0]}: the {controller} controller is not delegated" in done.stderr
    assert not list(managed.folder.rglob("*.json")) + list(managed.folder.rglob("*.log"))
