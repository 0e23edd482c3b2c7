"""Agents for the tests of talk, who hold just the dimensions that a test gives them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.communication import Talk, talk
from agents.config import SocietyConfig
from agents.meeting import Meeting, scenes
from agents.population import ABSTRACT, NOTHING, Population, found
from agents.world import planted

FEATURES = 12

WORLD = planted(seed=10, objects=600, features=FEATURES, factors=FEATURES, communality=0.5, cross_loadings=0, probe=200)
"""Features that have nothing to do with each other, nearly: so are dimensions that weigh different ones."""


def config(agents: int, **changes: Any) -> SocietyConfig:
    usual: dict[str, Any] = {"agents": agents, "sensors": FEATURES, "memory": 2, "exemplars": 0, "common_ground": 0}
    return SocietyConfig(**(usual | changes))


def people(views: NDArray[np.float64], life: SocietyConfig) -> Population:
    """Agents who sense every feature in its own place, with dimensions of the loadings ``views [N, k, D]``."""
    population = found(WORLD, life, np.random.default_rng(0))
    n, k, _ = views.shape
    population.sensor[:] = np.arange(FEATURES)
    loading = (views / np.linalg.norm(views, axis=2, keepdims=True)).astype(np.float32)
    for slot in range(k):
        population.install(
            np.arange(n), np.full(n, slot), loading=loading[:, slot], kind=ABSTRACT, exemplar=NOTHING, step=0
        )
    return population


def axis_views(n: int, features: list[int]) -> NDArray[np.float64]:
    """Views [n, k, D] of which each dimension is one feature."""
    return np.tile(np.eye(FEATURES)[features], (n, 1, 1))


def meeting_of(n_pairs: int, *, candidates: int = 4, seed: int = 0) -> Meeting:
    """Agents 0, 1, ... speak to as many others."""
    rng = np.random.default_rng(seed)
    return Meeting(
        speaker=np.arange(n_pairs),
        hearer=n_pairs + np.arange(n_pairs),
        scene=scenes(WORLD.train, n_pairs, candidates, rng),
        topic=rng.integers(candidates, size=n_pairs),
    )


def play(population: Population, meeting: Meeting, life: SocietyConfig, n_words: int = 0, seed: int = 1) -> Talk:
    return talk(population, WORLD, meeting, life, n_words, np.random.default_rng(seed))
