"""What differs from one hour to the next, replaced by what does not: ids, times, process ids, memory, paths."""

from __future__ import annotations

import re
from collections.abc import Mapping

# what stands in for them; figures are N, since every other number on a screen is what was asked for
DAY, CLOCK = "20260101", "2026-01-01 09:00:00"
COLUMNS = 100
DURATION = r"(?:\d+[dhm])?\d+(?:\.\d)?[dhms]"
SIZE = r"\d+(?:\.\d)?[BKMGT]"
_FIGURES = (
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", CLOCK),
    (rf"\b(after|runs for) {DURATION}(?=[\s,:]|$)", r"\1 N.Ns"),
    (r"(?<=after N\.Ns) on \S+", " on host"),
    (r"\bgravscope([- ])\d+\.\d+\.\w+", r"gravscope\1N.N.N"),
    (rf"\bpeak memory {SIZE}", "peak memory NM"),
    (rf"\bCPU {DURATION}", "CPU N.Ns"),
    (rf"\buses {SIZE} of memory", "uses NM of memory"),
    (rf"(\bits peak of|\(peak) {SIZE}", r"\1 NNM"),
    (r"\basked for by \S+ \(pid", "asked for by you (pid"),
    (rf"\b{DURATION} left\b", "N.Ns left"),
    (rf"^ *{SIZE}(?=  \S+_{DAY})", " N.NK"),
    (rf"\bfree(d?) {SIZE} \(\d+ bytes\)", r"free\1 N.NK (NNNN bytes)"),
)
_ID = re.compile(r"\b([A-Za-z]\w*?)_\d{8}_\d{6}(?:_\d+)?\b")
_PROCESS = re.compile(r"\b(pid|process group|supervisor) (\d+)\b")
_HEAD = re.compile(r"NAME +STATE +MEMORY +TIME +(?:DONE/)?EXIT +ID")
_ROW = re.compile(
    rf"(\S+) +(\S+(?: \S+)?) +(-|\S+/\S+) +(?:([#.]{{5}}) +)?({DURATION}|-) +(\S+(?: {DURATION})?) +(\S+_{DAY}_\d{{6}})"
)


class Mask:
    """One for a whole hour: the same job, or process, is the same on every screen."""

    def __init__(self, names: Mapping[str, str]) -> None:
        # longer ones first: they may begin with a shorter one
        self.names = sorted(names.items(), key=lambda item: -len(item[0]))
        self.ids: dict[str, str] = {}
        self.processes: dict[str, str] = {}

    def __call__(self, screen: str) -> str:
        """A screen, whose lines are not yet wrapped, as it would look every time; wrapped as the terminal does it."""
        for name, shown in self.names:
            screen = screen.replace(name, shown)
        screen = _ID.sub(self._id, screen)
        screen = _PROCESS.sub(self._process, screen)
        for pattern, shown in _FIGURES:
            screen = re.sub(pattern, shown, screen, flags=re.MULTILINE)
        lines = _tables([line.rstrip() for line in screen.rstrip().splitlines()])
        return "\n".join(part for line in lines for part in wrapped(line)) + "\n"

    def _id(self, found: re.Match[str]) -> str:
        number = f"_{DAY}_09{len(self.ids) + 1:02}00"
        return self.ids.setdefault(found[0], found[1] + number)

    def _process(self, found: re.Match[str]) -> str:
        return f"{found[1]} {self.processes.setdefault(found[2], str(1001 + len(self.processes)))}"


def wrapped(line: str) -> list[str]:
    """A line as a terminal shows it."""
    return [line[at : at + COLUMNS] for at in range(0, len(line), COLUMNS)] or [""]


def _tables(lines: list[str]) -> list[str]:
    """What `gravscope status` printed, with columns as wide as what is in them now."""
    done: list[str] = []
    rows: list[list[str]] = []
    for line in [*lines, ""]:
        if _HEAD.fullmatch(line):
            name, state, memory, *others = line.split()
            rows.append([name, state, memory, "", *others])
        elif rows and (found := _ROW.fullmatch(line)):
            rows.append(_masked(*found.groups(default="")))
        else:
            done += [*_laid_out(rows), line]
            rows = []
    return done[:-1]


def _masked(name: str, state: str, memory: str, bar: str, time: str, code: str, job: str) -> list[str]:  # noqa: PLR0917
    """A row of that table. Of its bar no more is kept than whether the limit was near."""
    bar = bar and ("#####" if bar.startswith("####") else "##...")
    time = time if time == "-" else "N.Ns"
    return [name, state, re.sub(rf"^{SIZE}/", "NM/", memory), bar, time, re.sub(rf" {DURATION}$", " N.Ns", code), job]


def _laid_out(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [" ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
