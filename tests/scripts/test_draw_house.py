"""The drawing of the house: made of the imports as they are."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

from tests.support import REPOSITORY

SCRIPT = REPOSITORY / "scripts" / "draw_house.py"


@pytest.fixture(scope="module")
def drawing() -> dict[str, Any]:
    """The names in the script."""
    return runpy.run_path(str(SCRIPT))


def test_the_picture_is_the_house(drawing: dict[str, Any]) -> None:
    """docs/house.svg is what the script draws today; after a change: python scripts/draw_house.py"""
    assert (REPOSITORY / "docs" / "house.svg").read_text() == drawing["picture"](REPOSITORY / "gravscope")


def test_arrows_are_the_imports(drawing: dict[str, Any], tmp_path: Path) -> None:
    """An import within a function is an arrow too; one of the same room, or of another package, is none."""
    for name, text in {
        "a/one.py": "import os",
        "b/two.py": "from gravscope.a import one\nfrom gravscope.b import three",
        "b/three.py": "",
        "c.py": "def late():\n    from gravscope.b.two import x\n    from gravscope.a.one import y",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    arrows = drawing["arrows_between"](tmp_path)
    assert arrows == {"a": set(), "b": {"a"}, "c": {"a", "b"}}
    assert drawing["without_shortcuts"](arrows) == {"a": set(), "b": {"a"}, "c": {"b"}}
    assert drawing["floors"](arrows) == [["a"], ["b"], ["c"]]
    assert drawing["rooms"](tmp_path) == {"a": ["one"], "b": ["three", "two"], "c": []}
