"""The journal has what the job wrote and what became of it, under its unit; the file has all of it."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gravscope.supervisor import journal
from tests.support import alive, until

from .conftest import OpenSession, output_of
from .helpers import HOG, GuestGravscope, command


def entries(*match: str) -> list[dict[str, Any]]:
    """What the user's journal has for these matches."""
    command = ["journalctl", "--user", "--quiet", "--output=json", "--all", *match]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return [json.loads(line) for line in done.stdout.splitlines()]


def messages(*match: str) -> list[str]:
    """The texts of these entries."""
    return [entry["MESSAGE"] for entry in entries(*match)]


def kinds(job: str) -> list[str]:
    """The message ids of the job's entries."""
    return [entry["MESSAGE_ID"] for entry in entries(f"GRAVSCOPE_JOB={job}") if "MESSAGE_ID" in entry]


def ended_in_journal(guest: GuestGravscope, *words: str) -> dict[str, Any]:
    """The record of a job that has run to its end, once the journal has its end too."""
    record = guest.run(*words)
    until(lambda: journal.ENDED in kinds(record["id"]), "the end in the journal")
    return record


def test_lines_and_events_three_ways(guest: GuestGravscope) -> None:
    """`logs --journal`, the unit and GRAVSCOPE_JOB each show the lines, in order, between start and end."""
    record = ended_in_journal(guest, "-n", "says", "--", "bash", "-c", "echo first; echo second; printf third; exit 3")
    job = record["id"]
    said = [f"job {job} started: pid {record['pid']}", "first", "second", "third", f"job {job} failed: exit status 3"]
    assert messages(f"GRAVSCOPE_JOB={job}") == said
    under_unit = messages(f"--user-unit={record['unit']}")
    assert [line for line in under_unit if line in said] == said
    assert any(line.startswith(f"Started {record['unit']}") for line in under_unit)
    shown = guest("logs", "--journal", job)
    assert shown.returncode == 0, shown.stderr
    positions = [shown.stdout.index(f": {line}") for line in said]
    assert positions == sorted(positions)


def test_events_can_be_found_by_their_kind(guest: GuestGravscope) -> None:
    """Start and end have message ids, the job's name is a field, and all of it is filed under the scope."""
    job = ended_in_journal(guest, "-n", "kinds", "--", "echo", "x")
    found = entries(f"GRAVSCOPE_JOB={job['id']}")
    assert {entry["GRAVSCOPE_NAME"] for entry in found} == {"kinds"}
    assert {entry["SYSLOG_IDENTIFIER"] for entry in found} == {"kinds"}
    assert {entry["USER_UNIT"] for entry in found} == {job["unit"]}
    assert [entry.get("MESSAGE_ID") for entry in found] == [journal.STARTED, None, journal.ENDED]
    assert job["id"] in " ".join(messages(f"MESSAGE_ID={journal.STARTED}", "GRAVSCOPE_NAME=kinds"))


def test_a_job_that_ends_at_once(guest: GuestGravscope) -> None:
    """Even of jobs that end at once, five times over, start and end stand under their own unit."""
    for number in range(5):
        record = ended_in_journal(guest, "-n", f"quick{number}", "--", "true")
        under_unit = entries(f"--user-unit={record['unit']}")
        seen = [entry["MESSAGE_ID"] for entry in under_unit if entry.get("GRAVSCOPE_JOB")]
        assert seen == [journal.STARTED, journal.ENDED]


@pytest.mark.as_root
def test_a_journald_that_comes_late(login: OpenSession, place: Path) -> None:
    """Entries that journald reads when their sender has long gone stand under its unit too (systemd issue 2913)."""
    words = shlex.join(command(place, "run", "--wait", "-n", "late", "--launcher", "scope", "--", "echo", "x"))
    journald = int(output_of("systemctl", "show", "-P", "MainPID", "systemd-journald"))
    with login("alice") as session:
        os.kill(journald, signal.SIGSTOP)
        try:
            session.run(words)
            record = json.loads(next((place / "jobs").glob("*.json")).read_text())
            until(lambda: not alive(record["supervisor_pid"]), "the end of the supervisor")
        finally:
            os.kill(journald, signal.SIGCONT)
        ask = f"journalctl --user --quiet --output=cat --user-unit={record['unit']} GRAVSCOPE_NAME=late"
        said = [f"job {record['id']} started: pid {record['pid']}", "x", f"job {record['id']} succeeded: exit status 0"]
        until(lambda: session.run(ask).split("\n")[:-1] == said, "start, line and end under the unit")


def test_an_oom_kill_is_said(guest: GuestGravscope) -> None:
    """A kill for memory that the job survives is an event of its own, a warning."""
    words = ("--oom-policy", "continue", "--mem-max", "24M", "--swap-max", "0")
    record = ended_in_journal(guest, "-n", "loses", *words, "--", "bash", "-c", f"{HOG}; sleep 2")
    (kill,) = entries(f"GRAVSCOPE_JOB={record['id']}", f"MESSAGE_ID={journal.OOM}")
    assert (kill["PRIORITY"], kill["MESSAGE"]) == ("4", "the kernel killed 1 of its processes for memory so far")


def test_a_flood_is_left_to_the_file(guest: GuestGravscope) -> None:
    """100,000 lines at once: the file has each of them; the journal has some, and says that it went on in the file."""
    record = ended_in_journal(guest, "-n", "flood", "--", "bash", "-c", "seq 100000; sleep 1.5; echo the end")
    assert guest.log(record["id"]).splitlines() == [*map(str, range(1, 100001)), "the end"]
    found = entries(f"GRAVSCOPE_JOB={record['id']}")
    assert [entry["MESSAGE_ID"] for entry in found if "MESSAGE_ID" in entry][1:-1].count(journal.SUPPRESSED) >= 1
    assert len(found) < 5000
    lines = [entry["MESSAGE"] for entry in found]
    assert "1" in lines
    assert "the end" in lines  # after a flood the journal goes on


def test_bytes_that_are_no_text(guest: GuestGravscope) -> None:
    """Binary output and a progress bar that overwrites itself: the file has the bytes, the journal the last state."""
    script = r"printf 'a\377b\n'; printf '10%%\r50%%\r100%%\n'; printf 'x\033[1my\n'"
    record = ended_in_journal(guest, "-n", "bytes", "--", "bash", "-c", script)
    with open(record["log_file"], "rb") as file:
        assert file.read() == b"a\xffb\n10%\r50%\r100%\nx\x1b[1my\n"
    lines = messages(f"GRAVSCOPE_JOB={record['id']}")[1:-1]
    assert len(lines) == 3
    assert lines[1] == "100%"
