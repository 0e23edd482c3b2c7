"""Views made by hand, where the shared dimensions are known."""

import dataclasses

import numpy as np

from knowledge_graph.library import Library
from knowledge_graph.views import Views

FEATURES, FACTORS, OBJECTS, PROBE, SLOTS, SENSORS = 48, 6, 600, 150, 3, 24


def planted(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features [M, D] with a simple-structure truth [D, K], communality .7."""
    rng = np.random.default_rng(seed)
    truth = np.zeros((FEATURES, FACTORS))
    truth[np.arange(FEATURES), np.arange(FEATURES) % FACTORS] = np.sqrt(0.7)
    noise = np.sqrt(0.3) * rng.standard_normal((OBJECTS, FEATURES))
    return rng.standard_normal((OBJECTS, FACTORS)) @ truth.T + noise, truth


def views_on(features: np.ndarray, truth: np.ndarray, *, agents: int, seed: int = 1, noise: bool = False) -> Views:
    """Each agent senses half of the features and knows 3 of the 6 factors, in random signs and rotated."""
    rng = np.random.default_rng(seed)
    sensor = np.array([rng.permutation(FEATURES)[:SENSORS] for _ in range(agents)])
    loading = np.zeros((agents, SLOTS, SENSORS), dtype=np.float32)
    for a in range(agents):
        known = truth[sensor[a]][:, rng.permutation(FACTORS)[:SLOTS]]
        if noise:
            known = rng.standard_normal(known.shape)
        turned = known @ np.linalg.qr(rng.standard_normal((SLOTS, SLOTS)))[0]
        loading[a] = (turned / np.linalg.norm(turned, axis=0)).T
    levels = np.stack([features[:PROBE, sensor[a]] @ loading[a].T for a in range(agents)])
    if noise:
        levels = rng.standard_normal(levels.shape)
    blank = np.zeros((agents, SLOTS), dtype=np.int32)
    return Views(
        agent=np.arange(agents),
        held=np.ones((agents, SLOTS), dtype=bool),
        levels=levels.astype(np.float32),
        sensor=sensor.astype(np.int32),
        loading=loading,
        words=np.full((agents, SLOTS, 2), -1, dtype=np.int32),
        kind=np.full((agents, SLOTS), 2, dtype=np.int8),
        sources=blank[:, :, None] - 1,
        born=blank,
        score=np.full((agents, SLOTS), 0.5, dtype=np.float32),
    )


def library_on(features: np.ndarray) -> Library:
    """A library of these objects, the first of which are its probe."""
    return Library(probe=np.arange(PROBE), features=features[:PROBE])


def turned_round(views: Views, sign: np.ndarray) -> Views:
    """The same views with dimensions that point the other way where ``sign [N, S]`` is -1."""
    assert views.levels is not None
    assert views.loading is not None
    assert views.structure is not None
    assert views.phi is not None
    return dataclasses.replace(
        views,
        levels=views.levels * sign[:, None, :],
        loading=views.loading * sign[:, :, None],
        structure=views.structure * sign[:, :, None],
        phi=views.phi * sign[:, :, None] * sign[:, None, :],
    )
