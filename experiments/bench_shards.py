"""How a society in shards goes with the number of workers: agent-steps a second, messages, bytes, memory.

The same society lives on local Dask clusters of one, two or more processes with a thread each (0: in this process, one
shard after the other). A first day is not measured, in which everything is compiled and loaded; then days of ticks and
letters; then one with a merge in its evening, and one that begins with the library's word. What came of it has to be
the same to the last bit wherever it lived, or there is no result.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from tyro.conf import arg

from agents.errors import InputError
from agents.sharded import Day, Here, Place, ShardedSociety
from agents.shards import Sharding
from agents.world import World, planted
from experiments import command_line, out_file
from experiments.bench_library import peak_mb
from experiments.on_dask import on_dask
from experiments.society_costs import FACTORS, FEATURES, OBJECTS, life
from experiments.workers import THREADS, processors

PROG = "benchmark shards"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShardsBench:
    """What to measure, and where to put it."""

    workers: tuple[int, ...] = (1, 2)
    """Processes of the clusters to measure, one cluster after the other; 0 is this process without a cluster."""
    agents: int = 200_000
    """Size of the society."""
    shards: int = 4
    """Parts of it."""
    ticks: int = 10
    """Of a day."""
    days: int = 3
    """Without a merge, of which the mean is told."""
    letters: float = 0.05
    """Share of the agents who write a letter in a day."""
    quick: bool = False
    """2,000 agents and short days, to try it out."""
    seed: int = 0
    """Of the world and the society."""
    out: Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="")] = None
    """A JSON file for what was measured."""

    def __post_init__(self) -> None:
        command_line.at_least(self, days=1, seed=0)
        if not self.workers or min(self.workers) < 0:
            raise InputError(f"workers is {self.workers}, but it must be some numbers of at least 0")
        self.sharding.check(life(self.size))

    @property
    def size(self) -> int:
        """How many agents live."""
        return 2_000 if self.quick else self.agents

    @property
    def sharding(self) -> Sharding:
        """How they are dealt: the day before the last has the one merge."""
        ticks = 2 if self.quick else self.ticks
        return Sharding(shards=self.shards, ticks=ticks, letters=self.letters, merge_days=self.days + 2)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    """What a life cost on so many workers.

    Attributes
    ----------
    seconds : of a day of ticks and letters, the mean
    merge_seconds, word_seconds : by how much longer a day took that ended with a merge, and the one after
    first_seconds : of the first day, with the founding, compiling and loading
    peak_mb : the most memory that any worker ever had, of which each has an interpreter and the world
    held : how many shards each worker has in the end
    """

    workers: int
    agents: int
    seconds: float
    merge_seconds: float
    word_seconds: float
    first_seconds: float
    letters_a_tick: float
    answers_a_tick: float
    letter_bytes_a_tick: float
    view_bytes: int
    word_bytes: int
    agent_steps_per_s: float
    peak_mb: float
    held: list[int]
    digest: str


def main(args: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    description = "Measure a society in shards on one, two or more workers, and see that it is the same."
    config = command_line.parse(ShardsBench, args, prog=PROG, description=description)
    out_file.check(config.out)
    if any(config.workers) and importlib.util.find_spec("distributed") is None:
        raise InputError("distributed is not installed; install dimensional-views[distributed]")
    world = planted(seed=config.seed, objects=OBJECTS, features=FEATURES, factors=FACTORS)
    found: list[Measured] = []
    for number in config.workers:
        print(f"{config.size:,} agents in {config.shards} shards, {named(number)}", file=sys.stderr, flush=True)
        found.append(measured(config, world, number))
    check_same(found)
    out_file.write(config.out, as_json(config, found))
    print(table(config, found))
    return 0


def measured(config: ShardsBench, world: World, number: int) -> Measured:
    """Live on so many workers."""
    with place_of(number) as place:
        society = ShardedSociety(world, life(config.size), config.sharding, seed=config.seed, place=place)
        first, *plain, merging, hearing = society.live(config.days + 3)
        client: Any = getattr(place, "client", None)
        peak = peak_mb() if client is None else max(client.run(peak_mb).values())
        held = [] if client is None else shards_held(client, society)
        digest = society.digest()
    seconds = float(np.mean([day.seconds for day in plain]))
    ticks = config.sharding.ticks

    def a_tick(name: str) -> float:
        return float(np.mean([getattr(day, name) for day in plain])) / ticks

    return Measured(
        workers=number,
        agents=config.size,
        seconds=seconds,
        merge_seconds=merging.seconds - seconds,
        word_seconds=hearing.seconds - seconds,
        first_seconds=first.seconds,
        letters_a_tick=a_tick("letters"),
        answers_a_tick=a_tick("answered"),
        letter_bytes_a_tick=bytes_a_tick(plain[-1]),
        view_bytes=merging.view_bytes,
        word_bytes=merging.word_bytes,
        agent_steps_per_s=config.size * ticks / seconds,
        peak_mb=peak,
        held=held,
        digest=digest,
    )


def bytes_a_tick(day: Day) -> float:
    """Of letters and answers, by a day on which there are both."""
    return day.letter_bytes / day.ticks


@contextmanager
def place_of(number: int) -> Iterator[Place]:
    """So many processes of this machine with a thread each, as a Dask cluster; this process for 0."""
    if number == 0:
        yield Here()
        return
    distributed: Any = importlib.import_module("distributed")
    with (
        one_thread_each(),
        distributed.LocalCluster(
            n_workers=number, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
        ) as cluster,
        on_dask(cluster.scheduler_address) as place,
    ):
        yield place


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Processes begun in here have one thread for whatever likes more; processors would wait for each other."""
    before = dict(os.environ)
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name in THREADS:
            os.environ.pop(name)
            if name in before:
                os.environ[name] = before[name]


def shards_held(client: Any, society: ShardedSociety) -> list[int]:
    """How many of the shards each worker has."""
    where = client.who_has(society.shards)
    return [sum(worker in there for there in where.values()) for worker in sorted(client.has_what())]


def check_same(found: Sequence[Measured]) -> None:
    """Refuse results that hang on where they were worked out."""
    if others := {some.workers: some.digest for some in found if some.digest != found[0].digest}:
        raise AssertionError(f"{named(found[0].workers)} came to {found[0].digest}, others to {others}")


def named(workers: int) -> str:
    """Where it was lived, in words."""
    return "this process" if workers == 0 else f"{workers} worker{'s' if workers > 1 else ''}"


def table(config: ShardsBench, found: Sequence[Measured]) -> str:
    """For the terminal."""
    lines = [
        "",
        f"{config.size:,} agents in {config.shards} shards, days of {config.sharding.ticks} ticks",
        "       workers  agent-steps/s  seconds a day  with a merge  with its word  letters/tick  bytes/tick  peak MB",
    ]
    lines += [
        f"  {named(some.workers):>12}  {some.agent_steps_per_s:>13,.0f}  {some.seconds:>13.2f}  "
        f"{some.merge_seconds:>+12.2f}  {some.word_seconds:>+13.2f}  {some.letters_a_tick:>12,.0f}  "
        f"{some.letter_bytes_a_tick:>10,.0f}  {some.peak_mb:>7,.0f}"
        for some in found
    ]
    one = found[0]
    lines += [
        "",
        f"A merge takes {one.view_bytes:,} bytes of views, and the library's word {one.word_bytes:,}.",
        f"The same to the last bit wherever it lived: {one.digest}",
    ]
    if len(found) > 1 and 0 < one.workers < found[-1].workers:
        gain = found[-1].agent_steps_per_s / one.agent_steps_per_s
        lines.append(f"{named(found[-1].workers)} do {gain:.2f} times as much as {named(one.workers)}.")
    return "\n".join(lines)


def as_json(config: ShardsBench, found: Sequence[Measured]) -> dict[str, Any]:
    """Everything measured, and on what."""
    settings = {name: value for name, value in dataclasses.asdict(config).items() if name != "out"}
    return {
        "machine": {
            "processors": processors(),
            "architecture": platform.machine(),
            "system": platform.system(),
            "python": platform.python_version(),
            "numpy": np.__version__,
        },
        "asked": settings,
        "points": [dataclasses.asdict(some) for some in found],
    }
