"""What every test has: folders of its own, and skips that fail where nothing may be left out."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests import needs
from tests.needs import need, needing
from tests.private_manager.manager import UserManager
from tests.summary import Summary
from tests.support import Gravscope, ManagedGravscope

# no example has a time limit: no test depends on the machine's speed
settings.register_profile("gravscope", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("gravscope")
# A shell that starts something in the background lets it ignore SIGINT, and so would all that the tests start
signal.signal(signal.SIGINT, signal.default_int_handler)
CASES = Path(__file__).parent / "guest" / "cases"
THINGS = pytest.StashKey[set[str]]()
STRICT = os.environ.get("GRAVSCOPE_STRICT") == "1"
pytest_plugins = ["tests.private_manager.fixture", "tests.others", "tests.fake_clock"]


def pytest_configure(config: pytest.Config) -> None:
    """Makes the markers known; a summary of our own takes the place of a line for every skip."""
    config.addinivalue_line("markers", "needs(*things): what the test needs besides Python (tests/needs.py)")
    config.addinivalue_line("markers", "slow: takes a second or more on a quiet machine; make test-quick leaves it out")
    for name, what in needs.markers().items():
        config.addinivalue_line("markers", f"{name}: added to each test that needs {what}")
    config.pluginmanager.register(Summary(str(config.option.markexpr)))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gives each test a marker for everything that it needs, so that -m can choose by it."""
    for item in items:
        things = declared_by(item)
        item.stash[THINGS] = things
        if things and not item.get_closest_marker("needs"):
            item.add_marker("needs")
        for thing in things:
            item.add_marker(needs.marker_of(thing))


def declared_by(item: pytest.Item) -> set[str]:
    """What a test needs, by its own markers and by the fixtures that it has."""
    found = {str(thing) for marker in item.iter_markers("needs") for thing in marker.args}
    if item.path.is_relative_to(CASES):
        found = {"guest"}  # there, inside, everything is
    else:
        info = getattr(item, "_fixtureinfo", None)
        for definitions in getattr(info, "name2fixturedefs", {}).values():
            found |= set(getattr(definitions[-1].func, "needs", ()))
    unknown = found - needs.things_known()
    assert not unknown, f"{item.nodeid} needs what tests/needs.py does not know: {unknown}"
    return found


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Tells the helpers what the test that is being run has declared."""
    things = item.stash.get(THINGS, None)
    needs.declared = None if things == {"guest"} else things
    yield
    needs.declared = None


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leaves out a test whose needs are not met, before anything is made for it."""
    for thing in sorted(item.stash.get(THINGS, set())):
        if (reason := needs.lacking(thing)) is not None:
            pytest.skip(reason)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Under GRAVSCOPE_STRICT=1 a skipped test is a failed one: what is not shown is not claimed."""
    outcome = yield
    report = outcome.get_result()
    if STRICT and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped under GRAVSCOPE_STRICT=1: {report.longrepr}"


@pytest.fixture
def gravscope(tmp_path: Path) -> Iterator[Gravscope]:
    """The command line with folders of its own and no user manager; whatever it started is ended afterwards."""
    tool = Gravscope(tmp_path)
    yield tool
    tool.clean_up()


@pytest.fixture
@needing("manager")
def managed(user_manager: UserManager) -> Iterator[ManagedGravscope]:
    """The command line beside a real user manager; whatever it started is ended afterwards."""
    need("manager")
    tool = ManagedGravscope(user_manager)
    yield tool
    tool.clean_up()
