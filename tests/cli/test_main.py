"""The end of the `gravscope` command: all that was printed is out, or one line says that it is not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import REPOSITORY, Gravscope

PRINTING = [["status", "--json"], ["config"], ["status"]]


def into(gravscope: Gravscope, words: list[str], output: int) -> subprocess.CompletedProcess[str]:
    """`gravscope WORDS…` with a descriptor as its standard output."""
    argv = [*gravscope.command, *words]
    pipe, folder = subprocess.PIPE, gravscope.folder
    return subprocess.run(argv, env=gravscope.environ, cwd=folder, stdout=output, stderr=pipe, text=True, check=False)


@pytest.mark.parametrize("words", [*PRINTING, ["--help"], ["run", "--help"]], ids=" ".join)
def test_a_full_disk_is_one_line(gravscope: Gravscope, words: list[str]) -> None:
    """What cannot be written is an error, with exit status 1, whether Typer had a part in it or not."""
    with open("/dev/full", "wb") as full:
        done = into(gravscope, words, full.fileno())
    assert (done.returncode, done.stderr) == (1, "gravscope: standard output: No space left on device\n")


@pytest.mark.parametrize("words", PRINTING, ids=" ".join)
def test_a_pipe_that_nobody_reads(gravscope: Gravscope, words: list[str]) -> None:
    """As of any filter: not a word, and the exit status of SIGPIPE."""
    reader, writer = os.pipe()
    os.close(reader)
    done = into(gravscope, words, writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_more_than_a_buffer_is_out_at_the_end(gravscope: Gravscope) -> None:
    """The process ends at once, but not before the last byte of it."""
    job = gravscope.start("-n", "x", "-e", f"LONG={'x' * 100_000}", "--", "true")
    gravscope.ended(job)
    (shown,) = json.loads(gravscope("status", "--json").stdout)
    assert shown["env"]["LONG"] == "x" * 100_000


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(13, "Permission denied", "/tmp/\udcff\x1b[31m"), b"/tmp/\\udcff\\x1b[31m: Permission denied"),
        (OSError(24, "Too many open files"), b"Too many open files"),
        (OSError(28, "No space left on device"), b"standard output: No space left on device"),
    ],
)
def test_what_the_kernel_refuses_is_one_line(tmp_path: Path, error: OSError, said: bytes) -> None:
    """Of the file that it is about, whatever its name does to a terminal; and what was printed before it is out."""
    arguments = f"{error.errno}, {error.strerror!r}" + (f", {error.filename!r}" if error.filename else "")
    code = (
        "import sys\nfrom gravscope import cli\n"
        f"def fail(words):\n    print('half of it')\n    raise OSError({arguments})\n"
        "cli.status_of = fail\ncli.main()\n"
    )
    argv = [sys.executable, "-c", code]
    done = subprocess.run(argv, env={"PYTHONPATH": str(REPOSITORY)}, cwd=tmp_path, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, b"half of it\n", b"gravscope: " + said + b"\n")
