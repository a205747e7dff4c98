"""TOML files: the messages about wrong ones, and the line number of a value."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gravscope.base.errors import UsageError
from gravscope.settings.tomlfile import dotted, line_of, location, read_toml

TEXT = """\
# mem_high = 1
mem_high = 2
"odd key" = 3  # mem_max = 4
  indented=5
limits.swap.max = 6

[jobs.fit]  # [jobs.other]
mem_high = 7
env = { A = 8 }
'quoted' = 9

[jobs."rep6_*"]
mem_high = 10
words = [
  "A=11",
  "[B]",
]

[[many]]
x = 12
[tool.gravscope]
text = '''
[jobs.fit]
mem_high = 13
'''
twice = '''
again = 14
'''
again = 15
"""


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ("mem_high", 2),
        ("odd key", 3),
        ("indented", 4),
        ("limits/swap/max", 5),
        ("limits/swap", 5),
        ("limits", 5),
        ("jobs/fit", None),
        ("jobs/fit/mem_high", None),
        ("jobs/fit/env", 9),
        ("jobs/fit/env/A", 9),
        ("jobs/fit/quoted", 10),
        ("jobs/rep6_*", 12),
        ("jobs/rep6_*/mem_high", 13),
        ("jobs/rep6_*/words", 14),
        ("jobs/rep6_*/no such", 12),
        ("jobs/nobody", None),
        ("mem_max", None),
        ("many/x", 20),
        ("jobs", 7),
    ],
)
def test_the_line_of_what_is_set(keys: str, line: int | None) -> None:
    """The line that sets it, else the first line below it, else its table's; none if a string contains such a line."""
    tomllib.loads(TEXT)
    assert line_of(TEXT, keys.split("/")) == line


@given(st.text(alphabet='[]."=# ab\n', max_size=60) | st.text(max_size=30), st.lists(st.text(max_size=3), max_size=3))
def test_any_text_has_lines_or_none(text: str, keys: list[str]) -> None:
    """The search for a line never fails, whatever the file holds, as it is done to report another error."""
    line = line_of(text, keys)
    assert line is None or 1 <= line <= text.count("\n") + 1


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=5), min_size=1, max_size=3)
)
@example(['a"b', "c\\d", "途中", "rep6_*"])
def test_dotted_names_are_toml(keys: list[str]) -> None:
    """The name of a setting in a message can be pasted into the file."""
    found: object = tomllib.loads(f"{dotted(keys)} = 1")
    for key in keys:
        assert isinstance(found, dict)
        found = found[key]
    assert found == 1


def test_a_place_is_a_file_and_a_line(tmp_path: Path) -> None:
    """FILE:LINE, or only the file if there is no such line or the file is gone."""
    path = tmp_path / "x.toml"
    path.write_text("a = 1\nb = 2\n")
    assert (location(path, ["b"]), location(path, ["c"])) == (f"{path}:2", str(path))
    path.unlink()
    assert location(path, ["b"]) == str(path)


@pytest.mark.parametrize("data", [b"a = \n", b"a = 1\na = 2\n", b'a = "\xff"\n', b"\0", b"a = " + b"9" * 5000, None])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, data: bytes | None) -> None:
    """If it is not TOML, not text, too much for Python, or missing, a UsageError names it."""
    path = tmp_path / "x.toml"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(UsageError) as refused:
        read_toml(path)
    assert str(path) in refused.value.message


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("mem_max = 8G", 'write mem_max = "8G"'),
        ("  mem_max = 8G  # enough", 'write mem_max = "8G"'),
        ("mem_high = 50%", 'write mem_high = "50%"'),
        ("timeout = 1h30m", 'write timeout = "1h30m"'),
        ("launcher: scope", 'write launcher = "scope"'),
        ("jobs_dir = ~/jobs", 'write jobs_dir = "~/jobs"'),
        ("memsafe = True", "write memsafe = true"),
        ("memsafe = off", "write memsafe = false"),
        ("webhook = https://example.org/abc", "write it in quotes"),
        ("API_TOKEN = abc", "write it in quotes"),
    ],
)
def test_a_value_without_quotes(tmp_path: Path, line: str, hint: str) -> None:
    """The line is named, and how to write it; what may be a secret is not repeated."""
    file = tmp_path / "gravscope.toml"
    file.write_text(f"# settings\n{line}\ngrace = 3\n")
    with pytest.raises(UsageError) as raised:
        read_toml(file)
    key = line.strip().partition(" ")[0].rstrip(":")
    assert (raised.value.message, raised.value.hint) == (f"{file}:2: the value of {key} is not TOML", hint)


@pytest.mark.parametrize("line", ['mem_max = "8G', "[jobs", "mem_max", 'mem_max = "8G" "9G"', "env = {A = b"])
def test_other_mistakes_in_a_file(tmp_path: Path, line: str) -> None:
    """Where quotes alone would not do, the words of Python's own reader stand."""
    file = tmp_path / "gravscope.toml"
    file.write_text(f"{line}\n")
    with pytest.raises(UsageError, match=r"; mend the file$"):
        read_toml(file)
