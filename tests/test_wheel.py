"""The wheel as somebody else has it: built, and installed into an environment of its own where nothing is compiled."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from gravscope import __version__
from gravscope.cli.app import app
from gravscope.cli.command_tree import read
from gravscope.cli.completion import Shell, script
from tests.needs import leave_out, needing
from tests.support import REPOSITORY, clean_environment

# what pip says where there is no package index to be had
_NO_INDEX = ("No matching distribution", "NewConnectionError", "Temporary failure in name resolution")

# every name of the public interface, used as it is meant to be
USES = """\
from pathlib import Path

import gravscope
import gravscope.guard
from gravscope import (
    GravscopeError,
    Job,
    JobRecord,
    Limits,
    NoSuchJobError,
    RefusedError,
    StoreError,
    UnsupportedError,
    UsageError,
    WaitTimeoutError,
    guard,
    jobs,
    submit,
)


def main() -> int:
    guard.require_job("fit")
    gravscope.guard.require_job()
    limits = Limits(mem_high="6G", mem_max=8 * 2**30, swap_max="infinity", cpu_quota=150, tasks_max=64)
    try:
        job: Job = submit(
            ["python", Path("fit.py")], name="fit", limits=limits, env={"A": "b"}, env_file=Path(".env"), cwd="/",
            timeout="2h", grace=10, launcher="session", oom_policy="continue", memsafe=True, unique=True, notify=True,
        )
        same: Job = submit("seq 3 | tail -n 1", shell=True, limits=job.record.limits)
        status: int = job.wait(timeout=3.5) or same.wait("1m")
    except WaitTimeoutError:
        return 124
    except (UsageError, NoSuchJobError, RefusedError, UnsupportedError, StoreError) as error:
        hint: str | None = error.hint
        print(error.message, hint)
        return error.exit_code
    except GravscopeError as error:
        return error.exit_code
    record: JobRecord = job.record
    ended: bool = job.state == "cancelled" or job.cancel(grace="1s") == "succeeded" or not job.live
    still: bool = job.pause().paused or job.resume().paused or job.limit(Limits(cpu_quota="infinity"), force=True).live
    again: Job = job.rerun(name="again", limits=limits, env={"A": "b"}, cwd=Path("/"), timeout=3, notify=still)
    path: Path = again.log_path
    texts: list[str] = [job.id, job.name, job.log(), job.log(10), gravscope.__version__, record.state, str(path)]
    found: list[Job] = [*jobs(), *jobs("fit"), *jobs(live=True), Job("fit"), *gravscope.jobs()]
    return status if ended else len(found) + len(texts)
"""
# a line, and the code of the error that a type checker is to find in it
MISUSES = {
    "gravscope.nothing": "attr-defined",
    "gravscope.submit(1)": "arg-type",
    'gravscope.submit(["x"], launcher="docker")': "arg-type",
    'gravscope.submit(["x"], mem_high="6G")': "call-arg",
    "gravscope.Limits(mem_high=[])": "arg-type",
    'gravscope.Job("x").state == "done"': "comparison-overlap",
    'gravscope.Job("x").wait().real.x': "attr-defined",
    'gravscope.Job("x").limit(mem_max="6G")': "call-arg",
    'gravscope.Job("x").rerun(shell=True)': "call-arg",
}


class Installed:
    """A virtual environment with the wheel and what it needs, and nothing else."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "venv" / "bin"
        self.environ = {
            **clean_environment(),
            "PATH": f"{self.bin}:/usr/bin:/bin",
            "HOME": str(folder),
            "CC": "false",  # no compiler, and no headers: what has to be built cannot be
            "PKG_CONFIG": "false",
        }
        for name in ("PYTHONPATH", "VIRTUAL_ENV"):
            self.environ.pop(name, None)

    def __call__(self, *words: str | Path) -> str:
        """What a command prints that is to go well."""
        done = subprocess.run(
            words,
            env=self.environ,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if "pip" in words and any(sign in done.stderr for sign in _NO_INDEX):
            leave_out("needs a Python package index: connect to the network, or see `pip config list`")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
@needing("index")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel of this tree, installed with `pip install`."""
    folder = tmp_path_factory.mktemp("wheel")
    found = Installed(folder)
    pip = ("-m", "pip", "--quiet", "--disable-pip-version-check")
    found(sys.executable, *pip, "wheel", "--no-deps", "--wheel-dir", folder / "dist", REPOSITORY)
    (wheel,) = (folder / "dist").iterdir()
    assert wheel.name == f"gravscope-{__version__}-py3-none-any.whl"
    # with our own pip: to install another one into it takes longer than all the rest
    found(sys.executable, "-m", "venv", "--without-pip", folder / "venv")
    found(sys.executable, *pip, "--python", found.bin / "python", "install", wheel)
    return found


def type_checked(installed: Installed, name: str, lines: Sequence[str]) -> tuple[int, str]:
    """What mypy --strict says of a program that uses the installed gravscope."""
    (installed.folder / name).write_text("\n".join(lines) + "\n")
    argv = [sys.executable, "-m", "mypy", "--strict", "--python-executable", installed.bin / "python", name]
    environ = {**installed.environ, "MYPY_CACHE_DIR": str(installed.folder / "cache")}
    done = subprocess.run(argv, env=environ, cwd=installed.folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_the_command_works(installed: Installed) -> None:
    """The program says its version; what comes with it is where it says."""
    assert installed("gravscope", "--version") == f"gravscope {__version__}\n"
    assert Path(installed("gravscope", "make-include").strip()).read_text() == (REPOSITORY / "gravscope.mk").read_text()
    assert "gravscope.slice" in installed("gravscope", "units", "install", "--dry-run")
    page = installed.folder / "venv" / "share" / "man" / "man1" / "gravscope.1"
    assert page.read_text() == (REPOSITORY / "docs" / "gravscope.1").read_text()


def test_completion_is_the_same_with_any_typer(installed: Installed) -> None:
    """The scripts are made of what Typer tells: the newest that is allowed tells the same as the one here."""
    for shell in Shell:
        assert installed("gravscope", "completion", shell) == script(shell, read(app))


def test_doctor_tells_of_the_extra(installed: Installed) -> None:
    """Nothing of it is installed; doctor says what does its work, and there is nothing to type."""
    code = "import importlib.util; print(importlib.util.find_spec('pystemd'))"
    assert installed(installed.bin / "python", "-c", code) == "None\n"
    argv = ["gravscope", "doctor", "--json"]
    done = subprocess.run(
        argv, env=installed.environ, cwd=installed.folder, capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 5), done.stderr
    (line,) = (check for check in json.loads(done.stdout)["checks"] if check["name"] == "pystemd")
    assert (line["status"], line["type"]) == ("ok", None)
    assert line["found"].startswith("not installed, and not needed: systemctl does the same")


def test_a_job_from_python(installed: Installed) -> None:
    """The interface works as installed: a job runs, with its record and its log."""
    code = (
        'from gravscope import submit; job = submit(["echo", "hi"], launcher="session"); print(job.wait(), job.log())'
    )
    assert installed(installed.bin / "python", "-c", code) == "0 hi\n\n"


def test_importing_loads_only_the_standard_library(installed: Installed) -> None:
    """`import gravscope` and `import gravscope.guard`: nothing of what is installed beside it, and nothing heavy."""
    code = (
        "import sys; before = set(sys.modules); import gravscope, gravscope.guard; import gravscope as again;"
        "print(*sorted(set(sys.modules) - before))"
    )
    assert installed(installed.bin / "python", "-I", "-c", code) == "gravscope gravscope.guard\n"


def test_the_interface_is_typed(installed: Installed) -> None:
    """mypy --strict finds nothing in a program that uses all of it, and every misuse in one that does not."""
    status, said = type_checked(installed, "uses.py", [USES])
    assert status == 0, said
    status, said = type_checked(installed, "misuses.py", ["import gravscope", *MISUSES])
    found = [line.partition(": error: ")[2] for line in said.splitlines() if ": error: " in line]
    assert status == 1
    assert [line.rpartition("[")[2].rstrip("]") for line in found] == list(MISUSES.values()), said
