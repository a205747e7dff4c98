"""`gravscope cancel --all`: asks at a terminal, refuses where nobody can be asked, and ends what lives."""

from __future__ import annotations

import os
import pty
import subprocess

import pytest

from tests.support import Gravscope


@pytest.fixture
def two(gravscope: Gravscope) -> list[str]:
    """Two jobs that live, and one that has ended."""
    gravscope.ended(gravscope.start("-n", "over", "--", "true"))
    return [gravscope.start("-n", name, "--", "sleep", "1000") for name in ("フィット", "b")]


def states(gravscope: Gravscope) -> dict[str, str]:
    """Each job's state, by its name."""
    return {record["name"]: record["state"] for record in gravscope.records()}


def at_a_terminal(gravscope: Gravscope, answer: bytes, *words: str) -> tuple[int, str, str]:
    """`gravscope cancel --all` typed at a terminal, where `answer` is typed then: status, output, what was asked."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*gravscope.command, "cancel", "--all", *words],
        env=gravscope.environ, cwd=gravscope.folder, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    while not shown.endswith(b"[y/N] "):
        shown += os.read(ours, 4096)
    os.write(ours, answer)
    out, _ = process.communicate(timeout=60)
    try:
        while part := os.read(ours, 4096):
            shown += part
    except OSError:  # EIO: the other side is closed
        pass
    os.close(ours)
    return process.returncode, out.decode(), shown.decode().replace("\r\n", "\n")


def test_it_names_the_jobs_and_asks(gravscope: Gravscope, two: list[str]) -> None:
    """All that lives, and nothing else; y ends them, and says so for each."""
    status, out, asked = at_a_terminal(gravscope, b"y\n")
    # they may have been started in the same second, or in two
    assert sorted(asked.splitlines()[:2]) == sorted(two)
    assert asked.splitlines()[2] == "2 jobs live. Cancel all of them? [y/N] y"
    assert status == 0
    assert sorted(out.splitlines()) == sorted(f"{job}: cancelled by SIGTERM to the process group" for job in two)
    assert states(gravscope) == {"over": "succeeded", "フィット": "cancelled", "b": "cancelled"}


@pytest.mark.parametrize("answer", [b"\n", b"n\n", b"yeah\n", b"\x04"])
def test_anything_but_yes_is_no(gravscope: Gravscope, two: list[str], answer: bytes) -> None:
    """Return, another word or Ctrl-D: nothing is cancelled, with the exit status of a refusal."""
    status, out, asked = at_a_terminal(gravscope, answer)
    assert (status, out) == (4, "")
    assert asked.endswith("gravscope: nothing was cancelled; type: gravscope cancel JOB\n")
    assert states(gravscope) == {"over": "succeeded", "フィット": "running", "b": "running"}


def test_without_a_terminal_it_wants_yes(gravscope: Gravscope, two: list[str]) -> None:
    """Nobody can be asked: it is refused, with what to type; and that does it."""
    refused = gravscope("cancel", "--all")
    assert (refused.returncode, refused.stdout) == (4, "")
    expected = "gravscope: 2 jobs live, and there is no terminal at which to ask; type: gravscope cancel --all --yes\n"
    assert refused.stderr == expected
    assert gravscope("cancel", "-ay").stdout.count("cancelled by") == len(two)
    again = gravscope("cancel", "--all", "--json")
    assert (again.returncode, again.stdout) == (0, "[]\n")
    assert again.stderr == f"gravscope: no job lives in {gravscope.jobs_dir}\n"


def test_all_and_some_do_not_go_together(gravscope: Gravscope, two: list[str]) -> None:
    """Who types both has made a mistake, and nothing is ended by it."""
    done = gravscope("cancel", "--all", "--yes", "b")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert states(gravscope)["b"] == "running"
