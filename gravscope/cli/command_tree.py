"""The command line as plain data, read from the Typer application: completion and the man page are made of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import typer

# what an argument or the value of an option is, by the word that stands for it in the help
JOBS, NAMES, FILES, FOLDERS, COMMAND = "JOB", "NAME", "FILE", "DIR", "COMMAND"
# the jobs that a command can do something with, where that is not all of them
_LIVE = frozenset({"cancel", "wait", "limit", "pause", "resume"})
_ENDED = frozenset({"rerun", "prune"})


@dataclass(frozen=True)
class Value:
    """An argument, or the value of an option: the word that stands for it, and the only words that it may be."""

    metavar: str
    choices: tuple[str, ...] = ()
    required: bool = True
    repeated: bool = False
    which: str = ""
    """Of jobs, or of names of jobs: what they are asked for by (`gravscope.cli.complete`)."""

    @property
    def launches(self) -> bool:
        """True for the command that a job is to run, whose words are its own; one of ours is one of the choices."""
        return self.metavar == COMMAND and not self.choices


@dataclass(frozen=True)
class Option:
    """An option; one without a value is a flag."""

    names: tuple[str, ...]
    help: str
    value: Value | None = None


@dataclass(frozen=True)
class Command:
    """A command by the words that it is typed with (none for `gravscope` itself), or a group of them."""

    words: tuple[str, ...]
    help: str
    options: tuple[Option, ...]
    arguments: tuple[tuple[Value, str], ...]
    commands: tuple[Command, ...]

    def walk(self) -> Iterator[Command]:
        """This one, and every one below it."""
        yield self
        for command in self.commands:
            yield from command.walk()


def read(app: typer.Typer) -> Command:
    """The whole command line. What is hidden from the help is left out."""
    root = _command(typer.main.get_command(app), ())
    return replace(root, commands=tuple(_with_choices(each, root) for each in root.commands))


def _with_choices(command: Command, root: Command) -> Command:
    """Of `help`, the argument is one of the commands."""
    if command.words != ("help",):
        return command
    names = tuple(each.words[-1] for each in root.commands)
    ((value, text),) = command.arguments
    return replace(command, arguments=((replace(value, choices=names), text),))


def _command(found: Any, words: tuple[str, ...]) -> Command:  # noqa: ANN401 (Typer keeps its own Click to itself)
    shown = [each for each in found.params if not getattr(each, "hidden", False)]
    options = [each for each in shown if each.param_type_name == "option"]
    names = tuple(found.context_settings.get("help_option_names", ("-h", "--help")))
    return Command(
        words=words,
        help=_sentence(found.help),
        options=(*map(_option, options), Option(_long_first(names), "Say what there is to type, and exit.")),
        arguments=tuple(
            (_of_jobs(_value(each), words), _sentence(each.help))
            for each in shown
            if each.param_type_name == "argument"
        ),
        commands=tuple(
            _command(each, (*words, name)) for name, each in getattr(found, "commands", {}).items() if not each.hidden
        ),
    )


def _option(found: Any) -> Option:  # noqa: ANN401
    names = (*_long_first(found.opts), *found.secondary_opts)
    return Option(names, _sentence(found.help), None if found.is_flag else _value(found))


def _value(found: Any) -> Value:  # noqa: ANN401
    choices = tuple(map(str, getattr(found.type, "choices", ())))
    metavar = found.metavar or ("N" if "INT" in found.type.name.upper() else found.name.upper())
    metavar = metavar.strip("[]").removesuffix("...")
    return Value(
        metavar=metavar,
        which="names" if metavar == NAMES else "",
        choices=choices,
        required=found.required,
        repeated=getattr(found, "multiple", False) or found.nargs != 1,
    )


def _of_jobs(value: Value, words: tuple[str, ...]) -> Value:
    """The argument of a command, with which of the jobs it is for."""
    kind = "live" if _LIVE & {*words} else "ended" if _ENDED & {*words} else "jobs"
    if value.metavar == JOBS:
        return replace(value, which=kind)
    return replace(value, which="ended-names" if kind == "ended" else "names") if value.metavar == NAMES else value


def _long_first(names: Any) -> tuple[str, ...]:  # noqa: ANN401
    return tuple(sorted(names, key=lambda name: not name.startswith("--")))


def _sentence(text: str | None) -> str:
    return " ".join((text or "").split())
