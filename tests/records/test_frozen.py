"""Records that were written once and must load for ever: neither their files nor their meaning may change."""

from __future__ import annotations

import hashlib
import json
import shutil
from datetime import datetime
from pathlib import Path

import msgspec
import pytest

from gravscope.records.fields import LEGACY_SCHEMA
from gravscope.records.store import Store, read_record
from tests.support import Gravscope

DATA = Path(__file__).parents[1] / "data"
# A file that is not listed here is not frozen; a listed file is never edited. A new form of record gets a new file.
FROZEN = {
    # Every field of schema 1 when it was frozen, none of them with its default.
    "record_v1.json": "11c1d9d3fcf61aaeeffe1d47048beb25633c2fca889e96f8460147ef31ef2aac",
    # A record of a session job as the supervisor of 0.1.0 wrote it.
    "record_v1_session.json": "4fc0c882f69c2ac7896acfe9dcd0ee39a9450336ae0dc7fb35fa71c22d17eb9d",
    # Records of the older dispatcher: one with strings, one with a list and an object.
    "record_older.json": "a1db76312027b43f87a41f369c6e21d6b7a33993d86997d2ba30e61809c34863",
    "record_older_list.json": "0a67775f084d86dee884ae35343aab78f4797ff6fb57070bdc2e1bedbce08a54",
}


@pytest.mark.parametrize("name", FROZEN)
def test_a_frozen_record_is_never_changed(name: str) -> None:
    """The file is byte for byte the frozen one. A reader that needs a change of this test breaks a promise."""
    assert hashlib.sha256((DATA / name).read_bytes()).hexdigest() == FROZEN[name]


def test_every_record_in_the_data_is_frozen() -> None:
    """Every file of records in the data folder is listed above."""
    assert {path.name for path in DATA.glob("record*")} == FROZEN.keys()


@pytest.mark.parametrize("name", ["record_v1.json", "record_v1_session.json"])
def test_every_value_is_read(name: str) -> None:
    """Nothing is lost or renamed or changes its meaning; later fields have their defaults."""
    text = json.loads((DATA / name).read_text(encoding="utf-8"))
    read = msgspec.to_builtins(read_record(DATA / name))
    assert {field: read.get(field, "lost") for field in text} == text


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (
            "record_older.json",
            {
                "name": "rep6_full",
                "cmd": ["python scripts/ab_comp/run_rep6_ws.py --full | tee '途中.txt'"],
                "shell": True,
                "env": {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NOTE": "a=b"},
                "cwd": "/home/tester/project",
                "launcher": "session",
                "pgid": 23455,
                "created": datetime(2025, 6, 1, 9, 30).astimezone().isoformat(),
            },
        ),
        (
            "record_older_list.json",
            {
                "name": "swap",
                "cmd": ["make", "rep6-ab-full"],
                "shell": False,
                "env": {"OMP_NUM_THREADS": "1"},
                "log_file": "/home/tester/swap.log",
                "launcher": "scope",
                "created": datetime.fromtimestamp(1748737800).astimezone().isoformat(),
            },
        ),
    ],
)
def test_a_record_of_the_older_dispatcher_is_read(name: str, told: dict[str, object]) -> None:
    """Its fields are converted; it says what it always said, and that nobody knows how the job ended."""
    record = read_record(DATA / name)
    assert {field: getattr(record, field) for field in told} == told
    assert (record.schema, record.state, record.pid) == (LEGACY_SCHEMA, "lost", 23456)
    assert (record.exit_code, record.ended) == (None, None)


def test_frozen_records_are_jobs_like_any_other(gravscope: Gravscope) -> None:
    """Every command that reads records lists and shows them, and does not change one byte of the files."""
    gravscope.jobs_dir.mkdir(mode=0o700)
    for name in FROZEN:
        record = read_record(DATA / name)
        job = name.removesuffix(".json") if record.schema == LEGACY_SCHEMA else record.id
        shutil.copy(DATA / name, gravscope.jobs_dir / f"{job}.json")
    before = {path.name: path.read_bytes() for path in gravscope.jobs_dir.iterdir()}
    store = Store(gravscope.jobs_dir)
    listed = gravscope("status", "-a")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert len(listed.stdout.splitlines()) == 1 + len(FROZEN)
    jobs = store.ids()
    assert [gravscope("show", job).stdout.partition(":")[0] for job in jobs] == jobs
    assert [found["id"] for found in json.loads(gravscope("wait", "--json", *jobs).stdout)] == jobs
    assert gravscope("cancel", *jobs).stdout.count(" had already ended: ") == len(jobs)
    assert {path.name: path.read_bytes() for path in gravscope.jobs_dir.iterdir()} == before
