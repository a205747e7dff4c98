"""Weighted least squares for (M/L, amplitude) at every point of a model's grid, and its AICc."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rep6.galaxy import Array, Galaxy, gas_acceleration, observed_acceleration, star_acceleration


@dataclass(frozen=True)
class Problem:
    """One galaxy's fit in whitened form: target (n,), stars (n,), fields (points, n)."""

    target: Array
    stars: Array
    fields: Array

    @property
    def design(self) -> Array:
        """Columns (stars, field) for each point: shape (points, n, 2)."""
        stars = np.broadcast_to(self.stars, self.fields.shape)
        return np.stack([stars, self.fields], axis=2)


@dataclass(frozen=True)
class Fit:
    """The fits of one galaxy at every point: all but best have a leading axis of points."""

    ml: Array
    amplitude: Array
    chi2: Array
    residuals: Array
    best: int


def make_problem(galaxy: Galaxy, fields: Array) -> Problem:
    """Whitened problem of a galaxy; fields has shape (points, n), (km/s)²/kpc for an amplitude of 1."""
    observed, sigma = observed_acceleration(galaxy)
    target = (observed - gas_acceleration(galaxy)) / sigma
    return Problem(target, star_acceleration(galaxy) / sigma, fields / sigma)


def solve(design: Array, targets: Array) -> Array:
    """Least-squares (M/L, amplitude) with M/L ≥ 0, for every point and target: shape (points, P, 2).

    design: (points, n, 2); targets: (P, n); both whitened. The amplitude may have either sign. The sum of squares is
    convex, so where its free minimum has M/L < 0 the constrained minimum lies on M/L = 0: M/L is set to 0 there
    and the amplitude fitted again alone. That is exact, not a clipping of M/L with the old amplitude.
    """
    scale = np.linalg.norm(design, axis=1)
    columns = design / scale[:, None, :]
    overlap = np.einsum("gn,gn->g", columns[..., 0], columns[..., 1])[:, None]
    stars, field = np.moveaxis(np.matmul(targets, columns), 2, 0)
    ml = (stars - overlap * field) / (1 - overlap**2)
    outside = ml < 0
    ml = np.where(outside, 0.0, ml)
    amplitude = np.where(outside, field, field - overlap * ml)
    coefficients: Array = np.stack([ml, amplitude], axis=2) / scale[:, None, :]
    return coefficients


def residuals_of(design: Array, targets: Array, coefficients: Array) -> Array:
    """Whitened residuals, shape (points, P, n), from the arguments and the result of solve."""
    residuals: Array = targets - np.matmul(coefficients, design.transpose(0, 2, 1))
    return residuals


def fit_points(problem: Problem) -> Fit:
    """Fit one galaxy at every point of the grid; best is the point with the least chi2."""
    design = problem.design
    targets = problem.target[None, :]
    coefficients = solve(design, targets)
    residuals = residuals_of(design, targets, coefficients)[:, 0]
    chi2 = np.einsum("gn,gn->g", residuals, residuals)
    return Fit(coefficients[:, 0, 0], coefficients[:, 0, 1], chi2, residuals, int(np.argmin(chi2)))


def fit_baryons(problem: Problem, amplitude: float = 0.0, point: int = 0) -> tuple[float, float]:
    """(M/L, chi2) with the amplitude held fixed and M/L ≥ 0; by default 0, that is gas and stars alone."""
    target = problem.target - amplitude * problem.fields[point]
    ml = max(0.0, float(target @ problem.stars / (problem.stars @ problem.stars)))
    residuals = target - ml * problem.stars
    return ml, float(residuals @ residuals)


def aicc(chi2: float, n: int, k: int) -> float:
    """Akaike's criterion with the small-sample correction: chi2 + 2k + 2k(k+1)/(n-k-1).

    Errors are taken as known and Gaussian, so -2·ln L is chi2 up to a constant (Hurvich & Tsai 1989, Biometrika 76,
    297). k counts the parameters chosen on the grid too, n the radii.
    """
    if n <= k + 1:
        raise ValueError(f"AICc needs more than {k + 1} data for {k} parameters, not {n}")
    return chi2 + 2 * k + 2 * k * (k + 1) / (n - k - 1)
