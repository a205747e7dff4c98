"""Command-line options that the scripts share, and how a script ends (standard library only)."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from rep6.files import DATA_DIR, ROOT, InputError

# FAST is for trying things out. FULL is meant to be heavy: minutes of work, and a gigabyte or so per worker.
DEFAULTS = {
    "fast": {"grid": 512, "permutations": 1_000_000, "chunk": 2_000},
    "full": {"grid": 2048, "permutations": 20_000_000, "chunk": 50_000},
}
GRID_MIN, GRID_MAX = 32, 8192
# Each worker needs memory of its own, so more processors than this are used only when asked for.
WORKERS_MAX = 4
SEED = 20160916


class WorkerError(Exception):
    """A worker process died before it had answered."""


def finish(program: str, work: Callable[[], None]) -> int:
    """Run work and return the exit status: 0, or 2 for wrong input and 1 for a dead worker, each told in one line."""
    try:
        work()
    except InputError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 2
    except WorkerError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 1
    return 0


def whole_number(minimum: int, maximum: int = 10**12) -> Callable[[str], int]:
    """An argparse type: an integer from minimum to maximum."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"not a whole number: {text!r}") from None
        if not minimum <= value <= maximum:
            raise argparse.ArgumentTypeError(f"{value} is not between {minimum} and {maximum}")
        return value

    return parse


def base_parser(description: str, *, modes: bool = True) -> argparse.ArgumentParser:
    """A parser with --root and --out, and with --fast/--full unless the script has no modes."""
    parser = argparse.ArgumentParser(description=description)
    if modes:
        mode = parser.add_mutually_exclusive_group()
        mode.add_argument("--fast", dest="mode", action="store_const", const="fast", help="small and quick (default)")
        mode.add_argument("--full", dest="mode", action="store_const", const="full", help="minutes, gigabytes")
        parser.set_defaults(mode="fast")
    parser.add_argument("--root", type=Path, default=ROOT, metavar="DIR", help="write below DIR, not the repository")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the result to FILE")
    return parser


def add_computing(parser: argparse.ArgumentParser) -> None:
    """Add --data, --grid and --workers, which every script that computes fields has."""
    parser.add_argument("--data", type=Path, default=DATA_DIR, metavar="DIR", help="folder of *_rotmod.dat files")
    parser.add_argument(
        "--grid", type=whole_number(GRID_MIN, GRID_MAX), metavar="N", help="pixels along each side of the light map"
    )
    parser.add_argument(
        "--workers",
        type=whole_number(1, 1024),
        default=min(WORKERS_MAX, len(os.sched_getaffinity(0))),
        metavar="N",
        help="worker processes; 1 computes in this process (default: %(default)s)",
    )


def add_permutations(parser: argparse.ArgumentParser) -> None:
    """Add the options of the permutation test."""
    parser.add_argument("--permutations", type=whole_number(0), metavar="N", help="draws per galaxy; 0 leaves it out")
    parser.add_argument("--chunk", type=whole_number(1), metavar="N", help="draws a worker holds in memory at once")
    parser.add_argument("--seed", type=whole_number(0), default=SEED, metavar="N", help="default: %(default)s")


def fill_defaults(options: argparse.Namespace) -> None:
    """Give the options that depend on the mode their values, and make the map's side even (its centre is a pixel)."""
    for name, value in DEFAULTS[options.mode].items():
        if getattr(options, name, 0) is None:
            setattr(options, name, value)
    options.grid += options.grid % 2
