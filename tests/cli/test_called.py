"""What is printed to be typed works where it is printed."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from gravscope.cli.called import as_called, called_by, spelling
from gravscope.cli.fast.table import COMMANDS
from tests.support import Gravscope, installed

# what Python adds on its own: sys.argv, sys.orig_argv, and the words that the program was called by
CALLED = [
    ([".venv/bin/gravscope", "run"], ["/x/.venv/bin/python", ".venv/bin/gravscope", "run"], [".venv/bin/gravscope"]),
    (["/usr/bin/gravscope"], ["/usr/bin/python3", "/usr/bin/gravscope"], ["/usr/bin/gravscope"]),
    (["/x/gravscope/__main__.py", "run"], ["python3", "-m", "gravscope", "run"], ["python3", "-m", "gravscope"]),
    (["/x/gravscope/__main__.py"], ["python3", "-Im", "gravscope"], ["python3", "-Im", "gravscope"]),
    (["-c", "run"], ["python3", "-c", "…", "run"], []),
    (["-c"], ["python3", "-c"], []),
    (["/x/pytest/__main__.py", "-q"], ["python3", "-m", "pytest", "-q"], ["/x/pytest/__main__.py"]),
    ([""], ["python3"], []),
    ([], [], []),
]
# how it was called, the directory, whether `gravscope` on PATH is it, and what is to be typed
SPELLED = [
    (["/usr/bin/gravscope"], "/home/you", True, "gravscope"),
    ([".venv/bin/gravscope"], "/home/you/fits", True, "gravscope"),
    ([".venv/bin/gravscope"], "/home/you/fits", False, ".venv/bin/gravscope"),
    (["../fits/.venv/bin/gravscope"], "/home/you/other", False, "../fits/.venv/bin/gravscope"),
    (["/home/you/fits/.venv/bin/gravscope"], "/home/you/fits", False, ".venv/bin/gravscope"),
    (["/home/you/fits/.venv/bin/gravscope"], "/home/you/other", False, "/home/you/fits/.venv/bin/gravscope"),
    (["/home/you/fits/.venv/bin/gravscope"], "/home/you/fits/.venv/bin", False, "./gravscope"),
    (["/home/you/fits/.venv/bin/gravscope"], "", False, "/home/you/fits/.venv/bin/gravscope"),
    (["./gravscope"], "/home/you", False, "./gravscope"),
    (["/my fits/.venv/bin/gravscope"], "/", False, "'/my fits/.venv/bin/gravscope'"),
    (["/my fits/.venv/bin/gravscope"], "/my fits", False, ".venv/bin/gravscope"),
    (["/fits/my env/bin/gravscope"], "/fits", False, "'my env/bin/gravscope'"),
    (["/my fits/.venv/bin/gravscope"], "/home", False, "'/my fits/.venv/bin/gravscope'"),
    (["it's/gravscope"], "/home", False, "'it'\"'\"'s/gravscope'"),
    (["フィット/gravscope"], "/home", False, "'フィット/gravscope'"),
    (["python3", "-m", "gravscope"], "/home/you", False, "python3 -m gravscope"),
    (["python3", "-m", "gravscope"], "/home/you", True, "gravscope"),
    (["/home/you/.venv/bin/python", "-m", "gravscope"], "/home/you", False, ".venv/bin/python -m gravscope"),
    (["gravscope"], "/home/you", False, "gravscope"),
    ([], "/home/you", False, "gravscope"),
]


@pytest.mark.parametrize(("argv", "typed", "words"), CALLED)
def test_the_words_that_it_was_called_by(argv: list[str], typed: list[str], words: list[str]) -> None:
    """A path is one word; with -m Python and its options belong to them; a program that calls main() has none."""
    assert called_by(argv, typed) == words


@pytest.mark.parametrize(("called", "cwd", "on_path", "typed"), SPELLED)
def test_how_it_is_to_be_typed(called: list[str], cwd: str, on_path: bool, typed: str) -> None:
    """By its name where PATH has it, else as it was called; short where that is below the directory; quoted."""
    assert spelling(called, cwd, on_path=on_path) == typed
    assert shlex.split(typed)[-1].endswith("gravscope")


@pytest.mark.parametrize(
    "first", sorted({words.partition(" ")[0] for words in COMMANDS} | {"--help", "--version", "-V"})
)
def test_every_command_line_in_a_text(first: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them in a text is one, wherever it stands there."""
    _call_as(monkeypatch, "/opt/g/gravscope")
    typed = "/opt/g/gravscope"
    shown = as_called(f"type: gravscope {first} x, or gravscope {first}; (gravscope {first})")
    assert shown == f"type: {typed} {first} x, or {typed} {first}; ({typed} {first})"


@pytest.mark.parametrize(
    "text",
    [
        "killed by gravscope's watch", "gravscope watches the memory", "/opt/gravscope run", "'gravscope run'",
        "gravscope running", "my-gravscope run", "gravscope", "the gravscope status-file",
    ],
)  # fmt: skip
def test_what_is_no_command_line_stays(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name in a sentence, in a path or in somebody's quotes is left as it is."""
    _call_as(monkeypatch, "/opt/g/gravscope")
    assert as_called(text) == text


def _call_as(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    monkeypatch.setattr(sys, "argv", [program])
    monkeypatch.setattr(sys, "orig_argv", [sys.executable, program])
    monkeypatch.setenv("PATH", "/nonexistent")


@pytest.mark.parametrize("program", ["/x/pytest/__main__.py", "/usr/bin/python3", "tool.py"])
def test_another_program_that_calls_ours(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not what is to be typed."""
    _call_as(monkeypatch, program)
    assert as_called("type: gravscope doctor") == "type: gravscope doctor"


@pytest.mark.parametrize("uid", [0, 1000])
def test_sudo_gets_a_path(uid: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """sudo has a PATH of its own, so that it is told where the program is; root is told of no sudo."""
    _call_as(monkeypatch, ".venv/bin/gravscope")
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    shown = as_called("type: sudo gravscope units install --system-dropin, and log in anew")
    words = shlex.split(shown.partition("type: ")[2].partition(" units install")[0])
    assert (words[0] == "sudo") == (uid != 0)
    assert Path(words[uid != 0]).is_absolute()
    assert shown.endswith(" units install --system-dropin, and log in anew")


class Checkout:
    """A folder with gravscope in its virtual environment, which is on no PATH."""

    def __init__(self, gravscope: Gravscope, folder: str) -> None:
        self.gravscope = gravscope
        self.folder = gravscope.folder / folder
        self.bin = self.folder / ".venv" / "bin"
        self.bin.mkdir(parents=True)
        installed(self.bin)
        empty = gravscope.folder / "bin"
        empty.mkdir()
        for tool in ("setsid", "nohup", "bash", "sh", "true", "python3"):
            (empty / tool).symlink_to(f"{gravscope.environ['PATH']}/{tool}")
        self.environ = {**gravscope.environ, "PATH": str(empty)}

    def bash(self, line: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """A line, typed here."""
        return subprocess.run(
            ["bash", "-c", line],
            env={**self.environ, **environ},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def checkout(gravscope: Gravscope) -> Checkout:
    """In a folder whose name has a space."""
    return Checkout(gravscope, "my fits")


@pytest.mark.parametrize(
    ("called", "typed"),
    [
        (".venv/bin/gravscope", ".venv/bin/gravscope"),
        ('"$PWD/.venv/bin/gravscope"', ".venv/bin/gravscope"),
        ('cd / && "$OLDPWD/.venv/bin/gravscope"', "'{folder}/.venv/bin/gravscope'"),
        (f"{sys.executable} -m gravscope", f"{sys.executable} -m gravscope"),
        ('PATH="$PWD/.venv/bin:$PATH" gravscope', "gravscope"),
        ('PATH="$PWD/.venv/bin:$PATH" .venv/bin/gravscope', "gravscope"),
        (f'PATH="$PWD/.venv/bin:$PATH" {sys.executable} -m gravscope', "gravscope"),
    ],
)
def test_what_is_printed_can_be_typed(checkout: Checkout, called: str, typed: str) -> None:
    """On standard error and in `show`, a command line is what works there; it is tried out."""
    job = checkout.gravscope.start("-n", "x", "--", "sh", "-c", "exit 3")
    checkout.gravscope.ended(job)
    wrong = checkout.bash(f"{called} cancel --nonsense")
    assert wrong.stderr.endswith(f"type: {typed.format(folder=checkout.folder)} cancel --help\n")
    shown = checkout.bash(f"{called} show x").stdout
    lines = shown[shown.index("\nnext") :].splitlines()[1:]
    assert [line[10:] for line in lines] == [
        f"{typed.format(folder=checkout.folder)} {what} {job}" for what in ("logs", "rerun")
    ]
    before = called.rpartition("&& ")[0] + ("&& " if "&&" in called else "")
    path = re.match(r"PATH=\S+ ", called)
    for line in lines:
        done = checkout.bash(f"{before}{'export ' + path[0] + '; ' if path else ''}{line[10:]}")
        assert done.returncode == 0, (line, done.stderr)


def test_another_gravscope_on_path_is_not_this_one(checkout: Checkout) -> None:
    """The name alone would call that one."""
    other = checkout.gravscope.folder / "bin" / "gravscope"
    other.write_text("#!/bin/sh\nexit 9\n")
    other.chmod(0o755)
    for called in (".venv/bin/gravscope", f"{sys.executable} -m gravscope"):
        assert f"; type: {called} --help" in checkout.bash(f"{called} --nonsense").stderr


def test_records_and_whoever_is_told_know_no_path(checkout: Checkout) -> None:
    """What is not printed here says `gravscope`: the record, JSON, and its warnings."""
    made = checkout.bash(".venv/bin/gravscope run -n x --mem-high 500M -- true")
    assert made.returncode == 0, made.stderr
    checkout.gravscope.ended(made.stdout.strip())
    assert ".venv" not in (checkout.gravscope.jobs_dir / f"{made.stdout.strip()}.json").read_text()
    assert ".venv" not in checkout.bash(".venv/bin/gravscope show --json x").stdout
