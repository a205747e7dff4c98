"""Records that nobody is in charge of are settled by the next reader."""

from __future__ import annotations

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support import Gravscope, alive, until


def killed(gravscope: Gravscope, job: str, *names: str) -> None:
    """Kills the processes of the record, the supervisor first."""
    record = gravscope.record(job)
    for name in names:
        os.kill(record[name], signal.SIGKILL)
    for name in names:
        until(lambda name=name: not alive(record[name]), f"the end of {name}")


def test_supervisor_and_job_killed(gravscope: Gravscope) -> None:
    """A job that ends without its supervisor is lost: it gets no exit status, and never 0."""
    job = gravscope.start("-n", "x", "--", "sleep", "1000")
    killed(gravscope, job, "supervisor_pid", "pid")
    (shown,) = json.loads(gravscope("status", "--json").stdout)
    assert (shown["state"], shown["exit_code"], shown["signal"]) == ("lost", None, None)
    assert "its supervisor was gone" in shown["reason"]
    assert gravscope.record(job)["state"] == "lost"
    assert gravscope("wait", job).returncode == 1
    assert [path.name for path in gravscope.jobs_dir.iterdir()] == [f"{job}.json"]


def test_supervisor_killed_and_the_job_lives(gravscope: Gravscope) -> None:
    """The job stays running, its log continues, `wait` waits for its end, and the name can be used again."""
    mark = gravscope.folder / "go"
    script = f"until [ -e {mark} ]; do sleep 0.05; done; echo late"
    job = gravscope.start("-n", "x", "--", "bash", "-c", script)
    killed(gravscope, job, "supervisor_pid")
    assert "its supervisor is gone" in gravscope("show", job).stdout
    assert gravscope("wait", job, "--timeout", "0.2s").returncode == 124
    assert gravscope.ended(gravscope.start("-n", "x", "--", "true"))["state"] == "succeeded"
    mark.touch()
    assert gravscope("wait", job).returncode == 1
    assert gravscope.log(job) == "late\n"
    assert gravscope.record(job)["state"] == "lost"


def test_left_behind_while_starting(gravscope: Gravscope) -> None:
    """If the launcher died before there was a supervisor, the job is never-started."""
    job = gravscope.start("-n", "x", "--", "true")
    record = gravscope.ended(job)
    record.update(state="starting", pid=None, pgid=None, supervisor_pid=None, started=None, ended=None, exit_code=None)
    (gravscope.jobs_dir / f"{job}.json").write_text(json.dumps(record))
    (gravscope.jobs_dir / f"{job}.lock").touch()
    (shown,) = json.loads(gravscope("status", "--json").stdout)
    assert shown["state"] == "never-started"
    assert not (gravscope.jobs_dir / f"{job}.lock").exists()


@pytest.mark.slow
def test_settled_once(gravscope: Gravscope) -> None:
    """Twenty readers at the same time see and leave the same settled record."""
    job = gravscope.start("-n", "x", "--", "sleep", "1000")
    killed(gravscope, job, "supervisor_pid", "pid")
    with ThreadPoolExecutor(20) as pool:
        shown = list(pool.map(lambda _: gravscope("status", "--json").stdout, range(20)))
    assert {json.loads(text)[0]["state"] for text in shown} == {"lost"}
    assert len({json.loads(text)[0]["ended"] for text in shown}) == 1


def test_a_live_job_is_not_settled(gravscope: Gravscope) -> None:
    """Looking at a job that its supervisor is in charge of does not change its record."""
    job = gravscope.start("-n", "x", "--", "sleep", "1000")
    before = (gravscope.jobs_dir / f"{job}.json").read_bytes()
    for _ in range(3):
        gravscope("status")
        gravscope("show", job)
    assert (gravscope.jobs_dir / f"{job}.json").read_bytes() == before
