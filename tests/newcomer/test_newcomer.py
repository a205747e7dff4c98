"""A newcomer's hour on a machine without systemd: gravscope is installed from its wheel, and jobs run in sessions."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest

from tests.needs import needing
from tests.newcomer.player import Hour, Newcomer
from tests.newcomer.screens import FOLDER, MACHINES, check, path_of
from tests.newcomer.tour import NAMES, install_wheel
from tests.support import REPOSITORY, clean_environment, path_without_systemd
from tests.test_wheel import Installed


@pytest.fixture(scope="module")
@needing("tmux", "index")
def hour(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hour]:
    """The hour of somebody who has the wheel of this tree in their home."""
    home, beside = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("beside")
    Installed(beside)(sys.executable, "-m", "pip", "-q", "wheel", "--no-deps", "--wheel-dir", home, REPOSITORY)
    (wheel,) = home.iterdir()
    environ = {name: value for name, value in clean_environment().items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    environ |= {"PATH": path_without_systemd(), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    found = Hour(Newcomer(home, environ), install_wheel(wheel.name), beside)
    yield found
    found.end()


@pytest.mark.parametrize("name", NAMES)
def test_the_hour(hour: Hour, name: str, record_property: Callable[[str, object], None]) -> None:
    """Each screen is the one that is kept: from the installation to the end, what is typed works as it did."""
    check("bare", hour, name, record_property)


@pytest.mark.parametrize("machine", MACHINES)
def test_the_screens_are_those_of_the_hour(machine: str) -> None:
    """There is one for each page, and none that nobody looks at."""
    assert sorted((FOLDER / machine).iterdir()) == [path_of(machine, name) for name in NAMES]
