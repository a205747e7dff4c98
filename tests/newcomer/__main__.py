"""`python -m tests.newcomer [bare] [guest]`: plays the hour, and keeps its screens as what is expected from now on."""

from __future__ import annotations

import argparse
import sys

import pytest

from tests.newcomer.screens import FOLDER, MACHINES, PROPERTY, difference, path_of
from tests.newcomer.tour import NAMES
from tests.support import REPOSITORY

TESTS = {"bare": "tests/newcomer/test_newcomer.py", "guest": "tests/guest/cases/test_newcomer.py"}


class Taker:
    """Takes the screens from the reports of the tests, also those that come from a guest."""

    def __init__(self) -> None:
        self.screens: dict[tuple[str, str], str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Takes what a report brings."""
        for what, value in report.user_properties:
            if what == PROPERTY and isinstance(value, list):
                machine, name, shown = value
                self.screens[machine, name] = shown


def keep(machine: str, shown: dict[str, str]) -> None:
    """Writes the files of a machine's pages, and removes all others."""
    files = {path_of(machine, name): text for name, text in shown.items()}
    (FOLDER / machine).mkdir(parents=True, exist_ok=True)
    for path in (FOLDER / machine).iterdir():
        if path not in files:
            path.unlink()
    for path, text in files.items():
        path.write_text(text)


def main() -> int:
    """The command. Its exit status is 1 where not every page could be played."""
    parser = argparse.ArgumentParser(prog="python -m tests.newcomer", description=__doc__)
    parser.add_argument("machine", nargs="*", help="bare, guest, or both")
    machines = parser.parse_args().machine or [*MACHINES]
    if unknown := set(machines) - set(MACHINES):
        parser.error(f"no such machine: {', '.join(sorted(unknown))}")
    taker = Taker()
    pytest.main(["-q", "--no-header", "--tb=no", *(str(REPOSITORY / TESTS[each]) for each in machines)], [taker])
    status = 0
    for machine in machines:
        shown = {name: taker.screens[machine, name] for name in NAMES if (machine, name) in taker.screens}
        news = [found for name, text in shown.items() if (found := difference(machine, name, text))]
        print("\n".join(news) or f"{machine}: nothing new")
        if len(shown) == len(NAMES):
            keep(machine, shown)
        else:
            print(f"{machine}: could not be played to its end; nothing was written", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
