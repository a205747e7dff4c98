"""Trap 48, with real jobs: a secret is in the private record and in the job, and in nothing that gravscope says."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gravscope.actions.launch.run import run
from gravscope.actions.launch.spec import Typed, make_spec
from gravscope.launchers import start
from gravscope.settings.project import Project
from tests.support import REPOSITORY, Gravscope, until

HUSH = "Hu5h"
URL = f"postgres://bob:{HUSH}@db/x"
HANDED = ["-e", f"MYSQL_PWD={HUSH}", "-e", f"DATABASE_URL={URL}", "-e", "LR=3"]
COMMAND = ["sh", "-c", 'echo "$MYSQL_PWD $DATABASE_URL $*"; exec sleep 1000', "sh", "--token", HUSH, f"--url={URL}"]


@pytest.fixture
def job(gravscope: Gravscope) -> str:
    """A job that was handed secrets in many ways, and lives."""
    found = gravscope.start("-n", "x", *HANDED, "--", *COMMAND)
    until(lambda: gravscope.log(found), "what it says")
    return found


def test_no_command_says_it(gravscope: Gravscope, job: str) -> None:
    """Not status, show, wait, limit, pause, resume or cancel, in words or as JSON; the command got what was meant."""
    assert gravscope.log(job) == f"{HUSH} {URL} --token {HUSH} --url={URL}\n"
    said = []
    for words in (
        ("status",), ("status", "--json"), ("show", job), ("show", "--json", job), ("pause", "--json", job),
        ("resume", "--json", job), ("wait", "--timeout", "0", "--json", job),
        ("limit", "--json", "--mem-max", "1G", job), ("cancel", "--json", job), ("wait", "--json", job),
        ("show", job), ("status", "-a", "--json"),
    ):  # fmt: skip
        done = gravscope(*words)
        assert "Traceback" not in done.stderr
        said += [done.stdout, done.stderr]
    assert HUSH not in "".join(said)
    assert "LR=3" in said[4]
    assert "--token '***' '--url=postgres://bob:***@db/x'" in said[4]
    shown = json.loads(said[6])
    assert shown["env"] == {"MYSQL_PWD": "***", "DATABASE_URL": "postgres://bob:***@db/x", "LR": "3"}
    kept = gravscope.record(job)
    assert (kept["env"]["MYSQL_PWD"], kept["cmd"]) == (HUSH, COMMAND)


def test_nor_does_run(gravscope: Gravscope) -> None:
    """Not its record, its dry run or its error, nor the name and the files of a job that has no name of its own."""
    done = gravscope("run", "--json", "--launcher", "session", *HANDED, "--", "true", "--token", HUSH)
    dry = gravscope("run", "--dry-run", "--launcher", "session", *HANDED, "--", "true", "--token", HUSH)
    lost = gravscope("run", "--launcher", "session", "--", f"mysql --password={HUSH}")
    named = gravscope("run", "--launcher", "session", "--", "python3", "--token", HUSH, "/none/such.py")
    wrong = gravscope("run", *HANDED, "-e", f"MY PWD={HUSH}", "--", "true")
    results = (done, dry, lost, named, wrong)
    assert [result.returncode for result in results] == [0, 0, 2, 0, 2]
    assert HUSH not in "".join(result.stdout + result.stderr for result in results)
    assert HUSH not in " ".join(path.name for path in gravscope.folder.rglob("*"))
    assert "true --token '***' </dev/null" in dry.stdout
    assert dry.stderr == "gravscope: what looks like a secret is shown as ***: put it in before you paste this\n"
    assert lost.stderr.startswith("gravscope: command not found: mysql --password=***")
    assert named.stdout.startswith("such_")


@pytest.fixture
def journald(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """What a journal gets to hear. The supervisor is told of it by a file of its own, which is started in its stead."""
    place = tmp_path / "journal"
    stand_in = tmp_path / "gravscope" / "supervisor" / "__main__.py"
    stand_in.parent.mkdir(parents=True)
    stand_in.write_text(
        f"import sys\nsys.path.append({str(REPOSITORY)!r})\nfrom gravscope.supervisor import journal\n"
        f"journal.SOCKET = {str(place)!r}\nfrom gravscope.supervisor.main import main\nmain(int(sys.argv[1]))\n"
    )
    monkeypatch.setattr(start, "SUPERVISOR", stand_in)
    heard: list[bytes] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(place))

        def listen() -> None:
            while (entry := listening.recv(1 << 16)) != b"end":
                heard.append(entry)

        listener = threading.Thread(target=listen)
        listener.start()
        yield heard
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as closing:
            closing.sendto(b"end", str(place))
        listener.join()


def test_nor_does_the_journal(tmp_path: Path, journald: list[bytes]) -> None:
    """Every event of the job in the journal is without it: that it has started, and how it ended."""
    spec = make_spec(
        Typed(command=["sh", "-c", "kill -9 $$", "sh", "--token", HUSH], name="x", env=HANDED[1::2], launcher="session")
    )
    project = Project(tmp_path / "jobs", tmp_path / "logs")
    record = run(spec, project, {"PATH": os.environ["PATH"]})
    until(lambda: any(b"killed: " in entry for entry in journald), "the event of its end")
    events = [entry for entry in journald if b"MESSAGE_ID=" in entry]
    assert len(events) == 2
    assert all(f"GRAVSCOPE_JOB={record.id}".encode() in event for event in events)
    assert HUSH.encode() not in b"".join(journald)
