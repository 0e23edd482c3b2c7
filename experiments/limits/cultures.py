"""The dissemination of culture: where consensus ends, and what is exact."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from agents.games import culture
from experiments.limits.chance import SIGMAS
from experiments.limits.rows import Law, Relation, Row, judged, law
from experiments.pieces import Figures, Found

GROUP = "cultural dissemination"

CRITICAL, BETA_BY_NU = 3.10, 0.67 / 1.63
"""Peres & Fontanari 2015, F = 2: where consensus ends, and with which exponents."""
SMALL_LATTICES = 0.05
"""How far lattices as small as these may put the critical point off: pairs of L = 16 to 64 cross from 3.06 to 3.14."""
WIDEST_Q = 0.15
"""The most that is put down to chance there."""
QS = (2.6, 2.8, 3.0, 3.2, 3.4, 3.6)
CURVE = (1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0)
CURVE_SIDE = 32
MANY_TRAITS = 1000
HOLDERS = 0.25
"""Share of sites that hold the trait whose chance to take all is measured."""


def spread_of_culture(seed: int, *, small: tuple[int, int], large: tuple[int, int]) -> Figures:
    """Everything about the spread of culture; ``small`` and ``large`` as of `around_critical`."""
    rng = np.random.default_rng(seed)
    found = around_critical(rng, small=small, large=large)
    for q in CURVE:
        found[f"largest {q}"] = float(np.mean([left(CURVE_SIDE, 2, q, rng).max() for _ in range(8)])) / CURVE_SIDE**2
    return found | extremes(rng) | voters(rng)


def around_critical(rng: np.random.Generator, *, small: tuple[int, int], large: tuple[int, int]) -> Figures:
    """Density of domains, and its relative error, around the critical point: on lattices of two sides, so many runs."""
    found: Figures = {}
    for name, (side, runs) in {"small": small, "large": large}.items():
        found[f"{name} side"] = float(side)
        for q in QS:
            density = np.array([len(left(side, 2, q, rng)) for _ in range(runs)]) / side**2
            found[f"{name} domains {q}"] = float(density.mean())
            found[f"{name} error {q}"] = float(density.std() / density.mean()) / runs**0.5
    return found


def extremes(rng: np.random.Generator) -> Figures:
    """Few traits and many: how much the largest domain has, and how many domains have joined another."""
    found: Figures = {}
    for features in (5, 10):
        sizes = [left(16, features, 2, rng, distribution="uniform") for _ in range(10)]
        found[f"{features} features"] = float(np.mean([some.max() for some in sizes])) / 16**2
    sizes = [left(100, 2, MANY_TRAITS, rng, distribution="uniform") for _ in range(10)]
    found["many traits"] = 1 - float(np.mean([len(some) for some in sizes])) / 100**2
    return found


def voters(rng: np.random.Generator, *, side: int = 8, runs: int = 300) -> Figures:
    """What is kept on average: shares of traits; and who wins where strangers talk as well."""
    drift, wins, domains = [], [], []
    for _ in range(runs):
        before = culture.random_traits(side, 2, CRITICAL, rng)
        after = culture.settled(before, rng)
        drift.append((after > CRITICAL).mean() - (before > CRITICAL).mean())
        holds = rng.permuted(np.arange(side * side) < HOLDERS * side * side).reshape(side, side, 1)
        end = culture.settled(holds.astype(np.int32), rng, homophily=False)
        wins.append(end.mean())
        domains.append(len(culture.domain_sizes(end)))
    return {
        "drift": float(np.mean(drift)),
        "drift error": float(np.std(drift)) / runs**0.5,
        "voters win": float(np.mean(wins)),
        "voters error": (HOLDERS * (1 - HOLDERS) / runs) ** 0.5,
        "voters domains": float(np.mean(domains)),
    }


def left(
    side: int, features: int, q: float, rng: np.random.Generator, *, distribution: culture.Distribution = "poisson"
) -> NDArray[np.int64]:
    """Sizes of the domains that are left of random traits in the end."""
    return culture.domain_sizes(
        culture.settled(culture.random_traits(side, features, q, rng, distribution=distribution), rng)
    )


def culture_rows(found: Found) -> Iterator[Row | Law]:
    """What `spread_of_culture` gave."""
    seeds = len(found["drift"])
    sides = {name: float(found[f"{name} side"][0]) for name in ("small", "large")}
    density = {name: np.stack([found[f"{name} domains {q}"] for q in QS]) for name in sides}
    scaled = {name: density[name] * side**BETA_BY_NU for name, side in sides.items()}
    critical, rise = crossing(np.array(QS), scaled["small"], scaled["large"])
    # The error of the mean log ratio, over its rise; that of the rise hardly matters, as the curves cross mid-way.
    variance = sum(float((found[f"{name} error {q}"] ** 2).mean()) for name in sides for q in QS) / len(QS) ** 2
    by_chance = (variance / seeds) ** 0.5 / rise
    p = culture.coincidence(MANY_TRAITS, distribution="uniform")
    joined = 2 * (1 - (1 - p) ** 2)
    chance = {
        name: SIGMAS * float((found[name] ** 2).mean() / seeds) ** 0.5 for name in ("drift error", "voters error")
    }
    two = "two traits, largest domain"
    castellano, voter = "Castellano, Marsili & Vespignani 2000: order", "exact: voter model"
    limits: list[tuple[NDArray[np.float64], str, str, Relation, float, float, str]] = [
        (
            critical,
            "F = 2, Poisson: q where consensus ends",
            "Peres & Fontanari 2015: 3.10 +- .02",
            "about",
            CRITICAL,
            min(3 * by_chance, WIDEST_Q) + 0.02 + SMALL_LATTICES,
            f"where domains x L^(beta/nu) of L = {sides['small']:g} and {sides['large']:g} cross",
        ),
        (found["5 features"], f"5 features, {two}", castellano, "at least", 0.95, 0, "16 x 16"),
        (found["10 features"], f"10 features, {two}", castellano, "at least", 0.95, 0, "16 x 16"),
        (
            found["many traits"],
            f"{MANY_TRAITS:,} traits: share of domains that join another",
            "exact to first order: 2 (1 - (1 - 1/q)^F)",
            "about",
            joined,
            # Joined pairs are as good as independent; three sites at once are of the order of p squared.
            SIGMAS * (joined / (10 * 100**2 * seeds)) ** 0.5 + 20 * p**2,
            "100 x 100",
        ),
        (
            found["drift"],
            "drift of the share of high traits",
            "exact: none on average",
            "about",
            0,
            chance["drift error"],
            "",
        ),
        (
            found["voters win"],
            f"no homophily: a trait of {HOLDERS:.0%} takes all",
            voter,
            "about",
            HOLDERS,
            chance["voters error"],
            "",
        ),
        (
            found["voters domains"],
            "no homophily: domains left",
            voter,
            "exactly",
            1,
            0,
            "consensus on every finite lattice",
        ),
    ]
    for samples, name, source, relation, expected, tolerance, note in limits:
        yield judged(
            samples,
            group=GROUP,
            name=name,
            source=source,
            relation=relation,
            expected=expected,
            tolerance=tolerance,
            note=note,
        )
    for name, side in sides.items():
        yield law(
            list(scaled[name]),
            at=QS,
            group=GROUP,
            name=f"scaled density of domains, L = {side:g}",
            source="Peres & Fontanari 2015",
            x="q, mean of the Poisson distribution of traits",
            y="density of domains x L^(beta/nu)",
            note=f"The curves of different L cross at the critical point, here at {critical.mean():.3g}.",
        )
    yield law(
        [found[f"largest {q}"] for q in CURVE],
        at=CURVE,
        group=GROUP,
        name=f"largest domain, L = {CURVE_SIDE}",
        source="Castellano, Marsili & Vespignani 2000",
        x="q, mean of the Poisson distribution of traits",
        y="share of sites in the largest domain",
        note="Few traits: one culture spreads; many: the lattice freezes in pieces.",
    )


def crossing(
    q: NDArray[np.float64], small: NDArray[np.float64], large: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """Where the scaled densities [Q, seeds] of two lattices are equal, for each seed; and how their log ratio rises.

    They are equal at the critical point, whatever the sides. The logarithm of their ratio is close to a straight line,
    which rises because a larger lattice is the more sensitive; its slope is taken from all seeds together. Where it
    does not rise there is no such point: nan.
    """
    ratio = np.log(large / small)
    rise = float(np.polyfit(q - q.mean(), ratio.mean(axis=1), 1)[0])
    if rise <= 0.01:
        return np.full(ratio.shape[1], np.nan), np.inf
    return q.mean() - ratio.mean(axis=0) / rise, rise
