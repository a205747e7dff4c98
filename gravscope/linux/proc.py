"""Reads and parses /proc: who a process is, and what belongs to it.

Standard library only, and of that nothing heavier than `os`: the supervisor uses it, and what it imports stays in
memory for as long as a job runs. See proc(5) for every field.
"""

from __future__ import annotations

import _signal
import os

PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")
# PF_FORKNOEXEC in the kernel's include/linux/sched.h, where proc(5) sends one for the meaning of `flags`: it was forked
# and has not called exec since. Still there in a zombie.
FORKNOEXEC = 0x40
_BLOCK = 1 << 16


class Stat:
    """The fields of /proc/PID/stat that gravscope uses; `start_ticks` counts clock ticks since boot.

    `execing` is true in the middle of an exec, and of processes that we may not look into.
    """

    __slots__ = ("cpu_ticks", "execed", "execing", "pgid", "pid", "ppid", "session", "start_ticks", "state")

    def __init__(self, text: str) -> None:
        # the command name stands in parentheses and may itself hold spaces and parentheses
        left, _, right = text.rpartition(")")
        fields = right.split()
        self.pid = int(left.partition(" ")[0])
        self.state = fields[0]
        self.ppid = int(fields[1])
        self.pgid = int(fields[2])
        self.session = int(fields[3])
        self.execed = not int(fields[6]) & FORKNOEXEC
        # utime, stime and those of children that were waited for
        self.cpu_ticks = sum(int(field) for field in fields[11:15])
        self.start_ticks = int(fields[19])
        # it has memory (vsize), but no place for its environment there yet (env_end)
        self.execing = int(fields[20]) > 0 and fields[48:49] == ["0"]

    @property
    def ended(self) -> bool:
        """True for a zombie: it has ended, and only waits to be asked for its status."""
        return self.state in "ZX"


def read_bytes(path: str) -> bytes | None:
    """What `read_text` reads. By system calls alone: a file object takes twice as long, every second of every job."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        data = block = os.read(descriptor, _BLOCK)
        while block:
            block = os.read(descriptor, _BLOCK)
            data += block
    except OSError:  # a process that has just ended, for one
        return None
    finally:
        os.close(descriptor)
    return data


def read_text(path: str) -> str | None:
    """The text of a file under /proc or /sys, None where it cannot be read (gone, not ours, not there at all)."""
    data = read_bytes(path)
    return None if data is None else data.decode("utf-8", "surrogateescape")


def stat(pid: int) -> Stat | None:
    """Who `pid` is now; None where there is no such process."""
    text = read_text(f"/proc/{pid}/stat")
    try:
        return Stat(text) if text else None
    except (ValueError, IndexError):
        return None


def boot_id() -> str | None:
    """The id of this boot (random(4)): it tells a pid of this boot from the same number before a reboot."""
    text = read_text("/proc/sys/kernel/random/boot_id")
    return text.strip() if text else None


def is_process(pid: int | None, start_ticks: int | None) -> bool:
    """True if `pid` is alive and is the process that started at `start_ticks`: a recycled number is not."""
    if pid is None or start_ticks is None:
        return False
    found = stat(pid)
    return found is not None and found.start_ticks == start_ticks and not found.ended


def send_signal(pid: int, start_ticks: int, number: int) -> bool:
    """Sends a signal to the process that is `pid` and started at `start_ticks`, and to no other; True if sent."""
    try:
        handle = os.pidfd_open(pid)
    except (OSError, OverflowError):  # the latter for a number that no pid can be
        return False
    try:
        # the handle stays with this process: if it is ours now, the number cannot become another's before the signal
        if not is_process(pid, start_ticks):
            return False
        _signal.pidfd_send_signal(handle, number)
        return True
    except OSError:
        return False
    finally:
        os.close(handle)


# what a process does on a signal
IGNORED, DEFAULT, OWN = "ignored", "default", "own"


def reaction(pid: int, number: int) -> str | None:
    """What `pid` would do on a signal; None if it is gone.

    Nothing (IGNORED), what the kernel does for it (DEFAULT, mostly to end it), or something of its own (OWN): it
    catches the signal, or blocks it, as those do that wait for it (sigwait(3)).
    """
    text = read_text(f"/proc/{pid}/status")
    if text is None:
        return None
    if number in (_signal.SIGKILL, _signal.SIGSTOP):
        return DEFAULT
    bit = 1 << (number - 1)
    masks = dict(line.split(":\t", 1) for line in text.splitlines() if line.startswith("Sig"))
    has = {name: bool(int(masks.get(name, "0"), 16) & bit) for name in ("SigIgn", "SigCgt", "SigBlk")}
    return IGNORED if has["SigIgn"] else OWN if has["SigCgt"] or has["SigBlk"] else DEFAULT


def last_pid() -> int | None:
    """The number of the process or thread that was created last (proc(5), loadavg); None where it cannot be read.

    The same number twice means that nothing was created meanwhile.
    """
    words = (read_text("/proc/loadavg") or "").split()
    return int(words[-1]) if words and words[-1].isdigit() else None


def all_pids() -> list[int]:
    """Every process, the newest first: of those that fork for ever and end, the newest is the one that still lives."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    last = last_pid() or 0
    # numbers are given out in turn, and start anew at the highest that there may be
    return sorted(pids, key=lambda pid: (pid > last, -pid))


def children(pid: int) -> list[int]:
    """The direct children of `pid`, zombies too, of all its threads."""
    found: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return found
    for thread in threads:
        text = read_text(f"/proc/{pid}/task/{thread}/children")
        if text is None and os.path.exists(f"/proc/{pid}/task/{thread}"):
            return _children_by_parent(pid)  # a kernel without CONFIG_PROC_CHILDREN
        found += [int(word) for word in (text or "").split()]
    return found


def _children_by_parent(pid: int) -> list[int]:
    stats = [stat(int(name)) for name in os.listdir("/proc") if name.isdigit()]
    return [found.pid for found in stats if found is not None and found.ppid == pid]


def tree(pid: int) -> list[Stat]:
    """Every process below `pid` that is alive, parents before their children, without those of other jobs.

    A job that is started from inside a job has a supervisor of its own and is none of the outer one's business.
    Processes may come and go meanwhile: what is killed on the ground of this list is listed again until it is empty.
    """
    found: list[Stat] = []
    seen = {pid}
    todo = children(pid)
    while todo:
        child = todo.pop(0)
        process = None if child in seen else stat(child)
        seen.add(child)
        if process is None or (process.session == process.pid and is_supervisor(child)):
            continue
        if not process.ended:
            found.append(process)
        todo += children(child)
    return found


def descendants(pid: int) -> list[int]:
    """The pids of `tree`."""
    return [process.pid for process in tree(pid)]


# how the command line of every supervisor ends, but for the request and the id
SUPERVISOR = "/gravscope/supervisor/__main__.py"


def is_supervisor(pid: int) -> bool:
    """True for the supervisor of a job, of whatever installation."""
    words = (read_text(f"/proc/{pid}/cmdline") or "").split("\0")
    return len(words) > 3 and words[1:3] == ["-I", "-S"] and words[3].endswith(SUPERVISOR)


def resident(pid: int) -> int:
    """Resident memory of `pid` in bytes, pages that it shares with others included; 0 once it has ended."""
    text = read_text(f"/proc/{pid}/statm")
    return int(text.split()[1]) * PAGE if text else 0


def highest_resident() -> int:
    """The most resident memory that this process ever had, in bytes (VmHWM); 0 where it cannot be read."""
    for line in (read_text("/proc/self/status") or "").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def proportional(pid: int) -> int:
    """Resident memory of `pid` in bytes, each shared page divided by the number of its users (Pss of smaps_rollup).

    Dearer than `resident`, and the right figure for a pool of forked workers. Falls back to `resident`.
    """
    for line in (read_text(f"/proc/{pid}/smaps_rollup") or "").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return resident(pid)
