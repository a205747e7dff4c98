"""What is sent to journald, read from a socket that stands in for journald's."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gravscope.supervisor import journal
from gravscope.supervisor.journal import ENDED, Journal


@pytest.fixture
def journald(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The socket that journald would read from."""
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as found:
        found.bind(str(path))
        found.settimeout(10)
        monkeypatch.setattr(journal, "SOCKET", str(path))
        yield found


def test_an_entry_names_its_unit(journald: socket.socket) -> None:
    """The entry itself names the unit: journald, which may read it late, need not look it up."""
    Journal("fit_1", "fit", "gravscope-fit_1.scope", None).event(ENDED, "job fit_1 ended")
    lines = journald.recv(4096).split(b"\n")
    assert b"USER_UNIT=gravscope-fit_1.scope" in lines
    assert f"MESSAGE_ID={ENDED}".encode() in lines
    assert {b"GRAVSCOPE_JOB=fit_1", b"GRAVSCOPE_NAME=fit", b"SYSLOG_IDENTIFIER=fit"} < set(lines)


def test_without_a_unit_none_is_named(journald: socket.socket) -> None:
    """A job in a session has no unit, and its entries name none."""
    Journal("fit_1", "fit", None, None).event(ENDED, "job fit_1 ended")
    assert b"USER_UNIT" not in journald.recv(4096)


def test_without_journald_nothing_happens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where there is no journald, sending an event is not an error."""
    monkeypatch.setattr(journal, "SOCKET", str(tmp_path / "none"))
    Journal("fit_1", "fit", None, None).event(ENDED, "job fit_1 ended")
