"""Scenes, levels of the objects in them, and what is remembered of those, for many agents."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from agents.kernels.lanes import LANES, along, in_view, room_for, side_by_side
from agents.kernels.threads import jit, shared_out
from agents.population import NOTHING

if TYPE_CHECKING:
    from agents.population import Population


@jit
def _scenes(start: int, stop: int, objects: NDArray[np.int32], picks: NDArray[np.intp], out: NDArray[np.int32]) -> None:
    candidates = len(picks)
    chosen = np.empty(candidates, np.intp)
    for i in range(start, stop):
        for place in range(candidates):
            repeated = False
            for before in range(place):
                repeated |= chosen[before] == picks[place, i]
            chosen[place] = len(objects) - candidates + place if repeated else picks[place, i]
            out[i, place] = objects[chosen[place]]


def scenes(objects: NDArray[np.int32], picks: NDArray[np.intp]) -> NDArray[np.int32]:
    """`agents.meeting.distinct_picks`, of ``picks [C, n_scenes]`` among ``objects``: int32 [n_scenes, C]."""
    out = np.empty(picks.shape[::-1], np.int32)
    shared_out(_scenes, len(out), objects, picks, out, easy=True)
    return out


@jit
def _levels(
    start: int,
    stop: int,
    features: NDArray[np.float32],
    sensor: NDArray[np.int32],
    loading: NDArray[np.float32],
    rows: NDArray[np.intp],
    objects: NDArray[np.int32],
    out: NDArray[np.float32],
) -> None:
    n_objects, n_slots = out.shape[1:]
    weights, height = np.zeros((loading.shape[2], LANES), np.float32), room_for(n_objects)
    for i in range(start, stop):
        side_by_side(loading, rows[i], weights)
        in_view(features, objects, i, sensor, rows[i], weights, height, 0)
        for c in range(n_objects):
            for s in range(n_slots):
                out[i, c, s] = height[c, s]


def check_objects(objects: NDArray[np.int32], features: NDArray[np.float32]) -> None:
    """Refuse objects [...] that are not rows of ``features``: a kernel would read whatever lies there.

    Raises
    ------
    IndexError
        If there is one.
    """
    if objects.size and not 0 <= objects.min() <= objects.max() < len(features):
        raise IndexError(f"objects go from 0 to {len(features) - 1}, not from {objects.min()} to {objects.max()}")


def levels(
    population: Population, features: NDArray[np.float32], rows: NDArray[np.intp], objects: NDArray[np.int32]
) -> NDArray[np.float32]:
    """`agents.perception.levels`: of ``objects [n, C]`` on each dimension of ``rows [n]``, float32 [n, C, S]."""
    check_objects(objects, features)
    out = np.empty((*objects.shape, population.n_slots), dtype=np.float32)
    objects = np.ascontiguousarray(objects)  # or a kernel for views of other strides would be compiled
    shared_out(_levels, len(rows), features, population.sensor, population.loading, rows, objects, out)
    return out


@jit
def _heights(
    start: int,
    stop: int,
    features: NDArray[np.float32],
    sensor: NDArray[np.int32],
    loading: NDArray[np.float32],
    rows: NDArray[np.intp],
    slots: NDArray[np.intp],
    objects: NDArray[np.int32],
    out: NDArray[np.float32],
) -> None:
    for i in range(start, stop):
        along(features, objects, i, objects.shape[1], sensor, rows[i], loading, slots[i], out, i, 0)


def heights(
    population: Population,
    features: NDArray[np.float32],
    rows: NDArray[np.intp],
    slots: NDArray[np.intp],
    objects: NDArray[np.int32],
) -> NDArray[np.float32]:
    """`agents.perception.heights`: of ``objects [n, C]`` on the dimension in ``slots [n]``, float32 [n, C]."""
    check_objects(objects, features)
    objects = np.ascontiguousarray(objects)
    out = np.empty(objects.shape, dtype=np.float32)
    shared_out(_heights, len(rows), features, population.sensor, population.loading, rows, slots, objects, out)
    return out


@jit
def _perceive(
    start: int,
    stop: int,
    seen: NDArray[np.int32],
    n_seen: NDArray[np.int32],
    rows: NDArray[np.intp],
    objects: NDArray[np.int32],
    luck: NDArray[np.float64],
) -> None:
    capacity = seen.shape[1]
    for i in range(start, stop):
        row, count = rows[i], n_seen[rows[i]]
        for place in range(objects.shape[1]):
            if objects[i, place] == NOTHING:
                continue
            slot = count if count < capacity else np.int32(luck[i, place] * (count + 1))
            if slot < capacity:
                seen[row, slot] = objects[i, place]
            count += 1
        n_seen[row] = count


def perceive(
    population: Population, rows: NDArray[np.intp], objects: NDArray[np.int32], luck: NDArray[np.float64]
) -> None:
    """`agents.perception.perceive`: ``rows [n]`` remember ``objects [n, C]`` by ``luck [n, C]`` in [0, 1)."""
    shared_out(_perceive, len(rows), population.seen, population.n_seen, rows, objects, luck, easy=True)
