"""Names: any text is refused in one line, or makes a legal and unique unit, and files in the folders alone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import unicodedata
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gravscope.actions.launch.launch import open_log
from gravscope.base.errors import UsageError
from gravscope.base.names import check_name
from gravscope.cli.messages import one_line
from gravscope.records.store import Store
from gravscope.systemd.commands import unit_name
from tests.fake_clock import FakeClock
from tests.support import Gravscope, ManagedGravscope, until

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
NAMES = (
    st.text(max_size=130)
    | st.text(st.characters(categories=["L", "M", "N"]), max_size=110)
    | st.from_regex(r"[A-Za-z0-9_.\-/\\@:%]{1,110}", fullmatch=True)
)
# systemd.unit(5): what a unit may be called, less the characters that mean something (@, :)
LEGAL_UNIT = re.compile(r"gravscope-(?:[A-Za-z0-9_.-]|\\x[0-9a-f]{2})+\.scope", re.ASCII)
# names that are hard on a parser: of ids, of suffixes, of paths, of options
HARD = [
    "a", "_", "0", "x" * 100, "a.scope", "a.service", "a.json", "a.lock", "x_20260101_120000", "x_20260101_120000_2",
    "a--b", "a..b", "a.", "a-", "_.", "gravscope-a.scope", "dev-sda.device", "mount", "nul", "__init__",
    "フィット", "あ" * 66, "é" * 100,
]  # fmt: skip


@given(NAMES)
@example("../x")
@example("..")
@example(".hidden")
@example("-x")
@example("a\nb")
@example("a\0b")
@example("重い計算")
@example("あ" * 66)
@example("é" * 100)
@example("x" * 101)
def test_a_name_is_refused_or_stays_in_its_folders(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    """Any text is a UsageError of one line, or a legal unit, and a lock and a log in the two folders alone."""
    try:
        name = check_name(name)
    except UsageError as error:
        assert (error.exit_code, len(one_line(str(error)).splitlines())) == (2, 1)
        return
    assert len(f".{name}_20260101_120000_99999.limits.4194304.tmp".encode()) <= 255
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
    unit = unit_name(f"{reservation.job_id}_99999", "-0123abcd")
    assert LEGAL_UNIT.fullmatch(unit)
    assert len(unit) <= 255


@pytest.mark.needs("systemd-escape")
@given(st.lists(st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", fullmatch=True), min_size=50, max_size=200))
@example(HARD)
@settings(max_examples=10)
def test_systemd_takes_every_unit_as_it_is(names: list[str]) -> None:
    """`systemd-escape --mangle` leaves a legal name of a unit alone, and escapes whatever else."""
    units = [unit_name(f"{check_name(name)}_20260101_120000_2", "-0123abcd") for name in names]
    said = subprocess.run(["systemd-escape", "--mangle", "--", *units], capture_output=True, text=True, check=True)
    assert said.stdout.split() == units


@pytest.mark.needs("systemd-escape")
def test_systemd_escape_would_tell() -> None:
    """The check above can fail: what is no unit's name comes back changed."""
    said = subprocess.run(["systemd-escape", "--mangle", "--", "a b.scope"], capture_output=True, text=True, check=True)
    assert said.stdout.strip() != "a b.scope"


def test_hard_names_are_jobs_like_any_other(gravscope: Gravscope) -> None:
    """Names that look like ids, units, records or options: each is started, found by its name, and shown."""
    for name in ("x_20260101_120000", "a.json", "x" * 100):
        job = gravscope.start("-n", name, "--", "true")
        gravscope.ended(job)
        assert gravscope("path", name).stdout.strip() == str(gravscope.jobs_dir / f"{job}.json")
    assert {path.parent for path in gravscope.folder.rglob("*") if path.is_file()} == {
        gravscope.jobs_dir,
        gravscope.log_dir,
    }


def test_japanese_names_in_a_session(gravscope: Gravscope) -> None:
    """Started, listed, found by name however it is composed, read and pruned; under LC_ALL=C as well."""
    decomposed = unicodedata.normalize("NFD", "デブ解析")
    job = gravscope.start("-n", decomposed, "--", "sh", "-c", "echo $GRAVSCOPE_NAME")
    record = gravscope.ended(job)
    assert (record["name"], job.rpartition("_20")[0]) == ("デブ解析", "デブ解析")
    assert gravscope.log(job) == "デブ解析\n"
    for env in ({}, {"LC_ALL": "C"}, {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0"}):
        assert gravscope("path", decomposed, env=env).stdout == f"{gravscope.jobs_dir}/{job}.json\n"
        assert f" {job}\n" in gravscope("status", env=env).stdout
    assert gravscope("_complete", "jobs", "デ").stdout.splitlines() == ["デブ解析\tended", f"{job}\tended"]
    assert gravscope("prune", "--keep", "0", decomposed).returncode == 0
    assert os.listdir(gravscope.jobs_dir) == os.listdir(gravscope.log_dir) == []
    assert gravscope.start("-n", "Ｃ", "--", "true", env={"LC_ALL": "C"}).startswith("Ｃ_")


def test_settings_for_a_japanese_name(gravscope: Gravscope) -> None:
    """[jobs."フィット"] and patterns count for such a job, whichever way the file composes it."""
    decomposed = unicodedata.normalize("NFD", "デブ*")
    settings_file = gravscope.folder / "gravscope.toml"
    settings_file.write_text(f'[jobs."フィット"]\nmem_max = "1G"\n[jobs."{decomposed}"]\nmem_max = "2G"\n')
    found = [json.loads(gravscope("config", name, "--json").stdout) for name in ("フィット", "デブ解析")]
    assert [each["settings"]["mem_max"]["value"] for each in found] == ["1G", "2G"]
    settings_file.write_text('[jobs."😀"]\nmem_max = "1G"\n')
    refused = gravscope("config")
    assert (refused.returncode, "no job can have this name" in refused.stderr) == (2, True)


@pytest.mark.parametrize("name", ["フィット", "あ" * 66])
def test_japanese_names_in_a_scope(managed: ManagedGravscope, name: str) -> None:
    """The unit has an escaped name, in which the job really lives; a limit reaches it, and it is stopped by it."""
    job = managed.start("-n", name, "--", "sleep", "1000")
    record = managed.record(job)
    try:
        assert record["unit"] == unit_name(job)
        assert managed.systemctl("is-active", record["unit"]).stdout.strip() == "active"
        assert record["unit"] in Path(f"/proc/{record['pid']}/cgroup").read_text()
        changed = managed("limit", name, "--mem-max", "1g")
        assert changed.returncode == 0, changed.stderr
        shown = managed.systemctl("show", "--property=MemoryMax,Description", record["unit"]).stdout
        assert {"MemoryMax=1073741824", f"Description=gravscope job {job}"} == {*shown.splitlines()}
    finally:
        done = managed("cancel", name)
    assert done.stdout == f"{job}: cancelled by systemctl stop\n"
    until(lambda: managed.systemctl("is-active", record["unit"]).stdout.strip() == "inactive", "the end of its unit")


@pytest.mark.parametrize(
    "words",
    [
        ("show", "a\nb"), ("show", "a/\nb"), ("run", "--cwd", "a\nb", "--", "true"), ("run", "--", "a\nb"),
        ("run", "--env-file", "a\n\x1b[31mb", "--", "true"), ("run", "-n", "a\nb", "--", "true"), ("cancel", "\x1b[2J"),
        ("run", "--launcher", "a\nb", "--", "true"), ("run", "--", "\udcff\n\u2028"), ("wait", "--timeout", "1\n", "x"),
    ],
)  # fmt: skip
def test_a_complaint_is_one_line_whatever_is_in_it(gravscope: Gravscope, words: tuple[str, ...]) -> None:
    """A name that holds newlines, or tells a terminal what to do, is shown escaped."""
    done = gravscope(*words)
    assert done.returncode in (2, 3)
    assert done.stdout == ""
    assert all(character.isprintable() for character in done.stderr.removesuffix("\n"))
    assert done.stderr.startswith("gravscope: ") or "without a systemd scope" in done.stderr


def test_a_folder_that_is_gone(gravscope: Gravscope) -> None:
    """Where the working directory has been removed, that is said, and not a traceback."""
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
    """Their ids are the same, their units are not: each is a scope of its own, and is cancelled alone."""
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
    # which it is some moments after its job has ended
    until(lambda: managed.systemctl("is-active", units[1]).stdout.strip() == "inactive", "the end of its unit")


def read_unit(path: Path) -> str:
    """The unit in a record."""
    found = re.search(r'"unit": "([^"]+)"', path.read_text())
    assert found is not None
    return found[1]


def test_a_grace_period_of_a_month(managed: ManagedGravscope) -> None:
    """Longer than poll(2) can wait for at a time: `cancel` waits for the unit's end all the same."""
    job = managed.start("-n", "patient", "--grace", "30d", "--", "sleep", "1000")
    done = managed("cancel", job)
    assert (done.returncode, done.stderr) == (0, "")
    assert [step["step"] for step in managed.record(job)["cancel"]["steps"]] == ["systemctl stop"]
