"""Spreads independent tasks over worker processes (standard library only)."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Any, TypeVar

from rep6.options import WorkerError

T = TypeVar("T")
PR_SET_PDEATHSIG = 1
# Enough that no worker waits for the parent between two tasks.
QUEUED_PER_WORKER = 4
KILLED = "a worker process was killed (perhaps for memory: try a smaller --chunk or --grid)"


def _end_with_parent(parent: int) -> None:
    """Have the kernel kill this worker when the parent dies: idle workers would otherwise wait for ever."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # the parent died before prctl
        sys.exit(1)


def run_tasks(
    function: Callable[..., T],
    tasks: Sequence[tuple[Any, ...]],
    *,
    workers: int,
    finished: Callable[[int], None],
) -> list[T]:
    """function(*task) of every task, in the order of tasks; finished(i) is called here as soon as task i is done.

    function must be importable from a module. One worker means this very process. A worker that is killed, for
    memory perhaps, gives a WorkerError: unlike multiprocessing.Pool, the executor notices instead of waiting for ever.
    """
    if workers == 1:
        results = []
        for index, task in enumerate(tasks):
            results.append(function(*task))
            finished(index)
        return results
    # spawn, not fork: workers start without a copy of the parent's memory and threads.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        min(workers, max(1, len(tasks))), mp_context=context, initializer=_end_with_parent, initargs=(os.getpid(),)
    ) as executor:
        try:
            return _run_in(executor, function, tasks, finished, QUEUED_PER_WORKER * workers)
        except BrokenProcessPool:
            raise WorkerError(KILLED) from None
        except BaseException:
            executor.shutdown(cancel_futures=True)
            raise


def _run_in(
    executor: ProcessPoolExecutor,
    function: Callable[..., T],
    tasks: Sequence[tuple[Any, ...]],
    finished: Callable[[int], None],
    queued: int,
) -> list[T]:
    """Keep `queued` tasks under way until all are done: hundreds of thousands at once would only cost memory."""
    results: dict[int, T] = {}
    waiting = iter(enumerate(tasks))
    running = {executor.submit(function, *task): index for index, task in islice(waiting, queued)}
    while running:
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            index = running.pop(future)
            results[index] = future.result()
            finished(index)
            running |= {executor.submit(function, *task): new for new, task in islice(waiting, 1)}
    return [results[index] for index in range(len(tasks))]
