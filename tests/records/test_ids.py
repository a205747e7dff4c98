"""Names and ids: letters of any script, in one form, none that is not seen, short enough for files and units."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gravscope.base.errors import UsageError
from gravscope.base.names import check_name, fit_name
from gravscope.cli.messages import one_line
from gravscope.records.fields import _UNIT
from gravscope.records.ids import is_id, name_of, sort_key
from gravscope.systemd.commands import unit_name

ALLOWED = [
    "fit", "_", "0", "x" * 100, "フィット", "重い計算", "é" * 100, "あ" * 66, "𠮷野",
    "עברית", "กำลัง", "हिन्दी", "ｆｉｔ２", "ж.1-2_3", "_é", "①",
]  # fmt: skip
REFUSED = [
    "", "😀", "a b", "a\u3000b", "a\u200fb", "\u202eabc", "a\u200db", "\u3099a", "\u0301", "\u3164", "a\u115f",
    "x\ufe0f", "葛\U000e0100", "．x", "a／b", "あ" * 67, "あ" * 300, "é" * 101, "x" * 101, "\udcff",
    "a\u0085b", "a\u2028b", "-フ", ".フ", "a\u2800", "データ・処理",
]  # fmt: skip


@pytest.mark.parametrize("name", ALLOWED)
def test_letters_of_any_script(name: str) -> None:
    """A name may be written in any script; however a keyboard or macOS composes it, it is one name."""
    assert check_name(name) == name
    assert check_name(unicodedata.normalize("NFD", name)) == name
    assert is_id(f"{name}_20260101_120000_2")
    assert (name_of(f"{name}_20260101_120000_2"), sort_key(f"{name}_20260101_120000_2")[1]) == (name, 2)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_seen_or_too_long_is_refused(name: str) -> None:
    """What cannot be told apart, or does strange things to a line, is no name; what is proposed instead is one."""
    with pytest.raises(UsageError) as raised:
        check_name(name)
    assert one_line(str(raised.value)).replace("\u3000", "").isprintable()
    assert check_name(fit_name(name)) == fit_name(name)
    assert not is_id(f"{name}_20260101_120000")


def test_the_character_at_fault_is_named() -> None:
    """One that is not seen, by its number; and the message ends with what to type."""
    with pytest.raises(UsageError, match=r"U\+200F is no letter; .*, such as a_b$"):
        check_name("a\u200fb")
    with pytest.raises(UsageError, match=r"it begins with U\+3099; "):
        check_name("\u3099a")


@given(st.text(max_size=300))
@example("解析.データ 2")
@example("\u0301" * 300)
@example("é" * 300)
def test_a_name_is_made_of_anything(text: str) -> None:
    """`fit_name`, from which jobs without a name have theirs, makes a name of whatever there is."""
    assert check_name(fit_name(text)) == fit_name(text)


def test_names_of_our_making_in_ascii_are_as_ever() -> None:
    """Ids that scripts wait for do not change."""
    assert [fit_name(text) for text in ("a b", ".x", "a/b", "-", "x" * 80)] == ["a_b", "x", "a_b", "job", "x" * 60]


def test_a_unit_for_any_name() -> None:
    """ASCII is as it is, other letters are escaped as by systemd-escape, and what is too long is cut, one name's unlike
    another's; a record takes each of them."""
    assert unit_name("fit-1.x_20260101_120000_2", "-01234567") == "gravscope-fit-1.x_20260101_120000_2-01234567.scope"
    assert unit_name("フ_20260101_120000") == r"gravscope-\xe3\x83\x95_20260101_120000.scope"
    long = [unit_name(f"{'あ' * 65}{last}_20260101_120000_99999", "-01234567") for last in "いう"]
    assert long[0] != long[1]
    assert [len(unit) <= 255 and _UNIT.fullmatch(unit) is not None for unit in long] == [True, True]


def test_a_locale_that_is_not_unicode(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where names of files are in another encoding, only ASCII is safe: another locale would not find the job."""
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "euc_jp")
    with pytest.raises(UsageError, match=r"set LC_ALL=C\.UTF-8"):
        check_name("フィット")
    assert (check_name("fit"), fit_name("フィット.x")) == ("fit", "x")
