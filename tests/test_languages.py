"""English and Japanese: pages that say the same, one word for one thing, and terms that are explained."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support import REPOSITORY
from tests.test_docs import DOCS, JAPANESE, READMES, TWINS, blocks, links_in, prose

GLOSSARY = REPOSITORY / "docs" / "glossary.md"

# both languages


def ids_of(twins: object) -> str | None:
    """What to call a pair of pages."""
    return twins[0].name if isinstance(twins, tuple) else None


def test_pages_are_there_in_both_languages() -> None:
    """What a reader of the README needs first is there in Japanese too."""
    names = {english.name for english, _ in TWINS}
    assert names == {"README.md", "recipes.md", "limits.md", "exit-status.md", "files.md", "comparison.md"}
    assert all(english.exists() for english, _ in TWINS)


@pytest.mark.parametrize("twins", TWINS, ids=ids_of)
def test_twins_have_the_same_headings(twins: tuple[Path, Path]) -> None:
    """Both have as many headings, of the same levels in the same order."""
    levels = [re.findall(r"^(#+) ", prose(path), re.MULTILINE) for path in twins]
    assert levels[0] == levels[1]
    assert levels[0]


@pytest.mark.parametrize("twins", TWINS, ids=ids_of)
def test_twins_have_the_same_blocks(twins: tuple[Path, Path]) -> None:
    """Both have the same fenced blocks, to the letter."""
    assert blocks(twins[0]) == blocks(twins[1])


@pytest.mark.parametrize("twins", TWINS, ids=ids_of)
def test_twins_have_the_same_tables(twins: tuple[Path, Path]) -> None:
    """Both have the same rows in their tables: as many cells, and the first ones that are code or numbers agree."""
    rows = [re.findall(r"^\|.*\|$", prose(path), re.MULTILINE) for path in twins]
    assert [row.count("|") for row in rows[0]] == [row.count("|") for row in rows[1]]
    names = [[found[1] for row in page if (found := re.match(r"\| (`[^`]+`|\d+) \|", row))] for page in rows]
    assert names[0] == names[1]


@pytest.mark.parametrize("twins", TWINS, ids=ids_of)
def test_twins_have_the_same_links(twins: tuple[Path, Path]) -> None:
    """Both lead to the same places in the same order, each to the page in its own language where there is one."""
    own = {path: twin for path, twin in TWINS if path != twins[0]}
    english, japanese = ([_target(path, link) for link in links_in(path)] for path in twins)
    # the first link of each is the other language
    assert (english[0], japanese[0]) == ((twins[1], False), (twins[0], False))
    assert [(own.get(file, file), anchor) for file, anchor in english[1:]] == japanese[1:]


def _target(path: Path, link: str) -> tuple[Path, bool]:
    """The file that a link leads to, and whether it is to one of its headings."""
    file, hash_, _ = link.partition("#")
    return (path.parent / file).resolve() if file else path, bool(hash_)


def test_the_readme_is_short() -> None:
    """What it is, two commands, a tour, the commands, links: everything else is a page of its own."""
    assert all(len(path.read_text().splitlines()) <= 250 for path in READMES)


# words

# what a reader has to read twice: a plainer word is meant
RIDDLES = r"\b(that (is|are) none|that is no|to be had|what is said|said above)\b"
# words that no Japanese page uses, and the one that it uses instead
SLIPS = {
    "例のスクリプト": "サンプルスクリプト",
    "前面": "フォアグラウンド",
    "守らせ": "適用",
    "互いを指": "互いの id が残る",
    "お知らせ": "通知",
    "一覧し": "一覧表示し",
    "名前をつけると": "名前を指定すると",
    "付き添": "監督",
    "終了まで": "終了するまで",
    "フォルダ": "ディレクトリ",
    "ディレクトリー": "ディレクトリ",
    "ユーザー?マネージャー": "ユーザーマネージャ",
    "サーバ(?!ー)": "サーバー",
    "ユーザ(?!ー)": "ユーザー",
    "打つ": "入力する",
    "ブート ID": "ブート id",
    "進捗バー|進行バー": "プログレスバー",
}


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_no_riddles(path: Path) -> None:
    """Sentences are such that a reader takes them in at once, whatever their language is."""
    assert [line for line in prose(path).splitlines() if re.search(RIDDLES, line)] == []


@pytest.mark.parametrize("path", [*JAPANESE, GLOSSARY], ids=lambda path: path.name)
def test_one_japanese_word_for_one_thing(path: Path) -> None:
    """Each thing has one name throughout, and it is the usual one."""
    text = prose(path)
    found = {slip: word for slip, word in SLIPS.items() if re.search(slip, text)}
    assert found == {}


@pytest.mark.parametrize("path", JAPANESE, ids=lambda path: path.name)
def test_terms_are_japanese_in_japanese(path: Path) -> None:
    """English names of systemd's things stand in code, links and nowhere else."""
    text = re.sub(r"`[^`]*`|\]\([^)]*\)|^English: .*$", "", prose(path), flags=re.MULTILINE)
    assert re.findall(r"\b(?:scopes?|units?|slices?|directory|folders?|user manager)\b", text) == []


def glossary() -> dict[str, str]:
    """English terms and their Japanese ones."""
    return dict(re.findall(r"^\*\*(.+) / (.+)\*\* — \S", GLOSSARY.read_text(), re.MULTILINE))


def test_the_glossary_explains_each_term_in_both_languages() -> None:
    """Each entry is a line of English and a line of Japanese, and no term is there twice."""
    entries = re.findall(r"^\*\*(.+?) / .+?\*\* — ([^\n]+)\n([^\n]+)\n(?:\n|\Z)", GLOSSARY.read_text(), re.MULTILINE)
    assert [name for name, _, _ in entries] == list(glossary())
    assert len(entries) > 20
    for _, english, japanese in entries:
        assert english.endswith(".\\")  # and a line break
        assert japanese.endswith("。")


@pytest.mark.parametrize(
    ("term", "japanese"),
    [
        ("job", "ジョブ"), ("record", "記録"), ("scope", "スコープ"), ("unit", "ユニット"), ("slice", "スライス"),
        ("user manager", "ユーザーマネージャ"), ("lingering, linger", "linger"), ("cgroup", "cgroup"),
        ("OOM killer", "OOM killer"), ("foreground", "フォアグラウンド"), ("exit status", "終了ステータス"),
        ("enforcement", "制限を適用する主体"),
    ],
)  # fmt: skip
def test_the_glossary_has_what_the_readme_needs(term: str, japanese: str) -> None:
    """Terms that the README uses are explained, by the names that the pages use."""
    assert glossary()[term] == japanese


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (READMES[0], ["*OOM killer*", "a *scope*", "a *user manager*"]),
        (READMES[1], ["*OOM killer*", "*スコープ*", "*ユーザーマネージャ*"]),
        (REPOSITORY / "docs/limits.md", ["*lingering*"]),
        (REPOSITORY / "docs/limits.ja.md", ["*linger*"]),
        (REPOSITORY / "docs/recipes.md", ["*lingering*"]),
        (REPOSITORY / "docs/recipes.ja.md", ["*linger*"]),
    ],
    ids=lambda value: value.name if isinstance(value, Path) else "",
)
def test_a_term_is_explained_where_it_first_stands(path: Path, words: list[str]) -> None:
    """Where a term is explained it is in italics, and it does not stand in the text before that."""
    text = re.sub(r"`[^`]*`", "", path.read_text())
    for word in words:
        before, found, _ = text.partition(word)
        bare = word.partition("*")[2].strip("*").replace("\n", " ")
        assert found, word
        assert not re.search(rf"(?<![a-z]){re.escape(bare)}", before.replace("\n", " ")), word
