"""as_user.py HOME CMD [ARG...]: run CMD in the working directory as an ordinary user who owns a copy of it.

As root, as the first process of namespaces of its own: unshare --mount --pid --fork --kill-child --mount-proc. Only
they know the user, who finds the copy at the checkout's own path, with its virtual environment; whatever is started in
here ends with us. HOME is an empty folder for the user and the copy; whoever made it removes it afterwards, outside of
the namespaces: in here the checkout's own environment is mounted in it. The exit status is CMD's.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "private_manager"))
from leader import MS_BIND, MS_PRIVATE, MS_REC, Account, make_account, mount, open_paths  # noqa: E402 (needs the path)

USER = Account("gravtester", 64124, 64124)
NOT_COPIED = (".venv", "tmp", "server", "results", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache")
# names of sockets are short, so that no deeper folder will do
TMP = Path("/tmp")  # noqa: S108 (one of the user's own is mounted there)
NOT_THEIRS = ("XDG_", "DBUS_", "MAKE", "MFLAGS", "TMPDIR")


def copy_of(checkout: Path, home: Path) -> Path:
    """The user's own, in which the virtual environment is the checkout's."""
    copy = home / "checkout"
    shutil.copytree(checkout, copy, symlinks=True, ignore=shutil.ignore_patterns(*NOT_COPIED))
    (copy / ".venv").mkdir()
    subprocess.run(["chown", "-hR", f"{USER.uid}:{USER.gid}", str(home)], check=True)
    mount(str(checkout / ".venv"), copy / ".venv", flags=MS_BIND)
    return copy


def environment(home: Path) -> dict[str, str]:
    """Ours, with the user's own folders and no others."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(NOT_THEIRS)}
    own = {"HOME": home, "USER": USER.name, "LOGNAME": USER.name, "SHELL": "/bin/bash"}
    return {**kept, **{name: str(value) for name, value in own.items()}}


def status_of(argv: list[str], home: Path) -> int:
    """Runs it, without a terminal, and waits for every orphan meanwhile, as a first process has to."""
    words = ["setpriv", f"--reuid={USER.uid}", f"--regid={USER.gid}", "--clear-groups", "--no-new-privs", "--", *argv]
    child = subprocess.Popen(words, env=environment(home), stdin=subprocess.DEVNULL, start_new_session=True)
    while True:
        pid, status = os.wait()
        if pid == child.pid:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def main() -> int:
    """Run the command line."""
    checkout = Path.cwd()
    home = Path(sys.argv[1])
    (home / "tmp").mkdir()
    mount("none", Path("/"), flags=MS_REC | MS_PRIVATE)
    make_account(USER, home)
    copy = copy_of(checkout, home)
    mount(str(home / "tmp"), TMP, flags=MS_BIND)
    checkout.mkdir(parents=True, exist_ok=True)  # it may have been in /tmp itself
    mount(str(copy), checkout, flags=MS_BIND | MS_REC)
    python = [Path(sys.prefix), Path(sys.base_prefix), Path(sys.base_exec_prefix), Path(sys.executable)]
    open_paths([checkout, home, *python], USER.uid)
    os.chdir(checkout)  # what is there now
    return status_of(sys.argv[2:], home)


if __name__ == "__main__":
    sys.exit(main())
