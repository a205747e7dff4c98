"""The `user_manager` fixture: one real user manager for a pytest session, started when first asked for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.needs import needing

from .manager import Unavailable, UserManager, connect


@pytest.fixture(scope="session")
@needing("manager")
def user_manager() -> Iterator[UserManager]:
    """A user manager to run commands beside; skips with the reason where none can be had."""
    context = connect()
    try:
        manager = context.__enter__()
    except Unavailable as reason:
        pytest.skip(f"needs a user manager: {reason}")
    try:
        yield manager
    finally:
        context.__exit__(None, None, None)
