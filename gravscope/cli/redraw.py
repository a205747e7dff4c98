"""Lines on a terminal that are drawn again and again in one place, below whatever stood there before."""

from __future__ import annotations

from collections.abc import Sequence

from gravscope.cli.output import columns, size


class Drawing:
    """What is drawn on standard output, a terminal that knows escape sequences (ECMA-48 CUU, EL, ED)."""

    def __init__(self) -> None:
        self.drawn: list[int] = []
        """The columns of each line that stands there."""

    def draw(self, body: Sequence[str], notes: Sequence[str] = ()) -> None:
        """Puts these lines in the place of those before. Of a body that is too long its beginning is shown: what has
        left the screen at its top cannot be drawn again."""
        most, height = size()
        lines = fitted(body, notes, height)
        print(again(self.drawn, lines, most), end="", flush=True)
        self.drawn = [columns(_plain(line)) for line in lines]


def fitted(body: Sequence[str], notes: Sequence[str], height: int) -> list[str]:
    """The lines that have room on a screen of `height` lines, one of which is the cursor's."""
    room = max(1, height - 1 - len(notes))
    shown = list(body)
    if len(shown) > room:
        shown = [*shown[: room - 1], f"… {len(shown) - room + 1} more: gravscope status"]
    return [*shown, *notes][: max(1, height - 1)]


def again(drawn: Sequence[int], lines: Sequence[str], most: int) -> str:
    """What draws `lines` over lines of as many columns as `drawn` says, on a terminal that is `most` columns wide now:
    where it was wider, it has broken them."""
    rows = sum(max(1, -(-width // most)) for width in drawn)
    up = f"\r\x1b[{rows}A" if rows else ""
    # each line is cleared before it is written: behind a line that is full the cursor still stands on its last column
    return up + "".join(f"\x1b[K{line}\n" for line in lines) + "\x1b[J"


def _plain(line: str) -> str:
    """Without the sequences for colours, which are no columns."""
    before, *others = line.split("\x1b[")
    return before + "".join(other.partition("m")[2] for other in others)
