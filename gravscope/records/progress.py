"""How far a job is, by the last lines that it has written: `401/6000`, `42%`, `[stage] 3/9 | ETA=5m`, tqdm's bars.

Pure. A number that only looks like it is worse than none: a date, a path, a version, a share of something else. So a
fraction or a percentage counts where programs that tell their progress have it (at the beginning of a line, behind a
label of theirs, in brackets, behind a word such as `epoch`), and nowhere else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# bytes of the end of a log that are looked at, and characters of a line that may be such a line
TAIL, LONGEST = 8192, 400


@dataclass(frozen=True)
class Progress:
    """How much is done, 0 to 1; the counts, if there were such; which stage of the work that is; seconds to its end."""

    fraction: float
    done: int | None = None
    total: int | None = None
    stage: str | None = None
    eta: float | None = None

    @property
    def percent(self) -> int:
        """Rounded down, for what is not done is not done; but 0.29 is 29."""
        return int(100 * self.fraction + 1e-6)


_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
# what loggers put before a line: times, dates, levels
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
# what may follow a count at the beginning of a line: nothing, a mark, a measure; a word would make it prose
_THEN = r"(?= *(?:$|[|\[(;]|, |: |- (?!\d)|\.{2,}|[A-Za-z_]\w*[=:]|\d+(?:\.\d+)?%|eta\b))"
# a time of day behind it would make it a date
_NO_TIME = r"(?![ ,]*\d{1,2}:\d\d)"

_TQDM = re.compile(
    r"(?:(?P<stage>[^|%]{1,60}?): +)?(?P<percent>\d{1,3})%\|[^|]{0,300}\| *(?:(?P<done>\d{1,15})|[\d.]+[A-Za-z]*)"
    r"/(?:(?P<total>\d{1,15})|[\d.]+[A-Za-z]*) *\[[\d:]+<(?P<eta>[\d:?]+)"
)
_SHAPES = [
    re.compile(shape, re.IGNORECASE)
    for shape in (
        # alone, or at the beginning with what may follow
        rf"{_COUNT}(?![\w/.]){_NO_TIME}{_THEN}",
        rf"{_PERCENT}(?=\s*(?:$|[|\[(;]|, |: |- (?!\d)|\.{{2,}}|[A-Za-z_]\w*[=:]|eta\b))",
        # in brackets, as ninja, cmake and yarn have it: whatever follows
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
    # pytest's, at the end
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
    """What the last line of `tail` says that tells it; None if none does. Where it does not say how long it will take,
    that is reckoned from `age`, the seconds that the job has taken so far."""
    for line in reversed(re.split(r"[\r\n]+", tail[-TAIL:].decode("utf-8", "replace"))):
        if line and len(line) <= LONGEST and (found := of_line(line)) is not None:
            if found.eta is None and age is not None and found.fraction > 0:
                left = age * (1 - found.fraction) / found.fraction
                return Progress(found.fraction, found.done, found.total, found.stage, round(left, 1))
            return found
    return None


def of_line(line: str) -> Progress | None:
    """What one line says."""
    line = _ESCAPES.sub("", line).strip()
    if "%" not in line and "/" not in line:
        return None
    if (found := _TQDM.search(line)) is not None:
        stage = found["stage"]
        return _made(found, stage and stage.strip(), _seconds(found["eta"]))
    line = line[match.end() :] if (match := _LOGGED.match(line)) else line
    stage, rest = _label(line)
    shapes = [*_SHAPES, *([_TAGGED] if stage else [])]
    for found in [
        *(shape.match(rest) for shape in shapes),
        *(shape.search(rest) for shape in (*_NAMED, *_ANYWHERE)),
    ]:
        if found is not None and (made := _made(found, stage, _eta(rest))) is not None:
            return made
    return None


def _label(line: str) -> tuple[str | None, str]:
    """The last of the [tags] that a line begins with, and what follows them."""
    stage = None
    while (tag := _TAG.match(line)) and not any(shape.match(line) for shape in _SHAPES):
        stage, line = tag["stage"].strip() or None, line[tag.end() :]
    return stage, line


def _made(found: re.Match[str], stage: str | None, eta: float | None) -> Progress | None:
    """None for numbers that cannot be: more than all of it, or all of nothing."""
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
    """`35.5m`, `1h 2m`, `01:02`, `1:02:03`, `2d 01:02:03`; None for tqdm's ?."""
    whole = 0.0
    if (clock := _CLOCK.search(text)) is not None:
        for part in clock[0].split(":"):
            whole = 60 * whole + float(part)
        text = text[: clock.start()]
    elif not _PART.search(text):
        return None
    return whole + sum(float(number) * _UNITS[unit.lower()] for number, unit in _PART.findall(text))
