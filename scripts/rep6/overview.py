"""The index page: every result there is, the report, and the progress notes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rep6.files import INDEX, PROGRESS, REPORT, InputError, result_path
from rep6.options import base_parser, finish
from rep6.pages import load_result, write_page
from rep6.progress_log import read_entries

MODES = ("fast", "full")
NOTES_SHOWN = 50


def load_if_there(path: Path, **expected: str) -> dict[str, Any] | None:
    """A result, or None if it has not been computed yet; a damaged one is an InputError."""
    return load_result(path, "", **expected) if path.exists() else None


def fit_row(result: dict[str, Any]) -> dict[str, Any]:
    """One line of the table of fits."""
    galaxies = result["galaxies"]
    return {
        **{name: result[name] for name in ("title", "mode", "created", "seconds")},
        "radii": sum(galaxy["radii"] for galaxy in galaxies),
        "chi2": sum(galaxy["chi2"] for galaxy in galaxies),
        "aicc": sum(galaxy["aicc"] for galaxy in galaxies),
        "baseline_aicc": sum(galaxy["baseline"]["aicc"] for galaxy in galaxies),
    }


def gather(root: Path) -> dict[str, Any]:
    """Everything that the index shows."""
    fits, validations = [], []
    for mode in MODES:
        for key in ("ws", "phieta"):
            result = load_if_there(result_path(root, f"rep6_{key}", mode), model=key, mode=mode)
            if result:
                fits.append(fit_row(result))
        validation = load_if_there(result_path(root, "cross_validation", mode), mode=mode)
        for model in validation["models"] if validation else ():
            validations.append(
                {"mode": mode, "title": model["title"], "folds": len(model["folds"]), **model["summary"]}
            )
    entries = read_entries(root / PROGRESS)
    return {
        "fits": fits,
        "validations": validations,
        "entries": entries[::-1][:NOTES_SHOWN],
        "report": "../reports/" + REPORT.name if (root / REPORT).exists() else None,
    }


def main(program: str, description: str, arguments: Sequence[str] | None = None) -> int:
    """Entry of build_state_of_the_art.py: returns the exit status."""
    options = base_parser(description, modes=False).parse_args(arguments)

    def work() -> None:
        path = options.out or options.root / INDEX
        try:
            write_page(path, "index.html.j2", **gather(options.root))
        except (KeyError, TypeError) as error:
            raise InputError(f"a result file is incomplete ({error}): compute it again") from error
        print(f"[state-of-the-art] wrote {path}")

    return finish(program, work)
