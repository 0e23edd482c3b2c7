"""What chance allows a figure, where that is known exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2, norm

from experiments.limits.rows import Row, Samples, judged

RARELY = 1e-5
"""How often chance alone may turn a row red."""

DEVIATIONS = float(norm.isf(RARELY / 2))

SIGMAS = 4.0
"""Standard errors that are put down to chance where they are estimated: 6 in 100,000 are further off."""


def chance_error(variance: float, seeds: int) -> float:
    """How far the mean over seeds of a figure of this variance may be off by chance."""
    return DEVIATIONS * float(np.sqrt(variance / seeds))


def about(samples: Samples, *, expected: float, variance: float, allowance: float = 0.0, **given: Any) -> Row:
    """The row of a figure that has this variance for one seed.

    ``allowance`` is what the making of the figure takes away or adds beside chance.
    """
    tolerance = chance_error(variance, len(samples)) + allowance
    return judged(samples, relation="about", expected=expected, tolerance=tolerance, **given)


def share(samples: Samples, *, expected: float, of: int, **given: Any) -> Row:
    """The row of a share of ``of`` independent cases for each seed (binomial)."""
    return about(samples, expected=expected, variance=expected * (1 - expected) / of, **given)


def chi_square(counts: NDArray[np.integer], expected: NDArray[np.float64] | float, *, stretch: float = 1.0) -> float:
    """Pearson's sum of (counted - expected)^2 / expected.

    Where cases are not drawn one by one (whoever has met somebody cannot meet others) the sum is distributed as
    chi-square once it is divided by ``stretch``, the variance that each count has in units of its expected value.
    """
    return float(((counts - expected) ** 2 / (expected * stretch)).sum())


def even(samples: Samples, *, df: int, **given: Any) -> Row:
    """The row of a `chi_square` with ``df`` degrees of freedom for each seed: what chance makes of it, and no less.

    Less than chance means that cases took turns.
    """
    seeds = len(samples)
    low, high = (float(chi2.ppf(p, df * seeds)) / seeds for p in (RARELY / 2, 1 - RARELY / 2))
    return judged(
        samples,
        relation="about",
        expected=(low + high) / 2,
        tolerance=(high - low) / 2,
        note=f"chance makes it {df} on average, seldom less than {low:.2g}",
        **given,
    )
