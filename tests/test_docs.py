"""What the documents say is so: commands, options, fields, targets, links. (That their commands run: `test_readme`.)"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import NoneType
from typing import get_args, get_origin, get_type_hints

import pytest

from gravscope.base import errors
from gravscope.guard import MESSAGE
from gravscope.records import model, parts, types
from tests.support import REPOSITORY

READMES = [REPOSITORY / "README.md", REPOSITORY / "README.ja.md"]
JAPANESE = [READMES[1], *sorted((REPOSITORY / "docs").glob("*.ja.md"))]
# the pages that there are in both languages, English first
TWINS = [(path.with_name(path.name.replace(".ja.md", ".md")), path) for path in JAPANESE]
BOTH = [path for twins in TWINS for path in twins]
DOCS = [*READMES, REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
RECORD = REPOSITORY / "docs" / "record.md"
MAKE = REPOSITORY / "docs" / "make.md"
SCHEMA = REPOSITORY / "docs" / "record.schema.json"

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"(?:^|[\s/$(])gravscope ([a-z][a-z-]*)([^\n]*)", re.MULTILINE)
_OPTION = re.compile(r"--?[A-Za-z][\w-]*")


# reading the documents


def blocks(path: Path) -> list[tuple[str, str]]:
    """Info string and text of every fenced block."""
    return _FENCE.findall(path.read_text())


def prose(path: Path) -> str:
    """The document without its fenced blocks."""
    return _FENCE.sub("", path.read_text())


def inline(path: Path) -> list[str]:
    """Every piece of inline code."""
    return re.findall(r"`([^`\n]+)`", prose(path))


def tables(path: Path, head: str) -> list[list[str]]:
    """The rows of every table whose first column is headed `head`, cell by cell."""
    found: list[list[str]] = []
    wanted = False
    for line in prose(path).splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if not cells or set(cells[0]) == {"-"}:
            wanted = wanted and bool(cells)
        elif cells[0] == head:
            wanted = True
        elif wanted:
            found.append(cells)
    return found


def first_cells(path: Path, head: str) -> list[str]:
    """The names in the first column of those tables, without their backticks."""
    return [row[0].strip("`") for row in tables(path, head)]


def links_in(path: Path) -> list[str]:
    """Every relative link of a page, in order."""
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", prose(path)) if "://" not in link]


def commands_in(path: Path) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Every gravscope command line in the document: its subcommand, and its options up to a `--`."""
    code = [text for info, text in blocks(path) if info in {"sh", "console", "text", "make", "crontab"}]
    # what gravscope says is no command line, whatever words are in it
    code += [text for text in inline(path) if not text.startswith("gravscope: ")]
    for name, rest in _COMMAND.findall("\n".join(code)):
        words = re.split(r" -- |[|;&)]", rest)[0].split()
        group = (name, words[0]) if words and listed(name) else (name,)
        yield group, [option for word in words if (option := word.split("=")[0]) and _OPTION.fullmatch(option)]


# asking the program


@cache
def help_of(*words: str) -> str:
    """What `gravscope WORDS… --help` prints."""
    argv = [sys.executable, "-m", "gravscope", *words, "--help"]
    environ = {**os.environ, "PYTHONPATH": str(REPOSITORY), "COLUMNS": "200"}
    return subprocess.run(argv, env=environ, capture_output=True, text=True, check=False).stdout


def listed(*words: str) -> list[str]:
    """The subcommands that this help lists."""
    _, _, sections = help_of(*words).partition("--help")
    return re.findall(r"^  ([a-z][a-z-]*)  +[A-Z]", sections, re.MULTILINE)


@cache
def subcommands() -> dict[tuple[str, ...], set[str]]:
    """Every subcommand with its options."""
    groups = [(name,) for name in listed()]
    leaves = [(*group, name) for group in groups for name in listed(*group)] + [g for g in groups if not listed(*g)]
    options = re.compile(r"^ +(?:(-\w), )?(--[a-z][\w-]*)(?: / (--[a-z][\w-]*))?", re.MULTILINE)
    return {
        leaf: {"--help", "-h"} | {word for pair in options.findall(help_of(*leaf)) for word in pair} for leaf in leaves
    }


# what a page has to have


def exit_statuses(path: Path) -> set[str]:
    """Those that the page explains."""
    return set(re.findall(r"^\| (\d+) \|", path.read_text(), re.MULTILINE))


@pytest.mark.parametrize("name", ["exit-status.md", "exit-status.ja.md"])
def test_every_exit_status_is_documented(name: str) -> None:
    """Each exit status that an error stands for is in the table."""
    kinds: list[type[errors.GravscopeError]] = [errors.GravscopeError, *errors.GravscopeError.__subclasses__()]
    assert {str(kind.exit_code) for kind in kinds} <= exit_statuses(REPOSITORY / "docs" / name)


@pytest.mark.parametrize("name", ["recipes.md", "recipes.ja.md"])
def test_recipes_quote_the_guard(name: str) -> None:
    """The guard's message is quoted as it really is."""
    assert f"「{MESSAGE}」" in (REPOSITORY / "docs" / name).read_text()


# commands and options


@pytest.mark.slow
@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_commands_in_the_docs_exist(path: Path) -> None:
    """Every gravscope command line in the documents names a subcommand and options that the program has."""
    known = subcommands()
    for command, options in commands_in(path):
        assert command in known, f"gravscope {' '.join(command)}"
        assert set(options) <= known[command], f"gravscope {' '.join([*command, *options])}"


@pytest.mark.parametrize("path", BOTH, ids=lambda path: path.name)
def test_options_in_both_languages_exist(path: Path) -> None:
    """Every long option that stands alone in such a page is one of gravscope's; `--` alone ends the options."""
    known = set().union(*subcommands().values()) | {"--"}
    assert {words.split()[0] for words in inline(path) if words.startswith("--")} <= known


@pytest.mark.parametrize("path", READMES, ids=lambda path: path.name)
def test_every_subcommand_is_in_the_readmes(path: Path) -> None:
    """Both READMEs mention every subcommand."""
    missing = [leaf for leaf in subcommands() if f"`gravscope {' '.join(leaf)}`" not in path.read_text()]
    assert missing == []


def test_every_subcommand_has_json() -> None:
    """As the READMEs say, every subcommand has --json."""
    assert [leaf for leaf, options in subcommands().items() if "--json" not in options] == []


# the record


def record_fields() -> dict[str, bool]:
    """Every field of a record as docs/record.md writes it, and whether it may be null."""
    kinds: dict[str, type] = {
        "": model.JobRecord,
        "limits.": parts.Limits,
        "limit_changes[].": parts.LimitChange,
        "cancel.": parts.Cancel,
        "cancel.steps[].": parts.CancelStep,
        "notified[].": parts.Notified,
    }
    return {
        prefix + name: NoneType in get_args(hint)
        for prefix, kind in kinds.items()
        for name, hint in get_type_hints(kind).items()
        if name in getattr(kind, "__struct_fields__", kind.__annotations__)
    }


def test_every_field_of_the_record_is_documented() -> None:
    """docs/record.md has a row for each field of a record and of what is inside it, and no other."""
    assert sorted(first_cells(RECORD, "field")) == sorted(record_fields())


def test_no_part_of_the_record_is_forgotten() -> None:
    """Every type that a record is made of is among those whose fields are looked at."""
    known = {"JobRecord", "Limits", "LimitChange", "Cancel", "CancelStep", "Notified"}
    assert set(model.record_schema()["$defs"]) == known


def test_documented_nulls_are_right() -> None:
    """docs/record.md says "never" in the last column for exactly the fields that cannot be null."""
    said = {row[0].strip("`"): row[-1] != "never" for row in tables(RECORD, "field")}
    assert said == record_fields()


def test_every_state_is_documented() -> None:
    """docs/record.md has a row for each state, and no other."""
    states = [*get_args(types.LiveState), *get_args(types.EndState)]
    assert first_cells(RECORD, "state") == states


def test_documented_choices_are_right() -> None:
    """Every fixed word that a field of the record may hold is in that field's row."""
    rows = {row[0].strip("`"): row[3] for row in tables(RECORD, "field")}
    for name, hint in get_type_hints(model.JobRecord).items():
        for part in (hint, *get_args(hint)):
            if get_origin(part) is not None and name != "state":
                words = [word for word in get_args(part) if isinstance(word, str)]
                assert all(f"`{word}`" in rows[name] for word in words), name


def test_schema_is_the_generated_one() -> None:
    """docs/record.schema.json is what gravscope.records.model generates."""
    assert SCHEMA.read_text() == json.dumps(model.record_schema(), indent=2) + "\n"


# make


def test_every_make_target_is_documented() -> None:
    """docs/make.md has a row for each target of the Makefile and of gravscope.mk, and no other."""
    own = re.findall(r"^([a-z0-9-]+):.*## ", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    include = re.findall(r"^\.PHONY: (.*)$", (REPOSITORY / "gravscope.mk").read_text(), re.MULTILINE)
    assert sorted(first_cells(MAKE, "target")) == sorted([*own, "X-bg", *" ".join(include).split()])


def test_every_make_variable_is_documented() -> None:
    """docs/make.md has a row for each variable that Makefile and gravscope.mk let be set."""
    text = (REPOSITORY / "Makefile").read_text() + (REPOSITORY / "gravscope.mk").read_text()
    assert set(re.findall(r"^([A-Z_]+) \?=", text, re.MULTILINE)) <= set(first_cells(MAKE, "variable"))


# files


def tracked_files() -> list[Path]:
    """Every file that git keeps; outside of a checkout, every file that is not made by a tool."""
    argv = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    listing = None
    if shutil.which("git"):
        listing = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if listing is not None and listing.returncode == 0 and listing.stdout:
        return [REPOSITORY / name for name in listing.stdout.split("\0") if name]
    made = {"tmp", "server", "results", "dist", "build", "__pycache__"}
    found = (path.relative_to(REPOSITORY) for path in REPOSITORY.rglob("*"))
    return [REPOSITORY / path for path in found if not any(p in made or p.startswith(".") for p in path.parts)]


def test_no_file_names_a_path_of_the_workplace() -> None:
    """No file of the project names a folder of the machine that it was written on."""
    unwanted = re.compile(rb"/" + rb"work/")
    naming = [str(path) for path in {*tracked_files(), *DOCS} if path.is_file() and unwanted.search(path.read_bytes())]
    assert naming == []


def anchors(path: Path) -> set[str]:
    """What a link to a heading of the page ends with, as GitHub makes it: `#a-heading`."""
    titles = re.findall(r"^#+ (.+)$", prose(path), re.MULTILINE)
    return {"#" + re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_relative_links_lead_somewhere(path: Path) -> None:
    """Every relative link in the documents points to a file that is there, and to a heading that this has."""
    missing = []
    for link in links_in(path):
        file, hash_, anchor = link.partition("#")
        target = path.parent / file if file else path
        if not target.exists() or (hash_ and f"#{anchor}" not in anchors(target)):
            missing.append(link)
    assert missing == []
