"""Descent in its exact limits: the Price equation, and how equals become kin by nothing but chance.

Who descends from whom is read from the lineages of the society (`agents.lineage`).
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.config import SocietyConfig
from agents.lineage import ancestors_at, coalescences, genealogy, lineages, price
from agents.population import Population
from agents.society import Society
from agents.world import World, planted
from experiments.limits.chance import about
from experiments.limits.rows import Law, Row, judged, law
from experiments.limits.selection import Kind, lived, two_kinds
from experiments.limits.selection_theory import kept_diversity, time_to_common_ancestor
from experiments.pieces import Figures, Found, Measure

PRICE = "descent: the Price equation"
DRIFT = "descent: equals"

COVARIANCE = "Price 1970: Cov(w, z) / mean w"
BOTH = "Price 1970: Cov(w, z) / mean w + E(w dz) / mean w"
COALESCENT = "Kingman 1982; Moran 1958: (N - 1)^2 births"

LIFE = SocietyConfig(
    agents=40,
    sensors=8,
    memory=64,
    turnover=0.2,
    attention=0.0,  # what is sensed changes by mutation only
    dimension_floor=0.0,
    selection_interval=0,  # selection has its turn between the steps
    merge_interval=0,
)
SELECTIONS, APART = 8, 5
"""How often there is selection, and how many steps there are before each."""
ROUNDING = 1e-12

N = 10
EQUALS: dict[str, tuple[Kind, int, int, str]] = {
    "2 of 10 die, parents are survivors": ("tournament", 2, 20, "1 - (d (d-1) + 2 d (N-d)) / (N (N-1) (N-d)) a time"),
    "Moran, 1 of 10 dies": ("moran", 1, 30, "1 - 2 / N^2 a time (Moran 1958)"),
    "Moran, all 10 die": ("moran", 10, 10, "1 - 1/N a time (Wright 1931)"),
}
"""How equals are selected, how many die at a time, how often, and what of their diversity that leaves."""
UNLIKELY = 0.08
"""Variance over populations of the diversity that is left, at most (measured: .03 to .06)."""
FAMILY = 6
"""Agents whose last common ancestor is looked for."""
BETWEEN = 25
"""Births between two looks, in which nearly all is forgotten."""

Trait = Callable[[Population, World], NDArray[np.float64]]


def measures(*, quick: bool) -> dict[str, Measure]:
    """What has to be measured; ``quick`` runs fewer populations."""
    return {DRIFT: functools.partial(drift, runs=60 if quick else 240), PRICE: price_equation}


def rows(found: Mapping[str, Found]) -> Iterator[Row | Law]:
    """Every row and law of descent."""
    yield from price_rows(found[PRICE])
    yield from drift_rows(found[DRIFT])


# -- measuring --------------------------------------------------------------------------------------------------------


def price_equation(seed: int) -> Figures:
    """What selection leaves unexplained of how means change in a living society, at once and over its whole life."""
    found: Figures = {}
    for name, mutation in (("faithful", 0.0), ("mutated", 0.2)):
        society = Society(
            planted(seed=seed, objects=300, features=16, factors=3, probe=40),
            dataclasses.replace(LIFE, mutation=mutation),
            seed=seed,
        )
        first, at_once = society.population.copy(), 0.0
        for _ in range(SELECTIONS):
            for _ in range(APART):
                society.step()
            before = society.population.copy()
            society.select()
            selection, _ = terms(society, before, felt, since=society.steps - 1)
            at_once = max(at_once, largest(change(society, before, felt) - selection))
        selection, transmission = terms(society, first, inherited, since=0)
        changed = change(society, first, inherited)
        found |= {
            f"{name}: at once": at_once,
            f"{name}: change": largest(changed),
            f"{name}: unselected": largest(changed - selection),
            f"{name}: unexplained": largest(changed - selection - transmission),
        }
    return found


def felt(population: Population, world: World) -> NDArray[np.float64]:
    """Traits [N, 3] in which an heir is as its parent where nothing mutates: dimensions, superiority, success."""
    esteem = population.self_esteem(np.arange(len(population)))
    return np.stack([population.held.sum(axis=1), esteem, population.success], axis=1, dtype=np.float64)


def inherited(population: Population, world: World) -> NDArray[np.float64]:
    """Traits [N, 2D] that nobody acquires: the features of the body, and which features are sensed."""
    sensed = (population.sensor[:, :, None] == np.arange(world.n_features)).any(axis=1)
    return np.concatenate([world.features[population.body], sensed], axis=1, dtype=np.float64)


def change(society: Society, before: Population, trait: Trait) -> NDArray[np.float64]:
    """By how much the mean of each trait differs from what it was."""
    now: NDArray[np.float64] = trait(society.population, society.world).mean(axis=0)
    then: NDArray[np.float64] = trait(before, society.world).mean(axis=0)
    return now - then


def terms(
    society: Society, before: Population, trait: Trait, *, since: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Selection and transmission of each trait since a step, by the lineages of the society."""
    ancestors = ancestors_at(lineages(society), society.population.id, since)
    order = np.argsort(before.id)
    place = order[np.searchsorted(before.id[order], ancestors)]
    return price(trait(before, society.world), trait(society.population, society.world), place)


def largest(values: NDArray[np.float64]) -> float:
    """In size."""
    return float(np.abs(values).max())


def drift(seed: int, *, runs: int) -> Figures:
    """How fast equals become kin, and how long ago the living had one ancestor."""
    rng = np.random.default_rng(seed)
    found: Figures = {"runs": float(runs)}
    for name, (kind, deaths, steps, _) in EQUALS.items():
        world, life, first = two_kinds(N, 0, 1.0, selection=kind, turnover=deaths / N)
        first.body[:] = world.train[:N]
        left = np.zeros((runs, steps))
        for run in range(runs):
            population = first.copy()
            for step, _ in itertools.islice(lived(population, world, life, rng), steps):
                left[run, step - 1] = diversity(population)
        found[f"{name}: variance"] = min(float(left[:, -1].var(ddof=1)), UNLIKELY)
        found |= {f"{name}: {step + 1}": float(mean) for step, mean in enumerate(left.mean(axis=0))}
    return found | {"births": births_since_one(rng, looks=runs)}


def diversity(population: Population) -> float:
    """The share of pairs that do not have the same body (heterozygosity)."""
    count = np.bincount(population.body)
    return 1 - float((count * (count - 1)).sum()) / (len(population) * (len(population) - 1))


def births_since_one(rng: np.random.Generator, *, looks: int) -> float:
    """How many births ago all who live descended from one who lived then, on average; one dies at a time."""
    world, life, population = two_kinds(FAMILY, 0, 1.0, turnover=1 / FAMILY)
    deaths, families = [], []
    # Long enough first for the founders to be forgotten.
    for step, dead in itertools.islice(lived(population, world, life, rng), (10 + looks) * BETWEEN):
        deaths.append((step, dead))
        if step > 10 * BETWEEN and step % BETWEEN == 0:
            families.append((step, population.id.tolist()))
    graph = genealogy(population, deaths)
    return float(np.mean([step + 1 - coalescences(graph, family)[-1] for step, family in families]))


# -- judging ----------------------------------------------------------------------------------------------------------


def price_rows(found: Found) -> Iterator[Row]:
    """What `price_equation` gave."""
    exact: dict[str, Any] = {"group": PRICE, "relation": "exactly", "expected": 0.0, "tolerance": ROUNDING}
    whole = f"{SELECTIONS} selections of a living society: mean body and sensors"
    moved = f"they change by up to {found['faithful: change'].mean():.2g}"
    yield judged(
        found["faithful: at once"],
        name="each selection: change of mean dimensions, superiority, success beside the covariance",
        source=COVARIANCE,
        **exact,
    )
    yield judged(
        found["faithful: unselected"],
        name=f"{whole}, change beside the covariance",
        source=COVARIANCE,
        note=moved,
        **exact,
    )
    yield judged(
        found["mutated: unexplained"],
        name=f"{whole}, mutated: change beside covariance and transmission",
        source=BOTH,
        **exact,
    )
    yield judged(
        found["mutated: unselected"],
        group=PRICE,
        name=f"{whole}, mutated: change beside the covariance alone",
        source=COVARIANCE,
        relation="at least",
        expected=0.01,
        note="what transmission is needed for",
    )


def drift_rows(found: Found) -> Iterator[Row | Law]:
    """What `drift` gave."""
    runs = round(found["runs"][0])
    for name, (kind, deaths, steps, source) in EQUALS.items():
        kept = kept_diversity(N, deaths, from_all=kind == "moran")
        yield about(
            found[f"{name}: {steps}"],
            expected=kept**steps,
            variance=float(found[f"{name}: variance"].mean()) / runs,
            group=DRIFT,
            name=f"{name}: heterozygosity after {steps} selections",
            source=source,
        )
        at = range(1, steps + 1)
        yield law(
            [found[f"{name}: {step}"] for step in at],
            at=at,
            group=DRIFT,
            name=f"Heterozygosity of equals: {name}",
            source=source,
            x="selections",
            y="share of pairs that are unlike",
            expected=tuple(kept**step for step in at),
        )
    mean, variance = time_to_common_ancestor(FAMILY)
    # Two looks share what was not forgotten between them; the last two lineages last longest.
    shared = (1 - 2 / (FAMILY * (FAMILY - 1))) ** BETWEEN
    yield about(
        found["births"],
        expected=mean,
        variance=variance * (1 + shared) / (1 - shared) / runs,
        group=DRIFT,
        name=f"{FAMILY} agents, 1 dies at a time: births since their last common ancestor",
        source=COALESCENT,
    )
