"""Parsers of what profilers and /proc print, on pasted output."""

from __future__ import annotations

import pytest

from tests.bench import parse

IMPORTTIME = """\
import time: self [us] | cumulative | imported package
import time:       120 |        120 |   _io
import time:      1000 |       1120 | typer
import time:       500 |        500 |     typer.core
import time:       300 |        900 |   typer.main
warning: something else on standard error
"""
STRACE_COUNT = """\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.030000          60       500       120 newfstatat
 39.00    0.040000         195       200           read
  1.00    0.000500           5       100           rt_sigaction
------ ----------- ----------- --------- --------- ----------------
100.00    0.070500          88       800       120 total
"""
STRACE_STEPS = """\
10 100.000000 execve("/venv/bin/gravscope", ["gravscope", "run"], 0x7ffd /* 9 vars */) = 0
11 100.040000 execve("/sbin/systemd-run", ["systemd-run", "--", "/g/supervisor/__main__.py"], 0x1 /* 9 vars */) = -1 ENOENT (No such file or directory)
11 100.050000 execve("/bin/systemd-run", ["systemd-run", "--", "/g/supervisor/__main__.py"], 0x1 /* 9 vars */) = 0
11 100.060000 execve("/venv/bin/python", ["python", "-I", "-S", "/g/supervisor/__main__.py", "5"], 0x1 /* 9 vars */ <unfinished ...>
10 100.060100 --- SIGCHLD {si_signo=SIGCHLD} ---
11 100.060200 <... execve resumed>)        = 0
12 100.070000 execve("/missing/true", ["true"], 0x1 /* 9 vars */ <unfinished ...>
12 100.070100 <... execve resumed>)        = -1 ENOENT (No such file or directory)
12 100.070200 execve("/bin/true", ["true"], 0x1 /* 9 vars */) = 0
12 100.071000 +++ exited with 0 +++
10 100.080000 +++ exited with 0 +++
13 100.085000 +++ exited with 0 +++
11 100.090000 +++ exited with 0 +++
"""  # noqa: E501 (as strace prints it)
SMAPS = "00400000-7fff0000 ---p 00000000 00:00 0    [rollup]\nRss:     10320 kB\nPss:      4100 kB\n"


def test_import_times_are_added_up() -> None:
    """Each top-level package has its own time and that of its submodules, dearest first."""
    assert parse.import_times(IMPORTTIME) == pytest.approx({"typer": 0.0018, "_io": 0.00012})
    assert next(iter(parse.import_times(IMPORTTIME))) == "typer"


def test_system_calls_with_and_without_errors() -> None:
    """Lines with and without a count of errors are read alike, dearest first; the sum is no system call."""
    found = parse.system_calls(STRACE_COUNT)
    assert found == {"read": (0.04, 200), "newfstatat": (0.03, 500), "rt_sigaction": (0.0005, 100)}
    assert list(found) == ["read", "newfstatat", "rt_sigaction"]


def test_the_timeline_names_what_really_began() -> None:
    """Programs are told from the first on; what was not found on PATH never began; forks without exec are nothing."""
    assert parse.timeline(STRACE_STEPS) == [
        (0.0, "gravscope begins"),
        (0.05, "systemd-run begins"),
        (0.06, "the supervisor begins"),
        (0.0702, "true begins"),
        (0.071, "true ends"),
        (0.08, "gravscope ends"),
        (0.09, "the supervisor ends"),
    ]
    assert parse.timeline("") == []


def test_memory_and_threads() -> None:
    """Sizes are bytes, of the fields that have one; a file without threads is refused."""
    assert parse.kilobyte_fields(SMAPS) == {"Rss": 10320 * 1024, "Pss": 4100 * 1024}
    assert parse.thread_count("Name:\tx\nThreads:\t3\nSigQ:\t0/9\n") == 3
    with pytest.raises(ValueError, match="no threads"):
        parse.thread_count(SMAPS)


def test_cpu_time_by_nanoseconds_or_ticks() -> None:
    """The scheduler's nanoseconds are taken where there are any, else the clock ticks; a name may hold brackets."""
    stat = "7 (a) b) S 1 7 7 0 -1 4194304 100 0 0 0 31 2 0 0 20 0 1 0 100 9 9"
    assert parse.cpu_seconds("333918238 3125085 49\n", stat, 100) == pytest.approx(0.333918238)
    assert parse.cpu_seconds("", stat, 100) == pytest.approx(0.33)


def test_first_value() -> None:
    """The first value of that name, without its quotes; nothing where there is none."""
    text = 'model name\t: EPYC\nmodel name\t: other\nPRETTY_NAME="Debian 12"\n'
    assert parse.first_value(text, "model name") == "EPYC"
    assert parse.first_value(text, "PRETTY_NAME", "=") == "Debian 12"
    assert parse.first_value(text, "nothing") == ""


def test_top_keeps_the_sum() -> None:
    """What is not among the first is one line more, so that the sum stays."""
    figures = {"a": 3.0, "b": 2.0, "c": 1.0, "d": 0.5}
    assert parse.top(figures, 2) == [("a", 3.0), ("b", 2.0), ("2 others", 1.5)]
    assert parse.top(figures, 4) == list(figures.items())
