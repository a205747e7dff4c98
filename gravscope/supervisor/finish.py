"""The end of a job, in this order: cancel request, counters, outcome, final record, and then the lock is removed."""

from __future__ import annotations

import os
import time

from gravscope.base.stamp import timestamp
from gravscope.records.outcome import STOP_UNIT, Evidence, decide
from gravscope.supervisor.cancellation import cancel_at_end
from gravscope.supervisor.notify import start_notifier
from gravscope.supervisor.record import Recorder
from gravscope.supervisor.request import Request
from gravscope.supervisor.stopped_by import stop_reason
from gravscope.supervisor.watch import Watch

# for how long, and how often, writing the final record is tried again, in seconds: a disk may be full over a long
# weekend
PATIENCE, INTERVAL = 7 * 86400.0, 1.0


def finish(request: Request, recorder: Recorder, watch: Watch) -> None:
    """Writes the outcome of the job into its record, then removes the lock."""
    now = time.monotonic()
    cancel = cancel_at_end(request.cancel_path, watch.stop_signals, supervisor_first=watch.cgroups.supervisor_first())
    evidence, measured = _gather(request, watch, now)
    if cancel is not None:
        evidence.cancel_requested, evidence.cancel_steps = True, cancel.steps
        # a SIGKILL from the supervisor after the cancel counts as well
        evidence.cancel_reached = cancel.reached or watch.killing
        evidence.cancel_answered = cancel.answered or watch.killing
        if STOP_UNIT in cancel.steps:
            evidence.stopped_by = None  # the stop came from gravscope cancel
        recorder.update(cancel=cancel.record)
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
    write_final_record(request, recorder)


def write_final_record(request: Request, recorder: Recorder) -> None:
    """Writes the final record, waits while the disk is full, and removes the other files of the job.

    The lock is held until the record is written, so that nobody else settles the job with less evidence.
    """
    deadline = time.monotonic() + PATIENCE
    while not recorder.write():
        if not os.path.isdir(os.path.dirname(request.record_path)) or time.monotonic() > deadline:
            return
        time.sleep(INTERVAL)
    folder, job_id = os.path.dirname(request.record_path), str(recorder.record["id"])
    # left behind by a `gravscope cancel` that was killed; one that still runs removes it itself once the lock is gone
    cancelling = f"{folder}/.{job_id}.cancelling"
    for path in (request.cancel_path, request.limits_path, request.pause_path, request.lock_path, cancelling):
        try:
            os.unlink(path)
        except OSError:
            continue
    start_notifier(request, recorder)


def _gather(request: Request, watch: Watch, now: float) -> tuple[Evidence, dict[str, object]]:
    cgroups = watch.cgroups
    scope_events = cgroups.scope_events()
    # take in what has happened since the last sample
    watch.observer.new_limits()
    watch.observer.killed()
    oom_kills, kernel_peak, kernel_cpu = cgroups.oom_kills(), cgroups.peak(), cgroups.cpu_seconds()
    peak = kernel_peak if kernel_peak is not None else watch.peak or None
    code, signal = split_status(watch.status)
    evidence = Evidence(
        exit_code=code,
        signal=signal,
        timed_out=request.timeout if watch.timed_out else None,
        stopped_by=stop_reason(watch.stopped_by, in_unit=request.unit is not None) if watch.stopped_by else None,
        watch_kill=watch.watch_kill,
        oom_kills=oom_kills or 0,
        oom_group=request.oom_policy == "kill",
        oom_own=watch.observer.oom.own,
        oom_ancestor=watch.observer.oom.above,
        peak_memory=peak,
        limit_peak=cgroups.limit_peak(),
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
    """A wait status as (exit code, None) or (None, signal): after a signal there is no exit code (wait(2))."""
    if status is None:
        return None, None
    if os.WIFSIGNALED(status):
        return None, os.WTERMSIG(status)
    return os.WEXITSTATUS(status), None
