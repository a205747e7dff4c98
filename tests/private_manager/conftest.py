"""Makes the fixture known here even where no conftest further up does; registering it twice is harmless."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Register the fixture's module under the one name that it has for every conftest."""
    config.pluginmanager.import_plugin(f"{__package__}.fixture")
