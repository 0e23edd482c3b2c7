"""What a language game is made of, for one pair: words looked up and kept, levels made comparable."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agents.kernels.lanes import LANES, moments
from agents.kernels.threads import jit
from agents.population import NEUTRAL

# ---- words


@jit
def place_of(word: int, lexicon: NDArray[np.int32], row: int) -> int:
    """The first place of a word in ``lexicon[row]``, or how many places there are."""
    n: int = lexicon.shape[1]
    place = n
    for q in range(n):  # all of them, which is quicker than to look where to stop
        place = min(place, q if lexicon[row, q] == word else n)
    return place


@jit
def is_known(word: int, lexicons: NDArray[np.int32], k: int) -> bool:
    """Whether it is anywhere in ``lexicons[k]``."""
    count = 0
    for p in range(lexicons.shape[1]):
        count += lexicons[k, p] == word
    return count > 0


@jit
def add_word(words: NDArray[np.int32], row: int, s: int, word: int) -> None:
    """`agents.communication.add_word`, to one inventory."""
    size, places = 0, words.shape[2]
    for p in range(places):
        size += words[row, s, p] >= 0
    if size == places:
        for p in range(size - 1):
            words[row, s, p] = words[row, s, p + 1]
        size -= 1
    words[row, s, size] = word


# ---- levels of one view, side by side


@jit
def standardise(
    height: NDArray[np.float32],
    at: int,
    n: int,
    z: NDArray[np.float64],
    unused: NDArray[np.float64],
    moment: NDArray[np.float64],
) -> None:
    """`agents.communication.standardised`, of ``n`` rows of levels [., LANES] from row ``at`` on."""
    moments(height, at, n, unused, moment)
    for e in range(LANES):
        moment[1, e] = np.sqrt(moment[1, e] / n)
    for c in range(n):
        for e in range(LANES):
            z[c, e] = (height[at + c, e] - moment[0, e]) / moment[1, e] if moment[1, e] > 1e-6 else 0.0


@jit
def agree(
    shown: NDArray[np.float32],
    i: int,
    own: NDArray[np.float32],
    at: int,
    a: NDArray[np.float64],
    moment: NDArray[np.float64],
    r: NDArray[np.float64],
) -> None:
    """`agents.communication.agreement`, of the levels ``shown[i]`` with own ones [., LANES] from row ``at`` on."""
    n, mean, square = shown.shape[1], 0.0, 0.0
    for g in range(n):
        mean += shown[i, g]
    mean /= n
    for g in range(n):
        a[g] = shown[i, g] - mean
        square += a[g] * a[g]
    moments(own, at, n, a, moment)
    for e in range(LANES):
        scale = np.sqrt(square * moment[1, e])
        r[e] = moment[2, e] / scale if scale > 1e-9 else 0.0


@jit
def self_esteem(kind: NDArray[np.int8], score: NDArray[np.float32], row: int) -> float:
    """`Population.self_esteem`, of one view."""
    count, total = 0, 0.0
    for s in range(kind.shape[1]):
        if kind[row, s] != 0:
            count += 1
            total += score[row, s]
    return total / count if count > 0 else NEUTRAL


@jit
def nearest(height: NDArray[np.float32], gesture: float) -> int:
    """`agents.communication.nearest`, of levels [1, C] that are not standardised yet."""
    n, mean, variance = height.shape[1], 0.0, 0.0
    for c in range(n):
        mean += height[0, c]
    mean /= n
    for c in range(n):
        variance += (height[0, c] - mean) * (height[0, c] - mean)
    spread = np.sqrt(variance / n)
    place, least = 0, np.inf
    for c in range(n):
        z = (height[0, c] - mean) / spread if spread > 1e-6 else 0.0
        if abs(z - gesture) < least:
            place, least = c, abs(z - gesture)
    return place
