"""Records, logs and requests are their owner's alone, under any umask; and the job itself gets the caller's."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from gravscope.linux import files
from gravscope.linux.files import make_private_folder
from gravscope.records.store import Store
from tests.support import ManagedGravscope, until

UMASKS = ["0000", "0022", "0077", "0777"]


def modes(folder: Path) -> dict[str, int]:
    """The mode of everything in and below a folder, by its name."""
    return {path.name: stat.S_IMODE(path.lstat().st_mode) for path in folder.rglob("*")}


@pytest.fixture
def tool(managed: ManagedGravscope) -> ManagedGravscope:
    """The command line with its folders in a state folder that is not there yet."""
    del managed.environ["GRAVSCOPE_JOBS_DIR"], managed.environ["GRAVSCOPE_LOG_DIR"]
    managed.environ["XDG_STATE_HOME"] = str(managed.folder / "a" / "state")
    own = managed.folder / "a" / "state" / "gravscope"
    managed.jobs_dir, managed.log_dir = own / "jobs", own / "logs"
    return managed


def under(tool: ManagedGravscope, umask: str, *words: str) -> str:
    """What `gravscope WORDS…` prints under a umask, without complaint."""
    argv = ["sh", "-c", 'umask "$0"; exec "$@"', umask, *tool.command, *words]
    # the interpreter's own cache of modules would be written by that umask, too
    env = {**tool.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = tool.manager.run(argv, env=env, cwd=tool.folder)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("umask", "launcher"), [*((umask, "session") for umask in UMASKS), ("0022", "scope"), ("0777", "scope")]
)
def test_under_any_umask(tool: ManagedGravscope, umask: str, launcher: str) -> None:
    """All that a job needs while it lives is 0600 in 0700, everything works, and its command has the caller's umask."""
    job = under(tool, umask, "run", "-n", "x", "--launcher", launcher, "--", "sh", "-c", "umask; exec sleep 1000")
    until(lambda: tool.log(job), "what the job says")
    assert tool.log(job) == f"{umask}\n"
    under(tool, umask, "limit", "--mem-max", "1G", job)
    under(tool, umask, "pause", job)
    assert tool.record(job)["paused"] is True
    found = modes(tool.folder / "a")
    kinds = {"json", "lock", "log", "limits", *(["paused"] if launcher == "session" else [])}
    folders = {"state": 0o777 & ~int(umask, 8) | 0o700, "gravscope": 0o700, "jobs": 0o700, "logs": 0o700}
    assert found == folders | {f"{job}.{kind}": 0o600 for kind in kinds} | {f".{job}.cancelling": 0o600}
    under(tool, umask, "resume", job)
    under(tool, umask, "cancel", job)
    record = tool.record(job)
    assert record["state"] == "cancelled"
    assert record["warnings"] == []
    assert modes(tool.jobs_dir) == {f"{job}.json": 0o600}


def test_what_is_there_keeps_its_mode(tool: ManagedGravscope) -> None:
    """A folder that others may read is left so, since a web server may be meant to; what is in it is private."""
    for folder in (tool.jobs_dir, tool.log_dir):
        tool.manager.run(["mkdir", "-p", folder])
        tool.manager.run(["chmod", "0755", folder])
    job = under(tool, "0000", "run", "-n", "x", "--launcher", "session", "--", "true")
    tool.ended(job)
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in (tool.jobs_dir, tool.log_dir)] == [0o755, 0o755]
    assert modes(tool.jobs_dir) | modes(tool.log_dir) == {f"{job}.json": 0o600, f"{job}.log": 0o600}


@pytest.fixture(params=UMASKS)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """This process under a umask."""
    wanted = int(request.param, 8)
    before = os.umask(wanted)
    yield wanted
    assert os.umask(before) == wanted, "nothing has changed it"


def test_a_file_that_is_replaced(tmp_path: Path, umask: int) -> None:
    """Every request and record is written this way: 0600, or what was asked for, to the bit."""
    del umask
    path = tmp_path / "x.cancel"
    for mode in (0o600, 0o644):
        files.write_atomically(str(path), b"x", mode)
        assert stat.S_IMODE(path.stat().st_mode) == mode


def test_locks(tmp_path: Path, umask: int) -> None:
    """The lock of a job whose lock somebody removed is as private as the first, and so is that of a cancel."""
    del umask
    store = Store(tmp_path)
    store.record_path("x").write_text("{}")
    with store.take_charge("x") as ours, store.cancelling("x"):
        assert ours
        assert modes(tmp_path)["x.lock"] == modes(tmp_path)[".x.cancelling"] == 0o600


def test_folders(tmp_path: Path, umask: int) -> None:
    """Gravscope's own are 0700; others on the way are made as usual, but never so that they shut out their owner."""
    make_private_folder(str(tmp_path / "a" / "b" / "gravscope" / "jobs"))
    make_private_folder(str(tmp_path / "public" / "reports" / "logs"))
    usual = 0o777 & ~umask | 0o700
    assert modes(tmp_path) == {
        "a": usual, "b": usual, "gravscope": 0o700, "jobs": 0o700, "public": usual, "reports": usual, "logs": 0o700,
    }  # fmt: skip
