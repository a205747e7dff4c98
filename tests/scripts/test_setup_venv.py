"""Set-up mends itself: what it does with what it finds.

The Python is a stand-in that makes empty environments, so that no network is needed; decisions are the script's own.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import PATIENCE, REPOSITORY, alive, until

# What `pip install` and `venv` do is told by the files `pip` and `venv` beside it; each run of pip leaves a line.
PYTHON = """#!/bin/bash
here=@HERE@
case "$*" in
  "-m venv "*) mkdir -p "$3/bin"; [ -e $here/venv ] && . $here/venv; : >"$3/pyvenv.cfg"; cp "$0" "$3/bin/python" ;;
  "-m pip install "*) echo ran >>$here/calls; [ -e $here/pip ] && . $here/pip
    printf '#!/bin/sh\\n' >"${0%python}gravscope"; chmod +x "${0%python}gravscope" ;;
  *) exec @REAL@ "$@" ;;
esac
"""
NO_INDEX = """WARNING: Retrying (Retry(total=4)) after connection broken by 'NewConnectionError(...)': /simple/typer/
ERROR: Could not find a version that satisfies the requirement typer (from gravscope) (from versions: none)
ERROR: No matching distribution found for typer"""
FULL = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"
MAKING = "setup: making .venv (one to five minutes, 470 MB)\n"


class Checkout:
    """As much of one as set-up reads."""

    def __init__(self, folder: Path) -> None:
        self.beside = folder / "beside"
        self.folder = folder / "checkout"
        (self.folder / "scripts").mkdir(parents=True)
        self.beside.mkdir()
        shutil.copy(REPOSITORY / "scripts" / "setup_venv.sh", self.folder / "scripts")
        shutil.copy(REPOSITORY / "pyproject.toml", self.folder)
        self.python = self.beside / "python3"
        text = PYTHON.replace("@HERE@", str(self.beside)).replace("@REAL@", sys.executable)
        self.python.write_text(text)
        self.python.chmod(0o755)

    def start(self) -> subprocess.Popen[str]:
        """Set-up, just started, in a process group of its own; `process_group` is what Ctrl-C reaches."""
        return subprocess.Popen(
            ["env", "--default-signal", "bash", "scripts/setup_venv.sh", ".venv"],
            cwd=self.folder,
            env={"PATH": "/usr/bin:/bin", "PYTHON": str(self.python)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )

    def __call__(self) -> tuple[int, str]:
        """Exit status and what was said; all of it on standard error, since the standard output is the target's."""
        out, err = (process := self.start()).communicate(timeout=PATIENCE)
        assert out == ""
        return process.returncode, err

    def does(self, what: str, script: str) -> None:
        """What venv or pip does from now on."""
        (self.beside / what).write_text(script + "\n")

    def installs(self) -> int:
        """How often packages were installed."""
        calls = self.beside / "calls"
        return len(calls.read_text().splitlines()) if calls.exists() else 0


def is_there(group: int) -> bool:
    """True while a process group has a process that runs."""
    pids = (int(path.name) for path in Path("/proc").glob("[0-9]*"))
    return any(group_of(pid) == group and alive(pid) for pid in pids)


def group_of(pid: int) -> int:
    """Its process group; 0 once it is gone."""
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A fresh one."""
    return Checkout(tmp_path)


@pytest.fixture
def ready(checkout: Checkout) -> Checkout:
    """One that is set up."""
    assert checkout() == (0, MAKING)
    return checkout


def test_once(ready: Checkout) -> None:
    """Where all is there nothing is done, and nothing said."""
    assert ready() == (0, "")
    assert ready.installs() == 1


@pytest.mark.parametrize("at", ["venv", "pip"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_interrupted(checkout: Checkout, at: str, number: signal.Signals) -> None:
    """Ctrl-C, or a kill, at any time: the next set-up makes it anew, says so, and it is whole."""
    checkout.does(at, f": >{checkout.beside}/there; sleep 1000")
    process = checkout.start()
    until((checkout.beside / "there").exists, "the moment")
    os.killpg(process.pid, number)
    process.communicate(timeout=PATIENCE)
    assert process.returncode != 0
    until(lambda: not is_there(process.pid), "the end of all that it started, which holds its lock")
    (checkout.beside / at).unlink()
    code, said = checkout()
    assert (code, "making it anew" in said, len(said.splitlines())) == (0, True, 1)
    assert checkout() == (0, "")


def test_moved(ready: Checkout) -> None:
    """Scripts in it name the old place: it is made anew."""
    ready.folder = ready.folder.rename(ready.folder.with_name("elsewhere"))
    code, said = ready()
    assert (code, said.startswith("setup: .venv was moved; making it anew"), ready.installs()) == (0, True, 2)
    assert ready() == (0, "")


def gone(ready: Checkout) -> None:
    """The Python that it was made with is not there any more."""
    (ready.folder / ".venv" / "bin" / "python").unlink()
    (ready.folder / ".venv" / "bin" / "python").symlink_to("/no/such/python")


def another(ready: Checkout) -> None:
    """The system's Python is a later one now, and sees none of the packages."""
    ready_file = ready.folder / ".venv" / ".ready"
    ready_file.write_text(f"3.0 {ready_file.read_text().partition(' ')[2]}")


@pytest.mark.parametrize("change", [gone, another])
def test_its_python(ready: Checkout, change: Callable[[Checkout], None]) -> None:
    """Gone, or another one: it is made anew."""
    change(ready)
    code, said = ready()
    assert (code, "its Python is gone" in said or "is gone or another one now" in said, ready.installs()) == (
        0,
        True,
        2,
    )
    assert ready() == (0, "")


def test_other_needs(ready: Checkout) -> None:
    """When the project's needs change, packages are installed into what is there."""
    (ready.folder / ".venv" / "kept").touch()
    with (ready.folder / "pyproject.toml").open("a") as file:
        file.write("# another\n")
    assert ready()[0] == 0
    assert (ready.installs(), (ready.folder / ".venv" / "kept").exists()) == (2, True)
    assert ready() == (0, "")


def test_of_an_older_setup(ready: Checkout) -> None:
    """Its mark was an empty file."""
    (ready.folder / ".venv" / ".ready").write_text("")
    assert "making it anew" in ready()[1]


def test_not_ours(checkout: Checkout) -> None:
    """A folder of that name that is something else is left alone."""
    (checkout.folder / ".venv").mkdir()
    (checkout.folder / ".venv" / "precious").touch()
    code, said = checkout()
    assert (code, said.splitlines()[-1]) == (
        5, "setup: .venv is there and is no virtual environment; type: make setup VENV=ANOTHER_NAME",
    )  # fmt: skip
    assert (checkout.folder / ".venv" / "precious").exists()


def test_two_at_once(checkout: Checkout) -> None:
    """The second waits, says so, and finds everything done."""
    checkout.does("pip", f": >{checkout.beside}/there; until [ -e {checkout.beside}/go ]; do sleep 0.02; done")
    first = checkout.start()
    until((checkout.beside / "there").exists, "the first at work")
    second = checkout.start()
    assert second.stderr is not None
    assert second.stderr.readline() == "setup: another set-up is at work here; waiting for it\n"
    (checkout.beside / "go").touch()
    assert [process.communicate(timeout=PATIENCE)[1] for process in (first, second)] == [MAKING, ""]
    assert (first.returncode, second.returncode, checkout.installs()) == (0, 0, 1)


@pytest.mark.parametrize(
    ("tool", "says", "line"),
    [
        ("pip", NO_INDEX, "no Python package index can be reached; connect to the network, then type: make setup"),
        ("pip", FULL, "the disk is full; make room, then type: make setup"),
        ("venv", FULL, "the disk is full; make room, then type: make setup"),
        ("pip", "ERROR: something else", "it stopped there, see above; then type: make setup"),
    ],
)
def test_what_goes_wrong_is_one_line(checkout: Checkout, tool: str, says: str, line: str) -> None:
    """Behind what is being made, one line of what to do; once that is done it goes on."""
    checkout.does(tool, f"cat <<'END' >&2\n{says}\nEND\nexit 1")
    code, said = checkout()
    lines = said.splitlines()
    assert (code, lines[-1]) == (5, f"setup: {line}")
    assert len(lines) == (3 if "above" in line else 2)
    (checkout.beside / tool).unlink()
    assert checkout()[0] == 0
    assert checkout() == (0, "")


def test_pips_warnings_are_not_ours(checkout: Checkout) -> None:
    """What pip warns of while all goes well is not shown."""
    checkout.does("pip", "echo WARNING: a location is ignored >&2")
    assert checkout() == (0, MAKING)


def test_a_python_that_is_missing_or_too_old(checkout: Checkout) -> None:
    """One line, with what to type."""
    checkout.python.unlink()
    assert checkout()[1].splitlines()[-1].endswith(" is not installed; type: sudo apt-get install python3 python3-venv")
    checkout.python.write_text('#!/bin/sh\ncase "$*" in *version_info*) exit 1 ;; *) echo Python 3.9.2 ;; esac\n')
    checkout.python.chmod(0o755)
    assert "Python 3.9.2 is too old; Python 3.11 or later is needed" in checkout()[1]
