"""`guard check` and `guard install` on real files."""

from __future__ import annotations

import codecs
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gravscope.actions.guard import files as guard_files
from gravscope.actions.guard.files import GuardStatus, check, install
from gravscope.base.errors import GravscopeError, UsageError


def files(folder: Path) -> dict[str, bytes]:
    """Every file in a folder with its contents, so that left-over files are noticed."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_check_tells_each(tmp_path: Path) -> None:
    """Check says of every file what it is and whether it is guarded, in the given order, and changes nothing."""
    python, shell = tmp_path / "a.py", tmp_path / "run"
    python.write_text("from gravscope.guard import require_job\nrequire_job()\n")
    shell.write_text("#!/bin/sh\nls\n")
    before = files(tmp_path)
    assert check([shell, python]) == [GuardStatus(shell, "shell", False), GuardStatus(python, "python", True)]
    assert files(tmp_path) == before


def test_install_then_check(tmp_path: Path) -> None:
    """Check finds the guard that install added; a second install changes nothing, not even the inode."""
    script = tmp_path / "a.py"
    script.write_text('"""doc"""\nimport os\n')
    (first,) = install([script])
    assert first.changed
    assert check([script])[0].guarded
    identity = script.stat()
    (second,) = install([script])
    assert (second.changed, second.diff) == (False, "")
    assert script.stat() == identity


def test_dry_run_shows_and_writes_nothing(tmp_path: Path) -> None:
    """A dry run returns the diff of the real run and does not change the file."""
    script = tmp_path / "a.sh"
    script.write_bytes(b"#!/bin/sh\necho hi")
    (dry,) = install([script], dry_run=True)
    assert files(tmp_path) == {"a.sh": b"#!/bin/sh\necho hi"}
    assert install([script]) == [dry]
    assert files(tmp_path).keys() == {"a.sh"}


def test_the_diff_can_be_applied(tmp_path: Path) -> None:
    """patch(1) accepts the diff, also if the last line has no newline."""
    script = tmp_path / "a.py"
    script.write_bytes(b'"""doc"""; x = 1')
    (change,) = install([script])
    assert change.diff.startswith(f"--- a{script}\n+++ b{script}\n")
    assert '-"""doc"""; x = 1\n\\ No newline at end of file\n+"""doc"""\n' in change.diff


@pytest.mark.parametrize("mode", [0o755, 0o600, 0o4755])
def test_mode_is_kept(tmp_path: Path, mode: int) -> None:
    """The file keeps its mode."""
    script = tmp_path / "a.sh"
    script.write_text("ls\n")
    script.chmod(mode)
    install([script])
    assert stat.S_IMODE(script.stat().st_mode) == mode


@pytest.mark.needs("root")
def test_owner_is_kept(tmp_path: Path) -> None:
    """A file that root guards keeps its owner."""
    script = tmp_path / "a.sh"
    script.write_text("ls\n")
    os.chown(script, 65534, 65533)
    install([script])
    assert (script.stat().st_uid, script.stat().st_gid) == (65534, 65533)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.py", codecs.BOM_UTF8 + "'''あ'''\r\nx = 1\r\n".encode()),
        ("a.py", "# coding: cp932\nx = '表'\n".encode("cp932")),
        ("a.py", "# coding: euc-jp\n'''あ'''\n".encode("euc-jp")),
        ("a.py", "# coding: latin-1\nx = 'é'\n".encode("latin-1")),
        ("a.py", b"# coding: ascii\r\nx = 1\r\n"),
        ("a.py", b"x = 1\n\x0cy = 2"),
        ("a.sh", "echo あ\n".encode("euc-jp")),
        ("a.sh", codecs.BOM_UTF8 + b"ls\n"),
        ("a.sh", b"#!/bin/sh\r\nls\r\n"),
    ],
)
def test_every_byte_is_kept(tmp_path: Path, name: str, data: bytes) -> None:
    """All old bytes are still there around the guard, and the result is valid in its own encoding."""
    script = tmp_path / name
    script.write_bytes(data)
    install([script])
    new = script.read_bytes()
    rest = new
    for line in data.removeprefix(codecs.BOM_UTF8).splitlines(keepends=True):
        assert line in rest
        rest = rest.partition(line)[2]
    assert new.startswith(codecs.BOM_UTF8) == data.startswith(codecs.BOM_UTF8)
    assert (new.count(b"\n") == new.count(b"\r\n")) == (data.count(b"\n") == data.count(b"\r\n"))
    if name.endswith(".py"):
        compile(new, name, "exec")
    assert check([script])[0].guarded


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """Through a symbolic link its target is guarded, once, and the link stays a link."""
    (tmp_path / "bin").mkdir()
    script = tmp_path / "a.py"
    script.write_text("x = 1\n")
    link = tmp_path / "bin" / "tool"
    link.symlink_to("../a.py")
    assert [change.changed for change in install([link, script])] == [True, False]
    assert link.is_symlink()
    assert script.read_text().count("GRAV_BG_JOB") == 1


def missing(folder: Path) -> Path:
    """A file that does not exist."""
    return folder / "missing.py"


def directory(folder: Path) -> Path:
    """A folder with the name of a script."""
    (folder / "d.py").mkdir()
    return folder / "d.py"


def fifo(folder: Path) -> Path:
    """A FIFO; opening it would wait."""
    os.mkfifo(folder / "f.py")
    return folder / "f.py"


def loop(folder: Path) -> Path:
    """A link to itself."""
    (folder / "l.py").symlink_to("l.py")
    return folder / "l.py"


def written(name: str, data: bytes) -> object:
    """A function that writes a file of this name."""

    def write(folder: Path) -> Path:
        (folder / name).write_bytes(data)
        return folder / name

    return write


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (missing, "does not exist"),
        (directory, "is a directory"),
        (fifo, "is not a regular file"),
        (loop, "cannot be read"),
        (written("b.py", b"\x7fELF\0\0"), "is a binary file"),
        (written("b.sh", b"\0"), "is a binary file"),
        (written("b.txt", b"hello\n"), "neither a Python nor a shell script"),
        (written("b", b""), "neither a Python nor a shell script"),
        (written("b.py", b"def f(:\n"), "line 1 is not valid Python"),
        (written("b.py", b"\xff\xfe\n"), "encoding"),
        (written("b.py", b"# coding: nonsense\n"), "nonsense"),
        (written("b.py", b"# coding: ascii\n\n\nx = '\xe9'\n"), "is not ascii"),
        (written("b.py", b"#!/bin/sh\nls\n"), "is python by its name"),
    ],
)
def test_one_clear_error(tmp_path: Path, make: object, message: str) -> None:
    """Both commands refuse what is not a script, in one line that names it, and write no other file."""
    good = tmp_path / "good.py"
    good.write_text("x = 1\n")
    assert callable(make)
    bad = make(tmp_path)
    for command in (check, install):
        with pytest.raises(UsageError) as raised:
            command([good, bad])
        assert message in raised.value.message
        assert str(bad) in raised.value.message
        assert "\n" not in raised.value.message
    assert good.read_text() == "x = 1\n"


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the disk is full, the old file is still complete, and there is no other file."""

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    script = tmp_path / "a.py"
    script.write_text("x = 1\n")
    monkeypatch.setattr(guard_files.os, "fsync", full)
    with pytest.raises(GravscopeError, match="No space left"):
        install([script])
    assert files(tmp_path) == {"a.py": b"x = 1\n"}


def test_a_file_changed_meanwhile_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If an editor saves between our reading and writing, nothing is lost."""
    script = tmp_path / "a.py"
    script.write_text("x = 1\n")
    monkeypatch.setattr(guard_files.os, "fsync", lambda _: script.write_text("x = 2\n"))
    with pytest.raises(GravscopeError, match="changed by someone else"):
        install([script])
    assert files(tmp_path) == {"a.py": b"x = 2\n"}


def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Not even Python's own warnings about the source are printed: only the command line prints."""
    script = tmp_path / "a.py"
    script.write_text("x = '\\d' is 'd'\n")
    check([script])
    install([script])
    assert capfd.readouterr() == ("", "")


def test_importing_a_guarded_script(tmp_path: Path) -> None:
    """A guarded script does not exit when it is imported, as in tests or by multiprocessing's spawn."""
    script = tmp_path / "heavy.py"
    script.write_text(
        "import multiprocessing\ndef double(x): return 2 * x\nif __name__ == '__main__':\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool: print(pool.map(double, [21]))\n"
    )
    install([script])
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import heavy; print(heavy.double(1))"
    imported = subprocess.run([sys.executable, "-I", "-c", code], env={}, capture_output=True, text=True, check=False)
    assert (imported.returncode, imported.stdout) == (0, "2\n")
    command = [sys.executable, "-I", str(script)]
    spawned = subprocess.run(command, env={"GRAV_BG_JOB": "1"}, capture_output=True, text=True, check=False)
    assert (spawned.returncode, spawned.stdout) == (0, "[42]\n")


def test_the_installed_guard_says_what_to_type(tmp_path: Path) -> None:
    """Run by hand, a guarded script exits with 1 and shows its own command after `gravscope run`."""
    script = tmp_path / "a b.py"
    script.write_text("print('ran')\n")
    install([script])
    command = [sys.executable, "-I", str(script), "x y"]
    done = subprocess.run(command, env={"PYTHONUTF8": "1"}, capture_output=True, encoding="utf-8", check=False)
    wanted = f"dispatcher経由で実行してください\ngravscope run -- {sys.executable} -I '{script}' 'x y'\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", wanted)


@pytest.mark.parametrize("first_line", ["#!/bin/sh", "#!/bin/bash"])
@pytest.mark.parametrize(("value", "status"), [("1", 0), ("0", 1)])
def test_an_installed_shell_script_for_real(tmp_path: Path, first_line: str, value: str, status: int) -> None:
    """An executable, guarded shell script runs inside a job, and exits with 1 outside."""
    script = tmp_path / "a"
    script.write_text(f"{first_line}\n# what it does\nset -eu\necho ran\n")
    script.chmod(0o755)
    install([script])
    done = subprocess.run([str(script)], env={"GRAV_BG_JOB": value}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (status, "ran\n" if status == 0 else "")
