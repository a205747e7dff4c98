"""The README's tour on a whole machine: what it shows is what a machine with a user manager prints."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from tests.readme import PROPERTY, masked, play
from tests.support import REPOSITORY, installed


def test_the_tour(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """Each block prints what the page shows below it: jobs run in scopes, and the kernel kills at the limit."""
    tools, beside = tmp_path / "tools", tmp_path / "beside"
    tools.mkdir()
    beside.mkdir()
    installed(tools)
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("GRAVSCOPE", "MAKE"))}
    environ |= {"PATH": f"{tools}:{environ['PATH']}", "PYTHONPATH": str(REPOSITORY)}
    blocks, outputs = play(environ, beside)
    record_property(PROPERTY, outputs)
    shown = [output if block.shown is None else block.shown for block, output in zip(blocks, outputs, strict=True)]
    assert masked(outputs) == masked(shown), "if that is as it should be: python -m tests.readme --write"
