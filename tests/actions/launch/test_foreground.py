"""`gravscope run --fg` at a real terminal: the command is what the shell, the keys and the window deal with."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.needs import needing
from tests.support import Gravscope, ManagedGravscope, alive, state_of, until
from tests.terminal import Screen, screen_for, waiting
from tests.vim import use_vim

# says so, and goes on until the end of its input, whatever else it is told
DEAF = "trap 'echo caught' INT TSTP; echo ready; until read -t 1 x; [ $? -le 128 ]; do :; done; exit 5"


@pytest.fixture
@needing("tmux")
def screen(gravscope: Gravscope) -> Iterator[Screen]:
    """A terminal with a shell, without a user manager."""
    with screen_for(gravscope) as screen:
        yield screen


@pytest.fixture
@needing("tmux")
def managed_screen(managed: ManagedGravscope) -> Iterator[Screen]:
    """The same, of an ordinary user with a user manager."""
    with screen_for(managed) as screen:
        yield screen


@pytest.fixture(params=["session", pytest.param("scope", marks=pytest.mark.needs("manager"))])
@needing("tmux")
def either(request: pytest.FixtureRequest) -> Screen:
    """One and the other."""
    found: Screen = request.getfixturevalue("screen" if request.param == "session" else "managed_screen")
    return found


def only_record(gravscope: Gravscope) -> dict[str, object]:
    """The record of the one job there is, once it has ended."""
    (record,) = gravscope.records()
    return gravscope.ended(record["id"])


def numbered(gravscope: Gravscope) -> Path:
    """A file of 200 lines to look at."""
    path = gravscope.folder / "numbers"
    path.write_text("".join(f"line {number}\n" for number in range(1, 201)))
    return path


def is_running(gravscope: Gravscope, count: int = 1) -> bool:
    """True once so many jobs run."""
    return len([record for record in gravscope.records() if record["state"] == "running"]) == count


# a full-screen program


@pytest.mark.needs("less")
def test_less_is_usable(either: Screen) -> None:
    """less fills the screen, scrolls, takes the new size of its window, stops on Ctrl-Z, goes on with fg, and leaves
    the screen as it was, with exit status 0; meanwhile status and show tell that it runs, and at which terminal."""
    path = numbered(either.gravscope)
    either.command(f"$G run --fg -n pager -- less {path}")
    either.shows(r"\Aline 1$")
    either.keys("G")
    either.shows(r"^line 200\n\(END\)$")
    either.resize(60, 12)
    either.keys("g")
    either.shows(r"\Aline 1\n(line \d+\n){9}line 11\n\S+$")
    (record,) = either.gravscope.records()
    assert (record["state"], record["foreground"], record["pgid"]) == ("running", True, None)
    assert os.getsid(record["supervisor_pid"]) == record["supervisor_pid"]
    scope = isinstance(either.gravscope, ManagedGravscope)
    assert record["launcher"] == ("scope" if scope else "session")
    terminal = either.tmux("display-message", "-p", "#{pane_tty}").strip()
    assert record["terminal"] == terminal
    assert f"running {terminal.removeprefix('/dev/')} " in either.gravscope("status").stdout
    assert f"in the foreground of {terminal}\n" in either.gravscope("show", "pager").stdout
    either.keys("C-z")
    assert either.status() == 128 + signal.SIGTSTP
    either.shows(r"^\[1\]\+ +Stopped")
    either.command("fg")
    either.shows(r"\Aline 1\n")
    either.keys("q")
    assert either.status() == 0
    assert "line 11" not in either.text()
    record = only_record(either.gravscope)
    assert (record["state"], record["exit_code"], record["warnings"]) == ("succeeded", 0, [])


@pytest.mark.needs("vim")
def test_vim_is_usable(either: Screen) -> None:
    """An editor takes keys, follows its window, writes; and the exit status is its own, 0 of :wq and 1 of :cq."""
    use_vim(either)


def test_ctrl_c_is_the_commands(either: Screen) -> None:
    """Ctrl-C ends the command, as the record tells, and as from any shell a loop of such commands, but nothing else; a
    command that catches it, or Ctrl-Z, goes on, and keeps the terminal."""
    either.command("for i in 1 2; do $G run --fg -- sleep 1000; done")
    until(lambda: is_running(either.gravscope), "the job")
    either.keys("C-c")
    assert either.status() == 130
    record = only_record(either.gravscope)
    assert (record["state"], record["signal"], record["reason"]) == ("killed", 2, "ended by SIGINT")
    either.command(f"""$G run --fg -c -- "{DEAF.replace("$", chr(92) + "$")}" """)
    either.shows("^ready$")
    either.keys("C-c")
    either.shows("caught$")
    either.keys("C-z")
    either.shows("caught\n(.*\n)*.*caught$")
    either.keys("C-d")
    assert either.status() == 5


def test_cancelled_from_elsewhere(either: Screen) -> None:
    """After `gravscope cancel` the shell has its terminal back, with the modes that it had, even where the command had
    set others and had no chance to see to them; the shell's exit status and the record tell the signal."""
    script = "import signal, time, tty; signal.signal(15, signal.SIG_IGN); tty.setraw(0); print('raw', flush=True)"
    either.command(f"""$G run --fg -n raw --grace 0.1s -- python3 -c "{script}; time.sleep(1000)" """)
    either.shows("^raw$")
    assert either.gravscope("cancel", "raw").returncode == 0
    assert either.status() == 137
    either.shows("gravscope: raw_.*: cancelled: ")
    record = only_record(either.gravscope)
    assert (record["state"], record["signal"]) == ("cancelled", 9)
    either.command("stty -a | grep -o -- '-*icanon'")
    either.shows("^icanon$")
    assert either.status() == 0


def test_waiting_is_killed(either: Screen) -> None:
    """Whoever kills `gravscope run --fg` itself, even with SIGKILL, has taken the command's terminal away: it gets
    SIGHUP, and the record tells both. What ignores that goes on, and how it ends is known."""
    either.command("$G run --fg -n soft -c -- 'sleep 1000; true'")
    until(lambda: is_running(either.gravscope), "the job")
    os.kill(waiting(either.gravscope), signal.SIGKILL)
    assert either.status() == 137
    record = only_record(either.gravscope)
    assert (record["state"], record["signal"]) == ("killed", 1)
    assert "gravscope run --fg was gone before its command had ended" in str(record["warnings"])
    go = either.gravscope.folder / "go"
    either.command(
        f"""$G run --fg -n deaf -c -- 'trap "" HUP; echo ready; until [ -e {go} ]; do sleep 0.1; done; exit 4'"""
    )
    either.shows("^ready$")
    os.kill(waiting(either.gravscope), signal.SIGKILL)
    assert either.status() == 137
    (record,) = [found for found in either.gravscope.records() if found["name"] == "deaf"]
    until(lambda: either.gravscope.record(str(record["id"]))["warnings"], "word of it")
    assert alive(int(str(record["pid"])))
    go.write_text("")
    record = either.gravscope.ended(str(record["id"]))
    assert (record["state"], record["exit_code"]) == ("failed", 4)


# what a shell does with its commands


def test_a_pipeline(screen: Screen) -> None:
    """Its neighbours in a pipeline have the terminal as well, and it sees the end of what it reads."""
    screen.command("seq 300 | $G run --fg --launcher session -- sed 's/^/n/' | less")
    screen.shows(r"\An1\nn2$")
    screen.keys("C-z")
    screen.shows("Stopped")
    screen.command("fg")
    screen.shows(r"\An1\nn2$")  # what is typed before less has the terminal again is shown as it is
    screen.keys("G")
    screen.shows("^n300$")
    screen.keys("q")
    assert screen.status() == 0
    assert only_record(screen.gravscope)["state"] == "succeeded"


def test_in_the_background_and_back(screen: Screen) -> None:
    """Started with &, it stops when it wants to read from the terminal, and fg gives it that."""
    screen.command("$G run --fg -- cat &")
    screen.keys("Enter")
    until(lambda: is_running(screen.gravscope), "the job")
    (record,) = screen.gravscope.records()
    attendant = waiting(screen.gravscope)
    until(lambda: (state_of(record["pid"]), state_of(attendant)) == ("T", "T"), "the stop")
    screen.command("fg")
    screen.shows("run --fg -- cat$")
    screen.keys("x", "y", "Enter")
    screen.shows("^xy\nxy$")
    screen.keys("C-d")
    assert screen.status() == 0


def test_stopped_and_ended_elsewhere(screen: Screen) -> None:
    """Where somebody stops the command, the shell gets its terminal back; where somebody ends it then, the shell is
    told so without a fg; and whoever lets `gravscope run --fg` go on means the command."""
    screen.command("$G run --fg -- sleep 1000")
    until(lambda: is_running(screen.gravscope), "the job")
    (record,) = screen.gravscope.records()
    os.kill(record["pid"], signal.SIGSTOP)
    assert screen.status() == 128 + signal.SIGTSTP
    attendant = waiting(screen.gravscope)
    os.kill(attendant, signal.SIGCONT)
    until(lambda: state_of(record["pid"]) == "S", "going on")
    os.kill(record["pid"], signal.SIGSTOP)
    until(lambda: state_of(attendant) == "T", "the stop")
    assert screen.gravscope("cancel", record["id"]).returncode == 0
    until(lambda: not alive(attendant), "its end")
    screen.command(":")
    screen.shows(r"^\[1\]\+ +Exit 143 ")
    assert only_record(screen.gravscope)["state"] == "cancelled"


def test_a_shell_in_it_is_killed(screen: Screen) -> None:
    """A shell with jobs of its own takes the terminal; where it is killed, the script that ran it has that
    again."""
    screen.command("bash -c '$G run --fg -n shell -e PS1=in: --grace 0.1s -- bash --norc -i; read x; echo got $x'")
    screen.shows("^in:$")
    screen.keys("a", "b")
    screen.shows("^in:ab$")  # it reads, so the terminal is its own
    assert screen.gravscope("cancel", "shell").returncode == 0
    screen.shows("gravscope: shell_.*: cancelled: ")
    screen.keys("x", "y", "Enter")
    screen.shows("^got xy$")
    assert screen.status() == 0


def test_there_is_no_shell(screen: Screen) -> None:
    """Where a window has nothing else, nobody could let it go on: Ctrl-Z does not stop it, nor would it any other."""
    screen.tmux("new-window", "exec " + screen.environ["G"] + " run --fg --launcher session -- cat")
    until(lambda: screen.gravscope.jobs_dir.exists() and is_running(screen.gravscope), "the job")
    screen.keys("C-z", "x", "y", "Enter")
    screen.shows(r"^(?:\^Z)?xy\nxy$")
    screen.keys("C-d")
    assert only_record(screen.gravscope)["state"] == "succeeded"


def test_the_end_of_the_terminal(screen: Screen) -> None:
    """When its window is closed, the command gets SIGHUP as any other would, also one that is all that a window has."""
    screen.command("$G run --fg -n inside -- sleep 1000")
    alone = "exec " + screen.environ["G"] + " run --fg -n alone -- sleep 1000"
    screen.tmux("new-window", alone)
    until(lambda: is_running(screen.gravscope, 2), "both jobs")
    screen.tmux("kill-window", "-t", ":0")
    screen.tmux("set-option", "-g", "exit-empty", "off")
    screen.tmux("kill-window", "-t", ":1")
    for found in screen.gravscope.records():
        record = screen.gravscope.ended(found["id"])
        assert (record["state"], record["signal"]) == ("killed", 1), record["name"]


def test_ctrl_c_before_there_is_a_command(managed_screen: Screen) -> None:
    """Ctrl-C ends a launcher that is stuck, too, and the record tells that the command was never started."""
    folder = managed_screen.gravscope.folder
    stub = folder / "systemd-run"
    stub.write_text("#!/bin/sh\necho $$ >stuck\nexec sleep 1000\n")
    stub.chmod(0o755)
    managed_screen.command(f"PATH={folder}:$PATH $G run --fg -n never -- true")
    until((folder / "stuck").exists, "the launcher")
    managed_screen.keys("C-c")
    assert managed_screen.status() == 130
    assert managed_screen.gravscope("show", "never").stdout.splitlines()[0].split(": ")[1] == "never-started"


def test_what_has_left_the_terminal_goes_on(screen: Screen) -> None:
    """A job whose command has ended and whose background processes go on, as a tmux that was detached, is waited for no
    longer; and neither these nor what has left the terminal's session die of its end."""
    screen.command("$G run --fg -n server -c -- 'setsid sleep 1000 & sleep 0.1; exit 3'")
    assert screen.status() == 3
    screen.shows("gravscope: server_.*: its background processes go on")
    left = 'setsid sh -c "echo ready; exec sleep 1000"'  # says so once it has left
    screen.command(f"$G run --fg -n both -c -- '{left} & sleep 1000; true'")
    screen.shows("^ready$")
    os.kill(waiting(screen.gravscope), signal.SIGKILL)
    assert screen.status() == 137
    for name in ("server", "both"):
        (record,) = [found for found in screen.gravscope.records() if found["name"] == name]
        until(lambda pid=record["pid"]: not alive(pid), "the end of the command")
        shown = json.loads(screen.gravscope("show", "--json", name).stdout)
        assert (shown["state"], bool(shown["warnings"])) == ("running", name == "both")
        assert screen.gravscope("cancel", name).returncode == 0
        assert screen.gravscope.ended(record["id"])["state"] == "cancelled"
