"""`gravscope pause`, `resume` and `limit`, in a session and in a real scope."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tests.support import Gravscope, ManagedGravscope, until

COUNT = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done"
HOG = "x = b'x' * (80 << 20); print('full', flush=True); import time; time.sleep(1000)"


@pytest.fixture(params=["session", pytest.param("scope", marks=pytest.mark.needs("manager"))])
def tool(request: pytest.FixtureRequest) -> Gravscope:
    """The command line, once with sessions and once with scopes."""
    found: Gravscope = request.getfixturevalue("gravscope" if request.param == "session" else "managed")
    return found


@pytest.mark.slow
def test_pause_and_resume(tool: Gravscope) -> None:
    """A paused job writes nothing and is shown as paused; after resume it continues."""
    job = tool.start("-n", "count", "--", "bash", "-c", COUNT)
    assert tool("wait", job, "--ready", "3").returncode == 0
    assert tool("pause", job).stdout == f"{job}: paused\n"
    assert tool.record(job)["paused"] is True
    assert " paused " in tool("status").stdout
    assert f"gravscope resume {job}" in tool("show", job).stdout
    written = tool.log(job)
    with pytest.raises(AssertionError):
        until(lambda: tool.log(job) != written, "more lines, which must not come", patience=0.5)
    assert tool("resume", job).stdout == f"{job}: running\n"
    until(lambda: tool.log(job).startswith(written) and tool.log(job) != written, "more lines")
    assert tool.record(job)["paused"] is False


def test_cancel_of_a_paused_job(tool: Gravscope) -> None:
    """A paused job is thawed first and ends on SIGTERM, well before the grace period."""
    job = tool.start("-n", "count", "--grace", "50s", "--", "bash", "-c", COUNT)
    assert tool("pause", job).returncode == 0
    assert tool("cancel", job).returncode == 0
    record = tool.record(job)
    steps = [step["step"] for step in record["cancel"]["steps"]]
    assert steps == (["thaw", "systemctl stop"] if record["unit"] else ["SIGTERM to the process group"])
    assert (record["state"], record["signal"], record["paused"]) == ("cancelled", signal.SIGTERM, False), (
        f"{record} {tool.log(job)[-2000:]}"
    )


def test_ended_jobs_are_refused(tool: Gravscope) -> None:
    """pause, resume and limit of a job that has ended are exit status 4 and one line."""
    job = tool.start("-n", "x", "--", "true")
    tool.ended(job)
    for words in (("pause", job), ("resume", job), ("limit", job, "--mem-max", "1G")):
        done = tool(*words)
        assert (done.returncode, len(done.stderr.splitlines())) == (4, 1)


def test_a_lower_limit_that_the_watch_holds(gravscope: Gravscope) -> None:
    """The watch uses a new --mem-max: below current use only with --force, then it kills; both are recorded."""
    job = gravscope.start("-n", "hog", "--mem-max", "1G", "--", sys.executable, "-c", HOG)
    assert gravscope("wait", job, "--ready", "full").returncode == 0
    refused = gravscope("limit", job, "--mem-max", "50M")
    assert (refused.returncode, len(refused.stderr.splitlines())) == (4, 1)
    assert "--force" in refused.stderr
    done = gravscope("limit", job, "--mem-max", "2G")
    assert done.stdout == f"{job}: --mem-max 2G from now on, held by gravscope's watch\n"
    assert gravscope.record(job)["limits"]["mem_max"] == 2 << 30
    done = gravscope("limit", job, "--mem-max", "infinity")
    assert done.stdout == f"{job}: no --mem-max from now on\n"
    assert "no --mem-max" in gravscope("show", job).stdout
    assert "∞" not in gravscope("show", job).stdout
    done = gravscope("limit", job, "--mem-max", "50M", "--force")
    assert done.returncode == 0
    record = gravscope.ended(job)
    news = ("--mem-max 50M from now on, held by gravscope's watch", f"oom-killed: {record['reason']}")
    assert done.stdout in [f"{job}: {each}\n" for each in news]
    assert record["state"] == "oom-killed"
    assert [change["limits"]["mem_max"] for change in record["limit_changes"]] == [2 << 30, "infinity", 50 << 20]
    assert "its limit of 50M" in record["reason"]


def test_other_limits_need_a_scope(gravscope: Gravscope) -> None:
    """A limit that only the kernel can hold is refused for a session job, with exit status 5."""
    job = gravscope.start("-n", "x", "--", "sleep", "1000")
    assert gravscope("limit", job, "--cpu-quota", "50%").returncode == 5
    assert gravscope("limit", job).returncode == 2


@pytest.mark.parametrize("bus", [pytest.param(True, marks=pytest.mark.needs("pystemd")), False])
def test_limit_reaches_the_unit(managed: ManagedGravscope, *, bus: bool) -> None:
    """limit changes the properties of the unit, over the bus if pystemd is installed, else with systemctl."""
    job = managed.start("-n", "x", "--mem-high", "1G", "--", "sleep", "1000")
    env = {} if bus else {"GRAVSCOPE_NO_BUS": "1"}
    done = managed("limit", job, "--mem-high", "2G", "--mem-max", "infinity", env=env)
    assert done.returncode == 0, done.stderr
    unit = managed.record(job)["unit"]
    shown = managed.systemctl("show", unit, "-p", "MemoryHigh,MemoryMax").stdout.split()
    assert sorted(shown) == ["MemoryHigh=2147483648", "MemoryMax=infinity"]
    (change,) = managed.record(job)["limit_changes"]
    assert change["limits"]["mem_high"] == 2 << 30
    assert "limits changed" in managed("show", job).stdout


def test_what_is_not_delegated_is_refused(managed: ManagedGravscope) -> None:
    """As for `run`: a limit that the manager accepts but no kernel holds is refused, and not recorded."""
    job = managed.start("-n", "x", "--", "sleep", "1000")
    refused = managed("run", "--io-weight", "50", "--launcher", "scope", "--", "true")
    if refused.returncode == 0:
        pytest.skip("this machine's user manager has the io controller")
    done = managed("limit", job, "--io-weight", "50")
    assert (done.returncode, done.stderr) == (5, refused.stderr)
    assert managed.record(job)["limit_changes"] == []
    assert not managed.systemctl("show", managed.record(job)["unit"], "-p", "IOWeight").stdout.count("50")


def _has_pystemd() -> bool:
    return (
        subprocess.run([sys.executable, "-c", "import pystemd.dbuslib"], capture_output=True, check=False).returncode
        == 0
    )
