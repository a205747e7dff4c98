"""`gravscope run --fg` where there is no terminal: in a script, from cron, in a pipe."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support import PATIENCE, Gravscope, ManagedGravscope, alive, until

FG = ("run", "--fg", "--launcher", "session")


def only_record(gravscope: Gravscope) -> dict[str, Any]:
    """The record of the one job there is, once it has ended."""
    (record,) = gravscope.records()
    return gravscope.ended(record["id"])


def popen(gravscope: Gravscope, *words: str, **options: Any) -> subprocess.Popen[str]:  # noqa: ANN401
    """`gravscope run --fg WORDS…`, just started, whatever signals pytest was started to ignore."""
    argv = ["env", "--default-signal", *gravscope.command, *FG, *words]
    return subprocess.Popen(argv, env=gravscope.environ, cwd=gravscope.folder, text=True, **options)


def listens(pid: int) -> bool:
    """True once it takes news as signals: from then on it hears of everything in one place."""
    try:
        texts = [path.read_text() for path in Path(f"/proc/{pid}/fdinfo").iterdir()]
    except OSError:
        return False  # it has just closed one
    return any(int(text.split("flags:\t")[1].split()[0], 8) & os.O_ASYNC for text in texts)


@pytest.mark.parametrize(
    ("script", "status", "state"),
    [("exit 7", 7, "failed"), ("kill -INT $$", 130, "killed"), ("kill -KILL $$", 137, "killed")],
)
def test_exit_status(gravscope: Gravscope, script: str, status: int, state: str) -> None:
    """The exit status is the command's own, 128+N for signal N."""
    assert gravscope(*FG, "-c", "--", script).returncode == status
    assert only_record(gravscope)["state"] == state


def test_its_limits(gravscope: Gravscope) -> None:
    """It is ended by its timeout, and for its memory with 137; a line says so, after it."""
    done = gravscope(*FG, "--timeout", "0.2s", "--", "sleep", "1000")
    assert (done.returncode, done.stdout) == (143, "")
    assert re.fullmatch(r"gravscope: sleep_.*: timed-out: ended by its timeout of 0.2 s .*\n", done.stderr)
    done = gravscope(*FG, "--mem-max", "60M", "--", sys.executable, "-c", "x = b'x' * (200 << 20); input()")
    assert done.returncode == 137
    assert "oom-killed" in done.stderr.splitlines()[-1]


def test_it_is_a_filter(gravscope: Gravscope) -> None:
    """Standard input, output and error are the caller's, to the byte and to their ends; none of it is in the log, which
    says where it is."""
    data = bytes(range(256)) * 1000
    argv = [*gravscope.command, *FG, "-n", "filter", "-c", "--", "cat; echo said >&2"]
    done = subprocess.run(
        argv, env=gravscope.environ, cwd=gravscope.folder, input=data, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"said\n")
    assert done.stdout == data
    record = only_record(gravscope)
    assert (record["foreground"], record["terminal"]) == (True, None)
    line = "gravscope: in the foreground: what it writes goes to the standard output of whoever started it, not here\n"
    assert gravscope("logs", "filter").stdout == line


def test_its_output_ends_with_the_command(gravscope: Gravscope) -> None:
    """Whoever reads its output sees the end of it, although the job goes on in the background."""
    done = gravscope(*FG, "-n", "on", "-c", "--", "sleep 1000 >/dev/null 2>&1 & echo said")
    assert (done.returncode, done.stdout) == (0, "said\n")
    assert re.fullmatch("gravscope: on_.*: its background processes go on; .*\n", done.stderr)
    assert gravscope("cancel", "on").returncode == 0


def test_its_process(gravscope: Gravscope) -> None:
    """It shares session and process group with its caller, has no file of ours open and no signal changed, is as likely
    a victim of the kernel as its caller, and knows that it is a job."""
    script = "\n".join(
        ["import os", "print(os.getsid(0), os.getpgrp(), sorted(os.listdir('/proc/self/fd')))",
         "print(open('/proc/self/oom_score_adj').read().strip(), os.environ['GRAV_BG_JOB'], os.environ['X'])",
         "print(*[line for line in open('/proc/self/status') if line.startswith(('SigIgn', 'SigBlk'))])"]
    )  # fmt: skip
    done = popen(gravscope, "-e", "X=1", "--", "python3", "-S", "-c", script, stdout=subprocess.PIPE)
    ids, knows, blocked, ignored = done.communicate()[0].splitlines()[:4]
    # the fourth is that of the folder it reads
    assert ids == f"{os.getsid(0)} {os.getpgrp()} ['0', '1', '2', '3']"
    assert knows == f"{Path('/proc/self/oom_score_adj').read_text().strip()} 1 1"
    # Python's own: it ignores SIGPIPE and SIGXFSZ; two of the C library's cannot be set (see test_run_process)
    own = 1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1 | 0b11 << 31
    assert int(ignored.split()[1], 16) & ~own == 0
    assert int(blocked.split()[1], 16) == 0


def test_under_nohup(gravscope: Gravscope) -> None:
    """What its caller ignores it ignores as well, from the beginning."""
    words = " ".join([*gravscope.command, *FG, "--", "grep", "SigIgn", "/proc/self/status"])
    done = subprocess.run(
        ["env", "--default-signal", "sh", "-c", f"trap '' HUP INT; exec {words}"],
        env=gravscope.environ, cwd=gravscope.folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert int(done.stdout.split()[1], 16) & 0xFF == 0b11


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_to_it_is_the_commands(gravscope: Gravscope, number: signal.Signals) -> None:
    """`kill` of `gravscope run --fg` reaches the command, as that of any command in a script does."""
    process = popen(gravscope, "-c", "--", f"trap 'exit 9' {number.name[3:]}; echo ready; while :; do sleep 0.05; done",
                    stdout=subprocess.PIPE)  # fmt: skip
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "ready\n"
        until(lambda: listens(process.pid), "its attention")
        process.send_signal(number)
        assert process.wait(PATIENCE) == 9
    assert only_record(gravscope)["exit_code"] == 9


def as_a_shell_sees_it(process: subprocess.Popen[str]) -> int:
    """How it ends; at a terminal it ends by SIGINT itself if the command did, so that a shell's loop does, too."""
    code = process.wait(PATIENCE)
    return code if code >= 0 else 128 - code


def slow_launcher(managed: ManagedGravscope, first: str = "") -> dict[str, str]:
    """The environment in which systemd-run comes to its work only once there is a file `go`; `here` says that it has
    been started."""
    stub = managed.folder / "systemd-run"
    real = shutil.which("systemd-run", path=managed.manager.path)
    stub.write_text(f'#!/bin/sh\n{first}\n: >here\nuntil [ -e go ]; do sleep 0.05; done\nexec {real} "$@"\n')
    stub.chmod(0o755)
    return {**managed.environ, "PATH": f"{managed.folder}:{managed.manager.path}"}


@contextmanager
def being_launched(managed: ManagedGravscope, *, at_a_terminal: bool, first: str = "") -> Iterator[tuple[Any, int]]:
    """`gravscope run --fg -- sleep 1000` whose launcher has been started, and the keyboard of its controlling terminal;
    without one, a session that has none."""
    keyboard, terminal = os.openpty()
    argv = ["env", "--default-signal", "setsid", *(["--ctty"] if at_a_terminal else [])]
    argv += [*managed.command, "run", "--fg", "--", "sleep", "1000"]
    process = managed.manager.popen(
        argv,
        env=slow_launcher(managed, first),
        cwd=managed.folder,
        stdin=terminal if at_a_terminal else subprocess.DEVNULL,
    )
    os.close(terminal)
    try:
        until((managed.folder / "here").exists, "the launcher")
        yield process, keyboard
    finally:
        os.close(keyboard)
        process.kill()
        process.wait(PATIENCE)


@pytest.mark.parametrize("at_a_terminal", [True, False], ids=["terminal", "none"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_before_there_is_a_command(
    managed: ManagedGravscope, number: signal.Signals, at_a_terminal: bool
) -> None:
    """`kill` that comes while it is still being started is not lost either, with and without a terminal of its own."""
    with being_launched(managed, at_a_terminal=at_a_terminal) as (process, _):
        process.send_signal(number)
        (managed.folder / "go").touch()
        assert as_a_shell_sees_it(process) == 128 + number
    assert only_record(managed)["signal"] == number


def test_ctrl_c_before_there_is_a_command(managed: ManagedGravscope) -> None:
    """Ctrl-C ends a launcher, and so the launch: exit status 130, and nothing runs."""
    with being_launched(managed, at_a_terminal=True) as (process, keyboard):
        os.write(keyboard, b"\x03")
        assert as_a_shell_sees_it(process) == 130
    assert only_record(managed)["state"] == "never-started"


def test_ctrl_c_that_nobody_else_takes(managed: ManagedGravscope) -> None:
    """One that comes while launcher and supervisor ignore it reaches the command as soon as there is one."""
    with being_launched(managed, at_a_terminal=True, first="trap '' INT") as (process, keyboard):
        os.write(keyboard, b"\x03")
        assert os.read(keyboard, 2) == b"^C"  # the signal is sent before the key is shown
        (managed.folder / "go").touch()
        assert as_a_shell_sees_it(process) == 130
    assert only_record(managed)["signal"] == signal.SIGINT


def test_its_supervisor_is_killed(gravscope: Gravscope) -> None:
    """Without its supervisor the command goes on, is waited for to its end, and never said to have succeeded."""
    process = popen(gravscope, "--", "cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write("one\n")
    process.stdin.flush()
    assert process.stdout.readline() == "one\n"
    (record,) = gravscope.records()
    os.kill(record["supervisor_pid"], signal.SIGKILL)
    until(lambda: "its supervisor is gone" in str(gravscope.records()[0]["warnings"]), "word of it")
    assert process.communicate("two\n")[0] == "two\n"
    assert process.returncode == 1
    assert only_record(gravscope)["state"] == "lost"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_without_a_supervisor(gravscope: Gravscope, number: signal.Signals) -> None:
    """Then too, what ends `gravscope run --fg` ends the command, at a terminal as well as without one."""
    process = popen(gravscope, "--", "sleep", "1000", stderr=subprocess.DEVNULL)
    until(lambda: listens(process.pid), "its attention")
    (record,) = gravscope.records()
    os.kill(record["supervisor_pid"], signal.SIGKILL)
    until(lambda: "its supervisor is gone" in str(gravscope.records()[0]["warnings"]), "word of it")
    process.send_signal(number)
    assert process.wait(PATIENCE) == 1
    assert not alive(record["pid"])


def test_never_started(gravscope: Gravscope) -> None:
    """A command that is not there is one line and exit status 2, and the record says so."""
    done = gravscope(*FG, "--", "/no/such/command")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert only_record(gravscope)["state"] == "never-started"


@pytest.mark.parametrize("option", ["--wait", "--follow", "--json"])
def test_options_that_contradict_it(gravscope: Gravscope, option: str) -> None:
    """What would want the terminal as well, or not wait, is refused in one line, before anything exists."""
    done = gravscope(*FG, option, "--", "true")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert not gravscope.jobs_dir.exists()


def test_dry_run(gravscope: Gravscope) -> None:
    """The command line that is printed leaves the streams to the terminal, and works when it is pasted."""
    line = gravscope(*FG, "--dry-run", "-e", "X=a b", "-c", "--", 'cat; echo "$X"').stdout
    done = subprocess.run(
        ["sh", "-c", line], env=gravscope.environ, input="in\n", capture_output=True, text=True, check=False
    )
    assert done.stdout == "in\na b\n"
    assert not gravscope.jobs_dir.exists()


def test_in_a_scope(managed: ManagedGravscope) -> None:
    """With a user manager it runs in a scope of its own, its supervisor beside it, and no unit is left."""
    argv = [*managed.command, "run", "--fg", "-n", "here", "--mem-max", "1G", "--", "cat", "/proc/self/cgroup", "-"]
    done = managed.manager.run(argv, env=managed.environ, cwd=managed.folder, input="in\n")
    record = only_record(managed)
    assert done.returncode == 0, done.stderr
    assert re.search(rf"/{re.escape(record['unit'])}/job\nin\n\Z", done.stdout)
    assert record["launcher"] == "scope"
    until(lambda: "not-found" in managed.systemctl("show", record["unit"], "-p", "LoadState").stdout, "no unit")
