"""Whether two figures go together, by their ranks, and what is left of it once a third is known; with intervals.

Ranks, because nobody says that twice the AP should be twice anything. Intervals are those of the percentile bootstrap
(Efron 1979, section 2): as many rows are drawn from the rows there are, again and again.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from experiments.compared import CONFIDENCE

RESAMPLED = 4000
"""How often rows are drawn."""
FEWEST = 8
"""With fewer rows, what is drawn is too often the same few for an interval to mean anything."""
CERTAIN = 1e-9
"""Where less than this share of a figure's ranks is left once another is known, nothing can go with the rest."""

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Correlation:
    """A rank correlation over ``rows`` rows and its interval; nan where one is not defined."""

    value: float
    low: float
    high: float
    rows: int

    @property
    def sign(self) -> int:
        """1 or -1 where the whole interval is above or below 0, and 0 where it is not, or is not known."""
        return int(self.low > 0) - int(self.high < 0)

    @property
    def judged(self) -> bool:
        """Whether there is an interval."""
        return math.isfinite(self.low)


def spearman(x: Floats, y: Floats) -> Floats:
    """Correlation of the ranks of ``x`` and ``y`` [..., n], ties at their mean rank (Spearman 1904): [...].

    nan where one of them is the same everywhere.
    """
    a, b = (_centred(rankdata(values, axis=-1)) for values in (x, y))
    scale = np.sqrt(np.square(a).sum(axis=-1) * np.square(b).sum(axis=-1))
    with np.errstate(invalid="ignore"):
        return np.asarray((a * b).sum(axis=-1) / np.where(scale > 0, scale, np.nan))


def partial(x: Floats, y: Floats, given: Floats) -> Floats:
    """What of `spearman` of ``x`` and ``y`` [..., n] is left once ``given`` [..., n] is known: [...].

    The correlation of what the ranks of ``given`` do not foretell of theirs, by a straight line (Yule 1907, eq. 12, on
    ranks). nan where they foretell one of them wholly.
    """
    xy, xz, yz = spearman(x, y), spearman(x, given), spearman(y, given)
    left = (1 - np.square(xz)) * (1 - np.square(yz))
    return np.asarray((xy - xz * yz) / np.sqrt(np.where(left > CERTAIN, left, np.nan)))


def over_rows(statistic: Callable[..., Floats], *figures: Floats) -> Correlation:
    """A statistic of ``figures``, each [rows], and its interval; rows of which one is not known are left out.

    There is no interval where more of the drawn samples than it leaves out have no such statistic.
    """
    known = np.stack(figures)
    known = known[:, np.isfinite(known).all(axis=0)]
    n = known.shape[1]
    value = float(statistic(*known)) if n > 2 else math.nan
    if n < FEWEST or not math.isfinite(value):
        return Correlation(value=value, low=math.nan, high=math.nan, rows=n)
    drawn = np.random.default_rng(0).integers(n, size=(RESAMPLED, n))
    values = statistic(*known[:, drawn])
    low, high = np.nan, np.nan
    if np.isnan(values).mean() <= 1 - CONFIDENCE:
        outside = (1 - CONFIDENCE) / 2
        low, high = np.nanquantile(values, (outside, 1 - outside))
    return Correlation(value=value, low=float(low), high=float(high), rows=n)


def _centred(values: Floats) -> Floats:
    return np.asarray(values - values.mean(axis=-1, keepdims=True))
