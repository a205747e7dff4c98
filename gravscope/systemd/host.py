"""Runs this machine's tools, and finds out what it can do. No other module calls systemd's tools."""

from __future__ import annotations

import os
import pwd
import stat
import time
from collections.abc import Iterator, Mapping, Sequence

from gravscope.base.errors import UnsupportedError
from gravscope.base.immutable import Immutable
from gravscope.base.spawn import find_tool
from gravscope.linux import cgroup, proc
from gravscope.systemd import commands

# seconds that a manager may take to answer; under memory pressure it is slow, and when it hangs it never answers
PATIENCE = 30.0
# seconds, the longest time that poll(2) can wait; a longer wait, as for a long grace period, is cut to it
MAX_WAIT = 2**31 // 1000 - 1.0


class Completed(Immutable):
    """The result of a tool: its exit status (127 if it was not found, 124 if it took too long) and its output."""

    status: int
    out: str
    err: str

    @property
    def complaint(self) -> str | None:
        """None on success, else the reason of the failure in one line."""
        if self.status == 0:
            return None
        lines = [line.strip() for line in self.err.splitlines() if line.strip()]
        return f"exit status {self.status}" + (f": {lines[-1]}" if lines else "")


def given_environment() -> dict[str, str]:
    """Our environment as we were started with it.

    In a C locale Python adds LC_CTYPE=C.UTF-8 for itself and its children (PEP 538), which a job should not get. The
    kernel still has the original environment (/proc/PID/environ, proc(5)).
    """
    found = dict(os.environ)
    given = proc.read_text("/proc/self/environ")
    if given and not any(entry.startswith("LC_CTYPE=") for entry in given.split("\0")):
        found.pop("LC_CTYPE", None)
    return found


def call(argv: Sequence[str], environ: Mapping[str, str], patience: float = PATIENCE) -> Completed:
    """Runs a tool to its end. Does not raise if the tool fails, takes too long, or does not exist."""
    import subprocess  # noqa: PLC0415 (takes 9 ms, and most launches do not need it)

    try:
        done = subprocess.run(
            argv,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=min(patience, MAX_WAIT),
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Completed(124, "", f"{argv[0]} did not answer within {patience:g} s")
    except OSError as error:
        return Completed(127, "", f"{argv[0]}: {error.strerror}")
    return Completed(done.returncode, done.stdout, done.stderr)


def manager_environment(environ: Mapping[str, str], uid: int) -> dict[str, str]:
    """`environ` with the runtime folder and bus address of our own user manager, which are derived if they are unset.

    cron, ssh without PAM and sudo leave them unset; su leaves those of another user. Raises UnsupportedError, which
    says what is missing, if the manager cannot be reached.
    """
    if find_tool("systemd-run", environ) is None:
        raise UnsupportedError("systemd-run is not installed")
    given = environ.get("XDG_RUNTIME_DIR")
    folder = given if given and _owned(given, uid) else f"/run/user/{uid}"
    if not _owned(folder, uid):
        why = "is not there" if not os.path.isdir(folder) else "belongs to another user"  # noqa: PTH112 (hot path)
        raise UnsupportedError(f"no user manager: its folder {folder} {why}", "log in, or type: loginctl enable-linger")
    found = {**environ, "XDG_RUNTIME_DIR": folder}
    if not _address_is_ours(environ.get("DBUS_SESSION_BUS_ADDRESS"), folder, given):
        found["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={folder}/bus"
        if not _is_socket(f"{folder}/bus"):
            raise UnsupportedError(
                f"no user manager: there is no bus at {folder}/bus",
                "is dbus-user-session installed, and systemd running?",
            )
    return found


def delegated_controllers(environ: Mapping[str, str]) -> set[str] | None:
    """The cgroup controllers that are delegated to the user manager; None if that cannot be found out.

    By default io and cpuset are not among them (user@.service, Delegate=).
    """
    shown = call(commands.systemctl_own_cgroup(), environ)
    root = cgroup.mount_point()
    if shown.status != 0 or root is None:
        return None
    text = proc.read_text(f"{root}{shown.out.strip()}/cgroup.controllers")
    return None if text is None else set(text.split())


def linger_warning(uid: int) -> str | None:
    """The warning for a user without linger; None with linger, and if logind does not manage the user.

    Without linger logind stops the user's manager, and with it all its scopes, some seconds after the last logout
    (loginctl(1)).
    """
    if not os.path.exists(f"/run/systemd/users/{uid}"):  # noqa: PTH110 (hot path)
        return None
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        return None
    if os.path.exists(f"/var/lib/systemd/linger/{name}"):  # noqa: PTH110 (hot path)
        return None
    return "without linger this job ends soon after your last logout; to let it go on, type: loginctl enable-linger"


def _address_is_ours(address: str | None, folder: str, given: str | None) -> bool:
    """False if the bus address is unset, or belongs to a runtime folder that is not used because it is not ours."""
    if not address:
        return False
    return folder == given or not (given and given in address)


def _owned(folder: str, uid: int) -> bool:
    try:
        found = os.stat(folder)  # noqa: PTH116 (hot path)
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == uid


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)  # noqa: PTH116 (hot path)
    except OSError:
        return False


# how often /proc is scanned while no process of the job is found and new processes are started
MAX_SCANS = 40
# seconds that exec may take on a slow machine
EXEC_TIME = 0.2


def members(invocation_id: str | None) -> list[proc.Stat]:
    """Processes that were started with the job's invocation id in their environment, without zombies.

    This is the last resort to find a job whose supervisor is gone and that has no cgroup. /proc/PID/environ of other
    users' processes cannot be read. An empty list is as good as certain: a process that forks and ends again and again
    can escape one scan of /proc, so the scan is repeated if it found nothing and any process was forked during it. It
    is also repeated for a process that is in exec and has no environment yet.
    """
    if not invocation_id:
        return []
    scan = ProcessScan(invocation_id)
    for _ in range(MAX_SCANS):
        last = proc.last_pid()
        found = list(scan.new())
        if found or (not scan.in_exec and last is not None and proc.last_pid() == last):
            return found
        if scan.in_exec:
            time.sleep(EXEC_TIME / MAX_SCANS)
    return []


class ProcessScan:
    """Finds the same processes in repeated scans. No process is read twice, so later scans take a millisecond."""

    def __init__(self, invocation_id: str) -> None:
        self.wanted = f"GRAVSCOPE_INVOCATION_ID={invocation_id}"
        self.seen: set[int] = set()
        self.in_exec: set[int] = set()
        """Those that are just being exec'd, and have no environment yet."""

    def new(self) -> Iterator[proc.Stat]:
        """Processes of the job that were not there at the last call, the newest first."""
        pids = proc.all_pids()
        before, self.seen, self.in_exec = self.seen, set(pids), set()
        for pid in pids:
            environ = None if pid in before else proc.read_text(f"/proc/{pid}/environ")
            if environ is None or (environ and self.wanted not in environ.split("\0")):
                continue
            process = proc.stat(pid)
            if process is None or process.ended:
                continue
            if environ:
                yield process
            elif process.execing:
                self.in_exec.add(pid)
        self.seen -= self.in_exec
