"""What people type by habit: what gravscope said of it before, and what it says now, with the line to type.

The table is tests/data/typed.txt: it is the promise, and shows what has changed.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.support import REPOSITORY, Gravscope

ROW = re.compile(r"^\$ (.*)\nwas: (.*)\nnow: (\d+) (.*)$", re.MULTILINE)
TABLE = (REPOSITORY / "tests" / "data" / "typed.txt").read_text(encoding="utf-8")
# what was typed, what was said before, the exit status now, and what is said now (its first line)
TYPED: list[tuple[str, str, int, str]] = [
    (typed, before, int(status), said) for typed, before, status, said in ROW.findall(TABLE)
]


@pytest.fixture(autouse=True)
def some_files(gravscope: Gravscope) -> Path:
    """The files that the table speaks of."""
    folder = gravscope.folder
    (folder / "sub").mkdir()
    for name in ("fit.py", "job.sh", "x.sh", "sub/run.py"):
        (folder / name).write_text("exit(0)\n" if name.endswith(".py") else "exit 0\n")
    (folder / "x.sh").chmod(0o755)
    return folder


def test_the_table_is_read_whole() -> None:
    """No row is passed over because it is written otherwise."""
    assert len(TYPED) == TABLE.count("\n$ ") > 100


@pytest.mark.parametrize(("typed", "before", "status", "said"), TYPED, ids=[row[0] for row in TYPED])
def test_what_is_typed_by_habit(gravscope: Gravscope, typed: str, before: str, status: int, said: str) -> None:
    """It is done, or answered in one line that ends with what to type, and otherwise than before."""
    done = gravscope(*shlex.split(typed), env={"GRAVSCOPE_LAUNCHER": "session"})
    shown = (done.stderr or done.stdout).replace(str(gravscope.folder), "FOLDER").splitlines()
    assert (done.returncode, shown[0]) == (status, said)
    assert said != before
    if status and not said.startswith("Usage: "):
        assert (len(shown), done.stdout) == (1, "")


def lines_to_type() -> list[str]:
    """Every whole line that is said to be typed, but for those with placeholders and those that ask for help."""
    found = [said.partition("; type: gravscope ")[2] for _, _, _, said in TYPED if "; type: gravscope " in said]
    with_placeholder = re.compile(r"\b(JOB|FILE|COMMAND…)")
    return [line for line in found if line and not with_placeholder.search(line) and not line.endswith("--help")]


@pytest.mark.parametrize("line", dict.fromkeys(lines_to_type()))
def test_what_is_said_to_be_typed_is_understood(gravscope: Gravscope, line: str) -> None:
    """No suggestion leads to another usage error; of jobs, commands and files that are not there it may be told."""
    words = shlex.split(line)
    if {"--watch", "-w"} & {*words} or words[:2] == ["units", "install"]:
        words.append("--help")
    if words[0] == "run":
        words.insert(1, "--dry-run")
        if "--follow" in words or "--fg" in words:
            words.insert(1, "--help")
    done = gravscope(*words, env={"GRAVSCOPE_LAUNCHER": "session"})
    assert done.returncode != 2, done.stderr


@pytest.mark.parametrize(
    "line", [line for line in dict.fromkeys(lines_to_type()) if re.match(r"run [^&]*\.(py|sh)[^&]*$", line)]
)
def test_a_file_that_is_said_to_be_run_so_starts(gravscope: Gravscope, line: str) -> None:
    """What is said to be typed for a script that would not start does start it, and it ends well."""
    first, *words = shlex.split(line)
    job_id = gravscope.start(*words)
    assert (first, gravscope.ended(job_id)["state"]) == ("run", "succeeded")
