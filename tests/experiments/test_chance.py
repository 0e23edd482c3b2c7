"""What chance allows a figure."""

import numpy as np
import pytest
from scipy.stats import binom, chisquare

from experiments.limits.chance import RARELY, about, chance_error, chi_square, even, share

ROW = {"group": "tea", "name": "sugar", "source": "the cook"}


def test_chi_square_is_pearsons() -> None:
    counts, expected = np.array([10, 25, 30]), np.array([15.0, 20.0, 30.0])
    assert chi_square(counts, expected) == pytest.approx(chisquare(counts, expected).statistic)
    assert chi_square(counts, 65 / 3) == pytest.approx(chisquare(counts).statistic)
    assert chi_square(counts, expected, stretch=2.0) == pytest.approx(chi_square(counts, expected) / 2)


def test_a_share_may_be_off_as_rarely_as_is_said() -> None:
    n, p, seeds = 400, 0.3, 5
    tolerance = share(np.full(seeds, p), expected=p, of=n, **ROW).tolerance
    outside = binom.cdf(np.ceil(n * seeds * (p - tolerance)) - 1, n * seeds, p)
    outside += binom.sf(np.floor(n * seeds * (p + tolerance)), n * seeds, p)
    assert RARELY / 3 < outside < RARELY * 3


def test_what_is_further_off_than_chance_takes_it_is_not_ok() -> None:
    near, far = 0.5 + 0.99 * chance_error(0.01, 4), 0.5 + 1.01 * chance_error(0.01, 4)
    assert about(np.full(4, near), expected=0.5, variance=0.01, **ROW).ok
    assert not about(np.full(4, far), expected=0.5, variance=0.01, **ROW).ok
    assert about(np.full(4, far), expected=0.5, variance=0.01, allowance=0.1, **ROW).ok


def test_counts_that_only_chance_makes_uneven_are_even_and_others_are_not() -> None:
    rng = np.random.default_rng(0)
    fair = [chi_square(rng.multinomial(600, np.full(6, 1 / 6)), 100.0) for _ in range(400)]
    assert all(even(fair[i : i + 4], df=5, **ROW).ok for i in range(0, 400, 4))
    unfair = [chi_square(rng.multinomial(600, [0.25, 0.15, 0.15, 0.15, 0.15, 0.15]), 100.0) for _ in range(4)]
    assert not even(unfair, df=5, **ROW).ok
    assert not even([0.0, 0.0, 0.0, 0.0], df=5, **ROW).ok, "taking turns is not chance"
