"""The folder of records: who gets an id, and who may read the folder. (Who is in charge: test_store_locks.py.)"""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest

from gravscope.base.errors import StoreError
from gravscope.base.stamp import stamp
from gravscope.records.folder import JobsFolder, make_private_folder
from tests.support import locked_ids

STAMP = "20260101_120000"
# Half past two in Berlin on the night in October when this time occurs twice, in seconds since 1970.
REPEATED = 1792888200


@pytest.fixture
def folder(tmp_path: Path) -> JobsFolder:
    """A folder that does not exist yet."""
    return JobsFolder(tmp_path / "deep" / "jobs")


def test_the_first_id_of_a_second_has_no_number(folder: JobsFolder) -> None:
    """NAME_YYYYmmdd_HHMMSS, then _2 and _3 if that second is taken; each id has its own lock."""
    taken = [folder.reserve("fit", STAMP) for _ in range(3)]
    assert [one.job_id for one in taken] == ["fit_20260101_120000", "fit_20260101_120000_2", "fit_20260101_120000_3"]
    assert locked_ids(folder.jobs_dir) == {one.job_id for one in taken}
    assert len({os.fstat(one.lock_fd).st_ino for one in taken}) == 3
    for one in taken:
        os.close(one.lock_fd)


def test_a_job_that_has_ended_keeps_its_id(folder: JobsFolder) -> None:
    """A record without a lock still takes its id: it is never overwritten."""
    make_private_folder(folder.jobs_dir)
    for job_id in ("fit_20260101_120000", "fit_20260101_120000_2"):
        folder.put(job_id, b"{}")
    reservation = folder.reserve("fit", STAMP)
    os.close(reservation.lock_fd)
    assert reservation.job_id == "fit_20260101_120000_3"


def test_the_repeated_hour_gives_no_id_twice(folder: JobsFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trap 51: the same local time an hour later, at the end of daylight saving, gives another id."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    try:
        earlier, later = stamp(REPEATED), stamp(REPEATED + 3600)
    finally:
        monkeypatch.undo()
        time.tzset()
    first, again = folder.reserve("fit", earlier), folder.reserve("fit", later)
    assert (first.job_id, again.job_id) == ("fit_20261025_023000", "fit_20261025_023000_2")
    os.close(first.lock_fd)
    os.close(again.lock_fd)


def test_a_folder_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    """A folder that its owner has opened to others keeps its mode; a file in its place is an error."""
    tmp_path.chmod(0o755)
    make_private_folder(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="is not a folder; move that file away"):
        make_private_folder(tmp_path / "file")
    with pytest.raises(StoreError, match="Not a directory"):
        make_private_folder(tmp_path / "file" / "jobs")
