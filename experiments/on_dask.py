"""A place for the shards of a society: the workers of a Dask cluster, in whose memory they stay.

Every step of a day is a piece of work for the cluster, whose arguments are what earlier ones left there; the scheduler
gives a day to the worker at which the shard is at home. When a worker is lost, so are its shards, and the scheduler has
all work done again that they came from: days are functions of what they are given, so that the same comes of it. How
far back that goes is what `OnDask` is given a directory for.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from agents import shard_arrays
from agents.archive import first_sentence, part_of, read_arrays
from agents.config import SocietyConfig
from agents.errors import InputError
from agents.sharded import ShardedSociety
from agents.shards import Post, Shard, Sharding
from agents.world import World
from experiments.sweeps.places import connected

PATIENCE_S = 60
"""How long a cluster may be without workers; those that have somebody to bring them back are there sooner."""

LOOK_S = 1.0
"""How often it is looked whether there are any."""

START = "dask worker ADDRESS --nthreads 1"


class OnDask:
    """The workers of a Dask cluster, for one society.

    Parameters
    ----------
    client : of `distributed`
    directory : where shards are written down every so many ``days``, at the same place for all workers. What is lost
        after that is begun again from there; without it, from the first generation, and the scheduler has to remember
        every day since.
    """

    def __init__(self, client: Any, *, directory: Path | None = None, days: int = 10) -> None:
        self.client, self.days = client, days
        # Workers need not have been started where this process was.
        self.directory = None if directory is None else directory.resolve()
        self.token = secrets.token_hex(4)
        """Of the names of files, so that societies that have one directory do not take each other's."""
        self.kept: list[Path] = []
        self.homes: dict[int, str] = {}
        """The worker at which each shard is at home."""

    def submit(self, work: Callable[..., Any], /, *args: Any, home: int | None = None) -> Any:
        """A future; work that is done again for another reason than loss is another piece of work.

        What is of a shard is done at its home, as long as that worker is there and no other has nothing to do.

        Raises
        ------
        InputError
            If the cluster is gone, or a worker has come that has several threads.
        """
        with cluster_there():
            if home is None:
                return self.client.submit(work, *args, pure=False)
            homes = at_home(self.homes, home, self.workers())
            there = [self.homes[home]] if homes else None
            return self.client.submit(work, *args, pure=False, workers=there, allow_other_workers=homes)

    def workers(self) -> list[str]:
        """The addresses of those who are there.

        Raises
        ------
        InputError
            If one of them has several threads. How many threads matrices have is a setting of a whole process, which
            a day changes and puts back: two of them at a time would do so to each other.
        """
        with cluster_there():
            threads: dict[str, int] = self.client.nthreads()
        for worker, number in threads.items():
            if number > 1:
                raise InputError(
                    f"the worker at {worker} has {number} threads, but the days of two shards in one process would "
                    f"disturb each other; start workers by '{START}'"
                )
        return list(threads)

    def gather(self, results: Sequence[Any]) -> list[Any]:
        """What is in the futures.

        Raises
        ------
        InputError
            What work itself refuses; or if the cluster loses the work again and again, is gone, or has had no
            workers for `PATIENCE_S`.
        """
        futures, done, given_up = list(results), threading.Event(), threading.Event()
        threading.Thread(target=self._wait_for_workers, args=(futures, done, given_up), daemon=True).start()
        try:
            with cluster_there():
                found: list[Any] = self.client.gather(futures)
                return found
        except InputError as error:
            if not given_up.is_set():
                raise
            raise InputError(
                f"the cluster has had no workers for {PATIENCE_S:g} s; start some by '{START}' and begin anew"
            ) from error
        finally:
            done.set()

    def _wait_for_workers(self, futures: Sequence[Any], done: threading.Event, given_up: threading.Event) -> None:
        """Call off what is gathered if there has been nobody to do it for too long: Dask would wait without end."""
        last = time.monotonic()
        while not done.wait(LOOK_S):
            with suppress(Exception):  # of a cluster that is gone; who gathers is told
                if self.client.nthreads():
                    last = time.monotonic()
                elif time.monotonic() - last > PATIENCE_S:
                    given_up.set()
                    self.client.cancel(futures)
                    return

    def keep(self, days: int, society: ShardedSociety) -> None:
        """Write shards and their mail down, if it is time, and let the cluster go on from what was written."""
        if self.directory is None or days % self.days:
            return
        before, number = self.kept, len(society.shards)
        files = [self.directory / f"{self.token}-shard-{k}-day-{days}.npz" for k in range(number)]
        self.kept = [*before, *files]  # whatever comes, all of it is removed in the end
        self.gather(
            [
                self.submit(write, str(path), shard, mail)
                for path, shard, mail in zip(files, society.shards, society.mail, strict=True)
            ]
        )
        society.shards, society.mail = [], []  # all that these came from can be forgotten
        read = [
            self.submit(read_shard, str(path), society.there, society.config, society.sharding, k, home=k)
            for k, path in enumerate(files)
        ]
        society.shards = [self.submit(shard_in, some) for some in read]
        society.mail = [self.submit(mail_in, some) for some in read]
        self.gather([self.submit(is_there, shard) for shard in society.shards])
        self.forget(before)
        self.kept = files

    def forget(self, files: Sequence[Path] | None = None) -> None:
        """Remove what was written down; by default all of it that is left."""
        for path in self.kept if files is None else files:
            with suppress(OSError):  # nothing is wrong with the society where a file cannot be removed
                path.unlink()


@contextmanager
def cluster_there() -> Iterator[None]:
    """Say in a sentence that the cluster is not there any more; a defect of the work stays one.

    A connection that cannot be made is a plain OSError, and so is a wait that was too long.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        ours = not type(error).__module__.startswith(("distributed", "asyncio", "concurrent"))
        if ours and not isinstance(error, OSError):
            raise
        raise InputError(
            f"the cluster has lost what it was to do ({type(error).__name__}: {first_sentence(error)}); see to its "
            "scheduler and workers, and start anew"
        ) from error


def at_home(homes: dict[int, str], number: int, workers: Sequence[str]) -> bool:
    """See that a shard is at home (in ``homes``) at one of the workers, all of whom have as many up to one.

    A shard whose worker is gone, or has two more than another, goes to one of those that have the fewest. Left to
    itself a cluster founds all shards at the one worker that has the world, and brings them elsewhere whenever that one
    seems to be busy. False if there are no workers.
    """
    if not workers:
        return False
    held = dict.fromkeys(sorted(workers), 0)
    for k, worker in list(homes.items()):
        if worker in held:
            held[worker] += 1
        else:
            del homes[k]
    fewest = min(held, key=lambda worker: held[worker])
    if number not in homes or held[homes[number]] > held[fewest] + 1:
        homes[number] = fewest
    return True


@contextmanager
def on_dask(address: str, *, directory: Path | None = None, days: int = 10) -> Iterator[OnDask]:
    """The Dask cluster whose scheduler is at an address; see `OnDask`, whose files are removed in the end.

    Raises
    ------
    InputError
        If `distributed` is not installed, nothing answers there, its workers do not have this program or have several
        threads each, or the directory cannot be made.
    """
    if directory is not None:
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"keep is {directory}, where no directory can be made ({os.strerror(error.errno or 0)}); give another"
            ) from error
    with connected(address) as client:
        place = OnDask(client, directory=directory, days=days)
        place.workers()
        try:
            yield place
        finally:
            place.forget()


# ---- what is done by the workers


def write(path: str, shard: Shard, mail: Sequence[Post]) -> None:
    """Write a shard and the post that is waiting for it to a file, whole or not at all.

    Raises
    ------
    InputError
        If it cannot be written there.
    """
    arrays: dict[str, Any] = {f"shard/{name}": array for name, array in shard_arrays.state(shard).items()}
    arrays |= {f"mail/{name}": array for name, array in shard_arrays.mail_state(mail).items()}
    temporary = Path(path).with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "wb") as stream:
            np.savez(stream, **arrays)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(temporary)
        if not isinstance(error, OSError):
            raise
        raise InputError(
            f"keep is {temporary.parent}, where a worker cannot write its shards ({error.strerror or error}); see to "
            "it, or give a directory that all workers can write to"
        ) from error


def read_shard(
    path: str, world: World, config: SocietyConfig, sharding: Sharding, number: int
) -> tuple[Shard, list[Post]]:
    """What `write` has written.

    Raises
    ------
    InputError
        If the file is not a whole archive, or what is in it is not that shard of that society.
    """
    arrays = read_arrays(Path(path), remedy="start anew")
    try:
        shard = shard_arrays.restored(part_of(arrays, "shard"), world, config, sharding, number)
        return shard, shard_arrays.mail_restored(part_of(arrays, "mail"), shard)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def shard_in(read: tuple[Shard, list[Post]]) -> Shard:
    """The shard of what was read from a file."""
    return read[0]


def mail_in(read: tuple[Shard, list[Post]]) -> list[Post]:
    """The mail of what was read from a file."""
    return read[1]


def is_there(shard: Shard) -> bool:
    """True, once there is a shard."""
    return True
