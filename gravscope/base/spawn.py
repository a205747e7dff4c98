"""Starts a program that inherits just what it is given: as subprocess.Popen, which takes 9 ms to load."""

from __future__ import annotations

import errno
import os
from _signal import SIGPIPE, SIGXFSZ  # the numbers alone, without their names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping


def find_tool(name: str, environ: Mapping[str, str]) -> str | None:
    """Where a program is, by the PATH of `environ`; None where it is not. (shutil.which takes 6 ms to load.)"""
    for folder in filter(None, environ.get("PATH", os.defpath).split(":")):
        path = f"{folder}/{name}"
        if os.path.isfile(path) and os.access(path, os.X_OK):  # noqa: PTH113 (hot path)
            return path
    return None


def new_numbers(descriptors: Collection[int]) -> dict[int, int]:
    """A number for each of these open files in a process that is yet to be started, where none of them is now.

    One that keeps its number would keep its close-on-exec flag, too, with a C library before glibc 2.29 (dup2(2)).
    """
    first = max(2, *descriptors) + 1
    return {descriptor: first + place for place, descriptor in enumerate(descriptors)}


def spawn(
    argv: list[str], environ: Mapping[str, str], streams: tuple[int, int, int], there: Mapping[int, int], *, apart: bool
) -> int:
    """Starts a program with these standard streams, and returns its pid. Of our open files it has those that are keys
    of `there`, under the numbers that are their values (`new_numbers`, which names the streams, too), and no others.
    With `apart` it leads a session of its own.

    Raises OSError if it cannot be started, NotImplementedError where the C library knows no sessions.
    """
    path = argv[0] if "/" in argv[0] else find_tool(argv[0], environ)
    if path is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), argv[0])
    actions: list[tuple[int, ...]] = [(os.POSIX_SPAWN_CLOSE, number) for number in _strangers({*there})]
    # first out of each other's way: a caller may have closed its own streams, and so ours may have any number
    actions += [(os.POSIX_SPAWN_DUP2, here, number) for here, number in there.items()]
    actions += [(os.POSIX_SPAWN_DUP2, there[stream], number) for number, stream in enumerate(streams)]
    actions += [(os.POSIX_SPAWN_CLOSE, there[stream]) for stream in {*streams}]
    return os.posix_spawn(
        path,
        argv,
        {name: value for name, value in environ.items() if name},  # there may be one without, which is nobody's
        file_actions=actions,
        setsid=apart,
        # Python ignores these, which no program expects (signal(7))
        setsigdef=(SIGPIPE, SIGXFSZ),
    )


def _strangers(ours: set[int]) -> Iterable[int]:
    """What we have inherited ourselves, and would hand on: whoever called us opened it. (What Python opens, other
    threads included, is closed at exec.) One that is closed meanwhile does no harm (posix_spawn(3))."""
    most = os.sysconf("SC_OPEN_MAX")
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 (hot path)
        number = int(name)
        try:
            if number <= 2 or number in ours or not os.get_inheritable(number):
                continue
            if number < most:
                yield number
            else:  # opened before that was lowered: no action may name it (posix_spawn_file_actions_addclose(3))
                os.set_inheritable(number, False)
        except OSError:
            continue  # the one that this listing was read with
