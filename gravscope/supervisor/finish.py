"""The end of a job, in this order: cancel request, counters, outcome, the record last, and only then the lock."""

from __future__ import annotations

import os
import time

from gravscope.base.stamp import timestamp
from gravscope.records.outcome import STOP_UNIT, Evidence, decide
from gravscope.supervisor.cancellation import wish_at_the_end
from gravscope.supervisor.notify import tell
from gravscope.supervisor.record import Recorder
from gravscope.supervisor.request import Request
from gravscope.supervisor.stopped_by import why_stopped
from gravscope.supervisor.watch import Watch

# how long a final record is offered to a disk that will not take it, and how often, in seconds: over a long weekend
PATIENCE, AGAIN = 7 * 86400.0, 1.0


def finish(request: Request, recorder: Recorder, watch: Watch) -> None:
    """Writes what became of the job, then gives up being in charge of it."""
    now = time.monotonic()
    wish = wish_at_the_end(request.cancel_path, watch.told, told_first=watch.place.comes_first())
    evidence, measured = _gather(request, watch, now)
    if wish is not None:
        evidence.cancel_requested, evidence.cancel_steps = True, wish.steps
        # what we have killed for it ourselves counts as well
        evidence.cancel_reached = wish.reached or watch.killing
        evidence.cancel_answered = wish.answered or watch.killing
        if STOP_UNIT in wish.steps:
            evidence.stopped_by = None  # the stop was ours
        recorder.update(cancel=wish.record)
    outcome = decide(evidence)
    recorder.update(
        state=outcome.state,
        paused=False,
        throttled=False,
        reason=outcome.reason,
        ended=timestamp(time.time()),
        duration=round(now - watch.began, 3),
        exit_code=evidence.exit_code,
        signal=evidence.signal,
        outlived=round(evidence.outlived, 3),
        **measured,
    )
    close(request, recorder)


def close(request: Request, recorder: Recorder) -> None:
    """Puts the final record on disk, waiting for room if it must, and removes what stood beside it.

    Until it is there the lock stays ours, so nobody settles the job from less than we know.
    """
    deadline = time.monotonic() + PATIENCE
    while not recorder.write():
        if not os.path.isdir(os.path.dirname(request.record_path)) or time.monotonic() > deadline:
            return
        time.sleep(AGAIN)
    folder, job_id = os.path.dirname(request.record_path), str(recorder.record["id"])
    # a cancel that was killed leaves the last of these; one that is at work removes it itself, once the lock is gone
    cancelling = f"{folder}/.{job_id}.cancelling"
    for path in (request.cancel_path, request.limits_path, request.pause_path, request.lock_path, cancelling):
        try:
            os.unlink(path)
        except OSError:
            continue
    tell(request, recorder)


def _gather(request: Request, watch: Watch, now: float) -> tuple[Evidence, dict[str, object]]:
    place = watch.place
    scope_events = place.scope_events()
    # what happened since the last look
    watch.notice.new_limits()
    watch.notice.killed()
    oom_kills, kernel_peak, kernel_cpu = place.oom_kills(), place.peak(), place.cpu_seconds()
    peak = kernel_peak if kernel_peak is not None else watch.peak or None
    code, signal = split_status(watch.status)
    evidence = Evidence(
        exit_code=code,
        signal=signal,
        timed_out=request.timeout if watch.timed_out else None,
        stopped_by=why_stopped(watch.stopped_by, in_unit=request.unit is not None) if watch.stopped_by else None,
        watch_kill=watch.watch_kill,
        oom_kills=oom_kills or 0,
        oom_group=request.oom_policy == "kill",
        oom_own=watch.notice.oom.own,
        oom_ancestor=watch.notice.oom.above,
        peak_memory=peak,
        limit_peak=place.limit_peak(),
        mem_max=request.mem_max,
        outlived=now - watch.command_ended if watch.command_ended is not None else 0.0,
    )
    source = None if peak is None else "kernel" if kernel_peak is not None else "sampled"
    cpu = kernel_cpu if kernel_cpu is not None else watch.cpu_seconds
    return evidence, {
        "peak_memory": peak,
        "peak_memory_source": source,
        "oom_kills": oom_kills,
        "memory_events": scope_events or None,
        "cpu_seconds": round(cpu, 3),
    }


def split_status(status: int | None) -> tuple[int | None, int | None]:
    """A wait status as exit code or signal, never both: a signal is no exit code (wait(2))."""
    if status is None:
        return None, None
    if os.WIFSIGNALED(status):
        return None, os.WTERMSIG(status)
    return os.WEXITSTATUS(status), None
