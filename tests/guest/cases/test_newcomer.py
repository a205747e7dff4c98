"""A newcomer's hour on a whole machine: systemd, a user manager of one's own, limits that the kernel holds."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator

import pytest

from tests.newcomer.player import Hour, Newcomer
from tests.newcomer.screens import check
from tests.newcomer.tour import NAMES, install_checkout
from tests.support import REPOSITORY
from tests.terminal import screen_for
from tests.vim import use_vim

from .helpers import GuestGravscope


@pytest.fixture(scope="module")
def hour(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hour]:
    """The hour of somebody who has a checkout in their home."""
    home, beside = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("beside")
    (home / "gravscope").mkdir()
    (home / "gravscope" / ".venv").symlink_to(sys.prefix)
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("GRAVSCOPE", "MAKE"))}
    # the environment may belong to another checkout than the one that is tested
    newcomer = Newcomer(home, {**environ, "PYTHONPATH": str(REPOSITORY)})
    found = Hour(newcomer, install_checkout("$HOME/gravscope/.venv/bin"), beside)
    yield found
    found.end()


@pytest.mark.parametrize("name", NAMES)
def test_the_hour(hour: Hour, name: str, record_property: Callable[[str, object], None]) -> None:
    """Each screen is the one that is kept: jobs run in scopes, and what is killed for memory the kernel has killed."""
    check("guest", hour, name, record_property)


def test_vim_is_usable(guest: GuestGravscope) -> None:
    """In the scope of `run --fg` an editor takes keys, follows its window, and writes; its exit status is its own."""
    with screen_for(guest) as screen:
        use_vim(screen)
