"""A file of variables: lines of NAME=VALUE words, with `export`, quotes and # comments as in a POSIX shell.

Nothing is expanded. `shlex` cannot be used: it cuts `A=x#y` at the #, it keeps the backslash in `"\\$"`, and it does
not know lines. Here a line ends in a newline only, not in the other characters that Unicode counts as line ends.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from gravscope.base.errors import UsageError
from gravscope.base.redact import HIDDEN

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
# A longer text is more likely a token without its name than a name with a mistake.
LONGEST_MISTAKE = 30
# The parts of a word (XCU 2.2, Quoting): escaped, in single quotes, in double quotes, or plain; then the blanks between
# words.
_PIECE = re.compile(
    r"""\\(?P<escaped>.) | '(?P<single>[^']*)' | "(?P<double>[^"\\]*(?:\\.[^"\\]*)*)"
    | (?P<plain>[^ \t\r'"\\]+) | (?P<blank>[ \t\r]+)""",
    re.VERBOSE | re.DOTALL,
)
# The characters that a backslash escapes in double quotes; before any other character it stands for itself.
_ESCAPED_IN_DOUBLE = re.compile(r'\\([$`"\\])')


def read_env_file(path: Path) -> dict[str, str]:
    """The variables in a file; the last value of a name counts. Raises UsageError with file and line."""
    try:
        text = os.fsdecode(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UsageError(f"--env-file: {path}: {getattr(error, 'strerror', error)}") from None
    found = {}
    for number, line in enumerate(text.split("\n"), 1):
        try:
            words = split_words(line)
        except ValueError as error:
            raise UsageError(f"--env-file: {path}:{number}: {error}") from None
        for word in words[1:] if words[:1] == ["export"] else words:
            name, equals, value = word.partition("=")
            if not equals or not VARIABLE.fullmatch(name):
                raise UsageError(f"--env-file: {path}:{number}: {redacted_pair(word)} is not NAME=VALUE")
            found[name] = value
    return found


def redacted_pair(pair: str) -> str:
    """The wrong text as a message may show it. The part after the equals sign may be a secret, and so may all of it."""
    name, equals, _ = pair.partition("=")
    if len(name) > LONGEST_MISTAKE or not (equals or VARIABLE.fullmatch(name)):
        return "what is given"
    return repr(f"{name}={HIDDEN}" if equals else name)


def split_words(line: str) -> list[str]:
    """The words of a line, without quotes. Raises ValueError for an unclosed quote or a backslash at the end."""
    words: list[str] = []
    word: str | None = None
    position = 0
    while position < len(line):
        if word is None and line[position] == "#":
            break
        piece = _PIECE.match(line, position)
        if piece is None:
            raise ValueError("No closing quotation" if line[position] != "\\" else "No escaped character")
        position = piece.end()
        if piece["blank"] is None:
            word = (word or "") + _without_quotes(piece)
        elif word is not None:
            words.append(word)
            word = None
    return words if word is None else [*words, word]


def _without_quotes(piece: re.Match[str]) -> str:
    if piece["double"] is not None:
        return _ESCAPED_IN_DOUBLE.sub(r"\1", piece["double"])
    return piece["escaped"] or piece["single"] or piece["plain"] or ""
