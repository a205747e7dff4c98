"""Bytes that are no text, as text: JSON and a terminal hold only text."""

from __future__ import annotations

import os


def printable(text: str) -> str:
    """`text` with bytes that are no UTF-8 as \\xNN: JSON holds only text. The command itself gets them as they are."""
    return os.fsencode(text).decode("utf-8", "backslashreplace")


def is_text(text: str) -> bool:
    """True where `printable` leaves every byte as it is."""
    try:
        os.fsencode(text).decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
