"""`python -m tests.actions.control.race FOLDER LAUNCHER KIND ROUNDS SEED`: cancels against natural ends, job after job.

Each job waits until a FIFO is closed and then ends with exit status 0. That and a cancel happen at nearly the same
time. Whichever came first comes a little later in the next round, so both orders occur, even on a busy machine where
one of them is much slower. Each round prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
from pathlib import Path
from typing import Any

from gravscope.actions.control.cancel import cancel
from gravscope.actions.launch.run import run
from gravscope.records.model import JobRecord
from gravscope.records.spec import JobSpec
from gravscope.records.store import Store
from gravscope.records.types import LauncherName
from gravscope.settings.project import Project

# `plain` does not handle SIGTERM. `trap` exits with 7 on it, `saves` with 0, and `saves` never ends by itself (it is in
# `wait`, for which a shell suspends itself: a signal just before its `read` would not be seen until `read` returns).
KINDS = {
    "plain": ["cat"],
    "trap": ["sh", "-c", 'trap "exit 7" TERM; read -r _ <"$0"; exit 0'],
    "saves": ["sh", "-c", 'trap "exit 0" TERM; cat "$0" & wait; exit 1'],
}
# Seconds from the cancel to the end: the first value, its change per round, its random part, and its limit. If it is
# negative, the cancel is that much later.
FIRST, STEP, JITTER, MOST = 0.005, 0.0005, 0.001, 0.2


def one(project: Project, fifo: Path, launcher: LauncherName, kind: str, delay: float) -> tuple[JobRecord, str]:
    """One round: the record that the cancel returned, and its text on disk at that time."""
    spec = JobSpec(cmd=[*KINDS[kind], str(fifo)], name=kind, cwd="/", launcher=launcher)
    record = run(spec, project, dict(os.environ))
    writer = os.open(fifo, os.O_WRONLY)  # returns once the job has opened the other end

    cancelled = threading.Event()

    def end() -> None:
        cancelled.wait(None if kind == "saves" else max(0.0, delay))
        os.close(writer)

    ending = threading.Thread(target=end)
    ending.start()
    time.sleep(max(0.0, -delay))
    store = Store(project.jobs_dir)
    done = cancel(store, record.id, dict(os.environ))
    text = store.record_path(record.id).read_text()
    cancelled.set()
    ending.join()
    return done.record, text


def summary(record: JobRecord, text: str) -> dict[str, Any]:
    """The relevant facts of a round."""
    stored = json.loads(text)
    return {
        "id": record.id,
        "pids": [record.pid, record.supervisor_pid],
        "end": [record.state, record.exit_code, record.signal],
        "stored": [stored["state"], stored["exit_code"], stored["signal"]],
        "reason": record.reason,
        "text": text,
    }


def main(folder: Path, launcher: LauncherName, kind: str, rounds: int, seed: int) -> None:
    """Runs all rounds, one after the other."""
    random.seed(seed)
    project = Project(folder / "jobs", folder / "logs")
    fifo = folder / "fifo"
    os.mkfifo(fifo)
    delay = FIRST
    for _ in range(rounds):
        record, text = one(project, fifo, launcher, kind, delay + random.uniform(-JITTER, JITTER))  # noqa: S311 (no secret)
        ended_first = record.state == "succeeded"
        delay = min(MOST, max(-MOST, delay + (STEP if ended_first else -STEP)))
        print(json.dumps(summary(record, text)), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))  # type: ignore[arg-type]
