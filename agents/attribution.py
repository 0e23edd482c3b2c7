"""Phase 5, attribute: how much of an outcome was me, and which of my dimensions; how much the others; how much luck.

Per event the exact Shapley value (Shapley 1953) of a game whose players are the own dimensions and "the others":
what each fact, once known, adds to the expected outcome, averaged over all orders in which the facts could have
become known. Credits and luck add up to outcome minus expectation.

Over many events the shares of the outcome's variance: Shapley values of R^2 (LMG; Lindeman, Merenda & Gold 1980).
Self-serving bias is a separate, later step that multiplies the own share only.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

from agents.config import SocietyConfig
from agents.meeting import Experience, partner_success
from agents.perception import heights
from agents.population import Population
from agents.superiority import ACQUAINTANCES, body_heights, higher
from agents.world import World

PART = 8192
"""Experiences that are split at a time: so few that what is worked out on the way stays near the processor."""

NO_VARIANCE = 1e-9
"""Share of its second moment up to which a variance is rounding: less than one outcome unlike 10^9 others makes."""

MAX_PLAYERS = 9
"""Eight own dimensions and "the others": 512 coalitions."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Credits:
    """Who is credited with n outcomes: ``outcome = expectation + own + others + luck``, each float64 [n].

    ``own`` belongs to the one dimension in use: to the other dimensions of the view the event says nothing, so their
    Shapley value is 0 (the dummy axiom).
    """

    expectation: NDArray[np.float64]
    own: NDArray[np.float64]
    others: NDArray[np.float64]
    luck: NDArray[np.float64]


def shapley(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Exact Shapley values [..., n] of games given by the worth of every coalition.

    Parameters
    ----------
    values : [..., 2^n]; entry ``s`` is the worth of the coalition whose members are the set bits of ``s``

    Raises
    ------
    ValueError
        If the last axis is not a power of two, or there are more than nine players.
    """
    worth = np.asarray(values, dtype=np.float64)
    n = max(worth.shape[-1].bit_length() - 1, 0)
    if worth.shape[-1] != 1 << n or n > MAX_PLAYERS:
        raise ValueError(
            f"a game has the worth of 2^n coalitions of at most {MAX_PLAYERS} players, not {worth.shape[-1]} values"
        )
    coalitions = np.arange(1 << n)
    size = np.array([int(s).bit_count() for s in coalitions])
    credit = np.empty((*worth.shape[:-1], n))
    for player in range(n):
        without = coalitions[(coalitions >> player) & 1 == 0]
        weight = np.array([math.factorial(k) * math.factorial(n - k - 1) for k in size[without]]) / math.factorial(n)
        credit[..., player] = (worth[..., without | (1 << player)] - worth[..., without]) @ weight
    return credit


def shapley_linear(
    weights: NDArray[np.floating], values: NDArray[np.floating], means: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Shapley values of a linear outcome ``sum w x`` of independent parts: ``w (x - mean)``, in closed form."""
    return np.asarray(weights * (np.asarray(values, dtype=np.float64) - means), dtype=np.float64)


def contest_credits(
    own_standing: NDArray[np.floating], other_standing: NDArray[np.floating], outcome: NDArray[np.floating]
) -> Credits:
    """Credit for a contest of bodies between the dimension used and the others.

    Alone known, my standing p (the share of others that I exceed) makes the expected outcome p; the other's standing
    q alone makes it 1 - q; both together decide it. Two players, so the Shapley value is the mean of two orders:
    own = ((p - 1/2) + (y - (1 - q))) / 2. Nothing is left to luck.
    """
    p, q, y = (np.asarray(a, dtype=np.float64) for a in (own_standing, other_standing, outcome))
    return Credits(
        expectation=np.full_like(y, 0.5),
        own=((p - 0.5) + (y - (1.0 - q))) / 2,
        others=(((1.0 - q) - 0.5) + (y - p)) / 2,
        luck=np.zeros_like(y),
    )


def talk_credits(
    *,
    usual: NDArray[np.floating],
    with_dimension: NDArray[np.floating],
    with_partner: NDArray[np.floating],
    everybody: float,
    outcome: NDArray[np.floating],
) -> Credits:
    """Credit for understanding: a linear game of two effects, so each gets its main effect, and luck the rest.

    ``usual`` is the agent's usual success, ``with_dimension`` that along the dimension used, ``with_partner`` the
    partner's usual success and ``everybody`` the society's.
    """
    y, base = np.asarray(outcome, dtype=np.float64), np.asarray(usual, dtype=np.float64)
    one = np.ones_like(y)
    own = shapley_linear(one, with_dimension, base)
    others = shapley_linear(one, with_partner, np.full_like(y, everybody))
    return Credits(expectation=base, own=own, others=others, luck=y - base - own - others)


def biased(own: NDArray[np.float64], *, gain: float, loss: float) -> NDArray[np.float64]:
    """Self-serving bias: the own share of gains times ``gain``, of losses times ``loss``; the split itself is exact."""
    return np.where(own > 0, gain * own, loss * own)


def felt_reward(credit: Credits, config: SocietyConfig) -> NDArray[np.float64]:
    """What superiority is fed, in [0, 1]: the expectation, the own part, and as much of the rest as one takes for it.

    With ``self_attribution`` 1 an agent takes the whole outcome for its own doing and the reward is the outcome; with
    0 it feels only what the exact split credits it with.
    """
    own = biased(credit.own, gain=config.bias_gain, loss=config.bias_loss)
    rest = credit.others + credit.luck
    return np.clip(credit.expectation + own + config.self_attribution * rest, 0.0, 1.0)


def attribute(
    population: Population, world: World, experience: Experience, config: SocietyConfig, ledger: Ledger
) -> Experience:
    """Split every outcome, enter it in the ledger, and say what is felt of it.

    What a dimension explains of a topic is its own doing, so prediction needs no split.
    """
    compared = "comparison" in experience.outcomes
    if compared and config.reward_comparison > 0:
        experience = dataclasses.replace(experience, standings=expected_standings(population, world, experience))
    everybody = float(population.success.mean(dtype=np.float64)) if config.reward_talk > 0 else 0.0
    # Between contests, events without one would pass for variance that nobody explains.
    entered = compared or not (config.reward_comparison > 0 and config.compare_interval > 0)
    felt = {source: np.empty(len(experience.rows)) for source in experience.outcomes}
    for start in range(0, len(experience.rows), PART):
        part = slice(start, start + PART)
        feelings, entries = _split(population, experience.part(part), everybody, config)
        for source, reward in feelings.items():
            felt[source][part] = reward
        if entered:
            ledger.add(*entries)
    return dataclasses.replace(experience, felt=felt)


def _split(
    population: Population, experience: Experience, everybody: float, config: SocietyConfig
) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.float64]]:
    """What is felt, by source, and what is entered in the ledger: outcome, own and others' effect, [3, n]."""
    rows, slots, weights = experience.rows, experience.slots, config.reward_weights
    felt = dict(experience.outcomes)
    entries = np.zeros((3, len(rows)))
    if weights["talk"] > 0:
        y = experience.outcomes["talk"]
        credit = talk_credits(
            usual=population.success[rows],
            with_dimension=population.understood[rows, slots],
            with_partner=partner_success(population, experience),
            everybody=everybody,
            outcome=y,
        )
        felt["talk"] = felt_reward(credit, config)
        for entry, effect in zip(entries, (y, credit.own, credit.others), strict=True):
            entry += weights["talk"] * effect
    if experience.standings is not None and weights["comparison"] > 0:
        y, (p, q) = experience.outcomes["comparison"], experience.standings.T
        felt["comparison"] = felt_reward(contest_credits(p, q, y), config)
        for entry, effect in zip(entries, (y, p - 0.5, 0.5 - q), strict=True):
            entry += weights["comparison"] * effect
    return felt, entries


def expected_standings(population: Population, world: World, experience: Experience) -> NDArray[np.float64]:
    """How the own and the partner's body stand among those the agent remembers, on the dimension used: [n, 2].

    The share of acquaintances below, ties counting half; 1/2 for an agent that remembers nobody.
    """
    if experience.standings is not None:
        return experience.standings
    rows, slots, bodies = experience.rows, experience.slots, experience.bodies
    if bodies is None:
        bodies = body_heights(population, world, experience)
    memory = population.seen[rows, : min(ACQUAINTANCES, population.seen.shape[1])]
    there = memory >= 0
    height = heights(population, world, rows, slots, np.where(there, memory, 0))
    count = there.sum(axis=1)[:, None]
    below = (higher(bodies[:, :, None], height[:, None, :]) * there[:, None, :]).sum(axis=2)
    share: NDArray[np.float64] = np.divide(below, count, out=np.full(below.shape, 0.5), where=count > 0)
    return share


@dataclasses.dataclass(kw_only=True)
class Ledger:
    """Running moments of (outcome, own effect, others' effect), from which the long-run shares follow."""

    count: float = 0.0
    total: NDArray[np.float64] = dataclasses.field(default_factory=lambda: np.zeros(3))
    squares: NDArray[np.float64] = dataclasses.field(default_factory=lambda: np.zeros((3, 3)))

    def add(self, outcome: NDArray[np.floating], own: NDArray[np.floating], others: NDArray[np.floating]) -> None:
        """Take in outcomes ``[n]`` and, beside each, the own standing and that of others ``[n]``."""
        rows = np.stack([outcome, own, others]).astype(np.float64)
        self.count += rows.shape[1]
        self.total += rows.sum(axis=1)
        self.squares += rows @ rows.T

    def shares(self) -> dict[str, float] | None:
        """Shares of the outcome's variance of self, others and luck, which add up to 1; None if it never varied."""
        if self.count < 2:
            return None
        mean, moments = self.total / self.count, self.squares / self.count
        covariance = moments - np.outer(mean, mean)
        # Sums that ran for long are rounded so often that what never varied seems to.
        if covariance[0, 0] <= NO_VARIANCE * moments[0, 0]:
            return None
        own, others, luck = variance_shares(covariance)
        return None if math.isnan(own) else {"self": own, "others": others, "luck": luck}


def variance_shares(covariance: NDArray[np.float64]) -> tuple[float, float, float]:
    """LMG shares of R^2 for outcome (first) on two predictors, from their covariance [3, 3]; then luck, 1 - R^2."""
    if covariance[0, 0] <= 1e-15:
        return math.nan, math.nan, math.nan
    r2 = [0.0, _r2(covariance, [1]), _r2(covariance, [2]), _r2(covariance, [1, 2])]
    own, others = shapley(np.array(r2))
    return float(own), float(others), float(1.0 - r2[3])


def _r2(covariance: NDArray[np.float64], predictors: list[int]) -> float:
    cross = covariance[0, predictors]
    # The pseudo-inverse gives a predictor that never varied no share.
    inverse = np.linalg.pinv(covariance[np.ix_(predictors, predictors)], rcond=1e-10, hermitian=True)
    return float(np.clip(cross @ inverse @ cross / covariance[0, 0], 0.0, 1.0))
