"""The guest seen from the host: what it needs, how it starts, how it ends. Standard library only."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
# What must be there, and the Debian package that has it.
NEEDED = {
    "/usr/bin/linux.uml": "user-mode-linux",
    "/sbin/insmod": "kmod",
    "/usr/lib/systemd/systemd": "systemd",
    "/usr/lib/systemd/user/dbus.socket": "dbus-user-session",
    "/usr/share/pam-configs/systemd": "libpam-systemd",
}
XSTATE = HERE / "xstate.c"
INSTALL = ["apt-get", "install", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=120"]
NEEDED_FOR_XSTATE = {"/usr/bin/gcc": "gcc", "/usr/include/stdlib.h": "libc6-dev"}
# Ends the guest when standard input ends, be it that we close it or that we have died. User-mode Linux has one
# process on the host for each of the guest's, and makes its first one the leader of a process group of them all.
GUARD = """
exec 3<&0
"$@" </dev/null &
guest=$!
(read -r _ <&3; kill -s KILL -- $guest -$guest) 2>/dev/null &
watch=$!
wait $guest
kill -s KILL -- -$guest $watch 2>/dev/null
"""
END_WITHIN = 20.0
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class Unavailable(Exception):
    """This machine cannot run the guest; the text says why, and what would help."""


def install_what_is_missing() -> None:
    """Install the packages that the guest needs, if we may."""
    missing = [package for path, package in NEEDED.items() if not Path(path).exists()]
    if has_amx():
        missing += [package for path, package in NEEDED_FOR_XSTATE.items() if not Path(path).exists()]
    if not missing:
        return
    command = [*INSTALL, *missing]
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Unavailable(f"needs the guest machine; type: sudo apt-get install {' '.join(missing)}")
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for step in (command, ["apt-get", "update"], command):
        done = subprocess.run(step, env=env, capture_output=True, text=True, check=False)
        if step is command and done.returncode == 0:
            return
    raise Unavailable(f"{shlex.join(command)} failed: {done.stderr.strip()[-500:]}")


def has_amx() -> bool:
    """Does this processor have more floating point state than the guest's kernel may know (see xstate.c)?"""
    return " amx_tile" in Path("/proc/cpuinfo").read_text()


def build_xstate(folder: Path) -> Path:
    """The library that makes up for that."""
    library = folder / "xstate.so"
    command = ["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", str(library), str(XSTATE), "-ldl"]
    subprocess.run(command, check=True)
    return library


def size_in_bytes(size: str) -> int:
    """'400M' as a number."""
    return int(size[:-1]) * UNITS[size[-1].upper()]


def memory_folder(mem: str) -> str:
    """Where the guest's memory lies on the host: in /dev/shm where that is large enough, since a disk is slow."""
    with contextlib.suppress(OSError):
        if shutil.disk_usage("/dev/shm").free > size_in_bytes(mem) * 5 // 4:
            return "/dev/shm"
    return tempfile.gettempdir()


def links(path: Path) -> list[Path]:
    """A path and what it links to, step by step."""
    found = [path]
    while found[-1].is_symlink():
        found.append(found[-1].parent / found[-1].readlink())
    return found


def closed_folders() -> list[str]:
    """The folders on the way to this Python and to the checkout that an ordinary user cannot enter."""
    starts = [CHECKOUT, Path(sys.prefix), Path(sys.base_prefix), *links(Path(sys.executable))]
    ways = {way for start in starts for path in (start, start.resolve()) for way in (path, *path.parents)}
    return sorted(str(way) for way in ways if way.is_dir() and way.stat().st_mode & 0o5 != 0o5)


class Guest:
    """A machine that boots at once, does its work (see `inside`) and powers itself off.

    `folder` is shared with it: what it is told (settings, files) and what it leaves (console.txt, journal.txt,
    status, and more by mode). Whoever starts a guest calls `stop`, and `forget` if the folder has no more use.
    """

    def __init__(self, mode: str, mem: str, settings: Mapping[str, str], files: Mapping[str, str]) -> None:
        install_what_is_missing()
        self.folder = Path(tempfile.mkdtemp(prefix="gravscope-guest-"))
        basic = {"mode": mode, "inside": str(HERE / "inside"), "checkout": str(CHECKOUT)}
        basic |= {"opened": " ".join(closed_folders()), "term": os.environ.get("TERM", "dumb")}
        lines = [f"{name}={shlex.quote(value)}\n" for name, value in (basic | dict(settings)).items()]
        for name, text in {"settings": "".join(lines), **files}.items():
            (self.folder / name).write_text(text)
        self.mem = mem
        self.preload = {"LD_PRELOAD": str(build_xstate(self.folder))} if has_amx() else {}
        self.process = self._start(terminal=mode == "shell")

    def _command(self, *consoles: str) -> list[str]:
        share = f"share={self.folder}"
        root = ["rootfstype=hostfs", "rootflags=/", "ro", f"init={HERE / 'init'}", share]
        boot = ["quiet", "systemd.unified_cgroup_hierarchy=1"]
        own = [f"mem={self.mem}", f"uml_dir={self.folder}/", "umid=guest"]
        return ["linux.uml", *own, *root, *boot, *consoles]

    def _start(self, terminal: bool) -> subprocess.Popen[bytes]:
        env = os.environ | {"TMPDIR": memory_folder(self.mem)} | self.preload
        if terminal:
            return subprocess.Popen(self._command("loglevel=1", "con0=fd:0,fd:1", "con=null", "ssl=null"), env=env)
        with (self.folder / "console.txt").open("ab") as console, (self.folder / "out.txt").open("ab") as out:
            consoles = ["con0=fd:0,fd:1", "con=null", f"ssl0=null,fd:{out.fileno()}", "ssl=null"]
            return subprocess.Popen(
                ["sh", "-c", GUARD, "sh", *self._command(*consoles)],
                env=env,
                stdin=subprocess.PIPE,
                stdout=console,
                stderr=console,
                pass_fds=[out.fileno()],
                start_new_session=True,
            )

    def text(self, name: str) -> str:
        """What stands in a file of the shared folder by now."""
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / name).read_text(errors="replace")
        return ""

    def status(self) -> int | None:
        """How its work ended; None while it goes on, or when the guest died over it."""
        said = self.text("status").strip()
        return int(said) if said else None

    def over(self) -> bool:
        """Has it done its work, or died?"""
        return self.status() is not None or self.process.poll() is not None

    def stop(self) -> None:
        """End it, whatever it does; once its work is over there is nothing to save."""
        if self.process.stdin:
            self.process.stdin.close()
        elif self.process.poll() is None:  # on the terminal: no guard
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(END_WITHIN)

    def forget(self) -> None:
        """Remove its folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
