"""Discovery in its exact limits: the abstract landlord, how many dimensions there are, and which.

One landlord is one raw dimension; what many have in common is the abstract one. A feature of communality r is a
reading of the common factor that is true in the share r of its variance; an agent that senses n of them finds the
factor behind them, and how high objects stand along it follows the true factor as Spearman and Brown say.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ortho_group

from agents import discovery
from agents.config import SocietyConfig
from agents.factor_analyzer_adapter import FactorAnalyzer
from agents.perception import levels, shift_attention
from agents.population import ABSTRACT, RAW, Population, found
from agents.world import World, build, planted
from experiments.limits.chance import about
from experiments.limits.rows import Law, Row, judged, law
from experiments.pieces import Figures, Found, Measure
from knowledge_graph.measures import congruence, matched_correlation
from knowledge_graph.rotation import varimax

LANDLORD = "discovery: the abstract landlord"
NUMBER = "discovery: how many dimensions"
FACTORS = "discovery: which dimensions"

RELIABILITY = "Spearman 1910, Brown 1910: n r / (1 + (n-1) r)"
PARALLEL = "Horn 1965"

R = 0.6
"""Communality: the share of each feature's variance that the factor explains."""
READINGS = (1, 2, 4, 8, 16)
"""How many features of it an agent senses. One feature has nothing in common with others: its dimension is raw."""
JUDGED = (1, 2, 4, 8)
OBJECTS, FEATURES, MINDS = 32_000, 64, 16
REMEMBERED = 2000
LOST = 0.003
"""What knowing the factor from memories of so many objects, rather than of all, may cost."""

PLANTED = (1, 2, 3, 4, 5, 6)
TOLD = (1, 3, 6)
"""True numbers of factors, and which of them are judged."""
SIZES = tuple(range(40, 160, 10))
"""How many objects are remembered in worlds of noise."""
NOISY = 60
"""Agents for each of these, with eight features of their own each."""
BY_CHANCE = 1 - (1 + 0.95 * (discovery.NULL_DRAWS - 1)) / (discovery.NULL_DRAWS + 1)
"""How often noise exceeds the 95th percentile (interpolated) of so many draws of noise: 5% would take endless draws."""
ESTIMATED = BY_CHANCE * (1 - BY_CHANCE) / (discovery.NULL_DRAWS + 2)
"""Variance of the true level of a threshold that is found from so many draws (a beta distribution)."""


def measures(*, quick: bool) -> dict[str, Measure]:
    """What has to be measured, the same if ``quick``."""
    return {LANDLORD: landlord, NUMBER: how_many, FACTORS: which}


def rows(found: Mapping[str, Found]) -> Iterator[Row | Law]:
    """Every row and law of discovery."""
    yield from landlord_rows(found[LANDLORD])
    yield from number_rows(found[NUMBER])
    yield from factor_rows(found[FACTORS])


# -- measuring --------------------------------------------------------------------------------------------------------


def minds(world: World, rng: np.random.Generator, *, remember: int, **config: Any) -> tuple[Population, SocietyConfig]:
    """Agents who remember so many different objects, and whose attention does not shift."""
    life = SocietyConfig(**({"memory": remember, "childhood": 0, "attention": 0.0} | config))
    population = found(world, life, rng)
    for row in range(len(population)):
        population.seen[row] = rng.permutation(world.train)[:remember]
    population.n_seen[:] = remember
    return population, life


def landlord(seed: int) -> Figures:
    """How closely the first dimension of a mind follows the factor, rho^2 on objects that nobody has met."""
    rng = np.random.default_rng(seed)
    world = planted(seed=seed, objects=OBJECTS, features=FEATURES, factors=1, communality=R)
    assert world.truth is not None
    truth, everybody = world.truth.scores[world.held_out, 0], np.arange(MINDS)
    figures: Figures = {}
    for n in READINGS:
        for how in ("factor", "pca"):
            view = {"sensors": n, "dimensions": 1, "exemplars": int(n == 1)}
            population, life = minds(world, rng, agents=MINDS, remember=REMEMBERED, discovery=how, **view)
            discovery.discover(population, everybody, world, life, 1, rng)
            kind = RAW if n == 1 else ABSTRACT
            stand = [
                levels(population, world, everybody[[row]], world.held_out[None])[0, :, 0]
                for row in np.flatnonzero(population.kind[:, 0] == kind)
            ]
            followed = [np.corrcoef(truth, level)[0, 1] ** 2 for level in stand]
            # Whoever found nothing follows nothing.
            figures[f"{n} {how}"] = float(np.sum(followed)) / MINDS
    return figures


def how_many(seed: int) -> Figures:
    """How many dimensions agents find where so many were planted, and where there are none."""
    rng = np.random.default_rng(seed)
    figures: Figures = {}
    for factors in PLANTED:
        world = planted(seed=seed, objects=1200, features=32, factors=factors, communality=R, cross_loadings=0.0)
        population, life = minds(world, rng, agents=20, sensors=32, exemplars=0, remember=400)
        figures[f"{factors}"] = float(proposed(population, world, life).mean())
    wrong = []
    for size in SIZES:
        noise = build(name="noise", raw=rng.standard_normal((200 + size, 8 * NOISY)), seed=seed, probe=2)
        population, life = minds(noise, rng, agents=NOISY, sensors=8, exemplars=0, remember=size)
        population.sensor[:] = rng.permutation(8 * NOISY).reshape(NOISY, 8)
        wrong.append(float((proposed(population, noise, life) > 0).mean()))
    return figures | {"noise": float(np.mean(wrong))}


def proposed(population: Population, world: World, life: SocietyConfig) -> NDArray[np.intp]:
    """How many dimensions each agent proposes."""
    corr, count = discovery.correlations(world, population, np.arange(len(population)))
    return discovery.propose(corr, count, life)[1]


def which(seed: int) -> Figures:
    """Factors beside those of factor-analyzer, rotated loadings beside what was planted, likeness beside the cosine."""
    rng = np.random.default_rng(seed)
    simple = np.zeros((24, 4))
    simple[np.arange(24), np.arange(24) % 4] = rng.uniform(0.5, 0.9, 24) * rng.choice([-1, 1], 24)
    turned = simple @ ortho_group.rvs(4, random_state=rng)
    recovered = np.abs(congruence(varimax(turned)[0], simple))

    objects = rng.standard_normal((500, 4)) @ simple.T
    objects += rng.standard_normal(objects.shape) * np.sqrt(1 - (simple**2).sum(axis=1))
    corr = np.asarray(np.corrcoef(objects, rowvar=False))
    own = varimax(discovery.minres(corr[None], 4, max_iterations=20_000, tolerance=1e-10)[0][0])[0]
    peer = FactorAnalyzer(n_factors=4, method="minres", rotation="varimax", is_corr_matrix=True).fit(corr).loadings_
    alike = congruence(own, peer)
    order = np.abs(alike).argmax(axis=0)
    apart = np.abs(own[:, order] * np.sign(alike[order, range(4)]) - peer).max()

    world = planted(seed=seed, objects=4000, features=32, factors=4, communality=R, cross_loadings=0.0)
    assert world.truth is not None
    population, life = minds(world, rng, agents=8, sensors=24, exemplars=4, dimensions=4, remember=1500)
    everybody = np.arange(8)
    found_loadings = discovery.propose(*discovery.correlations(world, population, everybody), life)[0]
    truth = [world.truth.loadings[sensor] for sensor in population.sensor]
    matched = [matched_correlation(own.T, of) for own, of in zip(found_loadings, truth, strict=True)]
    unlike = unlikeness(population, world)
    shift_attention(population, everybody, world, dataclasses.replace(life, attention=0.25), rng)
    return {
        "simple": float(recovered.max(axis=0).min()),
        "peer": float(apart),
        "matched": float(np.mean(matched)),
        "unlike": max(unlike, unlikeness(population, world)),
    }


def unlikeness(population: Population, world: World) -> float:
    """The most by which a level along a raw dimension differs from the object's product with the unit exemplar."""
    objects = np.broadcast_to(world.held_out[:50], (len(population), 50))
    stand = levels(population, world, np.arange(len(population)), objects)
    apart = 0.0
    for row, slot in zip(*np.nonzero(population.kind == RAW), strict=True):
        sensed = world.features[:, population.sensor[row]].astype(np.float64)
        exemplar = sensed[population.exemplar[row, slot]]
        likeness = sensed[objects[row]] @ exemplar / np.linalg.norm(exemplar)
        apart = max(apart, float(np.abs(stand[row, :, slot] - likeness).max()))
    return apart


# -- judging ----------------------------------------------------------------------------------------------------------


def reliability(n: int) -> float:
    """rho^2 of the sum of n readings with what they are readings of."""
    return n * R / (1 + (n - 1) * R)


def landlord_rows(found: Found) -> Iterator[Row | Law]:
    """What `landlord` gave."""
    given = {"group": LANDLORD, "source": RELIABILITY}
    names = {"factor": "common factor", "pca": "principal component"}
    for how, what in names.items():
        for n in JUDGED if how == "factor" else JUDGED[-1:]:
            of = "a raw dimension of 1 feature" if n == 1 else f"a {what} of {n} features"
            yield about(
                found[f"{n} {how}"],
                expected=reliability(n),
                variance=following_variance(reliability(n)),
                allowance=LOST,
                name=f"{of} of communality {R:g}: rho^2 with the factor",
                **given,
            )
    yield law(
        [found[f"{n} factor"] for n in READINGS],
        at=READINGS,
        name="How closely the abstract landlord follows what all have in common",
        x="features sensed n",
        y="rho^2 with the true factor",
        expected=tuple(reliability(n) for n in READINGS),
        note=f"Each feature alone follows it by {R:g}.",
        **given,
    )


def following_variance(rho2: float) -> float:
    """Of the mean squared correlation of all minds with the factor (delta method; Fisher 1915 for one of them).

    What scatters because the factor's own variance does they have in common; the rest is averaged over them.
    """
    common = 2 * rho2**2
    return (common + (4 * rho2 - common) / MINDS) * (1 - rho2) ** 2 / (OBJECTS / 4)


def number_rows(found: Found) -> Iterator[Row | Law]:
    """What `how_many` gave."""
    for factors in TOLD:
        yield judged(
            found[f"{factors}"],
            group=NUMBER,
            name=f"{factors} factor{'s' * (factors > 1)} behind 32 features, 400 objects: dimensions found",
            source=PARALLEL,
            relation="about",
            expected=factors,
            tolerance=0.05,
        )
    # The thresholds are found once for each size, from a seed of their own, and are the same for all seeds.
    seeds = len(found["noise"])
    yield about(
        found["noise"],
        expected=BY_CHANCE,
        variance=BY_CHANCE * (1 - BY_CHANCE) / (NOISY * len(SIZES)) + seeds * ESTIMATED / len(SIZES),
        group=NUMBER,
        name="nothing but noise: agents who find a dimension",
        source=PARALLEL,
        note=f"above the 95th percentile of {discovery.NULL_DRAWS} draws",
    )
    yield law(
        [found[f"{factors}"] for factors in PLANTED],
        at=PLANTED,
        group=NUMBER,
        name="How many dimensions agents find",
        source=PARALLEL,
        x="factors behind what is sensed",
        y="dimensions found",
        expected=PLANTED,
    )


def factor_rows(found: Found) -> Iterator[Row]:
    """What `which` gave."""
    yield judged(
        found["simple"],
        group=FACTORS,
        name="simple structure, turned at random: least congruence of a factor after varimax",
        source="Kaiser 1958",
        relation="exactly",
        expected=1.0,
        tolerance=1e-6,
    )
    yield judged(
        found["peer"],
        group=FACTORS,
        name="minres and varimax: largest difference to a loading of factor-analyzer",
        source="Harman & Jones 1966",
        relation="exactly",
        expected=0.0,
        tolerance=0.005,
        note="which stops rotating at a growth of 1e-5",
    )
    yield judged(
        found["matched"],
        group=FACTORS,
        name="4 factors behind 24 features, 1,500 objects: MCC of what an agent proposes",
        source="consistency of minres",
        relation="at least",
        expected=0.99,
    )
    yield judged(
        found["unlike"],
        group=FACTORS,
        name="a raw dimension: largest difference to the product with its exemplar",
        source="likeness to one object",
        relation="exactly",
        expected=0.0,
        tolerance=1e-5,
        note="also after attention has shifted",
    )
