"""The demo: one bar, which model fits better, a link, and lines that can be typed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gravscope.records.progress import Progress, find
from tests.support import REPOSITORY, Gravscope, installed, until
from tests.terminal import Screen, screen_for

SCRIPTS = REPOSITORY / "scripts"
sys.path.insert(0, str(SCRIPTS))

from rep6 import demo  # noqa: E402 (needs the path)
from rep6.progress import progress_line  # noqa: E402

# the Makefile of a project whose fit is quick; it waits for the file `go` in its middle
MAKEFILE = """\
GRAVSCOPE := {program}
include {repository}/gravscope.mk
demo:
\t@GRAVSCOPE="$(GRAVSCOPE)" {python} {scripts}/demo.py
rep6-ab-fast:
\t@echo '[rep6-ws-maps] 18/18 | elapsed=0.0m ETA=0.0m'
\t@echo '[rep6-ws] 3000000/6000000 | elapsed=0.1m ETA=0.1m'
\t@until [ -e go ]; do sleep 0.05; done
\t@echo '[rep6-phieta] 6000000/6000000 | elapsed=0.2m ETA=0.0m'
\t@{last}
"""
LAST = "mkdir -p data && cp -r results data/"


def results(ws: list[float], phieta: list[float]) -> dict[str, dict[str, list[dict[str, float]]]]:
    """As much of the result files as the sentence needs."""
    return {
        key: {"galaxies": [{"aicc": value} for value in values]} for key, values in (("ws", ws), ("phieta", phieta))
    }


def test_the_sentence() -> None:
    """It names the model with the lower sum of AICc, the difference, and in how many galaxies each is better."""
    first, second, _ = demo.verdict(results([10, 20.5, 30], [11, 40, 25])).splitlines()
    assert first == "Over all 3 galaxies model WS fits better than Φη: its AICc is 15.5 lower (60.5 against 76.0)."
    assert second == "Taken one by one, WS fits better in 2 of them, and Φη in 1."
    assert "model Φη fits better than WS: its AICc is 2.0 lower" in demo.verdict(results([4, 5], [3, 4]))


def test_the_bar_goes_one_way() -> None:
    """Over all stages of the work, as its log tells them, what is done never becomes less, and ends below all of it."""
    assert sum(share for _, share, _ in demo.STAGES) == pytest.approx(1)
    seen = [demo.overall(None)[0]]
    for tag, _, _ in demo.STAGES[:-1]:
        for done in (1, 50, 99, 100):
            found = find(progress_line(tag, done, 100, 5.0).encode())
            seen.append(demo.overall(found)[0])
    assert seen == sorted(seen)
    assert len(set(seen)) == len(seen)
    assert seen[-1] < 1
    assert demo.overall(Progress(1.0, stage="rep6-phieta"))[1] == "the page"


@pytest.mark.parametrize("most", [1, 10, 40, 79, 200])
def test_the_bar_has_room(most: int) -> None:
    """A line that is longer than the terminal could not be drawn in place."""
    for fraction, elapsed in ((0, 0.0), (0.5, 100.0), (1, None)):
        assert len(demo.bar_line(fraction, "model Φη: maps of the light", elapsed, most)) <= most
    whole = demo.bar_line(0.5, "work", 10.0, 79)
    assert whole == f"[{'#' * 15}{'.' * 15}]  50%  work, 10s left"
    assert "left" not in demo.bar_line(0.05, "work", 10.0, 79), "too early to tell"


@pytest.mark.parametrize(
    ("environ", "can"),
    [
        ({}, False),
        ({"TERM": "xterm-256color"}, False),
        ({"TERM": "linux"}, False),
        ({"TERM": "xterm-kitty"}, True),
        ({"TERM": "xterm-256color", "VTE_VERSION": "7006"}, True),
        ({"TERM": "xterm-256color", "VTE_VERSION": "4205"}, False),
        ({"TERM_PROGRAM": "vscode"}, True),
        ({"TERM_PROGRAM": "Apple_Terminal"}, False),
        ({"KONSOLE_VERSION": "220402"}, True),
        ({"TMUX": "x", "TERM_PROGRAM": "tmux", "TERM_PROGRAM_VERSION": "3.4", "VTE_VERSION": "4205"}, True),
        ({"TMUX": "x", "TERM_PROGRAM": "tmux", "TERM_PROGRAM_VERSION": "3.3a", "VTE_VERSION": "7006"}, False),
        ({"TMUX": "x", "TERM": "screen"}, False),
    ],
)
def test_a_link_where_it_is_one(environ: dict[str, str], can: bool) -> None:
    """OSC 8 at a terminal that shows links, an address at another, and in a pipe just the path."""
    path = Path("/my fits/a.html")
    assert demo.link(path, environ, terminal=False) == "/my fits/a.html"
    shown = demo.link(path, environ, terminal=True)
    if can:
        assert shown == f"\x1b]8;;file://{os.uname().nodename}/my%20fits/a.html\x1b\\/my fits/a.html\x1b]8;;\x1b\\"
    else:
        assert shown == "file:///my%20fits/a.html"


class Project:
    """A folder in which `make demo` runs a quick fit."""

    def __init__(self, gravscope: Gravscope) -> None:
        self.gravscope = gravscope
        self.folder = gravscope.folder
        binaries = self.folder / ".venv" / "bin"
        binaries.mkdir(parents=True)
        installed(binaries)
        path = self.folder / "path"
        shutil.copytree(gravscope.environ["PATH"], path, symlinks=True)
        (path / "gravscope").unlink()
        gravscope.environ["PATH"] = str(path)
        (self.folder / "results").mkdir()
        for key, result in results([1, 2, 3, 4, 5, 6], [2, 3, 4, 5, 6, 3]).items():
            (self.folder / "results" / f"rep6_{key}_fast.json").write_text(json.dumps(result))
        self.makefile()

    def makefile(self, last: str = LAST) -> None:
        """Writes it, with this as the last line of the fit."""
        text = MAKEFILE.format(
            program=".venv/bin/gravscope", repository=REPOSITORY, python=sys.executable, scripts=SCRIPTS, last=last
        )
        (self.folder / "Makefile").write_text(text)

    def go(self) -> None:
        """Lets the fit go on."""
        (self.folder / "go").touch()

    def demo(self) -> subprocess.CompletedProcess[str]:
        """`make demo` without a terminal."""
        env = {**self.gravscope.environ, "PYTHONUTF8": "1"}
        return subprocess.run(
            ["make", "demo"],
            cwd=self.folder,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def project(gravscope: Gravscope) -> Project:
    """One without gravscope on PATH."""
    return Project(gravscope)


@pytest.fixture
def screen(project: Project) -> Iterator[Screen]:
    """A terminal in it."""
    with screen_for(project.gravscope) as found:
        yield found


def test_without_a_terminal(project: Project) -> None:
    """A few lines for a bar, the sentence, the page's path, and lines that work as they are printed; and again."""
    project.go()
    for _ in range(2):
        done = project.demo()
        assert done.returncode == 0, done.stderr
        assert "\x1b" not in done.stdout + done.stderr
        assert done.stderr.count("\n") <= 1, "the one note"
        assert "its AICc is 0.0" not in done.stdout
        assert 1 <= len(re.findall(r"^ *\d+%  ", done.stdout, re.MULTILINE)) <= 6
        assert re.search(r"^100%  done in \S+, with at most \S+ of memory$", done.stdout, re.MULTILINE)
        assert f"{project.folder}/server/public/reports/ws_vs_phieta_rep6.html\n" in done.stdout
        lines = [line.strip() for line in done.stdout.partition("What to try next:")[2].splitlines() if line]
        assert len(lines) == 3
        for line in lines:
            tried = subprocess.run(
                ["sh", "-c", line],
                cwd=project.folder,
                env=project.gravscope.environ,
                capture_output=True,
                text=True,
                check=False,
            )
            assert tried.returncode == 0, (line, tried.stderr)


@pytest.mark.needs("tmux")
def test_at_a_terminal(project: Project, screen: Screen) -> None:
    """One bar, drawn in its place, then the rest below it."""
    screen.command(
        "clear; TERM_PROGRAM_VERSION=3.3a make demo"
    )  # a tmux that does not know links: it shows the address
    bar = r"^\[#{5}\.{25}\]  19%  model WS: permutation test"
    until(lambda: re.search(bar, screen.text(), re.MULTILINE), "the bar")
    assert len(re.findall(r"^\[[#.]{30}\]", screen.text(), re.MULTILINE)) == 1
    project.go()
    assert screen.status() == 0
    shown = screen.text()
    assert re.findall(r"^\[[#.]{30}\].*", shown, re.MULTILINE)[0].startswith(f"[{'#' * 30}] 100%  done in ")
    assert len(re.findall(r"^\[[#.]{30}\]", shown, re.MULTILINE)) == 1
    assert "fits better than" in shown
    assert "file:///" in shown
    assert shown.count(".venv/bin/gravscope ") >= 3


@pytest.mark.needs("tmux")
def test_ctrl_c_leaves_the_job_running(project: Project, screen: Screen) -> None:
    """And says how to go on, in lines that work."""
    screen.command("clear; make demo")
    screen.shows(r"^\[[#.]{30}\]  19%")
    screen.keys("C-c")
    assert screen.status() != 0
    said = screen.shows(r"^  (\.venv/bin/gravscope logs -f \S+)\n  (\.venv/bin/gravscope cancel \S+)$")
    (record,) = project.gravscope.records()
    assert record["state"] == "running"
    done = subprocess.run(
        said[2].split(), cwd=project.folder, env=project.gravscope.environ, capture_output=True, text=True, check=False
    )
    assert (done.returncode, "cancelled" in done.stdout) == (0, True)


def test_a_fit_that_fails(project: Project) -> None:
    """The state, why, and what to type, with the job's exit status; no sentence about models."""
    project.makefile(last="exit 3")
    project.go()
    done = project.demo()
    assert done.returncode == 2, "make's own for any failure"
    assert re.search(r"^rep6_ab_fast_\S+: failed: exit status 2$", done.stdout, re.MULTILINE)
    assert re.search(r"^type: \.venv/bin/gravscope logs -n 20 rep6_ab_fast_", done.stdout, re.MULTILINE)
    assert "fits better" not in done.stdout


def test_a_result_that_cannot_be_read(project: Project) -> None:
    """One line, and no traceback."""
    (project.folder / "results" / "rep6_ws_fast.json").write_text("{}")
    project.go()
    done = project.demo()
    assert done.returncode == 2
    assert "the result cannot be read: " in done.stderr
    assert "Traceback" not in done.stderr
