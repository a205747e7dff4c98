"""The table of what people type for ours: whatever it leads to is there, and nothing of ours is taken for another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gravscope.base.errors import UsageError
from gravscope.base.quantity import parse_percent, parse_size
from gravscope.base.words import COMMANDS, NEEDLESS, OPTIONS, PROPERTIES, VALUES, command_for, near, option_for, spelled
from gravscope.cli.app import app
from gravscope.cli.command_tree import Command, read

ROOT = read(app)
PATHS = {" ".join(command.words): command for command in ROOT.walk()}
OURS = {name for command in ROOT.walk() for option in command.options for name in option.names}


def deepest(line: str) -> Command:
    """The command that a line begins with."""
    words = line.split()
    return next(PATHS[path] for n in range(len(words), -1, -1) if (path := " ".join(words[:n])) in PATHS)


@pytest.mark.parametrize(("word", "instead"), COMMANDS.items())
def test_each_word_leads_to_a_command(word: str, instead: str) -> None:
    """With options that it has; and the word is none of ours."""
    assert word not in PATHS
    for line in instead.split(" | "):
        command = deepest(line)
        options = {name for option in command.options for name in option.names}
        rest = line.split()[len(command.words) :]
        assert rest or command.words
        assert {each for each in rest if each.startswith("-")} <= options


def test_each_option_leads_to_one_of_ours() -> None:
    """And no group of other names has one twice."""
    assert {ours.partition(" ")[0] for ours, _ in OPTIONS} <= OURS
    assert set(PROPERTIES.values()) <= OURS
    assert NEEDLESS.keys() <= PATHS.keys()
    for _, others in OPTIONS:
        assert len(others.split()) == len(set(others.split()))


@pytest.mark.parametrize("path", PATHS)
def test_an_option_of_ours_is_not_called_another(path: str) -> None:
    """What a command does without, or has under another name, is nothing that it has."""
    options = {name for option in PATHS[path].options for name in option.names}
    assert not options & {*NEEDLESS.get(path, "").split()}
    for option in PATHS[path].options:
        assert option.value is None or not {*option.value.choices} & VALUES.keys()


def test_values_are_those_of_some_option() -> None:
    """Of an option, of an argument."""
    values = [option.value for command in ROOT.walk() for option in command.options if option.value]
    values += [value for command in ROOT.walk() for value, _ in command.arguments]
    assert set(VALUES.values()) <= {word for value in values for word in value.choices}


def test_typos_and_guesses() -> None:
    """A typo of ours comes before other tools' words, and these before a far guess; nothing is made of nonsense."""
    names = [command.words[-1] for command in ROOT.commands]
    found = {word: command_for(word, names) for word in ("stauts", "LOGS", "kil", "squeu", "xyzzy", "ｒｕｎ")}
    assert found == {
        "stauts": "status",
        "LOGS": "logs",
        "kil": "cancel",
        "squeu": "status",
        "xyzzy": None,
        "ｒｕｎ": "run",
    }
    assert near("fti", ["fit", "gal"]) == ["fit"]
    assert option_for("--foo", ["--follow", "--fg"], "run") is None


def test_only_a_cpu_quota_is_a_number_of_cores() -> None:
    """`--mem-max 4X` is no percentage of the machine's memory; `--cpu-quota 4` is one of cores."""
    with pytest.raises(UsageError, match=r"write it as 6G, 512M, 50% or infinity$"):
        parse_size("4X", 2**30)
    with pytest.raises(UsageError, match=r"write it as 400%$"):
        parse_percent("4")
    found = [spelled("1.5 cores", lambda text: "%" in text, cores=cores) for cores in (True, False)]
    assert found == ["150%", None]


@given(st.text(max_size=200))
def test_nothing_is_too_odd(text: str) -> None:
    """Whatever is typed, there is an answer or none, and no error."""
    command_for(text, ["run", "status"])
    option_for(f"-{text}", ["--mem-max", "-n"], "run")
    assert spelled(text, lambda _: False) is None
