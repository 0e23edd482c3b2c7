"""One society in several shards: ``python -m experiments.shards --agents N --shards K --days D``.

Shards live days by themselves, exchange letters overnight, and have one library (`agents.shards`). Where they live
makes no difference to what comes of them: in this process, one after the other, or on the workers of a Dask cluster
(``--scheduler ADDRESS``), however many those are. Says every day how it went, and leaves it in a file (``--out``).
"""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import arg

from agents.config import SocietyConfig
from agents.errors import InputError
from agents.sharded import Day, Here, Place, ShardedSociety
from agents.shards import Sharding
from agents.world import World
from experiments import command_line, out_file
from experiments.on_dask import on_dask
from experiments.run_society import RunConfig, check_room, life_in, make_world
from experiments.sweeps.places import check_address

PROG = "shards"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShardsConfig(SocietyConfig):
    """How many live how, in how many shards, and where."""

    agents: int = 2000
    """Size of the population, of all shards together."""
    merge_interval: int = 0
    """Does not count here: shards merge every so many days, see merge_days."""

    world: str = "planted"
    """planted, digits, objects (of photographs, as a network describes them), or a .npz, .csv or .parquet file of
    objects x features."""
    seed: int = 0
    """The same seed gives the same society, bit for bit, wherever it lives."""
    days: int = 20
    """How long it lives."""
    shards: int = 4
    """Parts of the society, each with its own generator; not the number of workers, on which nothing hangs."""
    ticks: int = 10
    """Steps of a day, which shards live by themselves."""
    letters: float = 0.05
    """Share of the agents who write to somebody of another shard in the evening; 0 is no letters."""
    merge_days: int = 5
    """Days from one merge of all shards' views into the one library to the next; 0 is never."""
    scheduler: Annotated[str | None, arg(metavar="ADDRESS", help_behavior_hint="")] = None
    """The scheduler of a Dask cluster to live on, as tcp://HOST:8786, whose workers have one thread each; by default
    this process."""
    keep: Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="")] = None
    """Where the workers of that cluster write their shards down every ten days, at the same place for all, so that what
    is lost with one of them need not be lived again from the start."""
    out: Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="")] = None
    """A JSON file for how every day went."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least in (("seed", 0), ("days", 1)):
            self._at_least(name, least)
        self.sharding.check(self)
        if self.merge_interval:
            raise InputError(
                f"merge_interval is {self.merge_interval}, but shards merge together; give merge_days instead"
            )
        check_address(self.scheduler)
        if self.keep is not None and self.scheduler is None:
            raise InputError(f"keep is {self.keep}, but in this process nothing is lost; give it with --scheduler")

    @property
    def sharding(self) -> Sharding:
        """How it is dealt."""
        return Sharding(**{field.name: getattr(self, field.name) for field in dataclasses.fields(Sharding)})

    @property
    def life(self) -> SocietyConfig:
        """How the agents live."""
        return SocietyConfig(**{field.name: getattr(self, field.name) for field in dataclasses.fields(SocietyConfig)})


def main(args: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    config = parse(args)
    out_file.check(config.out)
    world = world_of(config)
    try:
        told, digest, seconds = lived(config, world)
    except MemoryError as error:
        raise InputError(f"agents is {config.agents}, too many for the memory that there is; ask for fewer") from error
    out_file.write(config.out, {"config": shown(config), "days": told, "digest": digest, "wall_s": seconds})
    print(f"\n{config.agents * config.ticks * config.days:,} agent-steps in {seconds:.1f} s; what came of it: {digest}")
    return 0


def lived(config: ShardsConfig, world: World) -> tuple[list[dict[str, Any]], str, float]:
    """Live it, telling every day; the figures of the days, a digest of what came of it, and the seconds it took."""
    with place_of(config) as place:
        started = time.perf_counter()
        society = ShardedSociety(world, config.life, config.sharding, seed=config.seed, place=place)
        told: list[dict[str, Any]] = []
        print(HEAD)
        for _ in range(config.days):
            day = society.day()
            told.append(as_json(day, society.understanding()))
            print(line(told[-1]), flush=True)
        seconds = time.perf_counter() - started
        digest = society.digest()
    return told, digest, seconds


def world_of(config: ShardsConfig) -> World:
    """The world that is named; refuses, before anything is done, what this process has no room for."""
    probe = life_in(config.world).get("probe", RunConfig.probe)
    run = RunConfig(**dataclasses.asdict(config.life), world=config.world, seed=config.seed, probe=probe)
    if config.scheduler is None:
        check_room(run)
    return make_world(run)


def parse(args: Sequence[str] | None = None) -> ShardsConfig:
    """What ``args`` ask for; what they leave out is as usual in the world that they name."""
    said = "Live one society in several shards."
    config = command_line.parse(ShardsConfig, args, prog=PROG, description=said)
    usual = {name: value for name, value in life_in(config.world).items() if name not in ("agents", "probe")}
    if not usual:
        return config
    return command_line.parse(ShardsConfig, args, prog=PROG, description=said, default=ShardsConfig(**usual))


@contextmanager
def place_of(config: ShardsConfig) -> Iterator[Place]:
    """Where it lives."""
    if config.scheduler is None:
        yield Here()
        return
    with on_dask(config.scheduler, directory=config.keep) as place:
        yield place


def shown(config: ShardsConfig) -> dict[str, Any]:
    """The settings, but for where it lived and what it left."""
    settings = dataclasses.asdict(config)
    return {name: value for name, value in settings.items() if name not in ("scheduler", "keep", "out")}


def as_json(day: Day, understanding: tuple[float, float | None]) -> dict[str, Any]:
    """A day's figures."""
    within, between = understanding
    steps = day.agents * day.ticks
    return {
        **dataclasses.asdict(day),
        "agent_steps_per_s": steps / day.seconds,
        "bytes_a_tick": day.bytes_a_tick,
        "understood_within": within,
        "understood_between": between,
    }


HEAD = "  day      agents  agent-steps/s  letters  answered   late  bytes/tick  concepts  understood: within  between"


def line(told: dict[str, Any]) -> str:
    """A day, for the terminal."""
    between = told["understood_between"]
    return (
        f"{told['number']:>5}  {told['agents']:>10,}  {told['agent_steps_per_s']:>13,.0f}  {told['letters']:>7,}  "
        f"{told['answered']:>8,}  {told['late']:>5,}  {told['bytes_a_tick']:>10,.0f}  {told['concepts']:>8}  "
        f"{told['understood_within']:>18.3f}  " + (f"{'-':>7}" if between is None else f"{between:>7.3f}")
    )


if __name__ == "__main__":
    sys.exit(command_line.run(main, prog=PROG))
