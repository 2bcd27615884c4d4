"""Linear regression with its exact posterior: the prior is conjugate, so nothing is approximated.

The prior of the coefficients is normal with precision `ridge` in units of the noise, and flat for
the intercept; the variance of the noise has the prior 1/σ². So the posterior mean is the ridge
estimate. Without a ridge it is the least-squares estimate, and the intervals are the classical
ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import ImpactError

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Posterior:
    """The joint posterior of the coefficients, the intercept first, and of the noise.

    The variance of the noise is `degrees * scale / χ²(degrees)`; given it, the coefficients are
    normal around `mean` with `root @ root.T` times it as their covariance.
    """

    mean: Floats
    root: Floats
    degrees: float
    scale: float

    @property
    def covariance(self) -> Floats:
        """The covariance of the coefficients over all noise. Needs 3 degrees of freedom."""
        spread = self.degrees / (self.degrees - 2) * self.scale
        return spread * (self.root @ self.root.T)


@dataclass(frozen=True, slots=True)
class Draws:
    """Draws from a posterior: a row of coefficients, and the deviation of the noise, for each."""

    coefficients: Floats
    deviations: Floats


def fit(design: Floats, response: Floats, ridge: float = 0.0) -> Posterior:
    """The posterior of the regression of `response` on the columns of `design`.

    Adds an intercept, which the ridge does not shrink. Raises `ImpactError` if the data do not
    determine the coefficients.
    """
    rows, columns = design.shape
    if not (np.isfinite(design).all() and np.isfinite(response).all()):
        raise ImpactError("the data hold numbers that are not finite; drop those rows")
    if not (np.isfinite(ridge) and ridge >= 0):
        raise ImpactError(f"the ridge is {ridge:g} and must be 0 or more")
    degrees = rows - 1 - (0 if ridge else columns)
    if degrees < 3:
        raise ImpactError(f"{rows} rows are too few for {columns} covariates")
    # The prior acts like additional rows of data.
    penalty = np.sqrt(ridge) * np.eye(columns, columns + 1, 1)
    q, r = np.linalg.qr(np.vstack([with_intercept(design), penalty]))
    diagonal = np.abs(np.diag(r))
    if diagonal.min() <= diagonal.max() * rows * np.finfo(float).eps:
        raise ImpactError("some covariates follow from others; drop them, or give a ridge above 0")
    target = np.concatenate([response, np.zeros(columns)])
    root = np.linalg.inv(r)
    mean = root @ (q.T @ target)
    left = target - np.vstack([with_intercept(design), penalty]) @ mean
    return Posterior(mean, root, float(degrees), float(left @ left / degrees))


def with_intercept(design: Floats) -> Floats:
    """The design with a first column of ones."""
    return np.hstack([np.ones((len(design), 1)), design])


def draw(posterior: Posterior, seed: int, draws: int, at_once: int) -> Iterator[Draws]:
    """`draws` draws, `at_once` at a time. Their values do not depend on `at_once`."""
    normal, chi = (np.random.default_rng(part) for part in np.random.SeedSequence(seed).spawn(2))
    for start in range(0, draws, at_once):
        count = min(at_once, draws - start)
        chances = chi.chisquare(posterior.degrees, count)
        deviations = np.sqrt(posterior.degrees * posterior.scale / chances)
        standard = normal.standard_normal((count, len(posterior.mean)))
        around = deviations[:, np.newaxis] * (standard @ posterior.root.T)
        yield Draws(posterior.mean + around, deviations)
