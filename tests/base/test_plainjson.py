"""The supervisor's JSON functions agree with the standard library's."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gravscope.base import plainjson

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_what_is_written_can_be_read(value: object) -> None:
    """Whatever JSON can hold is written so that both the standard library and we can read it."""
    text = plainjson.dumps(value)
    assert json.loads(text) == value
    assert plainjson.loads(text) == value


@given(VALUES)
def test_what_others_wrote_can_be_read(value: object) -> None:
    """What the standard library writes is read with the same result."""
    assert plainjson.loads(json.dumps(value)) == value


@pytest.mark.parametrize("text", ["", "{", '{"a": }', '"cut'])
def test_torn_texts(text: str) -> None:
    """A truncated text raises ValueError or StopIteration, and never gives a value."""
    with pytest.raises((ValueError, StopIteration)):
        plainjson.loads(text)


def test_what_json_cannot_hold() -> None:
    """Bytes and sets are refused, not written as another type."""
    for value in (b"x", {1, 2}):
        with pytest.raises(TypeError):
            plainjson.dumps(value)
