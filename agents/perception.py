"""Phase 2, perceive: what an agent senses, what it remembers, and where it turns its attention."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agents.config import SocietyConfig
from agents.population import ABSTRACT, MANY, NOTHING, RAW, Population, likeness, unit
from agents.world import World

CHUNK = 2048
"""Agents that look at what they remember together; bounds the memory for [n, R, c] features."""


def perceive(
    population: Population, rows: NDArray[np.intp], objects: NDArray[np.int32], rng: np.random.Generator
) -> None:
    """Each of ``rows [n]`` remembers its ``objects [n, C]`` in a reservoir (Vitter 1985, algorithm R).

    Whatever has been seen is then equally likely to be remembered. A row must not occur twice. Objects of -1 are not
    looked at.
    """
    capacity = population.seen.shape[1]
    luck = rng.random(objects.shape)
    if len(rows) >= MANY:
        from agents import kernels

        kernels.perceive(population, rows, objects, luck)
        return
    for place in range(objects.shape[1]):
        count, looks = population.n_seen[rows], objects[:, place] != NOTHING
        slot = np.where(count < capacity, count, (luck[:, place] * (count + 1)).astype(np.int32))
        kept = looks & (slot < capacity)
        population.seen[rows[kept], slot[kept]] = objects[kept, place]
        population.n_seen[rows] = count + looks


def sense(features: NDArray[np.float32], objects: NDArray[np.int32], sensor: NDArray[np.int32]) -> NDArray[np.float32]:
    """float32 [n, C, m]: ``objects [n, C]`` as seen through ``sensor [n, m]``."""
    return features[objects[:, :, None], sensor[:, None, :]]


def levels(
    population: Population, world: World, rows: NDArray[np.intp], objects: NDArray[np.int32]
) -> NDArray[np.float32]:
    """float32 [n, C, S]: how high ``objects [n, C]`` stand on each dimension of ``rows [n]`` (0 in empty slots)."""
    if len(rows) >= MANY:
        from agents import kernels

        return kernels.levels(population, world.features, rows, objects)
    sensed = sense(world.features, objects, population.sensor[rows])
    return sensed @ population.loading[rows].swapaxes(1, 2)


def heights(
    population: Population,
    world: World,
    rows: NDArray[np.intp],
    slots: NDArray[np.intp],
    objects: NDArray[np.int32],
) -> NDArray[np.float32]:
    """float32 [n, C]: how high ``objects [n, C]`` stand on the one dimension in ``slots [n]`` of ``rows [n]``."""
    if len(rows) >= MANY:
        from agents import kernels

        return kernels.heights(population, world.features, rows, slots, objects)
    return levels(population, world, rows, objects)[np.arange(len(rows)), :, slots]


def shift_attention(
    population: Population,
    rows: NDArray[np.intp],
    world: World,
    config: SocietyConfig,
    rng: np.random.Generator,
) -> None:
    """Turn the sensors of the least communality to features not sensed so far, those that go best with the view.

    A feature that goes with others stays; one that goes with nothing, by the factors found last, makes room. For each
    sensor to turn the agent glimpses at some random features, in what it remembers, and of all these takes those of
    which its dimensions explain most. So attention climbs towards groups of features that a common factor explains,
    without anybody knowing them.
    """
    m, n_features = population.n_sensors, world.n_features
    n_moved = min(round(config.attention * m), n_features - m)
    if n_moved == 0 or len(rows) == 0:
        return
    keys = rng.random((len(rows), n_features))
    # Ties (several features that no factor explains) must not favour low places.
    ties = np.take_along_axis(keys, population.sensor[rows].astype(np.intp), axis=1)
    moved = np.lexsort((ties, population.communality[rows]), axis=1)[:, :n_moved]
    fresh = not_sensed(population.sensor[rows], keys)[:, : min(n_moved * config.glimpses, n_features - m)]
    if fresh.shape[1] > n_moved:
        parts = (slice(start, start + CHUNK) for start in range(0, len(rows), CHUNK))
        promise = np.concatenate([glimpsed(population, world, rows[part], fresh[part]) for part in parts])
        best = np.argsort(-promise, axis=1, kind="stable")[:, :n_moved]
        fresh = np.take_along_axis(fresh, best, axis=1)
    replace_sensors(population, np.repeat(rows, n_moved), moved.ravel(), fresh.ravel(), world)


def glimpsed(
    population: Population, world: World, rows: NDArray[np.intp], features: NDArray[np.int32]
) -> NDArray[np.float64]:
    """R^2 [n, c] of each of ``features [n, c]`` on the levels of a view, over the different objects remembered.

    Rounded, so that features which are the same to an agent are level, whatever the last digits.
    """
    objects, there = remembered(population, rows)
    stands = standardised_over(levels(population, world, rows, objects), there)
    seen = standardised_over(sense(world.features, objects, features), there)
    across = stands.swapaxes(1, 2)
    # The ridge is for dimensions that repeat others, and for empty slots, which explain nothing.
    overlap = across @ stands + 1e-6 * np.eye(population.n_slots)
    r = across @ seen
    explained: NDArray[np.float64] = np.einsum("nsc,nsc->nc", r, np.linalg.solve(overlap, r))
    return explained.round(6)


def standardised_over(columns: NDArray[np.float32], there: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Columns [n, R, c] with mean 0 and norm 1 over the places that are ``there [n, R]``; 0 where they do not vary."""
    found, count = centred_over(columns, there), np.maximum(there.sum(axis=1), 1)[:, None, None]
    norm = np.linalg.norm(found, axis=1, keepdims=True)
    standard: NDArray[np.float64] = np.divide(found, norm, out=np.zeros_like(found), where=norm > 1e-5 * np.sqrt(count))
    return standard


def centred_over(columns: NDArray[np.float32], there: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Columns [n, R, c] with mean 0 over the places that are ``there [n, R]``, and 0 elsewhere."""
    count = np.maximum(there.sum(axis=1), 1)[:, None, None]
    kept = np.where(there[:, :, None], columns, 0.0).astype(np.float64)
    return np.where(there[:, :, None], kept - kept.sum(axis=1, keepdims=True) / count, 0.0)


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
