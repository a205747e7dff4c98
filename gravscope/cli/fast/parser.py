"""A command line that is plainly right, read without Typer, which takes 40 ms to load.

There is one definition of the command line, the Typer application. `gravscope.cli.fast.table` is made of it
(scripts/build_table.py), and what is read here calls the same function with the same arguments as Typer would; tests
keep both so. Whatever is not plain (help, an error, flags run together such as -ab, a value that begins with a dash) is
left to Typer, which has the last word about it.

Built-in types only, and nothing imported: this stands between a user and every job.
"""

from __future__ import annotations

from gravscope.cli.fast.table import COMMANDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# what an option may be followed by: any text, or the same more than once. A tuple is the words of which it may be one,
# a range the numbers; True and False are the values of a flag
TEXT, TEXTS = "text", "texts"
# how many words an argument takes: just one, at most one, any number, at least one
ONE, OPTIONAL, MANY, SOME = "one", "optional", "many", "some"
# digits of a number, of which Typer takes more
_DIGITS = 9

Kind = str | bool | range | tuple[str, ...]
Arguments = dict[str, object]


class NotPlainError(Exception):
    """Typer is to read it."""


def read(words: list[str]) -> tuple[str, str, Arguments]:
    """The module, the function and the arguments of what `words` call, a command line without its program.

    Raises NotPlainError.
    """
    if not words or words[0] not in COMMANDS:
        raise NotPlainError
    command = COMMANDS[words[0]]
    found: Arguments = {}
    given: list[str] = []
    rest = iter(words[1:])
    for word in rest:
        if word == "--":
            given += rest
        elif word[:1] == "-" and word != "-":
            _take(command["options"], word, rest, found)
        else:
            given.append(word)
            if not command["interspersed"]:
                given += rest
    _place(command["arguments"], given, found)
    module, _, function = command["calls"].partition(":")
    return module, function, found


def _take(options: dict[str, tuple[str, Kind]], word: str, rest: Iterator[str], found: Arguments) -> None:
    """One option, and its value if it has one."""
    name, equals, value = word.partition("=") if word[:2] == "--" else (word, "", "")
    if name not in options:
        raise NotPlainError
    parameter, kind = options[name]
    if isinstance(kind, bool):
        if equals:
            raise NotPlainError
        found[parameter] = kind
        return
    if not equals:
        value = next(rest, "-")
        if value[:1] == "-":
            raise NotPlainError
    if kind == TEXTS:
        before = found.get(parameter)
        found[parameter] = [*before, value] if isinstance(before, list) else [value]
    else:
        found[parameter] = _checked(value, kind)


def _checked(value: str, kind: Kind) -> object:
    if kind == TEXT:
        return value
    if isinstance(kind, tuple) and value in kind:
        return value
    is_number = value.isascii() and value.isdigit() and len(value) <= _DIGITS
    if isinstance(kind, range) and is_number and int(value) in kind:
        return int(value)
    raise NotPlainError


def _place(arguments: dict[str, str], given: list[str], found: Arguments) -> None:
    """The words that are no options: of a command that has arguments, which is at most one."""
    if not arguments:
        if given:
            raise NotPlainError
        return
    ((name, number),) = arguments.items()
    least = number in {ONE, SOME}
    most = number in {MANY, SOME}
    if len(given) < least or (len(given) > 1 and not most):
        raise NotPlainError
    if given:
        found[name] = given if most else given[0]
