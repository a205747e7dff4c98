"""The unit files: makes them from templates, and tells whether an installed file was changed. Pure.

The first line of an installed file has a checksum of the rest. So a change by somebody else is noticed without any
other data. Such a file belongs to whoever changed it, and is neither replaced nor removed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Literal

from gravscope.base.errors import UnsupportedError

State = Literal["installed", "outdated", "changed", "missing"]

_MARK = "# Installed by `gravscope units install`; sha256 of what follows: "
# systemd refuses these in the path of a program (string_is_safe), even in quotes.
_UNFIT = re.compile(r"[\x00-\x1f\x7f\"'\\]")


def rendered(template: str, program: Sequence[str]) -> str:
    """A unit file ready to be installed, with `program` (an absolute path and further words) filled in."""
    words = [quoted_program(program[0]), *map(quoted_word, program[1:])]
    text = template.replace("@PROGRAM_PATH@", escaped_path(program[0])).replace("@PROGRAM_WORDS@", " ".join(words))
    return f"{_MARK}{_checksum(text)}\n{text}"


def state_of(found: str | None, wanted: str) -> State:
    """The state of an installed file: up to date, written by an earlier gravscope, changed by somebody, or missing."""
    if found is None:
        return "missing"
    if found == wanted:
        return "installed"
    mark, _, rest = found.partition("\n")
    return "outdated" if mark == f"{_MARK}{_checksum(rest)}" else "changed"


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def escaped_path(path: str) -> str:
    """A path as a complete setting, as in ConditionFileIsExecutable=, where % begins a specifier (systemd.unit(5))."""
    if _UNFIT.search(path):
        raise UnsupportedError(
            f"{path!r}: systemd starts no program with quotes, backslashes or control characters in its path",
            "install gravscope elsewhere",
        )
    return path.replace("%", "%%")


def quoted_program(path: str) -> str:
    """The first word of ExecStart=, in quotes because of spaces; variables are not expanded in it
    (systemd.service(5))."""
    return f'"{escaped_path(path)}"'


def quoted_word(word: str) -> str:
    """Any further word of ExecStart=, in which variables are expanded."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return '"' + escaped.replace("\n", "\\n").replace("\t", "\\t") + '"'
