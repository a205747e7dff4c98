"""What CI runs: every round whatever became of the others, and the worst exit status. The rounds are stand-ins."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support import REPOSITORY, clean_environment

# fails where the words have what stands in the file `fails`; tells whether it has a terminal
STUB = """#!/bin/sh
terminal=no; tty >/dev/null && terminal=yes
echo "$(basename "$0") $* [terminal $terminal, strict $GRAVSCOPE_STRICT]" >>@HERE@/calls
echo "== 3 passed in 1s =="
! [ -e @HERE@/fails ] || ! echo "$(basename "$0") $*" | grep -q "$(cat @HERE@/fails)"
"""
USER_ROUND = pytest.param("unshare", marks=pytest.mark.needs("root"))


def ci(folder: Path, fails: str | None) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """`.ci/run` without standard input, and what it called."""
    (folder / "tools").mkdir()
    (folder / "scripts").mkdir()
    shutil.copytree(REPOSITORY / ".ci", folder / ".ci")
    (folder / "scripts" / "setup_test.sh").write_text("exit 0\n")
    for tool in ("make", "unshare"):
        (folder / "tools" / tool).write_text(STUB.replace("@HERE@", str(folder)))
        (folder / "tools" / tool).chmod(0o755)
    if fails is not None:
        (folder / "fails").write_text(fails)
    environ = {**clean_environment(), "PATH": f"{folder / 'tools'}:{os.environ['PATH']}", "CI": "true"}
    done = subprocess.run(
        [folder / ".ci" / "run"],
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        start_new_session=True,
        check=False,
    )
    return done, (folder / "calls").read_text().splitlines()


def test_its_rounds(tmp_path: Path) -> None:
    """As root there is one of an ordinary user, without a terminal; then everything at a terminal; then lint. In each a
    test that is left out has failed."""
    done, calls = ci(tmp_path, None)
    assert done.returncode == 0, done.stderr
    assert "\r" not in done.stdout
    terminals = [line.partition("[")[2] for line in calls if not line.startswith("make setup")]
    rounds = ["terminal yes, strict 1]", "terminal no, strict 1]"]
    assert terminals == (["terminal no, strict 1]"] if os.geteuid() == 0 else []) + rounds


@pytest.mark.parametrize("fails", [USER_ROUND, "make test", "make lint"])
def test_a_round_that_fails(tmp_path: Path, fails: str) -> None:
    """The others are run all the same, and the exit status tells."""
    done, calls = ci(tmp_path, fails)
    assert (done.returncode, "ci: failed: " in done.stderr) == (1, True)
    assert len(calls) == (4 if os.geteuid() == 0 else 3)


def test_no_setup(tmp_path: Path) -> None:
    """Without its virtual environment nothing is tried."""
    done, calls = ci(tmp_path, "make setup")
    assert (done.returncode, len(calls)) == (1, 1)


@pytest.mark.needs("root")
@pytest.mark.parametrize("fails", [None, "unshare"])
def test_the_ordinary_users_folder_goes(tmp_path: Path, fails: str | None) -> None:
    """It is there for the round, and removed from outside afterwards, whatever became of the round."""
    _done, calls = ci(tmp_path, fails)
    (home,) = (word for line in calls for word in line.split() if word.startswith("/var/tmp/gravscope-ci-"))
    assert not Path(home).exists()
