"""The unit files: from template to what stands on this machine, and whose doing it is that they differ. Pure.

An installed file begins with a line that holds a checksum of the rest. So it can be told, without any other memory,
whether somebody changed it since: such a file is theirs, and neither replaced nor removed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Literal

from gravscope.base.errors import UnsupportedError

State = Literal["installed", "outdated", "changed", "missing"]

_MARK = "# Installed by `gravscope units install`; sha256 of what follows: "
# systemd refuses these in the path of a program (string_is_safe), however they are quoted
_UNFIT = re.compile(r"[\x00-\x1f\x7f\"'\\]")


def rendered(template: str, program: Sequence[str]) -> str:
    """A unit file ready to be installed, with `program` (absolute path, and words that follow it) filled in."""
    words = [quoted_program(program[0]), *map(quoted_word, program[1:])]
    text = template.replace("@PROGRAM_PATH@", escaped_path(program[0])).replace("@PROGRAM_WORDS@", " ".join(words))
    return f"{_MARK}{_checksum(text)}\n{text}"


def state_of(found: str | None, wanted: str) -> State:
    """How an installed file stands: as we would write it, as we once wrote it, changed by somebody, or missing."""
    if found is None:
        return "missing"
    if found == wanted:
        return "installed"
    mark, _, rest = found.partition("\n")
    return "outdated" if mark == f"{_MARK}{_checksum(rest)}" else "changed"


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def escaped_path(path: str) -> str:
    """A path as a whole setting, as in ConditionFileIsExecutable=, where % begins a specifier (systemd.unit(5))."""
    if _UNFIT.search(path):
        raise UnsupportedError(
            f"{path!r}: systemd starts no program with quotes, backslashes or control characters in its path",
            "install gravscope elsewhere",
        )
    return path.replace("%", "%%")


def quoted_program(path: str) -> str:
    """The first word of ExecStart=: in quotes for its spaces; variables are not expanded in it (systemd.service(5))."""
    return f'"{escaped_path(path)}"'


def quoted_word(word: str) -> str:
    """Any further word of ExecStart=, where variables are expanded too."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return '"' + escaped.replace("\n", "\\n").replace("\t", "\\t") + '"'
