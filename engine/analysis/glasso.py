"""The graphical lasso with a penalty of its own for every pair, which scikit-learn's does not take.

minimise  −log det Θ + tr(S Θ) + Σ_{i≠j} ρ_ij |Θ_ij|  (Friedman, Hastie & Tibshirani 2008), by the alternating direction
method of multipliers (Boyd et al. 2011, §6.5): one eigendecomposition and one soft threshold a step.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.metrics.ranks import Doubles

STEPS = 500
TOLERANCE = 1e-4  # of both residuals, relative


class Precision(NamedTuple):
    """theta: the sparse inverse covariance. covariance: its inverse. Shape (p, p) each. converged: within STEPS."""

    theta: Doubles
    covariance: Doubles
    converged: bool


def graphical_lasso(s: Doubles, penalty: Doubles, *, steps: int = STEPS, tolerance: float = TOLERANCE) -> Precision:
    """The penalised estimate for the covariance s. penalty: symmetric, its diagonal is not used.

    Variables are scaled to unit variance inside and back; the penalty is applied to the unscaled problem.
    """
    p = len(s)
    scale = np.sqrt(np.maximum(np.diag(s), 1e-12))
    unit, weight = s / np.outer(scale, scale), penalty / np.outer(scale, scale)
    np.fill_diagonal(weight, 0.0)
    rho, z, u = 1.0, np.eye(p), np.zeros((p, p))
    converged = False
    for _ in range(steps):
        values, vectors = np.linalg.eigh(rho * (z - u) - unit)
        theta = (vectors * ((values + np.sqrt(values**2 + 4 * rho)) / (2 * rho))) @ vectors.T
        before = z
        z = _soft(theta + u, weight / rho)
        u = u + theta - z
        primal, dual = float(np.linalg.norm(theta - z)), rho * float(np.linalg.norm(z - before))
        size = max(float(np.linalg.norm(theta)), float(np.linalg.norm(z)), 1.0)
        converged = primal <= tolerance * size and dual <= tolerance * max(rho * float(np.linalg.norm(u)), 1.0)
        if converged:
            break
        rho, u = _balanced(rho, u, primal, dual)
    covariance = np.linalg.inv(_positive(z))
    return Precision(z / np.outer(scale, scale), covariance * np.outer(scale, scale), converged)


def _soft(x: Doubles, by: Doubles) -> Doubles:
    return np.asarray(np.sign(x) * np.maximum(np.abs(x) - by, 0.0))


def _balanced(rho: float, u: Doubles, primal: float, dual: float) -> tuple[float, Doubles]:
    """Boyd et al. 2011, §3.4.1: neither residual runs ahead of the other."""
    if primal > 10 * dual:
        return rho * 2, u / 2
    if dual > 10 * primal:
        return rho / 2, u * 2
    return rho, u


def _positive(theta: Doubles) -> Doubles:
    """The thresholded iterate may lie a hair outside the positive definite matrices: it is lifted back."""
    least = float(np.linalg.eigvalsh(theta)[0])
    return theta if least > 1e-6 else np.asarray(theta + (1e-6 - least) * np.eye(len(theta)))
