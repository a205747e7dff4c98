"""The small tools that the example scripts share: progress lines, workers, atomic results, notes."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
sys.path.insert(0, str(SCRIPTS))

from rep6 import progress_log  # noqa: E402 (needs the path)
from rep6.files import InputError, write_json, write_text  # noqa: E402
from rep6.options import WorkerError  # noqa: E402
from rep6.progress import Progress, progress_line  # noqa: E402
from rep6.workers import run_tasks  # noqa: E402


def test_progress_line_format() -> None:
    """The line of the documentation, letter for letter: 401 of 6000 after 2.54 minutes."""
    assert progress_line("rep6-ws", 401, 6000, 152.5) == "[rep6-ws] 401/6000 | elapsed=2.5m ETA=35.5m"


def test_progress_is_rate_limited_but_shows_the_end() -> None:
    """A thousand steps in one second at two lines a second give three lines, and the last one is the end."""
    now = [0.0]
    lines: list[str] = []
    progress = Progress("t", 1000, interval=0.5, clock=lambda: now[0], show=lines.append)
    for _ in range(1000):
        now[0] += 0.001
        progress.advance()
    assert [line.split()[1] for line in lines] == ["1/1000", "501/1000", "1000/1000"]


def test_tasks_keep_their_order_in_workers() -> None:
    """Two worker processes give the results of one, in the order of the tasks, and report each task once."""
    done: list[int] = []
    tasks = [(number, 2) for number in range(20)]
    assert run_tasks(pow, tasks, workers=2, finished=done.append) == [number**2 for number in range(20)]
    assert sorted(done) == list(range(20))
    assert run_tasks(pow, tasks, workers=1, finished=done.append) == [number**2 for number in range(20)]


def test_killed_worker_is_noticed() -> None:
    """A worker that dies without an answer gives a WorkerError instead of waiting for ever."""
    with pytest.raises(WorkerError, match="killed"):
        run_tasks(os._exit, [(9,)], workers=2, finished=lambda _: None)


def test_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    """A value that is not JSON (NaN) leaves the old result as it was, and no temporary file behind."""
    path = tmp_path / "result.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match=r"JSON compliant"):
        write_json(path, {"a": float("nan")})
    assert json.loads(path.read_text(encoding="utf-8")) == {"a": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["result.json"]


def test_unwritable_place_is_an_input_error(tmp_path: Path) -> None:
    """A result below something that is no folder is refused with the path, not with a traceback."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="cannot write"):
        write_text(tmp_path / "file" / "result.json", "x")


def test_simultaneous_notes_are_all_kept(tmp_path: Path) -> None:
    """Eight writers of five notes each leave forty."""
    path = tmp_path / "progress.json"

    def write(writer: int) -> None:
        for number in range(5):
            progress_log.append(path, 50.0, f"{writer}-{number}")

    run_threads(write, 8)
    assert len({entry["note"] for entry in progress_log.read_entries(path)}) == 40


def run_threads(work: Callable[[int], None], count: int) -> None:
    """Run work(0) … work(count - 1) at the same time and wait for all."""
    threads = [threading.Thread(target=work, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
