"""The file of variables: NAME=VALUE lines as in a POSIX shell, without expansion."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gravscope.actions.launch.spec import Typed, make_spec
from gravscope.base.errors import UsageError
from gravscope.settings.env_file import read_env_file, split_words


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("", {}),
        ("A=1\nB=2\n", {"A": "1", "B": "2"}),
        ("A=1\r\nB=2", {"A": "1", "B": "2"}),
        ("# note\n\n  \nA=1 # why\n", {"A": "1"}),
        ("export A=1\nexport B='x y' C=3\n", {"A": "1", "B": "x y", "C": "3"}),
        ('A=\'it is\'\nB="say \\"hi\\""\nC=a\\ b\n', {"A": "it is", "B": 'say "hi"', "C": "a b"}),
        ("A=\nB=''\n", {"A": "", "B": ""}),
        ("A=x=y==\n", {"A": "x=y=="}),
        ("A=$HOME ", {"A": "$HOME"}),
        ("A=1\nA=2\n", {"A": "2"}),
        ("A=途中\n", {"A": "途中"}),
        ("A=x#y\nB=x #y\nC='#'#\n", {"A": "x#y", "B": "x", "C": "##"}),
        ('A="\\$HOME \\` \\x"\nB=\\$HOME\n', {"A": "$HOME ` \\x", "B": "$HOME"}),
        ("A='\u2028\x85\x0b\x0c\x1c'\nB=\x0c\n", {"A": "\u2028\x85\x0b\x0c\x1c", "B": "\x0c"}),
    ],
)
def test_the_file_of_variables(tmp_path: Path, text: str, variables: dict[str, str]) -> None:
    """NAME=VALUE lines as in a shell: quotes, export, comments; nothing is expanded; the last value counts; and only a
    newline ends a line, not the other line ends of Unicode."""
    (tmp_path / "env").write_bytes(text.encode())
    assert read_env_file(tmp_path / "env") == variables


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("A=1\nB\n", ":2: 'B' is not NAME=VALUE"),
        ("A=1\n\nB C=2\n", ":3: 'B' is not NAME=VALUE"),
        ("A = 1\n", ":1: 'A' is not NAME=VALUE"),
        ("=1\n", ":1: '=***' is not NAME=VALUE"),
        ("A='1\n", ":1: No closing quotation"),
        ('A=1\nB=x"\\"\n', ":2: No closing quotation"),
        ("A=1\\", ":1: No escaped character"),
        ("A-B=1\n", ":1: 'A-B=***' is not NAME=VALUE"),
    ],
)
def test_a_line_that_is_no_variable(tmp_path: Path, text: str, complaint: str) -> None:
    """The message has the file and the line."""
    path = tmp_path / "env"
    path.write_text(text)
    with pytest.raises(UsageError) as refused:
        read_env_file(path)
    assert str(refused.value) == f"--env-file: {path}{complaint}"


def test_values_that_are_no_text_are_kept_byte_for_byte(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 reach the command unchanged; a NUL byte, which no variable can hold, is refused."""
    (tmp_path / "env").write_bytes(b"A=\xff\x80\n")
    typed = Typed(command=["x"], env_file=str(tmp_path / "env"))
    assert os.fsencode(make_spec(typed).env["A"]) == b"\xff\x80"
    (tmp_path / "env").write_bytes(b"A=x\0y\n")
    with pytest.raises(UsageError, match="the value of A holds a NUL byte"):
        make_spec(typed)


@pytest.mark.slow
@given(
    st.dictionaries(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,9}", fullmatch=True), st.binary(max_size=99), max_size=9)
)
def test_what_a_shell_would_quote_is_read_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, variables: dict[str, bytes]
) -> None:
    """Any bytes that a line can hold are read back if they are quoted as for a shell."""
    given = {name: os.fsdecode(value.translate(None, b"\0\n")) for name, value in variables.items()}
    path = tmp_path_factory.getbasetemp() / "quoted"
    path.write_bytes(b"".join(os.fsencode(f"{name}={shlex.quote(value)}\n") for name, value in given.items()))
    assert read_env_file(path) == given


# Lines of quotes, escapes, comments and blanks, without what a shell would expand or treat as syntax.
LINES = st.lists(st.text(st.sampled_from("aB=_-./:,+^#\"'\\ \té銀\x0c\x85"), max_size=14), min_size=100, max_size=200)
# Prints how many words each line has, and the words; E for a line that the shell rejects.
SHELL = r"""for line; do
  if (eval "set -- $line") 2>/dev/null; then eval "set -- $line"; printf '%s\n' "$#" ${1+"$@"}; else echo E; fi
done"""


@given(LINES)
@settings(max_examples=5)
@example(["A=x#y", "A=x #y", "#", "a'b'\"c\"", '"\\a\\"\\\\"', "''", "'a\"b'", "\\#", "'", '"\\"', " a  b\t", "a\\ b"])
def test_words_are_those_of_a_shell(lines: list[str]) -> None:
    """The words are those that `sh` makes of the same line, or there is an error where `sh` has one."""
    # A backslash at the very end would join the line with the next one, if there is one.
    lines = [line for line in lines if (len(line) - len(line.rstrip("\\"))) % 2 == 0]
    shell = ["sh", "-c", SHELL, "sh", *lines]
    said = subprocess.run(shell, env={"LC_ALL": "C"}, capture_output=True, check=True).stdout.decode().split("\n")
    expected = []
    for line in lines:
        try:
            words = split_words(line)
            expected += [str(len(words)), *words]
        except ValueError:
            expected.append("E")
    assert said == [*expected, ""]
