"""`gravscope logs`: the file as it is, from where one wants it, to the job's end."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support import Gravscope, until


def test_the_whole_log_and_its_last_lines(gravscope: Gravscope) -> None:
    """Without options the whole log, with -n the last lines of it, also where the last one has no newline."""
    job = gravscope.start("-n", "x", "--", "bash", "-c", "seq 5; printf end")
    gravscope.ended(job)
    assert gravscope("logs", job).stdout == "1\n2\n3\n4\n5\nend"
    assert gravscope("logs", "-n", "2", job).stdout == "5\nend"
    assert gravscope("logs", "-n", "0", job).stdout == ""
    assert gravscope("logs", "-n", "100", job).stdout == "1\n2\n3\n4\n5\nend"


def test_an_empty_log_is_told(gravscope: Gravscope) -> None:
    """On standard error: that the job wrote nothing, or nothing so far, or that it never started, and why."""
    live = gravscope.start("-n", "live", "--", "sleep", "1000")
    done = gravscope("logs", live)
    assert (done.stdout, done.stderr) == ("", f"gravscope: {live}: the log is empty so far\n")
    quiet = gravscope.start("-n", "quiet", "--", "true")
    gravscope.ended(quiet)
    for words in ((), ("-n", "5")):
        done = gravscope("logs", *words, quiet)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", f"gravscope: {quiet}: the job wrote nothing\n")
    for words in (("-n", "0"), ("--json",)):
        assert gravscope("logs", *words, quiet).stderr == ""
    assert gravscope("run", "-n", "wrong", "--", "/no/such/command").returncode == 2
    assert " never started, so it wrote nothing: " in gravscope("logs", "wrong").stderr


@pytest.mark.parametrize("lines", [1, 7, 9999, 20_000, 20_001])
def test_the_end_of_a_log_of_many_blocks(gravscope: Gravscope, lines: int) -> None:
    """-n is right also where the lines go back over many blocks of the file."""
    job = gravscope.start("-n", "x", "--", "seq", "20000")
    gravscope.ended(job)
    expected = [str(number) for number in range(1, 20_001)][-lines:]
    assert gravscope("logs", "-n", str(lines), job).stdout.splitlines() == expected


def test_follow_ends_with_the_job(gravscope: Gravscope) -> None:
    """-f shows what is added, stops by itself once the job has ended, and has then shown everything."""
    mark = gravscope.folder / "go"
    script = f"echo one; until [ -e {mark} ]; do sleep 0.05; done; seq 1000; printf last"
    job = gravscope.start("-n", "x", "--", "bash", "-c", script)
    argv = [*gravscope.command, "logs", "-f", job]
    follower = subprocess.Popen(argv, env=gravscope.environ, stdout=subprocess.PIPE)
    assert follower.stdout is not None
    assert follower.stdout.readline() == b"one\n"
    mark.touch()
    rest = follower.stdout.read()
    assert follower.wait() == 0
    assert rest == b"".join(b"%d\n" % number for number in range(1, 1001)) + b"last"


def test_binary_output_is_kept(gravscope: Gravscope) -> None:
    """Bytes that are no text, carriage returns and NULs come out as they went in."""
    job = gravscope.start("-n", "x", "--", "printf", r"\377\000\r\001")
    gravscope.ended(job)
    done = subprocess.run([*gravscope.command, "logs", job], env=gravscope.environ, capture_output=True, check=True)
    assert done.stdout == b"\xff\x00\r\x01"


def test_a_reader_that_has_enough(gravscope: Gravscope) -> None:
    """`logs | head -1` ends quietly."""
    job = gravscope.start("-n", "x", "--", "seq", "100000")
    gravscope.ended(job)
    line = " ".join([*gravscope.command, "logs", job]) + " | head -1"
    done = subprocess.run(["bash", "-c", line], env=gravscope.environ, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_a_log_that_is_gone(gravscope: Gravscope) -> None:
    """A missing log is one line that names it."""
    job = gravscope.start("-n", "x", "--", "true")
    path = Path(gravscope.ended(job)["log_file"])
    path.unlink()
    done = gravscope("logs", job)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert str(path) in done.stderr


def test_journal_of_a_job_without_unit(gravscope: Gravscope) -> None:
    """--journal of a session job is exit status 5 and says what to type instead."""
    job = gravscope.start("-n", "x", "--", "true")
    done = gravscope("logs", "--journal", job)
    assert done.returncode == 5
    assert f"gravscope logs {job}" in done.stderr


def test_journal_hands_over(gravscope: Gravscope) -> None:
    """--journal becomes journalctl with the unit's name."""
    for tool in ("journalctl", "systemd-run"):  # without the latter there are no units
        stub = gravscope.folder / tool
        stub.write_text('#!/bin/sh\necho "$@"\n')
        stub.chmod(0o755)
    job = gravscope.start("-n", "x", "--", "true")
    record = gravscope.jobs_dir / f"{job}.json"
    gravscope.ended(job)
    record.write_text(record.read_text().replace('"unit": null', '"unit": "gravscope-x.scope"'))
    runtime = gravscope.folder / "run"
    runtime.mkdir()
    environ = {
        "PATH": f"{gravscope.folder}:{os.environ['PATH']}",
        "XDG_RUNTIME_DIR": str(runtime),
        "DBUS_SESSION_BUS_ADDRESS": f"unix:path={runtime}/bus",
    }
    done = gravscope("logs", "--journal", "-n", "3", job, env=environ)
    assert done.stdout == "--user --user-unit=gravscope-x.scope --lines=3\n"


def test_ready(gravscope: Gravscope) -> None:
    """wait --ready returns with the line that matches; without one it is an error at the job's end, or 124."""
    job = gravscope.start("-n", "x", "--", "bash", "-c", "echo listening on 8080; sleep 1000")
    done = gravscope("wait", job, "--ready", r"listening on \d+")
    assert (done.returncode, done.stdout) == (0, "listening on 8080\n")
    assert gravscope("wait", job, "--ready", "never", "--timeout", "0.2s").returncode == 124
    assert gravscope("wait", job, "--ready", "(").returncode == 2
    gravscope("cancel", job)
    done = gravscope("wait", job, "--ready", "never")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    until(lambda: gravscope.record(job)["ended"], "its end")
