"""Kernels over ranges of agents, in several threads.

The threads are plain ones that live as long as one call, or one tick: they take ranges as they get done with the last,
which on a busy machine loses less than equal shares, they need no compiling of their own, and they leave nothing behind
that would keep a process from forking.
"""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numba
import numpy as np
from numpy.typing import NDArray

from agents.population import NOTHING

RANGE = 8192
"""Agents or pairs that a thread does at a time, at most."""

HARD, EASY = 1024, 65_536
"""Of how many it is worth while to give a thread some: of those that take a microsecond each, or a hundredth of it."""


CONSTANTS_OF = ("population", "superiority", "world")
"""Modules of `agents` whose constants kernels use."""


def stamp(files: Iterable[Path]) -> str:
    """SHA-256 of what files hold, one after the other."""
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


_here = Path(__file__).parent
SOURCES = stamp([*sorted(_here.glob("*.py")), *(_here.parent / f"{name}.py" for name in CONSTANTS_OF)])
"""Of all that is compiled into kernels."""


def jit(function: Callable[..., Any]) -> Any:
    """Compile a kernel, and keep what was compiled as long as no file that goes into it changes.

    By itself Numba looks at the file of the function alone, and would go on with what another one of them was before.
    """
    # No "fastmath": the order of a sum, and whether a product is rounded before it is added, would hang on the machine.
    kernel: Any = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    kernel._cache._cache_file._source_stamp = SOURCES
    return kernel


T = TypeVar("T")
R = TypeVar("R")


class _Kept(threading.local):
    """The threads that one thread of the program keeps for a while."""

    pool: ThreadPoolExecutor | None = None


_kept = _Kept()


@contextmanager
def kept() -> Iterator[None]:
    """Let all calls of `shared_out` in here, by this thread, have the same threads."""
    if _kept.pool is not None:
        yield
        return
    with ThreadPoolExecutor(_n_threads()) as _kept.pool:
        try:
            yield
        finally:
            _kept.pool = None


def _n_threads() -> int:
    settings: Any = numba.config
    return int(settings.NUMBA_NUM_THREADS)


def shared_out(kernel: Callable[..., None], n: int, *arguments: Any, easy: bool = False) -> None:
    """Call ``kernel(start, stop, *arguments)`` on ranges that make up 0 to n, in as many threads as Numba may have.

    That is NUMBA_NUM_THREADS where it is set, else as many as the process may use processors; but no thread for too
    few. What is ``easy`` takes little more time than a thread.
    """
    for argument in arguments:
        if isinstance(argument, np.ndarray) and not argument.flags.c_contiguous:
            raise ValueError(
                f"an array of shape {argument.shape} does not lie in memory row by row; take np.ascontiguousarray of it"
            )
    threads = min(_n_threads(), -(-n // (EASY if easy else HARD)))
    if threads <= 1:
        kernel(0, n, *arguments)
        return
    size = min(-(-n // (4 * threads)), RANGE)
    with kept():
        assert _kept.pool is not None
        for done in [_kept.pool.submit(kernel, i, min(i + size, n), *arguments) for i in range(0, n, size)]:
            done.result()


def at_once(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """``function`` of each item, in their order, in as many threads; no more items are taken than are worked on.

    For whole arrays of NumPy, which lets other threads go on meanwhile.
    """
    with kept():
        pool, waiting = _kept.pool, deque[Future[R]]()
        assert pool is not None
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > _n_threads():
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


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
