"""Runs the cases in a guest: collected here like any test, run by a pytest inside, reported here one by one."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from .machine import CHECKOUT, Guest, Unavailable

CASES = Path(__file__).resolve().parent / "cases"
INSIDE = "GRAVSCOPE_GUEST" in os.environ
BOOT_WITHIN = 180.0
# A case file changes these with GUEST = {...}; files that ask for the same share a guest. `timeout` is how many
# seconds a test may take before the guest is taken for hung.
USUAL = {"mem": "1G", "timeout": 180}
TEST_SETTINGS = {"stdin": "null", "stdout": "file:/share/work.txt", "tty": "console"}


def is_case(item: pytest.Item) -> bool:
    """Does this test belong into a guest?"""
    return item.path.is_relative_to(CASES)


def user_of(item: pytest.Item) -> str:
    """Who runs it there."""
    return "root" if item.get_closest_marker("as_root") else "alice"


def machine_of(item: pytest.Item) -> tuple[tuple[str, Any], ...]:
    """What machine it asks for, in a form that can be compared."""
    return tuple(sorted((USUAL | getattr(getattr(item, "module", None), "GUEST", {})).items()))


class Machine:
    """A guest at work on its tests, and the reports that come from it."""

    def __init__(self, config: pytest.Config, wanted: dict[str, Any], items: list[pytest.Item]) -> None:
        self.config, self.wanted = config, wanted
        self.started = self.progress = time.monotonic()
        self.first_test: float | None = None
        self.failed = False
        self.reports: dict[str, list[pytest.TestReport]] = {}
        self.read = 0
        scripts = {}
        for user in ("alice", "root"):
            if nodes := [item.nodeid for item in items if user_of(item) == user]:
                scripts[f"{user}.sh"] = script_for(user, nodes)
        self.guest = Guest("test", str(wanted["mem"]), TEST_SETTINGS, {"reports.jsonl": "", **scripts})

    def take_reports(self) -> None:
        """Read the lines that have come since the last time."""
        with (self.guest.folder / "reports.jsonl").open("rb") as file:
            file.seek(self.read)
            whole, newline, _ = file.read().rpartition(b"\n")
        self.read += len(whole) + len(newline)
        for line in whole.splitlines():
            self.progress = time.monotonic()
            if self.first_test is None:
                self.first_test = self.progress - self.started
            data = json.loads(line)
            if isinstance(data.get("longrepr"), list):
                data["longrepr"] = tuple(data["longrepr"])  # JSON has lists only; a skip's reason is a tuple
            report = self.config.hook.pytest_report_from_serializable(config=self.config, data=data)
            self.reports.setdefault(report.nodeid, []).append(report)

    def trouble(self) -> str | None:
        """Why no more reports can come; None while they can."""
        if self.guest.status() is not None:
            return f"pytest in the guest ended without it (status {self.guest.status()})"
        if self.guest.process.poll() is not None:
            return "the guest died"
        limit = BOOT_WITHIN if self.first_test is None else float(self.wanted["timeout"])
        if time.monotonic() - self.progress > limit:
            return f"the guest gave no sign for {limit:.0f} s"
        return None

    def reports_of(self, item: pytest.Item) -> Iterator[pytest.TestReport]:
        """The reports of one test as they come, or one that says why there are none."""
        given = 0
        while True:
            trouble = self.trouble()  # asked before the last read, so that nothing is missed
            for machine in running(self.config):  # each one's sign of life is when we saw it
                machine.take_reports()
            for report in self.reports.get(item.nodeid, [])[given:]:
                given += 1
                self.failed |= report.failed
                yield report
                if report.when == "teardown":
                    return
            if trouble:
                self.failed = True
                self.guest.stop()
                yield report_without_run(item, "failed", f"{trouble}\n{self.last_words()}")
                return
            time.sleep(0.05)

    def last_words(self) -> str:
        """The ends of what it left, for whoever reads the failure."""
        parts = []
        for name in ("console.txt", "work.txt", "pytest-alice.txt", "pytest-root.txt"):
            if lines := self.guest.text(name).splitlines()[-15:]:
                parts.append("\n".join([f"--- {name}", *lines]))
        return "\n".join(parts)

    def end(self) -> str:
        """Stop it; what to say about it at the end."""
        self.guest.stop()
        name = f"guest with {self.wanted['mem']}: "
        boot = "no test ran" if self.first_test is None else f"first result after {self.first_test:.1f} s"
        if self.failed:
            return f"{name}{boot}; its journal and console: {self.guest.folder}"
        self.guest.forget()
        return name + boot


def script_for(user: str, nodes: list[str]) -> str:
    """The shell script that runs these tests in the guest as this user."""
    env = {
        "GRAVSCOPE_GUEST": user,
        "GRAVSCOPE_GUEST_REPORTS": "9",  # a file that `inside` has opened
        "GRAVSCOPE_STRICT": os.environ.get("GRAVSCOPE_STRICT", ""),
        "PYTHONDONTWRITEBYTECODE": "1",
        "LANG": "C.UTF-8",
    }
    exports = [f"export {name}={shlex.quote(value)}" for name, value in env.items() if value]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={CHECKOUT}", *nodes]
    lines = [f"cd {shlex.quote(str(CHECKOUT))} || exit", *exports, f"exec {shlex.join(command)} < /dev/null"]
    return "\n".join([*lines, ""])


def report_without_run(item: pytest.Item, outcome: Literal["failed", "skipped"], text: str) -> pytest.TestReport:
    """A report on a test that could not be run."""
    path, line, name = item.location
    longrepr: Any = (path, (line or 0) + 1, f"Skipped: {text}") if outcome == "skipped" else text
    words: Any = {"nodeid": item.nodeid, "location": (path, line, name), "keywords": dict.fromkeys(item.keywords, 1)}
    return pytest.TestReport(**words, outcome=outcome, longrepr=longrepr, when="call")


class Reporter:
    """Inside: hands the reports to the host."""

    def __init__(self, config: pytest.Config, descriptor: int) -> None:
        self.config, self.descriptor = config, descriptor

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write one to the shared folder, and through to the host's file system."""
        data = self.config.hook.pytest_report_to_serializable(config=self.config, report=report)
        os.write(self.descriptor, f"{json.dumps(data)}\n".encode())
        os.fsync(self.descriptor)


MACHINES = pytest.StashKey[dict[tuple[tuple[str, Any], ...], "Machine | Unavailable"]]()
FOLLOWING = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", "as_root: in the guest, run by root instead of the ordinary user alice")
    if descriptor := os.environ.pop("GRAVSCOPE_GUEST_REPORTS", None):
        config.pluginmanager.register(Reporter(config, int(descriptor)))
    config.stash[MACHINES] = {}
    config.stash[FOLLOWING] = []


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the cases last, machine by machine, in the order in which each guest runs them."""
    cases = [item for item in items if is_case(item)]
    machines = list(dict.fromkeys(map(machine_of, cases)))
    cases.sort(key=lambda item: (machines.index(machine_of(item)), user_of(item)))
    items[:] = [item for item in items if not is_case(item)] + cases


def machine_for(item: pytest.Item) -> Machine | Unavailable:
    """The guest that this test runs in. All of them are booted with the first test, side by side: each has one CPU,
    and the host waits for them in turn."""
    machines = item.config.stash[MACHINES]
    if not machines:
        cases = [other for other in item.session.items if is_case(other)]
        for wanted in dict.fromkeys(map(machine_of, cases)):
            items = [other for other in cases if machine_of(other) == wanted]
            try:
                machines[wanted] = Machine(item.config, dict(wanted), items)
            except Unavailable as reason:
                machines[wanted] = reason
    return machines[machine_of(item)]


def running(config: pytest.Config) -> list[Machine]:
    """Every guest that was booted."""
    return [machine for machine in config.stash[MACHINES].values() if isinstance(machine, Machine)]


def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    """Report on a case what the guest says of it."""
    if INSIDE or not is_case(item):
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    machine = machine_for(item)
    if isinstance(machine, Machine):
        for report in machine.reports_of(item):
            item.ihook.pytest_runtest_logreport(report=report)
    else:
        outcome: Literal["failed", "skipped"] = "failed" if os.environ.get("GRAVSCOPE_STRICT") == "1" else "skipped"
        item.ihook.pytest_runtest_logreport(report=report_without_run(item, outcome, str(machine)))
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Leave no guest running, and keep what is to be said about each."""
    session.config.stash[FOLLOWING] += [machine.end() for machine in running(session.config)]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:  # noqa: ANN401 - not public
    """Say how long the guests took, and where the failed ones left their journals."""
    for line in config.stash[FOLLOWING]:
        terminalreporter.write_line(line)
