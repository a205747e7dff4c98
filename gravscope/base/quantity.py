"""Converts sizes, durations and percentages between text and numbers.

Sizes are systemd's (systemd.resource-control(5)): a number with K, M, G, T, P or E to the base 1024, `50%` of the
machine's memory, or `infinity`. 6g, 6GB, 6GiB and "6 G" are the same as 6G; what may mean something else is refused:
6Gb (bits) and 15e (an exponent). Durations are systemd's too (systemd.time(7)), but for months and years.
"""

from __future__ import annotations

import os
import re

from gravscope.base.errors import UsageError
from gravscope.base.printable import quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final, Literal

    Size = int | Literal["infinity"]
else:  # `gravscope.records.model`, which reads records, defines it again
    Size = int | str
INFINITY: Final = "infinity"

_UNITS = {unit: 1024**power for power, unit in enumerate(["", "K", "M", "G", "T", "P", "E"])}
_SIZE = re.compile(
    r"(?P<number>\d+(?:\.\d+)?)(?: ?(?:(?P<unit>[KMGTPE])(?:iB?|B)?|(?P<small>[kmgtp])i?[bB]?)|B)?", re.ASCII
)
_PERCENT = re.compile(r"(?P<number>\d+(?:\.\d+)?)%", re.ASCII)
# cgroup limits are unsigned 64-bit numbers; for systemd and the kernel the largest one means "no limit"
_MAX_SIZE = 2**64 - 1
_MAX_DIGITS = 1000
# seconds; systemd counts microseconds in 64 bits, and a longer time would overflow there
_MAX_SECONDS = 10**12
# the range of CPUQuota= in percent: systemd counts hundredths of a percent in 31 bits
_MIN_PERCENT, _MAX_PERCENT = 0.01, 21_000_000.0

_SECONDS = {
    "us": 1e-6, "usec": 1e-6, "ms": 1e-3, "msec": 1e-3, "": 1,
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600),
    **dict.fromkeys(("d", "day", "days"), 86400),
    **dict.fromkeys(("w", "week", "weeks"), 604800),
}  # fmt: skip
# systemd.time(7) has M for months, and m for minutes
_MONTHS = re.compile(r"\d\s*M(?![A-Za-z])", re.ASCII)
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)\s*", re.ASCII)
_NUMBER = re.compile(r"\d+(?:\.\d+)?", re.ASCII)
_LAST_WITHOUT_UNIT = re.compile(r".*?([a-z]+)\s*\d+(?:\.\d+)?", re.ASCII)
_TASKS = re.compile(r"[0-9]{1,18}", re.ASCII)
_WEIGHT = re.compile(r"[0-9]{1,5}", re.ASCII)


def total_memory() -> int:
    """The machine's memory in bytes. Sizes in percent refer to it."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def parse_size(text: str, whole: int, option: str = "size") -> Size:
    """The size in `text` in bytes, or `infinity`; a percentage refers to `whole` (bytes, the machine's memory).

    Raises UsageError, which names `option`, for anything that is not a size and for sizes beyond 64 bits.
    """
    stripped = text.strip()
    if stripped == INFINITY:
        return INFINITY
    number: float
    if percent := _PERCENT.fullmatch(stripped):
        number = whole * float(percent["number"]) / 100
    elif size := _SIZE.fullmatch(stripped):
        # whole numbers stay exact: a float has only 53 bits; int() accepts only some thousand digits
        exact = "." not in size["number"] and len(size["number"]) <= _MAX_DIGITS
        unit = (size["unit"] or size["small"] or "").upper()
        number = (int(size["number"]) if exact else float(size["number"])) * _UNITS[unit]
    else:
        raise _not(f"{option}: {quoted(text)} is not a size", text, "6G, 512M, 50% or infinity", _is_size)
    if number >= _MAX_SIZE:
        raise UsageError(f"{option}: {quoted(text)} is more than any machine has", "write infinity for no limit")
    return int(number)


def parse_duration(text: str, option: str = "duration", *, needs_unit: bool = False) -> float | None:
    """The duration in `text` (`90`, `90s`, `1h30m`, `1.5h`) in seconds; None for `infinity`.

    Raises UsageError, which names `option`, for anything else. With `needs_unit` also for a number alone (but 0), for
    whoever means days by it.
    """
    stripped = text.strip().lower()
    if stripped == INFINITY:
        return None
    seconds = _sum_of_spans(stripped)
    if seconds is None or _MONTHS.search(text):
        raise _not(f"{option}: {quoted(text)} is not a duration", text, "90s, 10m, 1h30m or infinity", _is_duration)
    _refuse_without_unit(text, stripped, option, alone=needs_unit and seconds > 0)
    if seconds > _MAX_SECONDS:
        raise UsageError(f"{option}: {quoted(text)} is longer than any machine lasts", "write infinity for no end")
    return seconds


def _refuse_without_unit(text: str, stripped: str, option: str, *, alone: bool) -> None:
    """Raises UsageError for 1h30, which is 1h30s to systemd and 1h30m to most people; with `alone`, also for 30."""
    if found := _LAST_WITHOUT_UNIT.fullmatch(stripped):
        smaller = {"w": "d", "d": "h", "h": "m", "m": "s"}.get(found[1][0], "s")
        raise UsageError(
            f"{option}: the last number of {quoted(text)} has no unit",
            f"write it with one, such as {stripped}{smaller}",
            (text, f"{stripped}{smaller}"),
        )
    if alone and _NUMBER.fullmatch(stripped):
        raise UsageError(
            f"{option}: {quoted(text)} has no unit", f"write {stripped}d for days, {stripped}s for seconds"
        )


def _sum_of_spans(text: str) -> float | None:
    seconds, position = 0.0, 0
    while match := _SPAN.match(text, position):
        if match[2] not in _SECONDS:
            return None
        seconds += float(match[1]) * _SECONDS[match[2]]
        position = match.end()
    return seconds if 0 < position == len(text) else None


def parse_percent(text: str, option: str = "percentage") -> float:
    """The percentage in `text`: `150%` is 150.0. Raises UsageError, which names `option`, for anything else."""
    match = _PERCENT.fullmatch(text.strip())
    if match is None or float(match["number"]) == 0:
        complaint, examples = f"{option}: {quoted(text)} is not a percentage", "150% (one and a half cores)"
        raise _not(complaint, text, examples, _is_percent, cores=True)
    percent = float(match["number"])
    if not _MIN_PERCENT <= percent <= _MAX_PERCENT:
        raise UsageError(f"{option}: {quoted(text)} is out of range", f"from {_MIN_PERCENT}% to {_MAX_PERCENT:.0f}%")
    return percent


def parse_tasks(text: str, option: str = "tasks") -> Size:
    """A number of processes and threads, or `infinity`. Raises UsageError, which names `option`, for anything else."""
    if text == INFINITY:
        return INFINITY
    if _TASKS.fullmatch(text) is None or int(text) < 2:
        raise UsageError(f"{option}: {quoted(text)} is not a number of tasks", "give at least 2, or infinity")
    return int(text)


def parse_weight(text: str, option: str = "weight") -> int:
    """A weight as in systemd, 1 to 10000. Raises UsageError, which names `option`, for anything else."""
    if _WEIGHT.fullmatch(text) is None or not 1 <= int(text) <= 10000:
        raise UsageError(f"{option}: {quoted(text)} is not a weight", "give 1 to 10000; 100 is usual")
    return int(text)


def _not(complaint: str, text: str, examples: str, fits: Callable[[str], bool], *, cores: bool = False) -> UsageError:
    """The error for what is no quantity, with how it is to be written: as it seems to be meant, if that can be told."""
    from gravscope.base.words import spelled  # noqa: PLC0415 (only for this message)

    found = spelled(text, fits, cores=cores) if len(text) <= _MAX_DIGITS else None
    return UsageError(complaint, f"write it as {found or examples}", (text, found) if found else None)


def _is_size(text: str) -> bool:
    return text == INFINITY or _SIZE.fullmatch(text) is not None or _PERCENT.fullmatch(text) is not None


def _is_percent(text: str) -> bool:
    found = _PERCENT.fullmatch(text)
    return found is not None and _MIN_PERCENT <= float(found["number"]) <= _MAX_PERCENT


def _is_duration(text: str) -> bool:
    return text == INFINITY or (_sum_of_spans(text) is not None and not _MONTHS.search(text))


def format_size(size: Size | None) -> str:
    """`size` (bytes) in at most five characters, to the base 1024: 512M, 1.5G; `infinity` as ∞, unknown as -."""
    if size is None:
        return "-"
    if size == INFINITY:
        return "∞"
    amount, units = float(size), list("BKMGTPE")
    while amount >= 999.5 and len(units) > 1:
        amount /= 1024
        units.pop(0)
    unit = units[0]
    digits = 1 if amount < 9.95 and unit != "B" and amount != int(amount) else 0
    return f"{amount:.{digits}f}{unit}"


def format_duration(seconds: float | None) -> str:
    """`seconds` in at most six characters, with the two largest units: 4.2s, 12m05s, 3h20m, 12d04h; days only from 100
    days on; unknown as -."""
    if seconds is None:
        return "-"
    seconds = max(0.0, seconds)  # a duration is never negative, even if the wall clock was set back
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole >= 100 * 86400:
        return f"{whole // 86400}d"
    for size, large, small in [(86400, "d", "h"), (3600, "h", "m"), (60, "m", "s")]:
        if whole >= size:
            part = {"d": 3600, "h": 60, "m": 1}[large]
            return f"{whole // size}{large}{whole % size // part:02d}{small}"
    return f"{whole}s"
