"""Help: in groups, whole, in one style, for every command there is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from gravscope.cli.app import app
from gravscope.cli.command_tree import Command, read
from gravscope.cli.overview import GROUPS, summary
from tests.support import Gravscope

METAVARS = {
    "SIZE", "DURATION", "PERCENT", "N", "NAME", "NAME=VALUE", "FILE", "DIR", "REGEX", "JOB", "COMMAND", "SHELL",
}  # fmt: skip
ALL = [command for command in read(app).walk() if command.words]


def helps(gravscope: Gravscope, columns: int) -> Iterator[str]:
    """The help of `gravscope` and of its groups, as wide as that."""
    for words in ([], ["guard"], ["units"]):
        yield gravscope(*words, "--help", env={"COLUMNS": str(columns)}).stdout


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_no_summary_is_cut(gravscope: Gravscope, columns: int) -> None:
    """Every command's first sentence is there to the last word, within the width; on one line at 80 columns."""
    text = "\n".join(helps(gravscope, columns))
    assert max(map(len, text.splitlines())) <= columns
    assert "..." not in text.replace("[ARGS]...", "")
    flat = " ".join(text.split())
    for command in ALL:
        assert f"{command.words[-1]} {summary(command.help)}" in flat
        if columns == 80 and len(command.words) == 1:
            assert re.search(rf"^  {command.words[0]} +{re.escape(summary(command.help))}$", text, re.MULTILINE)


def test_the_groups_are_in_order(gravscope: Gravscope) -> None:
    """Jobs, Look, Change, Machine, Scripts; each command stands in just one of them."""
    text = gravscope("--help").stdout
    assert re.findall(r"^([A-Z]\w+):$", text, re.MULTILINE) == ["Options", *GROUPS]
    listed = [name for group in GROUPS.values() for name in group]
    assert sorted(listed) == sorted(command.words[0] for command in read(app).commands)
    assert re.findall(r"^  ([a-z-]+)  ", text, re.MULTILINE) == listed


@pytest.mark.parametrize("command", ALL, ids=lambda command: " ".join(command.words))
def test_values_are_named_in_one_style(command: Command) -> None:
    """In capitals, of a known set, or the very words that there are."""
    values = [option.value for option in command.options if option.value is not None]
    values += [value for value, _ in command.arguments]
    assert {value.metavar for value in values if not value.choices} <= METAVARS


def test_the_usage_has_neither_braces_nor_types(gravscope: Gravscope) -> None:
    """As a manual page would have it."""
    for command in ALL:
        shown = gravscope(*command.words, "--help").stdout
        assert not re.search(r"[{}]|int range|INTEGER|TEXT", shown), shown


def test_help_is_a_command(gravscope: Gravscope) -> None:
    """`help COMMAND` prints what `COMMAND --help` prints, at any depth; what is not there gets a suggestion."""
    for words in ([], ["run"], ["units", "install"], ["guard"]):
        assert gravscope("help", *words).stdout == gravscope(*words, "--help").stdout
    assert json.loads(gravscope("help", "run", "--json").stdout)["command"] == ["run"]
    wrong = gravscope("help", "ls")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr == "gravscope: there is no command 'ls'; type: gravscope help status\n"


def test_a_group_alone_is_its_overview(gravscope: Gravscope) -> None:
    """On standard error, for nothing was done, with the exit status of a usage error."""
    for words in ([], ["units"], ["guard"]):
        done = gravscope(*words)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == gravscope(*words, "--help").stdout
