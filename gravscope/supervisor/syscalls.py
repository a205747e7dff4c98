"""Calls of the kernel that Python's `os` does not have, and the signals' own settings."""

from __future__ import annotations

import _ctypes
import _signal

PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
# the highest score that oom_score_adj takes (proc(5))
HIGHEST_OOM_SCORE = 1000


def become_subreaper() -> bool:
    """Makes every orphaned descendant a child of this process instead of init's, so that the job's end is seen.

    Through _ctypes, the C half of ctypes: the other half costs 700 KB. False where the kernel said no.
    """
    prctl = _ctypes.dlsym(_ctypes.dlopen(None, 0), "prctl")  # type: ignore[arg-type]
    return bool(_ctypes.call_function(prctl, (PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)) == 0)


def raise_oom_score(by: int) -> None:
    """Makes this process, and what it starts, a likelier victim when the whole machine is out of memory.

    Raising needs no privilege. An unwritable /proc only loses this preference.
    """
    try:
        with open("/proc/self/oom_score_adj", "r+", encoding="ascii") as file:
            score = min(HIGHEST_OOM_SCORE, int(file.read()) + by)
            file.seek(0)
            file.write(str(score))
    except OSError:
        pass


def default_signals(ignored: tuple[int, ...]) -> None:
    """What a fresh program expects: every signal at its default, none blocked, but for those to be `ignored`.

    Python ignores SIGPIPE and SIGXFSZ, and a shell that starts something in the background ignores SIGINT.
    """
    _signal.set_wakeup_fd(-1)
    for number in range(1, _signal.NSIG):
        try:
            _signal.signal(number, _signal.SIG_DFL)
        except (OSError, ValueError):
            continue  # SIGKILL, SIGSTOP, and those that the C library keeps
    for number in ignored:
        _signal.signal(number, _signal.SIG_IGN)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())


def ignore_signals(*, interrupts: bool) -> None:
    """No signal that is meant for the job, or for its terminal, is a reason for us to end.

    `systemctl kill -s USR1 UNIT`, for one, reaches the supervisor as well. What it obeys it says later;
    `interrupts` (SIGINT) are in the foreground the command's to obey.
    """
    for number in range(1, _signal.NSIG):
        if number in (_signal.SIGTERM, _signal.SIGCHLD) or (number == _signal.SIGINT and not interrupts):
            continue
        try:
            _signal.signal(number, _signal.SIG_IGN)
        except (OSError, ValueError):
            continue  # SIGKILL, SIGSTOP, and those that the C library keeps
