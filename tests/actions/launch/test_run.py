"""`gravscope run`: what it promises of a job in a session of its own."""

from __future__ import annotations

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support import Gravscope, until

# writes its arguments and environment as the kernel hands them over
TELL = "import os, sys; sys.stdout.buffer.write(b'\\0'.join(map(os.fsencode, sys.argv[1:])))"


def test_record_of_a_session_job(gravscope: Gravscope) -> None:
    """The record of a job without a user manager says so, and holds all that it must."""
    done = gravscope("run", "-n", "fit", "-e", "A=1", "--", "bash", "-c", "sleep 0.2; exit 0")
    assert done.returncode == 0
    assert len(done.stderr.splitlines()) == 1, "one line for the fallback"
    record = gravscope.ended(done.stdout.strip())
    assert record["state"] == "succeeded"
    assert (record["unit"], record["launcher"], record["exit_code"]) == (None, "session", 0)
    assert record["cmd"] == ["bash", "-c", "sleep 0.2; exit 0"]
    assert record["env"] == {"A": "1"}
    assert record["pid"] == record["pgid"]
    assert record["fallback_reason"] in gravscope("show", "fit").stdout
    assert record["peak_memory"] > 0
    assert record["peak_memory_source"] == "sampled"
    assert record["started"] <= record["ended"]


def test_ids_are_names_with_a_time(gravscope: Gravscope) -> None:
    """An id is NAME_YYYYmmdd_HHMMSS, and log and record are named after it."""
    job = gravscope.start("-n", "fit", "--", "true")
    assert job.startswith("fit_")
    name, day, clock = job.split("_")[:3]
    assert (name, len(day), len(clock)) == ("fit", 8, 6)
    assert gravscope.record(job)["log_file"] == str(gravscope.log_dir / f"{job}.log")


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("--cwd", "/no/such/dir", "--", "true"), 2),
        (("--mem-max", "10X", "--", "true"), 2),
        (("--mem-max", "0", "--", "true"), 2),
        (("--mem-high", "-1G", "--", "true"), 2),
        (("--timeout", "soon", "--", "true"), 2),
        (("--timeout", "0", "--", "true"), 2),
        (("--cpu-quota", "0%", "--", "true"), 2),
        (("--tasks-max", "many", "--", "true"), 2),
        (("-n", "../../etc/x", "--", "true"), 2),
        (("-n", "", "--", "true"), 2),
        (("-n", "x" * 101, "--", "true"), 2),
        (("-n", "-x", "--", "true"), 2),
        (("-n", "a b", "--", "true"), 2),
        (("-e", "no-equals-sign", "--", "true"), 2),
        (("--env-file", "/no/such/file", "--", "true"), 2),
        (("--launcher", "cloud", "--", "true"), 2),
        (("--follow", "--json", "--", "true"), 2),
        (("--no-such-option", "--", "true"), 2),
        ((), 2),
        (("--",), 2),
        (("--launcher", "scope", "--", "true"), 5),
    ],
)
def test_mistakes_are_one_line(gravscope: Gravscope, words: tuple[str, ...], status: int) -> None:
    """A mistake is one line on standard error, the right exit status, and leaves neither record nor log."""
    done = gravscope("run", *words)
    assert (done.returncode, done.stdout) == (status, "")
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("gravscope: ")
    assert not list(gravscope.folder.rglob("*.json")) + list(gravscope.folder.rglob("*.log"))


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("/no/such/command", "/no/such/command: No such file or directory"),
        ("no-such-command", "command not found: no-such-command"),
        ("/etc", "/etc: Permission denied"),
    ],
)
def test_never_started(gravscope: Gravscope, command: str, reason: str) -> None:
    """A command that cannot be exec'd is exit status 2, one line, and a whole record that says why."""
    done = gravscope("run", "--launcher", "session", "-n", "x", "--", command)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"gravscope: {reason}")
    assert len(done.stderr.splitlines()) == 1
    (record,) = gravscope.records()
    assert (record["state"], record["reason"], record["exit_code"]) == ("never-started", reason, None)
    assert record["ended"] is not None
    # `run` is told before the final record is written once more
    until(lambda: [path.suffix for path in gravscope.jobs_dir.iterdir()] == [".json"], "nothing left beside it")


def test_arguments_reach_the_command_untouched(gravscope: Gravscope) -> None:
    """$VAR, ${X}, %h, ;, newlines, dashes, emoji and bytes that are no text arrive byte for byte."""
    words = ["$HOME", "${X}", "$$", "%h", "%", "; rm -rf x", "a\nb", "-n", "--", "", "銀河🌀", os.fsdecode(b"\xff\xfe")]
    job = gravscope.start("-n", "tell", "--", "python3", "-c", TELL, *words)
    gravscope.ended(job)
    written = Path(gravscope.record(job)["log_file"]).read_bytes()
    assert written.split(b"\0") == [os.fsencode(word) for word in words]
    assert gravscope.record(job)["cmd"][-1] == "\\xff\\xfe"


def test_shell_string(gravscope: Gravscope) -> None:
    """With -c the command is a string for bash, and further words are its $0, $1."""
    job = gravscope.start("-n", "sh", "-c", "--", 'echo "$0-$1" | tr a-z A-Z', "x", "y z")
    gravscope.ended(job)
    assert gravscope.log(job) == "X-Y Z\n"
    assert gravscope.record(job)["shell"] is True


def environment_of(gravscope: Gravscope, *words: str, env: dict[str, str] | None = None) -> dict[str, str]:
    """What the command of `run WORDS… -- env` sees."""
    job = gravscope.start("-n", "see", *words, "--", "env", "-0", env=env)
    gravscope.ended(job)
    return dict(line.split("=", 1) for line in gravscope.log(job).split("\0") if line)


def test_the_command_knows_that_it_is_a_job(gravscope: Gravscope) -> None:
    """It sees the guard's variable, its id and name, and memory-safe defaults that hold against the shell's."""
    seen = environment_of(gravscope, env={"OMP_NUM_THREADS": "64", "GRAVSCOPE_UNIT": "of-an-outer-job.scope"})
    assert seen["GRAV_BG_JOB"] == "1"
    assert seen["GRAVSCOPE_JOB_ID"].startswith("see_")
    assert seen["GRAVSCOPE_NAME"] == "see"
    assert "GRAVSCOPE_UNIT" not in seen
    assert seen["PYTHONUNBUFFERED"] == "1"
    memsafe = ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_MAX_THREADS", "MALLOC_ARENA_MAX"]
    assert [seen[name] for name in memsafe] == ["1", "1", "1", "1", "2"]


def test_variables_that_are_given_win(gravscope: Gravscope) -> None:
    """-e beats the env-file, which beats the memory-safe defaults; --no-memsafe sets none."""
    env_file = gravscope.folder / "env"
    env_file.write_text('export OMP_NUM_THREADS=3 # of four\nMESSAGE="two words"\nB=1\n')
    seen = environment_of(gravscope, "--env-file", str(env_file), "-e", "B=2")
    assert (seen["OMP_NUM_THREADS"], seen["MESSAGE"], seen["B"]) == ("3", "two words", "2")
    bare = environment_of(gravscope, "--no-memsafe", env={"OMP_NUM_THREADS": "64"})
    assert bare["OMP_NUM_THREADS"] == "64"
    assert "NUMEXPR_MAX_THREADS" not in bare


@pytest.mark.parametrize(
    ("script", "status", "state", "told"),
    [
        ("exit 7", 7, "failed", "exit status 7"),
        ("kill -SEGV $$", 139, "killed", "ended by SIGSEGV"),
        ("exit 0", 0, "succeeded", "exit status 0"),
    ],
)
def test_wait_gives_the_jobs_own_end(gravscope: Gravscope, script: str, status: int, state: str, told: str) -> None:
    """Exit code and signal are kept apart in the record, and `wait` gives what a shell would."""
    job = gravscope.start("-n", "end", "--", "bash", "-c", script)
    assert gravscope("wait", job).returncode == status
    record = gravscope.record(job)
    assert (record["state"], record["reason"]) == (state, told)
    assert (record["exit_code"] is None) != (record["signal"] is None)


@pytest.mark.slow
def test_ends_with_its_last_process(gravscope: Gravscope) -> None:
    """A job whose command leaves children behind ends only when they have, with the command's exit status."""
    mark = gravscope.folder / "go"
    script = f"(until [ -e {mark} ]; do sleep 0.05; done; echo late) & setsid -f true; exit 3"
    job = gravscope.start("-n", "late", "--", "bash", "-c", script)
    until(lambda: not Path(f"/proc/{gravscope.record(job)['pid']}").exists(), "the end of the command")
    assert gravscope.record(job)["state"] == "running"
    assert gravscope("wait", job, "--timeout", "2s").returncode == 124  # long enough to be worth a word
    mark.touch()
    assert gravscope("wait", job).returncode == 3
    assert gravscope.log(job) == "late\n"
    shown = gravscope("show", job).stdout
    assert "with the last of its background processes" in shown
    assert "its background processes went on for" in shown


@pytest.mark.slow
def test_thirty_of_one_name_at_once(gravscope: Gravscope) -> None:
    """30 jobs of one name started at the same moment have 30 records and 30 logs, none lost or shared."""
    with ThreadPoolExecutor(30) as pool:
        jobs = list(pool.map(lambda n: gravscope.start("-n", "same", "--", "echo", f"number {n}"), range(30)))
    assert len(set(jobs)) == 30
    for job in jobs:
        assert gravscope.ended(job)["state"] == "succeeded"
    logs = {gravscope.log(job) for job in jobs}
    assert logs == {f"number {number}\n" for number in range(30)}
    assert len(list(gravscope.log_dir.iterdir())) == 30
    assert not list(gravscope.jobs_dir.glob("*.lock"))


def test_unique(gravscope: Gravscope) -> None:
    """--unique refuses with exit status 4 while a job of that name lives, and not afterwards."""
    job = gravscope.start("-n", "one", "--unique", "--", "sleep", "100")
    again = gravscope("run", "-n", "one", "--unique", "--launcher", "session", "--", "true")
    assert (again.returncode, len(again.stderr.splitlines())) == (4, 1)
    assert job in again.stderr
    assert gravscope("cancel", job).returncode == 0
    assert gravscope("run", "-n", "one", "--unique", "--launcher", "session", "--", "true").returncode == 0


def test_wait_and_follow(gravscope: Gravscope) -> None:
    """--wait returns with the job's exit status, --follow too, and shows its output."""
    assert gravscope("run", "--launcher", "session", "--wait", "--", "bash", "-c", "exit 5").returncode == 5
    done = gravscope("run", "--launcher", "session", "--follow", "--", "bash", "-c", "echo said; sleep 0.2; exit 6")
    assert (done.returncode, done.stdout) == (6, "said\n")


def test_json_prints_nothing_but_json(gravscope: Gravscope) -> None:
    """With --json, standard output is one JSON text, also when there is a note on standard error."""
    done = gravscope("run", "--json", "-n", "j", "--", "true")
    assert json.loads(done.stdout)["state"] == "running"
    assert done.stderr


def test_dry_run_can_be_pasted(gravscope: Gravscope) -> None:
    """--dry-run starts nothing; what it prints, pasted into a shell, starts the command with its environment."""
    mark = gravscope.folder / "a b"
    words = ("-n", "paste", "-e", "X=1 2", "--launcher", "session", "--", "bash", "-c", f'echo "$X" > "{mark}"')
    line = gravscope("run", "--dry-run", *words).stdout
    assert not gravscope.jobs_dir.exists()
    subprocess.run(["sh", "-c", line], check=True, cwd="/")
    until(lambda: mark.exists() and mark.read_text() == "1 2\n", "what the pasted line writes")
