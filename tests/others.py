"""Somebody else, and root, beside an ordinary user: fixtures for what they may see and do of each other."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.needs import needing
from tests.private_manager.manager import UserManager, private_manager
from tests.support import PATIENCE, Gravscope, ManagedGravscope, until

# no account has these numbers: that of somebody else, and a name for it in messages
STRANGER = 64123
OF_THE_STRANGER = f"user {STRANGER}"


@pytest.fixture(scope="session")
@needing("private")
def private(user_manager: UserManager) -> Iterator[UserManager]:
    """A private manager: beside it, root can become anybody."""
    if user_manager.private:
        yield user_manager
        return
    with private_manager() as found:
        yield found


@pytest.fixture
def owner(private: UserManager) -> Iterator[ManagedGravscope]:
    """The command line of an ordinary user, whose jobs they are."""
    tool = ManagedGravscope(private)
    yield tool
    tool.clean_up()


class Other(Gravscope):
    """The command line of somebody else (or of root), with the same folders."""

    def __init__(self, owner: ManagedGravscope, uid: int) -> None:
        self.owner, self.uid = owner, uid
        self.environ = {"HOME": "/", "PATH": owner.manager.path}

    def __call__(
        self, *words: str, env: Mapping[str, str] | None = None, cwd: Path | None = None, timeout: float = PATIENCE
    ) -> subprocess.CompletedProcess[str]:
        """Runs `gravscope WORDS…` to its end."""
        return self.run(*self.command, *words, env=env, cwd=cwd, timeout=timeout)

    def run(
        self, *argv: str, env: Mapping[str, str] | None = None, cwd: Path | None = None, timeout: float = PATIENCE
    ) -> subprocess.CompletedProcess[str]:
        """Runs any command as this user, in the owner's mount namespace."""
        ids = (f"--reuid={self.uid}", f"--regid={self.uid}", "--clear-groups")
        return subprocess.run(
            [*self.owner.manager.prefix[:3], "setpriv", *ids, "--", "env", f"--chdir={cwd or '/'}", *argv],
            env={**self.owner.environ, **self.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def plant(self, path: Path, text: str, mode: int = 0o666) -> None:
        """A file of this user's."""
        path.write_text(text)
        path.chmod(mode)
        os.chown(path, self.uid, self.uid)


@pytest.fixture
def open_folder(owner: ManagedGravscope) -> Iterator[Path]:
    """The owner's records are in a folder that anybody can write to, and take files away from."""
    yield from folder_for_all(owner, 0o777)


@pytest.fixture(params=[0o777, 0o1777], ids=["open", "sticky"])
def shared(request: pytest.FixtureRequest, owner: ManagedGravscope) -> Iterator[Path]:
    """The same, and one with the sticky bit, where one's own files are safe."""
    yield from folder_for_all(owner, request.param)


def folder_for_all(owner: ManagedGravscope, mode: int) -> Iterator[Path]:
    """A folder for the owner's records with this mode."""
    top = Path(tempfile.mkdtemp(prefix="gravscope-shared-"))
    top.chmod(0o755)
    owner.jobs_dir = top / "jobs"
    owner.jobs_dir.mkdir()
    owner.jobs_dir.chmod(mode)
    owner.environ["GRAVSCOPE_JOBS_DIR"] = str(owner.jobs_dir)
    yield owner.jobs_dir
    owner.clean_up()
    removed(top)


def removed(top: Path) -> None:
    """Removes a folder in which a supervisor may still be tidying up."""

    def gone() -> bool:
        shutil.rmtree(top, ignore_errors=True)
        return not top.exists()

    until(gone, f"the end of {top}")


@pytest.fixture
def stranger(owner: ManagedGravscope) -> Other:
    """The command line of somebody else."""
    return Other(owner, STRANGER)


@pytest.fixture
def root(owner: ManagedGravscope) -> Other:
    """That of root."""
    return Other(owner, 0)


def session(tool: ManagedGravscope, *words: str) -> str:
    """A job in a session of its own, where no manager has a say."""
    done = tool("run", "--launcher", "session", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def one_line(done: subprocess.CompletedProcess[str], status: int) -> str:
    """What a command that failed said, which must be one line."""
    assert (done.returncode, done.stdout) == (status, ""), done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("gravscope: ")
    return lines[0]
