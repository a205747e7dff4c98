"""A file edited with vim under `gravscope run --fg`, with the keys that a person presses."""

from __future__ import annotations

import os

from tests.needs import found, need
from tests.support import until
from tests.terminal import Screen

AFTER = "first line\nsecond line\n"


def use_vim(screen: Screen) -> None:
    """Vim opens a file, takes text, follows its window to another size, and writes it; the shell and the record get its
    exit status: 0 of :wq, and 1 of :cq, which writes nothing."""
    need("vim")
    vim = found("vim")
    path = screen.gravscope.folder / "notes"
    screen.command(f"echo first line > {path}")
    assert screen.status() == 0
    line = f"$G run --fg -n editor -- {vim} -u NONE -i NONE -N -n {path}"
    screen.command(line)
    screen.shows(r"\Afirst line\n~$")
    screen.keys("o", "second", "Space", "line", "Escape")
    screen.shows(r"\Afirst line\nsecond line\n~$")
    for columns, lines in ((60, 12), (90, 30)):
        screen.resize(columns, lines)
        until(lambda: own_size(screen) == (columns, lines), f"vim's size, {columns} by {lines}")  # noqa: B023
        screen.shows(rf"\Afirst line\nsecond line\n(~\n){{{lines - 3}}}.*$")
    screen.keys(":wq", "Enter")
    assert screen.status() == 0
    assert path.read_text() == AFTER
    assert "second line" not in screen.text()
    screen.command(line)
    screen.shows(r"\Afirst line\nsecond line\n~$")
    screen.keys("dd", ":cq", "Enter")
    assert screen.status() == 1
    assert path.read_text() == AFTER
    ended = [screen.gravscope.ended(record["id"]) for record in screen.gravscope.records()]
    ends = [(record["state"], record["exit_code"]) for record in sorted(ended, key=lambda record: record["created"])]
    assert ends == [("succeeded", 0), ("failed", 1)]


def own_size(screen: Screen) -> tuple[int, int]:
    """The columns and lines that vim takes its window to have; of the moment before, if it has not seen to it yet."""
    told = screen.gravscope.folder / f"size{os.urandom(4).hex()}"
    # into a file: what stands on the screen goes when vim draws it anew
    screen.keys(f":redir >{told} | silent set columns? | silent set lines? | redir END", "Enter")
    until(lambda: told.exists() and told.read_text().count("=") == 2, "vim's answer")
    found = dict(word.split("=") for word in told.read_text().split())
    return int(found["columns"]), int(found["lines"])
