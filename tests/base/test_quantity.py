"""Sizes, durations and percentages: what is accepted, what is refused, and how many characters are shown."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gravscope.base.errors import UsageError
from gravscope.base.quantity import (
    INFINITY,
    format_duration,
    format_size,
    parse_duration,
    parse_percent,
    parse_size,
    parse_tasks,
    parse_weight,
    total_memory,
)

GIB = 2**30
LARGEST = 2**64 - 2
UNITS = ["", "K", "M", "G", "T", "P", "E"]
# text that is similar to a quantity, so that much of the parser runs
ALIKE = st.text(st.sampled_from("0123456789.%KMGTPEBsmhdw infty-+e²٣\0"), max_size=12)
PARSERS = (parse_duration, parse_percent, parse_tasks, parse_weight)
GARBAGE = st.one_of(st.text(max_size=30), ALIKE, st.integers(300, 6000).map(lambda count: "9" * count))


@pytest.mark.parametrize(
    ("text", "bytes_"),
    [
        ("0", 0),
        ("1", 1),
        ("1B", 1),
        ("1K", 1024),
        ("1KB", 1024),
        *((text, 6 * GIB) for text in ("6g", "6GB", "6gb", "6gB", "6GiB", "6gib", "6Gi", "6 G", "6 GiB", "6 g")),
        ("1.5m", 3 * 2**19),
        ("6G", 6 * GIB),
        (" 512M ", 512 * 2**20),
        ("1.5G", 3 * 2**29),
        ("0.5K", 512),
        ("2T", 2 * 2**40),
        ("3P", 3 * 2**50),
        ("15E", 15 * 2**60),
        ("50%", 8 * GIB),
        ("12.5%", 2 * GIB),
        ("100%", 16 * GIB),
        ("0%", 0),
        ("infinity", INFINITY),
        ("9007199254740993", 2**53 + 1),
        (str(LARGEST), LARGEST),
        ("0" * 5000 + "7", 7),
    ],
)
def test_sizes_are_systemds(text: str, bytes_: int | str) -> None:
    """Base 1024, percent of the machine's memory, infinity; whole numbers are exact where a float would not be."""
    assert parse_size(text, 16 * GIB) == bytes_


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "G", "6Gb", "6Gib", "15e", "6iB", "6  G", "1b", "-1", "+1", "1e9", "1.", ".5", "6GG",
        "∞", "inf", "nan", "0x10", "1_000",
        "%", "²", "٣", "max", "None", "50%%", "1,5G", "16E", "18446744073709551615", "9" * 400, "9" * 5000,
        "9" * 400 + "%", "9" * 400 + ".0", "9" * 400 + "E",
    ],
)  # fmt: skip
def test_what_is_no_size_is_refused_by_its_option(text: str) -> None:
    """Anything else, and a size beyond 64 bits, raises a UsageError that names the option."""
    with pytest.raises(UsageError, match=r"^--mem-max: "):
        parse_size(text, 16 * GIB, "--mem-max")


@pytest.mark.parametrize(
    ("parse", "typed", "said"),
    [
        (parse_duration, "1:30:00", "write it as 1h30m"), (parse_duration, "10M", "write it as 10m"),
        (parse_duration, "never", "write it as infinity"), (parse_duration, "５ｍ", "write it as 5m"),
        (parse_duration, "1h30", "write it with one, such as 1h30m"),
        (parse_duration, "2d 12", "write it with one, such as 2d 12h"),
        (parse_duration, "5m30", "write it with one, such as 5m30s"),
        (parse_duration, "30s5", "write it with one, such as 30s5s"),
        (parse_duration, "soon", "write it as 90s, 10m, 1h30m or infinity"),
        (parse_duration, "9" * 400 + "x", "write it as 90s, 10m, 1h30m or infinity"),
        (parse_percent, "150", "write it as 150%"), (parse_percent, "2", "write it as 200%"),
        (parse_percent, "2 cores", "write it as 200%"), (parse_percent, "x", "write it as 150% (one and a half cores)"),
    ],
)  # fmt: skip
def test_what_was_meant_is_said(parse: Callable[[str], object], typed: str, said: str) -> None:
    """Where it can be guessed, the message ends with how to write it; else with examples, and in no time."""
    with pytest.raises(UsageError) as raised:
        parse(typed)
    assert raised.value.hint == said


@pytest.mark.parametrize(
    ("typed", "said"),
    [("６Ｇ", "6G"), ("6Gb", "6G"), ("1,5G", "1.5G"), ("6 gigabytes", "6G"), ("unlimited", "infinity"),
     ("1_000K", "1000K"), ("15e", "15E"), ("-1", "infinity"), ("lots", "6G, 512M, 50% or infinity")],
)  # fmt: skip
def test_which_size_was_meant_is_said(typed: str, said: str) -> None:
    """Likewise: full-width letters of an input method, bits, a decimal comma, what other tools write for no limit."""
    with pytest.raises(UsageError) as raised:
        parse_size(typed, GIB)
    assert raised.value.hint == f"write it as {said}"


@given(st.integers(0, LARGEST))
@example(2**53 + 1)
@example(LARGEST)
def test_any_number_of_bytes_is_itself(size: int) -> None:
    """A size written in bytes gives exactly that number."""
    assert parse_size(str(size), 1) == size


@given(st.integers(0, 2**64), st.sampled_from(UNITS))
def test_a_unit_multiplies_exactly(count: int, unit: str) -> None:
    """A whole number with a unit is multiplied exactly, or refused if it exceeds 64 bits."""
    size = count * 1024 ** UNITS.index(unit)
    if size > LARGEST:
        with pytest.raises(UsageError):
            parse_size(f"{count}{unit}", 1)
    else:
        assert parse_size(f"{count}{unit}", 1) == size


@given(st.integers(0, LARGEST))
@example(1023)
@example(1024)
@example(1023 * 1024 + 1023)
@example(int(9.95 * 2**20))
@example(LARGEST)
def test_a_shown_size_is_short_and_means_nearly_the_same(size: int) -> None:
    """Any size takes at most five characters, and when it is parsed again the error is less than a twentieth."""
    shown = format_size(size)
    assert len(shown) <= 5
    again = Fraction(shown[:-1]) * 1024 ** "BKMGTPE".index(shown[-1])
    assert abs(again - size) <= Fraction(size, 20)
    if again <= LARGEST:
        assert parse_size(shown, 1) == pytest.approx(float(again), rel=1e-12, abs=1)


@given(st.integers(1, 999), st.sampled_from(UNITS[1:6]))
def test_what_was_typed_is_what_is_shown(count: int, unit: str) -> None:
    """A whole number of a unit is shown as it was typed: 6G is 6G."""
    size = parse_size(f"{count}{unit}", 1)
    assert format_size(size) == f"{count}{unit}"
    assert parse_size(format_size(size), 1) == size


@pytest.mark.parametrize(
    ("size", "shown"),
    [(None, "-"), (INFINITY, "∞"), (0, "0B"), (999, "999B"), (1000, "1.0K"), (1536, "1.5K"), (10239, "10K"),
     (999 * 2**20, "999M"), (1000 * 2**20, "1.0G"), (3 * 2**29, "1.5G"), (LARGEST, "16E")],
)  # fmt: skip
def test_shown_sizes(size: int | None, shown: str) -> None:
    """The usual cases, and the values around the change from one unit to the next."""
    assert format_size(size) == shown


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("90 sec", 90), ("10m", 600), ("10min", 600), ("1h30m", 5400), ("1h 30m 5s", 5405),
     ("1.5h", 5400), ("2d", 172800), ("1w", 604800), ("250ms", 0.25), ("5us", 5e-6), ("0", 0), (" 2H ", 7200),
     ("infinity", None), ("2hr", 7200), ("1day", 86400), ("1week", 604800),
     ("5 minutes", 300), ("10mins", 600), ("1 hour 30 minutes", 5400), ("2 weeks", 1209600), ("20 msec", 0.02)],
)  # fmt: skip
def test_durations_are_systemds(text: str, seconds: float | None) -> None:
    """Numbers with units, one after the other; without a unit they are seconds."""
    assert parse_duration(text) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    "text",
    ["", " ", "s", "-5", "1x", "1h x", "5 minutes ago", "1e3", "1:30", ".5s", "1.", "9" * 400, "²s", "90%", "５s",
     "nan", "inf", "1000000000001", "300000000w", "10M", "1 M", "1h 10M"],
)  # fmt: skip
def test_what_is_no_duration_is_refused_by_its_option(text: str) -> None:
    """Anything else, and a number that is too large, raises a UsageError that names the option."""
    with pytest.raises(UsageError, match=r"^--timeout: "):
        parse_duration(text, "--timeout")


@pytest.mark.parametrize(("text", "percent"), [("150%", 150.0), ("0.5%", 0.5), (" 100% ", 100.0), ("0.01%", 0.01)])
def test_percentages(text: str, percent: float) -> None:
    """A number with a percent sign."""
    assert parse_percent(text) == percent


@pytest.mark.parametrize("text", ["", "%", "150", "0%", "-5%", "1e2%", "0.0%", "9" * 400 + "%", "5 %", "٣%", "0.009%",
                                  "21000001%", "nan%"])  # fmt: skip
def test_what_is_no_percentage_is_refused_by_its_option(text: str) -> None:
    """Empty text, no percent sign, zero and infinity raise a UsageError that names the option."""
    with pytest.raises(UsageError, match=r"^--cpu-quota: "):
        parse_percent(text, "--cpu-quota")


@pytest.mark.parametrize(("text", "tasks"), [("2", 2), ("512", 512), ("9" * 18, 10**18 - 1), ("infinity", "infinity")])
def test_tasks(text: str, tasks: object) -> None:
    """A whole number, at least 2 because the job's own process counts as one; or infinity."""
    assert parse_tasks(text) == tasks


@pytest.mark.parametrize("text", ["", "0", "1", "-2", "2.0", "1e3", "6G", "٣", "9" * 19, "inf"])
def test_what_is_no_number_of_tasks(text: str) -> None:
    """Anything else raises a UsageError that names the option."""
    with pytest.raises(UsageError, match=r"--tasks-max: .* is not a number of tasks"):
        parse_tasks(text, "--tasks-max")


def test_weights() -> None:
    """As in systemd: 1 to 10000, and nothing else."""
    assert [parse_weight(text) for text in ("1", "100", "10000")] == [1, 100, 10000]
    for text in ("", "0", "-1", "10001", "1.5", "idle", "٣"):
        with pytest.raises(UsageError, match=r"--cpu-weight: .* is not a weight"):
            parse_weight(text, "--cpu-weight")


def test_the_memory_of_this_machine() -> None:
    """In bytes, the same as in /proc/meminfo."""
    words = Path("/proc/meminfo").read_text().split()
    assert total_memory() == int(words[words.index("MemTotal:") + 1]) * 1024


@given(GARBAGE)
@example("9" * 5000)
@example("9" * 400 + ".0")
@example("9" * 400 + "%")
def test_garbage_raises_nothing_but_a_usage_error(text: str) -> None:
    """Whatever is typed, each parser gives a finite number in the promised range or raises UsageError."""
    for parse in (lambda: parse_size(text, 16 * GIB), *(lambda each=each: each(text) for each in PARSERS)):
        try:
            value = parse()
        except UsageError as error:
            assert error.exit_code == 2
        else:
            assert value in (None, INFINITY) or 0 <= float(value) < float("inf")


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, "-"), (0, "0.0s"), (-3.0, "0.0s"), (4.24, "4.2s"), (9.94, "9.9s"), (9.96, "10s"), (59.4, "59s"),
     (59.6, "1m00s"), (725, "12m05s"), (3599.7, "1h00m"), (12000, "3h20m"), (86399.6, "1d00h"),
     (12 * 86400 + 4 * 3600, "12d04h"), (100 * 86400 - 1, "99d23h"), (100 * 86400, "100d"), (4e9, "46296d")],
)  # fmt: skip
def test_shown_durations(seconds: float | None, shown: str) -> None:
    """The two largest units, around each change of units; never 60 of a unit; a negative time is shown as zero."""
    assert format_duration(seconds) == shown


@given(st.floats(-1e9, 8e9))
@example(59.999)
@example(3599.5)
@example(100 * 86400.0)
def test_a_shown_duration_is_short_and_can_be_typed_again(seconds: float) -> None:
    """At most six characters for anything under 250 years, and the error is at most the smaller unit shown."""
    shown = format_duration(seconds)
    assert len(shown) <= 6
    again = parse_duration(shown)
    smaller = {"s": 0.51 if seconds >= 9.95 else 0.051, "m": 60, "h": 3600, "d": 86400}[shown[-1]]
    assert again is not None
    assert abs(again - max(0.0, seconds)) <= smaller


@pytest.mark.parametrize("text", ["30", "1.5", " 30 "])
def test_a_number_alone_where_that_is_dangerous(text: str) -> None:
    """Where days are meant as often as seconds, a number needs its unit; 0 and what has one do not change."""
    with pytest.raises(UsageError) as raised:
        parse_duration(text, "--older-than", needs_unit=True)
    assert str(raised.value).startswith(f"--older-than: {text!r} has no unit; write {text.strip()}d for days")
    assert [parse_duration(each, needs_unit=True) for each in ("0", "30s", "infinity")] == [0, 30, None]
