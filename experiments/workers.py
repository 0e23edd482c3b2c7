"""Work in processes of its own: side by side, or each piece in a fresh one so that its memory can be told."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager

from threadpoolctl import threadpool_limits

THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
    "POLARS_MAX_THREADS",
)
"""Where libraries look for how many threads they may have. Processes that each take all processors wait for each other
most of the time: ten times slower on two processors."""


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def workers(number: int, *, threads: int = 1, fresh: bool = False) -> Iterator[ProcessPoolExecutor]:
    """A pool of so many processes, each with so many threads for its matrices; ``fresh``: a new process per piece.

    They are started anew rather than forked, so that nothing of this process (its memory, its settings) is in them,
    and they end with it, however it ends. Whatever stops this process inside the block calls off what is left to do.
    """
    pool = ProcessPoolExecutor(
        max_workers=number,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_begin,
        initargs=(threads,),
        max_tasks_per_child=1 if fresh else None,
    )
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin(threads: int) -> None:
    # Ctrl-C goes to all processes of a terminal; one of them is enough to say so.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Libraries that are there already are told, those that come later read it.
    threadpool_limits(limits=threads)
    os.environ.update(dict.fromkeys(THREADS, str(threads)))
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
