"""What is known exactly of selection: who wins tournaments, which mutants are fixed, how shares and diversity go."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def rank_shares(n: int, size: int) -> NDArray[np.float64]:
    """How often each rank [n], the least fit first, wins a tournament of ``size`` drawn with replacement."""
    rank = np.arange(1, n + 1, dtype=np.float64)
    shares: NDArray[np.float64] = (rank**size - (rank - 1) ** size) / n**size
    return shares


def moran_fixation(n: int, r: float) -> float:
    """The chance of one mutant of relative fitness r among n to become the ancestor of all (Moran 1958)."""
    return 1 / n if r == 1 else (1 - 1 / r) / (1 - r**-n)


def tied_shares(worth: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """How often each [n] wins a tournament where equals share evenly the ranks that they have together."""
    of_rank = rank_shares(len(worth), size)
    in_order = np.sort(worth)
    return np.array([of_rank[in_order == one].mean() for one in worth])


def tournament_map(x: float, *, size: int, turnover: float = 1.0) -> float:
    """The share of the fitter of two kinds after a selection in a large population, before which it is x.

    The less fit die first. The fitter win every tournament that one of them enters: 1 - (1 - x)^size of them, where x
    is their share of those that are left (of all, where all are replaced at once).
    """
    if turnover == 1:
        return 1 - (1 - x) ** size
    left = min(x / (1 - turnover), 1.0)
    return left * (1 - turnover) + turnover * (1 - (1 - left) ** size)


def moran_map(x: float, *, r: float, turnover: float = 1.0) -> float:
    """The same where death is blind and birth in proportion to fitness: the replicator equation in discrete time.

    Where all are replaced at once the odds grow by r in a generation.
    """
    return x + turnover * (r * x / (1 + (r - 1) * x) - x)


def course_of(
    selection: str, turnover: float, r: float, *, start: float, steps: int, n: int
) -> tuple[list[float], list[float]]:
    """The share of the fitter after 0 to ``steps`` selections of n agents, and its variance, to first order.

    Each newborn is of the fitter kind or not by chance (binomial); in the Moran process the dead are drawn evenly
    without replacement (hypergeometric), in tournaments of 3 they are all of the other kind.
    """

    def following(x: float) -> float:
        if selection == "moran":
            return moran_map(x, r=r, turnover=turnover)
        return tournament_map(x, size=3, turnover=turnover)

    shares, variances = [start], [0.0]
    for _ in range(steps):
        x = shares[-1]
        blind = selection == "moran"
        parents = moran_map(x, r=r) if blind else tournament_map(min(x / (1 - turnover), 1.0), size=3)
        drawn = turnover * parents * (1 - parents) / n + blind * turnover * (1 - turnover) * x * (1 - x) / (n - 1)
        slope = (following(x + 1e-6) - following(x - 1e-6)) / 2e-6
        shares.append(following(x))
        variances.append(slope**2 * variances[-1] + drawn)
    return shares, variances


def kept_diversity(n: int, deaths: int, *, from_all: bool) -> float:
    """The share of heterozygosity that one selection among equals leaves (Moran 1958; Wright 1931 where all die).

    Two agents descend from one if the younger's parent is the other, or they are siblings. Parents are drawn from all
    n who lived before, or from those that are left (one death then costs the most, 2 / (n (n - 1))).
    """
    pairs_with_newborn = deaths * (deaths - 1) + 2 * deaths * (n - deaths)
    return 1 - pairs_with_newborn / (n * (n - 1) * (n if from_all else n - deaths))


def time_to_common_ancestor(n: int) -> tuple[float, float]:
    """Mean and variance of the number of single births since all n were one, the parent being one of the survivors.

    With k lineages a birth joins two with the chance k (k - 1) / (n (n - 1)) (the coalescent, Kingman 1982); in all
    (n - 1)^2 births on average.
    """
    k = np.arange(2, n + 1)
    rate = k * (k - 1) / (n * (n - 1))
    return float((1 / rate).sum()), float(((1 - rate) / rate**2).sum())
