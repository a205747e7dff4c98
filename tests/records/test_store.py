"""The folder of records: which job a word means, and that a damaged record does not hide the others."""

from __future__ import annotations

import json
import os
import stat
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gravscope.base.errors import GravscopeError, NoSuchJobError, StoreError, UsageError
from gravscope.base.names import check_name
from gravscope.records.folder import make_private_folder
from gravscope.records.ids import name_of, sort_key
from gravscope.records.model import JobRecord
from gravscope.records.parts import Cancel, CancelRequest, CancelStep
from gravscope.records.store import Store, read_each, read_record
from tests.support import locked_ids

STAMP = "20260101_120000"


def record_of(job_id: str, **fields: object) -> JobRecord:
    """A record with that id."""
    text = {"name": name_of(job_id), "state": "running", "cmd": ["x"], "cwd": "/", "log_file": "/x.log", "created": ""}
    return JobRecord(**{"id": job_id, **text, **fields})  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store whose folder does not exist yet."""
    return Store(tmp_path / "deep" / "jobs")


def fill(store: Store, *ids: str) -> None:
    """Writes a record for each id."""
    make_private_folder(store.jobs_dir)
    for job_id in ids:
        store.write(record_of(job_id))


# ids


def test_what_is_reserved_is_private(store: Store) -> None:
    """Trap 48: folder 0700, lock and record 0600, whatever the umask allows."""
    old = os.umask(0)
    try:
        reservation = store.reserve("fit", STAMP)
        store.write(record_of(reservation.job_id))
        store.write_cancel(reservation.job_id, Cancel(requested="now", by="me"))
    finally:
        os.umask(old)
    os.close(reservation.lock_fd)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in store.jobs_dir.iterdir()}
    assert modes == {f"fit_20260101_120000.{kind}": 0o600 for kind in ("json", "lock", "cancel")}
    assert stat.S_IMODE(store.jobs_dir.stat().st_mode) == 0o700


ORDER = [
    "a_20260102_000000", "z_20260101_120000_10", "b_20260101_120000_2", "a_20260101_120000", "c_20251231_235959_7",
    "not-an-id",
]  # fmt: skip


def test_ids_are_newest_first(store: Store) -> None:
    """Sorted by the time and then by the number, as a number; files that are not records come last."""
    fill(store, *sorted(ORDER))
    (store.jobs_dir / ".hidden_20270101_000000.json").touch()
    (store.jobs_dir / "x_20270101_000000.lock").touch()
    (store.jobs_dir / "x_20270101_000000.json.bak").touch()
    assert store.ids() == ORDER
    assert locked_ids(store.jobs_dir) == {"x_20270101_000000"}


def test_no_folder_means_no_jobs(store: Store) -> None:
    """Before the first job there is no folder and no jobs, which is not an error; a file in its place is one."""
    assert (store.ids(), locked_ids(store.jobs_dir)) == ([], set())
    store.jobs_dir.parent.mkdir()
    store.jobs_dir.touch()
    with pytest.raises(StoreError, match="Not a directory"):
        store.ids()


@pytest.mark.parametrize(
    ("job_id", "name", "order"),
    [
        ("fit_20260101_120000", "fit", ("20260101_120000", 1)),
        ("fit_20260101_120000_12", "fit", ("20260101_120000", 12)),
        ("a_b_c_20260101_120000", "a_b_c", ("20260101_120000", 1)),
        ("x_20260101_120000_20260102_130000_2", "x_20260101_120000", ("20260102_130000", 2)),
        ("fit", "fit", ("", 0)),
        ("_20260101_120000", "_20260101_120000", ("", 0)),
        ("fit_2026101_120000", "fit_2026101_120000", ("", 0)),
        ("fit_20260101_120000_", "fit_20260101_120000_", ("", 0)),
        ("fit_２０２６0101_120000", "fit_２０２６0101_120000", ("", 0)),
    ],
)
def test_the_parts_of_an_id(job_id: str, name: str, order: tuple[str, int]) -> None:
    """The name, the time and the number; if the text is not an id, all of it is the name."""
    assert (name_of(job_id), sort_key(job_id)) == (name, order)


NAMES = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", fullmatch=True)


@given(NAMES, st.datetimes(datetime(1000, 1, 1)), st.integers(2, 10**6))
def test_an_id_gives_back_its_name(name: str, now: datetime, count: int) -> None:
    """For any name, even one that looks like an id."""
    assert check_name(name) == name
    stem = f"{name}_{now:%Y%m%d_%H%M%S}"
    assert name_of(stem) == name_of(f"{stem}_{count}") == name
    assert sort_key(f"{stem}_{count}") > sort_key(stem)


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".x", "-x", "a b", "a/b", "重 い", "a\n", "a\0", "x" * 101, "a:b", "%n"]
)
def test_a_name_that_no_file_or_unit_may_have(name: str) -> None:
    """Trap 9: a UsageError shows the name and says what is allowed."""
    with pytest.raises(UsageError, match=r"cannot be a job's name.*; take .*, such as [a-z重い_]+$"):
        check_name(name)


# which job is meant

IDS = [
    "fit_20260101_120000", "fit_20260103_120000", "fit_20260102_120000", "fit-long_20260101_120000",
    "fit-long_20260101_120000_2", "other_20251231_000000", "fitter_20260105_000000",
]  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("fit_20260101_120000", "fit_20260101_120000"),
        ("fit", "fit_20260103_120000"),
        ("fit-long", "fit-long_20260101_120000_2"),
        ("fit-long_20260101_120000", "fit-long_20260101_120000"),
        ("oth", "other_20251231_000000"),
        ("fitt", "fitter_20260105_000000"),
        ("fit_20260102", "fit_20260102_120000"),
        ("20260102_120000", "fit_20260102_120000"),
        ("…er_20251231_000000", "other_20251231_000000"),
        ("…ng_20260101_120000_2", "fit-long_20260101_120000_2"),
    ],
)
def test_what_a_word_means(store: Store, wanted: str, found: str) -> None:
    """An id, a name (its newest job, never one with a longer name), the beginning of an id, or the end as shown."""
    fill(store, *IDS)
    assert store.find(wanted) == found


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("fi", "'fi' may mean 6 jobs; say more of it, such as fitter_20260105_000000"),
        ("20260101_120000", "'20260101_120000' may mean 2 jobs; say more of it, such as "),
        ("_120000", "no job '_120000' in "),
        ("fiz", "did you mean fit?"),
        ("", "no job '' in "),
        ("…", "no job '…' in "),
        ("../fit_20260101_120000", "no job '../fit_20260101_120000' in "),
        ("zzz", "gravscope status -a lists what there is"),
    ],
)
def test_a_word_that_means_none_or_many(store: Store, wanted: str, message: str) -> None:
    """It is never guessed: the message says how many jobs it may mean, or which names are similar."""
    fill(store, *IDS)
    with pytest.raises(NoSuchJobError) as refused:
        store.find(wanted)
    assert message in str(refused.value)


def test_the_newest_of_a_name_is_told_by_the_records(store: Store) -> None:
    """Trap 51: in the repeated hour, or if cron has another time zone, the local time in an id does not tell which job
    is newest. The time in the record, which has a UTC offset, does."""
    make_private_folder(store.jobs_dir)
    for job_id, created in {
        "fit_20261025_024500": "2026-10-25T02:45:00.000+02:00",
        "fit_20261025_021500": "2026-10-25T02:15:00.000+01:00",
        "fit_20261024_230000": "2026-10-24T23:00:00.000+02:00",
        "cron_20260101_210000": "2026-01-01T21:00:00.000+09:00",
        "cron_20260101_130000": "2026-01-01T13:00:00.000+00:00",
        "old_20260102_120000": "2026-01-02T12:00:00.000+00:00",
        # Further back than two time zones can differ, so this record is not even read.
        "old_20260101_090000": "2030-01-01T09:00:00.000+00:00",
    }.items():
        store.write(record_of(job_id, created=created))
    assert store.find("fit") == "fit_20261025_021500"
    assert store.find("cron") == "cron_20260101_130000"
    assert store.find("old") == "old_20260102_120000"


def test_a_bad_record_makes_no_older_job_the_newest(store: Store) -> None:
    """`cancel NAME` says that the newest record cannot be read, and does not end another job instead."""
    fill(store, "fit_20260101_120000", "fit_20260101_130000", "odd_99999999_999999", "odd_99999999_999998")
    for job_id in ("fit_20260101_120000", "odd_99999999_999998"):
        # In the local time zone, as the ids are.
        store.write(record_of(job_id, created=datetime(2026, 1, 1, 12).astimezone().isoformat()))
    store.record_path("fit_20260101_130000").write_text("{")
    assert store.find("fit") == "fit_20260101_130000"
    assert store.find("odd") == "odd_99999999_999999"


def test_a_name_may_end_like_a_record(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """`x.json` is a file if it exists, else a name; a word with a slash can only be a file."""
    fill(store, "x.json_20260101_120000")
    monkeypatch.chdir(store.jobs_dir)
    assert store.locate("x.json") == (store, "x.json_20260101_120000")
    found, job_id = store.locate("x.json_20260101_120000.json")
    assert (found.jobs_dir, job_id) == (store.jobs_dir.resolve(), "x.json_20260101_120000")
    with pytest.raises(NoSuchJobError, match=r"no record \./x\.json"):
        store.locate("./x.json")


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 9), st.integers(0, 3), st.booleans()), max_size=12))
@settings(max_examples=60, deadline=None)
def test_the_latest_are_what_a_sorted_list_begins_with(
    tmp_path_factory: pytest.TempPathFactory, jobs: list[tuple[str, int, int, bool]]
) -> None:
    """All live jobs first, then as many of the newest others as are wanted."""
    store = Store(tmp_path_factory.mktemp("jobs"))
    for name, second, count, live in jobs:
        job_id = f"{name}_20260101_12000{second}" + (f"_{count}" if count > 1 else "")
        store.record_path(job_id).touch()
        if live:
            store.lock_path(job_id).touch()
    ids, locked = store.ids(), locked_ids(store.jobs_dir)
    live_ids = [job_id for job_id in ids if job_id in locked]
    others = [job_id for job_id in ids if job_id not in locked]
    for wanted in (0, 1, 5, 20):
        assert store.latest(wanted) == live_ids + others[: max(0, wanted - len(live_ids))]


# records


def test_what_was_written_is_read(store: Store) -> None:
    """A record and a cancel request are read back unchanged, and the file is readable text."""
    fill(store, "a")
    record = record_of("a", reason="途中", env={"A": "1"})
    store.write(record)
    assert store.read("a") == record
    assert '"reason": "途中"' in store.record_path("a").read_text(encoding="utf-8")
    cancel = CancelRequest(requested="now", by="me", grace=1.5, steps=[CancelStep("thaw", "now", "no")])
    assert store.read_cancel("a") is None
    store.write_cancel("a", cancel)
    assert store.read_cancel("a") == cancel
    store.cancel_path("a").write_text("{")
    assert store.read_cancel("a") is None


def test_a_record_cut_anywhere_is_a_store_error(store: Store) -> None:
    """Trap 49: wherever a full disk has cut it, reading raises a StoreError that names the file, and nothing else."""
    fill(store, "a")
    whole = store.record_path("a").read_bytes().rstrip()
    for length in range(len(whole)):
        store.record_path("a").write_bytes(whole[:length])
        with pytest.raises(StoreError, match="not a record") as refused:
            store.read("a")
        assert str(store.record_path("a")) in str(refused.value)
    store.record_path("a").write_bytes(whole)
    assert store.read("a").id == "a"


@pytest.mark.parametrize(
    "data",
    [b"\xff\xfe", b"null", b"[]", b"3", b'"x"', b"{}", b"[" * 100_000, b'{"a":' * 100_000, b"\0" * 4096,
     b'{"schema": 1}', b'{"schema": null}', b'{"schema": 1e400}', b'{"id": "\\ud800"}', b"{} {}", b"NaN"],
)  # fmt: skip
def test_whatever_else_stands_there_is_a_store_error(store: Store, data: bytes) -> None:
    """Trap 49: zeros after a power failure, very deep nesting, JSON of other programs: an error with a hint."""
    fill(store, "a")
    store.record_path("a").write_bytes(data)
    with pytest.raises(StoreError, match="move it out of the folder"):
        store.read("a")


def test_a_link_in_place_of_a_record_is_refused(store: Store, tmp_path: Path) -> None:
    """Trap 50: a record that is a symbolic link is not followed, even to a valid record."""
    fill(store, "sound")
    store.record_path("link").symlink_to(store.record_path("sound"))
    store.record_path("nowhere").symlink_to(tmp_path / "nowhere")
    for job_id in ("link", "nowhere"):
        with pytest.raises(StoreError, match="is a symbolic link, which is not followed; move it out of the folder"):
            store.read(job_id)


def test_one_bad_record_hides_no_other(store: Store) -> None:
    """Trap 49: each bad record gives an error in its place, and all others are listed."""
    ids = [f"j{number}_2026010{number}_000000" for number in range(1, 8)]
    fill(store, *ids)
    store.record_path(ids[1]).write_text("{")
    store.record_path(ids[2]).unlink()
    store.record_path(ids[2]).symlink_to("/etc/passwd")
    store.record_path(ids[3]).unlink()
    store.record_path(ids[3]).mkdir()
    later = {**json.loads(store.record_path(ids[4]).read_text()), "schema": 2}
    store.record_path(ids[4]).write_text(json.dumps(later))
    store.record_path(ids[5]).unlink()
    os.mkfifo(store.record_path(ids[5]))
    found = list(read_each(store, store.ids()))
    assert [one.id if isinstance(one, JobRecord) else type(one) for one in found] == [ids[6], *[StoreError] * 5, ids[0]]
    gone = list(read_each(store, ["gone", ids[0]]))
    assert isinstance(gone[0], NoSuchJobError)
    assert isinstance(gone[1], JobRecord)


def test_a_record_of_another_user_is_an_error_in_its_place(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trap 49: a file that cannot be opened gives an error with its name and the kernel's message."""
    fill(store, "a_20260101_000000", "b_20260102_000000")
    real = os.open

    def open_(path: str, *rest: int) -> int:
        if str(path).endswith("b_20260102_000000.json"):
            raise PermissionError(13, "Permission denied")
        return real(path, *rest)

    monkeypatch.setattr(os, "open", open_)
    error, record = read_each(store, store.ids())
    assert isinstance(error, GravscopeError)
    assert str(error).startswith(f"{store.record_path('b_20260102_000000')}: Permission denied; is it yours? else set ")
    assert isinstance(record, JobRecord)


def test_a_disk_that_takes_nothing_is_a_store_error(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trap 49: reserving and writing raise only StoreError, and the existing record stays."""
    fill(store, "a")

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    for write in (lambda: store.write(record_of("a", reason="new")), lambda: store.write_cancel("a", Cancel("", ""))):
        with pytest.raises(StoreError, match="No space left on device"):
            write()
    monkeypatch.setattr(os, "open", full)
    with pytest.raises(StoreError, match="No space left on device"):
        store.reserve("b", STAMP)
    monkeypatch.undo()
    assert read_record(store.record_path("a")).reason is None


def test_a_folder_that_is_not_ours_to_search_is_a_store_error(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without search permission on the folder, the error is one line, not a traceback."""

    def refuse(path: object, *_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied", str(path))

    make_private_folder(store.jobs_dir)
    monkeypatch.setattr("gravscope.records.folder.make_private_folder", lambda folder: None)
    monkeypatch.setattr(os, "lstat", refuse)
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(StoreError, match="Permission denied; is it yours"):
        store.reserve("fit", STAMP)
