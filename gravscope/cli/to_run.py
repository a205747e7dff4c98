"""How to type a command that a job is to run, where it would not start as it stands.

A line that only a shell understands is run with -c. A file is started by its path, or by the interpreter for it. Loaded
only once something has gone wrong.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Sequence
from contextlib import suppress
from itertools import takewhile

from gravscope.base import words
from gravscope.cli.called import NAME

# how alike a program's name has to be to one that is not there: of thousands, some are always a little like it
SURE = 0.82

# what only a shell understands: operators, expansions, and words that are no programs
_OF_A_SHELL = re.compile(r"[|&;<>()$`*?{}~\s]")
_BUILTINS = frozenset({"cd", "source", ".", "export", "alias", "set", "ulimit", "eval", "if", "for", "while", "exec"})
_INTERPRETERS = {".py": "python3", ".sh": "bash", ".R": "Rscript", ".jl": "julia", ".pl": "perl"}
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=", re.ASCII)
# bytes at the beginning of a file that tell how it is started
_BEGINNING = 256
_ELF = b"\x7fELF"


def whole_line(typed: Sequence[str]) -> str:
    """A whole line to type, for a shell; placeholders in capitals are left as they are."""
    return " ".join([NAME, *(word if word == "COMMAND…" else shlex.quote(word) for word in typed)])


def could_be_run(typed: Sequence[str]) -> bool:
    """True for what a job can run: a program, a file that is there, or a line for a shell."""
    first = typed[0].strip()
    return _OF_A_SHELL.search(first) is not None or shutil.which(first) is not None or os.path.isfile(first)  # noqa: PTH113


def is_file_to_run(word: str) -> bool:
    """True for a file that can only be meant as a command: a path, or a script of this folder."""
    by_its_name = "/" in word or os.path.splitext(word)[1] in _INTERPRETERS  # noqa: PTH122
    return by_its_name and os.path.isfile(word)  # noqa: PTH113 (Path.is_file raises for a name that is too long)


def words_to_run(typed: Sequence[str], folder: str = "") -> list[str]:
    """How the command `typed` is to be given to `gravscope run`: what would not start as it stands, such that it does.
    `folder` is where the job is to run, if not here."""
    first, *rest = typed
    if _VARIABLE.match(first) and rest and not _OF_A_SHELL.search(first):
        variables = list(takewhile(_VARIABLE.match, typed))
        return [part for word in variables for part in ("-e", word)] + ["--", *typed[len(variables) :]]
    path = os.path.join(folder, first)  # noqa: PTH118
    if "/" not in first and shutil.which(first):
        return ["--", *typed]
    if os.path.isfile(path):  # noqa: PTH113 (Path.is_file raises for a name that is too long)
        return ["--", *(_by_its_file(first, path) or [first]), *rest]
    if not _OF_A_SHELL.search(first) and first not in _BUILTINS:
        meant = None if "/" in first else words.nearest(first, _programs(), SURE)
        return ["--", meant or first, *rest]
    whole = " ".join([first, *([shlex.join(rest)] if rest else [])])
    return ["-c", *(["--"] if whole.startswith("-") else []), whole]


def about_command(options: Sequence[str], typed: Sequence[str], complaint: str) -> str | None:
    """What to type for a command that `gravscope run` could not start; None where nothing is known to be better, or the
    complaint is about another file."""
    if not typed or typed[0] not in complaint:
        return None
    folder = _folder_of(options)
    path = os.path.join(folder, typed[0])  # noqa: PTH118
    if os.path.isdir(path):  # noqa: PTH112
        return f"it is a folder, and a job runs a command; type: {whole_line(['run', '--cwd', path, '--', 'COMMAND…'])}"
    given = words_to_run(typed, folder)
    if given == ["--", *typed]:
        return f"to make it a program, type: chmod +x {shlex.quote(path)}" if _lacks_permission(path) else None
    if given[0] == "--":
        return f"type: {whole_line(['run', *options, *given])}"
    why = "a line for a shell is run with -c" if given[0] == "-c" else "variables of a job are set with -e"
    return f"{why}; type: {whole_line(['run', *options, *given])}"


def _by_its_file(name: str, path: str) -> list[str] | None:
    """How to start a file that is there: by its path, for the PATH does not have its folder, or by its interpreter.
    None where nothing is known to be better than `name`."""
    beginning = _beginning(path)
    named = _named_interpreter(beginning)
    executable = os.access(path, os.X_OK)
    if executable and (named or beginning.startswith(_ELF)):
        return None if "/" in name else [f"./{name}"]
    if named:
        return [*named, name]
    if (known := _INTERPRETERS.get(os.path.splitext(name)[1])) is not None:  # noqa: PTH122
        return [known, name]
    # a shell runs other text that may be executed as a script of its own
    return ["bash", name] if executable and beginning and b"\0" not in beginning else None


def _named_interpreter(beginning: bytes) -> list[str] | None:
    """The interpreter in the first line of a script, with its options; None where it names none that is there."""
    first_line = os.fsdecode(beginning.partition(b"\n")[0])
    given = first_line[2:].split() if first_line.startswith("#!") else []
    if given and os.path.basename(given[0]) == "env" and given[1:2] != ["-S"]:  # noqa: PTH119
        given = given[1:]
    return given if given and shutil.which(given[0]) else None


def _beginning(path: str) -> bytes:
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return file.read(_BEGINNING)
    except OSError:
        return b""


def _lacks_permission(path: str) -> bool:
    """True for a program of ours that nobody may start yet."""
    return _beginning(path).startswith(_ELF) and not os.access(path, os.X_OK)


def _folder_of(options: Sequence[str]) -> str:
    """The folder that `--cwd` names, if it is among the options."""
    for at, word in enumerate(options):
        if word == "--cwd":
            return "".join(options[at + 1 : at + 2])
        if word.startswith("--cwd="):
            return word.removeprefix("--cwd=")
    return ""


def _programs() -> set[str]:
    """The names of all programs on the PATH."""
    found: set[str] = set()
    for folder in filter(None, os.environ.get("PATH", os.defpath).split(":")):
        with suppress(OSError):
            found.update(os.listdir(folder))  # noqa: PTH208 (thousands of names)
    return found
