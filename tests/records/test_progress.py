"""Progress from the log: lines that show it, and the many lines that only look like it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gravscope.records.progress import LONGEST, TAIL, Progress, find, of_line

# A line, and what it must give: done/total or the fraction, the stage, the seconds left.
TELLING: list[tuple[str, str, str | None, float | None]] = [
    ("401/6000", "401/6000", None, None),
    ("  401 / 6000  ", "401/6000", None, None),
    ("0/5", "0/5", None, None),
    ("42%", "0.42", None, None),
    ("42.5 %", "0.425", None, None),
    ("100%", "1.0", None, None),
    ("[stage] 3/9 | elapsed=2m ETA=5m", "3/9", "stage", 300.0),
    ("[rep6-ws] 401/6000 | elapsed=2.5m ETA=35.5m", "401/6000", "rep6-ws", 2130.0),
    ("[progress] 42% halfway there", "0.42", "progress", None),
    ("[学習] 3/9 | ETA=1h02m", "3/9", "学習", 3720.0),
    ("2026-11-23 12:00:01,123 INFO 401/6000 | ETA=1m", "401/6000", None, 60.0),
    ("[2026-11-23T12:00:01+09:00] [fit] 7/8", "7/8", "fit", None),
    ("2026/11/23 12:00:01 [INFO] step 3/9", "3/9", None, None),
    ("12:00:01 42%", "0.42", None, None),
    ("INFO: 42% complete", "0.42", None, None),
    (" 45%|████▌     | 45/100 [00:10<00:12, 4.5it/s]", "45/100", None, 12.0),
    ("train: 45%|####5     | 45/100 [00:10<1:00:12,  4.5it/s, loss=0.3]", "45/100", "train", 3612.0),
    ("学習:  45%|████▌     | 45/100 [00:10<?, ?it/s]", "45/100", "学習", None),
    ("  3%|▎         | 1.2M/40.0M [00:01<00:39, 1.0MB/s]", "0.03", None, 39.0),
    ("\x1b[32m 45%\x1b[0m|███  | 45/100 [00:10<00:12, 4.5it/s]\x1b[K", "45/100", None, 12.0),
    ("Epoch 3/10", "3/10", None, None),
    ("Epoch 3/10 - loss: 0.25", "3/10", None, None),
    ("step: 401/6000 loss 0.3", "401/6000", None, None),
    ("Processed 401/6000 files", "401/6000", None, None),
    ("iteration 12/50, residual 1e-3", "12/50", None, None),
    ("401/6000 (6.7%) ETA: 0:35", "401/6000", None, 35.0),
    ("12/32 [=====>.......] - ETA: 12s - loss: 0.5", "12/32", None, 12.0),
    ("[ 42%] Building CXX object foo.o", "0.42", None, None),
    ("[3/9] Linking CXX executable foo", "3/9", None, None),
    ("[1/4] Resolving packages...", "1/4", None, None),
    ("(42%) reading", "0.42", None, None),
    ("Progress: 42%", "0.42", None, None),
    ("progress=42.5%", "0.425", None, None),
    ("copying the tree: 42% done", "0.42", None, None),
    ("42% complete, 5 min left", "0.42", None, 300.0),
    ("42% | 1h 2m 3s remaining", "0.42", None, 3723.0),
    ("3/9 | time left: 2d 01:00:00", "3/9", None, 176400.0),
    ("tests/test_run.py ........                [ 42%]", "0.42", None, None),
]
SILENT = [
    "2026/11/23",
    "2026/11/23 12:00:01 started",
    "11/23/2026",
    "11/23 12:00:01 started",
    "11/23, 12:00",
    "1/2 of the galaxies were fitted",
    "about 1/2 of the",
    "3/4 inch",
    "and 2/3 are left",
    "a/3/4",
    "/data/3/9",
    "reading runs/3/9/out.txt",
    "wrote results/2026/11.csv",
    "step2/3/x",
    "GET /a/1/2 HTTP/1.1 200",
    "HTTP/1.1",
    "HTTP/2",
    "10.0.0.0/24",
    "listening on 127.0.0.1/8",
    "fe80::1/64",
    "version 1/2.3",
    "3/9.5",
    "v1.2/3.4",
    "24/7",
    "9/3",
    "3/0",
    "0/0",
    "150%",
    "CPU 42%",
    "cpu: 42% mem: 12%",
    "Disk usage: 42%",
    "accuracy 42%",
    "loss fell by 42% since",
    "42% of the sample",
    "progress 42% of the time",
    "a 42% chance",
    "+42%",
    "-42%",
    "42%5",
    "100%7C200%",
    "https://example.org/3/9",
    "%20%42%",
    "width: 42%;",
    "SELECT 3/9",
    "1/2/3",
    "3/9/",
    "3/9a",
    "x3/9",
    "printf '%d/%d' 3 9",
    "45it [00:10, 4.5it/s]",
    "ETA=5m",
    "load average: 0.42, 3/941 12345",
    "",
    "/",
    "%",
    "²/³",
]


@pytest.mark.parametrize(("line", "comes_to", "stage", "eta"), TELLING)
def test_what_tells_progress(line: str, comes_to: str, stage: str | None, eta: float | None) -> None:
    """Counts, percentages, gravscope's own lines, tqdm's bars, and the lines of build tools and loggers."""
    found = of_line(line)
    assert found is not None
    said = f"{found.done}/{found.total}" if found.total is not None else str(found.fraction)
    assert (said, found.stage, found.eta) == (comes_to, stage, eta)
    if found.done is not None and found.total is not None:
        assert found.fraction == found.done / found.total


@pytest.mark.parametrize("line", SILENT)
def test_what_only_looks_like_it(line: str) -> None:
    """Dates, paths, addresses, versions, prose and shares of other things are not progress."""
    assert of_line(line) is None


def test_enough_lines_are_tried() -> None:
    """The tables are long enough and have no line twice."""
    lines = [row[0] for row in TELLING] + SILENT
    assert len(SILENT) >= 40
    assert len(lines) == len(set(lines))


def test_the_last_line_that_tells_wins() -> None:
    """The last such line counts, even with other output after it; of tqdm's updates, which end with \\r, the last."""
    assert find(b"1/9\n2/9\nsaved model.bin\nhttps://x/3/9\n") == Progress(2 / 9, 2, 9)
    bars = b"".join(b"\r %d%%|#  | %d/100 [00:10<00:%02d, 4it/s]" % (n, n, 60 - n) for n in range(1, 46))
    assert find(bars) == Progress(0.45, 45, 100, None, 15.0)
    assert find(b"nothing of the kind\n") is find(b"") is None


def test_the_time_that_is_left_is_the_lines_own_or_reckoned() -> None:
    """The time in the line counts; else it is estimated from the job's age; if neither is known there is none."""
    assert find(b"3/9 | ETA=5m", 10.0) == Progress(3 / 9, 3, 9, None, 300.0)
    assert find(b"25%\n", 60.0) == Progress(0.25, eta=180.0)
    assert find(b"100%\n", 60.0) == Progress(1.0, eta=0.0)
    assert find(b"0%\n", 60.0) == Progress(0.0)
    assert find(b"25%\n") == Progress(0.25)


def test_percent() -> None:
    """It is rounded down, and a percentage in a line is given back unchanged."""
    assert [found.percent for each in range(101) if (found := find(b"%d%%" % each)) is not None] == list(range(101))
    assert Progress(3999 / 4000).percent == 99


def test_only_the_end_of_a_log_is_looked_at() -> None:
    """Text before the tail, and lines that are too long for a person to read, are ignored."""
    assert find(b"1/9\n" + b"x\n" * TAIL) is None
    assert find(b"1/9 | " + b"x" * LONGEST + b"\n") is None


@given(st.binary(max_size=300) | st.text("0123456789/%|[]<:., Epochstage=ETAdhms-", max_size=300).map(str.encode))
def test_whatever_a_log_holds_is_progress_or_none(tail: bytes) -> None:
    """No log ends in a traceback, and what is found lies between nothing and all of it."""
    found = find(tail, 10.0)
    assert found is None or (0 <= found.fraction <= 1 and (found.eta is None or found.eta >= 0))
