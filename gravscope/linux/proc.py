"""Reads and parses /proc: the identity of a process, its state, its descendants, its memory.

Imports nothing larger than `os`, because the supervisor uses it, and what it imports stays in memory as long as a job
runs. See proc(5) for every field.
"""

from __future__ import annotations

import _signal
import os

PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")
# PF_FORKNOEXEC in the kernel's include/linux/sched.h, to which proc(5) refers for the meaning of `flags`: the process
# was forked and has not called exec since. A zombie keeps the flag.
FORKNOEXEC = 0x40
_BLOCK = 1 << 16


class Stat:
    """The fields of /proc/PID/stat that gravscope uses; `start_ticks` counts clock ticks since boot.

    `execing` is true while the process is in exec, and also for processes whose memory we may not inspect.
    """

    __slots__ = ("cpu_ticks", "execed", "execing", "pgid", "pid", "ppid", "session", "start_ticks", "state")

    def __init__(self, text: str) -> None:
        # the command name is in parentheses and may itself contain spaces and parentheses
        left, _, right = text.rpartition(")")
        fields = right.split()
        self.pid = int(left.partition(" ")[0])
        self.state = fields[0]
        self.ppid = int(fields[1])
        self.pgid = int(fields[2])
        self.session = int(fields[3])
        self.execed = not int(fields[6]) & FORKNOEXEC
        # utime, stime, cutime, cstime
        self.cpu_ticks = sum(int(field) for field in fields[11:15])
        self.start_ticks = int(fields[19])
        # it has memory (vsize), but its environment has no address yet (env_end)
        self.execing = int(fields[20]) > 0 and fields[48:49] == ["0"]

    @property
    def ended(self) -> bool:
        """True for a zombie: the process has ended and has not been waited for."""
        return self.state in "ZX"


def read_bytes(path: str) -> bytes | None:
    """Like `read_text`, but bytes. Uses system calls only: a file object takes twice as long, and this is called every
    second for every job."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        data = block = os.read(descriptor, _BLOCK)
        while block:
            block = os.read(descriptor, _BLOCK)
            data += block
    except OSError:  # for example, the process has just ended
        return None
    finally:
        os.close(descriptor)
    return data


def read_text(path: str) -> str | None:
    """The text of a file under /proc or /sys; None if it cannot be read (it is gone, not ours, or never existed)."""
    data = read_bytes(path)
    return None if data is None else data.decode("utf-8", "surrogateescape")


def stat(pid: int) -> Stat | None:
    """/proc/PID/stat of process `pid`; None if there is no such process."""
    text = read_text(f"/proc/{pid}/stat")
    try:
        return Stat(text) if text else None
    except (ValueError, IndexError):
        return None


def boot_id() -> str | None:
    """The id of this boot (random(4)). It distinguishes a pid of this boot from the same number before a reboot."""
    text = read_text("/proc/sys/kernel/random/boot_id")
    return text.strip() if text else None


def is_process(pid: int | None, start_ticks: int | None) -> bool:
    """True if `pid` is alive and started at `start_ticks`. False if the pid has been reused for another process."""
    if pid is None or start_ticks is None:
        return False
    found = stat(pid)
    return found is not None and found.start_ticks == start_ticks and not found.ended


def send_signal(pid: int, start_ticks: int, number: int) -> bool:
    """Sends a signal to the process `pid` that started at `start_ticks`, and to no other. True if it was sent."""
    try:
        handle = os.pidfd_open(pid)
    except (OSError, OverflowError):  # OverflowError: the number is too large for a pid
        return False
    try:
        # the pidfd refers to one process for ever: if that is the right one, the signal cannot reach another
        if not is_process(pid, start_ticks):
            return False
        _signal.pidfd_send_signal(handle, number)
        return True
    except OSError:
        return False
    finally:
        os.close(handle)


# what a process does when it gets a signal
IGNORED, DEFAULT, HANDLED = "ignored", "default", "handled"


def disposition(pid: int, number: int) -> str | None:
    """What `pid` would do on a signal; None if it has ended.

    IGNORED: nothing. DEFAULT: the kernel's default action, mostly termination. HANDLED: it catches the signal, or
    blocks it, as processes do that wait for it with sigwait(3).
    """
    text = read_text(f"/proc/{pid}/status")
    if text is None:
        return None
    if number in (_signal.SIGKILL, _signal.SIGSTOP):
        return DEFAULT
    bit = 1 << (number - 1)
    masks = dict(line.split(":\t", 1) for line in text.splitlines() if line.startswith("Sig"))
    has = {name: bool(int(masks.get(name, "0"), 16) & bit) for name in ("SigIgn", "SigCgt", "SigBlk")}
    return IGNORED if has["SigIgn"] else HANDLED if has["SigCgt"] or has["SigBlk"] else DEFAULT


def last_pid() -> int | None:
    """The number of the process or thread that was created last (proc(5), loadavg); None where it cannot be read.

    The same number in two calls means that nothing was created between them.
    """
    words = (read_text("/proc/loadavg") or "").split()
    return int(words[-1]) if words and words[-1].isdigit() else None


def all_pids() -> list[int]:
    """Every pid, the newest first: where a process forks and ends again and again, the newest is the one alive."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    last = last_pid() or 0
    # pids are assigned in ascending order, and start again at a low number after the highest one
    return sorted(pids, key=lambda pid: (pid > last, -pid))


def children(pid: int) -> list[int]:
    """The children of `pid` and all its threads, including zombies."""
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
    """Every descendant of `pid` that is alive, parents before their children, without the processes of other jobs.

    A job that is started inside a job has a supervisor of its own and does not belong to the outer job. Processes may
    start and end while the list is made: to kill them all, list and kill again until the list is empty.
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


# the end of the path of the program in every supervisor's command line
SUPERVISOR = "/gravscope/supervisor/__main__.py"


def is_supervisor(pid: int) -> bool:
    """True if `pid` is a supervisor, whichever installation of gravscope it belongs to."""
    words = (read_text(f"/proc/{pid}/cmdline") or "").split("\0")
    return len(words) > 3 and words[1:3] == ["-I", "-S"] and words[3].endswith(SUPERVISOR)


def resident(pid: int) -> int:
    """Resident memory of `pid` in bytes, including pages that it shares with others; 0 if it has ended."""
    text = read_text(f"/proc/{pid}/statm")
    return int(text.split()[1]) * PAGE if text else 0


def peak_resident() -> int:
    """The most resident memory that this process ever had, in bytes (VmHWM); 0 where it cannot be read."""
    for line in (read_text("/proc/self/status") or "").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def proportional(pid: int) -> int:
    """Resident memory of `pid` in bytes, each shared page divided by the number of its users (Pss of smaps_rollup).

    Slower than `resident`, and more accurate for a pool of forked workers. Falls back to `resident`.
    """
    for line in (read_text(f"/proc/{pid}/smaps_rollup") or "").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return resident(pid)
