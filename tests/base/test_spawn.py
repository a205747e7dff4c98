"""A program is started with the given files and streams, and inherits nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gravscope.base.spawn import find_tool, new_numbers, spawn
from tests.support import REPOSITORY

# prints its open files, and whether it is a session leader
TELL = """
import os
for number in sorted(int(name) for name in os.listdir("/proc/self/fd")):
    try:
        print(number, os.readlink(f"/proc/self/fd/{number}"))
    except OSError:
        pass  # of this listing
print("leads", os.getsid(0) == os.getpid())
"""
# starts TELL: first closes the descriptors that are its arguments, then opens files, one of them inheritable
START = """
import os, sys
from gravscope.base.spawn import new_numbers, spawn
for number in map(int, sys.argv[3:]):
    os.close(number)
out = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
nothing = os.open(os.devnull, os.O_RDONLY)
given = os.open("/etc/hostname", os.O_RDONLY)
there = new_numbers([nothing, out, given])
left = os.open("/etc/passwd", os.O_RDONLY)
os.set_inheritable(left, True)
os.dup2(left, there[given] + 7)
pid = spawn([sys.executable, "-I", "-S", "-c", sys.argv[2]], os.environ, (nothing, out, out), there, new_session=True)
os.waitpid(pid, 0)
os.write(out, b"given %d" % there[given])
os._exit(0)
"""


@pytest.mark.parametrize("closed", [[], [0], [1], [2], [0, 1], [0, 1, 2]], ids=str)
def test_nothing_else_is_inherited(tmp_path: Path, closed: list[int]) -> None:
    """It has three streams and the one file that was passed, whatever the caller had open or closed, and a session of
    its own."""
    said = tmp_path / "said"
    argv = [sys.executable, "-c", START, str(said), TELL, *map(str, closed)]
    subprocess.run(argv, env={"PYTHONPATH": str(REPOSITORY), "PATH": os.environ["PATH"]}, check=True)
    *files, leads, given = said.read_text().splitlines()
    number = given.removeprefix("given ")
    assert files == ["0 /dev/null", f"1 {said}", f"2 {said}", f"{number} /etc/hostname"]
    assert leads == "leads True"


def test_a_file_may_be_closed_by_another_thread_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A descriptor that was open when the list was made and is closed by now is not an error."""
    listed = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: [*listed(path), "777"])
    monkeypatch.setattr(os, "get_inheritable", lambda number: number == 777)
    with (tmp_path / "said").open("wb") as out, open(os.devnull, "rb") as nothing:
        streams = (nothing.fileno(), out.fileno(), out.fileno())
        pid = spawn(
            ["sh", "-c", "echo here"], {"PATH": os.environ["PATH"]}, streams, new_numbers(streams), new_session=False
        )
        assert os.waitpid(pid, 0)[1] == 0
    assert (tmp_path / "said").read_text() == "here\n"


@pytest.mark.parametrize(("program", "missing"), [("no-such-program", "no-such-program"), ("/no/such", "/no/such")])
def test_what_is_not_there_is_an_error_with_its_name(program: str, missing: str) -> None:
    """OSError with the name of the file, as from subprocess."""
    with open(os.devnull, "r+b") as nothing:
        streams = (nothing.fileno(),) * 3
        with pytest.raises(FileNotFoundError) as raised:
            spawn([program], {"PATH": os.environ["PATH"]}, streams, new_numbers(streams), new_session=True)
    assert raised.value.filename == missing


def test_python_ignores_what_its_children_do_not(tmp_path: Path) -> None:
    """SIGPIPE and SIGXFSZ, which Python ignores, have their default action (signal(7)), so that `yes | head` ends."""
    assert signal.getsignal(signal.SIGPIPE) is signal.SIG_IGN
    with (tmp_path / "said").open("wb") as out, open(os.devnull, "rb") as nothing:
        streams = (nothing.fileno(), out.fileno(), out.fileno())
        words = ["grep", "SigIgn", "/proc/self/status"]
        os.waitpid(spawn(words, {"PATH": os.environ["PATH"]}, streams, new_numbers(streams), new_session=False), 0)
    mask = int((tmp_path / "said").read_text().split()[1], 16)
    assert not mask & (1 << (signal.SIGPIPE - 1) | 1 << (signal.SIGXFSZ - 1))


def test_where_a_program_is(tmp_path: Path) -> None:
    """The first executable file of that name in PATH; no folder counts, and with an empty PATH none is found."""
    for name, mode in (("a", 0o755), ("b", 0o644), ("c", 0o755)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tool").touch()
        (tmp_path / name / "tool").chmod(mode)
    (tmp_path / "d" / "tool").mkdir(parents=True)
    a, b, c, d = (str(tmp_path / name) for name in "abcd")
    assert find_tool("tool", {"PATH": f"{d}:{b}::{c}:{a}"}) == f"{c}/tool"
    assert find_tool("tool", {"PATH": f"{d}:{b}"}) is None
    assert find_tool("sh", {"PATH": ""}) is None
    assert find_tool("sh", {}) in ("/bin/sh", "/usr/bin/sh")
