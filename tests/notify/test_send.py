"""The notifier itself: its messages, its recipients, its time limits, and what it writes into the record."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gravscope.base.errors import UsageError
from gravscope.linux import files
from gravscope.notify import send
from gravscope.notify.notify import recipients
from gravscope.notify.send import message, notify_all, record_results
from gravscope.records import spec
from gravscope.settings.layers import Layer, resolve
from tests.support import alive, until
from tests.test_house import loaded_by
from tests.webhook import Receiver, serving


@pytest.fixture
def webhook() -> Iterator[Receiver]:
    """A webhook receiver that accepts everything."""
    yield from serving(Receiver())


def ended(**fields: object) -> dict[str, Any]:
    """The fields of a record that the notifier gets."""
    usual = {"id": "fit_1", "invocation_id": "0", "ended": "now", "name": "fit", "state": "failed", "exit_code": 1}
    return {**usual, "signal": None, "duration": 7380.0, "host": "box", "reason": "exit status 1", **fields}


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "gravscope: fit failed (exit status 1) after 2h03m on box"),
        (
            {"reason": "exit status 1; a request to end it came too late, or was ignored"},
            "gravscope: fit failed (exit status 1) after 2h03m on box: "
            "exit status 1; a request to end it came too late, or was ignored",
        ),
        (
            {"state": "killed", "signal": 9, "exit_code": None, "reason": "ended by SIGKILL"},
            "gravscope: fit killed (SIGKILL) after 2h03m on box: ended by SIGKILL",
        ),
        (
            {"state": "never-started", "exit_code": None, "duration": None, "reason": "no such\x1b[2J\n--token=hush"},
            "gravscope: fit never-started on box: no such [2J --token=***",
        ),
        (
            {"state": "lost", "exit_code": None, "duration": None, "host": None, "reason": None},
            "gravscope: fit lost",
        ),
    ],
)
def test_what_is_said(fields: dict[str, object], text: str) -> None:
    """One line, with the reason if it says more, without secrets and without control characters."""
    assert " ".join(message(ended(**fields))).strip() == text


def test_markup_is_only_text(webhook: Receiver) -> None:
    """Text that a chat or a desktop would take for markup, or for a call to everybody, is shown as text."""
    whom = {"desktop": False, "webhook": webhook.address, "command": None}
    handed = {"patience": 10.0, "whom": whom, "record": ended(reason="command not found: <!channel> & co")}
    (entry,) = notify_all(handed)
    assert entry["error"] is None
    assert webhook.texts()[0].endswith(": command not found: &lt;!channel&gt; &amp; co")


@pytest.mark.slow
def test_a_command_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    """After the time limit none of its processes is left."""
    pids = tmp_path / "pids"
    command = f"sleep 1000 & echo $! >{pids}; wait"
    handed = {"patience": 2.0, "whom": {"command": command}, "record": ended()}
    (entry,) = notify_all(handed)
    assert entry["error"] == "no answer within 2 s"
    until(lambda: not alive(int(pids.read_text())), "the end of what it started")


def test_whoever_does_not_keep_to_the_time_is_left_behind(tmp_path: Path) -> None:
    """A server that answers byte by byte, each byte in time, does not get more time than the limit for all."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        threading.Thread(target=_drip, args=(server,), daemon=True).start()
        address = f"http://127.0.0.1:{server.getsockname()[1]}/"
        began = time.monotonic()
        (entry,) = notify_all({"patience": 0.5, "whom": {"webhook": address}, "record": ended()})
    assert entry["error"] == "no answer within 0.5 s"
    assert time.monotonic() - began < 30


def _drip(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
        while True:
            try:
                connection.sendall(b"x")
            except OSError:
                return
            time.sleep(0.05)


def test_the_note_goes_into_no_other_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that is gone, invalid, another job's by now, or locked by another process is not changed."""
    path, lock = tmp_path / "fit_1.json", tmp_path / "fit_1.lock"
    handed = {"record_path": str(path), "lock_path": str(lock), "record": ended()}
    record_results(handed, [{"channel": "webhook", "at": "now", "error": None}])
    assert os.listdir(tmp_path) == []
    for text in ("", "[]", "null", json.dumps(ended(invocation_id="1")), json.dumps(ended(ended=None))):
        path.write_text(text)
        record_results(handed, [{"channel": "webhook", "at": "now", "error": None}])
        assert (path.read_text(), os.listdir(tmp_path)) == (text, [path.name])
    path.write_text(json.dumps(ended()))
    with lock.open("w") as held:
        files.lock(held.fileno())
        monkeypatch.setattr(send, "PATIENCE", 0.05)
        record_results(handed, [{"channel": "webhook", "at": "now", "error": None}])
        assert json.loads(path.read_text()) == ended()
        assert lock.exists()
    monkeypatch.undo()
    record_results(handed, [{"channel": "webhook", "at": "now", "error": None}])
    assert json.loads(path.read_text())["notified"] == [{"channel": "webhook", "at": "now", "error": None}]
    assert path.stat().st_mode & 0o777 == 0o600


def test_whom_to_tell() -> None:
    """The configured recipients; the desktop if there are none; an error if the desktop is turned off as well."""

    def asked(table: dict[str, object]) -> spec.Notify:
        return recipients(resolve([Layer({"notify": table}, Path("/nowhere"))]))

    assert asked({}) == spec.Notify(desktop=True)
    assert asked({"webhook": "https://x/y"}) == spec.Notify(webhook="https://x/y")
    assert asked({"desktop": True, "command": "x"}) == spec.Notify(desktop=True, command="x")
    with pytest.raises(UsageError, match="nobody else is set"):
        asked({"desktop": False})


def test_the_notifier_needs_the_standard_library_alone() -> None:
    """It is started without site-packages, and loads no module of the command line."""
    found = loaded_by("import gravscope.notify.send")
    assert {name for name in found if name.partition(".")[0] in ("msgspec", "typer", "rich")} == set()
    assert "gravscope.records.model" not in found
