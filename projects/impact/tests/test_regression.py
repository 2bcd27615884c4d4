"""The posterior against the same regression by statsmodels, which knows nothing of Bayes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from impact.errors import ImpactError
from impact.regression import Floats, Posterior, draw, fit, with_intercept
from impact.sources import Trial


@pytest.fixture(scope="module")
def least_squares(trial: Trial) -> Any:
    """The ordinary regression on the same data."""
    from statsmodels.regression.linear_model import OLS

    return OLS(trial.response, with_intercept(trial.design))


@pytest.fixture(scope="module")
def posterior(trial: Trial) -> Posterior:
    """The posterior without a ridge."""
    return fit(trial.design, trial.response)


def drawn(posterior: Posterior, seed: int = 0, count: int = 20_000) -> tuple[Floats, Floats]:
    """That many draws at once: coefficients and variances."""
    [draws] = draw(posterior, seed, count, count)
    return draws.coefficients, draws.deviations**2


def test_the_posterior_mean_is_the_estimate_of_least_squares(
    posterior: Posterior, least_squares: Any
) -> None:
    assert posterior.mean == pytest.approx(least_squares.fit().params, rel=1e-9)


def test_the_intervals_of_the_posterior_are_the_classical_ones(
    posterior: Posterior, least_squares: Any
) -> None:
    from scipy.stats import t

    spread = np.sqrt(posterior.scale * (posterior.root**2).sum(axis=1))
    half = t(posterior.degrees).ppf(0.975) * spread
    classical = least_squares.fit().conf_int()
    assert posterior.mean - half == pytest.approx(classical[:, 0], rel=1e-8)
    assert posterior.mean + half == pytest.approx(classical[:, 1], rel=1e-8)


@pytest.mark.parametrize("ridge", [0.5, 100.0, 20_000.0])
def test_with_a_ridge_the_posterior_mean_is_the_ridge_estimate(
    trial: Trial, least_squares: Any, ridge: float
) -> None:
    penalty = np.full(len(trial.names) + 1, ridge / len(trial.response))
    penalty[0] = 0  # the intercept is not shrunk
    estimate = least_squares.fit_regularized(alpha=penalty, L1_wt=0).params
    assert fit(trial.design, trial.response, ridge).mean == pytest.approx(estimate, rel=1e-6)


def test_a_larger_ridge_shrinks_the_coefficients_more_but_not_the_level(trial: Trial) -> None:
    fits = [fit(trial.design, trial.response, ridge) for ridge in (0, 1e3, 1e6, 1e9)]
    sizes = [np.linalg.norm(posterior.mean[1:]) for posterior in fits]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 1e-3
    assert fits[-1].mean[0] == pytest.approx(trial.response.mean(), abs=1e-3)


def test_draws_have_the_mean_and_the_covariance_of_the_posterior(posterior: Posterior) -> None:
    coefficients, _ = drawn(posterior)
    spread = np.sqrt(np.diag(posterior.covariance))
    off = (coefficients.mean(axis=0) - posterior.mean) / spread
    assert np.abs(off).max() < 5 / np.sqrt(len(coefficients))
    # In units of what is expected: the identity, but for chance.
    standard = np.linalg.inv(np.linalg.cholesky(posterior.covariance))
    seen = standard @ np.cov(coefficients.T) @ standard.T
    assert np.abs(seen - np.eye(len(seen))).max() < 0.06


def test_draws_of_the_variance_have_its_posterior_mean_and_spread(trial: Trial) -> None:
    few = fit(trial.design[::500], trial.response[::500])
    _, variances = drawn(few)
    degrees = few.degrees
    mean = few.scale * degrees / (degrees - 2)
    assert variances.mean() == pytest.approx(mean, rel=0.02)
    assert variances.std() == pytest.approx(mean * np.sqrt(2 / (degrees - 4)), rel=0.08)


@pytest.mark.parametrize("at_once", [1, 7, 99, 100])
def test_which_draws_they_are_does_not_depend_on_how_many_come_at_once(
    posterior: Posterior, at_once: int
) -> None:
    parts = list(draw(posterior, 3, 100, at_once))
    [whole] = draw(posterior, 3, 100, 1000)
    assert np.allclose(np.vstack([part.coefficients for part in parts]), whole.coefficients)
    assert np.array_equal(np.hstack([part.deviations for part in parts]), whole.deviations)


def test_another_seed_gives_other_draws(posterior: Posterior) -> None:
    assert not np.isclose(drawn(posterior, 1, 50)[0], drawn(posterior, 2, 50)[0]).any()


def test_covariates_that_follow_from_others_are_refused_unless_there_is_a_ridge(
    trial: Trial,
) -> None:
    twice = np.hstack([trial.design, trial.design[:, :1] * 2])
    with pytest.raises(ImpactError, match="some covariates follow from others"):
        fit(twice, trial.response)
    assert np.isfinite(fit(twice, trial.response, ridge=1.0).mean).all()


@pytest.mark.parametrize("ridge", [-1.0, float("nan"), float("inf")])
def test_a_ridge_that_is_none_is_refused(trial: Trial, ridge: float) -> None:
    with pytest.raises(ImpactError, match="must be 0 or more"):
        fit(trial.design, trial.response, ridge)


def test_too_few_rows_are_refused(trial: Trial) -> None:
    with pytest.raises(ImpactError, match="12 rows are too few for 9 covariates"):
        fit(trial.design[:12], trial.response[:12])


def test_numbers_that_are_not_finite_are_refused(trial: Trial) -> None:
    response = trial.response.copy()
    response[5] = np.nan
    with pytest.raises(ImpactError, match="not finite; drop those rows"):
        fit(trial.design, response)
