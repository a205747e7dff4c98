"""TOML files, and the line numbers of their values, which `tomllib` does not give.

`tomllib` is imported only if there is a file to read: most folders have none, and the import costs some milliseconds.
"""

from __future__ import annotations

import re
from pathlib import Path

from gravscope.base.errors import UsageError
from gravscope.settings.known import SWITCHES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_ASSIGNMENT = re.compile(r"\s*([^\s#=\[][^#=]*)=")
_AT_LINE = re.compile(r"\(at line (\d+), column \d+\)", re.ASCII)
# what stands as the value of a key without quotes, or behind a colon
_UNQUOTED = re.compile(r"""\s*(?P<key>[A-Za-z0-9_."-]+)\s*[=:]\s*(?P<value>[^\s"'\[{#][^"'#]*?)\s*(?:#.*)?""")
_HARMLESS = re.compile(r"(?:~/|/)?[A-Za-z0-9%.:_-]{1,16}", re.ASCII)
_BARE = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_ESCAPED = re.compile(r'(["\\])')


def read_toml(path: Path) -> dict[str, Any]:
    """The contents of the file. Raises UsageError with the file, and with the line if it is not valid TOML."""
    import tomllib  # noqa: PLC0415

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    # ValueError includes int() of a number with thousands of digits; RecursionError is raised for very deep nesting.
    except (OSError, ValueError, RecursionError) as error:
        raise _not_quoted(path, str(error)) or UsageError(f"{path}: {error}", "mend the file") from None


def _not_quoted(path: Path, complaint: str) -> UsageError | None:
    """The error for a line that is TOML once its value has quotes (mem_max = 8G) or is lower case (memsafe = True)."""
    import tomllib  # noqa: PLC0415

    from gravscope.base.redact import is_secret_name  # noqa: PLC0415 (3 ms)

    number = _AT_LINE.search(complaint)
    if number is None:
        return None
    try:
        line = path.read_text(encoding="utf-8").split("\n")[int(number[1]) - 1]
    except (OSError, ValueError, IndexError):
        return None
    found = _UNQUOTED.fullmatch(line)
    if found is None:
        return None
    key, value = found["key"], found["value"]
    switch = SWITCHES.get(value.lower())
    better = f'{key} = "{value}"' if switch is None else f"{key} = {str(switch).lower()}"
    try:
        tomllib.loads(better)
    except (ValueError, RecursionError):
        return None
    # an address may be a secret, and so may the value of a variable
    is_harmless = _HARMLESS.fullmatch(value) is not None and not is_secret_name(key)
    hint = f"write {better}" if is_harmless else "write it in quotes"
    return UsageError(f"{path}:{number[1]}: the value of {key} is not TOML", hint)


def dotted(keys: Sequence[str]) -> str:
    """`keys` as written in TOML: jobs.fit, jobs."rep6_*"."""
    return ".".join(key if _BARE.fullmatch(key) else '"' + _ESCAPED.sub(r"\\\1", key) + '"' for key in keys)


def location(path: Path, keys: Sequence[str]) -> str:
    """FILE:LINE of the value under `keys`; only FILE if the line is not known."""
    try:
        number = line_of(path.read_text(encoding="utf-8"), keys)
    except (OSError, ValueError):
        number = None
    return str(path) if number is None else f"{path}:{number}"


def line_of(text: str, keys: Sequence[str]) -> int | None:
    """The number of the line that sets `keys`; else the first line below them; else the line of their table.

    None if two lines seem to set the same keys: then one of them is part of a string of several lines.
    """
    wanted, lines = tuple(keys), _lines(text)
    below = [numbers[0] for path, numbers in lines.items() if path[: len(wanted)] == wanted]
    if below and wanted not in lines:
        return min(below)
    for length in range(len(wanted), 0, -1):
        if numbers := lines.get(wanted[:length]):
            return numbers[0] if len(numbers) == 1 else None
    return None


def _lines(text: str) -> dict[tuple[str, ...], list[int]]:
    """The numbers of the lines that begin a table or set a value, by their keys."""
    found: dict[tuple[str, ...], list[int]] = {}
    header: tuple[str, ...] = ()
    for number, line in enumerate(text.split("\n"), 1):
        assignment = _ASSIGNMENT.match(line)
        if line.lstrip().startswith("[") and (keys := _keys(line)):
            header = keys
            found.setdefault(header, []).append(number)
        elif assignment and (keys := _keys(f"{assignment[1]}= 0")):
            found.setdefault(header + keys, []).append(number)
    return found


def _keys(line: str) -> tuple[str, ...]:
    """The keys of a line that is valid TOML by itself (the header of a table, or an assignment); else none."""
    import tomllib  # noqa: PLC0415

    try:
        inside: object = tomllib.loads(line)
    except (ValueError, RecursionError):
        return ()
    keys = []
    while isinstance(inside, dict) and len(inside) == 1:
        ((key, inside),) = inside.items()
        keys.append(key)
    return tuple(keys)
