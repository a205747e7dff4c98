"""One line on standard error."""

from __future__ import annotations

import sys

from gravscope.base.redact_hint import may_hold_secret


def note(line: str) -> None:
    """Something worth knowing that is neither result nor error, in one line on standard error."""
    if may_hold_secret(line):
        from gravscope.base.redact import redact_text  # noqa: PLC0415 (3 ms)

        line = redact_text(line)
    if "gravscope " in line:
        from gravscope.cli.called import as_called  # noqa: PLC0415 (only where there is something to be typed)

        line = as_called(line)
    print(f"gravscope: {one_line(line)}", file=sys.stderr)


def one_line(text: str) -> str:
    """`text` with whatever would end the line, or tell a terminal to do anything, escaped: names of files hold it."""
    harmless = "\u3000\u200d"  # the wide space of Japanese, and what joins emoji
    return "".join(
        each if each.isprintable() or each in harmless else each.encode("unicode_escape").decode("ascii")
        for each in text
    )
