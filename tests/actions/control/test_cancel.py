"""`gravscope cancel` of session jobs: the steps, the record, and that no other process is signalled."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gravscope.actions.control.cancel import Escalation, cancel
from gravscope.linux import files
from gravscope.records.store import Store
from tests.support import Gravscope, alive, state_of, until

DEAF = "trap '' TERM; echo ready; while :; do sleep 0.1; done"
# A child in its own session, and a grandchild orphaned by a double fork.
RUNAWAYS = "setsid sleep 1000 & (sleep 1001 &) ; echo ready; sleep 1002"


def steps(record: dict[str, Any]) -> list[str]:
    """The steps that were taken."""
    return [step["step"] for step in record["cancel"]["steps"]]


def ready(gravscope: Gravscope, job: str) -> str:
    """Returns `job` once it has printed "ready"."""
    assert gravscope("wait", job, "--ready", "ready").returncode == 0
    return job


def test_sigterm_is_enough_for_most(gravscope: Gravscope) -> None:
    """If a job ends on SIGTERM, this is the only step, and the record says when and by whom."""
    job = gravscope.start("-n", "a", "--", "sleep", "1000")
    done = gravscope("cancel", job)
    assert (done.returncode, done.stdout) == (0, f"{job}: cancelled by SIGTERM to the process group\n")
    record = gravscope.record(job)
    assert (record["state"], record["signal"], steps(record)) == ("cancelled", 15, ["SIGTERM to the process group"])
    assert "(pid " in record["cancel"]["by"]
    assert record["cancel"]["requested"] <= record["cancel"]["steps"][0]["at"] <= record["ended"]
    assert not alive(record["pid"])
    assert [path.name for path in gravscope.jobs_dir.iterdir()] == [f"{job}.json"], "nothing is left beside it"


def test_sigkill_after_the_grace_period(gravscope: Gravscope) -> None:
    """A job that ignores SIGTERM ends by SIGKILL after the grace period; the steps are recorded in order."""
    job = ready(gravscope, gravscope.start("-n", "deaf", "--", "bash", "-c", DEAF))
    assert gravscope("cancel", job, "--grace", "0.3s").returncode == 0
    record = gravscope.record(job)
    assert steps(record) == ["SIGTERM to the process group", "SIGKILL to the process group"]
    assert record["cancel"]["steps"][0]["error"] == "still there after 0.3 s"
    assert record["cancel"]["steps"][1]["error"] is None
    assert (record["state"], record["signal"]) == ("cancelled", 9)


def test_a_trap_may_end_it_well(gravscope: Gravscope) -> None:
    """A job that saves on SIGTERM and exits with 0 is cancelled, keeps its exit status, and `wait` never is 0."""
    script = "trap 'echo saved; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
    job = ready(gravscope, gravscope.start("-n", "saves", "--", "bash", "-c", script))
    gravscope("cancel", job)
    record = gravscope.record(job)
    assert (record["state"], record["exit_code"]) == ("cancelled", 0)
    assert gravscope.log(job).endswith("saved\n")
    assert gravscope("wait", job).returncode == 1


@pytest.mark.needs("ps")
def test_runaways_end_too(gravscope: Gravscope) -> None:
    """After a cancel, children that called setsid and orphans of a double fork are gone."""
    job = ready(gravscope, gravscope.start("-n", "runaways", "--", "bash", "-c", RUNAWAYS))
    supervisor = gravscope.record(job)["supervisor_pid"]
    pids = until(lambda: found if len(found := _sleepers(job)) == 3 else [], "its three processes")
    assert len({os.getsid(pid) for pid in pids}) == 2
    assert sum(_below(pid, supervisor) for pid in pids) == 2, "the command, and the orphan"
    assert gravscope("cancel", job).returncode == 0
    assert not any(alive(pid) for pid in pids)
    assert _sleepers(job) == []


def _sleepers(job: str) -> list[int]:
    """The processes of the job that have become a `sleep`."""
    listed = subprocess.run(["ps", "-eo", "pid,comm"], capture_output=True, text=True, check=True).stdout
    pids = [int(line.split()[0]) for line in listed.splitlines() if line.endswith(" sleep")]
    return [pid for pid in pids if f"GRAVSCOPE_JOB_ID={job}\0" in _environ(pid)]


def _environ(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/environ").read_text()
    except OSError:
        return ""


def _below(pid: int, supervisor: int) -> bool:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) == supervisor
    except OSError:
        return False


def test_a_stopped_job_ends(gravscope: Gravscope) -> None:
    """A job that was stopped with SIGSTOP is still cancelled by SIGTERM, since it is continued first."""
    job = gravscope.start("-n", "stopped", "--", "sleep", "1000")
    pid = gravscope.record(job)["pid"]
    os.kill(pid, signal.SIGSTOP)
    until(lambda: state_of(pid) == "T", "it stands still")
    assert gravscope("cancel", job).returncode == 0
    assert steps(gravscope.record(job)) == ["SIGTERM to the process group"]


@pytest.mark.slow
def test_twenty_cancels_at_once(gravscope: Gravscope) -> None:
    """Twenty cancels of one job at the same time all succeed, and the steps are taken once."""
    job = gravscope.start("-n", "popular", "--", "sleep", "1000")
    with ThreadPoolExecutor(20) as pool:
        done = list(pool.map(lambda _: gravscope("cancel", job), range(20)))
    assert [one.returncode for one in done] == [0] * 20
    assert steps(gravscope.record(job)) == ["SIGTERM to the process group"]


def test_an_ended_job_is_let_be(gravscope: Gravscope) -> None:
    """Cancel of an ended job changes nothing, says so, and is not a failure; for an unknown job the status is 3."""
    job = gravscope.start("-n", "done", "--", "true")
    before = gravscope.ended(job)
    done = gravscope("cancel", job)
    assert (done.returncode, done.stdout) == (0, f"{job} had already ended: succeeded\n")
    assert gravscope.record(job) == before
    none = gravscope("cancel", "nosuch")
    assert (none.returncode, none.stdout, len(none.stderr.splitlines())) == (3, "", 1)


def test_several_and_one_of_them_missing(gravscope: Gravscope) -> None:
    """A name without a job is found before any job is cancelled."""
    job = gravscope.start("-n", "here", "--", "sleep", "1000")
    assert gravscope("cancel", job, "nosuch").returncode == 3
    assert gravscope.record(job)["state"] == "running"


@pytest.fixture
def innocent() -> subprocess.Popen[bytes]:
    """A process that belongs to no job."""
    return subprocess.Popen(["sleep", "1000"], start_new_session=True)


def test_a_recycled_pid_is_not_signalled(gravscope: Gravscope, innocent: subprocess.Popen[bytes]) -> None:
    """A record whose pids now belong to another process is settled as lost, and that process lives."""
    job = gravscope.start("-n", "recycled", "--", "sleep", "1000")
    record = gravscope.record(job)
    for pid in (record["supervisor_pid"], record["pid"]):
        os.kill(pid, signal.SIGKILL)
        until(lambda pid=pid: not alive(pid), "its end")
    record.update(pid=innocent.pid, pgid=innocent.pid, supervisor_pid=innocent.pid)
    (gravscope.jobs_dir / f"{job}.json").write_text(json.dumps(record))
    try:
        done = gravscope("cancel", job)
        assert done.returncode == 0
        assert "had already ended: lost" in done.stdout
        assert innocent.poll() is None
        assert gravscope.record(job)["exit_code"] is None
    finally:
        innocent.kill()
        innocent.wait()


def test_after_a_reboot_nothing_is_signalled(gravscope: Gravscope, innocent: subprocess.Popen[bytes]) -> None:
    """A record of another boot is lost, even if all its numbers match a process of this boot."""
    ticks = int(Path(f"/proc/{innocent.pid}/stat").read_text().rpartition(")")[2].split()[19])
    job = gravscope.start("-n", "rebooted", "--", "true")
    record = gravscope.ended(job)
    record.update(
        state="running", ended=None, boot_id="another", pid=innocent.pid, pgid=innocent.pid, start_ticks=ticks
    )
    (gravscope.jobs_dir / f"{job}.json").write_text(json.dumps(record))
    try:
        done = gravscope("cancel", job)
        assert "had already ended: lost" in done.stdout
        assert innocent.poll() is None
        assert "restarted" in gravscope.record(job)["reason"]
    finally:
        innocent.kill()
        innocent.wait()


def test_without_its_supervisor_it_can_be_cancelled(gravscope: Gravscope) -> None:
    """Supervisor killed: the job runs on and is shown so, cancel ends every process, and no exit status is recorded."""
    job = ready(gravscope, gravscope.start("-n", "orphan", "--", "bash", "-c", RUNAWAYS))
    record = gravscope.record(job)
    os.kill(record["supervisor_pid"], signal.SIGKILL)
    until(lambda: not alive(record["supervisor_pid"]), "the end of the supervisor")
    shown = json.loads(gravscope("status", "--json").stdout)[0]
    assert shown["state"] == "running"
    assert "its supervisor is gone" in shown["warnings"][0]
    assert gravscope("cancel", job).returncode == 0
    record = gravscope.record(job)
    assert (record["state"], record["exit_code"], record["signal"]) == ("cancelled", None, None)
    assert not [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if f"JOB_ID={job}" in _environ(pid)]


def test_a_job_that_forks_for_ever(gravscope: Gravscope) -> None:
    """A job whose processes fork and end all the time and ignore SIGTERM is ended."""
    script = "import os, signal, time\nsignal.signal(15, signal.SIG_IGN)\nprint('ready', flush=True)\n"
    script += "while True:\n    if os.fork():\n        os._exit(0)\n    os.setsid()\n    time.sleep(0.002)"
    job = ready(gravscope, gravscope.start("-n", "forker", "--", sys.executable, "-c", script))
    assert gravscope("cancel", job, "--grace", "0.2s").returncode == 0
    assert gravscope.record(job)["state"] == "cancelled"


def test_a_request_that_came_on_disk_too_late(gravscope: Gravscope, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk the request could be written only after the job had ended and its supervisor had written how,
    without knowing of the request. The record still says that it was cancelled."""
    job = gravscope.start("-n", "x", "--", "sleep", "1000")
    store = Store(gravscope.jobs_dir)

    def is_full(path: str) -> bool:
        return path.endswith((".cancel", ".cancelling")) and gravscope.record(job)["ended"] is None

    def refusing(real: Callable[..., Any]) -> Callable[..., Any]:
        def refuse(path: str, *arguments: Any) -> Any:  # noqa: ANN401 (whatever the real one takes)
            if is_full(path):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
            return real(path, *arguments)

        return refuse

    reached = Escalation._mark_reached

    def late(escalation: Escalation) -> None:
        until(lambda: gravscope.record(job)["ended"], "the record of its end")
        reached(escalation)

    monkeypatch.setattr(files, "write_atomically", refusing(files.write_atomically))
    monkeypatch.setattr(files, "open_as", refusing(files.open_as))
    monkeypatch.setattr(Escalation, "_mark_reached", late)
    done = cancel(store, job, gravscope.environ)
    assert (done.record.state, done.had_ended) == ("cancelled", False)
    record = gravscope.record(job)
    assert (record["state"], record["signal"], steps(record)) == ("cancelled", 15, ["SIGTERM to the process group"])
