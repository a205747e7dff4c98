"""Starts a program that inherits only the given files. subprocess.Popen could do it, but takes 9 ms to load."""

from __future__ import annotations

import errno
import os
from _signal import SIGPIPE, SIGXFSZ  # `signal` takes longer to load: it makes enums of them

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping


def find_tool(name: str, environ: Mapping[str, str]) -> str | None:
    """The path of a program, by the PATH of `environ`; None if it is not found. (shutil.which takes 6 ms to load.)"""
    for folder in filter(None, environ.get("PATH", os.defpath).split(":")):
        path = f"{folder}/{name}"
        if os.path.isfile(path) and os.access(path, os.X_OK):  # noqa: PTH113 (hot path)
            return path
    return None


def new_numbers(descriptors: Collection[int]) -> dict[int, int]:
    """Assigns each of these descriptors a number for the process to be started; none of them is among the old numbers.

    A descriptor that keeps its number would also keep its close-on-exec flag with glibc before 2.29 (dup2(2)).
    """
    first = max(2, *descriptors) + 1
    return {descriptor: first + place for place, descriptor in enumerate(descriptors)}


def spawn(
    argv: list[str],
    environ: Mapping[str, str],
    streams: tuple[int, int, int],
    targets: Mapping[int, int],
    *,
    new_session: bool,
) -> int:
    """Starts a program with these standard streams, and returns its pid.

    `targets` maps our descriptors to their numbers in the program (from `new_numbers`; the streams must be in it, too).
    The program inherits these and no others. With `new_session` it becomes the leader of a new session.

    Raises OSError if the program cannot be started, NotImplementedError if the C library cannot make it a session.
    """
    path = argv[0] if "/" in argv[0] else find_tool(argv[0], environ)
    if path is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), argv[0])
    actions: list[tuple[int, ...]] = [(os.POSIX_SPAWN_CLOSE, number) for number in _inheritable({*targets})]
    # first move all to their new numbers: if our own streams are closed, any descriptor may be 0, 1 or 2
    actions += [(os.POSIX_SPAWN_DUP2, here, number) for here, number in targets.items()]
    actions += [(os.POSIX_SPAWN_DUP2, targets[stream], number) for number, stream in enumerate(streams)]
    actions += [(os.POSIX_SPAWN_CLOSE, targets[stream]) for stream in {*streams}]
    return os.posix_spawn(
        path,
        argv,
        {name: value for name, value in environ.items() if name},  # an environment may have an entry without a name
        file_actions=actions,
        setsid=new_session,
        # Python ignores these two signals, and other programs expect the default action (signal(7))
        setsigdef=(SIGPIPE, SIGXFSZ),
    )


def _inheritable(kept: set[int]) -> Iterable[int]:
    """Inheritable descriptors other than `kept`: we inherited them, and the program must not inherit them.

    (What Python opens, also in other threads, is closed at exec.) Closing one that another thread has closed meanwhile
    is not an error (posix_spawn(3)).
    """
    most = os.sysconf("SC_OPEN_MAX")
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 (hot path)
        number = int(name)
        try:
            if number <= 2 or number in kept or not os.get_inheritable(number):
                continue
            if number < most:
                yield number
            else:  # opened before the limit was lowered: posix_spawn_file_actions_addclose(3) would refuse it
                os.set_inheritable(number, False)
        except OSError:
            continue  # the descriptor with which this folder was listed
