"""First process of the private mount namespace: sets the stage, starts `systemd --user`, clears up.

Run by path, as root: `python -I leader.py PLAN`; what stands in the PLAN, `private_manager` says. It prints one line of
JSON when the manager answers (or why it cannot), then waits for the end of its standard input. Because that end also
comes when the tests are killed, nothing stays behind whatever becomes of them.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

CLONE_NEWNS = 0x20000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
PR_SET_CHILD_SUBREAPER = 36
READY_WITHIN, EMPTY_WITHIN = 30.0, 10.0
ENTER = 'echo $$ > "$0/cgroup.procs" && exec "$@"'

libc = ctypes.CDLL(None, use_errno=True)


class CannotError(Exception):
    """This machine cannot have a private user manager; the text says why."""


class Account(NamedTuple):
    """Whose manager it is to be."""

    name: str
    uid: int
    gid: int


def checked(result: int, what: str) -> None:
    """Turn a failed call into an error that names it."""
    if result != 0:
        raise CannotError(f"{what}: {os.strerror(ctypes.get_errno())}")


def mount(source: str, target: Path, fstype: str | None = None, flags: int = 0, data: str = "") -> None:
    """mount(2): mount(8) would resolve /proc/self/fd/N, which must reach a folder that is covered by now."""
    kind = fstype.encode() if fstype else None
    result = libc.mount(source.encode(), bytes(target), kind, ctypes.c_ulong(flags), data.encode())
    checked(result, f"mount on {target}")


def trail(path: Path) -> Iterator[Path]:
    """Every symbolic link passed on the way to path, and the real path at the end."""
    todo, here = list(path.parts[1:]), Path("/")
    while todo:
        part = todo.pop(0)
        if part == "..":
            here = here.parent
        elif (here / part).is_symlink():
            yield here / part
            target = (here / part).readlink()
            here = Path("/") if target.is_absolute() else here
            todo = [p for p in target.parts if p != "/"] + todo
        else:
            here = here / part
    yield here


def closed_folder(path: Path, uid: int) -> Path | None:
    """The topmost folder on the way to path that this user cannot enter (or, path itself, not list)."""
    for folder in [*reversed(path.parents), path]:
        info = folder.lstat()
        need = 0o5 if folder == path else 0o1
        if stat.S_ISDIR(info.st_mode) and info.st_uid != uid and info.st_mode & need != need:
            return folder
    return None


def put_back(source: str, target: Path) -> None:
    """Show source at target, a place in a fresh tmpfs."""
    if target.is_symlink() or target.exists():
        return  # shown already, by a folder above it
    target.parent.mkdir(parents=True, exist_ok=True)
    if Path(source).is_symlink():
        target.symlink_to(os.readlink(source))
        return
    if Path(source).is_dir():
        target.mkdir()
    else:
        target.touch()
    mount(source, target, flags=MS_BIND | MS_REC)


def cover(folder: Path, needed: list[Path]) -> None:
    """Replace folder by an open one in which only the needed paths stand."""
    held = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    inside = f"/proc/self/fd/{held}"
    wanted = [path for path in needed if path.is_relative_to(folder)]
    if folder in wanted:
        wanted = [folder / name for name in os.listdir(inside)]
    mount("tmpfs", folder, "tmpfs", data="mode=755")
    for path in sorted(wanted):
        put_back(f"{inside}/{path.relative_to(folder)}", path)
    os.close(held)


def open_paths(paths: list[Path], uid: int) -> None:
    """Let the user reach paths, in this mount namespace alone."""
    needed = sorted({step for path in paths for step in trail(path)})
    while closed := next(filter(None, (closed_folder(path, uid) for path in needed)), None):
        cover(closed, needed)


def cgroup2_mount() -> Path:
    """Where the unified cgroup hierarchy is mounted."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(where)
    raise CannotError("no cgroup2 mount")


def make_cgroup(uid: int, gid: int) -> Path:
    """A cgroup of this run's own, handed to the user, with a place for the manager and one for the tests."""
    try:
        top = Path(tempfile.mkdtemp(prefix="gravscope-test-", dir=cgroup2_mount()))
        for cgroup in (top, top / "manager", top / "tests"):
            cgroup.mkdir(exist_ok=True)
            for file in (cgroup, cgroup / "cgroup.procs", cgroup / "cgroup.subtree_control"):
                os.chown(file, uid, gid)
    except OSError as error:
        raise CannotError(f"cannot make a cgroup: {error}") from error
    return top


def remove_cgroup(top: Path) -> None:
    """Kill what runs in this run's own cgroup, and remove it."""
    deadline = time.monotonic() + EMPTY_WITHIN
    while top.exists() and time.monotonic() < deadline:
        folders = [Path(folder) for folder, _, _ in os.walk(top, topdown=False)]
        for folder in folders:
            with contextlib.suppress(OSError):
                for pid in (folder / "cgroup.procs").read_text().split():
                    os.kill(int(pid), signal.SIGKILL)
        for folder in folders:
            with contextlib.suppress(OSError):
                folder.rmdir()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.01)


def private_namespace(user: Account) -> Path:
    """Leave the machine's mount namespace; the new one seems to run systemd. Returns the runtime folder."""
    checked(libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "become the one who reaps the manager's children")
    checked(libc.unshare(CLONE_NEWNS), "unshare a mount namespace")
    mount("none", Path("/"), flags=MS_REC | MS_PRIVATE)
    for folder in (Path("/run/systemd"), Path("/run/user")):
        folder.mkdir(parents=True, exist_ok=True)
        mount("tmpfs", folder, "tmpfs", data="mode=755")
    Path("/run/systemd/system").mkdir()  # what sd_booted() looks for
    runtime = Path(f"/run/user/{user.uid}")
    runtime.mkdir(mode=0o700)
    os.chown(runtime, user.uid, user.gid)
    return runtime


def make_account(user: Account, home: Path) -> None:
    """Let this mount namespace alone know the user, should the machine not."""
    try:
        pwd.getpwuid(user.uid)
    except KeyError:
        add_line("/etc/passwd", f"{user.name}:x:{user.uid}:{user.gid}::{home}:/bin/sh", home)
        add_line("/etc/group", f"{user.name}:x:{user.gid}:", home)


def add_line(path: str, line: str, home: Path) -> None:
    """Cover a file by a copy that has another line."""
    copy = home / Path(path).name
    copy.write_text(f"{Path(path).read_text()}{line}\n")
    copy.chmod(0o644)
    mount(str(copy), Path(path).resolve(), flags=MS_BIND)
    copy.unlink()


def start_manager(user: Account, env: dict[str, str], cgroup: Path) -> None:
    """Start `systemd --user` in its cgroup and wait until it has reached its default target."""
    places = [Path("/usr/lib/systemd/systemd"), Path("/lib/systemd/systemd")]
    systemd = next((place for place in places if place.exists()), None)
    if systemd is None:
        raise CannotError("systemd is not installed")
    as_user = ["setpriv", f"--reuid={user.uid}", f"--regid={user.gid}", "--init-groups", "--"]
    manager = subprocess.Popen(
        ["sh", "-c", ENTER, str(cgroup / "manager"), *as_user, str(systemd), "--user", "--log-target=null"],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + READY_WITHIN
    bus = Path(env["XDG_RUNTIME_DIR"], "bus")
    ask = [*as_user, "systemctl", "--user", "is-system-running"]
    state = ""
    while state not in {"running", "degraded"} or not bus.exists():
        if manager.poll() is not None:
            raise CannotError(f"systemd --user ended with status {manager.returncode}")
        if time.monotonic() > deadline:
            raise CannotError("its bus did not come up (Debian has it in dbus-user-session)")
        time.sleep(0.02)
        state = subprocess.run(ask, env=env, capture_output=True, text=True, check=False).stdout.strip()


def serve(user: Account, home: Path, cgroup: Path, paths: list[Path]) -> None:
    """Set the stage, say that it is set, and hold it until standard input ends."""
    runtime = private_namespace(user)
    make_account(user, home)
    open_paths([*paths, home], user.uid)
    env = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(home),
        "USER": user.name,
        "LOGNAME": user.name,
        "XDG_RUNTIME_DIR": str(runtime),
    }
    start_manager(user, env, cgroup)
    print(json.dumps({"home": str(home), "cgroup": str(cgroup), "runtime_dir": str(runtime)}), flush=True)
    sys.stdin.read()


def main() -> int:
    """Do what the plan in the first argument says."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # standard input alone says when to end
    plan = json.loads(sys.argv[1])
    user = Account(plan["user"], plan["uid"], plan["gid"])
    home = Path(tempfile.mkdtemp(prefix="gravscope-home-"))
    cgroup: Path | None = None
    try:
        os.chown(home, user.uid, user.gid)
        cgroup = make_cgroup(user.uid, user.gid)
        serve(user, home, cgroup, [Path(path) for path in plan["open"]])
    except (CannotError, OSError) as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return 1
    finally:
        if cgroup:
            remove_cgroup(cgroup)
        shutil.rmtree(home, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
