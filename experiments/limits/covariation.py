"""Kelley's covariation cube in its exact limits: patterns, the analysis of variance, and contests as they are lived."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.config import SocietyConfig
from agents.covariation import (
    FACTORS,
    PATTERNS,
    cause_variances,
    covariation,
    cube_of,
    effects,
    filled,
    variance_components,
)
from agents.meeting import Experience
from agents.perception import levels
from agents.society import Society
from agents.superiority import compare
from agents.world import World, planted
from experiments.limits.contestants import arena, rivals
from experiments.limits.rows import Row, row_of
from experiments.pieces import Figures, Found, Measure

CUBE = "attribution: Kelley's cube"
KELLEY = "Kelley 1967, 1973"

EXACT = 1e-10
RANKS = 40
"""Contestants who are all held against all."""


def measures(*, quick: bool) -> dict[str, Measure]:
    """What has to be measured; ``quick`` lets the living society grow less old."""
    return {CUBE: functools.partial(cubes, steps=300 if quick else 1500)}


def rows(found: Mapping[str, Found]) -> Iterator[Row]:
    """Every row of the cube."""
    yield from cube_rows(found[CUBE])


class Remembering(Society):
    """A society that keeps what its members went through."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.experiences: list[Experience] = []

    def feel(self, experience: Experience) -> None:
        """Phase 6, and a note of it."""
        self.experiences.append(experience)
        super().feel(experience)


def cubes(seed: int, *, steps: int) -> Figures:
    """Kelley's patterns, the decomposition of random cubes, and cubes of contests as they are lived."""
    rng = np.random.default_rng(seed)
    found: Figures = {"patterns": float(sum(_recognised(rng, causes) for causes in range(8)))}
    cube = rng.random((5, 4, 6, 3))
    parts = effects(cube)
    found["effects"] = float(np.abs(sum(np.broadcast_to(part, cube.shape) for part in parts) - cube).max())
    total = cube.var(axis=(-3, -2, -1))
    found["components"] = float(np.abs(variance_components(cube).sum(axis=-1) - total).max())
    found["causes"] = float(np.abs(cause_variances(cube).sum(axis=-1) - total).max())
    a, b, c = rng.standard_normal(4), rng.standard_normal(6), rng.standard_normal(3)
    additive = a[:, None, None] + b[:, None] + c
    found["additive"] = float(np.abs(cause_variances(additive) - [a.var(), b.var(), c.var()]).max())

    world = arena(seed)
    cube = everybody_against_everybody(world, rng)
    components = variance_components(cube) / cube.var()
    found |= {"person": components[1], "stimulus": components[2], "both": components[3]}
    found["occasion"] = float(components[4:].sum())
    found |= {f"due to {k}": v for k, v in zip(FACTORS, cause_variances(cube) / cube.var(), strict=True)}

    life: dict[str, Any] = {"agents": 12, "sensors": 8, "memory": 40, "dimensions": 1, "exemplars": 1}
    life |= {"discovery_interval": 0, "selection_interval": 0, "merge_interval": 0}
    society = Remembering(
        planted(seed=seed, objects=600, features=32, factors=4, probe=60), SocietyConfig(**life), seed=seed
    )
    for _ in range(steps):
        society.step()
    cube, _ = filled(cube_of(society.experiences, "comparison", window=steps // 3))
    found["lived"] = float(abs(variance_components(cube).sum() - cube.var()))
    found["passing"] = float(cause_variances(cube)[2] / cube.var())
    return found


def _recognised(rng: np.random.Generator, causes: int) -> bool:
    """Whether an event that takes these causes together (bits of a set) is put down to just them."""
    shape = tuple(rng.integers(4, 8, size=3))
    event = tuple(int(rng.integers(n)) for n in shape)
    happens = np.ones(shape)
    for bit in range(3):
        if causes >> bit & 1:
            at = np.arange(shape[bit]) == event[bit]
            happens *= at.reshape([-1 if axis == bit else 1 for axis in range(3)])
    expected = ("LH"[not causes & 1], "LH"[bool(causes & 2)], "LH"[not causes & 4])
    told = covariation(happens)
    return bool(told.patterns()[event] == "".join(expected) and told.causes()[event] == PATTERNS["".join(expected)])


def everybody_against_everybody(world: World, rng: np.random.Generator) -> NDArray[np.float64]:
    """The cube [n, n, 2] of contests of all with all, themselves included, by one measure, held twice."""
    population, life = rivals(world, rng, agents=RANKS, known=0)
    # Bodies that stand well apart, so that nobody is level with another.
    height = levels(population, world, np.zeros(1, dtype=np.intp), world.train[None])[0, :, 0]
    apart = np.argsort(height)[np.linspace(0, len(height) - 1, RANKS).round().astype(int)]
    population.body[:] = rng.permutation(world.train[apart])
    pairs = np.array(list(itertools.product(range(RANKS), repeat=2)), dtype=np.intp)
    slots, topic = np.zeros(len(pairs), dtype=np.intp), np.zeros(len(pairs), dtype=np.int32)
    met = Experience(rows=pairs[:, 0], slots=slots, partners=pairs[:, 1], topic=topic, outcomes={})
    return cube_of([compare(population, world, met, life) for _ in range(2)], "comparison", window=1)


def cube_rows(found: Found) -> Iterator[Row]:
    """What `cubes` gave."""
    yield row_of(found, "patterns", CUBE, "patterns put down to their causes, of 8", KELLEY, "exactly", 8.0)
    limits = {
        "effects": "effects add up to the outcomes",
        "components": "variances of the effects add up to that of the outcomes",
        "causes": "variances due to person, stimulus and occasion add up to it",
        "lived": "the same in a cube of contests as they were lived",
    }
    for key, name in limits.items():
        yield row_of(found, key, CUBE, f"{name}, largest deviation", "orthogonal effects", "exactly", 0.0, EXACT)
    name = "causes that only add up: the variance of each, largest deviation"
    yield row_of(found, "additive", CUBE, name, "no interaction", "exactly", 0.0, EXACT)
    n, source = RANKS, "ranks of all against all"
    expected = {"person": (n + 1) / (3 * n), "stimulus": (n + 1) / (3 * n), "both": (n - 2) / (3 * n), "occasion": 0.0}
    names = {"person": "who", "stimulus": "against whom", "both": "who against whom", "occasion": "when"}
    for key, value in expected.items():
        name = f"contests of {n}, share of variance: {names[key]}"
        yield row_of(found, key, CUBE, name, source, "exactly", value, EXACT)
    for key, value in zip(FACTORS, (0.5, 0.5, 0.0), strict=True):
        name = f"the same, due to the {key}"
        yield row_of(
            found, f"due to {key}", CUBE, name, "interactions shared alike, Owen 2014", "exactly", value, EXACT
        )
    name = "contests in a society, each by its own measure: share of the occasion"
    yield row_of(found, "passing", CUBE, name, "what stands, stands", "at most", 0.0, EXACT)
