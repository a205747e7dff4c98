"""What was left out, told once a reason: a plugin of pytest's own summary."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

# seconds from which a test is named where only quick ones were asked for
LONG = 10.0
# the end of a reason that names a package
_INSTALL = re.compile(r"; type: sudo apt-get install (.+)$")


def reason_of(longrepr: object) -> str:
    """Why a test was skipped: the words behind pytest's own `Skipped: `."""
    text = str(longrepr[2] if isinstance(longrepr, tuple) else longrepr)
    return " ".join(text.removeprefix("Skipped: ").split())


def summary(reasons: Iterable[str]) -> list[str]:
    """A line for each reason with its count, most first; then what to type for all packages at once."""
    counted = Counter(reasons)
    rows = sorted(counted.items(), key=lambda row: (-row[1], row[0]))
    lines = [f"{count:5} {'test' if count == 1 else 'tests'}: {reason}" for reason, count in rows]
    packages = {name for reason in counted if (found := _INSTALL.search(reason)) for name in found[1].split()}
    if len(packages) > 1:
        lines.append(f"for all of these packages type: sudo apt-get install {' '.join(sorted(packages))}")
    return lines


class Summary:
    """The plugin; `chosen` is what -m chooses tests by."""

    def __init__(self, chosen: str) -> None:
        self.quick = "not slow" in chosen

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:  # noqa: ANN401 - its class is not public
        """Writes it above the closing line."""
        skipped = terminalreporter.stats.get("skipped", [])
        lines = summary(reason_of(report.longrepr) for report in skipped)
        if lines:
            terminalreporter.write_sep("=", f"left out: {len(skipped)}")
            for line in lines:
                terminalreporter.write_line(line)
        ran = [*terminalreporter.stats.get("passed", []), *terminalreporter.stats.get("failed", [])]
        for report in ran if self.quick else []:
            if report.duration > LONG:
                terminalreporter.write_line(f"{report.nodeid} took {report.duration:.0f} s; should it be marked slow?")
