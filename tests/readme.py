"""`python -m tests.readme --write`: has the guest run the README's tour, and puts what it prints into both READMEs.

What a page shows below an `sh` block, in a `text` block, is what that prints at a terminal. It is compared without what
differs from run to run (`newcomer.mask`), and without what differs between a machine with a user manager and one
without (the table in docs/limits.md, which says so to readers as well).
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from tests.newcomer.mask import Mask
from tests.support import PATIENCE, REPOSITORY

READMES = (REPOSITORY / "README.md", REPOSITORY / "README.ja.md")
VARIANTS = REPOSITORY / "docs" / "limits.md"
CASE = "tests/guest/cases/test_readme.py"
# under which that test hands what was printed to whoever writes it
PROPERTY = "README's output"
# where the reader is said to be
FOLDER = "/home/me/fits"
COLUMNS, LINES = 110, 40

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# between what two blocks print; no command here prints it
_BETWEEN = "\x1e"
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07")
# a word in the table of variants that stands for anything
_ANYTHING = re.compile(r"\b(?!SIG)[A-Z]{4,}\b")


@dataclass(frozen=True)
class Block:
    """A block to paste, and what the page says that it prints; None where it says nothing."""

    script: str
    shown: str | None


def tour(text: str) -> list[Block]:
    """The `sh` blocks of a page, each with the `text` block that follows it."""
    fences = [*_FENCE.findall(text), ("", "")]
    following = pairwise(fences)
    return [Block(now, then if info == "text" else None) for (kind, now), (info, then) in following if kind == "sh"]


def with_outputs(text: str, outputs: Sequence[str]) -> str:
    """The page with these outputs in place of those that it shows."""
    left = iter(zip(tour(text), outputs, strict=True))
    kind = ""
    shown: str | None = None

    def replaced(found: re.Match[str]) -> str:
        nonlocal kind, shown
        before, kind = kind, found[1]
        if kind == "sh":
            shown = next(left)[1]
        return f"```text\n{shown}```" if (before, kind) == ("sh", "text") else found[0]

    return _FENCE.sub(replaced, text)


# at a terminal


def printed_by(scripts: Sequence[str], environ: Mapping[str, str], folder: Path) -> list[str]:
    """What each of these prints, pasted one after the other into one bash at a terminal. All of them go well."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    line = "".join(f"{script}\nprintf '\\036'\n" for script in scripts)
    environ = {**environ, "NO_COLOR": "1", "TERM": "xterm", "LC_ALL": "C.UTF-8", "PWD": str(folder)}
    for name in ("COLUMNS", "LINES"):
        environ.pop(name, None)
    shell = subprocess.Popen(
        ["bash", "-c", f"set -e\n{line}"],
        stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, env=environ, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    text = _all_of(ours)
    status = shell.wait(PATIENCE)
    assert status == 0, f"exit status {status}\n{text}"
    return text.split(_BETWEEN)[:-1]


def _all_of(terminal: int) -> str:
    """Everything that comes until nobody has the terminal any more, as it would stand in a file."""
    parts = []
    try:
        while part := os.read(terminal, 65536):
            parts.append(part)
    except OSError:  # the last one has gone
        pass
    finally:
        os.close(terminal)
    return _CONTROL.sub("", b"".join(parts).decode()).replace("\r\n", "\n")


# comparing


def variants() -> list[tuple[str, str]]:
    """Lines as they are with a user manager, and without; an empty one stands for a line that is not there."""
    rows = re.findall(r"^\| (-|`[^`]+`) \| (-|`[^`]+`) \|$", VARIANTS.read_text(), re.MULTILINE)
    return [(one.strip("`").removeprefix("-"), other.strip("`").removeprefix("-")) for one, other in rows]


def _pattern(text: str) -> str:
    """The expression for a line of that table: a word of capitals is anything, at the end as much as there is."""
    pattern, at = "", 0
    for found in _ANYTHING.finditer(text):
        greedy = "" if found.end() == len(text) else "?"
        pattern += f"{re.escape(text[at : found.start()])}(?P<{found[0]}>.+{greedy})"
        at = found.end()
    return pattern + re.escape(text[at:])


def _managed(line: str, managed: str, alone: str) -> str | None:
    """The line as it is with a user manager, as far as that can be known without one; None if it is not there."""
    if not managed or not alone:
        return None if re.fullmatch(rf"\s*{_pattern(managed or alone)}", line) else line
    common = {*_ANYTHING.findall(managed)} & {*_ANYTHING.findall(alone)}
    for pattern in (alone, managed):
        if found := re.search(_pattern(pattern), line):
            known = {name: value for name, value in found.groupdict().items() if name in common}
            words = _ANYTHING.sub(lambda name: known.get(name[0], name[0]), managed)  # noqa: B023 (called at once)
            return line[: found.start()] + words + line[found.end() :]
    return line


def same_everywhere(text: str) -> str:
    """The text as on a machine with a user manager; what cannot be known without one stays a word of capitals."""
    lines: list[str] = text.splitlines()
    for managed, alone in variants():
        lines = [found for line in lines if (found := _managed(line, managed, alone)) is not None]
    return "\n".join(lines) + "\n"


def masked(outputs: Sequence[str], folder: Path | str = FOLDER) -> list[str]:
    """Outputs of one tour, without what differs from run to run and from machine to machine."""
    mask = Mask({str(folder): FOLDER})
    return [mask(same_everywhere(output)) for output in outputs]


def play(environ: Mapping[str, str], beside: Path) -> tuple[list[Block], list[str]]:
    """The tour of the README, and what it prints, as it would stand there. Its folder is made in `beside`."""
    blocks = tour(READMES[0].read_text())
    outputs = printed_by([block.script for block in blocks], {**environ, "TMPDIR": str(beside)}, beside)
    (folder,) = beside.iterdir()
    return blocks, [output.replace(str(folder), FOLDER) for output in outputs]


# writing


class Taker:
    """Takes what the guest printed from its test's report."""

    outputs: Sequence[str] = ()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Takes what a report brings."""
        for what, value in report.user_properties:
            if what == PROPERTY and isinstance(value, list):
                self.outputs = value


def main() -> int:
    """The command. Its exit status is 1 where the tour could not be played."""
    parser = argparse.ArgumentParser(prog="python -m tests.readme", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write it; without this, only print it")
    write = parser.parse_args().write
    taker = Taker()
    pytest.main(["-q", "--no-header", "--tb=short", str(REPOSITORY / CASE)], [taker])
    if not taker.outputs:
        print("the tour could not be played in the guest; nothing was written", file=sys.stderr)
        return 1
    for block, output in zip(tour(READMES[0].read_text()), taker.outputs, strict=True):
        print(f"{block.script}---\n{output}")
    for path in READMES if write else ():
        path.write_text(with_outputs(path.read_text(), taker.outputs))
    return 0


if __name__ == "__main__":
    sys.exit(main())
