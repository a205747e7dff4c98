"""What tests need is declared, told once a reason, and known to whoever chooses by it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import needs
from tests.summary import reason_of, summary
from tests.support import REPOSITORY

SAMPLE = '''
import pytest
from tests.needs import need, needing

@pytest.fixture
@needing("mandoc")
def page(): """A need of a fixture's."""

def test_by_fixture(page): """Left out."""
@pytest.mark.needs("mandoc")
def test_by_mark(): """Left out."""
@pytest.mark.needs("jq")
def test_another(): """Left out."""
def test_free(): """Passes."""
def test_undeclared():
    """Uses what it has not declared."""
    need("jq")
'''


def played(folder: Path, *options: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """pytest on SAMPLE, with the project's conftest, on a machine that has neither jq nor mandoc."""
    (folder / "empty").mkdir(exist_ok=True)
    (folder / "test_sample.py").write_text(SAMPLE)
    (folder / "conftest.py").write_text(
        f"from tests import needs\nfrom tests.conftest import *\nneeds.PATH = {str(folder / 'empty')!r}\n"
    )
    argv = [sys.executable, "-m", "pytest", "-rfE", "-p", "no:cacheprovider", "--import-mode=importlib", *options]
    environ = {**os.environ, "PYTHONPATH": str(REPOSITORY), "GRAVSCOPE_STRICT": "", **environ}
    return subprocess.run(
        [*argv, "test_sample.py"], cwd=folder, env=environ, capture_output=True, text=True, check=False
    )


def test_left_out_once_a_reason(tmp_path: Path) -> None:
    """A test is left out by what it and its fixtures declare; each reason stands once, with its count and what to type;
    and one that uses what it has not declared fails on every machine."""
    done = played(tmp_path)
    text = done.stdout
    assert "    2 tests: needs mandoc; type: sudo apt-get install mandoc\n" in text
    assert "    1 test: needs jq; type: sudo apt-get install jq\n" in text
    assert "for all of these packages type: sudo apt-get install jq mandoc\n" in text
    assert "declare it: @pytest.mark.needs('jq')" in text
    assert "1 failed, 1 passed, 3 skipped" in text.splitlines()[-1]
    assert "SKIPPED" not in text


@pytest.mark.slow
def test_strict(tmp_path: Path) -> None:
    """Under GRAVSCOPE_STRICT=1 what is left out has failed."""
    done = played(tmp_path, GRAVSCOPE_STRICT="1")
    assert "1 failed, 1 passed, 3 errors" in done.stdout.splitlines()[-1]
    assert "skipped under GRAVSCOPE_STRICT=1" in done.stdout


@pytest.mark.slow
def test_chosen_by_marker(tmp_path: Path) -> None:
    """-m chooses by every need, also by that of a fixture."""
    assert "2 deselected" in played(tmp_path, "-m", "not needs_mandoc").stdout.splitlines()[-1]
    assert "1 failed, 1 passed, 3 deselected" in played(tmp_path, "-m", "not needs").stdout.splitlines()[-1]


def test_most_first() -> None:
    """The reason of most tests stands first; a package that is named once is not named again."""
    assert summary(["needs b; type: sudo apt-get install b", "needs a", "needs a"]) == [
        "    2 tests: needs a",
        "    1 test: needs b; type: sudo apt-get install b",
    ]
    assert summary([]) == []


def test_the_reason_of_a_report() -> None:
    """pytest has it as file, line and text, in one line or in several."""
    assert reason_of(("a.py", 3, "Skipped: needs\n  a")) == "needs a"


@pytest.mark.parametrize("thing", sorted(needs.THINGS))
def test_things(thing: str) -> None:
    """What is no tool is had, or the reason says that it is needed."""
    assert (needs.lacking(thing) or "needs ").startswith("needs ")
