"""Bytes that are not UTF-8, shown as text: JSON and terminals can only hold text."""

from __future__ import annotations

import os


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
