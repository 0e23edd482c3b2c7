"""Phases 4 and 6, compare and feel: whose body stands higher, and what that does to superiority.

V += a+ (r - V) where r > V, a- (r - V) where r < V. With a+ > a- good news counts more than bad: the fixed point is
the expectile of r at tau = a+ / (a+ + a-) (Newey & Powell 1987), above the mean. Where every contest is fair an agent
that wins half of them feels superior in the share tau of them.

A variant takes steps of one size: V += a+ where r > V, V -= a- where r < V. Its fixed point is the quantile of r at tau
(Robbins & Monro 1951; Dabney et al. 2018, 2020). Of contests that are only won or lost no quantile lies between 0 and
1: there it runs to the end, 1 for whoever wins more than the share 1 - tau.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from agents.config import SocietyConfig
from agents.meeting import Experience, partner_bodies
from agents.perception import heights, levels, sense
from agents.population import MANY, NEUTRAL, Population
from agents.world import World

LEVEL = 1e-5
"""Difference of levels (of features of variance 1, by weights of norm 1) up to which two objects are level."""

ACQUAINTANCES = 32
"""Remembered objects that an agent holds its own and its partner's body against, to know what to expect."""

AS_EXPECTED = 1e-6
"""Difference of a reward and a feeling up to which there is no surprise."""


def compare(population: Population, world: World, experience: Experience, config: SocietyConfig) -> Experience:
    """Add the outcomes of comparison and, where it counts, of prediction to what the participants went through.

    Comparison: 1 where the own body stands higher on the own dimension than the partner's, 0 lower, 1/2 level.
    Prediction: the share of the topic's sensed variance that the dimension explains.
    """
    rows, slots = experience.rows, experience.slots
    standings: NDArray[np.float64] | None = None
    if len(rows) >= MANY and config.reward_comparison > 0 and config.attribute_interval > 0:
        from agents import kernels

        # Whoever looks at a dimension to compare bodies can see at once what was to be expected (phase 5).
        objects = both_bodies(population, experience)
        bodies, standings = kernels.contests(population, world, rows, slots, objects, acquaintances=ACQUAINTANCES)
    else:
        bodies = body_heights(population, world, experience)
    outcomes = dict(experience.outcomes, comparison=higher(bodies[:, 0], bodies[:, 1]))
    if config.reward_prediction > 0:
        sensed = sense(world.features, experience.topic[:, None], population.sensor[rows])[:, 0]
        level = np.einsum("nm,nm->n", sensed, population.loading[rows, slots], dtype=np.float64)
        total = np.einsum("nm,nm->n", sensed, sensed, dtype=np.float64)
        share = np.divide(level**2, total, out=np.zeros_like(total), where=total > 0)
        outcomes["prediction"] = np.minimum(share, 1.0)
    return dataclasses.replace(experience, outcomes=outcomes, bodies=bodies, standings=standings)


def body_heights(population: Population, world: World, experience: Experience) -> NDArray[np.float32]:
    """How high the own and the partner's body stand on the dimension used: float32 [n, 2]."""
    return heights(population, world, experience.rows, experience.slots, both_bodies(population, experience))


def both_bodies(population: Population, experience: Experience) -> NDArray[np.int32]:
    """int32 [n, 2]: the objects that the participants and their partners are."""
    return np.stack([population.body[experience.rows], partner_bodies(population, experience)], axis=1)


def higher(height: NDArray[np.floating], other: NDArray[np.floating]) -> NDArray[np.float64]:
    """1 where one level is higher than the other, 0 where lower, 1/2 where they are level (shapes broadcast).

    Levels that differ by less than single precision can tell are level: the same object may get other last digits at
    another place in a matrix product.
    """
    difference = np.asarray(height, dtype=np.float64) - other
    return np.where(np.abs(difference) <= LEVEL, 0.5, (difference > 0).astype(np.float64))


def updated(
    score: NDArray[np.float32],
    reward: NDArray[np.float64],
    *,
    rate_up: float,
    rate_down: float,
    superiority: Literal["expectile", "quantile"] = "expectile",
) -> NDArray[np.float32]:
    """The asymmetric update of ``score`` towards ``reward`` (any shape, both in [0, 1]), once.

    ``quantile`` takes steps of one size, which would lead past 0 and 1 where rewards are won or lost; there it stays,
    as it does where a reward is as expected (to single precision, or rounding would make a whole step).
    """
    error = reward - score
    rate = np.where(error > 0, rate_up, rate_down)
    if superiority == "quantile":
        step = np.where(np.abs(error) > AS_EXPECTED, rate * np.sign(error), 0.0)
        return np.clip(score + step, 0.0, 1.0).astype(np.float32)
    return (score + rate * error).astype(np.float32)


def feel(population: Population, experience: Experience, config: SocietyConfig) -> None:
    """Feed what the participants feel to the dimensions they used.

    Sources are applied one after the other, each at its share of the rate, so that for win-or-lose sources the fixed
    point stays that of one coin with the mixed probability; for any others it is that of their mixture, as far as the
    rates are small.
    """
    rows, slots = experience.rows, experience.slots
    felt = experience.outcomes if experience.felt is None else experience.felt
    weights = config.reward_weights
    fed = [source for source in felt if weights[source] > 0]
    for source in fed:
        _feed(
            population,
            rows,
            slots,
            felt[source],
            rate_up=config.rate_up * weights[source],
            rate_down=config.rate_down * weights[source],
            superiority=config.superiority,
        )
    if fed:
        population.contests[rows, slots] += 1


def _feed(
    population: Population,
    rows: NDArray[np.intp],
    slots: NDArray[np.intp],
    reward: NDArray[np.float64],
    *,
    rate_up: float,
    rate_down: float,
    superiority: Literal["expectile", "quantile"],
) -> None:
    """Update the scores in ``slots [n]`` of ``rows [n]`` towards ``reward [n]`` (see `updated`)."""
    if len(rows) >= MANY:
        from agents import kernels

        kernels.feed(
            population, rows, slots, reward, rate_up=rate_up, rate_down=rate_down, by_steps=superiority == "quantile"
        )
        return
    population.score[rows, slots] = updated(
        population.score[rows, slots], reward, rate_up=rate_up, rate_down=rate_down, superiority=superiority
    )


def bernoulli_fixed_point(win_rate: NDArray[np.floating], *, rate_up: float, rate_down: float) -> NDArray[np.float64]:
    """Where superiority settles when contests are won at ``win_rate``: p a+ / (p a+ + (1 - p) a-)."""
    p = np.asarray(win_rate, dtype=np.float64)
    gain, loss = p * rate_up, (1 - p) * rate_down
    return np.divide(gain, gain + loss, out=p.copy(), where=gain + loss > 0)


def bernoulli_quantile(win_rate: NDArray[np.floating], *, rate_up: float, rate_down: float) -> NDArray[np.float64]:
    """Where superiority of the quantile variant stays when contests are won at ``win_rate``: 0 or 1.

    It climbs where p a+ > (1 - p) a-, that is p > 1 - tau, and falls where it is less; where the two are equal it
    wanders all over [0, 1], at 1/2 on average. It keeps away from the end by some steps, the more the closer p is to
    1 - tau: this is the limit of small rates.
    """
    p = np.asarray(win_rate, dtype=np.float64)
    return np.where(np.isnan(p), np.nan, 0.5 + 0.5 * np.sign(p * rate_up - (1 - p) * rate_down))


def settling_point(win_rate: NDArray[np.floating], config: SocietyConfig) -> NDArray[np.float64]:
    """Where superiority settles in a society of this kind when contests are won at ``win_rate``; nan stays nan."""
    point = bernoulli_quantile if config.superiority == "quantile" else bernoulli_fixed_point
    return point(win_rate, rate_up=config.rate_up, rate_down=config.rate_down)


def bernoulli_course(
    win_rate: NDArray[np.floating], contests: NDArray[np.integer], *, rate_up: float, rate_down: float
) -> NDArray[np.float64]:
    """Expected superiority, neutral at first, after so many contests won at ``win_rate`` (shapes broadcast).

    Exact at any rates: one contest makes E V into (1 - l) E V + p a+ with l = p a+ + (1 - p) a-, so V* is
    approached as (1 - l)^t.
    """
    p = np.asarray(win_rate, dtype=np.float64)
    settled = bernoulli_fixed_point(p, rate_up=rate_up, rate_down=rate_down)
    left = (1.0 - (p * rate_up + (1 - p) * rate_down)) ** np.asarray(contests, dtype=np.float64)
    return np.asarray(settled + (NEUTRAL - settled) * left, dtype=np.float64)


def zero_sum_drift(
    first: NDArray[np.floating],
    second: NDArray[np.floating],
    *,
    rate_up: float,
    rate_down: float,
    win_rate: float = 0.5,
) -> NDArray[np.float64]:
    """By how much a contest that one wins and the other loses is expected to raise the sum of their superiorities.

    The winner gains a+ (1 - V), the loser loses a- V. In a fair contest that is together
    (a+ (2 - V1 - V2) - a- (V1 + V2)) / 2: (a+ - a-) / 2 for two who feel equal to others, and nothing only once both
    feel tau. (In the quantile variant it is a+ - a- until somebody is at an end.) ``win_rate`` is the first one's.
    """
    one, two = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    won = rate_up * (1 - one) - rate_down * two
    lost = rate_up * (1 - two) - rate_down * one
    return np.asarray(win_rate * won + (1 - win_rate) * lost, dtype=np.float64)


def expectile(rewards: NDArray[np.floating], tau: float) -> float:
    """The tau-expectile of a sample: the V with tau E(r - V)+ = (1 - tau) E(V - r)+ (Newey & Powell 1987, eq. 2.2)."""
    rewards = np.asarray(rewards, dtype=np.float64)
    if rewards.size == 0:
        raise ValueError("the expectile of no rewards does not exist")
    if not 0 < tau < 1:
        raise ValueError(f"tau is {tau}, but it must be between 0 and 1")
    value = float(rewards.mean())
    for _ in range(200):
        weight = np.where(rewards > value, tau, 1 - tau)
        following = float((weight * rewards).sum() / weight.sum())
        if abs(following - value) <= 1e-12:
            break
        value = following
    return following


def win_rates(population: Population, world: World, bodies: NDArray[np.int32] | None = None) -> NDArray[np.float64]:
    """True standing [N, S]: the share of the other agents' bodies below the own on each dimension (ties half).

    ``bodies`` is a sample of the others' bodies to compare with instead of all of them; nan in empty slots.
    """
    n = len(population)
    others = population.body if bodies is None else bodies
    rates = np.full((n, population.n_slots), np.nan)
    chunk = max(1, 20_000_000 // (len(others) * population.n_sensors))
    for start in range(0, n, chunk):
        rows = np.arange(start, min(start + chunk, n))
        own = levels(population, world, rows, population.body[rows, None])
        against = levels(population, world, rows, np.broadcast_to(others, (len(rows), len(others))))
        standing = higher(own, against)
        if bodies is None:
            standing[np.arange(len(rows)), rows] = 0.0  # nobody meets itself
        rates[rows] = standing.sum(axis=1) / (n - 1 if bodies is None else len(bodies))
    rates[~population.held] = np.nan
    return rates
