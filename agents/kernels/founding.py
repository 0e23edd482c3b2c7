"""The first generation of a large society."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from agents.kernels.threads import jit, shared_out
from agents.population import EXEMPLAR, NEUTRAL, RAW

if TYPE_CHECKING:
    from agents.population import Population


@jit
def _dealt(start: int, stop: int, draws: NDArray[np.float64], high: int, out: NDArray[np.int32]) -> None:
    m = draws.shape[1]
    deck = np.arange(high).astype(np.int32)
    places = np.empty(m, np.intp)
    for i in range(start, stop):
        for k in range(m):
            places[k] = k + int(draws[i, k] * (high - k))
            deck[k], deck[places[k]] = deck[places[k]], deck[k]
            out[i, k] = deck[k]
        # The deck as it was, for the next one.
        for k in range(m - 1, -1, -1):
            deck[k], deck[places[k]] = deck[places[k]], deck[k]


def dealt(draws: NDArray[np.float64], high: int) -> NDArray[np.int32]:
    """`agents.population.dealt`: the first m of the numbers under ``high`` as ``draws [n, m]`` shuffle them."""
    out = np.empty(draws.shape, dtype=np.int32)
    shared_out(_dealt, len(draws), draws, high, out)
    return out


@jit
def _first_exemplars(
    start: int,
    stop: int,
    features: NDArray[np.float32],
    n_slots: int,
    sensor: NDArray[np.int32],
    body: NDArray[np.int32],
    seen: NDArray[np.int32],
    loading: NDArray[np.float32],
    kind: NDArray[np.int8],
    exemplar: NDArray[np.int32],
    score: NDArray[np.float32],
    born: NDArray[np.int32],
    origin: NDArray[np.int8],
) -> None:
    m = sensor.shape[1]
    for i in range(start, stop):
        for s in range(n_slots):
            obj = body[i] if s == 0 else seen[i, s - 1]
            known = 0
            for before in range(s):
                known += exemplar[i, before] == obj
            if known > 0:
                continue
            square = np.float32(0)
            for j in range(m):
                x = features[obj, sensor[i, j]]
                loading[i, s, j] = x
                square += x * x
            norm, even = np.sqrt(square), np.float32(1.0 / np.sqrt(m))
            for j in range(m):
                loading[i, s, j] = loading[i, s, j] / norm if norm > 0 else even
            kind[i, s], exemplar[i, s], origin[i, s] = RAW, obj, EXEMPLAR
            score[i, s], born[i, s] = NEUTRAL, 0


def first_exemplars(population: Population, features: NDArray[np.float32], n_slots: int) -> None:
    """`agents.population.first_exemplars`: fill the first ``n_slots`` of a population without dimensions or success."""
    columns = ("sensor", "body", "seen", "loading", "kind", "exemplar", "score", "born", "origin")
    arrays = (getattr(population, name) for name in columns)
    shared_out(_first_exemplars, len(population), features, n_slots, *arrays)
