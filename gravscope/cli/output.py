"""What printing has in common: JSON, notes, the width of a line."""

from __future__ import annotations

import os
import sys
from typing import Any, TextIO

import msgspec

from gravscope.records.model import JobRecord
from gravscope.records.store import Store
from gravscope.settings.project import here

WIDTH, HEIGHT = 80, 24
RED, GREEN, YELLOW = 31, 32, 33
# JSON lets these control characters be, of which some are commands to a terminal (ECMA-48, C1)
_CONTROLS = {code: f"\\u{code:04x}" for code in range(0x7F, 0xA0)}


def print_json(value: object) -> None:
    """`value` as JSON, indented, and nothing else."""
    try:
        text = msgspec.json.encode(value)
    except UnicodeEncodeError:  # a file may have a name that is no text
        text = msgspec.json.encode(_as_text(value))
    print(msgspec.json.format(text, indent=2).decode("utf-8").translate(_CONTROLS))


def _as_text(value: Any) -> Any:  # noqa: ANN401 (JSON holds anything)
    """`value` with bytes that are no text as \\xNN."""
    if isinstance(value, str):
        return os.fsencode(value).decode("utf-8", "backslashreplace")
    if isinstance(value, dict):
        return {_as_text(key): _as_text(item) for key, item in value.items()}
    return [_as_text(item) for item in value] if isinstance(value, list) else value


def width() -> int:
    """Columns that a line may have: the terminal's, 80 where there is none."""
    return size()[0]


def size() -> tuple[int, int]:
    """Columns and lines of the terminal, 80 and 24 where there is none."""
    if not sys.stdout.isatty():
        return WIDTH, HEIGHT
    import shutil  # noqa: PLC0415 (2 ms)

    found = shutil.get_terminal_size((WIDTH, HEIGHT))
    return found.columns, found.lines


def columns(text: str) -> int:
    """Columns that `text` takes on a terminal: two for a Japanese character, none for what joins the one before."""
    if text.isascii():
        return len(text)
    from unicodedata import category, east_asian_width  # noqa: PLC0415

    # marks that combine with what is before them, and what is not seen at all, such as what joins emoji
    return sum(0 if category(each) in ("Mn", "Me", "Cf") else 1 + (east_asian_width(each) in "WF") for each in text)


def cut(text: str, size: int, *, front: bool = False) -> str:
    """`text` in exactly `size` columns: filled up with spaces, or with an ellipsis for what is left out of it, at its
    end or at its front."""
    room = columns(text)
    if room > size:
        while text and room >= size:
            dropped, text = (text[0], text[1:]) if front else (text[-1], text[:-1])
            room -= columns(dropped)
        text = f"…{text}" if front else f"{text}…"
        room += 1
    return text + " " * (size - room)


def is_coloured(stream: TextIO) -> bool:
    """True where colours are seen and wanted: on a terminal that has any, and without NO_COLOR (no-color.org)."""
    return has_escapes(stream) and not os.environ.get("NO_COLOR")


def has_escapes(stream: TextIO) -> bool:
    """True for a terminal that knows escape sequences."""
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def coloured(text: str, colour: int | None, *, on: bool) -> str:
    """`text` in one of the colours above, for a terminal that shows its own idea of it (ECMA-48, SGR)."""
    return f"\x1b[{colour}m{text}\x1b[0m" if on and colour is not None else text


def public(record: JobRecord) -> dict[str, Any]:
    """A record for other eyes: what looks like a secret is hidden."""
    from gravscope.records.redacted import redacted  # noqa: PLC0415 (2 ms)

    shown: dict[str, Any] = msgspec.to_builtins(redacted(record))
    return shown


def store_here() -> Store:
    """Its records."""
    return Store(here().jobs_dir)
