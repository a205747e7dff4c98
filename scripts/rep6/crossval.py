"""Leave-one-galaxy-out cross-validation of the parameters that a model shares between galaxies.

If the field were one law, its grid point and its amplitude would be the same for every galaxy. For each galaxy in
turn both are chosen on the other five (least total chi2, each galaxy with an M/L ≥ 0 of its own) and scored on the
galaxy left out, where only M/L, a property of that galaxy's stars, is fitted. Gas and stars alone are scored beside it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import optimize

from rep6.fields import MODELS, Model
from rep6.files import result_path, write_json
from rep6.fit import Problem, fit_baryons, make_problem
from rep6.galaxy import read_galaxies
from rep6.options import add_computing, base_parser, fill_defaults, finish
from rep6.run import all_fields, provenance

TAG = "cross-validate"


def shared_fit(problems: Sequence[Problem], point: int) -> tuple[float, float]:
    """(amplitude, chi2) of one amplitude for all problems at a grid point, each problem with its own M/L ≥ 0."""
    rows = np.cumsum([0, *(problem.target.size for problem in problems)])
    design = np.zeros((rows[-1], len(problems) + 1))
    for column, (problem, start, stop) in enumerate(zip(problems, rows[:-1], rows[1:], strict=True)):
        design[start:stop, column] = problem.stars
        design[start:stop, -1] = problem.fields[point]
    target = np.concatenate([problem.target for problem in problems])
    # Columns of similar length keep the active-set solver well conditioned; signs, hence bounds, stay the same.
    scale = np.linalg.norm(design, axis=0)
    lower = np.append(np.zeros(len(problems)), -np.inf)
    solution = optimize.lsq_linear(design / scale, target, bounds=(lower, np.inf), method="bvls")
    return float(solution.x[-1] / scale[-1]), float(2 * solution.cost)


def leave_one_out(model: Model, problems: Sequence[Problem], names: Sequence[str]) -> list[dict[str, Any]]:
    """One JSON entry per galaxy left out."""
    folds = []
    for index, (name, held_out) in enumerate(zip(names, problems, strict=True)):
        others = [problem for i, problem in enumerate(problems) if i != index]
        fits = [shared_fit(others, point) for point in range(len(model.points))]
        best = min(range(len(fits)), key=lambda point: fits[point][1])
        amplitude, training_chi2 = fits[best]
        ml, chi2 = fit_baryons(held_out, amplitude, best)
        baseline_ml, baseline_chi2 = fit_baryons(held_out)
        folds.append(
            {
                "left_out": name,
                "radii": held_out.target.size,
                "point": dict(model.points[best]),
                "amplitude": amplitude,
                "training_chi2": training_chi2,
                "ml_disk": ml,
                "chi2": chi2,
                "baseline": {"ml_disk": baseline_ml, "chi2": baseline_chi2},
            }
        )
    return folds


def summary(folds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Held-out chi2 per datum over all galaxies, and in how many the model beats gas and stars alone."""
    data = sum(fold["radii"] for fold in folds)
    return {
        "radii": data,
        "chi2_per_datum": sum(fold["chi2"] for fold in folds) / data,
        "baseline_chi2_per_datum": sum(fold["baseline"]["chi2"] for fold in folds) / data,
        "better_than_baseline": sum(fold["chi2"] < fold["baseline"]["chi2"] for fold in folds),
    }


def compute(options: argparse.Namespace) -> None:
    """Cross-validate both models and write the result."""
    started = time.monotonic()
    galaxies = read_galaxies(options.data)
    models = []
    for model in MODELS.values():
        fields = all_fields(model, galaxies, options.grid, options.workers, f"{TAG}-{model.key}")
        problems = [make_problem(galaxy, field) for galaxy, field in zip(galaxies, fields, strict=True)]
        folds = leave_one_out(model, problems, [galaxy.name for galaxy in galaxies])
        models.append({"model": model.key, "title": model.title, "summary": summary(folds), "folds": folds})
    path = options.out or result_path(options.root, "cross_validation", options.mode)
    write_json(path, {**provenance(options, ("grid", "workers"), started), "models": models})
    print(f"[{TAG}] wrote {path}")


def main(program: str, description: str, arguments: Sequence[str] | None = None) -> int:
    """Entry of cross_validate_shared.py: returns the exit status."""
    parser = base_parser(description)
    add_computing(parser)
    options = parser.parse_args(arguments)
    fill_defaults(options)
    return finish(program, lambda: compute(options))
