"""`make crash-matrix`: prints the table, and what was wrong in words; exit status 1 if anything was."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import os
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.crash.launch import build_shim
from tests.crash.matrix import Hit, Verdict, measure, plan, table
from tests.private_manager.manager import Unavailable, connect
from tests.support import REPOSITORY

ENDINGS = ("release", "cancel")


def hits_for(shim: Path, options: argparse.Namespace) -> list[Hit]:
    """Every step, or every so-manieth, each with both endings or with one in turn; then the random moments."""
    steps = plan(shim, options.launcher)[options.seed % options.every :: options.every]
    endings = itertools.cycle(ENDINGS)
    if options.both:
        hits = [dataclasses.replace(hit, ending=ending) for hit in steps for ending in ENDINGS]
    else:
        # a command that is cancelled does not come to its last steps
        hits = [dataclasses.replace(hit, ending="release" if hit.role == "command" else next(endings)) for hit in steps]
    dice = random.Random(options.seed)  # noqa: S311 (to be repeatable)
    moments = [dice.getrandbits(32) for _ in range(options.random)]
    return hits + [Hit("random", "any", at, "at a random moment", next(endings)) for at in moments]


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="make crash-matrix", description=__doc__)
    parser.add_argument("--launcher", choices=["session", "scope"], default="session")
    parser.add_argument("--random", type=int, default=500, help="random moments on top (500)")
    parser.add_argument("--seed", type=int, default=1, help="of the random moments (1)")
    parser.add_argument("--every", type=int, default=1, help="only every so-manieth step (1)")
    parser.add_argument("--both", action="store_true", help="each step twice: left to its own end, and cancelled")
    parser.add_argument("--json", action="store_true", help="the verdicts instead of the table")
    return parser.parse_args(words)


def beside_a_manager(words: Sequence[str]) -> int:
    """This very program again, beside a user manager, as its user. Raises Unavailable where there is none."""
    with connect() as manager:
        env = {"PYTHONPATH": str(REPOSITORY), "TMPDIR": str(manager.new_folder()), "CRASH_MATRIX_INSIDE": "1"}
        argv = [sys.executable, "-m", "tests.crash", *words]
        return manager.run(argv, env=env, cwd=REPOSITORY, timeout=3600, stdout=None, stderr=None).returncode


def report(verdicts: list[Verdict], options: argparse.Namespace) -> int:
    """Prints what was seen."""
    bad = [verdict for verdict in verdicts if verdict.wrong or verdict.orphans]
    if options.json:
        print(json.dumps([dataclasses.asdict(verdict) for verdict in verdicts]))
        return bool(bad)
    print(f"launcher {options.launcher}, seed {options.seed}\n\n{table(verdicts)}")
    for verdict in bad:
        print(f"{verdict.hit}: {verdict.wrong}, {verdict.orphans} orphans", file=sys.stderr)
    return bool(bad)


def main() -> int:
    """Measures and prints."""
    options = parse()
    if options.launcher == "scope" and "CRASH_MATRIX_INSIDE" not in os.environ:
        try:
            return beside_a_manager(sys.argv[1:])
        except Unavailable as reason:
            print(f"crash-matrix: {reason}", file=sys.stderr)
            return 5
    with tempfile.TemporaryDirectory(prefix="gravscope-crash-") as folder:
        Path(folder).chmod(0o755)
        shim = build_shim(Path(folder))
        return report(measure(shim, options.launcher, hits_for(shim, options)), options)


if __name__ == "__main__":
    sys.exit(main())
