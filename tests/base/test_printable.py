"""Words of others in messages: in quotes, short, and readable in every locale."""

from __future__ import annotations

import pytest

from gravscope.base.printable import LONGEST_WORD, printable, quoted
from tests.support import Gravscope

LONG = "a" * 300


@pytest.mark.parametrize(
    ("word", "shown"),
    [("fit", "'fit'"), ("銀河", "'銀河'"), ("銀河".encode().decode("ascii", "surrogateescape"), "'銀河'"),
     (LONG, f"'{'a' * LONGEST_WORD}…'"), ("a\nb", "'a\\nb'"), ("\udcff", "'\\udcff'")],
)  # fmt: skip
def test_a_word_in_a_message(word: str, shown: str) -> None:
    """A long one is cut; what another locale has read byte by byte is put together again."""
    assert quoted(word) == shown


def test_bytes_that_are_no_text() -> None:
    """They are shown by their numbers."""
    assert printable("a\udcff") == "a\\xff"


@pytest.mark.parametrize(
    "typed",
    [["logs", LONG], ["show", LONG], ["status", LONG], ["help", LONG], ["run", "--timeout", LONG, "--", "true"],
     ["prune", "--keep", "0", LONG], ["run", "-n", f"/{LONG}", "--", "true"], ["run", "--mem-max", LONG, "--", "true"],
     ["wait", "--ready", f"({LONG}", "x"], [LONG], ["status", f"--{LONG}"]],
    ids=lambda typed: " ".join(typed)[:30],
)  # fmt: skip
def test_a_long_word_is_not_repeated_whole(gravscope: Gravscope, typed: list[str]) -> None:
    """Whatever command it was given to; the message stays short enough to be read."""
    done = gravscope(*typed)
    assert done.returncode != 0
    assert len(done.stderr.splitlines()) == 1
    assert "a" * (LONGEST_WORD + 1) not in done.stderr


def test_a_name_that_the_locale_cannot_read(gravscope: Gravscope) -> None:
    """A job with a Japanese name is not called a copy by a locale without such letters: the locale is at fault, and how
    to set it is said. Such a name is refused there for the same reason."""
    job = gravscope.start("-n", "銀河", "--", "true")
    gravscope.ended(job)
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    for words in (["status"], ["show", "銀河"], ["logs", job], ["prune", "--keep", "0"]):
        said = gravscope(*words, env=ascii_only).stderr
        assert "its name is UTF-8, and this locale's encoding is another (ascii); set LC_ALL=C.UTF-8" in said
        assert "udc" not in said
    refused = gravscope("run", "-n", "銀河", "--", "true", env=ascii_only)
    assert (refused.returncode, "has no safe spelling in this locale's encoding" in refused.stderr) == (2, True)
    assert gravscope("show", "銀河").returncode == 0
