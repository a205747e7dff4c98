"""Decides from evidence how a job ended. A pure function.

It imports nothing, because the supervisor uses it. Each rule below is a small function that either decides or returns
None; then the next rule is asked. Their order is the policy. A guess is never recorded as a fact: what the evidence
does not contain stays None, and a job of which nothing can be known is `lost`.
"""

from __future__ import annotations

SUCCEEDED = "succeeded"
FAILED = "failed"
KILLED = "killed"
OOM_KILLED = "oom-killed"
TIMED_OUT = "timed-out"
CANCELLED = "cancelled"
NEVER_STARTED = "never-started"
LOST = "lost"

SIGTERM, SIGKILL = 15, 9
# Seconds by which background processes must outlive their command to be mentioned. A slow machine may cause less.
OUTLIVED = 1.0
# The steps of a cancel, as records name them, from the mildest to the strongest
THAW = "thaw"
STOP_UNIT = "systemctl stop"
TERM_GROUP = "SIGTERM to the process group"
KILL_GROUP = "SIGKILL to the process group"
KILL_ALL = "SIGKILL to every process"
# signal(7), x86 and ARM: the names that crash reports use. Importing `signal`, with its enum, would cost 1 MB.
SIGNAL_NAMES = {
    1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE",
    9: "SIGKILL", 10: "SIGUSR1", 11: "SIGSEGV", 12: "SIGUSR2", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM",
    24: "SIGXCPU", 25: "SIGXFSZ", 31: "SIGSYS",
}  # fmt: skip
# The share of its limit from which on a failure is "probably for memory": allocators fail some pages before the limit.
NEAR_THE_LIMIT = 0.95


class Evidence:
    """The facts collected at a job's end. Every fact has a value that means "not known" or "did not happen"."""

    start_error: str | None = None
    """Why the command could not be exec'd, or its launcher was refused."""
    exit_code: int | None = None
    signal: int | None = None
    """How the command itself ended: an exit status or a signal, never both. Both are None when nobody saw the end."""
    cancel_requested: bool = False
    cancel_steps: tuple[str, ...] = ()
    """The steps of a cancel that were begun before the job ended."""
    cancel_reached: bool = True
    """False when none of these steps can have ended the job: no process was left, or all ignored the signals."""
    cancel_answered: bool = True
    """False when the command's exit status cannot be its reaction to these steps."""
    timed_out: float | None = None
    """The timeout in seconds, if the supervisor ended the job for it."""
    stopped_by: str | None = None
    """Who else told the job to stop, such as the unit's stop job or a signal to the supervisor."""
    watch_kill: int | None = None
    """Resident bytes at which the supervisor's watch killed the job."""
    oom_kills: int = 0
    oom_own: bool = False
    """`oom_kill` of memory.events, and whether `oom` rose too: only then was the job's own limit reached."""
    oom_group: bool = True
    """Whether the kernel kills all of the job at once (memory.oom.group), and not just one process of it."""
    oom_ancestor: str | None = None
    """A cgroup above the job's, such as its slice, whose own limit was reached while the job ran."""
    oomd: bool = False
    """systemd-oomd logged that it killed the job."""
    unit_result: str | None = None
    """The unit's Result, such as oom-kill, where the manager still knows it."""
    peak_memory: int | None = None
    limit_peak: int | None = None
    """The peak of the memory that counted against the limit and could not be reclaimed; None: peak_memory is used."""
    mem_max: int | None = None
    outlived: float = 0.0
    """Seconds by which the last background process outlived the command."""
    rebooted: bool = False
    supervised: bool = True
    """False when the supervisor did not see the end."""

    def __init__(self, **facts: object) -> None:
        for name, value in facts.items():
            if not hasattr(type(self), name):
                raise TypeError(f"no such fact: {name}")
            setattr(self, name, value)


class Outcome:
    """The final state of a job, and a sentence with the reason."""

    __slots__ = ("reason", "state")

    def __init__(self, state: str, reason: str) -> None:
        self.state = state
        self.reason = reason


def decide(evidence: Evidence) -> Outcome:
    """The outcome of the job, given by the first rule that decides."""
    for rule in (_never_started, _watch, _timeout, _oom, _cancel, _userspace_oom, _stopped, _unseen):
        outcome = rule(evidence)
        if outcome is not None:
            return outcome
    return _own_end(evidence)


def signal_name(number: int) -> str:
    """The name of a signal, such as `SIGTERM` for 15; real-time and unknown signals by number."""
    return SIGNAL_NAMES.get(number, f"signal {number}")


def amount(size: int | None) -> str:
    """`size` in bytes as `gravscope.base.quantity.format_size` has it, which loads `re`: 512M, 1.5G."""
    if size is None:
        return "an unknown amount"
    number, units = float(size), "BKMGTPE"
    while number >= 999.5 and len(units) > 1:
        number, units = number / 1024, units[1:]
    digits = 1 if number < 9.95 and units[0] != "B" and number != int(number) else 0
    return f"{number:.{digits}f}{units[0]}"


def _never_started(evidence: Evidence) -> Outcome | None:
    if evidence.start_error is None:
        return None
    return Outcome(NEVER_STARTED, evidence.start_error)


def _watch(evidence: Evidence) -> Outcome | None:
    if evidence.watch_kill is None or evidence.exit_code == 0:
        return None  # it ended by itself before the kill reached it
    peak = max(evidence.watch_kill, evidence.peak_memory or 0)  # it may have gone on taking until the kill came
    return Outcome(
        OOM_KILLED,
        f"killed by gravscope's watch, not by the kernel: its peak of {amount(peak)} was more than "
        f"its limit of {amount(evidence.mem_max)}",
    )


def _timeout(evidence: Evidence) -> Outcome | None:
    if evidence.timed_out is None:
        return None
    return Outcome(TIMED_OUT, f"ended by its timeout of {evidence.timed_out:g} s ({_how_ended(evidence)})")


def _oom(evidence: Evidence) -> Outcome | None:
    """Tells the job's own limit from the machine's memory: oom_kill counts both, but oom only the former."""
    if evidence.oom_kills == 0 or evidence.exit_code == 0:
        return None
    if {KILL_GROUP, KILL_ALL} & set(evidence.cancel_steps) and evidence.signal == SIGKILL:
        return None  # gravscope itself had sent it SIGKILL
    if evidence.exit_code is None and evidence.signal is None and evidence.cancel_requested:
        return None
    if evidence.oom_group and evidence.signal == SIGKILL:
        count, after = "the whole job", ""
    else:
        # The counter does not tell which process was killed. It may have been the command, or the command was killed
        # otherwise.
        then = "" if evidence.signal == SIGKILL else "then "
        count, after = (
            f"{evidence.oom_kills} of its processes",
            f"; its command {then}ended ({_how_ended(evidence)})",
        )
    if evidence.oom_own:
        return Outcome(
            OOM_KILLED,
            f"the kernel killed {count} at the job's own memory limit of {amount(evidence.mem_max)}"
            f" (peak {amount(evidence.peak_memory)}){after}",
        )
    if evidence.oom_ancestor is not None:
        whose = f"the memory limit of {evidence.oom_ancestor}, not the job's own,"
        return Outcome(OOM_KILLED, f"{whose} ran out and the kernel killed {count}{after}")
    return Outcome(
        OOM_KILLED,
        f"the machine, not the job's limit, ran out of memory and the kernel killed {count}{after}",
    )


def _cancel(evidence: Evidence) -> Outcome | None:
    """A job counts as cancelled only after a request of gravscope's own that had begun to act before the job ended, and
    that may have caused the end.

    In doubt it counts as cancelled: a job that was told to stop may save its work and exit with 0 without being done.
    """
    if not (evidence.cancel_requested and evidence.cancel_steps and evidence.cancel_reached):
        return None
    seen = evidence.exit_code is not None or evidence.signal is not None
    if seen and evidence.signal not in (SIGTERM, SIGKILL) and not evidence.cancel_answered:
        return None  # a process that one of our signals ends shows that signal
    how = _how_ended(evidence) if evidence.supervised else "nobody saw its exit status"
    return Outcome(CANCELLED, f"cancelled on request by {evidence.cancel_steps[-1]} ({how})")


def _userspace_oom(evidence: Evidence) -> Outcome | None:
    """systemd-oomd sends SIGKILL and does not change oom_kill (systemd #23606). earlyoom, which begins with SIGTERM,
    logs it only in the system's journal, which not every user may read. A job that it ends therefore counts as ended by
    a signal."""
    if evidence.exit_code == 0:
        return None
    if evidence.oomd:
        return Outcome(OOM_KILLED, "killed by systemd-oomd: the machine was short of memory")
    if evidence.unit_result == "oom-kill":
        return Outcome(OOM_KILLED, "the service manager reports oom-kill for its unit")
    return None


def _stopped(evidence: Evidence) -> Outcome | None:
    if evidence.stopped_by is None:
        return None
    return Outcome(KILLED, f"{evidence.stopped_by} ({_how_ended(evidence)})")


def _unseen(evidence: Evidence) -> Outcome | None:
    if evidence.exit_code is not None or evidence.signal is not None:
        return None
    if evidence.rebooted:
        return Outcome(LOST, "the machine was restarted while it ran; how it ended is not known")
    if evidence.supervised:
        return Outcome(LOST, "its command's exit status could not be read")
    return Outcome(LOST, "its supervisor was gone before it ended; how it ended is not known")


def _own_end(evidence: Evidence) -> Outcome:
    reason = _how_ended(evidence)
    if evidence.exit_code == 0:
        if evidence.oom_kills:
            reason += f", though the kernel killed {evidence.oom_kills} of its processes for memory"
        return Outcome(SUCCEEDED, reason + _late_cancel(evidence) + _outlived(evidence))
    if _near_limit(evidence):
        reason += (
            f", probably for memory: its peak of {amount(evidence.peak_memory)} was close to"
            f" its limit of {amount(evidence.mem_max)}"
        )
    state = KILLED if evidence.signal is not None else FAILED
    return Outcome(state, reason + _late_cancel(evidence) + _outlived(evidence))


def _near_limit(evidence: Evidence) -> bool:
    peak = evidence.limit_peak if evidence.limit_peak is not None else evidence.peak_memory
    if peak is None or not evidence.mem_max:
        return False
    return peak >= NEAR_THE_LIMIT * evidence.mem_max


def _how_ended(evidence: Evidence) -> str:
    """How the command itself ended, in words."""
    if evidence.signal is not None:
        return f"ended by {signal_name(evidence.signal)}"
    if evidence.exit_code is None:
        return "exit status not known"
    if 128 < evidence.exit_code <= 128 + 64 and evidence.exit_code - 128 in SIGNAL_NAMES:
        # bash(1): the exit status is 128+N if the command that the shell ran was ended by signal N
        name = signal_name(evidence.exit_code - 128)
        return f"exit status {evidence.exit_code}, a shell's word for a command ended by {name}"
    return f"exit status {evidence.exit_code}"


def _late_cancel(evidence: Evidence) -> str:
    if not (evidence.cancel_requested and evidence.cancel_steps):
        return ""
    return "; a request to end it came too late, or was ignored"


def _outlived(evidence: Evidence) -> str:
    if evidence.outlived < OUTLIVED:
        return ""
    return f"; the job ended {evidence.outlived:.1f} s later, with the last of its background processes"
