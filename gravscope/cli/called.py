"""Command lines that are printed to be typed, as they work here.

Everywhere else, in records, in what is told to a webhook and to Python programs, in help and in the man page, the
program is `gravscope`. Here, at the terminal where a line is printed, that name may be on no PATH: then it is what this
program was called as. `gravscope.cli` puts this in where it prints, so whoever words a message writes just `gravscope`.
"""

from __future__ import annotations

import os
import sys

from gravscope.base.spawn import find_tool
from gravscope.cli.fast.table import COMMANDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = "gravscope"
# what tells a command line from a sentence about the program: the word behind its name, and what stands before it
_FIRST_WORDS = {words.partition(" ")[0] for words in COMMANDS} | {"guard", "help", "units"}
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_PLAIN = _LETTERS | frozenset("0123456789@%+=:,./-_")


def as_called(text: str) -> str:
    """`text`, in which every command line of ours can be typed as it stands."""
    before, *others = text.split(f"{NAME} ")
    done = ""
    for rest in others:
        if _begins_a_line(before, rest):
            plain = before.removesuffix("sudo ")
            done += f"{plain}{_spelled() if plain == before else _by_root()} "
        else:
            done += f"{before}{NAME} "
        before = rest
    return done + before


def _begins_a_line(before: str, rest: str) -> bool:
    length = next((at for at, each in enumerate(rest) if each not in _LETTERS and each != "-"), len(rest))
    is_word = rest[:length].strip("-") and (rest.startswith("-") or rest[:length] in _FIRST_WORDS)
    return bool(is_word) and not (before and (before[-1].isalnum() or before[-1] in "_./'\"-"))


def spelling(called: Sequence[str], cwd: str, *, on_path: bool) -> str:
    """How to type this program in `cwd`: by its name if that is `on_path`, which means that PATH has this very program
    under it, and otherwise by the words that it was `called` by: `.venv/bin/gravscope`, `python3 -m gravscope`."""
    first = called[0] if called else ""
    if on_path or not first or (len(called) == 1 and "/" not in first):
        return NAME
    below = first.removeprefix(f"{cwd}/")
    if below != first and cwd.strip("/"):
        first = below if "/" in below else f"./{below}"
    return " ".join(map(_quoted, [first, *called[1:]]))


def _quoted(word: str) -> str:
    """As shlex.quote, which takes a millisecond to load."""
    return word if word and _PLAIN.issuperset(word) else "'" + word.replace("'", "'\"'\"'") + "'"


def called_by(argv: Sequence[str], typed: Sequence[str]) -> list[str]:
    """The words that a program was called by, out of sys.argv and sys.orig_argv: with -m those of Python as well; none
    where it was called by another program, with -c or from an interpreter's prompt."""
    words = [*typed[: len(typed) - len(argv) + 1]] if argv else []
    if argv and argv[0].endswith(f"/{NAME}/__main__.py"):
        return words
    return [argv[0]] if argv and argv[0] not in ("", "-c", "-") else []


def to_type(called: Sequence[str]) -> str:
    """How to type here what can be called by these words."""
    try:
        cwd = os.getcwd()  # noqa: PTH109 (quicker)
    except OSError:  # it is gone
        cwd = ""
    found = find_tool(NAME, os.environ)
    return spelling(called, cwd, on_path=found is not None and _is_ours(found, called))


def _spelled() -> str:
    called = called_by(sys.argv, sys.orig_argv)
    if len(called) == 1 and os.path.basename(os.path.realpath(called[0])) != NAME:  # noqa: PTH119 (quicker)
        called = []  # another program, which calls our main()
    return to_type(called)


def _is_ours(found: str, called: Sequence[str]) -> bool:
    """Whether a program that PATH has is this one: the same file, or a script for the Python that we run in."""
    try:
        if len(called) == 1:
            return os.path.samefile(found, called[0])  # noqa: PTH121 (quicker)
        with open(found, "rb") as file:  # noqa: PTH123 (quicker)
            line = os.fsdecode(file.readline(4096))
    except OSError:
        return False
    return line.startswith("#!/") and os.path.dirname(line[2:].split()[0]) == os.path.dirname(sys.executable)  # noqa: PTH120


def _by_root() -> str:
    """For `sudo`, which has a PATH of its own; root does without."""
    from gravscope.actions.units.package_data import program  # noqa: PLC0415 (for few messages)

    words = " ".join(map(_quoted, program()))
    return words if os.geteuid() == 0 else f"sudo {words}"
