"""What was typed and is not there: what to type instead, as a whole line where that can be told.

Loaded only once something has gone wrong. The words that people type for ours stand in `gravscope.base.words`.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from gravscope.base import words
from gravscope.cli.called import NAME
from gravscope.cli.command_tree import Command, Option, read
from gravscope.cli.root import app

# characters of a line to type; a longer one is told in part
LONGEST, LONGEST_NAME = 240, 60
# how alike a program's name has to be to one that is not there: of thousands, some are always a little like it
SURE = 0.82
NO_ARGUMENTS = "NoArgsIsHelpError"

# what only a shell understands: operators, expansions, and words that are no programs
_OF_A_SHELL = re.compile(r"[|&;<>()$`*?{}~\s]")
_BUILTINS = frozenset({"cd", "source", ".", "export", "alias", "set", "ulimit", "eval", "if", "for", "while", "exec"})
_INTERPRETERS = {".py": "python3", ".sh": "bash", ".R": "Rscript", ".jl": "julia", ".pl": "perl"}
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=", re.ASCII)


def explain(error: Any, arguments: list[str]) -> str:  # noqa: ANN401 (Typer keeps its own Click to itself)
    """What is wrong with `arguments`, and what to type, in one line; `error` is what Typer says of them."""
    root = read(app)
    command = _command_of(root, error, arguments)
    rest = arguments[len(command.words) :]
    if hasattr(error, "possibilities"):
        return _no_such_option(root, command, error.option_name, rest)
    choices = getattr(getattr(getattr(error, "param", None), "type", None), "choices", None)
    if choices and (given := _given(error.message)) is not None:
        return _no_such_value(command, error, given, tuple(map(str, choices)), rest)
    if command.commands and rest and not rest[0].startswith("-"):
        return _no_such_command(command, rest)
    message = " ".join(error.format_message().split()).removesuffix(".")
    message = message.replace(". Choose from:", ", one of:").replace("a valid int range", "a number")
    return f"{message[:1].lower()}{message[1:]}; type: {_line([*command.words, '--help'])}"


def no_help(typed: list[str]) -> str:
    """Of the words of a command whose help is wanted, the last of which is none: what to type instead."""
    before = typed[:-1]
    group = next(each for each in read(app).walk() if list(each.words) == before)
    name = " ".join(typed)
    found = words.command_for(name, [each.words[-1] for each in group.commands]) or ""
    ours = [word for word in found.partition(" | ")[0].split() if not word.startswith("-")]
    known = ours if any(list(each.words) == ours for each in group.walk()) else ours[:1]
    return f"there is no command {name!r}; type: {_line(['help', *(known or group.words)])}"


def _command_of(root: Command, error: Any, arguments: list[str]) -> Command:  # noqa: ANN401
    """The command that the error is about: as far as Typer had come."""
    context = getattr(error, "ctx", None)
    path = [] if context is None else context.command_path.split()[1:]
    if context is None and arguments:
        path = arguments[:1]
    return next((each for each in root.walk() if list(each.words) == path), root)


def _deepest(root: Command, typed: list[str]) -> Command:
    """The command that `typed` begins with, by as many of its words as there are."""
    return max(
        (each for each in root.walk() if list(each.words) == typed[: len(each.words)]), key=lambda each: len(each.words)
    )


# commands


def _no_such_command(group: Command, rest: list[str]) -> str:
    name = " ".join([*group.words, rest[0]])
    complaint = f"there is no command {_in_short(name)!r}"
    found = words.command_for(name, [each.words[-1] for each in group.commands])
    if found is not None:
        line = _instead(read(app), found, rest[1:])
        return f"{complaint}; type: {line if len(line) <= LONGEST else _line(['help', *found.split()[:1]])}"
    if not group.words and (_OF_A_SHELL.search(rest[0].strip()) or shutil.which(rest[0])):
        line = _line(["run", *of_a_shell(rest)])
        return f"{complaint}; type: {line if len(line) <= LONGEST else _line(['help', 'run'])}"
    return f"{complaint}; type: {_line([*group.words, '--help'])}"


def _instead(root: Command, found: str, rest: list[str]) -> str:
    """The line for what is to be typed instead of a command, with what followed that, or what it needs."""
    with_words, bar, without = found.partition(" | ")
    typed = (with_words if rest or not bar else without).split()
    command = _deepest(root, typed)
    own = typed[len(command.words) :]
    corrected = _corrected(command, rest) if rest else None
    if rest and corrected is not None:
        return _line([*command.words, *own, *corrected])
    needed = [value.metavar for value, _ in command.arguments if value.required]
    if _launches(command):
        needed = ["-n", "NAME", "--", "COMMAND…"]
    if command.words == ("cancel",) and not own:
        needed = ["JOB"]
    return _line([*command.words, *own, *needed])


def _in_short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…"


# options


def _no_such_option(root: Command, command: Command, name: str, rest: list[str]) -> str:
    # Typer tells of -mem-max only the first letter
    whole = next((word.partition("=")[0] for word in rest if word.startswith(name)), name)
    whole = _in_short(whole)
    complaint = f"{' '.join(command.words)} has no option {whole}" if command.words else f"there is no option {whole}"
    corrected = _corrected(command, rest)
    if corrected is not None and corrected != rest:
        return _told(complaint, [*command.words, *corrected], command)
    if not command.words:
        run = _deepest(root, ["run"])
        corrected = _corrected(run, rest)
        if corrected is not None:
            return _told(complaint, [*run.words, *corrected], run)
    return f"{complaint}; type: {_line([*command.words, '--help'])}"


def _told(complaint: str, typed: list[str], command: Command) -> str:
    """The complaint with the line to type; of a long one just the options, which stand in front."""
    line = _line(typed)
    if len(line) > LONGEST:
        end = next((at for at, word in enumerate(typed) if word == "--"), len(typed))
        line = _line([*typed[:end], *(["--", "COMMAND…"] if _launches(command) else [])])
    return f"{complaint}; type: {line if len(line) <= LONGEST else _line([*command.words, '--help'])}"


def _launches(command: Command) -> bool:
    return any(value.launches for value, _ in command.arguments)


def _no_such_value(command: Command, error: Any, given: str, choices: tuple[str, ...], rest: list[str]) -> str:  # noqa: ANN401
    name = " / ".join(getattr(error.param, "opts", ())[:1])
    what = name if name.startswith("-") else error.param.human_readable_name
    complaint = f"{what}: {_in_short(given)!r} is none of {', '.join(choices)}"
    corrected = _corrected(command, rest) if name.startswith("-") else _with_value(rest, given, choices)
    if corrected is not None and corrected != rest:
        return _told(complaint, [*command.words, *corrected], command)
    return f"{complaint}; type: {_line([*command.words, '--help'])}"


def _given(message: str) -> str | None:
    found = re.match(r"'(.*)' is not one of ", message, re.DOTALL)
    return found[1] if found else None


def _with_value(rest: list[str], given: str, choices: tuple[str, ...]) -> list[str]:
    return [(_choice(word, choices) or word) if word == given else word for word in rest]


def _choice(given: str, choices: tuple[str, ...]) -> str | None:
    hint = words.did_you_mean(given, choices)
    return hint.removeprefix("did you mean ").removesuffix("?") if hint else None


class _Reader:
    """Reads the words behind a command, and writes them as they should have been."""

    def __init__(self, command: Command, rest: list[str]) -> None:
        self.name = " ".join(command.words)
        self.options = {name: option for option in command.options for name in option.names}
        self.has_command = _launches(command)
        self.rest = deque(rest)
        self.needs = [value.metavar for value, _ in command.arguments if value.required or self.name == "cancel"]
        self.has_argument = self.everything = False
        # long options that were typed with one dash
        self.one_dash: list[str] = []

    def read(self) -> Iterator[str]:
        """Raises LookupError for an option that nothing of ours is like."""
        while self.rest:
            word = self.rest.popleft()
            if word == "--" or (not word.startswith("-") and self.has_command):
                self.has_argument = True
                yield from (word, *self.rest)
                self.rest.clear()
            elif not word.startswith("-") or word == "-":
                self.has_argument = True
                yield word
            else:
                yield from self._option(word)
        yield from [] if self.has_argument or self.everything else self.needs

    def _option(self, word: str) -> Iterator[str]:
        name, equals, value = word.partition("=")
        if name in self.options:
            yield from self._known(self.options[name], word, name, value if equals else None)
            return
        if self.is_long(word):
            self.one_dash.append(name)
        elif self._is_short(word):
            yield word
            return
        if name in ("-p", "--property") and (pair := value or (self.rest.popleft() if self.rest else "")):
            prop, _, value = pair.partition("=")
            yield from (words.PROPERTIES[prop], value)
            return
        found = words.option_for(name, self.options, self.name)
        if found is None and not name.startswith("--"):  # -m6G
            found, value, equals = words.option_for(name[:2], self.options, self.name), word[2:], "="
        if found is None:
            raise LookupError(word)
        if name == "--days":
            value, equals = f"{value or next(self._value(self.options[found]))}d", "="
        yield from self._replaced(found, value if equals else None)

    def _is_short(self, word: str) -> bool:
        """True for -n5 and -fn5: an option of one letter with its value, or more than one such."""
        return not word.startswith("--") and word[:2] in self.options

    def is_long(self, word: str) -> bool:
        """True for -name, which is --name to whoever types it, and -n with the value ame to the parser."""
        return re.match(r"-[a-z]", word) is not None and f"-{word}".partition("=")[0] in self.options

    def _known(self, option: Option, word: str, name: str, value: str | None) -> Iterator[str]:
        self.everything |= "--all" in option.names
        if option.value is None or not option.value.choices:
            yield word
            if option.value is not None and value is None:
                yield from self._value(option)
            return
        given = value if value is not None else next(self._value(option))
        found = given if given in option.value.choices else _choice(given, option.value.choices)
        if found is None:
            raise LookupError(given)
        yield from (name, found)

    def _replaced(self, found: str, value: str | None) -> Iterator[str]:
        ours, _, fixed = found.partition(" ")
        if not ours:
            return
        yield ours
        if fixed:
            yield fixed
        elif (option := self.options[ours]).value is not None:
            given = next(self._value(option)) if value is None else value
            is_bare = ours == "--cpu-quota" and not given.endswith("%")
            yield (words.spelled(given, lambda text: text.endswith("%"), cores=True) if is_bare else None) or given

    def _value(self, option: Option) -> Iterator[str]:
        """What follows, if that is no option; else the word for it."""
        if self.rest and not re.match(r"-[^0-9]", self.rest[0]):
            yield self.rest.popleft()
        else:
            yield option.value.metavar if option.value else ""


def _corrected(command: Command, rest: list[str]) -> list[str] | None:
    """`rest`, the words behind a command, with the options and values that it has; None where that cannot be told."""
    try:
        return list(_Reader(command, rest).read())
    except LookupError:
        return None


def one_dash(arguments: list[str]) -> str | None:
    """What is wrong where an option with a long name has just one dash, which Typer may take for something else; None
    where there is none such."""
    root = read(app)
    command = _deepest(root, arguments)
    rest = arguments[len(command.words) :]
    reader = _Reader(command, rest)
    try:
        corrected = list(reader.read())
    except LookupError:
        return None  # which Typer finds as well
    if not reader.one_dash:
        return None
    return _told(f"{reader.one_dash[0]} is written with two dashes", [*command.words, *corrected], command)


def about_value(arguments: list[str], complaint: str, given: str, meant: str) -> str | None:
    """The whole line with `meant` in place of `given`, the value of the option that the complaint begins with; None
    where that was not typed."""
    about = complaint.partition(":")[0]
    names = ("--name", "-n") if about == "name" else (about,)
    if arguments[:1] == ["run"]:
        options, typed = _split(arguments[1:])
        rest = ["--", *typed] if typed else []
    else:
        options, rest = arguments[1:], []
    instead = [
        _value_in(before, word, names, given, meant) for before, word in zip(["", *options], options, strict=False)
    ]
    if instead == options:
        return None
    return f"type: {_line([*arguments[:1], *instead, *rest])}"


def _value_in(before: str, word: str, names: tuple[str, ...], given: str, meant: str) -> str:
    """`word`, or `meant` if it is the value `given` of one of the options `names`, behind it or with it."""
    if before in names and word == given:
        return meant
    return next((f"{name}={meant}" for name in names if word == f"{name}={given}"), word)


# commands that a job should run


def of_a_shell(typed: list[str]) -> list[str]:
    """How a command is to be given to `gravscope run`: a line that only a shell understands with -c."""
    first, *rest = typed
    if _VARIABLE.match(first) and rest and not _OF_A_SHELL.search(first):
        variables = [word for word in typed if _VARIABLE.match(word)]
        given = typed[len(variables) :] if typed[: len(variables)] == variables else rest
        return [part for word in typed[: len(typed) - len(given)] for part in ("-e", word)] + ["--", *given]
    if not _OF_A_SHELL.search(first) and first not in _BUILTINS:
        return ["--", *typed]
    line = " ".join([first, *([shlex.join(rest)] if rest else [])])
    return ["-c", *(["--"] if line.startswith("-") else []), line]


def about_command(arguments: list[str], complaint: str) -> str | None:
    """What to type for a command that `gravscope run` has not found; None where nothing is known to be better, or the
    complaint is about another file."""
    options, typed = _split(arguments[1:])
    if not typed or typed[0] not in complaint:
        return None
    given = of_a_shell(typed)
    if given == ["--", *typed]:
        started = _by_its_path(typed[0])
        return f"type: {_line(['run', *options, '--', *started, *typed[1:]])}" if started else None
    why = "a line for a shell is run with -c" if given[0] == "-c" else "variables of a job are set with -e"
    return f"{why}; type: {_line(['run', *options, *given])}"


def _by_its_path(name: str) -> list[str] | None:
    """How to start a script that lies here, for the PATH, by which commands are found, does not have this folder; or
    the program that is meant by what is nearly its name."""
    if "/" in name:
        return None
    if not os.path.isfile(name):  # noqa: PTH113 (Path.is_file raises for a name that is too long)
        meant = words.nearest(name, _programs(), SURE)
        return [meant] if meant else None
    if os.access(name, os.X_OK):
        return [f"./{name}"]
    interpreter = _INTERPRETERS.get(os.path.splitext(name)[1])  # noqa: PTH122 (likewise)
    return [interpreter, name] if interpreter else None


def _programs() -> set[str]:
    """The names of all programs on the PATH."""
    found: set[str] = set()
    for folder in filter(None, os.environ.get("PATH", os.defpath).split(":")):
        with suppress(OSError):
            found.update(os.listdir(folder))  # noqa: PTH208 (thousands of names)
    return found


def _split(rest: list[str]) -> tuple[list[str], list[str]]:
    """The options behind `run`, and the words of its command."""
    run = _deepest(read(app), ["run"])
    taking = {name for option in run.options if option.value is not None for name in option.names}
    at = 0
    while at < len(rest) and rest[at].startswith("-") and rest[at] not in ("-", "--"):
        at += 2 if rest[at] in taking else 1
    return rest[:at], rest[at + 1 :] if rest[at : at + 1] == ["--"] else rest[at:]


def _line(typed: list[str]) -> str:
    """A whole line to type, for a shell; placeholders in capitals are left as they are."""
    return " ".join([NAME, *(word if word == "COMMAND…" else shlex.quote(word) for word in typed)])
