"""Starts the fit of both models as a job, shows how far it is, and tells the result (needs gravscope alone)."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gravscope import Job
from gravscope.actions.look.status import progress_of
from gravscope.actions.look.wait import exit_status
from gravscope.base.quantity import format_duration, format_size
from gravscope.cli.called import to_type
from gravscope.cli.output import columns, cut, has_escapes, size
from gravscope.records.model import JobRecord
from gravscope.records.progress import Progress
from rep6.files import REPORT, InputError, read_json, result_path

TARGET = "rep6-ab-fast"
NAMES = {"ws": "WS", "phieta": "Φη"}
# the tags of the log's lines in their order, the share of the time that each stage takes, and what it does
STAGES = (
    ("rep6-ws-maps", 0.04, "model WS: maps of the light"),
    ("rep6-ws", 0.30, "model WS: permutation test"),
    ("rep6-phieta-maps", 0.20, "model Φη: maps of the light"),
    ("rep6-phieta", 0.38, "model Φη: permutation test"),
    ("report", 0.08, "the page"),
)
BAR = 30
# seconds between two looks, and the steps in which it is told where there is no terminal
LOOK_AGAIN, STEP = 0.2, 0.25


def main() -> int:
    """Runs the demo in the project that is the working directory. Returns the exit status, that of the job."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # a terminal without Greek is no reason to end
    gravscope = to_type(shlex.split(os.environ.get("GRAVSCOPE") or ".venv/bin/gravscope"))
    started = subprocess.run(
        [os.environ.get("MAKE", "make"), "--no-print-directory", f"{TARGET}-bg"],
        capture_output=True,  # at no terminal: how to follow the job is told when we do not do it ourselves any more
        text=True,
        check=False,
    )
    print(started.stderr, end="", file=sys.stderr, flush=True)
    if started.returncode != 0:
        return started.returncode
    job = Job(started.stdout.strip().splitlines()[-1])
    print(f"fitting two models to six galaxies, as the job {job.id}", flush=True)
    try:
        record = follow(job, Meter())
    except KeyboardInterrupt:
        print("\nthe job goes on. To follow it, or to end it, type:")
        print(f"  {gravscope} logs -f {job.id}\n  {gravscope} cancel {job.id}", flush=True)
        return 130
    return tell(record, Path.cwd(), gravscope)


def tell(record: JobRecord, root: Path, gravscope: str) -> int:
    """What came of it, and what to try next."""
    if record.state != "succeeded":
        print(f"{record.id}: {record.state}: {record.reason}\ntype: {gravscope} logs -n 20 {record.id}")
        return exit_status(record)
    try:
        results = {key: read_json(result_path(root, f"rep6_{key}", "fast"), "") for key in NAMES}
        print(f"\n{verdict(results)}")
    except (InputError, KeyError, TypeError) as error:
        print(f"the result cannot be read: {error}", file=sys.stderr)
        return 1
    page = link(root / REPORT, os.environ, terminal=has_escapes(sys.stdout))
    print(f"The page with tables and plots: {page}\n\nWhat to try next:")
    for line, what in (
        (f"{gravscope} show {record.id}", "what became of the job"),
        (f"{gravscope} run -n mine --mem-max 300M -- sleep 30", "a job of your own"),
        (f"{gravscope} status", "all jobs of this project"),
    ):
        print(f"  {line}    # {what}")
    return 0


def verdict(results: Mapping[str, Any]) -> str:
    """Which model fits better over all galaxies, by how much, and in how many of them."""
    galaxies = {key: [float(one["aicc"]) for one in result["galaxies"]] for key, result in results.items()}
    sums = {key: sum(values) for key, values in galaxies.items()}
    better, worse = sorted(sums, key=lambda key: sums[key])
    wins = sum(one < other for one, other in zip(galaxies[better], galaxies[worse], strict=True))
    count = len(galaxies[better])
    return (
        f"Over all {count} galaxies model {NAMES[better]} fits better than {NAMES[worse]}: its AICc is"
        f" {sums[worse] - sums[better]:.1f} lower ({sums[better]:.1f} against {sums[worse]:.1f}).\n"
        f"Taken one by one, {NAMES[better]} fits better in {wins} of them, and {NAMES[worse]} in {count - wins}.\n"
        "AICc: misfit and number of fitted parameters together; lower is better. (An example, no claim about gravity.)"
    )


# how far it is


def overall(found: Progress | None) -> tuple[float, str]:
    """How much of all the work is done, 0 to 1, by the last line of the log that tells it; and what is being done."""
    done = 0.0
    for place, (tag, share, what) in enumerate(STAGES):
        if found is not None and found.stage == tag:
            if found.fraction < 1:
                return done + share * found.fraction, what
            return done + share, STAGES[min(place + 1, len(STAGES) - 1)][2]
        done += share
    return 0.0, STAGES[0][2]


def follow(job: Job, meter: Meter) -> JobRecord:
    """Shows how far the job is until it has ended; its record then."""
    began = time.monotonic()
    while (record := job.record).live:
        meter.show(*overall(progress_of(record)), time.monotonic() - began)
        time.sleep(LOOK_AGAIN)
    if record.state == "succeeded":
        used = f", with at most {format_size(record.peak_memory)} of memory" if record.peak_memory else ""
        meter.show(1.0, f"done in {format_duration(record.duration)}{used}", None)
    meter.end()
    return record


class Meter:
    """A bar that is drawn in one place; where there is no terminal, a line for every quarter."""

    def __init__(self) -> None:
        self.in_place = has_escapes(sys.stdout)
        self.told = -1.0
        self.shown = False

    def show(self, fraction: float, what: str, elapsed: float | None) -> None:
        """Shows that `fraction` is done, in `elapsed` seconds; None at the end."""
        if self.in_place:
            print(f"\r{bar_line(fraction, what, elapsed, size()[0] - 1)}\x1b[K", end="", flush=True)
            self.shown = True
        elif fraction - self.told >= STEP or (elapsed is None and self.told < 1):
            self.told = fraction - fraction % STEP
            print(f"{int(100 * fraction):3}%  {what}", flush=True)

    def end(self) -> None:
        """What is printed next stands below."""
        if self.shown:
            print(flush=True)


def bar_line(fraction: float, what: str, elapsed: float | None, most: int) -> str:
    """The bar, the percentage, what is being done, and the time that is left by the pace so far; in `most` columns."""
    left = ""
    if elapsed is not None and fraction >= 0.1:
        seconds = round(elapsed * (1 - fraction) / fraction)
        left = f", {f'{seconds}s' if seconds < 60 else format_duration(seconds)} left" if seconds else ""
    full = int(BAR * fraction + 1e-6)
    line = f"[{'#' * full}{'.' * (BAR - full)}] {int(100 * fraction + 1e-6):3}%  {what}{left}"
    return line if columns(line) <= most else cut(line, max(1, most)).rstrip()


# links

# terminals that show a link where they are told of one by OSC 8, by what they put into the environment
LINKING_TERMS = ("xterm-kitty", "alacritty", "foot", "wezterm", "xterm-ghostty", "contour")
LINKING_PROGRAMS = ("iTerm.app", "WezTerm", "vscode", "ghostty", "Hyper", "rio", "Tabby")
LINKING_VARIABLES = ("WT_SESSION", "KONSOLE_VERSION", "KITTY_WINDOW_ID", "WEZTERM_PANE")


def link(path: Path, environ: Mapping[str, str], *, terminal: bool) -> str:
    """A file to be opened: a link where the terminal knows of such, its address at another, its path in a pipe."""
    if not terminal:
        return str(path)
    address = f"file://{quote(str(path))}"
    if not can_link(environ):
        return address
    return f"\x1b]8;;file://{os.uname().nodename}{quote(str(path))}\x1b\\{path}\x1b]8;;\x1b\\"


def can_link(environ: Mapping[str, str]) -> bool:
    """Whether the terminal is known to show links."""
    program, version = environ.get("TERM_PROGRAM", ""), environ.get("TERM_PROGRAM_VERSION", "")
    if program == "tmux" or "TMUX" in environ:
        return _numbers(version) >= (3, 4)
    vte = environ.get("VTE_VERSION", "")
    return (
        environ.get("TERM", "").startswith(LINKING_TERMS)
        or program in LINKING_PROGRAMS
        or any(environ.get(name) for name in LINKING_VARIABLES)
        or (vte.isdigit() and int(vte) >= 5000)
    )


def _numbers(version: str) -> Sequence[int]:
    parts = ["".join(filter(str.isdigit, part)) for part in version.split(".")]
    return tuple(int(part) for part in parts if part)
