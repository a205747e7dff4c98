"""The progress of a job, taken from the end of its log: `401/6000`, `42%`, `[stage] 3/9 | ETA=5m`, tqdm's bars.

Pure. No progress is better than a wrong one: a number may belong to a date, a path, a version, or a share of something
else. So a fraction or a percentage counts only in places where programs print their progress: at the beginning of a
line, after a label, in brackets, or after a word such as `epoch`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# Bytes at the end of a log that are read; characters of the longest line that is considered.
TAIL, LONGEST = 8192, 400


@dataclass(frozen=True)
class Progress:
    """The fraction that is done (0 to 1), the counts if there were any, the stage of the work, and the seconds left."""

    fraction: float
    done: int | None = None
    total: int | None = None
    stage: str | None = None
    eta: float | None = None

    @property
    def percent(self) -> int:
        """The percentage, rounded down: 100 means that all is done. The small addend keeps 0.29 at 29."""
        return int(100 * self.fraction + 1e-6)


_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
# What loggers put before a line: times, dates, levels.
_LOGGED = re.compile(
    r"(?:[\[(]?(?:\d{4}[-/]\d\d[-/]\d\d(?:[T ]\d\d:\d\d(?::\d\d)?)?|\d\d:\d\d:\d\d)"
    r"(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?(?:\]|\)|(?=\s))[ :|-]*)?"
    r"(?:[\[(]?\b(?:DEBUG|INFO|NOTICE|WARN(?:ING)?)\b[\])]?[ :|-]*)?"
)
_TAG = re.compile(r"\[(?P<stage>[^\[\]|]{1,40})\] *")
_COUNT = r"(?P<done>\d{1,15}) ?/ ?(?P<total>\d{1,15})"
_PERCENT = r"(?P<percent>\d{1,3}(?:\.\d{1,6})?) ?%"
_WORDS = (
    r"batch(?:es)?|chunks?|completed?|done|downloaded|downloading|epochs?|files?|finished|folds?|frames?|generation"
    r"|items?|iter(?:ations?)?|jobs?|pages?|parts?|phase|processed|processing|progress|rounds?|runs?|samples?|stage"
    r"|steps?|tasks?|trials?|units?|working"
)
# What may follow a count at the beginning of a line: nothing, a mark, or a measure. With a word it would be prose.
_THEN = r"(?= *(?:$|[|\[(;]|, |: |- (?!\d)|\.{2,}|[A-Za-z_]\w*[=:]|\d+(?:\.\d+)?%|eta\b))"
# With a time of day after it, it would be a date.
_NO_TIME = r"(?![ ,]*\d{1,2}:\d\d)"

_TQDM = re.compile(
    r"(?:(?P<stage>[^|%]{1,60}?): +)?(?P<percent>\d{1,3})%\|[^|]{0,300}\| *(?:(?P<done>\d{1,15})|[\d.]+[A-Za-z]*)"
    r"/(?:(?P<total>\d{1,15})|[\d.]+[A-Za-z]*) *\[[\d:]+<(?P<eta>[\d:?]+)"
)
_SHAPES = [
    re.compile(shape, re.IGNORECASE)
    for shape in (
        # alone, or at the beginning of a line with what may follow
        rf"{_COUNT}(?![\w/.]){_NO_TIME}{_THEN}",
        rf"{_PERCENT}(?=\s*(?:$|[|\[(;]|, |: |- (?!\d)|\.{{2,}}|[A-Za-z_]\w*[=:]|eta\b))",
        # in brackets, as ninja, cmake and yarn print it, whatever follows
        rf"[\[(] *{_COUNT} *[\])]",
        rf"[\[(] *{_PERCENT} *[\])]",
    )
]
_TAGGED = re.compile(rf"{_PERCENT}(?=\s|$)")
_NAMED = [
    re.compile(rf"(?:^|[\s\[(|])(?:{_WORDS})[\]):=#]{{0,2}} *[\[(]?{shape}", re.IGNORECASE)
    for shape in (rf"{_COUNT}(?![\w/.%]){_NO_TIME}", rf"{_PERCENT}(?! *(?:of|more|less)\b)")
]
_ANYWHERE = [
    re.compile(rf"(?:^|[\s(\[|])(?<![<>=~+-] ){_PERCENT} *(?:complete|completed|done|finished|processed)\b", re.I),
    # pytest's, at the end of a line
    re.compile(rf"\s\[ *{_PERCENT}\]$"),
]

_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_SPAN = (
    r"(?:(?:\d{1,4} ?d(?:ays?)?,? ?)?\d{1,4}(?::\d\d){1,2}"
    r"|(?:\d+(?:\.\d+)? ?(?:days?|d|hours?|hrs?|h|minutes?|mins?|m|seconds?|secs?|s)\b[ ,]*|\d+[dhm](?=\d)){1,4})"
)
_ETA = [
    re.compile(rf"\b(?:eta|remaining|time left)\b *[=:]? *[~≈]? *(?P<eta>{_SPAN})", re.IGNORECASE),
    re.compile(rf"(?<![\w.:])(?P<eta>{_SPAN}) *(?:left|remaining|to go)\b", re.IGNORECASE),
]
_PART = re.compile(r"(\d+(?:\.\d+)?) ?([dhms])[a-z]*", re.IGNORECASE)
_CLOCK = re.compile(r"\d+(?::\d\d){1,2}$")


def find(tail: bytes, age: float | None = None) -> Progress | None:
    """The progress in the last line of `tail` that shows any; None if no line does. If that line does not say how much
    time is left, it is estimated from `age`, the seconds that the job has run."""
    for line in reversed(re.split(r"[\r\n]+", tail[-TAIL:].decode("utf-8", "replace"))):
        if line and len(line) <= LONGEST and (found := of_line(line)) is not None:
            if found.eta is None and age is not None and found.fraction > 0:
                left = age * (1 - found.fraction) / found.fraction
                return Progress(found.fraction, found.done, found.total, found.stage, round(left, 1))
            return found
    return None


def of_line(line: str) -> Progress | None:
    """The progress that one line shows."""
    line = _ESCAPES.sub("", line).strip()
    if "%" not in line and "/" not in line:
        return None
    if (found := _TQDM.search(line)) is not None:
        stage = found["stage"]
        return _valid_progress(found, stage and stage.strip(), _seconds(found["eta"]))
    line = line[match.end() :] if (match := _LOGGED.match(line)) else line
    stage, rest = _label(line)
    shapes = [*_SHAPES, *([_TAGGED] if stage else [])]
    for found in [
        *(shape.match(rest) for shape in shapes),
        *(shape.search(rest) for shape in (*_NAMED, *_ANYWHERE)),
    ]:
        if found is not None and (made := _valid_progress(found, stage, _eta(rest))) is not None:
            return made
    return None


def _label(line: str) -> tuple[str | None, str]:
    """The last of the [tags] at the beginning of a line, and the text after them."""
    stage = None
    while (tag := _TAG.match(line)) and not any(shape.match(line) for shape in _SHAPES):
        stage, line = tag["stage"].strip() or None, line[tag.end() :]
    return stage, line


def _valid_progress(found: re.Match[str], stage: str | None, eta: float | None) -> Progress | None:
    """None for impossible numbers: more than all, or a total of 0."""
    groups = found.groupdict()
    if groups.get("done") and groups.get("total"):
        done, total = int(groups["done"]), int(groups["total"])
        return Progress(done / total, done, total, stage, eta) if 0 < total >= done else None
    percent = float(groups.get("percent") or 101)
    return Progress(round(percent / 100, 6), None, None, stage, eta) if percent <= 100 else None


def _eta(line: str) -> float | None:
    for shape in _ETA:
        if (found := shape.search(line)) is not None:
            return _seconds(found["eta"])
    return None


def _seconds(text: str) -> float | None:
    """The seconds in `35.5m`, `1h 2m`, `01:02`, `1:02:03`, `2d 01:02:03`; None for tqdm's ?."""
    whole = 0.0
    if (clock := _CLOCK.search(text)) is not None:
        for part in clock[0].split(":"):
            whole = 60 * whole + float(part)
        text = text[: clock.start()]
    elif not _PART.search(text):
        return None
    return whole + sum(float(number) * _UNITS[unit.lower()] for number, unit in _PART.findall(text))
