"""What many agents expect of contests of bodies, and how those are felt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from agents.kernels.lanes import along, fetch
from agents.kernels.seeing import check_objects
from agents.kernels.threads import jit, shared_out
from agents.superiority import AS_EXPECTED, LEVEL
from agents.world import STEPS

if TYPE_CHECKING:
    from agents.population import Population
    from agents.world import World

DENSE = 12
"""How many times as many features as are sensed it takes less time to go through in a row than to pick those sensed."""

AHEAD = 8
"""Agents further on whose memory is fetched."""

WEIGHTS, WEIGHT, SENSORS = 260_000, 32_000, 4_000
"""Weights as whole numbers: their sum, and the largest, in size. Each is rounded by up to a half, so of up to so many
sensors the sum is at most 262,000, its product with the largest feature fits into 31 bits, and sums of products are the
same in whatever order they are added."""

# ---- compare


@jit
def _share_below(own: float, height: NDArray[np.float64], n: int) -> float:
    """The share of the first ``n`` levels that is below, ties counting half; 1/2 of none."""
    halves = 0
    for k in range(n):
        halves += (own - height[k] > LEVEL) + (own - height[k] >= -LEVEL)
    return halves / (2 * n) if n > 0 else 0.5


@jit
def _contests(
    start: int,
    stop: int,
    features: NDArray[np.float32],
    sensor: NDArray[np.int32],
    loading: NDArray[np.float32],
    seen: NDArray[np.int32],
    rows: NDArray[np.intp],
    slots: NDArray[np.intp],
    objects: NDArray[np.int32],
    acquaintances: int,
    bodies: NDArray[np.float32],
    standings: NDArray[np.float64],
) -> None:
    memory, height = np.empty((1, acquaintances), np.int32), np.empty((1, acquaintances), np.float32)
    level = np.empty(acquaintances)
    for i in range(start, stop):
        row, slot, n = rows[i], slots[i], 0
        for k in range(acquaintances):
            if seen[row, k] >= 0:
                memory[0, n] = seen[row, k]
                n += 1
        along(features, objects, i, 2, sensor, row, loading, slot, bodies, i, 0)
        along(features, memory, 0, n, sensor, row, loading, slot, height, 0, 0)
        for k in range(n):
            level[k] = height[0, k]
        for body in range(2):
            standings[i, body] = _share_below(np.float64(bodies[i, body]), level, n)


@jit
def _contests_in_steps(
    start: int,
    stop: int,
    features: NDArray[np.float32],
    sensor: NDArray[np.int32],
    loading: NDArray[np.float32],
    seen: NDArray[np.int32],
    rows: NDArray[np.intp],
    slots: NDArray[np.intp],
    objects: NDArray[np.int32],
    acquaintances: int,
    bodies: NDArray[np.float32],
    standings: NDArray[np.float64],
    steps: NDArray[np.int16],
    step: float,
) -> None:
    """The same. Levels in whole numbers tell who stands higher, but for those too close, who are looked at again."""
    m, n_features = sensor.shape[1], steps.shape[1]
    weight, product = np.zeros(n_features, np.int16), np.empty(acquaintances, np.int32)
    who, level = np.empty(acquaintances, np.uintp), np.empty(acquaintances)
    n_slots = loading.shape[0] // len(sensor)
    for i in range(start, stop):
        row, slot = rows[i], slots[i]
        if i + AHEAD < stop:
            later = rows[i + AHEAD]
            fetch(sensor, later, m), fetch(seen, later, acquaintances)
            fetch(loading, later * n_slots + slots[i + AHEAD], m)
        at = row * n_slots + slot
        total = largest = np.float32(0)
        own = other = np.float32(0)
        own_body, other_body = np.uintp(objects[i, 0]), np.uintp(objects[i, 1])
        for j in range(m):
            sensed, x = np.uintp(sensor[row, j]), loading[at, j]
            own += features[own_body, sensed] * x
            other += features[other_body, sensed] * x
            total += abs(x)
            largest = max(largest, abs(x))
        bodies[i, 0], bodies[i, 1] = own, other
        unit = max(np.float64(total) / WEIGHTS, np.float64(largest) / WEIGHT)
        per_unit = np.float32(1.0 / unit) if unit > 0 else np.float32(0)
        for j in range(m):
            weight[np.uintp(sensor[row, j])] = np.int16(np.rint(loading[at, j] * per_unit))

        n = 0
        for k in range(acquaintances):
            if seen[row, k] >= 0:
                who[n] = np.uintp(seen[row, k])
                n += 1
        for k in range(n):
            total_product = np.int64(0)
            for d in range(n_features):
                total_product += np.int32(steps[who[k], d]) * np.int32(weight[d])
            product[k] = total_product
        for j in range(m):
            weight[np.uintp(sensor[row, j])] = 0

        # How far off they can be: half a step of every feature and of every weight, and what exact sums are rounded by.
        off = step * (0.51 * total + 0.51 * unit * m * STEPS + 2e-7 * m * total * STEPS) + LEVEL
        one, two, close = np.float64(own), np.float64(other), 0
        for k in range(n):
            level[k] = product[k] * (unit * step)
            close += (abs(one - level[k]) <= off) | (abs(two - level[k]) <= off)
        for k in range(n if close > 0 else 0):
            if abs(one - level[k]) <= off or abs(two - level[k]) <= off:
                exactly = np.float32(0)
                for j in range(m):
                    exactly += features[who[k], np.uintp(sensor[row, j])] * loading[at, j]
                level[k] = exactly
        standings[i, 0], standings[i, 1] = _share_below(one, level, n), _share_below(two, level, n)


def contests(
    population: Population,
    world: World,
    rows: NDArray[np.intp],
    slots: NDArray[np.intp],
    objects: NDArray[np.int32],
    *,
    acquaintances: int,
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """How two bodies ``objects [n, 2]`` stand on the dimension in ``slots [n]``, and among those remembered.

    `agents.perception.heights` and `agents.attribution.expected_standings`, which look at the same things: float32 and
    float64 [n, 2]. Of those remembered the first ``acquaintances`` count.
    """
    check_objects(objects, world.features)
    bodies, standings = np.empty(objects.shape, np.float32), np.empty(objects.shape)
    acquaintances = min(acquaintances, population.seen.shape[1])
    what = [world.features, population.sensor, population.loading, population.seen, rows, slots, objects, acquaintances]
    if population.n_sensors <= SENSORS and world.n_features <= DENSE * population.n_sensors:
        what[2] = population.loading.reshape(-1, population.n_sensors)
        shared_out(_contests_in_steps, len(rows), *what, bodies, standings, *world.in_steps)
    else:
        shared_out(_contests, len(rows), *what, bodies, standings)
    return bodies, standings


# ---- feel


@jit
def _feed(
    start: int,
    stop: int,
    score: NDArray[np.float32],
    rows: NDArray[np.intp],
    slots: NDArray[np.intp],
    reward: NDArray[np.float64],
    rate_up: float,
    rate_down: float,
    by_steps: bool,
) -> None:
    for i in range(start, stop):
        before = np.float64(score[rows[i], slots[i]])
        error = reward[i] - before
        rate = rate_up if error > 0 else rate_down
        if not by_steps:
            score[rows[i], slots[i]] = before + rate * error
        elif abs(error) > AS_EXPECTED:
            score[rows[i], slots[i]] = min(max(before + (rate if error > 0 else -rate), 0.0), 1.0)


def feed(
    population: Population,
    rows: NDArray[np.intp],
    slots: NDArray[np.intp],
    reward: NDArray[np.float64],
    *,
    rate_up: float,
    rate_down: float,
    by_steps: bool,
) -> None:
    """`agents.superiority.updated`, of the scores in ``slots [n]`` of ``rows [n]``; ``by_steps`` is the quantile."""
    shared_out(_feed, len(rows), population.score, rows, slots, reward, rate_up, rate_down, by_steps, easy=True)
