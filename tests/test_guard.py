"""The guard that scripts import: when it passes, what it prints otherwise, and what it costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import gravscope
from gravscope.guard import MESSAGE, require_job
from tests.support import installed, path_without_systemd

ROOT = Path(gravscope.__path__[0]).parent
SCRIPT = "from gravscope.guard import require_job\nrequire_job()\nprint('ran')\n"


def run(cwd: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run python in a folder, with nothing in its environment but a PATH that has gravscope, and what is given."""
    environment = {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "PATH": path_without_systemd()} | environment
    return subprocess.run(
        [sys.executable, *command], cwd=cwd, env=environment, capture_output=True, encoding="utf-8", check=False
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a guarded script, a guarded package, and a script with an awkward name."""
    (tmp_path / "heavy.py").write_text(SCRIPT)
    (tmp_path / "a b 'c'.py").write_text(SCRIPT)
    (tmp_path / "重い.py").write_text(SCRIPT)
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").touch()
    (tmp_path / "package" / "__main__.py").write_text(SCRIPT)
    (tmp_path / "package" / "tool.py").write_text(SCRIPT)
    return tmp_path


def test_inside_a_job_it_returns(folder: Path) -> None:
    """With GRAV_BG_JOB=1 the script runs, and the guard prints nothing."""
    done = run(folder, "heavy.py", GRAV_BG_JOB="1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "ran\n", "")


@pytest.mark.parametrize("environment", [{}, {"GRAV_BG_JOB": ""}, {"GRAV_BG_JOB": "0"}, {"GRAV_BG_JOB": "11"}])
def test_outside_it_exits_with_1(folder: Path, environment: dict[str, str]) -> None:
    """Unless GRAV_BG_JOB is exactly 1, nothing of the script runs, and the exit status is 1."""
    done = run(folder, "heavy.py", **environment)
    assert (done.returncode, done.stdout) == (1, "")


@pytest.mark.parametrize(
    ("command", "name", "shown"),
    [
        (["heavy.py", "--size", "3"], "heavy", "heavy.py --size 3"),
        (["./heavy.py"], "heavy", "./heavy.py"),
        (["-X", "dev", "heavy.py", "a b", "it's", ""], "heavy", "-X dev heavy.py 'a b' 'it'\"'\"'s' ''"),
        (["-m", "package", "$x"], "package", "-m package '$x'"),
        (["-m", "package.tool"], "tool", "-m package.tool"),
        (["package"], "package", "package"),
        (["a b 'c'.py"], "a-b--c", "'a b '\"'\"'c'\"'\"'.py'"),
        (["重い.py"], "job", "'重い.py'"),
        (["-c", SCRIPT], "job", "-c '" + SCRIPT.replace("'", "'\"'\"'") + "'"),
    ],
)
def test_what_to_type(folder: Path, command: list[str], name: str, shown: str) -> None:
    """It says what is wrong, and then the command to type: the typed command, quoted, after `gravscope run`."""
    done = run(folder, *command)
    assert done.stderr == f"{MESSAGE}\ngravscope run -n {name} -- {sys.executable} {shown}\n"


def test_the_command_is_quoted_as_a_shell_reads_it(folder: Path) -> None:
    """A shell splits the shown command into exactly the words that were typed."""
    words = ["heavy.py", "a b", "it's", "$HOME", "`x`", "*", "#", "back\\slash", 'dou"ble', "new\nline", "~", ""]
    shown = run(folder, *words).stderr.partition(" -- ")[2]
    split = subprocess.run(["sh", "-c", "printf '%s\\0' " + shown], capture_output=True, text=True, check=True)
    assert split.stdout.split("\0")[:-1] == [sys.executable, *words]


def test_a_given_name_is_used(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The name that the caller gives is in the command."""
    monkeypatch.delenv("GRAV_BG_JOB", raising=False)
    with pytest.raises(SystemExit) as ended:
        require_job("night run")
    assert ended.value.code == 1
    assert "gravscope run -n 'night run' -- " in capsys.readouterr().err


def test_where_gravscope_is_on_no_path(folder: Path) -> None:
    """It is the one beside the interpreter, as in a virtual environment, and can be typed; else just its name."""
    binaries = folder / ".venv" / "bin"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / ".venv"], check=True)
    environment = {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "PATH": str(folder)}

    def told(cwd: Path) -> str:
        argv = [binaries / "python", folder / "heavy.py"]
        done = subprocess.run(argv, cwd=cwd, env=environment, capture_output=True, encoding="utf-8", check=False)
        return done.stderr.splitlines()[1].partition(" run -n heavy -- ")[0]

    assert told(folder) == "gravscope"
    installed(binaries)
    assert told(folder) == ".venv/bin/gravscope"
    assert told(folder / "package") == f"{binaries}/gravscope"
    installed(folder)
    assert told(folder) == "gravscope"


@pytest.mark.parametrize("encoding", ["ascii", "ascii:strict", "latin-1:strict"])
def test_a_narrow_standard_error(folder: Path, encoding: str) -> None:
    """If standard error cannot show Japanese, the message is in English, and there is no traceback."""
    done = run(folder, "heavy.py", "é", "重", PYTHONIOENCODING=encoding, LANG="C", LC_ALL="C", PYTHONUTF8="0")
    assert done.returncode == 1
    first, second = done.stderr.splitlines()
    assert first == "run this through the dispatcher"
    assert second.startswith("gravscope run -n heavy -- ")


@pytest.mark.parametrize("redirect", ["2>&-", "2>/dev/full"])
def test_no_standard_error_at_all(folder: Path, redirect: str) -> None:
    """If standard error is closed or full, it still refuses, with exit status 1."""
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" heavy.py {redirect}', sys.executable],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, b"")


@pytest.mark.parametrize("value", ["1", "0"])
def test_it_loads_no_module(tmp_path: Path, value: str) -> None:
    """Whether it passes or refuses, it loads no module that a bare python has not loaded."""
    code = (
        "import sys; before = set(sys.modules); import gravscope.guard\n"
        "try: gravscope.guard.require_job()\n"
        "except SystemExit: pass\n"
        "print(sorted(set(sys.modules) - before - {'os', 'sys'}))"
    )
    done = run(tmp_path, "-c", code, GRAV_BG_JOB=value)
    assert done.stdout == "['gravscope', 'gravscope.guard']\n"
