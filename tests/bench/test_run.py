"""`python -m tests.bench` with everything once: it measures, says what it cannot, and leaves nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.bench.goals import GOALS
from tests.support import PATIENCE, REPOSITORY, clean_environment, path_without_systemd, until


@pytest.fixture
def disk() -> Iterator[Path]:
    """A folder that another user can enter: pytest's own cannot be."""
    folder = Path(tempfile.mkdtemp(prefix="gravscope-test-bench-", dir="/var/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def bench(folder: Path, *options: str, **env: str) -> tuple[str, dict[str, Any]]:
    """What the smallest run prints, and what it writes to its file."""
    raw = folder / "raw.json"
    argv = [sys.executable, "-m", "tests.bench", "--tiny", "--dir", str(folder), "--json", str(raw), *options]
    environ = {**clean_environment(), **env}
    done = subprocess.run(
        argv, cwd=REPOSITORY, env=environ, capture_output=True, text=True, timeout=5 * PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(raw.read_text())
    raw.unlink()
    assert list(folder.iterdir()) == []
    # a supervisor gives up its lock, and is then on its way out
    until(lambda: not processes_of(folder), "the end of every process")
    return done.stdout, found


def processes_of(folder: Path) -> list[str]:
    """The processes whose environment names the folder: jobs, and what was started for them."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.fsencode(folder) + b"/" in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text())
        except OSError:
            continue
    return found


@pytest.mark.slow
def test_everything_once(disk: Path) -> None:
    """Every goal has samples or a reason, nothing is broken, and neither files nor processes stay."""
    text, found = bench(disk)
    assert found["broken"] == {}
    assert {goal.key for goal in GOALS} <= found["samples"].keys() | found["left_out"].keys()
    assert {"run_session", "rss", "output_session", "status_json", "oom_watch", "follow"} <= found["samples"].keys()
    assert all(text.count(goal.goal) for goal in GOALS)
    assert "gravscope" in next(iter(found["samples"]["profiles"].values()))["imports"]


def test_without_a_user_manager(disk: Path) -> None:
    """Where there is no user manager, what needs one is left out with the reason, and sessions are measured."""
    text, found = bench(disk, "--only", "launching", "--only", "cancel", PATH=path_without_systemd())
    assert found["broken"] == {}
    assert found["samples"].keys() == {"launches", "run_session"}
    reasons = [found["left_out"][key] for key in ("run_scope", "submit", "cancel")]
    missing = "systemd-run" if os.geteuid() == 0 else "needs root"  # for a manager of the benchmark's own
    assert all(missing in reason for reason in reasons)
    assert found["left_out"]["guard"] == "not asked for"
    assert text.count("| not measured |") == len(GOALS) - 1
