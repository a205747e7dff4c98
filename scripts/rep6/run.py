"""Fits one model to all galaxies, tests the residuals, and writes the result: the work of run_rep6_*.py."""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import scipy

from rep6.fields import MODELS, Model
from rep6.files import result_path, write_json
from rep6.fit import Fit, Problem, aicc, fit_baryons, fit_points, make_problem
from rep6.galaxy import (
    BULGE_TO_DISK_ML,
    Array,
    Galaxy,
    circular_velocity,
    gas_acceleration,
    read_galaxies,
    star_acceleration,
    velocity_error,
)
from rep6.options import add_computing, add_permutations, base_parser, fill_defaults, finish
from rep6.permute import STATISTIC, chunks, count_extreme, lag1, p_value
from rep6.progress import Progress
from rep6.workers import run_tasks

SCHEMA = 1


@dataclass(frozen=True)
class Fitted:
    """A galaxy together with its whitened problem and its fits."""

    galaxy: Galaxy
    problem: Problem
    fit: Fit


def field_at(key: str, galaxy: Galaxy, point: int, pixels: int) -> Array:
    """Field of model `key` at one point of its grid, shape (n,): a task for a worker."""
    model = MODELS[key]
    return model.field(galaxy, model.points[point], pixels)


def all_fields(model: Model, galaxies: Sequence[Galaxy], pixels: int, workers: int, tag: str) -> list[Array]:
    """Fields of every galaxy, each of shape (points, n), (km/s)²/kpc for an amplitude of 1."""
    points = range(len(model.points))
    tasks = [(model.key, galaxy, point, pixels) for galaxy in galaxies for point in points]
    progress = Progress(f"{tag}-maps", len(tasks))
    rows = run_tasks(field_at, tasks, workers=workers, finished=lambda _: progress.advance())
    return [np.array(rows[i : i + len(points)]) for i in range(0, len(rows), len(points))]


def residual_tests(fitted: Sequence[Fitted], options: argparse.Namespace, tag: str) -> list[dict[str, Any] | None]:
    """The permutation test of every galaxy, as JSON; None each if no permutations were asked for."""
    if options.permutations == 0:
        return [None] * len(fitted)
    sizes = chunks(options.permutations, options.chunk)
    tasks = [
        (one.problem, one.fit, size, (options.seed, index, chunk))
        for index, one in enumerate(fitted)
        for chunk, size in enumerate(sizes)
    ]
    progress = Progress(tag, options.permutations * len(fitted))
    counts = run_tasks(
        count_extreme, tasks, workers=options.workers, finished=lambda index: progress.advance(tasks[index][2])
    )
    return [
        {
            "statistic": STATISTIC,
            "observed": float(lag1(one.fit.residuals[one.fit.best])),
            "permutations": options.permutations,
            "p_value": p_value(sum(counts[index * len(sizes) : (index + 1) * len(sizes)]), options.permutations),
        }
        for index, one in enumerate(fitted)
    ]


def curves(one: Fitted, fields: Array) -> dict[str, list[float]]:
    """Velocities in km/s for the plots: observed, gas and stars alone, and the model's best fit."""
    galaxy, fit = one.galaxy, one.fit
    gas, stars = gas_acceleration(galaxy), star_acceleration(galaxy)
    baseline = gas + fit_baryons(one.problem)[0] * stars
    baryons = gas + fit.ml[fit.best] * stars
    total = baryons + fit.amplitude[fit.best] * fields[fit.best]
    columns = {
        "radius_kpc": galaxy.radius,
        "v_obs": galaxy.v_obs,
        "v_err": velocity_error(galaxy.v_obs, galaxy.v_err),
        "v_baseline": circular_velocity(baseline, galaxy.radius),
        "v_baryons": circular_velocity(baryons, galaxy.radius),
        "v_model": circular_velocity(total, galaxy.radius),
        "residuals": fit.residuals[fit.best],
    }
    return {name: [round(float(value), 5) for value in column] for name, column in columns.items()}


def galaxy_result(model: Model, one: Fitted, fields: Array, test: dict[str, Any] | None) -> dict[str, Any]:
    """One galaxy's part of the result file."""
    fit, n, best = one.fit, one.galaxy.radius.size, one.fit.best
    baseline_ml, baseline_chi2 = fit_baryons(one.problem)
    return {
        "name": one.galaxy.name,
        "distance_mpc": one.galaxy.distance_mpc,
        "radii": n,
        "data_sha256": one.galaxy.sha256,
        "ml_disk": float(fit.ml[best]),
        "ml_at_bound": bool(fit.ml[best] == 0),
        "amplitude": float(fit.amplitude[best]),
        "chi2": float(fit.chi2[best]),
        "parameters": model.parameters,
        "aicc": aicc(float(fit.chi2[best]), n, model.parameters),
        "best": dict(model.points[best]),
        "baseline": {"ml_disk": baseline_ml, "chi2": baseline_chi2, "parameters": 1, "aicc": aicc(baseline_chi2, n, 1)},
        "residual_test": test,
        "grid": [
            {**point, "ml_disk": float(fit.ml[i]), "amplitude": float(fit.amplitude[i]), "chi2": float(fit.chi2[i])}
            for i, point in enumerate(model.points)
        ],
        "curves": curves(one, fields),
    }


def provenance(options: argparse.Namespace, names: Sequence[str], started: float) -> dict[str, Any]:
    """The head of every result file: options used, time taken (s), versions."""
    return {
        "schema": SCHEMA,
        "mode": options.mode,
        "options": {name: getattr(options, name) for name in names},
        "created": datetime.now().astimezone().isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - started, 2),
        "versions": {"python": platform.python_version(), "numpy": np.__version__, "scipy": scipy.__version__},
    }


def compute(key: str, options: argparse.Namespace) -> None:
    """Read, fit, test and write; InputError if anything is wrong with the input."""
    started = time.monotonic()
    model, tag = MODELS[key], f"rep6-{key}"
    galaxies = read_galaxies(options.data)
    fields = all_fields(model, galaxies, options.grid, options.workers, tag)
    problems = [make_problem(galaxy, field) for galaxy, field in zip(galaxies, fields, strict=True)]
    fitted = [Fitted(galaxy, problem, fit_points(problem)) for galaxy, problem in zip(galaxies, problems, strict=True)]
    tests = residual_tests(fitted, options, tag)
    names = ("grid", "permutations", "chunk", "seed", "workers")
    result = {
        **provenance(options, names, started),
        "model": key,
        "title": model.title,
        "amplitude_unit": model.amplitude_unit,
        "bulge_to_disk_ml": BULGE_TO_DISK_ML,
        "galaxies": [galaxy_result(model, *parts) for parts in zip(fitted, fields, tests, strict=True)],
    }
    path = options.out or result_path(options.root, f"rep6_{key}", options.mode)
    write_json(path, result)
    print(f"[{tag}] wrote {path}")


def main(key: str, program: str, description: str, arguments: Sequence[str] | None = None) -> int:
    """Entry of run_rep6_ws.py and run_rep6_phieta.py: returns the exit status."""
    parser = base_parser(description)
    add_computing(parser)
    add_permutations(parser)
    options = parser.parse_args(arguments)
    fill_defaults(options)
    return finish(program, lambda: compute(key, options))
