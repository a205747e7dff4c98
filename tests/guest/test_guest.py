"""The guest and its harness themselves: nothing that goes wrong in there can look like a success."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from tests.support import until

from .machine import HERE, Unavailable, install_what_is_missing

pytestmark = pytest.mark.needs("guest")
GUEST = [sys.executable, str(HERE / "guest")]
CASE = '''
import os, pytest
from pathlib import Path

def test_first(): """Passes."""; assert os.getuid() == 40001
def test_fails(): """Fails."""; assert 1 + 1 == 3, "so it said"
@pytest.mark.skip(reason="for a reason")
def test_skips(): """Is skipped."""
@pytest.mark.xfail(reason="known")
def test_wrong(): """Fails, as expected."""; assert False
@pytest.mark.parametrize("n", [1, 2])
def test_each(n): """Passes twice."""
@pytest.mark.as_root
def test_root(): """Passes, as root."""; assert os.getuid() == 0
@pytest.mark.as_root
def test_z_deadly(): """Takes the guest down."""; Path("/proc/sysrq-trigger").write_text("o"); os.pause()
@pytest.mark.as_root
def test_z_never(): """Is never reached."""
'''
HANGS = '''
import time
GUEST = {"timeout": 5}

def test_z_hangs(): """Never ends."""; time.sleep(1000)
'''


@pytest.fixture(autouse=True)
def guest_can_run() -> None:
    """Skip where there is no guest."""
    try:
        install_what_is_missing()
    except Unavailable as reason:
        pytest.skip(str(reason))


def processes_with(word: str) -> list[str]:
    """The processes whose command line has the word."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if word.encode() in (process / "cmdline").read_bytes():
                found.append(process.name)
        except OSError:
            continue
    return found


def test_run_gives_output_and_status(tmp_path: Path) -> None:
    """`guest run` prints what the script prints, in its order, and ends with its status; alice is at hand."""
    script = tmp_path / "script.sh"
    script.write_text("id -un; as 'id -un; echo $XDG_RUNTIME_DIR'; cat /proc/1/comm >&2; exit 5\n")
    done = subprocess.run([*GUEST, "run", str(script)], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 5, done
    assert done.stdout.splitlines() == ["root", "alice", "/run/user/40001", "systemd"]


def test_a_script_that_hangs_is_ended(tmp_path: Path) -> None:
    """`guest run --timeout` ends a guest that does not end, says so, and leaves no process of it."""
    script = tmp_path / "script.sh"
    script.write_text("sleep 1000\n")
    command = [*GUEST, "run", "--timeout", "3", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    folder = Path(done.stderr.split()[-1])
    try:
        assert done.returncode == 99, done
        assert (folder / "console.txt").exists()
        until(lambda: not processes_with(folder.name), "no process of the guest")
    finally:
        shutil.rmtree(folder)


def test_the_guest_does_not_outlive_who_started_it(tmp_path: Path) -> None:
    """When the one who runs a guest is killed outright, the guest goes too."""
    script = tmp_path / "script.sh"
    script.write_text("echo up; sleep 1000\n")
    env = os.environ | {"TMPDIR": str(tmp_path)}
    asker = subprocess.Popen([*GUEST, "run", str(script)], stdout=subprocess.PIPE, text=True, env=env)
    try:
        assert asker.stdout is not None
        assert asker.stdout.readline() == "up\n"
        folder = next(tmp_path.glob("gravscope-guest-*"))
        assert processes_with(folder.name)
    finally:
        asker.kill()
        asker.communicate()
    until(lambda: not processes_with(folder.name), "no process of the guest")


def test_the_shell_is_on_this_terminal() -> None:
    """`guest shell` gives a root shell on the caller's terminal, as large as that, and ends with it."""
    terminal, guests_end = pty.openpty()
    termios.tcsetwinsize(guests_end, (33, 101))
    asker = subprocess.Popen([*GUEST, "shell"], stdin=guests_end, stdout=guests_end, start_new_session=True)
    os.close(guests_end)
    typed = b"id -un; tty; stty size; printf '<%s>' end; exit\n"
    seen, deadline = "", time.monotonic() + 180
    try:
        while "<end>" not in seen:
            assert time.monotonic() < deadline, seen
            if select.select([terminal], [], [], 1)[0]:
                seen += os.read(terminal, 4096).decode(errors="replace")
            if typed and "Leave with exit." in seen:
                os.write(terminal, typed)
                typed = b""
        assert asker.wait(60) == 0
    finally:
        asker.kill()
        os.close(terminal)
    assert "33 101" in seen, seen
    assert "root" in seen, seen


def test_no_failure_in_the_guest_can_pass(tmp_path: Path) -> None:
    """Cases of a checkout in a closed folder come out one by one; a dead or hung guest's fail."""
    tests = tmp_path / "checkout" / "tests"
    ignored = shutil.ignore_patterns("__pycache__", "test_*.py")
    shutil.copytree(HERE, tests / "guest", ignore=ignored)
    (tests / "guest" / "cases" / "test_mixed.py").write_text(CASE)
    (tests / "guest" / "cases" / "test_other.py").write_text(HANGS)
    (tests.parent / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    tests.parent.chmod(0o700)
    env = {name: value for name, value in os.environ.items() if name != "GRAVSCOPE_STRICT"}
    command = [sys.executable, "-m", "pytest", "-v", "-rA", "-p", "no:cacheprovider", "tests/guest"]
    done = subprocess.run(
        command, cwd=tests.parent, env=env | {"TMPDIR": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    said = [
        " ".join(line.split("::")[-1].split()[:2])
        for line in done.stdout.splitlines()
        if line.startswith("tests/") and "%]" in line
    ]
    outcomes = ["first PASSED", "fails FAILED", "skips SKIPPED", "wrong XFAIL", "each[1] PASSED", "each[2] PASSED"]
    outcomes += ["root PASSED", "z_deadly FAILED", "z_never FAILED", "z_hangs FAILED"]
    assert said == [f"test_{outcome}" for outcome in outcomes], done.stdout
    assert done.returncode == 1
    assert "so it said" in done.stdout
    assert "the guest died" in done.stdout
    assert "the guest gave no sign for 5 s" in done.stdout
    kept = Path(done.stdout.partition("its journal and console: ")[2].split()[0])
    assert "guest" in (kept / "journal.txt").read_text()
