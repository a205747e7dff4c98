"""The man page: made of the command line, and fit to be shown."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache

import pytest

from gravscope import __version__
from gravscope.base import errors
from gravscope.cli.app import app
from gravscope.cli.command_tree import read
from gravscope.settings.known import SETTINGS, variable_of
from tests.needs import need
from tests.support import REPOSITORY

PAGE = REPOSITORY / "docs" / "gravscope.1"


@cache
def shown() -> str:
    """The page as it is read, in rows as long as they come."""
    need("mandoc")
    argv = ["mandoc", "-T", "utf8", "-O", "width=1000", PAGE]
    text = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    return re.sub(".\b", "", text)  # bold and underlined


def test_the_page_is_the_generated_one() -> None:
    """docs/gravscope.1 is what the script prints: .venv/bin/python scripts/build_man.py > docs/gravscope.1"""
    argv = [sys.executable, REPOSITORY / "scripts" / "build_man.py"]
    environ = {"PYTHONPATH": str(REPOSITORY)}
    made = subprocess.run(argv, env=environ, capture_output=True, text=True, check=True)
    assert made.stdout == PAGE.read_text()


@pytest.mark.needs("mandoc")
def test_mandoc_finds_nothing_wrong() -> None:
    """No error and no warning, but that it has no date, on purpose."""
    argv = ["mandoc", "-T", "lint", "-W", "warning", PAGE]
    found = subprocess.run(argv, capture_output=True, text=True, check=False).stdout
    assert [line for line in found.splitlines() if "missing date" not in line] == []


@pytest.mark.needs("mandoc")
def test_the_sections_of_a_man_page() -> None:
    """In their usual order; the first is what whatis(1) reads."""
    titles = re.findall("^([A-Z][A-Z ]+)$", shown(), re.MULTILINE)
    assert " ".join(titles) == (
        "NAME SYNOPSIS DESCRIPTION COMMANDS OPTIONS EXIT STATUS ENVIRONMENT FILES EXAMPLES SEE ALSO"
    )
    assert re.search(r"NAME\n +gravscope [-\N{EN DASH}] launch heavy jobs ", shown())
    assert f"gravscope {__version__}" in shown()


@pytest.mark.needs("mandoc")
def test_everything_of_the_command_line_is_in_it() -> None:
    """Every command and every option, every exit status, every variable that sets something."""
    for command in read(app).walk():
        if not command.commands:
            heading = re.compile(rf"^ +gravscope {' '.join(command.words)} \[OPTIONS\]", re.MULTILINE)
            assert heading.search(shown()), command.words
        for option in command.options:
            assert option.names[0] in shown(), option.names
            assert option.help in shown(), option.names
    kinds = [errors.GravscopeError, *errors.GravscopeError.__subclasses__()]
    for kind in kinds:
        assert re.search(rf"^ +{kind.exit_code} +\S", shown(), re.MULTILINE)
    for key in SETTINGS:
        assert (variable_of(key) or "") in shown()


@pytest.mark.needs("mandoc")
def test_the_examples_are_command_lines() -> None:
    """Whatever it says to type is a command with options that there are."""
    known = {
        command.words: {name for option in command.options for name in option.names} for command in read(app).walk()
    }
    examples = re.findall(r"^ +\S*.*?\bgravscope ([a-z]+)(.*)$", shown().partition("EXAMPLES")[2], re.MULTILINE)
    assert len(examples) >= 5
    for name, rest in examples:
        assert (name,) in known
        options = {word for word in rest.partition(" -- ")[0].partition("'")[0].split() if word.startswith("-")}
        assert options - {"--"} <= known[(name,)]
