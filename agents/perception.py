"""Phase 2, perceive: what an agent senses, what it remembers, and where it turns its attention."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agents.population import ABSTRACT, NOTHING, RAW, Population, likeness, unit
from agents.world import World


def perceive(
    population: Population, rows: NDArray[np.intp], objects: NDArray[np.int32], rng: np.random.Generator
) -> None:
    """Each of ``rows [n]`` remembers its ``objects [n, C]`` in a reservoir (Vitter 1985, algorithm R).

    Whatever has been seen is then equally likely to be remembered. A row must not occur twice.
    """
    capacity = population.seen.shape[1]
    luck = rng.random(objects.shape)
    for place in range(objects.shape[1]):
        count = population.n_seen[rows]
        slot = np.where(count < capacity, count, (luck[:, place] * (count + 1)).astype(np.int32))
        kept = slot < capacity
        population.seen[rows[kept], slot[kept]] = objects[kept, place]
        population.n_seen[rows] = count + 1


def sense(features: NDArray[np.float32], objects: NDArray[np.int32], sensor: NDArray[np.int32]) -> NDArray[np.float32]:
    """float32 [n, C, m]: ``objects [n, C]`` as seen through ``sensor [n, m]``."""
    return features[objects[:, :, None], sensor[:, None, :]]


def levels(
    population: Population, world: World, rows: NDArray[np.intp], objects: NDArray[np.int32]
) -> NDArray[np.float32]:
    """float32 [n, C, S]: how high ``objects [n, C]`` stand on each dimension of ``rows [n]`` (0 in empty slots)."""
    sensed = sense(world.features, objects, population.sensor[rows])
    return np.matmul(sensed, population.loading[rows].swapaxes(1, 2))


def shift_attention(
    population: Population,
    rows: NDArray[np.intp],
    world: World,
    share: float,
    rng: np.random.Generator,
) -> None:
    """Turn the sensors of the least communality to random features not sensed so far.

    A feature that goes with others stays; one that goes with nothing, by the factors found last, makes room. So
    attention climbs towards groups of features that a common factor explains, without anybody knowing them.
    """
    m, n_features = population.n_sensors, world.n_features
    n_moved = min(round(share * m), n_features - m)
    if n_moved == 0 or len(rows) == 0:
        return
    keys = rng.random((len(rows), n_features))
    # Ties (several features that no factor explains) must not favour low places.
    ties = np.take_along_axis(keys, population.sensor[rows].astype(np.intp), axis=1)
    moved = np.lexsort((ties, population.communality[rows]), axis=1)[:, :n_moved]
    fresh = not_sensed(population.sensor[rows], keys)[:, :n_moved]
    replace_sensors(population, np.repeat(rows, n_moved), moved.ravel(), fresh.ravel(), world)


def not_sensed(sensor: NDArray[np.int32], keys: NDArray[np.float64]) -> NDArray[np.int32]:
    """The features [n, D] in the order of random ``keys [n, D]``, those that ``sensor [n, m]`` senses already last."""
    order = keys.copy()
    np.put_along_axis(order, sensor.astype(np.intp), np.inf, axis=1)
    return np.argsort(order, axis=1).astype(np.int32)


def replace_sensors(
    population: Population,
    rows: NDArray[np.intp],
    places: NDArray[np.intp],
    features: NDArray[np.int32],
    world: World,
) -> None:
    """Point the sensor at ``places`` of ``rows`` to ``features`` (three flat lists), and keep the loadings true to it.

    Abstract dimensions do not weigh a feature that they were not found on, and are gone when nothing they weigh is
    left; raw ones are the likeness to their exemplar through the new sensors.
    """
    touched = np.unique(rows)
    raw, raw_slot = np.nonzero(population.kind[touched] == RAW)
    raw = touched[raw]
    exemplar = population.exemplar[raw, raw_slot]
    # A raw dimension may have been turned round in talk, and stays so.
    alike = likeness(world.features, exemplar, population.sensor[raw])
    turned = (population.loading[raw, raw_slot] * alike).sum(axis=1, keepdims=True) < 0
    population.sensor[rows, places] = features
    population.communality[rows, places] = 0.0
    population.loading[rows, :, places] = 0.0
    at, slot = np.nonzero(population.held[touched] & ~population.loading[touched].any(axis=2))
    lost = population.kind[touched[at], slot] == ABSTRACT
    population.clear(touched[at[lost]], slot[lost])
    at, slot = np.nonzero(population.held[touched])
    population.loading[touched[at], slot] = unit(population.loading[touched[at], slot])
    alike = likeness(world.features, exemplar, population.sensor[raw])
    population.loading[raw, raw_slot] = np.where(turned, -alike, alike)


def remembered(population: Population, rows: NDArray[np.intp]) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """The different objects in memory, ascending [n, R], and a mask of which places hold one (the others hold 0).

    An object seen twice is one observation, not two: counted twice, chance would look like structure.
    """
    seen = np.sort(population.seen[rows], axis=1)
    there = seen != NOTHING
    there[:, 1:] &= seen[:, 1:] != seen[:, :-1]
    return np.where(there, seen, 0), there
