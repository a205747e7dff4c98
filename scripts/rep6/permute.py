"""Permutation test: are a fit's residuals in order of radius more alike than chance would have them?

Statistic: the lag-1 autocorrelation of the whitened residuals. A model of the wrong shape leaves residuals that
keep their sign over neighbouring radii, so only large positive values count (a one-sided test).

Null distribution: residuals of a fit are not independent even if the errors are, because the fit has already used
some of their freedom. Hence each draw permutes the residuals, adds them to the best fit's curve, and fits again at
every point of the grid, choosing the best one anew (Freedman & Lane 1983, J. Bus. Econ. Stat. 1, 292). The p-value is
(1 + number of draws at least as large)/(1 + number of draws), which is never zero.

Memory: a chunk of draws holds about three arrays of chunk × points × radii × 8 bytes at once, on purpose: it is what
makes FULL mode a heavy job. `--chunk` bounds it.
"""

from __future__ import annotations

import numpy as np

from rep6.fit import Fit, Problem, residuals_of, solve
from rep6.galaxy import Array

STATISTIC = "lag-1 autocorrelation of the standardised residuals"


def lag1(residuals: Array) -> Array:
    """Lag-1 autocorrelation along the last axis: shape (..., n) gives (...)."""
    centred = residuals - residuals.mean(axis=-1, keepdims=True)
    products = np.einsum("...n,...n->...", centred[..., :-1], centred[..., 1:])
    result: Array = products / np.einsum("...n,...n->...", centred, centred)
    return result


def null_draws(problem: Problem, fit: Fit, draws: int, seed: tuple[int, ...]) -> Array:
    """The statistic of `draws` permuted and refitted data sets, shape (draws,).

    seed: any tuple of non-negative integers; one per chunk, so that the result does not depend on which worker does
    which chunk.
    """
    rng = np.random.default_rng(seed)
    residuals = fit.residuals[fit.best]
    targets = rng.permuted(np.broadcast_to(residuals, (draws, residuals.size)), axis=1)
    targets += problem.target - residuals
    design = problem.design
    refitted = residuals_of(design, targets, solve(design, targets))
    chi2 = np.einsum("gpn,gpn->gp", refitted, refitted)
    return lag1(refitted[np.argmin(chi2, axis=0), np.arange(draws)])


def count_extreme(problem: Problem, fit: Fit, draws: int, seed: tuple[int, ...]) -> int:
    """How many of `draws` draws have a statistic at least as large as the observed one."""
    observed = lag1(fit.residuals[fit.best])
    # Draws that repeat the observed order must count as equal in spite of rounding.
    return int(np.count_nonzero(null_draws(problem, fit, draws, seed) >= observed - 1e-12))


def p_value(extreme: int, draws: int) -> float:
    """One-sided p-value of a permutation test (Phipson & Smyth 2010, Stat. Appl. Genet. Mol. Biol. 9, 39)."""
    return (1 + extreme) / (1 + draws)


def chunks(total: int, size: int) -> list[int]:
    """Sizes of the chunks that `total` draws are split into: all of `size` but perhaps the last."""
    return [min(size, total - start) for start in range(0, total, size)]
