"""Which reason is given for a stop without a cancel request, from logind's state file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gravscope.supervisor import stopped_by

LOGGED_OUT = "# This is private data. Do not parse.\nNAME=bob\nSTATE=closing\nSTOPPING=yes\nLAST_SESSION_TIMESTAMP=1\n"


@pytest.mark.parametrize(
    ("text", "linger", "in_unit", "logged_out"),
    [
        (LOGGED_OUT, False, True, True),
        (LOGGED_OUT, True, True, False),
        (LOGGED_OUT, False, False, False),
        (LOGGED_OUT.replace("STOPPING=yes", "STOPPING=no"), False, True, False),
        (LOGGED_OUT.replace("closing", "active"), False, True, False),
        ("", False, True, False),
        (None, False, True, False),
    ],
)
def test_the_last_logout_is_told_from_other_stops(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, text: str | None, linger: bool, in_unit: bool, logged_out: bool
) -> None:
    """It counts as a logout only if the manager is stopping, its user has no linger, and the job is in a unit."""
    monkeypatch.setattr(stopped_by, "USERS", str(tmp_path))
    monkeypatch.setattr(stopped_by, "LINGER", str(tmp_path / "linger"))
    monkeypatch.setattr(stopped_by, "PATIENCE", 0)
    (tmp_path / "linger").mkdir()
    if linger:
        (tmp_path / "linger" / "bob").touch()
    if text is not None:
        (tmp_path / str(os.getuid())).write_text(text)
    sentence = stopped_by.stop_reason("SIGTERM", in_unit=in_unit)
    assert ("last logout" in sentence) is logged_out
    assert logged_out or sentence == "told to stop by SIGTERM, with no cancel request"
