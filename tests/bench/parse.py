"""What profilers and /proc print, taken apart. Pure: text in, numbers out."""

from __future__ import annotations

import re
from collections.abc import Mapping

_IMPORT = re.compile(r"^import time:\s+(\d+) \|\s+(\d+) \| (\s*)(\S+)$", re.MULTILINE)
_CALLS = re.compile(r"^\s*[\d.]+\s+([\d.]+)\s+\d+\s+(\d+)(?:\s+\d+)?\s+([a-z_]\w*)$", re.MULTILINE)
_EXEC = re.compile(r'execve\("([^"]*)", \[(.*)')
_STEP = re.compile(r"^(\d+)\s+(\d+\.\d+) (.*)$")
SUPERVISOR = "supervisor/__main__.py"


def import_times(text: str) -> dict[str, float]:
    """Seconds that each top-level package takes to import, its submodules included, dearest first.

    `text` is what `python -X importtime` prints.
    """
    found: dict[str, float] = {}
    for own, _cumulative, _indent, module in _IMPORT.findall(text):
        package = module.partition(".")[0]
        found[package] = found.get(package, 0.0) + int(own) / 1e6
    return dict(sorted(found.items(), key=lambda item: item[1], reverse=True))


def system_calls(text: str) -> dict[str, tuple[float, int]]:
    """Seconds and count of each system call in the table of `strace -c`, dearest first."""
    found = {name: (float(seconds), int(calls)) for seconds, calls, name in _CALLS.findall(text) if name != "total"}
    return dict(sorted(found.items(), key=lambda item: item[1][0], reverse=True))


def timeline(text: str) -> list[tuple[float, str]]:
    """Seconds since the first program was exec'd, and what happened then: programs that begin and end.

    `text` is what `strace -f -ttt -e trace=execve` writes to a file. An execve that failed is left out.
    """
    found: list[tuple[float, str]] = []
    names: dict[str, str] = {}
    pending: dict[str, tuple[float, str]] = {}
    for line in text.splitlines():
        step = _STEP.match(line)
        if step is None:
            continue
        pid, at, what = step[1], float(step[2]), step[3]
        called = _EXEC.match(what)
        if called is not None:  # it may still fail
            pending[pid] = at, _program(called[1], called[2])
        if pid in pending and (what.endswith("= 0") or "resumed>" in what):
            began, names[pid] = pending.pop(pid)
            if what.endswith("= 0"):
                found.append((began, f"{names[pid]} begins"))
        elif what.startswith("+++ exited") and pid in names:
            found.append((at, f"{names[pid]} ends"))
    start = min((at for at, _ in found), default=0.0)
    return sorted((round(at - start, 6), event) for at, event in found)


def _program(path: str, words: str) -> str:
    name = path.rpartition("/")[2]
    return "the supervisor" if name.startswith("python") and SUPERVISOR in words else name


def kilobyte_fields(text: str) -> dict[str, int]:
    """Bytes of each `Name: N kB` line of /proc/PID/smaps_rollup or /proc/PID/status."""
    found = re.findall(r"^(\w+):\s+(\d+) kB$", text, re.MULTILINE)
    return {name: int(number) * 1024 for name, number in found}


def thread_count(status: str) -> int:
    """The number of threads in /proc/PID/status."""
    found = re.search(r"^Threads:\s+(\d+)$", status, re.MULTILINE)
    if found is None:
        raise ValueError("there are no threads in this")
    return int(found[1])


def cpu_seconds(schedstat: str, stat: str, ticks: int) -> float:
    """CPU time of a process: /proc/PID/schedstat counts nanoseconds; where there is none, the clock ticks of
    /proc/PID/stat, of which 20 seconds at 0.05 % are just one."""
    if schedstat:
        return int(schedstat.split(maxsplit=1)[0]) / 1e9
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / ticks


def first_value(text: str, name: str, separator: str = ":") -> str:
    """The value of the first `NAME: VALUE` line of a file like /proc/cpuinfo; empty where there is none."""
    found = re.search(rf"^{re.escape(name)}\s*{re.escape(separator)}\s*(.*)$", text, re.MULTILINE)
    return found[1].strip().strip('"') if found else ""


def top(figures: Mapping[str, float], count: int) -> list[tuple[str, float]]:
    """The first `count` of them, and the sum of the rest as one more."""
    items = list(figures.items())
    rest = sum(value for _, value in items[count:])
    return items[:count] + ([(f"{len(items) - count} others", rest)] if rest else [])
