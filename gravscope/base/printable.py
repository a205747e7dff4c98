"""Words of others, shown as text. JSON and terminals cannot hold bytes that are not UTF-8, and a message is short."""

from __future__ import annotations

import os

# characters of a word that a message repeats
LONGEST_WORD = 60


def printable(text: str) -> str:
    """`text` with bytes that are not UTF-8 written as \\xNN. The command itself gets the bytes unchanged."""
    return os.fsencode(text).decode("utf-8", "backslashreplace")


def is_text(text: str) -> bool:
    """True if `printable` does not change anything in `text`."""
    try:
        os.fsencode(text).decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def shortened(word: str) -> str:
    """A word that was given, or the beginning of a long one."""
    return word if len(word) <= LONGEST_WORD else f"{word[:LONGEST_WORD]}…"


def quoted(word: str) -> str:
    """A word that was given, as a message repeats it: in quotes, and short."""
    if not word.isascii() and is_text(word):  # a locale of another encoding has read it byte by byte
        word = printable(word)
    return repr(shortened(word))
