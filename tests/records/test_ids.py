"""Names: any text is either refused in one line, or gives a legal, unique unit and files only in the two folders."""

from __future__ import annotations

import os
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gravscope.actions.launch.launch import open_log
from gravscope.base.errors import UsageError
from gravscope.records.ids import check_name
from gravscope.records.store import Store
from gravscope.systemd.commands import unit_name
from tests.fake_clock import FakeClock
from tests.support import Gravscope, ManagedGravscope, until

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
NAMES = st.text(max_size=130) | st.from_regex(r"[A-Za-z0-9_.\-/\\@:%]{1,110}", fullmatch=True)
# systemd.unit(5): the characters of a unit name, without those with a special meaning (@, \, :).
LEGAL_UNIT = re.compile(r"gravscope-[A-Za-z0-9_.-]+\.scope", re.ASCII)
# Names that a parser of ids, suffixes, paths or options may get wrong.
HARD = [
    "a", "_", "0", "x" * 100, "a.scope", "a.service", "a.json", "a.lock", "x_20260101_120000", "x_20260101_120000_2",
    "a--b", "a..b", "a.", "a-", "_.", "gravscope-a.scope", "dev-sda.device", "mount", "nul", "__init__",
]  # fmt: skip


@given(NAMES)
@example("../x")
@example("..")
@example(".hidden")
@example("-x")
@example("a\nb")
@example("a\0b")
@example("重い計算")
@example("x" * 101)
def test_a_name_is_refused_or_stays_in_its_folders(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    """Any text gives a UsageError of one line, or a legal unit name, and a lock and a log only in the two folders."""
    try:
        check_name(name)
    except UsageError as error:
        assert (error.exit_code, len(str(error).splitlines())) == (2, 1)
        return
    outer = tmp_path_factory.mktemp("outer")
    store, logs = Store(outer / "in" / "jobs"), outer / "in" / "logs"
    logs.mkdir(parents=True)
    reservation = store.reserve(name, f"{NOON:%Y%m%d_%H%M%S}")
    os.close(open_log(logs, reservation.job_id)[1])
    os.close(reservation.lock_fd)
    assert sorted(os.listdir(outer)) == ["in"]
    assert sorted(os.listdir(outer / "in")) == ["jobs", "logs"]
    assert os.listdir(store.jobs_dir) == [f"{name}_20260101_120000.lock"]
    assert os.listdir(logs) == [f"{name}_20260101_120000.log"]
    unit = unit_name(f"{reservation.job_id}_99999")
    assert LEGAL_UNIT.fullmatch(unit)
    assert len(unit) <= 255


@pytest.mark.skipif(not os.path.exists("/usr/bin/systemd-escape"), reason="no systemd-escape to ask")
@given(st.lists(st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", fullmatch=True), min_size=50, max_size=200))
@example(HARD)
@settings(max_examples=10)
def test_systemd_takes_every_unit_as_it_is(names: list[str]) -> None:
    """`systemd-escape --mangle` leaves a legal unit name unchanged, and escapes anything else."""
    units = [unit_name(f"{check_name(name)}_20260101_120000_2-0123abcd") for name in names]
    said = subprocess.run(["systemd-escape", "--mangle", "--", *units], capture_output=True, text=True, check=True)
    assert said.stdout.split() == units


def test_systemd_escape_would_tell() -> None:
    """The check above can fail: an illegal unit name is returned changed."""
    said = subprocess.run(["systemd-escape", "--mangle", "--", "a b.scope"], capture_output=True, text=True, check=True)
    assert said.stdout.strip() != "a b.scope"


def test_hard_names_are_jobs_like_any_other(gravscope: Gravscope) -> None:
    """Names that look like ids, units, records or options: each job is started, found by its name, and shown."""
    for name in ("x_20260101_120000", "a.json", "x" * 100):
        job = gravscope.start("-n", name, "--", "true")
        gravscope.ended(job)
        assert gravscope("path", name).stdout.strip() == str(gravscope.jobs_dir / f"{job}.json")
    assert {path.parent for path in gravscope.folder.rglob("*") if path.is_file()} == {
        gravscope.jobs_dir,
        gravscope.log_dir,
    }


@pytest.mark.parametrize(
    "words",
    [
        ("show", "a\nb"), ("show", "a/\nb"), ("run", "--cwd", "a\nb", "--", "true"), ("run", "--", "a\nb"),
        ("run", "--env-file", "a\n\x1b[31mb", "--", "true"), ("run", "-n", "a\nb", "--", "true"), ("cancel", "\x1b[2J"),
        ("run", "--launcher", "a\nb", "--", "true"), ("run", "--", "\udcff\n\u2028"), ("wait", "--timeout", "1\n", "x"),
    ],
)  # fmt: skip
def test_a_complaint_is_one_line_whatever_is_in_it(gravscope: Gravscope, words: tuple[str, ...]) -> None:
    """A name with newlines or terminal control sequences is shown escaped."""
    done = gravscope(*words)
    assert done.returncode in (2, 3)
    assert done.stdout == ""
    assert all(character.isprintable() for character in done.stderr.removesuffix("\n"))
    assert done.stderr.startswith("gravscope: ") or "without a systemd scope" in done.stderr


def test_a_folder_that_is_gone(gravscope: Gravscope) -> None:
    """If the working directory was removed, a message says so; there is no traceback."""
    gone = gravscope.folder / "gone"
    gone.mkdir()
    script = f'rmdir "{gone}"; "$@"; echo $?'
    done = subprocess.run(
        ["sh", "-c", script, "sh", *gravscope.command, "run", "--", "true"],
        env=gravscope.environ, cwd=gone, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "2\n"
    assert done.stderr.startswith("gravscope: the working directory is gone; type: cd")
    assert len(done.stderr.splitlines()) == 1


def test_jobs_of_one_name_and_second_in_two_folders(managed: ManagedGravscope, clock: FakeClock) -> None:
    """Their ids are equal but their units differ: each job has its own scope and is cancelled alone."""
    clock.stand_at(NOON)
    other = {"GRAVSCOPE_JOBS_DIR": str(managed.folder / "jobs2"), "GRAVSCOPE_LOG_DIR": str(managed.folder / "logs2")}
    first = managed.start("-n", "same", "--", "sleep", "1000", env=clock.environ)
    second = managed.start("-n", "same", "--", "sleep", "1000", env={**clock.environ, **other})
    try:
        assert first == second
        units = [managed.record(first)["unit"], read_unit(managed.folder / "jobs2" / f"{second}.json")]
        assert units[0] == unit_name(first)
        assert re.fullmatch(rf"gravscope-{second}-[0-9a-f]{{8}}\.scope", units[1])
        assert managed("cancel", "same").returncode == 0
        assert managed.systemctl("is-active", units[1]).stdout.strip() == "active"
    finally:
        managed("cancel", "same", env=other)
    # The unit becomes inactive a little after its job has ended.
    until(lambda: managed.systemctl("is-active", units[1]).stdout.strip() == "inactive", "the end of its unit")


def read_unit(path: Path) -> str:
    """The unit in a record."""
    found = re.search(r'"unit": "([^"]+)"', path.read_text())
    assert found is not None
    return found[1]


def test_a_grace_period_of_a_month(managed: ManagedGravscope) -> None:
    """A grace period longer than the longest poll(2) timeout: `cancel` still waits for the unit's end."""
    job = managed.start("-n", "patient", "--grace", "30d", "--", "sleep", "1000")
    done = managed("cancel", job)
    assert (done.returncode, done.stderr) == (0, "")
    assert [step["step"] for step in managed.record(job)["cancel"]["steps"]] == ["systemctl stop"]
