"""A user manager that tests can run commands beside: the user's own where there is one, else a private one.

Standard library only. `connect()` is the way in; what it gives is described at `UserManager`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pwd
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

# an account that only the manager's mount namespace knows, under a number that no account has: nothing stays
TEST_USER, TEST_UID = "gravtester", 64124
TOOLS = ("nsenter", "setpriv", "systemctl", "systemd-run")
START_WITHIN, STOP_WITHIN = 60.0, 20.0
CHECKOUT = Path(__file__).resolve().parents[2]
LEADER = Path(__file__).resolve().with_name("leader.py")
# Passed on to commands as they are; everything else in the tests' environment stays out.
KEPT = ("LANG", "LC_ALL", "TERM", "TZ", "PYTHONDONTWRITEBYTECODE")

# Root's own may hold folders that the user cannot enter: there a missing command would be a forbidden one.
PATH = f"{sys.prefix}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Unavailable(Exception):
    """No user manager can be had here; the text says why."""


@dataclasses.dataclass(frozen=True)
class UserManager:
    """A user manager that answers, and the way to run commands beside it as its ordinary user.

    `home` is a fresh folder of the user's for this run, HOME of every command; the tests can read it too.
    `cgroup_root` is the manager's own cgroup, under which all its units stand.
    """

    user: str
    uid: int
    home: Path
    runtime_dir: Path
    cgroup_root: Path
    private: bool
    path: str
    prefix: tuple[str, ...] = ()
    bus_env: bool = True

    def without_bus_env(self) -> UserManager:
        """The same manager, for commands that see neither XDG_RUNTIME_DIR nor DBUS_SESSION_BUS_ADDRESS."""
        return dataclasses.replace(self, bus_env=False)

    def environment(self, extra: Mapping[str, str | None] | None = None) -> dict[str, str]:
        """What a command sees: a small fixed environment, then `extra`, where None unsets a variable."""
        env: dict[str, str | None] = {name: os.environ[name] for name in KEPT if name in os.environ}
        env |= {"HOME": str(self.home), "USER": self.user, "LOGNAME": self.user, "SHELL": "/bin/sh"}
        env["PATH"] = self.path
        if self.bus_env:
            env["XDG_RUNTIME_DIR"] = str(self.runtime_dir)
            env["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={self.runtime_dir}/bus"
        env |= extra or {}
        return {name: value for name, value in env.items() if value is not None}

    def _argv(self, argv: Sequence[str | Path], cwd: str | Path | None) -> list[str]:
        return [*self.prefix, "env", f"--chdir={cwd or self.home}", "--", *map(str, argv)]

    def run(
        self,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str | None] | None = None,
        cwd: str | Path | None = None,
        input: str | None = None,
        timeout: float = 60,
        **options: Any,  # noqa: ANN401 - whatever else subprocess.run takes
    ) -> subprocess.CompletedProcess[str]:
        """Run argv to its end as the user (in `home` unless cwd says otherwise), capturing output as text."""
        if not {"stdout", "stderr", "capture_output"} & options.keys():
            options["capture_output"] = True
        if input is None:
            options.setdefault("stdin", subprocess.DEVNULL)
        else:
            options["input"] = input
        settings = {"text": True, "check": False, "timeout": timeout} | options
        return subprocess.run(self._argv(argv, cwd), env=self.environment(env), **settings)  # noqa: PLW1510

    def popen(
        self,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str | None] | None = None,
        cwd: str | Path | None = None,
        **options: Any,  # noqa: ANN401 - whatever else subprocess.Popen takes
    ) -> subprocess.Popen[str]:
        """Start argv as the user; the pid is the command's own, since every step of the way in is an exec."""
        settings = {"text": True} | options
        return subprocess.Popen(self._argv(argv, cwd), env=self.environment(env), **settings)

    def new_folder(self, name: str = "work") -> Path:
        """A fresh folder of the user's: pytest's tmp_path belongs to whoever runs pytest, who may be root."""
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.home))
        os.chown(folder, self.uid, -1)
        return folder

    def cgroup_of(self, unit: str) -> Path:
        """The cgroup folder of a unit that runs."""
        shown = self.run(["systemctl", "--user", "show", "-P", "ControlGroup", unit])
        return cgroup2_mount() / shown.stdout.strip().lstrip("/")


def cgroup2_mount() -> Path:
    """Where the unified cgroup hierarchy is mounted."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(where)
    raise Unavailable("no cgroup2 mount")


@contextlib.contextmanager
def own_manager() -> Iterator[UserManager]:
    """The manager that the current user already has."""
    me = pwd.getpwuid(os.getuid())
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{me.pw_uid}")
    env = os.environ | {"XDG_RUNTIME_DIR": str(runtime)}
    ask = ["systemctl", "--user", "show", "-P", "ControlGroup"]
    try:
        asked = subprocess.run(ask, env=env, capture_output=True, text=True, timeout=10, check=False)
    except FileNotFoundError:
        raise Unavailable("systemctl is not installed") from None
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"no user manager of {me.pw_name}'s own: {error}") from error
    if asked.returncode != 0:
        raise Unavailable(f"no user manager of {me.pw_name}'s own: {asked.stderr.strip()}")
    with tempfile.TemporaryDirectory(prefix="gravscope-home-", ignore_cleanup_errors=True) as home:
        cgroup = cgroup2_mount() / asked.stdout.strip().lstrip("/")
        path = os.environ.get("PATH", os.defpath)
        yield UserManager(me.pw_name, me.pw_uid, Path(home), runtime, cgroup, private=False, path=path)


def account_of(name: str) -> tuple[int, int]:
    """Its numbers; those of an account that is only made in the namespace, where the machine has none of that name."""
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        return TEST_UID, TEST_UID
    return found.pw_uid, found.pw_gid


def paths_to_open() -> list[str]:
    """What a command of the tests must be able to read: this Python, its packages and the checkout."""
    return [str(CHECKOUT), sys.prefix, sys.base_prefix, sys.base_exec_prefix, sys.executable]


def first_line(leader: subprocess.Popen[str]) -> dict[str, str]:
    """What the leader says once the manager answers; why it cannot, otherwise."""
    assert leader.stdout is not None
    if not select.select([leader.stdout], [], [], START_WITHIN)[0]:
        raise Unavailable(f"the private user manager did not start within {START_WITHIN:.0f} s")
    line = leader.stdout.readline()
    said: dict[str, str] = json.loads(line) if line else {"error": "its leader died"}
    if "error" in said:
        raise Unavailable(f"no private user manager: {said['error']}")
    return said


@contextlib.contextmanager
def private_manager(name: str = TEST_USER, extra_paths: Sequence[str | Path] = ()) -> Iterator[UserManager]:
    """A `systemd --user` for an ordinary user in a mount namespace and a cgroup of its own; needs root."""
    if os.geteuid() != 0:
        raise Unavailable("a private one needs root; type: sudo make test")
    if missing := [tool for tool in TOOLS if not shutil.which(tool)]:
        raise Unavailable(f"a private user manager needs {', '.join(missing)}")
    uid, gid = account_of(name)
    plan = json.dumps({"user": name, "uid": uid, "gid": gid, "open": [*paths_to_open(), *map(str, extra_paths)]})
    leader = subprocess.Popen(
        [sys.executable, "-I", "-S", str(LEADER), plan],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C in the tests' terminal must not reach the one that clears up
    )
    try:
        said = first_line(leader)
        cgroup = Path(said["cgroup"])
        enter = ("sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', str(cgroup / "tests"))
        drop = ("setpriv", f"--reuid={uid}", f"--regid={gid}", "--init-groups", "--")
        prefix = ("nsenter", f"--mount=/proc/{leader.pid}/ns/mnt", "--", *enter, *drop)
        home, runtime, own = Path(said["home"]), Path(said["runtime_dir"]), cgroup / "manager"
        yield UserManager(name, uid, home, runtime, own, private=True, path=PATH, prefix=prefix)
    finally:
        stop(leader)


def stop(leader: subprocess.Popen[str]) -> None:
    """Have the leader clear up, and wait for it."""
    assert leader.stdin is not None and leader.stdout is not None
    leader.stdin.close()
    try:
        leader.wait(STOP_WITHIN)
    except subprocess.TimeoutExpired:
        leader.kill()
        leader.wait()
        raise
    finally:
        leader.stdout.close()


@contextlib.contextmanager
def connect() -> Iterator[UserManager]:
    """The user's own manager where it answers, else a private one, else `Unavailable` with both reasons."""
    with contextlib.ExitStack() as stack:
        try:
            manager = stack.enter_context(own_manager())
        except Unavailable as first:
            try:
                manager = stack.enter_context(private_manager())
            except Unavailable as second:
                raise Unavailable(f"{first}; {second}") from second
        yield manager
