"""`make bench`: prints the table and where the time goes, as Markdown; a goal that is missed is no failure."""

from __future__ import annotations

import argparse
import compileall
import contextlib
import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.bench.inside import PARTS
from tests.bench.lab import GRAVSCOPE, SIZES
from tests.bench.machine import REPOSITORY, facts, is_busy
from tests.bench.report import document
from tests.private_manager.manager import Unavailable, UserManager, connect

# the disk's own folder for what is to stay a while (file-hierarchy(7)); /tmp may be memory
DISK = Path("/var/tmp")
# seconds that a run which is interrupted may take to end its jobs
TO_END = 60


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_const", dest="sizes", const="quick", default="full", help="a minute")
    parser.add_argument("--tiny", action="store_const", dest="sizes", const="tiny", help="everything once, for tests")
    parser.add_argument("--seconds", type=float, help="for the rounds of all loops together (180; quick: 40)")
    parser.add_argument("--only", action="append", metavar="WORD", help="only the parts that have this in their title")
    parser.add_argument("--json", type=Path, help="a file for every single sample")
    parser.add_argument("--dir", type=Path, default=DISK, help=f"where records, logs and output go ({DISK})")
    options = parser.parse_args(words)
    titles = [title for title, _, _ in PARTS]
    for word in options.only or []:
        if not any(word in title for title in titles):
            parser.error(f"--only {word}: the parts are: {', '.join(titles)}")
    try:
        if options.json:
            options.json.touch()  # and not find out after five minutes
    except OSError as error:
        parser.error(f"--json {options.json}: {error.strerror}")
    return options


@contextlib.contextmanager
def beside_a_manager() -> Iterator[tuple[UserManager, str]]:
    """A user manager, or the user without one and the reason."""
    with contextlib.ExitStack() as stack:
        try:
            yield stack.enter_context(connect()), ""
        except Unavailable as reason:
            me = pwd.getpwuid(os.getuid())
            nowhere, path = Path("/nonexistent"), os.environ.get("PATH", os.defpath)
            user = UserManager(me.pw_name, me.pw_uid, Path(me.pw_dir), nowhere, nowhere, False, path, bus_env=False)
            yield user, str(reason)


def measured(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """What the measuring process finds, as the user of the manager that it is beside."""
    with beside_a_manager() as (manager, reason):
        shutil.chown(folder, manager.uid)
        plan = {
            "folder": str(folder),
            "sizes": options.sizes,
            "seconds": SIZES[options.sizes].seconds if options.seconds is None else options.seconds,
            "only": options.only or [""],
            "scopes": reason,
            "memory": "memory" in controllers(manager),
        }
        measuring = manager.popen(
            [sys.executable, "-m", "tests.bench.inside", json.dumps(plan)],
            cwd=REPOSITORY,
            env={"PYTHONDONTWRITEBYTECODE": None},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        try:
            said, _ = measuring.communicate()
        except KeyboardInterrupt:
            measuring.wait(TO_END)  # the terminal has told it, too: it ends its jobs
            raise
        if measuring.returncode != 0:
            raise SystemExit(f"bench: the measuring ended with {measuring.returncode}")
        found: dict[str, Any] = json.loads(said)
        return found


def controllers(manager: UserManager) -> list[str]:
    """Those that the manager may hand to its units."""
    with contextlib.suppress(OSError):
        return (manager.cgroup_root / "cgroup.controllers").read_text().split()
    return []


def main() -> int:
    """Measures and prints. Exit status 1 if something that is here could not be measured."""
    options = parse()
    if not Path(GRAVSCOPE).exists():
        print(f"bench: there is no {GRAVSCOPE}; type: make setup", file=sys.stderr)
        return 5
    if is_busy(load := os.getloadavg()[0]):
        print(f"bench: load {load:.2f}: others are at work, no figures for the documents", file=sys.stderr)
    compileall.compile_dir(REPOSITORY / "gravscope", quiet=2)  # warm byte code, which the manager's user cannot write
    folder = Path(tempfile.mkdtemp(prefix="gravscope-bench-", dir=options.dir))
    try:
        machine = {"command": " ".join(["python -m tests.bench", *sys.argv[1:]]), **facts(folder)}
        return tell(machine, measured(folder, options), options)
    except KeyboardInterrupt:
        return 130
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def tell(machine: dict[str, str], found: dict[str, Any], options: argparse.Namespace) -> int:
    """Prints what was found, and keeps its samples; the exit status."""
    found |= {"machine": machine, "name": options.sizes, "sizes": SIZES[options.sizes].shown()}
    print(document(found), flush=True)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    for key, error in found["broken"].items():
        print(f"bench: {key}: {error}", file=sys.stderr)
    return bool(found["broken"])


if __name__ == "__main__":
    sys.exit(main())
