"""Launching: the record of a job of which nothing has happened yet."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
from pathlib import Path

import msgspec
import pytest

from gravscope import launchers
from gravscope.actions.launch.launch import ADDRESS, first_facts, launch
from gravscope.base import plainjson
from gravscope.base.errors import UnsupportedError
from gravscope.base.stamp import stamp
from gravscope.linux import proc
from gravscope.records.model import JobRecord
from gravscope.records.spec import JobSpec, Limits, Notify
from gravscope.settings.known import variable_of
from gravscope.settings.project import Project
from tests.support import Gravscope, until

PLAIN = JobSpec(cmd=["true"], name="fit", cwd="/")
FULL = JobSpec(  # noqa: S604 (nothing is run by it)
    cmd=["sh", os.fsdecode(b"\xff")],
    name="fit",
    cwd="/tmp",
    shell=True,
    env={"A": "1"},
    limits=Limits(mem_high="6G", mem_max="8G", swap_max="infinity", cpu_quota="150%", tasks_max=9, io_weight=50),
    timeout=60.0,
    grace=2.5,
    oom_policy="continue",
    memsafe=False,
    notify=Notify(desktop=True),
    rerun_of="fit_20260101_120000",
)


@pytest.mark.parametrize("spec", [PLAIN, FULL], ids=["plain", "full"])
def test_the_first_facts_are_a_record(spec: JobSpec) -> None:
    """Every field of a JobRecord, in its order, each with a value that comes back as it is; and so from the disk."""
    facts = first_facts(spec, "fit_20260101_120000", time.time(), Path("/l/fit.log"))
    assert tuple(facts) == JobRecord.__struct_fields__
    assert msgspec.to_builtins(msgspec.convert(facts, JobRecord)) == facts
    assert msgspec.json.decode(plainjson.dumps(facts), type=JobRecord) == msgspec.convert(facts, JobRecord)
    assert (facts["state"], facts["escaped"]) == ("starting", spec is FULL)


def test_what_a_spec_leaves_open_is_what_a_record_has_by_default() -> None:
    """A record that says nothing of a field means by that what a launch would have written."""
    facts = first_facts(PLAIN, "fit_20260101_120000", time.time(), Path("/l/fit.log"))
    given = {"id", "name", "state", "cmd", "cwd", "log_file", "created", "invocation_id", "boot_id", "host", "escaped"}
    least = msgspec.convert({name: facts[name] for name in given}, JobRecord)
    assert least == msgspec.convert(facts, JobRecord)


def test_a_real_record_keeps_the_order(gravscope: Gravscope) -> None:
    """What the supervisor leaves on disk reads as it was begun: who and what first, how it ended last."""
    job = gravscope.start("-n", "x", "--", "true")
    gravscope.ended(job)
    assert tuple(json.loads((gravscope.jobs_dir / f"{job}.json").read_text())) == JobRecord.__struct_fields__


def test_the_time_in_the_id_is_the_time_in_the_record() -> None:
    """One look at the clock for both."""
    now = time.time()
    created = first_facts(PLAIN, f"fit_{stamp(now)}", now, Path("/l/fit.log"))["created"]
    assert created[:19].replace("-", "").replace(":", "").replace("T", "_") == stamp(now)


def test_the_variable_of_the_address_is_the_settings() -> None:
    """It is kept from every job by the name that the settings have for it."""
    assert variable_of("notify.webhook") == ADDRESS


def test_a_variable_without_a_name(gravscope: Gravscope) -> None:
    """An environment may hold one, as no shell would make it; it is not handed on, and stands in nobody's way."""
    job = gravscope.start("-n", "x", "--", "env", env={"": "nameless"})
    assert gravscope.ended(job)["state"] == "succeeded"
    assert "nameless" not in gravscope.log(job)


def test_a_file_that_was_opened_before_the_limit(gravscope: Gravscope) -> None:
    """What a caller has left open is not handed on, also where its number is one that nobody may open any more."""
    words = [*gravscope.command, "run", "-n", "x", "--launcher", "session", "--", "ls", "-l", "/proc/self/fd"]
    script = f"exec 200>{gravscope.folder}/held; ulimit -n 64; exec {shlex.join(words)}"
    done = subprocess.run(
        ["bash", "-c", script], env=gravscope.environ, cwd=gravscope.folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    gravscope.ended(done.stdout.strip())
    assert "held" not in gravscope.log(done.stdout.strip())


REFUSALS = {
    "no file left": OSError(24, "Too many open files", "/dev/null"),
    "nothing to be handed on": ValueError("illegal environment variable name"),
    "no sessions": NotImplementedError("setsid is not there"),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_a_launcher_that_cannot_be_started(gravscope: Gravscope, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """Whatever stands in the way, the record ends as never-started, nothing is left beside it, and no file open."""

    def refuse(*_: object, **__: object) -> int:
        raise REFUSALS[what]

    monkeypatch.setattr(launchers.start, "spawn", refuse)
    project = Project(gravscope.jobs_dir, gravscope.log_dir)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(UnsupportedError, match="was not started"):
        launch(JobSpec(cmd=["true"], name="x", cwd="/", launcher="session"), project, gravscope.environ)
    assert len(os.listdir("/proc/self/fd")) == before
    (record,) = gravscope.records()
    assert (record["state"], record["ended"] is None) == ("never-started", False)
    assert [path.suffix for path in gravscope.jobs_dir.iterdir()] == [".json"]


def test_no_zombie_is_left_for_long(gravscope: Gravscope, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the supervisor is our own child, since there is no setsid, the next launch waits for it."""
    monkeypatch.setattr("gravscope.systemd.commands.setsid_nohup", lambda: ["nohup"])
    project = Project(gravscope.jobs_dir, gravscope.log_dir)
    spec = JobSpec(cmd=["true"], name="x", cwd="/", launcher="session")
    first = launch(spec, project, gravscope.environ)
    monkeypatch.undo()
    gravscope.ended(first["id"])
    until(lambda: (found := proc.stat(first["supervisor_pid"])) is None or found.ended, "the end of its supervisor")
    launch(spec, project, gravscope.environ)
    assert proc.stat(first["supervisor_pid"]) is None


def test_a_warning_about_a_folder_whose_name_is_no_text(gravscope: Gravscope) -> None:
    """It stands in the record, with the bytes of the name as the record has all such bytes."""
    folder = gravscope.folder / os.fsdecode(b"j\xff")
    folder.mkdir()
    folder.chmod(0o777)
    done = gravscope("run", "-n", "x", "--launcher", "session", "--", "true", env={"GRAVSCOPE_JOBS_DIR": str(folder)})
    assert done.returncode == 0, done.stderr
    record = json.loads((folder / f"{done.stdout.strip()}.json").read_text())
    assert any("\\xff" in warning for warning in record["warnings"])
    until(lambda: json.loads((folder / f"{done.stdout.strip()}.json").read_text())["ended"], "the end of the job")
