"""The command lines of the tools, word by word, and the parsers of their output."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gravscope.records.spec import Limits
from gravscope.systemd import commands

UNIT = "gravscope-fit_20260101_120000.scope"
# systemctl --user show --property=ActiveState,SubState,Result,ControlGroup,LoadState of systemd 252 (Debian 12)
KILLED_FOR_MEMORY = """\
Result=oom-kill
ControlGroup=/user.slice/user-1000.slice/user@1000.service/gravscope.slice/gravscope-fit_20260101_120000.scope
LoadState=loaded
ActiveState=failed
SubState=failed
"""
GONE = """\
Result=success
ControlGroup=
LoadState=not-found
ActiveState=inactive
SubState=dead
"""
# the same for Environment and ExecStart of a service, whose values contain equals signs
EQUALS = "Environment=A=1 B=x=y\nExecStart={ path=/bin/sh ; argv[]=/bin/sh -c a=b ; status=0/0 }\n\nno property\n"


def test_the_unit_of_a_job() -> None:
    """Its id between our prefix and systemd's suffix; the longest name has at most 255 bytes."""
    assert commands.unit_name("fit_20260101_120000") == UNIT
    assert len(commands.unit_name("x" * 100 + "_20260101_120000_100000")) <= 255


def test_systemd_run_word_by_word() -> None:
    """A transient scope of the user's manager with --quiet and --collect, in our slice, and `--` before the command."""
    properties = {"MemoryMax": "1024", "Delegate": "yes"}
    assert commands.systemd_run_scope(UNIT, properties, description="gravscope job fit") == [
        "systemd-run",
        "--user",
        "--scope",
        "--quiet",
        "--collect",
        f"--unit={UNIT}",
        "--slice=gravscope.slice",
        "--description=gravscope job fit",
        "-p",
        "MemoryMax=1024",
        "-p",
        "Delegate=yes",
        "--",
    ]


def test_systemd_run_told_not_to_expand() -> None:
    """The option of later systemd versions comes before the command, and nothing else changes."""
    prefix = commands.systemd_run_scope(UNIT, {}, description="x")
    told = commands.without_expansion(prefix)
    assert [word for word in told if word not in prefix] == ["--expand-environment=no"]
    assert told.index("--expand-environment=no") < told.index("--")


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("systemd 252 (252.39-1~deb12u2)\n+PAM +AUDIT\n", 252),
        ("systemd 254.5-1.fc39 (254.5-1.fc39)\n", 254),
        ("systemd 256~rc3 (256~rc3)\n", 256),
        ("systemd 257\n", 257),
        ("", None),
        ("Failed to connect to bus\n", None),
        ("systemd v9\n", None),
    ],
)
def test_versions_as_systemd_prints_them(text: str, version: int | None) -> None:
    """The version line of Debian, of Fedora, of a release candidate, and a text without a version."""
    assert commands.parse_version(text) == version


def test_a_scope_without_limits() -> None:
    """Only limits that were asked for are set; delegation and the stop timeout, longer than the grace, always are."""
    assert commands.scope_properties(Limits(), 10.0) == {"Delegate": "yes", "TimeoutStopSec": "15s"}


def test_every_limit_by_systemds_name() -> None:
    """Bytes are plain numbers, no limit is infinity, 0 is 0."""
    limits = Limits(
        mem_high=6 * 2**30,
        mem_max="infinity",
        swap_max=0,
        cpu_quota=150.0,
        tasks_max=512,
        cpu_weight=50,
        io_weight=20,
    )
    assert commands.scope_properties(limits, 0.5) == {
        "MemoryHigh": "6442450944",
        "MemoryMax": "infinity",
        "MemorySwapMax": "0",
        "TasksMax": "512",
        "CPUWeight": "50",
        "IOWeight": "20",
        "CPUQuota": "150%",
        "Delegate": "yes",
        "TimeoutStopSec": "5.5s",
    }


@given(st.floats(0.01, 2.1e7), st.floats(0, 1e12))
def test_numbers_are_spelled_as_systemd_reads_them(quota: float, grace: float) -> None:
    """Large or small, a number has digits, at most two decimals, no exponent, and is right to a hundredth."""
    found = commands.scope_properties(Limits(cpu_quota=quota), grace)
    for text, number in ((found["CPUQuota"], quota), (found["TimeoutStopSec"], grace + commands.STOP_MARGIN)):
        assert re.fullmatch(r"\d+(\.\d{1,2})?(%|s)", text)
        assert abs(float(text.rstrip("%s")) - number) < 0.006


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (commands.setsid(), "setsid --fork"),
        (commands.setsid_nohup(), "setsid --fork nohup"),
        (commands.systemctl_stop(UNIT), f"systemctl --user stop -- {UNIT}"),
        (commands.systemctl_begin_stop(UNIT), f"systemctl --user stop --no-block -- {UNIT}"),
        (
            commands.journalctl_unit_end(UNIT, 1000, "0123-4567"),
            "journalctl --quiet --no-pager --output=json --output-fields=MESSAGE_ID,UNIT_RESULT"
            f" USER_UNIT={UNIT} _UID=1000 _BOOT_ID=01234567 MESSAGE_ID=fe6faa94e7774663a0da52717891d8ef"
            " MESSAGE_ID=d989611b15e44c9dbf31e3c81256e4ed MESSAGE_ID=d9b373ed55a64feb8242e02dbe79a49c",
        ),
        (commands.systemctl_reset_failed(UNIT), f"systemctl --user reset-failed -- {UNIT}"),
        (
            commands.systemctl_show(UNIT, ["Result", "ControlGroup"]),
            f"systemctl --user show --property=Result,ControlGroup -- {UNIT}",
        ),
        (commands.journalctl(UNIT, None, False), f"journalctl --user --user-unit={UNIT}"),
        (commands.journalctl(UNIT, 0, False), f"journalctl --user --user-unit={UNIT} --lines=0"),
        (commands.journalctl(UNIT, 20, True), f"journalctl --user --user-unit={UNIT} --lines=20 --follow"),
    ],
)
def test_the_other_tools_word_by_word(argv: list[str], words: str) -> None:
    """Each addresses the user's own manager, and none takes a unit name for an option."""
    assert argv == words.split()


@pytest.mark.parametrize(
    ("text", "properties"),
    [
        (
            KILLED_FOR_MEMORY,
            {
                "Result": "oom-kill",
                "ControlGroup": f"/user.slice/user-1000.slice/user@1000.service/gravscope.slice/{UNIT}",
                "LoadState": "loaded",
                "ActiveState": "failed",
                "SubState": "failed",
            },
        ),
        (
            GONE,
            {
                "Result": "success",
                "ControlGroup": "",
                "LoadState": "not-found",
                "ActiveState": "inactive",
                "SubState": "dead",
            },
        ),
        (
            EQUALS,
            {"Environment": "A=1 B=x=y", "ExecStart": "{ path=/bin/sh ; argv[]=/bin/sh -c a=b ; status=0/0 }"},
        ),
        ("", {}),
        ("Failed to connect to bus: No medium found\n", {}),
    ],
)
def test_properties_as_systemctl_252_prints_them(text: str, properties: dict[str, str]) -> None:
    """One property per line, also with an empty value, split at the first equals sign; other lines are left out."""
    assert commands.parse_properties(text) == properties


# journalctl --output=json of systemd 252: the fields that were asked for, and those that it always prints
ENDED_FOR_MEMORY = """
{"MESSAGE_ID":"fe6faa94e7774663a0da52717891d8ef","_BOOT_ID":"0123","__REALTIME_TIMESTAMP":"1795449600000000"}
{"MESSAGE_ID":"d9b373ed55a64feb8242e02dbe79a49c","UNIT_RESULT":"oom-kill","_BOOT_ID":"0123"}
not json
[1]
"""


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        (ENDED_FOR_MEMORY, {"out of memory", "oom-kill"}),
        ('{"MESSAGE_ID":"d989611b15e44c9dbf31e3c81256e4ed"}', {"oomd"}),
        ('{"MESSAGE_ID":"d9b373ed55a64feb8242e02dbe79a49c","UNIT_RESULT":"timeout"}', {"timeout"}),
        ("", set()),
    ],
)
def test_what_the_journal_says_of_an_end(text: str, ends: set[str]) -> None:
    """The entries are recognised by their message ids; lines that are not entries are left out."""
    assert commands.parse_unit_end(text) == ends
