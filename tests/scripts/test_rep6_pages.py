"""The pages of the example: what the result is in words, and tables that fit a wide screen and a narrow one."""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from rep6 import pages
from rep6.report import totals
from rep6.verdict import TITLES, better, sentences

PERMUTATIONS = 1000


def row(name: str, ws: float, phieta: float, p: float | None = 0.5) -> dict[str, Any]:
    """One galaxy: the AICc of both models."""
    test = None if p is None else {"p_value": p, "permutations": PERMUTATIONS}
    baseline = {"aicc": 500.0, "chi2": 498.0}
    common = {"baseline": baseline, "residual_test": test, "radii": 30, "ml_disk": 0.0, "ml_at_bound": True}
    one = {"aicc": ws, "chi2": ws - 6, "parameters": 3, "amplitude": 4.18, "best": {"softening_kpc": 1.0}}
    other = {"aicc": phieta, "chi2": phieta - 8, "parameters": 4, "amplitude": 35.96}
    other["best"] = {"sigma_k_per_kpc": 0.05, "beta": 0.6}
    grid = {"ws": [one["best"]], "phieta": [other["best"]]}
    delta = ws - phieta
    return {
        "name": name,
        "ws": {**common, **one, "grid": grid["ws"]},
        "phieta": {**common, **other, "grid": grid["phieta"]},
        "delta_aicc": delta,
        "better": better(delta),
        "plot": "AAAA",
    }


class Tables(HTMLParser):
    """The tables of a page, cell by cell as (tag, classes, colspan, text), and what each table is in."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tables: list[list[list[tuple[str, set[str], int, str]]]] = []
        self.within: list[set[str]] = []
        self.open: list[tuple[str, set[str]]] = []
        self.cell: tuple[str, set[str], int] | None = None
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Open an element."""
        given = dict(attributes)
        classes = set((given.get("class") or "").split())
        if tag == "table":
            self.tables.append([])
            self.within.append({name for _, names in self.open for name in names})
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in {"td", "th"}:
            self.cell, self.text = (tag, classes, int(given.get("colspan") or 1)), ""
        if tag not in {"br", "meta", "img"}:
            self.open.append((tag, classes))

    def handle_endtag(self, tag: str) -> None:
        """Close it."""
        if tag in {"td", "th"} and self.cell:
            self.tables[-1][-1].append((*self.cell, " ".join(self.text.split())))
            self.cell = None
        while self.open and self.open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        """Collect what a cell says."""
        self.text += data


def render(tmp_path: Path, rows: list[dict[str, Any]], permutations: int = PERMUTATIONS) -> str:
    """The report of these galaxies."""
    options = {"grid": 512, "permutations": permutations, "seed": 1, "workers": 2}
    result = {
        "created": "2026-11-27T03:17:15+09:00", "seconds": 9.67, "options": options, "versions": {"numpy": "2.4.6"},
        "bulge_to_disk_ml": 1.4,
    }  # fmt: skip
    results = {
        "ws": {**result, "title": "WS (line source)", "amplitude_unit": "1/kpc"},
        "phieta": {**result, "title": "Φη (filtered potential)", "amplitude_unit": "Msun/Lsun"},
    }
    values = {"mode": "fast", "results": results, "rows": rows, "titles": TITLES}
    path = tmp_path / "report.html"
    pages.write_page(path, "report.html.j2", **values, totals=totals(rows), sentences=sentences(rows))
    return path.read_text(encoding="utf-8")


THREE = [row("DDO154", 18.0, 14.0, 1 / (PERMUTATIONS + 1)), row("NGC2403", 60.0, 50.0), row("UGC06787", 100.0, 300.0)]


# the result in words


def test_the_result_stands_first(tmp_path: Path) -> None:
    """The page begins with which model fits better, in how many galaxies, and by how much."""
    page = render(tmp_path, THREE)
    first = page.partition("</h1>")[2].partition("</p>")[0].partition(">")[2]
    assert first == (
        "Φη fits better in 2 of 3 galaxies (DDO154, NGC2403) and WS in 1 (UGC06787). "
        "Over all 3 galaxies, WS has the lower AICc, by 186.0."
    )
    assert "UGC06787 alone decides that sum: without it Φη would lead, by 14.0." in page


@pytest.mark.parametrize(
    ("deltas", "first"),
    [
        ([-3, -4], "WS fits better in all 2 galaxies. Over all 2 galaxies, WS has the lower AICc, by 7.0."),
        ([0, 5], "Φη fits better in 1 of 2 galaxies and in 1 they fit equally well. Over"),
        (
            [-5, 5],
            "WS fits better in 1 of 2 galaxies (g0) and Φη in 1 (g1). Over all 2 galaxies their AICc is the same.",
        ),
    ],
)
def test_who_fits_better(deltas: list[float], first: str) -> None:
    """A clear result, one galaxy that does not decide, and a draw are each said as they are."""
    rows = [row(f"g{index}", 50 + delta, 50) for index, delta in enumerate(deltas)]
    assert sentences(rows)[0].startswith(first)


def test_one_galaxy_is_named_only_where_it_decides() -> None:
    """Where the sum keeps its sign without the largest difference, nothing is said of one galaxy."""
    assert not any("alone decides" in sentence for sentence in sentences([row("a", 10, 90), row("b", 10, 20)]))
    assert not any("alone decides" in sentence for sentence in sentences([row("a", 10, 90)]))


@pytest.mark.parametrize(
    ("ws", "phieta", "said"),
    [(100, 90, "Both models fit better"), (600, 90, "Only Φη fits"), (600, 700, "Neither model fits better")],
)
def test_beside_gas_and_stars_alone(ws: float, phieta: float, said: str) -> None:
    """Whether an extra field is worth its parameters at all is part of the result."""
    assert any(sentence.startswith(said) for sentence in sentences([row("a", ws, phieta)]))


def test_residuals_that_follow_each_other_are_told() -> None:
    """Small p-values are counted; without any, or without a test, nothing is said of them."""
    told = sentences([row("a", 10, 20, 0.001), row("b", 10, 20, 0.5)])[-1]
    assert told.startswith("In 2 of 4 fits the residuals follow each other along the radius (p < 0.01)")
    for p in (0.5, None):
        assert not any("residuals" in sentence for sentence in sentences([row("a", 10, 20, p)]))


# numbers


@pytest.mark.parametrize("permutations", [40, 1_000_000, 20_000_000])
def test_the_least_p_value_is_an_upper_bound(permutations: int) -> None:
    """No draw came up to the observed value: p is at most 1/(1 + n), whatever n; one draw more is an equality."""
    floor = 1 / (1 + permutations)
    assert pages.p_value({"p_value": floor, "permutations": permutations}) == f"≤ {floor:.3g}"
    assert pages.p_value({"p_value": 2 * floor, "permutations": permutations}) == f"{2 * floor:.3g}"
    assert pages.p_value(None) == "–"


def test_numbers_and_times_as_people_write_them() -> None:
    """Differences have their sign, negative numbers a minus and no hyphen; a time has no T, and what is none stays."""
    assert [pages.signed(value) for value in (4.2, -4.2, 0.0, 0.04)] == ["+4.2", "−4.2", "0.0", "0.0"]
    assert (pages.number(-1.5), pages.number(None)) == ("−1.50", "–")
    assert pages.moment("2026-11-27T03:17:15+09:00") == "2026-11-27 03:17 UTC+09:00"
    assert pages.moment("yesterday") == "yesterday"


# the tables


def test_the_deciding_column_comes_first(tmp_path: Path) -> None:
    """After the galaxy comes AICc(WS) − AICc(Φη), then which model that means, in headings, rows and sum alike."""
    table = Tables(render(tmp_path, THREE)).tables[0]
    assert [text for *_, text in table[0]][:3] == ["galaxy", "AICc(WS) −AICc(Φη)", "fitsbetter"]
    assert [[text for *_, text in cells][:3] for cells in table[2:]] == [
        ["DDO154", "+4.0", "Φη"],
        ["NGC2403", "+10.0", "Φη"],
        ["UGC06787", "−200.0", "WS"],
        ["all", "−186.0", "WS 1, Φη 2"],
    ]


def index_page(tmp_path: Path) -> str:
    """The index of one fit, one validation and one note."""
    fit = {"title": "WS", "mode": "fast", "created": "2026-11-27T03:17:15+00:00", "seconds": 1.0, "radii": 266}
    fit |= {"chi2": 450.1, "aicc": 492.1, "baseline_aicc": 9245.3}
    validation = {"title": "WS", "mode": "fast", "folds": 6, "chi2_per_datum": 75.0, "baseline_chi2_per_datum": 34.7}
    note = {"time": "2026-11-27T03:17:15+00:00", "rate": 50.0, "note": "half"}
    values = {"fits": [fit], "validations": [validation | {"better_than_baseline": 0}], "entries": [note]}
    pages.write_page(tmp_path / "index.html", "index.html.j2", **values, report=None)
    return (tmp_path / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("which", ["report", "index"])
def test_headings_stand_as_their_columns_do(tmp_path: Path, which: str) -> None:
    """In every table each heading of one column is aligned as the cells below it, and no row is short of a cell."""
    found = Tables(render(tmp_path, THREE) if which == "report" else index_page(tmp_path))
    assert len(found.tables) == 3
    for table in found.tables:
        headings = column_headings(table)
        for cells in table:
            if cells[0][0] == "td":
                assert len(cells) == len(headings)
                assert [heading[1] & {"text"} for heading in headings] == [cell[1] & {"text"} for cell in cells]


def column_headings(table: list[list[tuple[str, set[str], int, str]]]) -> list[tuple[str, set[str], int, str]]:
    """The lowest heading of each column: groups give way to what stands below them."""
    heads = [cells for cells in table if cells[0][0] == "th"]
    below = iter(heads[1] if len(heads) > 1 else [])
    return [part for cell in heads[0] for part in ([next(below) for _ in range(cell[2])] if cell[2] > 1 else [cell])]


@pytest.mark.parametrize("which", ["report", "index"])
def test_no_table_is_wider_than_the_page(tmp_path: Path, which: str) -> None:
    """Each table is in a box that scrolls by itself; plots may be as narrow as the page."""
    page = render(tmp_path, THREE) if which == "report" else index_page(tmp_path)
    assert all("scroll" in within for within in Tables(page).within)
    assert ".scroll { overflow-x: auto; }" in page
    assert "minmax(min(100%," in page
    assert "width=device-width" in page


def test_terms_are_explained_on_the_page(tmp_path: Path) -> None:
    """Whatever heads a column or stands in a legend has its explanation."""
    page = render(tmp_path, THREE)
    for term in ("AICc", "AICc(WS) − AICc(Φη)", "radii", "χ²", "p", "M/L", "A", "s, σk, β", "Upper part", "Lower part"):
        assert f"<dt>{term}</dt>" in page
    for words in ("grey band", "Dashed lines", "Dotted grey line", "softening length s", "s from 1.0; σk from 0.05"):
        assert words in page
    assert "1/1,001; where no permutation came up" in page
    assert "≤ 0.000999" in page


def test_without_permutations_the_page_says_so(tmp_path: Path) -> None:
    """No p is made up, and no floor."""
    page = render(tmp_path, [row("DDO154", 18.0, 14.0, None)], permutations=0)
    assert "This run made no permutations, so there is no p." in page
    assert "≤ " not in page
