"""The errors: their exit statuses are a contract, and their text is one line that says what to type next."""

from __future__ import annotations

import pytest

from gravscope.base import errors
from gravscope.base.errors import GravscopeError

CONTRACT = {
    "GravscopeError": 1,
    "UsageError": 2,
    "NoSuchJobError": 3,
    "RefusedError": 4,
    "UnsupportedError": 5,
    "StoreError": 6,
    "WaitTimeoutError": 124,
}


def kinds() -> dict[str, type[GravscopeError]]:
    """Every error that the module defines."""
    found = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type)}
    return {name: kind for name, kind in found.items() if issubclass(kind, GravscopeError)}


def test_the_exit_statuses_are_the_contract() -> None:
    """Each kind of error has the exit status that the documentation promises, and there is no other kind."""
    assert {name: kind.exit_code for name, kind in kinds().items()} == CONTRACT


@pytest.mark.parametrize("name", sorted(CONTRACT))
def test_message_and_hint_make_one_sentence(name: str) -> None:
    """What happened comes first, then a semicolon and the hint; both are also attributes."""
    error = kinds()[name]("it broke", "mend it")
    assert (str(error), error.message, error.hint) == ("it broke; mend it", "it broke", "mend it")
    assert isinstance(error, GravscopeError)


def test_without_a_hint_there_is_no_semicolon() -> None:
    """An error without a hint shows its message alone."""
    assert str(GravscopeError("it broke")) == "it broke"
    assert GravscopeError("it broke").hint is None
