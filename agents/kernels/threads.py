"""Kernels over ranges of agents, in several threads.

The threads are plain ones that live as long as one call: they take ranges as they get done with the last, which on a
busy machine loses less than equal shares, they need no compiling of their own, and they leave nothing behind that would
keep a process from forking.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from agents.population import NOTHING

RANGE, LEAST = 8192, 1024
"""Agents or pairs that a thread does at a time, at most; and of how many it is worth while to give it some."""

# No "fastmath": the order of a sum, and whether a product is rounded before it is added, would hang on the machine.
jit = numba.njit(cache=True, nogil=True, error_model="numpy")


def shared_out(kernel: Callable[..., None], n: int, *arguments: Any) -> None:
    """Call ``kernel(start, stop, *arguments)`` on ranges that make up 0 to n, in as many threads as Numba may have.

    That is NUMBA_NUM_THREADS where it is set, else as many as the process may use processors.
    """
    settings: Any = numba.config
    threads = min(settings.NUMBA_NUM_THREADS, -(-n // LEAST))
    if threads <= 1:
        kernel(0, n, *arguments)
        return
    size = min(-(-n // (4 * threads)), RANGE)
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(kernel, i, min(i + size, n), *arguments) for i in range(0, n, size)]:
            done.result()


def in_order(rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """The places [n] of ``rows [n]`` in ascending order.

    Agents meet in random order. Whoever goes through them by their rows reads memory from one end to the other, which
    takes a third of the time off.
    """
    places = np.full(int(rows.max(initial=NOTHING)) + 1, NOTHING, dtype=np.intp)
    places[rows] = np.arange(len(rows))
    places = places[places != NOTHING]
    # That was quicker than sorting, but rows that occur twice are in it once.
    return places if len(places) == len(rows) else np.argsort(rows)
