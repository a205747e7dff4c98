"""What every test has: folders of its own, and skips that fail where nothing may be left out."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.private_manager.manager import UserManager
from tests.support import Gravscope, ManagedGravscope

# no example has a time limit: no test depends on the machine's speed
settings.register_profile("gravscope", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("gravscope")
# A shell that starts something in the background lets it ignore SIGINT, and so would all that the tests start
signal.signal(signal.SIGINT, signal.default_int_handler)
STRICT = os.environ.get("GRAVSCOPE_STRICT") == "1"
pytest_plugins = ["tests.private_manager.fixture", "tests.others", "tests.fake_clock"]


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
def managed(user_manager: UserManager) -> Iterator[ManagedGravscope]:
    """The command line beside a real user manager; whatever it started is ended afterwards."""
    tool = ManagedGravscope(user_manager)
    yield tool
    tool.clean_up()
