"""Cases for how jobs end: the evidence of each case, and the exact state and sentence that it must give.

`TRAP n` in a row's name is case n of the field's known traps; a comment names the public issue.
"""

from __future__ import annotations

from dataclasses import dataclass, field

MIB = 2**20
MACHINE_SHORT = "the machine was short of memory"
IN_VAIN = "; a request to end it came too late, or was ignored"
AT_LIMIT = "the kernel killed {} at the job's own memory limit of 40M (peak 40M)"


@dataclass(frozen=True)
class Row:
    """One case."""

    name: str
    state: str
    reason: str
    facts: dict[str, object] = field(default_factory=dict)


def row(name: str, state: str, reason: str, **facts: object) -> Row:
    """Makes a case from its name, state, sentence, and facts as keywords."""
    return Row(name, state, reason, facts)


def limited(**facts: object) -> dict[str, object]:
    """Evidence of a job that reached its limit of 40M, where one process was killed."""
    return {"oom_kills": 1, "oom_own": True, "mem_max": 40 * MIB, "peak_memory": 40 * MIB, **facts}


PLAIN = [
    row("exit 0", "succeeded", "exit status 0", exit_code=0),
    row("exit 1", "failed", "exit status 1", exit_code=1),
    row("exit 255", "failed", "exit status 255", exit_code=255),
    row("exit 128 is no signal", "failed", "exit status 128", exit_code=128),
    row(
        "TRAP 31: a shell's word for a signal stays an exit status",  # systemd 22812
        "failed",
        "exit status 143, a shell's word for a command ended by SIGTERM",
        exit_code=143,
    ),
    row("a shell's 137", "failed", "exit status 137, a shell's word for a command ended by SIGKILL", exit_code=137),
    row("exit 193 is beyond the signals", "failed", "exit status 193", exit_code=193),
    row("exit 162: a number without a name", "failed", "exit status 162", exit_code=162),
    row("TRAP 31: a signal is no exit code", "killed", "ended by SIGTERM", signal=15),
    row("SIGKILL from nobody we know", "killed", "ended by SIGKILL", signal=9),
    row("SIGSEGV", "killed", "ended by SIGSEGV", signal=11),
    row("SIGHUP", "killed", "ended by SIGHUP", signal=1),
    row("a real-time signal", "killed", "ended by signal 34", signal=34),
    row(
        "a background process lived on",
        "succeeded",
        "exit status 0; the job ended 2.5 s later, with the last of its background processes",
        exit_code=0,
        outlived=2.5,
    ),
    row(
        "it failed, and a background process lived on",
        "failed",
        "exit status 3; the job ended 61.0 s later, with the last of its background processes",
        exit_code=3,
        outlived=61.04,
    ),
    row("a moment is not worth a word", "succeeded", "exit status 0", exit_code=0, outlived=0.95),
]

NOT_STARTED = [
    row("no such command", "never-started", "nosuch: command not found", start_error="nosuch: command not found"),
    row(
        "not started outweighs a cancel request",
        "never-started",
        "no such folder",
        start_error="no such folder",
        cancel_requested=True,
        cancel_steps=("systemctl stop",),
    ),
]

OOM = [
    row(
        "its own limit took all of it",
        "oom-killed",
        AT_LIMIT.format("the whole job"),
        **limited(signal=9),
    ),
    row(
        "TRAP 23: oom policy continue, the parent hangs on and exits 0",  # systemd 25385
        "succeeded",
        "exit status 0, though the kernel killed 1 of its processes for memory",
        **limited(exit_code=0),
    ),
    row(
        "TRAP 24: a pool lost a worker and exits 1",
        "oom-killed",
        AT_LIMIT.format("1 of its processes") + "; its command then ended (exit status 1)",
        **limited(exit_code=1),
    ),
    row(
        "TRAP 24: a pool lost a worker and exits 0",
        "succeeded",
        "exit status 0, though the kernel killed 2 of its processes for memory",
        **limited(exit_code=0, oom_kills=2),
    ),
    row(
        "TRAP 24: a shell lost its only command",
        "oom-killed",
        AT_LIMIT.format("1 of its processes")
        + "; its command then ended (exit status 137, a shell's word for a command ended by SIGKILL)",
        **limited(exit_code=137),
    ),
    row(
        "a worker was lost and the command then aborted",
        "oom-killed",
        AT_LIMIT.format("3 of its processes") + "; its command then ended (ended by SIGABRT)",
        **limited(signal=6, oom_kills=3),
    ),
    row(
        "oom policy continue, and the command was killed, by that or otherwise",
        "oom-killed",
        AT_LIMIT.format("1 of its processes") + "; its command ended (ended by SIGKILL)",
        **limited(signal=9, oom_group=False),
    ),
    row(
        "oom policy continue, the machine ran out, and the command was killed",
        "oom-killed",
        "the machine, not the job's limit, ran out of memory and the kernel killed 2 of its processes"
        "; its command ended (ended by SIGKILL)",
        **limited(signal=9, oom_group=False, oom_own=False, oom_kills=2),
    ),
    row(
        "TRAP 25: the machine ran out, all of it",
        "oom-killed",
        "the machine, not the job's limit, ran out of memory and the kernel killed the whole job",
        **limited(signal=9, oom_own=False, peak_memory=20 * MIB),
    ),
    row(
        "TRAP 25: the machine ran out, a worker of it",
        "oom-killed",
        "the machine, not the job's limit, ran out of memory and the kernel killed 1 of its processes"
        "; its command then ended (exit status 1)",
        **limited(exit_code=1, oom_own=False),
    ),
    row(
        "TRAP 21: the limit of its slice ran out, all of it",
        "oom-killed",
        "the memory limit of gravscope.slice, not the job's own, ran out and the kernel killed the whole job",
        **limited(signal=9, oom_own=False, oom_ancestor="gravscope.slice"),
    ),
    row(
        "TRAP 21: the limit of its slice ran out, a worker of it",
        "oom-killed",
        "the memory limit of gravscope.slice, not the job's own, ran out and the kernel killed 1 of its processes"
        "; its command then ended (exit status 1)",
        **limited(exit_code=1, oom_own=False, oom_ancestor="gravscope.slice"),
    ),
    row(
        "its own limit outweighs that of its slice",
        "oom-killed",
        AT_LIMIT.format("the whole job"),
        **limited(signal=9, oom_ancestor="gravscope.slice"),
    ),
    row(
        "its slice ran out, but took no process of the job", "succeeded", "exit status 0", exit_code=0, oom_ancestor="x"
    ),
    row(
        "TRAP 30: a kernel before 5.19 has no peak",
        "oom-killed",
        "the kernel killed the whole job at the job's own memory limit of 40M (peak an unknown amount)",
        **limited(signal=9, peak_memory=None),
    ),
    row(
        "a limit up the tree, not asked for by the job",
        "oom-killed",
        "the kernel killed the whole job at the job's own memory limit of an unknown amount (peak 40M)",
        **limited(signal=9, mem_max=None),
    ),
    row(
        "TRAP 26: systemd-oomd, the counters untouched",  # systemd 23606, 23557
        "oom-killed",
        f"killed by systemd-oomd: {MACHINE_SHORT}",
        signal=9,
        oomd=True,
    ),
    row(
        "TRAP 26: only the unit's Result knows",
        "oom-killed",
        "the service manager reports oom-kill for its unit",
        signal=9,
        unit_result="oom-kill",
    ),
    row(
        "TRAP 26: the Result, and nobody saw the end",
        "oom-killed",
        "the service manager reports oom-kill for its unit",
        supervised=False,
        unit_result="oom-kill",
    ),
    row(
        "TRAP 26: oomd was about, but the job succeeded",
        "succeeded",
        "exit status 0",
        exit_code=0,
        oomd=True,
        unit_result="oom-kill",
    ),
    row("another Result tells nothing of memory", "killed", "ended by SIGKILL", signal=9, unit_result="signal"),
    row("TRAP 27: SIGTERM without a request, as from earlyoom, is no cancel", "killed", "ended by SIGTERM", signal=15),
    row(
        "TRAP 28: MemoryError near the limit",
        "failed",
        "exit status 1, probably for memory: its peak of 39M was close to its limit of 40M",
        exit_code=1,
        peak_memory=39 * MIB,
        mem_max=40 * MIB,
    ),
    row(
        "TRAP 28: SIGSEGV near the limit",
        "killed",
        "ended by SIGSEGV, probably for memory: its peak of 38M was close to its limit of 40M",
        signal=11,
        peak_memory=38 * MIB,
        mem_max=40 * MIB,
    ),
    row("a failure far from the limit", "failed", "exit status 1", exit_code=1, peak_memory=37 * MIB, mem_max=40 * MIB),
    row("a success near the limit", "succeeded", "exit status 0", exit_code=0, peak_memory=40 * MIB, mem_max=40 * MIB),
    row("TRAP 30: no peak, no guess", "failed", "exit status 1", exit_code=1, mem_max=40 * MIB),
    row(
        "the watch killed it where no kernel enforces",
        "oom-killed",
        "killed by gravscope's watch, not by the kernel: its peak of 50M was more than its limit of 40M",
        signal=9,
        watch_kill=50 * MIB,
        mem_max=40 * MIB,
    ),
    row(
        "it went on taking memory until the kill came: the number is that of peak_memory",
        "oom-killed",
        "killed by gravscope's watch, not by the kernel: its peak of 55M was more than its limit of 40M",
        signal=9,
        watch_kill=50 * MIB,
        peak_memory=55 * MIB,
        mem_max=40 * MIB,
    ),
]

ENDED_BY_US = [
    row("cancelled by SIGTERM", "cancelled", "cancelled on request by systemctl stop (ended by SIGTERM)",
        signal=15, cancel_requested=True, cancel_steps=("thaw", "systemctl stop")),
    row("cancelled, and it says goodbye with 0", "cancelled", "cancelled on request by systemctl stop (exit status 0)",
        exit_code=0, cancel_requested=True, cancel_steps=("systemctl stop",)),
    row("cancelled by the last rung", "cancelled",
        "cancelled on request by SIGKILL to the process group (ended by SIGKILL)", signal=9, cancel_requested=True,
        cancel_steps=("SIGTERM to the process group", "SIGKILL to the process group")),
    row("cancelled, and killed by us as it reached its limit", "cancelled",
        "cancelled on request by SIGKILL to every process (ended by SIGKILL)",
        **limited(signal=9, cancel_requested=True, cancel_steps=("SIGKILL to every process",))),
    row("TRAP 24: its limit took it just as it was told to stop", "oom-killed", AT_LIMIT.format("the whole job"),
        **limited(signal=9, cancel_requested=True, cancel_steps=("SIGTERM to the process group",))),
    row("a request that had not begun to act", "succeeded", "exit status 0", exit_code=0, cancel_requested=True),
    row("a request that had not begun to act, a signal from elsewhere", "killed", "ended by SIGTERM",
        signal=15, cancel_requested=True),
    row("it ended by itself just before the signal", "succeeded", f"exit status 0{IN_VAIN}",
        exit_code=0, cancel_requested=True, cancel_steps=("SIGTERM to the process group",), cancel_reached=False,
        cancel_answered=False),
    row("its signal would have ended it, and it did not", "failed", f"exit status 3{IN_VAIN}",
        exit_code=3, cancel_requested=True, cancel_steps=("systemctl stop",), cancel_answered=False),
    row("it crashed just before its signal", "killed", f"ended by SIGSEGV{IN_VAIN}",
        signal=11, cancel_requested=True, cancel_steps=("systemctl stop",), cancel_answered=False),
    row("its signal ended it, and it had no say in that", "cancelled",
        "cancelled on request by SIGTERM to the process group (ended by SIGTERM)",
        signal=15, cancel_requested=True, cancel_steps=("SIGTERM to the process group",), cancel_answered=False),
    row("it ignored the request, and somebody else ended it", "killed", f"ended by SIGTERM{IN_VAIN}",
        signal=15, cancel_requested=True, cancel_steps=("SIGTERM to the process group",), cancel_reached=False),
    row("it ignored the request, and its background processes lived on", "succeeded",
        f"exit status 0{IN_VAIN}; the job ended 3.0 s later, with the last of its background processes",
        exit_code=0, outlived=3.0, cancel_requested=True, cancel_steps=("SIGTERM to the process group",),
        cancel_reached=False),
    row("steps without a request are none of ours", "killed", "ended by SIGTERM",
        signal=15, cancel_steps=("systemctl stop",)),
    row("timed out", "timed-out", "ended by its timeout of 7200 s (ended by SIGTERM)", signal=15, timed_out=7200.0),
    row("timed out, and it says goodbye with 0", "timed-out", "ended by its timeout of 0.5 s (exit status 0)",
        exit_code=0, timed_out=0.5),
    row("timed out, then at its limit", "timed-out", "ended by its timeout of 60 s (ended by SIGKILL)",
        **limited(signal=9, timed_out=60.0)),
    row("timed out, then cancelled", "timed-out", "ended by its timeout of 60 s (ended by SIGTERM)",
        signal=15, timed_out=60.0, cancel_requested=True, cancel_steps=("systemctl stop",)),
    row("somebody stopped the unit", "killed",
        "told to stop by its unit's stop job, with no cancel request (ended by SIGTERM)",
        signal=15, stopped_by="told to stop by its unit's stop job, with no cancel request"),
    row("somebody stopped the unit, and it obeyed with 0", "killed", "told to stop by SIGTERM (exit status 0)",
        exit_code=0, stopped_by="told to stop by SIGTERM"),
]  # fmt: skip

UNSEEN = [
    row("TRAP 32: the supervisor was killed", "lost",
        "its supervisor was gone before it ended; how it ended is not known", supervised=False),
    row("TRAP 32: and the unit says success, which is no exit code", "lost",
        "its supervisor was gone before it ended; how it ended is not known", supervised=False, unit_result="success"),
    row("TRAP 29: the counters went with the cgroup", "lost",
        "its supervisor was gone before it ended; how it ended is not known", supervised=False, mem_max=40 * MIB),
    row("the machine was restarted", "lost", "the machine was restarted while it ran; how it ended is not known",
        supervised=False, rebooted=True),
    row("cancelled after its supervisor was gone", "cancelled",
        "cancelled on request by SIGKILL to every process (nobody saw its exit status)",
        supervised=False, cancel_requested=True, cancel_steps=("systemctl stop", "SIGKILL to every process")),
    row("a request nobody acted on", "lost", "its supervisor was gone before it ended; how it ended is not known",
        supervised=False, cancel_requested=True),
    row("a request that all of it ignored", "lost",
        "its supervisor was gone before it ended; how it ended is not known", supervised=False,
        cancel_requested=True, cancel_steps=("SIGTERM to the process group",), cancel_reached=False),
    row("counters seen later, the end not", "oom-killed",
        AT_LIMIT.format("1 of its processes") + "; its command then ended (exit status not known)",
        **limited(supervised=False)),
    row("TRAP 33: only a wrapper's end was seen, not the command's", "lost",
        "its command's exit status could not be read"),
]  # fmt: skip

ROWS = [*PLAIN, *NOT_STARTED, *OOM, *ENDED_BY_US, *UNSEEN]
