"""Identity, state and descendants of processes: from pasted /proc text, and from real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gravscope.linux import proc
from tests.support import until

# /proc/PID/stat of Linux 6.1; in proc(5) state is field 3, utime 14, starttime 22
AFTER_THE_NAME = (
    "S 100 4243 4200 34816 4243 4194304 1062 51 7 3 11 22 33 44 20 0 1 0 987654 6111232 905 18446744073709551615"
    " 1 1 0 0 0 0 0 4096 134433283 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
)
SLEEPER = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"]


@pytest.fixture
def spawn() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts processes that are killed and waited for after the test."""
    started: list[subprocess.Popen[str]] = []

    def start(*command: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(command or SLEEPER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        for pid in proc.descendants(process.pid):
            found = proc.stat(pid)
            if found is not None:
                proc.send_signal(pid, found.start_ticks, signal.SIGKILL)
        process.kill()
        process.communicate()


def ticks(pid: int) -> int:
    """The start time of a process, which must exist."""
    found = proc.stat(pid)
    assert found is not None
    return found.start_ticks


@pytest.mark.parametrize(
    "name",
    [
        "bash",
        "a b",
        "tmux: server",
        "(sd-pam)",
        ") R 1 1 1 (",
        "a) S 1 (b",
        "",
        ":)",
        "x\ny",
        "\udcff\udcfe",
        "((((",
        "))))",
    ],
)
def test_any_command_name_leaves_the_fields_alone(name: str) -> None:
    """A name with spaces, parentheses, newlines or bytes that are not text does not shift any field."""
    found = proc.Stat(f"4242 ({name}) {AFTER_THE_NAME}")
    assert (found.pid, found.state, found.ppid, found.pgid, found.session) == (4242, "S", 100, 4243, 4200)
    assert (found.cpu_ticks, found.start_ticks) == (11 + 22 + 33 + 44, 987654)


def test_only_a_zombie_and_a_dead_one_have_ended() -> None:
    """A running, sleeping, stopped or traced process is alive; in state Z or X it has ended."""
    ended = {state: proc.Stat(f"1 (x) {state}{AFTER_THE_NAME[1:]}").ended for state in "RSDTtIZX"}
    assert {state for state, over in ended.items() if over} == {"Z", "X"}


@pytest.mark.parametrize("text", ["", "1", "1 (x", "1 (x) S", f"x (x) {AFTER_THE_NAME}", "1 (x) S 1 2 3\n"])
def test_a_stat_that_was_cut_is_no_process(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A truncated file, as of a process that ends while it is read, means no process and is not an error."""
    monkeypatch.setattr(proc, "read_text", lambda path: text)
    assert proc.stat(1) is None


def test_this_process_is_itself() -> None:
    """For this process the real /proc agrees with the system calls."""
    found = proc.stat(os.getpid())
    assert found is not None
    assert (found.pid, found.ppid, found.pgid) == (os.getpid(), os.getppid(), os.getpgrp())
    assert found.session == os.getsid(0)
    assert not found.ended
    assert proc.is_process(os.getpid(), found.start_ticks)


def test_a_real_process_of_an_awkward_name_is_found(
    tmp_path: Path, spawn: Callable[..., subprocess.Popen[str]]
) -> None:
    """For a program that is named `a) R 1 (b`, pid, parent and start time are still right."""
    awkward = tmp_path / "a) R 1 (b"
    awkward.symlink_to("/bin/cat")
    process = spawn(str(awkward))
    until(lambda: Path(f"/proc/{process.pid}/comm").read_text() == "a) R 1 (b\n", "the new name")
    found = proc.stat(process.pid)
    assert found is not None
    assert (found.pid, found.ppid) == (process.pid, os.getpid())
    assert found.start_ticks >= ticks(os.getpid())


@pytest.mark.parametrize("pid", [2**22 + 1, 2**31, 2**70, -1])
def test_a_number_that_is_nobodys_is_no_process(pid: int) -> None:
    """A number beyond the largest pid, or beyond what the system call takes, is no process and no error."""
    assert proc.stat(pid) is None
    assert not proc.is_process(pid, 1)
    assert not proc.send_signal(pid, 1, 0)
    assert proc.children(pid) == []
    assert proc.resident(pid) == 0


def test_unknown_pid_or_start_is_no_process() -> None:
    """Without a pid or a start time the result is False."""
    own = ticks(os.getpid())
    assert not proc.is_process(None, own)
    assert not proc.is_process(os.getpid(), None)


@pytest.mark.parametrize("off", [-1, 1, 100])
def test_a_recycled_pid_is_another_process(spawn: Callable[..., subprocess.Popen[str]], off: int) -> None:
    """Trap 41: the same pid with another start time is another process, and gets no signal."""
    process = spawn()
    began = ticks(process.pid)
    assert proc.is_process(process.pid, began)
    assert not proc.is_process(process.pid, began + off)
    assert not proc.send_signal(process.pid, began + off, signal.SIGKILL)
    assert process.poll() is None
    assert proc.send_signal(process.pid, began, signal.SIGTERM)
    assert process.wait() == -signal.SIGTERM


def test_the_signal_goes_by_handle_and_never_by_number(
    spawn: Callable[..., subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trap 41: identity is checked between opening the pidfd and signalling, so no other process can get the signal."""
    process, order = spawn(), list[str]()
    real_open, real_check = os.pidfd_open, proc.is_process

    def pidfd_open(pid: int) -> int:
        order.append("handle")
        return real_open(pid)

    def is_process(pid: int | None, start: int | None) -> bool:
        order.append("proof")
        return real_check(pid, start)

    monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("signalled by number"))
    monkeypatch.setattr(os, "pidfd_open", pidfd_open)
    monkeypatch.setattr(proc, "is_process", is_process)
    assert proc.send_signal(process.pid, ticks(process.pid), signal.SIGKILL)
    assert order == ["handle", "proof"]
    assert process.wait() == -signal.SIGKILL


def test_a_zombie_is_not_alive(spawn: Callable[..., subprocess.Popen[str]]) -> None:
    """A process that has ended and was not waited for does not count as a process, and gets no signal."""
    process = spawn()
    began = ticks(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    found = proc.stat(process.pid)
    assert found is not None
    assert found.ended
    assert found.start_ticks == began
    assert not proc.is_process(process.pid, began)
    assert not proc.send_signal(process.pid, began, signal.SIGTERM)
    assert process.pid in proc.children(os.getpid())


def test_descendants_are_all_below_parents_first(spawn: Callable[..., subprocess.Popen[str]]) -> None:
    """Children and grandchildren, also those in a session of their own, each after its parent, and no others."""
    process = spawn("/bin/sh", "-c", "setsid sh -c 'sleep 600 & echo $$ $!; wait' & echo $!; wait")
    assert process.stdout is not None
    words = (process.stdout.readline() + process.stdout.readline()).split()
    assert len(words) == 3
    below = until(lambda: two if len(two := proc.descendants(process.pid)) == 2 else [], "two descendants")
    assert below[0] == proc.children(process.pid)[0]
    assert {str(pid) for pid in below} == set(words)
    parents = {pid: found.ppid for pid in below if (found := proc.stat(pid)) is not None}
    assert parents == {below[0]: process.pid, below[1]: below[0]}


def test_children_without_the_kernels_list(
    spawn: Callable[..., subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kernel without CONFIG_PROC_CHILDREN gives the same children, found by their parent."""
    process, real = spawn(), proc.read_text
    listed = proc.children(os.getpid())
    monkeypatch.setattr(proc, "read_text", lambda path: None if path.endswith("/children") else real(path))
    assert sorted(proc.children(os.getpid())) == sorted(listed)
    assert process.pid in listed


def test_memory_of_a_process(spawn: Callable[..., subprocess.Popen[str]]) -> None:
    """Resident memory is in bytes; the proportional share is not larger, and falls back to it if it is not readable."""
    code = "import sys; data = bytearray(32 << 20); print(len(data), flush=True); sys.stdin.read()"
    process = spawn(sys.executable, "-I", "-S", "-c", code)
    assert process.stdout is not None
    process.stdout.readline()
    assert 32 << 20 <= proc.resident(process.pid) < 512 << 20
    assert 32 << 20 <= proc.proportional(process.pid) <= proc.resident(process.pid)


def test_proportional_memory_from_pasted_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pss of smaps_rollup in bytes, not lines that only begin with the same letters; else statm's resident pages."""
    rollup = "55d0-7ffd ---p 00000000 00:00 0 [rollup]\nRss: 900 kB\nPss_Dirty: 7 kB\nPss: 500 kB\nPss_Anon: 9 kB\n"
    files = {"/proc/5/smaps_rollup": rollup, "/proc/6/statm": "1000 20 10 1 0 5 0\n"}
    monkeypatch.setattr(proc, "read_text", files.get)
    assert proc.proportional(5) == 500 * 1024
    assert proc.proportional(6) == 20 * proc.PAGE
    assert proc.proportional(7) == 0


def test_the_boot_has_an_id() -> None:
    """Two reads in the same boot give the same id, without the newline of the file."""
    first = proc.boot_id()
    assert first == proc.boot_id()
    assert first is not None
    assert len(first) == 36


DISPOSITIONS = {
    "": proc.DEFAULT,
    "signal.signal(15, signal.SIG_IGN)": proc.IGNORED,
    "signal.signal(15, lambda *_: None)": proc.HANDLED,
    "signal.pthread_sigmask(signal.SIG_BLOCK, [15])": proc.HANDLED,
}


@pytest.mark.parametrize("setting", DISPOSITIONS)
def test_what_a_process_does_on_a_signal(spawn: Callable[..., subprocess.Popen[str]], setting: str) -> None:
    """It is what the process has set; SIGKILL cannot be ignored; for a process that has ended it is None."""
    code = f"import signal\n{setting}\nprint('ready', flush=True)\nsignal.pause()"
    process = spawn(sys.executable, "-c", code)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    assert proc.disposition(process.pid, signal.SIGTERM) == DISPOSITIONS[setting]
    assert proc.disposition(process.pid, signal.SIGKILL) == proc.DEFAULT
    process.kill()
    process.wait()
    assert proc.disposition(process.pid, signal.SIGTERM) is None


def test_the_last_process_comes_first(spawn: Callable[..., subprocess.Popen[str]]) -> None:
    """The pid that was assigned last is known, and of two processes the later one is listed first."""
    first, second = spawn().pid, spawn().pid
    assert proc.last_pid() is not None
    pids = proc.all_pids()
    assert {first, second, os.getpid()} <= set(pids)
    # pids start again at a low number after the highest
    assert (pids.index(second) < pids.index(first)) is (second > first or (proc.last_pid() or 0) < first)


def test_numbers_that_have_started_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the highest pid comes a low one: the newest process has the highest pid not above the last one assigned."""
    monkeypatch.setattr(os, "listdir", lambda _path: ["1", "9", "self", "300", "32000", "31000"])
    monkeypatch.setattr(proc, "last_pid", lambda: 305)
    assert proc.all_pids() == [300, 9, 1, 32000, 31000]
