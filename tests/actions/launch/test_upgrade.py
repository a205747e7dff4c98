"""Upgrade under way: jobs of an installation that is removed or replaced while they run have a right record."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import typer

from tests.support import REPOSITORY, Gravscope, ManagedGravscope, alive, until

VERSION = f"python{sys.version_info[0]}.{sys.version_info[1]}"
SHOW_UP = "echo up; until [ -e go ]; do sleep 0.05; done; "
# 200 MiB, more than any of these jobs may have
GREEDY = f"{sys.executable} -c \"import time; x = b'x' * (200 << 20); time.sleep(1000)\""
DEAF = "trap '' TERM; while :; do sleep 0.1; done"


class Installation:
    """gravscope in a virtual environment of a Python of its own, all of which can be removed while it is in use.

    The Python is a copy of this one's program beside a link to its library, so nothing can be loaded once the link is
    gone, neither from the environment nor from the library.
    """

    def __init__(self, folder: Path) -> None:
        self.python = folder / "python"
        (self.python / "bin").mkdir(parents=True)
        (self.python / "lib").mkdir()
        shutil.copy2(os.path.realpath(sys.executable), self.python / "bin" / VERSION)
        (self.python / "lib" / VERSION).symlink_to(os.path.dirname(os.__file__))
        for library in (Path(sys.base_prefix) / "lib").glob("libpython*.so*"):  # found by the program's own rpath
            (self.python / "lib" / library.name).symlink_to(library)
        self.venv = folder / "venv"
        making = [self.python / "bin" / VERSION, "-I", "-m", "venv", "--without-pip", self.venv]
        subprocess.run(making, check=True)
        self.packages = self.venv / "lib" / VERSION / "site-packages"
        shutil.copytree(REPOSITORY / "gravscope", self.packages / "gravscope", ignore=shutil.ignore_patterns("__pyc*"))
        others = {os.path.dirname(os.path.dirname(str(module.__file__))) for module in (typer, msgspec)}
        (self.packages / "others.pth").write_text("\n".join(others))

    @property
    def command(self) -> tuple[str, ...]:
        """The `gravscope` of this installation."""
        return (str(self.venv / "bin" / "python"), "-m", "gravscope")

    def delete(self) -> None:
        """All of it: the environment, and the Python below it."""
        shutil.rmtree(self.venv)
        shutil.rmtree(self.python)

    def replace(self) -> None:
        """Another version in the same place, whose files are not what the running ones were loaded from."""
        shutil.rmtree(self.packages / "gravscope")
        for module in (REPOSITORY / "gravscope").rglob("*.py"):
            path = self.packages / module.relative_to(REPOSITORY)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("raise SystemExit('another version')\n")


@pytest.fixture
def installed(gravscope: Gravscope) -> Iterator[tuple[Gravscope, Installation]]:
    """The command line of an installation, with the folders of `gravscope`, which is the version to come."""
    installation = Installation(gravscope.folder)
    old = Gravscope(gravscope.folder)
    old.command = installation.command
    del old.environ["PYTHONPATH"]
    yield old, installation


def test_it_is_an_installation_of_its_own(installed: tuple[Gravscope, Installation]) -> None:
    """Neither its Python nor its gravscope is the one that runs these tests; once deleted, it does nothing any more."""
    old, installation = installed
    code = "import gravscope.cli, os, sys; print(gravscope.cli.__file__, os.__file__, sys.base_prefix, sep='\\n')"
    words = [old.command[0], "-P", "-c", code]
    said = subprocess.run(words, env=old.environ, capture_output=True, text=True, check=True)
    assert said.stdout.splitlines() == [
        str(installation.packages / "gravscope/cli/__init__.py"),
        str(installation.python / "lib" / VERSION / "os.py"),
        str(installation.python),
    ]
    installation.replace()
    assert "another version" in old("--version").stderr
    installation.delete()
    with pytest.raises(FileNotFoundError):
        old("--version")


@pytest.mark.slow
@pytest.mark.parametrize("how", ["delete", "replace"])
def test_jobs_of_an_installation_that_is_gone(
    gravscope: Gravscope, installed: tuple[Gravscope, Installation], how: str
) -> None:
    """Whatever ends them afterwards, their supervisors, which need no file of their own any more, write it down; and
    the new version lists, waits for and cancels them like its own."""
    old, installation = installed
    jobs = {
        "fails": old.start("-n", "fails", "--", "bash", "-c", SHOW_UP + "(sleep 0.2; echo late) & exit 3"),
        "timed": old.start("-n", "timed", "--timeout", "3s", "--grace", "0.1s", "--", "bash", "-c", DEAF),
        "greedy": old.start("-n", "greedy", "--mem-max", "100M", "--", "bash", "-c", f"{SHOW_UP} exec {GREEDY}"),
        "ended": old.start("-n", "ended", "--", "sleep", "1000"),
        "signal": old.start("-n", "signal", "--", "bash", "-c", SHOW_UP + "kill -SEGV $$"),
    }
    for name in ("fails", "greedy", "signal"):
        assert gravscope("wait", jobs[name], "--ready", "up").returncode == 0
    getattr(installation, how)()
    listed = gravscope("status").stdout
    assert all(job in listed for job in jobs.values())
    assert gravscope("cancel", jobs["ended"]).stdout.startswith(f"{jobs['ended']}: cancelled by SIGTERM")
    (gravscope.folder / "go").touch()
    gravscope("wait", *jobs.values())
    records = {name: gravscope.record(job) for name, job in jobs.items()}
    assert {name: (record["state"], record["exit_code"], record["signal"]) for name, record in records.items()} == {
        "fails": ("failed", 3, None),
        "timed": ("timed-out", None, 9),
        "greedy": ("oom-killed", None, 9),
        "ended": ("cancelled", None, 15),
        "signal": ("killed", None, 11),
    }
    assert gravscope.log(jobs["fails"]) == "up\nlate\n"
    for record in records.values():
        assert record["duration"] > 0
        assert record["cpu_seconds"] is not None
        assert record["peak_memory"] > 0
        assert not [warning for warning in record["warnings"] if "gravscope failed" in warning]
        until(lambda record=record: not alive(record["supervisor_pid"]), "the end of its supervisor")
    assert sorted(path.suffix for path in gravscope.jobs_dir.iterdir()) == [".json"] * len(jobs)


@pytest.fixture
def installed_beside(managed: ManagedGravscope) -> tuple[ManagedGravscope, Installation]:
    """The same beside a user manager, for its user."""
    folder = managed.manager.new_folder("installed")
    installation = Installation(folder)
    subprocess.run(["chown", "-hR", str(managed.manager.uid), folder], check=True)
    old = ManagedGravscope(managed.manager)
    old.command = installation.command
    old.environ = {name: value for name, value in managed.environ.items() if name != "PYTHONPATH"}
    old.jobs_dir, old.log_dir, old.folder = managed.jobs_dir, managed.log_dir, managed.folder
    return old, installation


def test_scopes_of_an_installation_that_is_gone(
    managed: ManagedGravscope, installed_beside: tuple[ManagedGravscope, Installation]
) -> None:
    """In scopes, where the supervisor writes to cgroups: one ends by itself, one is paused, resumed and cancelled by
    the new version, and one is stopped by its timeout while it is frozen."""
    old, installation = installed_beside
    jobs = {
        "fails": old.start("-n", "fails", "--", "bash", "-c", SHOW_UP + "exit 3"),
        "paused": old.start("-n", "paused", "--", "sleep", "1000"),
        "frozen": old.start("-n", "frozen", "--timeout", "8s", "--", "sleep", "1000"),
    }
    assert managed("wait", jobs["fails"], "--ready", "up").returncode == 0
    installation.delete()
    assert managed("pause", jobs["frozen"]).returncode == 0
    assert managed("pause", jobs["paused"]).returncode == 0
    assert managed("resume", jobs["paused"]).returncode == 0
    assert managed("cancel", jobs["paused"]).stdout == f"{jobs['paused']}: cancelled by systemctl stop\n"
    (managed.folder / "go").touch()
    managed("wait", *jobs.values())
    records = {name: managed.record(job) for name, job in jobs.items()}
    assert {name: (record["state"], record["exit_code"], record["signal"]) for name, record in records.items()} == {
        "fails": ("failed", 3, None),
        "paused": ("cancelled", None, 15),
        "frozen": ("timed-out", None, 15),
    }
    for record in records.values():
        until(lambda record=record: not alive(record["supervisor_pid"]), "the end of its supervisor")
    assert sorted(path.suffix for path in managed.jobs_dir.iterdir()) == [".json"] * len(jobs)
