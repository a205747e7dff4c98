"""What was typed and is not there: what to type instead, as a whole line where that can be told.

Loaded only once something has gone wrong. The words that people type for ours stand in `gravscope.base.words`.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from typing import Any

from gravscope.base import words
from gravscope.base.printable import quoted, shortened
from gravscope.cli import to_run
from gravscope.cli.command_tree import Command, Option, read
from gravscope.cli.root import app
from gravscope.cli.to_run import whole_line

# characters of a line to type; a longer one is told in part
LONGEST = 240
_EXTRA = re.compile(r"Got unexpected extra argument(?:s|\(s\))? \((.*)\)", re.DOTALL)
NO_ARGUMENTS = "NoArgsIsHelpError"


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
    if (extra := _EXTRA.match(error.format_message())) is not None:
        return _too_many(root, command, extra[1].split(" "), rest)
    message = message.replace(". Choose from:", ", one of:").replace("a valid int range", "a number")
    return f"{message[:1].lower()}{message[1:]}; type: {whole_line([*command.words, '--help'])}"


def no_help(typed: list[str]) -> str:
    """Of the words of a command whose help is wanted, the last of which is none: what to type instead."""
    before = typed[:-1]
    group = next(each for each in read(app).walk() if list(each.words) == before)
    name = " ".join(typed)
    found = words.command_for(name, [each.words[-1] for each in group.commands]) or ""
    ours = [word for word in found.partition(" | ")[0].split() if not word.startswith("-")]
    known = ours if any(list(each.words) == ours for each in group.walk()) else ours[:1]
    return f"there is no command {quoted(name)}; type: {whole_line(['help', *(known or group.words)])}"


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


def _too_many(root: Command, command: Command, extra: list[str], rest: list[str]) -> str:
    """What is said of words behind a command that takes no more of them."""
    name = " ".join(command.words)
    if name == "config":
        from gravscope.cli.config import how_to_set  # noqa: PLC0415 (for this alone)

        return how_to_set(rest)
    if name == "rerun":
        run = _deepest(root, ["run"])
        typed = rest[rest.index("--") + 1 :] if "--" in rest else extra
        complaint = "rerun runs the same command again, and takes no other"
        return _told(complaint, [*run.words, *to_run.words_to_run(typed)], run)
    takes = " and ".join(f"one {value.metavar}" for value, _ in command.arguments) or "no argument"
    complaint = f"{name} takes {takes}: {quoted(extra[0])} is too many"
    fewer = rest[: -len(extra)] if rest[-len(extra) :] == extra else ["--help"]
    if name == "limit":  # which needs an option besides
        fewer = [*fewer, "--mem-max", extra[0]] if re.fullmatch(r"[0-9.]+[KMGTkmgt%]", extra[0]) else ["--help"]
    return _told(complaint, [*command.words, *fewer], command)


# commands


def _no_such_command(group: Command, rest: list[str]) -> str:
    name = " ".join([*group.words, rest[0]])
    complaint = f"there is no command {quoted(name)}"
    is_file = not group.words and to_run.is_file_to_run(rest[0])
    found = None if is_file else words.command_for(name, [each.words[-1] for each in group.commands])
    if found is not None:
        line = _instead(read(app), found, rest[1:])
        return f"{complaint}; type: {line if len(line) <= LONGEST else whole_line(['help', *found.split()[:1]])}"
    if is_file or (not group.words and to_run.could_be_run(rest)):
        line = whole_line(["run", *to_run.words_to_run(rest)])
        return f"{complaint}; type: {line if len(line) <= LONGEST else whole_line(['help', 'run'])}"
    return f"{complaint}; type: {whole_line([*group.words, '--help'])}"


def _instead(root: Command, found: str, rest: list[str]) -> str:
    """The line for what is to be typed instead of a command, with what followed that, or what it needs."""
    with_words, bar, without = found.partition(" | ")
    typed = (with_words if rest or not bar else without).split()
    command = _deepest(root, typed)
    own = typed[len(command.words) :]
    corrected = _corrected(command, [*own, *rest]) if rest else None
    if corrected is not None:
        return whole_line([*command.words, *corrected])
    needed = [value.metavar for value, _ in command.arguments if value.required]
    if _launches(command):
        needed = ["-n", "NAME", "--", "COMMAND…"]
    if command.words == ("cancel",) and not own:
        needed = ["JOB"]
    return whole_line([*command.words, *own, *needed])


# options


def _no_such_option(root: Command, command: Command, name: str, rest: list[str]) -> str:
    # Typer tells of -mem-max only the first letter
    whole = shortened(next((word.partition("=")[0] for word in rest if word.startswith(name)), name))
    complaint = f"{' '.join(command.words)} has no option {whole}" if command.words else f"there is no option {whole}"
    corrected = _corrected(command, rest)
    if corrected is not None and corrected != rest:
        return _told(complaint, [*command.words, *corrected], command)
    if not command.words:
        run = _deepest(root, ["run"])
        corrected = _corrected(run, rest)
        if corrected is not None:
            return _told(complaint, [*run.words, *corrected], run)
    return f"{complaint}; type: {whole_line([*command.words, '--help'])}"


def _told(complaint: str, typed: list[str], command: Command) -> str:
    """The complaint with the line to type; of a long one just the options, which stand in front."""
    line = whole_line(typed)
    if len(line) > LONGEST:
        end = next((at for at, word in enumerate(typed) if word == "--"), len(typed))
        line = whole_line([*typed[:end], *(["--", "COMMAND…"] if _launches(command) else [])])
    return f"{complaint}; type: {line if len(line) <= LONGEST else whole_line([*command.words, '--help'])}"


def _launches(command: Command) -> bool:
    return any(value.launches for value, _ in command.arguments)


def _no_such_value(command: Command, error: Any, given: str, choices: tuple[str, ...], rest: list[str]) -> str:  # noqa: ANN401
    name = " / ".join(getattr(error.param, "opts", ())[:1])
    what = name if name.startswith("-") else error.param.human_readable_name
    complaint = f"{what}: {quoted(given)} is none of {', '.join(choices)}"
    corrected = _corrected(command, rest) if name.startswith("-") else _with_value(rest, given, choices)
    if corrected is not None and corrected != rest:
        return _told(complaint, [*command.words, *corrected], command)
    return f"{complaint}; type: {whole_line([*command.words, '--help'])}"


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

    def read(self) -> list[str]:
        """Raises LookupError for an option that nothing of ours is like."""
        groups: list[list[str]] = []
        while self.rest:
            word = self.rest.popleft()
            if word == "--" or (not word.startswith("-") and self.has_command):
                self.has_argument = True
                groups.append(self._command([word, *self.rest], groups))
                self.rest.clear()
            elif not word.startswith("-") or word == "-":
                self.has_argument = True
                groups.append([word])
            else:
                groups.append(list(self._option(word)))
        read = [word for group in self._last_of_each(groups) for word in group]
        return read + ([] if self.has_argument or self.everything else self.needs)

    def _last_of_each(self, groups: list[list[str]]) -> list[list[str]]:
        """The groups without those of an option that is given again behind them, as nothing but the last counts."""
        kept, later = [], set[Option]()
        for group in reversed(groups):
            given = set(self._given(group))
            if not given or given - later:
                kept.append(group)
            later |= {option for option in given if option.value is None or not option.value.repeated}
        return kept[::-1]

    def _given(self, group: list[str]) -> Iterator[Option]:
        """The options of one group: none for a command or an argument, more than one for -fn5."""
        name = "".join(group[:1]).partition("=")[0]
        if name in self.options:
            yield self.options[name]
        elif self._is_short(name):
            for letter in name[1:]:
                if (option := self.options.get(f"-{letter}")) is None:
                    return
                yield option
                if option.value is not None:
                    return

    def _command(self, typed: list[str], before: list[list[str]]) -> list[str]:
        """The command that a job is to run, with the words in front of it that make it start."""
        given = typed[1:] if typed[0] == "--" else typed
        is_for_shell = any("--shell" in option.names for group in before for option in self._given(group))
        if not self.has_command or not given or is_for_shell:
            return typed
        to_type = to_run.words_to_run(given)
        return typed if to_type == ["--", *given] else to_type

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
        yield from self._replaced(name, found, value if equals else None)

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

    def _unit(self, typed: str, ours: str) -> str:
        """The unit of a number alone: to sbatch -t it is minutes, and what is old is so many days old."""
        if ours == "--older-than":
            return "d"
        return "m" if self.has_command and typed in ("-t", "--time") else ""

    def _replaced(self, typed: str, found: str, value: str | None) -> Iterator[str]:
        ours, _, fixed = found.partition(" ")
        if not ours:
            return
        yield ours
        if fixed:
            yield fixed
        elif (option := self.options[ours]).value is not None:
            given = next(self._value(option)) if value is None else value
            given += self._unit(typed, ours) if given.isdecimal() else ""
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
        return _Reader(command, rest).read()
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
        corrected = reader.read()
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
    return f"type: {whole_line([*arguments[:1], *instead, *rest])}"


def _value_in(before: str, word: str, names: tuple[str, ...], given: str, meant: str) -> str:
    """`word`, or `meant` if it is the value `given` of one of the options `names`, behind it or with it."""
    if before in names and word == given:
        return meant
    return next((f"{name}={meant}" for name in names if word == f"{name}={given}"), word)


def about_command(arguments: list[str], complaint: str) -> str | None:
    """What to type for a command that `gravscope run` could not start; None where that cannot be told."""
    options, typed = _split(arguments[1:])
    return to_run.about_command(options, typed, complaint)


def _split(rest: list[str]) -> tuple[list[str], list[str]]:
    """The options behind `run`, and the words of its command."""
    run = _deepest(read(app), ["run"])
    taking = {name for option in run.options if option.value is not None for name in option.names}
    at = 0
    while at < len(rest) and rest[at].startswith("-") and rest[at] not in ("-", "--"):
        at += 2 if rest[at] in taking else 1
    return rest[:at], rest[at + 1 :] if rest[at : at + 1] == ["--"] else rest[at:]
