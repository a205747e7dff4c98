"""What tests need besides Python, declared where it is used: `@pytest.mark.needs("tmux", "root")` at a test,
`@needing("tmux")` below `@pytest.fixture` at a fixture.

A test whose need is not met is skipped before it begins, with a reason that ends in what to type. As a program it
prints the Debian packages that are missing (`scripts/setup_test.sh`).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, TypeVar

F = TypeVar("F", bound=Callable[..., Any])
PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
# tools that are called by name, and the Debian package of each
TOOLS = {
    "btrfs": "btrfs-progs", "fish": "fish", "gcc": "gcc", "jq": "jq",
    "less": "less", "mandoc": "mandoc", "mkfs.btrfs": "btrfs-progs", "mkfs.ext4": "e2fsprogs", "mkfs.xfs": "xfsprogs",
    "ps": "procps", "systemd-analyze": "systemd", "systemd-escape": "systemd", "tmux": "tmux",
    "vim": "vim-tiny", "zsh": "zsh",
}  # fmt: skip
# what user managers, the guest and the build of pystemd take as well
OTHERS = {
    "pkg-config": "pkg-config",
    "linux.uml": "user-mode-linux",
    "insmod": "kmod",
    "systemd-run": "systemd",
    "dbus-daemon": "dbus-user-session",
}
FILES = {"/usr/share/pam-configs/systemd": "libpam-systemd", "/usr/lib/systemd/user/dbus.socket": "dbus-user-session"}
NAMESPACES = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]


class Thing(NamedTuple):
    """Something that is no tool: why it is not to be had here, or None; and what it is, for `pytest --markers`."""

    lacking: Callable[[], str | None]
    what: str


def _root() -> str | None:
    return None if os.geteuid() == 0 else "needs root; type: sudo make test"


def _mount() -> str | None:
    """Root in a container may not have it: tried out, in namespaces that end at once."""
    if os.geteuid() != 0:
        return _root()
    done = subprocess.run(NAMESPACES, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    return "needs the right to mount and to make namespaces; in a container: docker run --privileged"


def _private() -> str | None:
    """Tried out: nothing else tells whether a manager comes up."""
    if (reason := _mount()) is not None:
        return reason
    from tests.private_manager.manager import Unavailable, private_manager  # noqa: PLC0415 (this is a program, too)

    try:
        with private_manager():
            return None
    except Unavailable as why:
        return f"needs a private user manager: {why}"


def _pystemd() -> str | None:
    done = subprocess.run([sys.executable, "-c", "import pystemd.dbuslib"], capture_output=True, check=False)
    return f"needs pystemd; type: {sys.executable} -m pip install pystemd" if done.returncode else None


def _asked_for_later() -> str | None:
    return None


THINGS = {
    "root": Thing(_root, "to be root"),
    "mount": Thing(_mount, "to be root with the right to mount and to make namespaces"),
    "private": Thing(_private, "a systemd user manager of the tests' own: root, cgroup2, the right to mount"),
    "pystemd": Thing(_pystemd, "the Python package pystemd"),
    "manager": Thing(_asked_for_later, "a systemd user manager, one's own or as root a private one"),
    "guest": Thing(_asked_for_later, "the guest machine in user-mode Linux"),
    "index": Thing(_asked_for_later, "a Python package index, mostly over the network"),
}


def marker_of(thing: str) -> str:
    """The marker by which tests that need it are chosen: pytest -m 'not needs_tmux'."""
    return "needs_" + re.sub(r"\W", "_", thing)


def markers() -> dict[str, str]:
    """Every such marker, and what it says of a test."""
    found = {marker_of(name): thing.what for name, thing in THINGS.items()}
    return found | {marker_of(tool): f"{tool}, of Debian's {package}" for tool, package in TOOLS.items()}


@cache
def lacking(thing: str) -> str | None:
    """Why this machine does not have it, in words that end in what to type; None where it has."""
    if thing in THINGS:
        return THINGS[thing].lacking()
    if found(thing) is not None:
        return None
    return f"needs {thing}; type: sudo apt-get install {TOOLS[thing]}"


def found(tool: str) -> str | None:
    """Where a tool is."""
    # Debian's smallest vim has no other name, and can do all that is asked for here
    names = ("vim.tiny", "vim") if tool == "vim" else (tool,)
    return next((path for name in names if (path := shutil.which(name, path=PATH))), None)


def needing(*things: str) -> Callable[[F], F]:
    """Declares for a fixture what every test with it needs."""

    def declare(function: F) -> F:
        function.needs = things  # type: ignore[attr-defined]
        return function

    return declare


# what the test that is being run has declared; None while none is
declared: set[str] | None = None


def need(*things: str) -> None:
    """Said by helpers that use a thing: fails where the test has not declared it, on every machine alike, so that no
    declaration is forgotten, and what is chosen by these markers is chosen right."""
    undeclared = set(things) - (things_known() if declared is None else declared)
    assert not undeclared, f"declare it: @pytest.mark.needs({', '.join(map(repr, sorted(undeclared)))})"


def things_known() -> set[str]:
    """Everything that can be needed."""
    return {*THINGS, *TOOLS}


def leave_out(reason: str) -> NoReturn:
    """Skips a test for something that is only found out when it is asked for."""
    import pytest  # noqa: PLC0415 (this file is a program, too)

    pytest.skip(reason)


def missing_packages() -> list[str]:
    """The Debian packages that have what is missing."""
    found_missing = {package for tool, package in {**TOOLS, **OTHERS}.items() if found(tool) is None}
    found_missing |= {package for path, package in FILES.items() if not Path(path).exists()}
    found_missing |= set(_headers(Path(sysconfig.get_path("include"))))
    return sorted(found_missing)


def _headers(python: Path) -> Iterable[str]:
    """Headers come apart from what they belong to: the C library, Debian's Python, and libsystemd for pystemd."""
    if not Path("/usr/include/stdlib.h").exists():
        yield "libc6-dev"
    if python.is_relative_to("/usr/include") and not (python / "Python.h").exists():
        yield "python3-dev"
    if _pystemd() and not Path("/usr/include/systemd/sd-bus.h").exists():
        yield "libsystemd-dev"


if __name__ == "__main__":
    print(*missing_packages())
