"""What a job may be called: letters and digits of any script, and . _ -

What is not ASCII is kept in one form, NFC: keyboards, macOS and other programs write the same letters in other ways
(Unicode Standard Annex 15).
"""

from __future__ import annotations

import re
import sys

from gravscope.base.errors import UsageError
from gravscope.base.printable import quoted

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", re.ASCII)
# Characters, and bytes in UTF-8: the longest name of a file that a job has (.ID.limits.PID.tmp) stays within 255 bytes,
# whatever time and number follow. What a unit may be called is another matter (`gravscope.systemd.commands.unit_name`).
_MOST, _MOST_BYTES = 100, 200
# what a name of our own making is cut to
_SHORT = 60
# letters and marks that are not seen: two names would look the same (Default_Ignorable_Code_Point of Unicode)
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_NOTHING_ELSE = "take letters and digits of any script, and . _ - (neither . nor - first)"
_UNFIT = re.compile(r"[^A-Za-z0-9_.-]+", re.ASCII)


def check_name(name: str) -> str:
    """`name` as a job may have it, in NFC; raises UsageError unless it is fit to be part of a file's name."""
    if _PLAIN.fullmatch(name):
        return name
    if not name.isascii() and not _is_unicode():
        raise UsageError(
            f"name: {quoted(name)} has no safe spelling in this locale's encoding ({sys.getfilesystemencoding()})",
            "set LC_ALL=C.UTF-8, or take A-Z a-z 0-9 . _ -",
        )
    typed, name = name, normal(name)
    if not name or not _is_letter(name[0]) or not all(map(is_fit, name)):
        fit = fit_name(name)
        raise UsageError(
            f"name: {quoted(name)} cannot be a job's name{_culprit(name)}",
            f"{_NOTHING_ELSE}, such as {fit}",
            (typed, fit),
        )
    size = _bytes(name)
    if len(name) > _MOST or size > _MOST_BYTES:
        raise UsageError(
            f"name: {name[:20]!r}… cannot be a job's name: it has {len(name)} characters, {size} bytes",
            f"take at most {_MOST} characters, and {_MOST_BYTES} bytes in UTF-8, such as {fit_name(name)}",
            (typed, fit_name(name)),
        )
    return name


def normal(text: str) -> str:
    """`text` in NFC, as names are kept."""
    if text.isascii():
        return text
    from unicodedata import normalize  # noqa: PLC0415 (most names are plain)

    return normalize("NFC", text)


def is_fit(character: str) -> bool:
    """True for what may stand in a name: a letter, its accents, a digit, or one of . _ -"""
    if character.isascii():
        return character.isalnum() or character in "._-"
    from unicodedata import category  # noqa: PLC0415

    return category(character)[0] in "LMN" and not _UNSEEN.match(character)


def _is_letter(character: str) -> bool:
    """True for what may stand at the beginning: an accent alone would join what is shown before it."""
    return character == "_" or character.isalnum()


def _culprit(name: str) -> str:
    """The first character that is at fault, by its number where it would not be seen."""
    wrong = next((each for each in name if not is_fit(each)), name[:1])
    if not wrong or "\udc80" <= wrong <= "\udcff":
        return ""
    said = repr(wrong) if wrong.isascii() else f"U+{ord(wrong):04X}"
    return f": it begins with {said}" if is_fit(wrong) else f": {said} is no letter"


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogateescape"))


def _is_unicode() -> bool:
    """True where the names of files are UTF-8: elsewhere another locale would not find them again."""
    return sys.getfilesystemencoding() in ("utf-8", "utf8")


def fit_name(text: str) -> str:
    """A name made of `text`, with _ for whatever cannot be part of one, and cut short."""
    if text.isascii() or not _is_unicode():
        return _UNFIT.sub("_", text).lstrip("_.-")[:_SHORT] or "job"
    fit = "".join(each if is_fit(each) else "\0" for each in normal(text))
    name = re.sub("\0+", "_", fit).lstrip("_.-")[:_SHORT]
    while name and not _is_letter(name[0]):
        name = name[1:].lstrip("_.-")
    while _bytes(name) > _MOST_BYTES:
        name = name[:-1]
    return name or "job"
