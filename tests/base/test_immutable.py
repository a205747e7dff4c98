"""Immutable values behave like a frozen dataclass with the same fields."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gravscope.base.immutable import Immutable
from tests.support import REPOSITORY


class Mine(Immutable):
    """Three fields, two of them with defaults."""

    first: object
    second: object = None
    third: object = "x"


@dataclasses.dataclass(frozen=True)
class Theirs:
    """The same as a dataclass."""

    first: object
    second: object = None
    third: object = "x"


FIELDS = st.sampled_from(["first", "second", "third", "fourth"])
VALUES = st.one_of(st.integers(0, 3), st.text(max_size=2), st.none(), st.lists(st.integers(0, 1), max_size=1))


def made(kind: type, values: list[Any], named: dict[str, Any]) -> Any:  # noqa: ANN401 (either of the two)
    """A value of `kind`, or TypeError if it cannot be made."""
    try:
        return kind(*values, **named)
    except TypeError:
        return TypeError


@given(st.lists(VALUES, max_size=4), st.dictionaries(FIELDS, VALUES), st.lists(VALUES, max_size=3))
def test_as_a_frozen_dataclass(values: list[Any], named: dict[str, Any], other: list[Any]) -> None:
    """With the same arguments both have the same fields, text, equality and hash, or both raise TypeError."""
    mine, theirs = made(Mine, values, named), made(Theirs, values, named)
    if theirs is TypeError:
        assert mine is TypeError
        return
    assert mine.as_dict() == vars(theirs) == vars(mine)
    assert repr(mine).partition("(")[2] == repr(theirs).partition("(")[2]
    rivals = made(Mine, other, {}), made(Theirs, other, {})
    assert (mine == rivals[0]) is (theirs == rivals[1])
    assert mine != theirs
    try:
        hash(theirs)
    except TypeError:
        with pytest.raises(TypeError):
            hash(mine)
    else:
        assert hash(mine) == hash(Mine(*vars(theirs).values()))


def test_it_does_not_change() -> None:
    """Setting a field raises AttributeError; `replaced` makes a new value."""
    mine = Mine(1, second=2)
    with pytest.raises(AttributeError, match=r"Mine\.first does not change"):
        mine.first = 3  # type: ignore[misc]
    with pytest.raises(AttributeError):
        mine.fourth = 3  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        del mine.first
    assert mine.replaced(second=3) == Mine(1, 3)
    assert mine == Mine(1, 2)
    with pytest.raises(TypeError):
        mine.replaced(fourth=1)


def test_a_class_below_has_the_fields_above_first() -> None:
    """The order of fields is that of dataclasses."""

    class Below(Mine):
        fourth: int = 4

    assert Below(1, 2, 3, 5).as_dict() == {"first": 1, "second": 2, "third": 3, "fourth": 5}
    assert Below(1) != Mine(1)


def test_it_is_checked_when_it_is_whole() -> None:
    """`__post_init__` sees every field, and can refuse invalid values."""

    class Even(Immutable):
        number: int

        def __post_init__(self) -> None:
            if self.number % 2:
                raise ValueError(self.number)

    assert Even(2).number == 2
    with pytest.raises(ValueError, match="3"):
        Even(number=3)


def test_it_costs_nothing_to_load() -> None:
    """It loads neither dataclasses nor typing, which is its only purpose."""
    code = (
        "import sys; import gravscope.base.immutable; print(*{'dataclasses', 'typing', 'inspect'} & set(sys.modules))"
    )
    argv = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.append({str(REPOSITORY)!r}); {code}"]
    assert subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip() == ""
