"""`gravscope rerun`: the same once more, for certain or not at all, with both records naming each other."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gravscope.actions.launch.rerun import spec_of_rerun
from gravscope.actions.launch.run import run
from gravscope.actions.launch.spec import Typed
from gravscope.records.store import Store
from gravscope.settings.project import Project
from tests.support import Gravscope, ManagedGravscope

DATA = Path(__file__).parents[2] / "data"
MIB = 2**20
ASKED = ("cmd", "shell", "cwd", "env", "memsafe", "limits", "oom_policy", "timeout", "grace", "name")
# more than the limit that it is given, all of it used
HOG = "x = bytearray(200 << 20)"


def again(gravscope: Gravscope, *words: str, env: dict[str, str] | None = None, cwd: Path | None = None) -> Any:  # noqa: ANN401
    """The record of `gravscope rerun WORDS…`, once that job has ended."""
    done = gravscope("rerun", *words, env=env, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return gravscope.ended(done.stdout.strip())


def ended(gravscope: Gravscope, *words: str) -> str:
    """The id of a job that has ended."""
    job = gravscope.start(*words)
    gravscope.ended(job)
    return job


def refused(done: subprocess.CompletedProcess[str], status: int) -> str:
    """What it said, in one line."""
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (status, "", 1), done.stderr
    return done.stderr


def test_the_same_once_more(gravscope: Gravscope) -> None:
    """Everything that was asked for is asked for again, secrets too, from wherever it is typed and whatever is set by
    now; the records name each other, and no lock stays."""
    (gravscope.folder / "there").mkdir()
    job = ended(
        gravscope, "-n", "fit", "-e", "API_TOKEN=hush", "-e", "A=ü $x\n", "--mem-max", "64M", "--mem-high", "60M",
        "--swap-max", "1G", "--timeout", "90m", "--grace", "3s", "--oom-policy", "continue", "--no-memsafe", "--cwd",
        "there", "-c", "--", 'echo "$1 $A $PWD" ; exit 0', "zero", "one",
    )  # fmt: skip
    settings = {"GRAVSCOPE_MEM_MAX": "1G", "GRAVSCOPE_CPU_QUOTA": "50%", "GRAVSCOPE_GRACE": "1s"}
    second = again(gravscope, "fit", env=settings, cwd=Path("/"))
    first = gravscope.record(job)
    assert {field: second[field] for field in ASKED} == {field: first[field] for field in ASKED}
    assert (second["rerun_of"], first["rerun_as"]) == (job, [second["id"]])
    assert (first["rerun_of"], second["rerun_as"]) == (None, [])
    assert gravscope.log(second["id"]) == gravscope.log(job)
    assert {path.suffix for path in gravscope.jobs_dir.iterdir()} == {".json"}
    assert f"run again as {second['id']}\n" in gravscope("show", job).stdout
    assert f"run again for {job}\n" in gravscope("show", second["id"]).stdout


def test_changes_on_top(gravscope: Gravscope) -> None:
    """An option counts instead of what the record has; of the variables each for itself, -e before --env-file."""
    job = ended(
        gravscope, "-n", "a", "-e", "A=1", "-e", "B=1", "-e", "C=1", "--timeout", "1h", "--mem-max", "64M", "true"
    )
    (gravscope.folder / "more").write_text("B=2\nC=2\n")
    words = ("-n", "b", "-e", "C=3", "--env-file", "more", "--cwd", "/", "--mem-max", "80M", "--timeout", "infinity")
    found = again(gravscope, job, *words, "--memsafe", "--grace", "1s")
    assert found["env"] == {"A": "1", "B": "2", "C": "3"}
    assert (found["name"], found["cwd"], found["timeout"], found["grace"]) == ("b", "/", None, 1.0)
    assert (found["limits"]["mem_max"], found["limits"]["swap_max"]) == (80 * MIB, 0)
    third = again(gravscope, found["id"])
    assert (third["rerun_of"], gravscope.record(job)["rerun_as"]) == (found["id"], [found["id"]])


def test_no_swap_follows_from_a_hard_limit_alone(gravscope: Gravscope) -> None:
    """With --mem-high on top it follows no more: without swap the job might crawl there for ever."""
    job = ended(gravscope, "-n", "a", "--mem-max", "64M", "true")
    assert gravscope.record(job)["limits"]["swap_max"] == 0
    limits = again(gravscope, job, "--mem-high", "60M")["limits"]
    assert (limits["mem_high"], limits["mem_max"], limits["swap_max"]) == (60 * MIB, 64 * MIB, None)


def test_the_launcher(gravscope: Gravscope) -> None:
    """A session that was demanded is one again, without another reason; one that was a way out is tried anew."""
    job = ended(gravscope, "-n", "a", "true")
    assert again(gravscope, job)["fallback_reason"] is None
    found = again(gravscope, job, "--launcher", "auto")
    assert found["fallback_reason"]
    assert again(gravscope, found["id"])["fallback_reason"]
    assert refused(gravscope("rerun", job, "--launcher", "scope"), 5)


def test_a_scope_and_its_last_limits(managed: ManagedGravscope) -> None:
    """A job of a scope gets one again, with the limits that it had in the end."""
    job = managed.start("-n", "a", "--mem-max", "64M", "--", "sleep", "1000")
    assert managed("limit", job, "--mem-max", "80M").returncode == 0
    assert managed("cancel", job).returncode == 0
    done = managed("rerun", job, "--json")
    found = json.loads(done.stdout)
    assert found["launcher"] == "scope", done.stderr
    assert (found["limits"]["mem_max"], found["rerun_of"]) == (80 * MIB, job)
    assert managed("cancel", found["id"]).returncode == 0


def test_one_that_never_started(gravscope: Gravscope) -> None:
    """It is run again once what was missing is there; until then both records of the failure name each other."""
    tool = gravscope.folder / "tool"
    assert gravscope("run", "-n", "a", "--launcher", "session", "--", str(tool)).returncode == 2
    (first,) = gravscope.records()
    assert gravscope("rerun", "a").returncode == 2
    second = next(record for record in gravscope.records() if record["id"] != first["id"])
    assert (second["state"], second["rerun_of"]) == ("never-started", first["id"])
    assert f"gravscope rerun {second['id']} " in gravscope("show", second["id"]).stdout
    tool.symlink_to("/bin/true")
    third = again(gravscope, first["id"])
    assert third["state"] == "succeeded"
    assert gravscope.record(first["id"])["rerun_as"] == [second["id"], third["id"]]


@pytest.mark.slow
def test_what_show_says_after_an_oom_kill(gravscope: Gravscope) -> None:
    """The line to type runs it with twice the limit, with which it ends well."""
    done = gravscope(
        "run", "-n", "a", "--wait", "--mem-max", "128M", "--launcher", "session", "--", "python3", "-c", HOG
    )
    assert done.returncode == 137
    typed = next(line for line in gravscope("show", "a").stdout.splitlines() if "gravscope rerun" in line).split()
    assert typed[3:5] == ["--mem-max", "256M"]
    assert gravscope(*typed[1:5], "--wait").returncode == 0


@pytest.mark.slow
def test_what_follows_is_as_with_run(gravscope: Gravscope) -> None:
    """--dry-run starts nothing, --wait and --fg end with the job's status, --json prints a record, --unique refuses."""
    job = ended(gravscope, "-n", "a", "-e", "API_TOKEN=hush", "--", "sh", "-c", "echo out; exit 3")
    dry = gravscope("rerun", job, "--dry-run")
    assert "echo out; exit 3" in dry.stdout
    assert "hush" not in dry.stdout
    assert len(gravscope.records()) == 1
    assert gravscope("rerun", job, "--wait").returncode == 3
    assert gravscope("rerun", job, "--follow").stdout == "out\n"
    front = gravscope("rerun", job, "--fg")
    assert (front.returncode, front.stdout) == (3, "out\n")
    assert json.loads(gravscope("rerun", job, "--json").stdout)["env"] == {"API_TOKEN": "***"}
    assert len(gravscope.record(job)["rerun_as"]) == 4
    gravscope.start("-n", "b", "--", "sleep", "1000")
    assert "is still running" in refused(gravscope("rerun", job, "-n", "b", "--unique"), 4)
    refused(gravscope("rerun", job, "--follow", "--json"), 2)


def test_a_live_one_is_refused(gravscope: Gravscope) -> None:
    """Its record is its supervisor's: one line, with what to type, and nothing is started."""
    job = gravscope.start("-n", "a", "--", "sleep", "1000")
    assert f"type: gravscope wait {job}" in refused(gravscope("rerun", "a"), 4)
    assert len(gravscope.records()) == 1


def test_bytes_that_no_record_holds_are_refused(gravscope: Gravscope) -> None:
    """A command, a directory or a variable with bytes that are no UTF-8 is not guessed at; the four characters that
    look like such a byte are no such thing."""
    odd = os.fsdecode(b"\xe9")
    (gravscope.folder / odd).mkdir()
    for words in (("--", "echo", odd), ("-e", f"A={odd}", "--", "true"), ("--cwd", odd, "--", "true")):
        assert "no UTF-8" in refused(gravscope("rerun", ended(gravscope, "-n", "a", *words)), 4)
    job = ended(gravscope, "-n", "b", "--", "echo", "\\xe9", "é", "途中")
    assert gravscope.log(again(gravscope, job)["id"]) == "\\xe9 é 途中\n"
    assert gravscope.record(job)["escaped"] is False


def test_a_record_that_does_not_say_which(gravscope: Gravscope) -> None:
    """One from before `escaped` was there is run again, but not where it may mean either."""
    for word, status in (("\\xe9", 4), ("\\xE9 \\x41 é", 0)):
        job = ended(gravscope, "-n", "a", "--", "echo", word)
        record = gravscope.record(job)
        del record["escaped"]
        (gravscope.jobs_dir / f"{job}.json").write_text(json.dumps(record))
        assert gravscope("rerun", job).returncode == status


def test_one_of_the_older_dispatcher_is_refused(gravscope: Gravscope) -> None:
    """Its limits were never recorded: a heavy job does not start without them. Not a byte of it is written."""
    gravscope.jobs_dir.mkdir(mode=0o700)
    shutil.copy(DATA / "record_older.json", gravscope.jobs_dir)
    assert "limits" in refused(gravscope("rerun", "record_older"), 4)
    assert [path.name for path in gravscope.jobs_dir.iterdir()] == ["record_older.json"]
    assert "gravscope rerun" not in gravscope("show", "record_older").stdout


def test_its_directory_is_gone(gravscope: Gravscope) -> None:
    """One line that says which, and the option to say another."""
    folder = gravscope.folder / "gone"
    folder.mkdir()
    job = ended(gravscope, "-n", "a", "--cwd", str(folder), "--", "true")
    folder.rmdir()
    assert f"{folder} is gone; say another one with --cwd" in refused(gravscope("rerun", job), 2)
    assert again(gravscope, job, "--cwd", "/")["cwd"] == "/"


def test_many_at_once_are_all_named(gravscope: Gravscope) -> None:
    """However many are started at the same moment, the first record names each, once."""
    job = ended(gravscope, "-n", "a", "--", "true")
    started = [
        subprocess.Popen([*gravscope.command, "rerun", job], env=gravscope.environ, stdout=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    ids = [process.communicate()[0].strip() for process in started]
    assert sorted(gravscope.record(job)["rerun_as"]) == sorted(ids)
    for each in ids:
        assert gravscope.ended(each)["rerun_of"] == job


def test_a_first_record_that_goes_meanwhile(gravscope: Gravscope) -> None:
    """The job runs, and says that nothing names it; no lock is left of the one that is gone."""
    job = ended(gravscope, "-n", "a", "--", "true")
    project, store = Project(gravscope.jobs_dir, gravscope.log_dir), Store(gravscope.jobs_dir)
    spec = spec_of_rerun(store, job, Typed(command=(), name="b"), project)  # of its own name it may get its very id
    (gravscope.jobs_dir / f"{job}.json").unlink()
    record = gravscope.ended(run(spec, project, gravscope.environ).id)
    assert record["state"] == "succeeded"
    assert [f"the record of {job} does not name this job" in warning for warning in record["warnings"]] == [True]
    assert not (gravscope.jobs_dir / f"{job}.lock").exists()
