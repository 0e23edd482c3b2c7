"""Rank correlations and what is left of them, beside scipy, by hand, and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import pearsonr, rankdata, spearmanr

from experiments.rank_correlation import FEWEST, over_rows, partial, spearman


def test_ranks_correlate_as_in_scipy():
    rng = np.random.default_rng(0)
    for _ in range(20):
        x, y = rng.integers(0, 6, size=(2, 15)).astype(float)
        assert spearman(x, y) == pytest.approx(spearmanr(x, y).statistic)
    x, y = rng.standard_normal((2, 3, 9))
    assert spearman(x, y).shape == (3,)
    assert spearman(np.arange(5.0), np.exp(np.arange(5.0))) == pytest.approx(1)
    assert np.isnan(spearman(np.ones(5), np.arange(5.0)))


def test_what_is_left_is_what_the_residuals_of_ranks_have_in_common():
    rng = np.random.default_rng(1)
    x, y, z = rng.standard_normal((3, 25)) + rng.standard_normal(25)
    a, b, c = (rankdata(values) for values in (x, y, z))
    residuals = [values - np.polyval(np.polyfit(c, values, 1), c) for values in (a, b)]
    assert partial(x, y, z) == pytest.approx(pearsonr(*residuals).statistic)
    assert partial(x, y, z) == partial(y, x, z)
    assert np.isnan(partial(x, y, x)), "wholly foretold"


def test_a_common_cause_leaves_nothing():
    rng = np.random.default_rng(2)
    cause = rng.standard_normal(4000)
    x, y = cause + 0.5 * rng.standard_normal((2, 4000))
    assert spearman(x, y) > 0.7
    assert abs(partial(x, y, cause)) < 0.05


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    """For normal variables the rank correlation is 6 / pi asin(rho / 2) (Pearson 1907)."""
    rng, rho, n = np.random.default_rng(3), 0.6, 25
    truth = 6 / np.pi * np.arcsin(rho / 2)
    held = 0
    for _ in range(60):
        x = rng.standard_normal(n)
        found = over_rows(spearman, x, rho * x + np.sqrt(1 - rho**2) * rng.standard_normal(n))
        held += found.low <= truth <= found.high
    assert held >= 50


def test_few_rows_have_no_interval_and_unknown_ones_are_left_out():
    x = np.arange(float(FEWEST))
    whole = over_rows(spearman, x, x)
    assert (whole.value, whole.sign, whole.rows) == (pytest.approx(1), 1, FEWEST)
    few = over_rows(spearman, x, np.where(x == 3, np.nan, -x))
    assert (few.value, few.sign, few.judged, few.rows) == (pytest.approx(-1), 0, False, FEWEST - 1)
    assert np.isnan(over_rows(spearman, x[:2], x[:2]).value)
    assert over_rows(spearman, x, x[::-1]).sign == -1


def test_what_is_often_undefined_has_no_interval():
    x = np.arange(12.0)
    almost = x.copy()
    almost[[4, 5]] = almost[[5, 4]]
    found = over_rows(partial, np.random.default_rng(4).permutation(x), x, almost)
    assert np.isfinite(found.value)
    assert not found.judged, "without the two that differ nothing is left to go with anything"
    assert found.sign == 0
