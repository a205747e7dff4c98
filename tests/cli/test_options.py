"""Options: whatever is typed, `run` understands it or refuses it in one line with exit status 2, and never fails."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import typer
from hypothesis import example, given
from hypothesis import strategies as st

from gravscope.cli import status_of

QUANTITIES = ["--mem-high", "--mem-max", "--swap-max", "--cpu-quota", "--tasks-max", "--cpu-weight", "--io-weight",
              "--timeout", "--grace"]  # fmt: skip
OPTIONS = [*QUANTITIES, "--name", "--env", "--cwd", "--env-file", "--oom-policy", "--launcher"]
ALIKE = st.text(st.sampled_from("0123456789.%KMGTPEBsmhdw infty-+e_²٣６Ｇ／\0\n"), max_size=12)
# as sys.argv has them: any bytes but NUL
TYPED = (ALIKE | st.text(max_size=30) | st.binary(max_size=20).map(os.fsdecode)).map(
    lambda text: text.replace("\0", "")
)
HOSTILE = [
    "", " ", "６G", "6 G", "6g", "-1", "-5s", "+1", "1e400", "1e3", "nan", "NaN", "inf", "infinity", "INFINITY",
    "150%", "0", "0%", "1e-400%", "0.00001%", "9" * 400, "9" * 5000, "9" * 400 + "E", "9" * 400 + "%", "9" * 400 + "d",
    "1.7976931348623157e308", "16E", "18446744073709551615", "18446744073709551616", "0x10", "1_000", "１００", "٣",
    "²", "1,5G", "∞", "1h-5m", "5 minutes", "None", "null", "true", "\n", "1\n", "\u30001G", "99999999999999999999s",
    "1us", "0.0000000001us", "a=b", "=", "A=1",
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def built_once() -> Iterator[None]:
    """Typer builds the command line anew for each call, which takes longer than all the rest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.main, "get_command", cache(typer.main.get_command))
        yield


def typed(monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[int, bytes, str]:
    """Exit status, standard output and standard error of a dry run with these options."""
    out, error = io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace"), io.StringIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", error)
        status = status_of(["run", "--launcher", "session", "--dry-run", *words, "--", "true"])
        out.flush()
    assert isinstance(out.buffer, io.BytesIO)
    return status, out.buffer.getvalue(), error.getvalue()


def check(monkeypatch: pytest.MonkeyPatch, option: str, text: str) -> int:
    """Types one option; the exit status, which is 0 or 2 with one line."""
    status, out, error = typed(monkeypatch, f"{option}={text}")
    if status == 0:
        # in a session no limit stands in the line
        assert not error or error.endswith("; type: gravscope doctor\n")
        assert error.count("\n") <= 1
        assert out.startswith(b"mkdir -p ")
    else:
        assert status == 2
        assert out == b""
        assert error.startswith("gravscope: ")
        assert error.endswith("\n")
        assert error[:-1].isprintable() or "\u3000" in error
    return status


@pytest.mark.parametrize("option", OPTIONS)
def test_hostile_values(monkeypatch: pytest.MonkeyPatch, option: str) -> None:
    """The ones that have broken parsers before: in full width, endless, negative, not a number, of 5000 digits."""
    for text in HOSTILE:
        check(monkeypatch, option, text)


@given(st.sampled_from(OPTIONS), TYPED)
@example("--env", "A=途中🌀\n\udcff")
@example("--cwd", "/tmp/\n")
@example("--name", "重い")
def test_whatever_is_typed_is_understood_or_one_line(option: str, text: str) -> None:
    """Any text for any option: no traceback, no other exit status, no second line."""
    with pytest.MonkeyPatch.context() as patch:
        check(patch, option, text)


@pytest.mark.parametrize(
    ("option", "fine", "refused"),
    [
        (
            "--mem-max",
            ["16M", "15E", "1%", "infinity", "6g", "6 G"],
            ["15.9M", "16E", "0", "-1", "６G", "6Gb", "1e9"],
        ),
        ("--swap-max", ["0", "0%", "1K"], ["-0", "", "infinite"]),
        ("--cpu-quota", ["0.01%", "150%", "21000000%"], ["0%", "0.009%", "21000001%", "150", "1e2%"]),
        ("--tasks-max", ["2", "999999999999999999", "infinity"], ["1", "0", "-2", "２", "9999999999999999999", "2.0"]),
        ("--timeout", ["1us", "1000000000000", "infinity"], ["0", "0s", "1000000000001", "-1", "1e3", "５s", "inf"]),
        ("--grace", ["0", "30d", "infinity"], ["-1s", "99999999999999999999s", "NaN", "10 parsecs"]),
        ("--cpu-weight", ["1", "10000"], ["0", "10001", "-1", "1.5", "infinity", "9" * 5000]),
    ],
)
def test_where_each_range_ends(
    monkeypatch: pytest.MonkeyPatch, option: str, fine: list[str], refused: list[str]
) -> None:
    """What systemd and the kernel take is taken, and what they would not is refused before anything exists."""
    assert {text: check(monkeypatch, option, text) for text in fine} == dict.fromkeys(fine, 0)
    assert {text: check(monkeypatch, option, text) for text in refused} == dict.fromkeys(refused, 2)


def test_a_settings_file_that_no_parser_takes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A NUL byte in a folder, a number of 5000 digits, nesting without end: one line that names it."""
    monkeypatch.chdir(tmp_path)
    for name in ("GRAVSCOPE_JOBS_DIR", "GRAVSCOPE_LOG_DIR"):
        monkeypatch.delenv(name, raising=False)
    for text in ('jobs_dir = "a\\u0000b"', "x = " + "9" * 5000, "x = " + "[" * 20_000):
        (tmp_path / "gravscope.toml").write_text(text)
        for command in (["status"], ["run", "--launcher", "session", "--", "true"]):
            assert status_of(command) == 2
            captured = capsys.readouterr()
            assert captured.out == ""
            assert len(captured.err.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["gravscope.toml"]
