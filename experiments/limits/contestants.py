"""People to be felt for: populations whose dimensions can be fed and compared directly, phase by phase."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.config import SocietyConfig
from agents.meeting import Experience, random_pairs
from agents.population import NEUTRAL, Population, found
from agents.superiority import compare
from agents.world import World, planted

SLOTS = 8


@functools.cache
def small_world() -> World:
    """A world that is there only because agents have to live in one; what they feel here does not depend on it."""
    return planted(seed=0, objects=60, features=SLOTS, factors=2, probe=8)


def people(dimensions: int, **config: Any) -> tuple[Population, SocietyConfig]:
    """Agents who hold so many dimensions together, all felt neutral, and the kind of society that they live in."""
    few: dict[str, Any] = {"agents": dimensions // SLOTS, "exemplars": SLOTS, "sensors": SLOTS, "memory": SLOTS}
    life = SocietyConfig(**(few | {"dimensions": SLOTS, "childhood": SLOTS} | config))
    population = found(small_world(), life, np.random.default_rng(0))
    # Each slot counts here, also where somebody met the same exemplar twice and has none.
    population.score[:] = NEUTRAL
    return population, life


def experienced(population: Population, outcomes: dict[str, NDArray[np.float64]]) -> Experience:
    """Everybody uses all its dimensions at once; outcomes [N * S] are in the order of `Population.score`."""
    n, slots = population.score.shape
    rows = np.repeat(np.arange(n), slots)
    topic = np.zeros(n * slots, dtype=np.int32)
    return Experience(
        rows=rows, slots=np.tile(np.arange(slots), n), partners=(rows + 1) % n, topic=topic, outcomes=outcomes
    )


def compared(population: Population, world: World, config: SocietyConfig, rng: np.random.Generator) -> Experience:
    """All meet in pairs, and compare their bodies on their first dimension."""
    one, other = random_pairs(len(population), rng)
    rows, partners = np.concatenate([one, other]), np.concatenate([other, one])
    slots, topic = np.zeros(len(rows), dtype=np.intp), np.zeros(len(rows), dtype=np.int32)
    met = Experience(rows=rows, slots=slots, partners=partners, topic=topic, outcomes={})
    return compare(population, world, met, config)


def arena(seed: int) -> World:
    """A world with enough objects for everybody to be another one."""
    return planted(seed=seed, objects=2000, features=16, factors=4, probe=50)


def rivals(
    world: World, rng: np.random.Generator, *, agents: int, known: int, **config: Any
) -> tuple[Population, SocietyConfig]:
    """Agents of different bodies who all measure by one dimension, and remember so many objects to compare with."""
    life = SocietyConfig(
        **({"agents": agents, "sensors": 16, "exemplars": 1, "memory": max(known, 2), "childhood": known} | config)
    )
    population = found(world, life, rng)
    population.body = rng.permutation(world.train)[:agents].astype(np.int32)
    population.sensor[:] = population.sensor[0]
    population.loading[:, 0] = population.loading[0, 0]
    return population, life
