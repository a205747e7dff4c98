"""Evidence in, outcome out: what became of a job, decided by a pure function.

Standard library only, and nothing imported: the supervisor uses it. Each rule below is a small function that either
knows the answer or leaves it to the next one; their order is the policy. A guess is never recorded as a fact: what
the evidence does not hold stays None, and a job of which nothing can be known is `lost`.
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
# seconds by which background processes must outlive their command to be worth a word: less may be the machine's doing
OUTLIVED = 1.0
# The rungs of the cancel ladder, as records name them
THAW = "thaw"
STOP_UNIT = "systemctl stop"
TERM_GROUP = "SIGTERM to the process group"
KILL_GROUP = "SIGKILL to the process group"
KILL_ALL = "SIGKILL to every process"
# signal(7), x86 and ARM; the names that a reader of a crash report expects. The enum of `signal` costs 1 MB.
SIGNAL_NAMES = {
    1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE",
    9: "SIGKILL", 10: "SIGUSR1", 11: "SIGSEGV", 12: "SIGUSR2", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM",
    24: "SIGXCPU", 25: "SIGXFSZ", 31: "SIGSYS",
}  # fmt: skip
# Of its limit, from where a failure is "probably for memory": allocators fail some pages before the last one
NEAR_THE_LIMIT = 0.95


class Evidence:
    """The facts gathered at a job's end. Every fact has a value that means "not known" or "did not happen"."""

    start_error: str | None = None
    """Why the command could not be exec'd, or its launcher was refused."""
    exit_code: int | None = None
    signal: int | None = None
    """How the command itself ended: an exit status or a signal, never both; both None when nobody saw it."""
    cancel_requested: bool = False
    cancel_steps: tuple[str, ...] = ()
    """The rungs of the cancel ladder that were begun before the job ended."""
    cancel_reached: bool = True
    """False when none of them can have ended it: nothing was left to be signalled, or all of it ignored the signals."""
    cancel_answered: bool = True
    """False when the command's exit status cannot be an answer to them: it had no say of its own in how it ended."""
    timed_out: float | None = None
    """The timeout in seconds, if the supervisor ended the job for it."""
    stopped: str | None = None
    """Who else told the job to stop, such as the unit's stop job or a signal to the supervisor."""
    watch_kill: int | None = None
    """Resident bytes at which the supervisor's watch killed the job."""
    oom_kills: int = 0
    oom_own: bool = False
    """`oom_kill` of memory.events, and whether its `oom` counter rose too: only then was it the job's own limit."""
    oom_whole: bool = True
    """Whether the kernel kills all of the job at once (memory.oom.group), and not just one process of it."""
    oom_above: str | None = None
    """A cgroup above the job's, such as its slice, whose own limit ran out meanwhile."""
    oomd: bool = False
    """systemd-oomd said that it killed it."""
    unit_result: str | None = None
    """The unit's Result, such as oom-kill, where the manager still knows it."""
    peak_memory: int | None = None
    limit_peak: int | None = None
    """The most that counted against the job's limit and could not have been given back; None: take peak_memory."""
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
    """The state that a job ended in, and the sentence that says why."""

    __slots__ = ("reason", "state")

    def __init__(self, state: str, reason: str) -> None:
        self.state = state
        self.reason = reason


def decide(evidence: Evidence) -> Outcome:
    """What became of the job. The first rule that knows the answer gives it."""
    for rule in (_never_started, _watch, _timeout, _oom, _cancel, _helpers, _stopped, _unseen):
        outcome = rule(evidence)
        if outcome is not None:
            return outcome
    return _own_end(evidence)


def signal_name(number: int) -> str:
    """`SIGTERM` for 15; real-time and unknown signals by number."""
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
        return None  # it had ended by itself when the kill came
    peak = max(evidence.watch_kill, evidence.peak_memory or 0)  # it may have gone on taking until the kill came
    return Outcome(
        OOM_KILLED,
        f"killed by gravscope's watch, not by the kernel: its peak of {amount(peak)} was more than "
        f"its limit of {amount(evidence.mem_max)}",
    )


def _timeout(evidence: Evidence) -> Outcome | None:
    if evidence.timed_out is None:
        return None
    return Outcome(TIMED_OUT, f"ended by its timeout of {evidence.timed_out:g} s ({_how(evidence)})")


def _oom(evidence: Evidence) -> Outcome | None:
    """Its own limit or the machine's memory: the kernel counts both as oom_kill, and only the former as oom too."""
    if evidence.oom_kills == 0 or evidence.exit_code == 0:
        return None
    if {KILL_GROUP, KILL_ALL} & set(evidence.cancel_steps) and evidence.signal == SIGKILL:
        return None  # it had been sent SIGKILL by us anyway
    if evidence.exit_code is None and evidence.signal is None and evidence.cancel_requested:
        return None
    if evidence.oom_whole and evidence.signal == SIGKILL:
        count, after = "the whole job", ""
    else:
        # which of them it was the counter does not tell: the command may have been one, or have been killed otherwise
        then = "" if evidence.signal == SIGKILL else "then "
        count, after = f"{evidence.oom_kills} of its processes", f"; its command {then}ended ({_how(evidence)})"
    if evidence.oom_own:
        return Outcome(
            OOM_KILLED,
            f"the kernel killed {count} at the job's own memory limit of {amount(evidence.mem_max)}"
            f" (peak {amount(evidence.peak_memory)}){after}",
        )
    if evidence.oom_above is not None:
        whose = f"the memory limit of {evidence.oom_above}, not the job's own,"
        return Outcome(OOM_KILLED, f"{whose} ran out and the kernel killed {count}{after}")
    return Outcome(
        OOM_KILLED,
        f"the machine, not the job's limit, ran out of memory and the kernel killed {count}{after}",
    )


def _cancel(evidence: Evidence) -> Outcome | None:
    """Only our own request makes a job cancelled, and only if it had begun to act before the end and may be its cause.

    In doubt it is: the exit status 0 may be of a job that was told to stop, saved what it had, and has not done all.
    """
    if not (evidence.cancel_requested and evidence.cancel_steps and evidence.cancel_reached):
        return None
    seen = evidence.exit_code is not None or evidence.signal is not None
    if seen and evidence.signal not in (SIGTERM, SIGKILL) and not evidence.cancel_answered:
        return None  # what a signal of ours ends by itself ends by that signal
    how = _how(evidence) if evidence.supervised else "nobody saw its exit status"
    return Outcome(CANCELLED, f"cancelled on request by {evidence.cancel_steps[-1]} ({how})")


def _helpers(evidence: Evidence) -> Outcome | None:
    """systemd-oomd sends SIGKILL and leaves oom_kill alone (systemd #23606). earlyoom, which begins with SIGTERM, says
    so only in the system's journal, which not every user may read: what it ends was ended by a signal."""
    if evidence.exit_code == 0:
        return None
    if evidence.oomd:
        return Outcome(OOM_KILLED, "killed by systemd-oomd: the machine was short of memory")
    if evidence.unit_result == "oom-kill":
        return Outcome(OOM_KILLED, "the service manager reports oom-kill for its unit")
    return None


def _stopped(evidence: Evidence) -> Outcome | None:
    if evidence.stopped is None:
        return None
    return Outcome(KILLED, f"{evidence.stopped} ({_how(evidence)})")


def _unseen(evidence: Evidence) -> Outcome | None:
    if evidence.exit_code is not None or evidence.signal is not None:
        return None
    if evidence.rebooted:
        return Outcome(LOST, "the machine was restarted while it ran; how it ended is not known")
    if evidence.supervised:
        return Outcome(LOST, "its command's exit status could not be read")
    return Outcome(LOST, "its supervisor was gone before it ended; how it ended is not known")


def _own_end(evidence: Evidence) -> Outcome:
    reason = _how(evidence)
    if evidence.exit_code == 0:
        if evidence.oom_kills:
            reason += f", though the kernel killed {evidence.oom_kills} of its processes for memory"
        return Outcome(SUCCEEDED, reason + _in_vain(evidence) + _outlived(evidence))
    if _near_limit(evidence):
        reason += (
            f", probably for memory: its peak of {amount(evidence.peak_memory)} was close to"
            f" its limit of {amount(evidence.mem_max)}"
        )
    state = KILLED if evidence.signal is not None else FAILED
    return Outcome(state, reason + _in_vain(evidence) + _outlived(evidence))


def _near_limit(evidence: Evidence) -> bool:
    peak = evidence.limit_peak if evidence.limit_peak is not None else evidence.peak_memory
    if peak is None or not evidence.mem_max:
        return False
    return peak >= NEAR_THE_LIMIT * evidence.mem_max


def _how(evidence: Evidence) -> str:
    """The command's own end in words."""
    if evidence.signal is not None:
        return f"ended by {signal_name(evidence.signal)}"
    if evidence.exit_code is None:
        return "exit status not known"
    if 128 < evidence.exit_code <= 128 + 64 and evidence.exit_code - 128 in SIGNAL_NAMES:
        # bash(1): 128+N when what the shell ran was ended by signal N
        name = signal_name(evidence.exit_code - 128)
        return f"exit status {evidence.exit_code}, a shell's word for a command ended by {name}"
    return f"exit status {evidence.exit_code}"


def _in_vain(evidence: Evidence) -> str:
    if not (evidence.cancel_requested and evidence.cancel_steps):
        return ""
    return "; a request to end it came too late, or was ignored"


def _outlived(evidence: Evidence) -> str:
    if evidence.outlived < OUTLIVED:
        return ""
    return f"; the job ended {evidence.outlived:.1f} s later, with the last of its background processes"
