"""`gravscope cancel`: writes the request beside the record, then takes stronger and stronger steps until the job ends.

Every step is recorded before it is taken, so that the supervisor, which writes the final record, finds it there. Only
processes that are proven to be the job's are signalled: by boot id, pid and start time, or by the job's own cgroup.
"""

from __future__ import annotations

import contextlib
import getpass
import math
import os
import signal
import time
from collections.abc import Callable, Mapping

from gravscope.actions.control.signals import Target
from gravscope.actions.look.owner import refuse_foreign
from gravscope.actions.look.settle import is_on_other_host, now, settled, unit_properties
from gravscope.base.errors import GravscopeError, RefusedError, StoreError, UnsupportedError
from gravscope.base.immutable import Immutable
from gravscope.linux import cgroup, files, proc
from gravscope.records.fields import LEGACY_SCHEMA
from gravscope.records.model import JobRecord
from gravscope.records.outcome import (
    CANCELLED,
    KILL_ALL,
    KILL_GROUP,
    STOP_UNIT,
    TERM_GROUP,
    THAW,
    Evidence,
    decide,
)
from gravscope.records.parts import CancelRequest, CancelStep, Reach
from gravscope.records.store import Store, read_record
from gravscope.systemd import commands, host

# Seconds after the grace period within which a cancel has ended the job, or reports what is left.
AFTER_GRACE = 1.9
# Parts of these seconds: for the supervisor to kill the job, and for the kernel to end processes after SIGKILL.
AFTER_STOP, AFTER_KILL = 0.9, 0.5
# Seconds for the supervisor to write how a job ended that has no processes left.
FINISHING = 5.0
# How often a cancel starts again if a process appears after none seemed to be left.
TRIES = 3
# The least seconds to wait for a job that is being started.
STARTING = 10.0


class CancelResult(Immutable):
    """The result of a cancel: the job's record, and whether the job had ended before the cancel began."""

    record: JobRecord
    had_ended: bool


def cancel(store: Store, job_id: str, environ: Mapping[str, str], grace: float | None = None) -> CancelResult:
    """Ends the job and returns once it has ended. Raises GravscopeError if some of its processes are left."""
    refuse_foreign(store, job_id, "cancel")
    record = settled(store, store.read(job_id))
    if not record.live:
        return CancelResult(record, had_ended=True)
    if is_on_other_host(record):
        raise RefusedError(f"{job_id} runs on {record.host}", f"type there: gravscope cancel {job_id}")
    if record.boot_id != proc.boot_id():
        raise RefusedError(
            f"{job_id} is of another boot than this one, yet somebody holds its lock: nothing was signalled",
            f"type: gravscope show {job_id}",
        )
    with store.cancelling(job_id):
        record = settled(store, store.read(job_id))
        had_ended = not record.live and record.cancel is None
        if record.live:
            record = Escalation(store, record, environ, grace).run()
        if not record.live:
            store.release(job_id)
    return CancelResult(record, had_ended)


def requester() -> str:
    """Who asks, for the record: user and process."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = str(os.geteuid())
    return f"{os.fsencode(user).decode('utf-8', 'backslashreplace')} (pid {os.getpid()})"


class Escalation:
    """One cancel of one job: its steps, from the mildest to the strongest."""

    def __init__(self, store: Store, record: JobRecord, environ: Mapping[str, str], grace: float | None) -> None:
        self.store = store
        self.record = record
        self.environ = environ
        self.grace = record.grace if grace is None else grace
        self.target = Target(record)
        self.request = store.read_cancel(record.id) or CancelRequest(requested=now(), by=requester(), grace=grace)
        self.request.finish_step()  # an earlier cancel may have been killed during a step
        if grace is not None:
            self.request.grace = grace
        self.deadline = math.inf

    def run(self) -> JobRecord:
        """Takes the steps and returns the final record. Starts again if processes appear after none were left."""
        for _ in range(TRIES):
            self.take_steps()
            self.record = self.final_record()
            if not self.record.live:
                return self.record
            self.target, self.deadline = Target(self.record), math.inf
        raise GravscopeError(f"{self.record.id} still runs", f"type: gravscope show {self.record.id}")

    def take_steps(self) -> None:
        """Takes the steps in order until the job is over. If any is left after the last, raises GravscopeError."""
        self._save_request()
        self._await_start()
        self.target.continue_supervisor()
        steps: list[Callable[[], bool]] = [self._thaw, self._stop_unit, self._terminate, self._kill, self._kill_all]
        if any(self._nothing_left() or step() for step in steps) or self._nothing_left():
            return
        left = ", ".join(f"{process.pid} (state {process.state})" for process in self.target.processes())
        raise GravscopeError(
            f"{self.record.id}: still there after SIGKILL: {left}",
            "a process in state D waits for a device or a network disk and ends when that answers",
        )

    def over(self) -> bool:
        """True once the job has ended and its final record is written, or no process of it is left."""
        if self.record.schema == LEGACY_SCHEMA:
            return not self.target.processes()
        if self.store.in_charge(self.record.id):
            return False
        if not self.store.read(self.record.id).live:
            return True
        # Another user may have removed the lock of a supervisor that lives.
        return not self.target.supervised and not self.target.processes()

    def _nothing_left(self) -> bool:
        """True when the job is over. If no process is left, waits for the supervisor to write how the job ended."""
        deadline = time.monotonic() + FINISHING
        while not self.over():
            if self.target.processes():
                return False
            if time.monotonic() > deadline:
                raise self._unwritten_error()
            self.target.sleep(FINISHING)
        return True

    def _unwritten_error(self) -> GravscopeError:
        if self.record.state == "starting" and not self.target.supervised:
            return GravscopeError(
                f"{self.record.id} is still being started, and ends as soon as that is through",
                f"type: gravscope status {self.record.id}",
            )
        return GravscopeError(
            f"{self.record.id}: nothing of it is left, but its supervisor has not written how it ended",
            "it may be waiting for room on the disk",
        )

    # steps: each returns True when the job is over

    def _thaw(self) -> bool:
        """Frozen processes, by `gravscope pause` or `systemctl freeze`, do not react to SIGTERM (systemd issue
        38517)."""
        folders = self.target.cgroups()
        frozen = [folder for folder in folders if _is_frozen(folder)]
        if not frozen:
            return False
        step = self._begin_step(THAW, Reach())
        if folders[0] in frozen:
            host.call(commands.systemctl_thaw(str(self.record.unit)), self.environ)
        refused = [error for folder in frozen if (error := cgroup.write(folder, "cgroup.freeze", "0"))]
        return self._end_step(step, "; ".join(refused) or None, over=False)

    def _stop_unit(self) -> bool:
        """The unit's stop job sends SIGTERM; after the grace period the supervisor, if there is one, sends SIGKILL."""
        unit = self.record.own_unit
        if unit is None or not (self.target.supervised or unit_properties(self.record, self.environ)):
            return False  # without a supervisor, the unit of this name may be another job's
        step = self._begin_step(STOP_UNIT, self.target.reach_of_stop_job())
        try:
            environment = host.manager_environment(self.environ, os.geteuid())
        except UnsupportedError as error:
            return self._end_step(step, error.message, over=False, reached=False)
        asked = host.call(commands.systemctl_begin_stop(unit), environment)
        if asked.complaint is not None:
            return self._end_step(step, asked.complaint, over=False, reached=False)
        grace = min(self.grace, self.record.grace)
        self.deadline = time.monotonic() + grace + AFTER_GRACE
        over = self._wait(grace + (AFTER_STOP if self.target.supervised else 0.0))
        return self._end_step(step, f"still there after {grace:g} s", over)

    def _terminate(self) -> bool:
        if self.deadline < math.inf:
            return False  # the unit's stop job has already sent SIGTERM
        step = self._begin_step(TERM_GROUP, self.target.reach(signal.SIGTERM, at_once=True))
        self.target.signal(signal.SIGTERM)
        # A stopped process acts on SIGTERM only after SIGCONT.
        self.target.signal(signal.SIGCONT)
        self.deadline = time.monotonic() + self.grace + AFTER_GRACE
        self._mark_reached()
        return self._end_step(step, f"still there after {self.grace:g} s", self._wait(self.grace))

    def _kill(self) -> bool:
        step = self._begin_step(KILL_GROUP, self.target.reach(signal.SIGKILL, at_once=True))
        self.target.signal(signal.SIGKILL)
        self._mark_reached()
        return self._end_step(step, f"still there after {AFTER_KILL:g} s", self._wait(AFTER_KILL))

    def _kill_all(self) -> bool:
        step = self._begin_step(KILL_ALL, self.target.reach(signal.SIGKILL, at_once=True))
        while True:  # until it is faster than a job that keeps forking
            self.target.stop_and_kill()
            self._mark_reached()
            over = self._wait(0.0)
            if over or time.monotonic() > self.deadline:
                return self._end_step(step, "still there", over)
            self.target.sleep(0.02)

    # helpers

    def _begin_step(self, name: str, reach: Reach) -> CancelStep:
        """Writes a step to disk before it is taken, with the processes that it is about to reach."""
        step = CancelStep(step=name, at=now())
        self.request.steps.append(step)
        self.request.acting = reach
        self._save_request()
        return step

    def _mark_reached(self) -> None:
        """Records that the signals of the step have been sent; this holds even if the cancel is killed now."""
        self.request.finish_step()
        self._save_request()

    def _end_step(self, step: CancelStep, error: str | None, over: bool, *, reached: bool = True) -> bool:
        if not over:
            step.error = error
            if not reached:
                self.request.acting = None
            self._mark_reached()
        return over

    def _save_request(self) -> None:
        """Writes the request where the supervisor finds it. A full disk, which this job may have filled, must not
        prevent the cancel; an empty file still fits on it."""
        if self.record.schema == LEGACY_SCHEMA:
            return
        try:
            self.store.write_cancel(self.record.id, self.request)
        except StoreError:
            with contextlib.suppress(OSError, StoreError):
                self._truncate_request()
                self.store.write_cancel(self.record.id, self.request)  # uses the space of the older text

    def _truncate_request(self) -> None:
        """Truncates the request. The older text lacks the step that is about to be taken, so the supervisor would
        conclude that the job ended by itself. From an empty request it knows that something is missing. A file of
        another user stays."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = files.open_as(str(self.store.cancel_path(self.record.id)), flags)
        try:
            if files.is_ours(os.fstat(descriptor)):
                os.ftruncate(descriptor, 0)
        finally:
            os.close(descriptor)

    def final_record(self) -> JobRecord:
        """The record of the job that seems to have ended."""
        record = settled(self.store, self.store.read(self.record.id))
        if record.cancel is None and record.state == "killed":
            self._mark_cancelled(record)
        return record

    def _mark_cancelled(self, record: JobRecord) -> None:
        """Corrects a record whose supervisor saw only a signal, because it could not know of the request: the disk was
        full, the request came too late, or a file of another user was in its place."""
        steps = tuple(step.step for step in self.request.steps)
        reached = self.request.reached.able > 0
        evidence = Evidence(signal=record.signal, cancel_requested=True, cancel_steps=steps, cancel_reached=reached)
        outcome = decide(evidence)
        # The process that wrote the final record may hold the lock a moment longer.
        with self.store.take_charge(record.id, FINISHING) as ours, contextlib.suppress(StoreError):
            if ours and outcome.state == CANCELLED:
                record.cancel = self.request.as_recorded()
                record.state, record.reason = "cancelled", outcome.reason
                self.store.write(record)

    def _await_start(self) -> None:
        """Waits until the start of the job has succeeded or failed. The supervisor looks for the request first."""
        deadline = time.monotonic() + max(STARTING, self.grace + AFTER_GRACE)
        while self.record.state == "starting" and self.store.in_charge(self.record.id):
            if time.monotonic() > deadline:
                return
            time.sleep(0.01)
            self.record = read_record(self.store.record_path(self.record.id))
            self.target = Target(self.record)

    def _wait(self, patience: float) -> bool:
        deadline = time.monotonic() + patience
        while not self.over():
            rest = deadline - time.monotonic()
            if rest <= 0:
                return False
            self.target.sleep(rest)
        return True


def _is_frozen(folder: str) -> bool:
    return (proc.read_text(f"{folder}/cgroup.freeze") or "").strip() == "1"
