"""A command line read without Typer is read as Typer reads it."""

from __future__ import annotations

import functools
import inspect
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.exceptions import TyperException

from gravscope.cli import app as application
from gravscope.cli.fast import parser
from gravscope.cli.fast.table import COMMANDS
from tests.support import REPOSITORY

Call = tuple[str, dict[str, Any]]


def recorder(name: str, command: Callable[..., Any], calls: list[Call]) -> Callable[..., None]:
    """A function that Typer takes for `command`, and that only remembers what it is called with."""

    @functools.wraps(command)
    def record(**arguments: Any) -> None:  # noqa: ANN401 (whatever the command takes)
        calls.append((name, arguments))

    return record


@pytest.fixture(scope="module")
def by_typer() -> Callable[[list[str]], Call | None]:
    """Reads a command line by the real application, whose functions are only remembered; None for what it refuses."""
    calls: list[Call] = []
    app = typer.Typer(
        add_completion=False, rich_markup_mode=None, context_settings=application.app.info.context_settings
    )
    app.callback()(lambda: None)
    for name, command in application.COMMANDS.items():
        application.add(app, name, recorder(name, command, calls))
    whole = typer.main.get_command(app)

    def read(words: list[str]) -> Call | None:
        calls.clear()
        try:
            whole.main(words, prog_name="gravscope", standalone_mode=False)
        except (TyperException, typer.Abort):
            return None
        return calls[0] if calls else None

    return read


def by_quick(words: list[str]) -> Call | None:
    """The same without Typer, with the defaults of the function that is called; None for what is left to Typer."""
    try:
        module, function, arguments = parser.read(words)
    except parser.NotPlainError:
        return None
    name = words[0]
    command = application.COMMANDS[name]
    assert (command.__module__, command.__name__) == (module, function)
    defaults = inspect.signature(command).parameters.items()
    return name, {key: each.default for key, each in defaults if each.default is not each.empty} | arguments


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
BYTES = st.binary(max_size=6).map(os.fsdecode)
ODD = st.sampled_from(
    ["", "-", "--", "=", "-x", "--name", "--name=", "--json=1", "-n5", "-cn", "--mem", "0", "007", "1_0"]
)
NUMBERS = st.integers(-5, 20_000).map(str)
ALL_OPTIONS = sorted({option for command in COMMANDS.values() for option in command["options"]})


@st.composite
def lines(draw: st.DrawFn) -> list[str]:
    """Command lines of which many are right, and many nearly so."""
    name = draw(st.sampled_from(sorted(COMMANDS)))
    options = COMMANDS[name]["options"]
    words = [name]
    for _ in range(draw(st.integers(0, 6))):
        option = draw(st.sampled_from([*options, *options, *ALL_OPTIONS]))
        kind = options.get(option, ("", "text"))[1]
        right = st.sampled_from(kind) if isinstance(kind, tuple) else TEXT
        value = draw(st.one_of(right, right, NUMBERS, BYTES, ODD))
        if isinstance(kind, bool):
            words += draw(st.sampled_from([[option], [option], [option, value], [f"{option}={value}"]]))
        else:
            words += draw(st.sampled_from([[option, value], [option, value], [f"{option}={value}"], [option]]))
        if draw(st.integers(0, 3)) == 0:
            words.append(draw(st.one_of(TEXT, ODD)))
    return words + draw(st.lists(st.one_of(TEXT, BYTES, ODD), max_size=4))


@pytest.mark.slow
@given(words=lines())
@settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_as_typer_reads_it(by_typer: Callable[[list[str]], Call | None], words: list[str]) -> None:
    """Whatever is read without Typer calls the same function with the same arguments as by Typer."""
    mine = by_quick(words)
    if mine is not None:
        assert mine == by_typer(words)


PLAIN = [
    ["run", "--", "true"],
    ["run", "true"],
    ["run", "-n", "fit", "--mem-high", "6G", "--mem-max=8G", "--cpu-weight", "50", "--", "python", "fit.py", "--fast"],
    [
        "run",
        "-e",
        "A=1",
        "--env",
        "B=-2",
        "--env=C=",
        "--no-memsafe",
        "--memsafe",
        "--launcher",
        "session",
        "sh",
        "-c",
        "-x",
    ],
    ["run", "--oom-policy=continue", "--fg", "--json", "-", "--", "x"],
    ["run"],
    ["rerun", "fit", "--mem-max", "16G", "--follow"],
    ["rerun", "--mem-max", "16G", "--", "fit"],
    ["status"],
    ["status", "--json"],
    ["status", "fit", "--watch", "gal"],
    ["show", "fit"],
    ["path", "--json", "fit"],
    ["logs", "-f", "fit", "-n", "20"],
    ["cancel", "a", "b", "--grace", "1m"],
    ["wait", "a", "b", "--timeout", "5s", "--ready", "^done"],
    ["limit", "fit", "--mem-high", "5G", "--io-weight", "10", "--force"],
    ["pause", "fit"],
    ["resume", "fit"],
    ["prune", "--older-than", "30d", "--keep", "3", "--dry-run"],
    ["config"],
    ["config", "fit"],
    ["doctor", "--fix"],
]


@pytest.mark.parametrize("words", PLAIN, ids=" ".join)
def test_what_is_plain_needs_no_typer(by_typer: Callable[[list[str]], Call | None], words: list[str]) -> None:
    """Command lines as people type them are read without Typer, options on either side of the job's name."""
    assert by_quick(words) == by_typer(words) is not None


NOT_PLAIN = [
    [],
    ["--help"],
    ["run", "--help"],
    ["run", "-h"],
    ["status", "-aw"],
    ["logs", "-n5", "fit"],
    ["run", "--cpu-weight", "0", "true"],
    ["run", "--cpu-weight", "1_0", "true"],
    ["run", "--launcher", "sess", "true"],
    ["run", "--mem", "6G", "true"],
    ["run", "-n"],
    ["run", "-n", "--json", "true"],
    ["status", "--json=yes"],
    ["show"],
    ["show", "a", "b"],
    ["doctor", "a"],
    ["guard", "check", "a.py"],
    ["runn"],
]


@pytest.mark.parametrize("words", NOT_PLAIN, ids=" ".join)
def test_what_is_not_plain_is_typers(words: list[str]) -> None:
    """Help, mistakes, and what only Click knows how to read are left alone."""
    assert by_quick(words) is None


def test_every_command_of_its_kind_is_in_the_table() -> None:
    """All that people type every day; not what has sub-commands or a choice for an argument, nor help, which needs
    the whole application."""
    assert set(application.COMMANDS) - set(COMMANDS) == {"completion", "help"}


TABLE = Path("gravscope") / "cli" / "fast" / "table.py"


def build(folder: Path, *words: str) -> str:
    """What scripts/build_table.py prints for the package in a folder."""
    argv = [sys.executable, REPOSITORY / "scripts" / "build_table.py", *words]
    environ = {"PYTHONPATH": str(folder)}
    return subprocess.run(argv, cwd=folder, env=environ, capture_output=True, text=True, check=True).stdout


def test_the_table_is_made_of_the_application() -> None:
    """What is committed is what scripts/build_table.py makes: python scripts/build_table.py"""
    assert build(REPOSITORY, "--print") == (REPOSITORY / TABLE).read_text(encoding="utf-8")


@pytest.mark.parametrize("broken", ["", "COMMANDS = {", "raise SystemExit(3)"])
def test_the_table_is_made_anew_whatever_was_there(tmp_path: Path, broken: str) -> None:
    """An empty table, as a redirection leaves it, or half of one, does not stand in the way of the next."""
    shutil.copytree(REPOSITORY / "gravscope", tmp_path / "gravscope", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / TABLE).write_text(broken)
    assert build(tmp_path) == ""
    assert (tmp_path / TABLE).read_text(encoding="utf-8") == (REPOSITORY / TABLE).read_text(encoding="utf-8")
