"""System calls that Python's `os` does not have, and the dispositions of signals."""

from __future__ import annotations

import _ctypes
import _signal

PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
# the highest value of oom_score_adj (proc(5))
OOM_SCORE_ADJ_MAX = 1000


def become_subreaper() -> bool:
    """Makes orphaned descendants children of this process instead of init's, so that the job's end is noticed.

    Uses _ctypes, the C part of ctypes: the Python part costs 700 KB. False if the kernel refused.
    """
    prctl = _ctypes.dlsym(_ctypes.dlopen(None, 0), "prctl")  # type: ignore[arg-type]
    return bool(_ctypes.call_function(prctl, (PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)) == 0)


def raise_oom_score(by: int) -> None:
    """Makes the kernel prefer this process, and those that it starts, when the machine is out of memory and it kills.

    Raising the score needs no privilege. If /proc cannot be written to, nothing happens.
    """
    try:
        with open("/proc/self/oom_score_adj", "r+", encoding="ascii") as file:
            score = min(OOM_SCORE_ADJ_MAX, int(file.read()) + by)
            file.seek(0)
            file.write(str(score))
    except OSError:
        pass


def reset_signals(ignored: tuple[int, ...]) -> None:
    """Resets every signal to its default action and unblocks it, as a new program expects; `ignored` ones are ignored.

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
    """Ignores signals that are meant for the job or for its terminal, so that they do not end the supervisor.

    For example, `systemctl kill -s USR1 UNIT` signals the supervisor as well. `Watch.listen` sets handlers later for
    the signals that it obeys. With `interrupts` SIGINT is ignored, too: in the foreground it is meant for the command.
    """
    for number in range(1, _signal.NSIG):
        if number in (_signal.SIGTERM, _signal.SIGCHLD) or (number == _signal.SIGINT and not interrupts):
            continue
        try:
            _signal.signal(number, _signal.SIG_IGN)
        except (OSError, ValueError):
            continue  # SIGKILL, SIGSTOP, and those that the C library keeps
