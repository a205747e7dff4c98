"""A second machine, with less memory: what a case file asks for is what it gets."""

from __future__ import annotations

import os

GUEST = {"mem": "400M"}


def test_memory_is_what_was_asked_for() -> None:
    """The guest has no more memory than GUEST says."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 300 << 20 < total <= 400 << 20
