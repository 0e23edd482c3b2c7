"""Where runs of a sweep are done: in this process, in processes of this machine, or on a Dask cluster."""

from __future__ import annotations

import importlib
import logging
import multiprocessing
import re
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Future
from contextlib import contextmanager, suppress
from typing import Any

from agents.archive import first_sentence
from agents.errors import InputError
from experiments.pieces import program
from experiments.sweeps.running import Submits
from experiments.workers import workers

PATIENCE_S = 10
"""How long a scheduler may take to answer."""

ARRIVAL_S = 60
"""How long the first worker of a cluster may take to be there."""


class Here:
    """Does at once, in this process, what it is given."""

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> Future[Any]:
        """Do ``fn(*args)``; the future that is returned is done."""
        future: Future[Any] = Future()
        future.set_result(fn(*args))
        return future


@contextmanager
def here() -> Iterator[Submits]:
    """This process."""
    yield Here()


@contextmanager
def processes(number: int) -> Iterator[Submits]:
    """So many processes of this machine, with one thread each; whatever stops this one stops them."""
    others = set(multiprocessing.active_children())
    with workers(number) as pool:
        try:
            yield pool
        except BaseException:
            # The pool would wait for the runs at hand, which can take hours.
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()
            raise


class Cluster:
    """The workers of a Dask cluster."""

    def __init__(self, client: Any) -> None:
        self.client = client
        # Runs are told apart by more than what they are given: one that is begun again is another piece of work.
        self.executor = client.get_executor(pure=False)

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> Future[Any]:
        """Begin ``fn(*args)`` on one of the workers.

        Raises
        ------
        BrokenExecutor
            If the scheduler is gone.
        """
        if self.client.status != "running":
            raise BrokenExecutor("the scheduler is gone")
        future: Future[Any] = self.executor.submit(fn, *args)
        return future


def check_address(scheduler: str | None) -> None:
    """Refuse a ``scheduler`` that is no address; None is no scheduler."""
    if scheduler is not None and not re.fullmatch(r"((tcp|tls|ucx|wss?)://)?\S+:\d+/?", scheduler):
        raise InputError(f"scheduler is {scheduler!r}, but it must be an address like tcp://HOST:8786")


@contextmanager
def cluster(address: str) -> Iterator[Submits]:
    """The Dask cluster whose scheduler is at an address. What a worker that dies was doing goes to others.

    Raises
    ------
    InputError
        As `connected` does.
    """
    with connected(address) as client:
        found = Cluster(client)
        try:
            yield found
        finally:
            with suppress(Exception):  # of a scheduler that is gone
                found.executor.shutdown(wait=False)


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """A client of the Dask cluster whose scheduler is at an address, with workers of this program.

    Raises
    ------
    InputError
        If `distributed` is not installed, nothing answers there, or its workers do not have this program.
    """
    try:
        distributed = importlib.import_module("distributed")
    except ImportError as error:
        raise InputError(
            "distributed, which speaks to Dask clusters, is not installed; install dimensional-views[distributed]"
        ) from error
    for talkative in ("distributed", "distributed.client"):  # pages of tracebacks where one sentence will be said
        logging.getLogger(talkative).setLevel(logging.CRITICAL)
    try:
        client = distributed.Client(address, timeout=PATIENCE_S, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"scheduler is {address}, where no Dask scheduler answers ({first_sentence(error)}); start one by 'dask "
            "scheduler', or leave it out to use this machine"
        ) from error
    with client:
        _check_workers(client, address)
        yield client


def _check_workers(client: Any, address: str) -> None:
    try:
        client.wait_for_workers(1, timeout=ARRIVAL_S)
        versions = client.run(program)
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"scheduler is {address}, whose workers do not have this program ({first_sentence(error)}); install it "
            "where they run"
        ) from error
    except OSError as error:  # a wait that was too long is one
        raise InputError(
            f"scheduler is {address}, which has no workers; start some by 'dask worker {address}'"
        ) from error
    if others := [worker for worker, version in versions.items() if version != program()]:
        raise InputError(f"the worker at {min(others)} has another version of this program; install the same there")
