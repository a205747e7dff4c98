"""What Python programs give as arguments: checked for its type, and as the command line would pass it. Pure."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from gravscope.base.errors import UsageError
from gravscope.base.quantity import INFINITY

Word = TypeVar("Word", bound=str)

# What each annotation of an option takes: the types, their name, and what to write.
KINDS: dict[str, tuple[tuple[type, ...], str, str]] = {
    "str": ((str,), "a string", 'write it as "fit"'),
    "bool": ((bool,), "True or False", "write one of them"),
    "StrPath": ((str, os.PathLike), "a path", 'write it as "data" or Path("data")'),
    "Job": ((str, os.PathLike), "a job", "give its id, its name, or the path of its record"),
    "Duration": ((str, int, float), "a duration", 'give seconds, or a string such as "90m"'),
    "Mapping[str, str]": ((Mapping,), "a dict", 'write it as {"NAME": "value"}'),
}
_COMMAND = 'give a list of words, such as ["python", "fit.py"]'
_LONGEST = 40


def check(value: object, annotation: str, name: str) -> None:
    """Raises UsageError for a value that is not what its annotation says. One that `KINDS` lacks is not checked."""
    kind, _, optional = annotation.partition(" | ")
    if kind not in KINDS or (value is None and optional == "None"):
        return
    types, what, hint = KINDS[kind]
    # in Python, True is a number
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        raise UsageError(f"{name}: {shown(value)} is not {what}", hint)
    if isinstance(value, os.PathLike) and not isinstance(os.fspath(value), str):
        raise UsageError(f"{name}: {shown(os.fspath(value))} is not {what}", hint)


def check_count(value: object, name: str) -> None:
    """Raises UsageError for what is no number of things, such as one below zero."""
    if value is None or (hasattr(value, "__index__") and not isinstance(value, bool) and int(value) >= 0):
        return
    raise UsageError(f"{name}: {shown(value)} is not a number of {name}", "give an integer such as 20")


def shown(value: object) -> str:
    """A value in a message: a plain one as it is written, of others only the type, for they may be long or secret."""
    if value is None or isinstance(value, str | int | float):
        text = repr(value)
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def words_of(command: object, *, shell: bool) -> list[str]:
    """The words of a command. Raises UsageError unless it is a list of words, or one string for a shell."""
    if isinstance(command, str):
        if not shell:
            raise UsageError(f"command: {command!r} is one string", "give a list of words, or shell=True")
        return [command]
    if not isinstance(command, Iterable) or isinstance(command, Mapping | bytes | bytearray | set):
        raise UsageError(f"command: {shown(command)} is not a list of words", _COMMAND)
    words = []
    for word in command:
        text = os.fspath(word) if isinstance(word, os.PathLike) else word
        if not isinstance(text, str):
            hint = f'write it as "{word}"' if isinstance(word, int | float) else "each word is a string or a path"
            raise UsageError(f"command: {shown(word)} is not a word", hint)
        words.append(text)
    if not words or not words[0]:
        raise UsageError("command: there is none", _COMMAND)
    return words


def pairs_of(env: Mapping[str, str]) -> list[str]:
    """NAME=VALUE of each variable. Raises UsageError for what is no name, and for a value that is no string."""
    for name, value in env.items():
        if not isinstance(name, str) or "=" in name:
            raise UsageError(f"env: {shown(name)} is no name of a variable", KINDS["Mapping[str, str]"][2])
        if not isinstance(value, str):
            hint = f'write it as {{"{name}": "{value}"}}' if isinstance(value, int | float) else None
            raise UsageError(f"env: the value of {name!r} is {shown(value)}, and not a string", hint)
    return [f"{name}={value}" for name, value in env.items()]


def one_of(word: Word | None, words: Sequence[str], name: str) -> Word | None:
    """`word`, which must be one of `words`, or None."""
    if word is not None and word not in words:
        raise UsageError(f"{name}: {shown(word)} is none of {', '.join(words)}")
    return word


def duration_text(duration: float | str | None, name: str) -> str | None:
    """A duration as the command line would pass it."""
    check(duration, "Duration | None", name)
    if duration is None or isinstance(duration, str):
        return duration
    if math.isnan(duration):
        raise UsageError(f"{name}: nan is not a duration", KINDS["Duration"][2])
    return INFINITY if duration == math.inf else f"{duration:f}"
