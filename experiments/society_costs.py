"""What a step of a society costs, and of its peers: the models, and how seconds and memory are taken.

Every function that measures is to be called in a process of its own; `experiments.bench_society` says what is measured.
"""

from __future__ import annotations

import dataclasses
import gc
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import numpy as np
from threadpoolctl import threadpool_limits

from agents.config import SocietyConfig
from agents.population import Population
from agents.society import Society
from agents.superiority import ACQUAINTANCES
from agents.world import World, digits, planted
from experiments.bench_library import peak_mb

OBJECTS, FEATURES, FACTORS, SENSORS, DIMS, MEMORY = 4_000, 256, 32, 32, 8, 64

ENOUGH = 6.0
"""Seconds after which no further step is measured; the fastest of 2 to `REPEATS` counts."""

REPEATS = 6

Kind = Literal["society", "tensors", "own draws", "plain", "wealth", "frames"]

WorldName = Literal["planted", "digits"]

COPIED, COPIES = 2**27, 5
"""Bytes that each thread copies to tell how fast memory is, and how often; the fastest time counts."""

SELDOM = 10_000
"""Agents of whom it is measured what happens now and then."""

CALLED: dict[Kind, str] = {
    "society": "Society",
    "tensors": "Society on the device",
    "own draws": "Society on the device, which draws by itself",
    "plain": "the same rules in plain Mesa",
    "wealth": "Mesa's Boltzmann wealth model",
    "frames": "a wealth model without space in mesa-frames",
}


ON_DEVICE: tuple[Kind, ...] = ("tensors", "own draws")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Point:
    """Who lives, and how many."""

    kind: Kind
    agents: int
    seed: int = 0
    device: str | None = None
    world: WorldName = "planted"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    """What a step cost.

    Attributes
    ----------
    seconds, cpu_seconds : of the fastest step, and how long processors worked in it: with more seconds than
        ``cpu_seconds / threads``, it had to wait for others or for itself
    first_seconds : of the first step, which loads (or even compiles) what it needs
    times : how many steps were measured after the first
    founding_seconds : of creating everybody, for the second time (the first needs memory that the process never had)
    first_founding_seconds : for the first time
    select_seconds, mean_seconds : of selecting agents by a Python function (of one agent; in mesa-frames, of the whole
        frame), and of the mean of an attribute
    peak_mb : the most memory that the process ever had, world and interpreter included
    device_peak_mb : the most memory of a GPU that tensors ever had
    bytes_per_agent : of the population; of it ``touched_bytes`` are what a tick has to do with
    """

    point: Point
    seconds: float
    cpu_seconds: float
    first_seconds: float
    times: int
    founding_seconds: float
    first_founding_seconds: float
    select_seconds: float
    mean_seconds: float
    peak_mb: float
    bytes_per_agent: float | None
    touched_bytes: float | None
    device_peak_mb: float | None = None

    @property
    def agent_steps_per_s(self) -> float:
        """How many agents go through a step in a second."""
        return self.point.agents / self.seconds


def life(agents: int) -> SocietyConfig:
    """The life measured."""
    return SocietyConfig(
        agents=agents,
        dimensions=DIMS,
        exemplars=DIMS,
        sensors=SENSORS,
        memory=MEMORY,
        discovery_interval=0,
        selection_interval=0,
        merge_interval=0,
    )


def measured(point: Point) -> Measured:
    """Found a society, let it live, and tell what that cost; to be called in a process of its own."""
    world = world_of(point)
    first_founding = timed(lambda: made(point, world))[0]
    gc.collect()  # a model refers to itself, and would still be there
    founding, model = timed(lambda: made(point, world))
    step = stepping(model, point)
    first, _ = timed(step)
    costs = list[tuple[float, float]]()
    while len(costs) < 2 or (len(costs) < REPEATS and sum(seconds for seconds, _ in costs) < ENOUGH):
        before = time.process_time()
        seconds, _ = timed(step)
        costs.append((seconds, time.process_time() - before))
    select, mean = asked(model, point.kind)
    people = model.population if point.kind == "society" else None
    return Measured(
        point=point,
        seconds=min(costs)[0],
        cpu_seconds=min(costs)[1],
        first_seconds=first,
        times=len(costs),
        founding_seconds=founding,
        first_founding_seconds=first_founding,
        select_seconds=select,
        mean_seconds=mean,
        peak_mb=peak_mb(),
        bytes_per_agent=None if people is None else people.bytes_per_agent,
        touched_bytes=None if people is None else touched_bytes(people),
        device_peak_mb=device_peak_mb(point),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Seldom:
    """Seconds of what happens now and then to so many agents, after ten steps: each phase once, for everybody.

    The library takes in a sample of views (`agents.society.MERGE_SAMPLE`), and everybody its word.
    """

    agents: int
    discovery: float
    selection: float
    merging: float

    def us_an_agent(self, name: str) -> float:
        """Microseconds of a phase for each agent."""
        return float(getattr(self, name)) / self.agents * 1e6


def seldom(point: Point) -> Seldom:
    """Measure `Seldom`; to be called in a process of its own."""
    society = Society(world_of(point), life(point.agents), seed=point.seed)
    for _ in range(10):
        society.step()
    with threadpool_limits(limits=1, user_api="blas"):  # as in a step
        discovery, _ = timed(society.discover)
        selection, _ = timed(society.select)
        merging, _ = timed(society.merge)
    return Seldom(agents=point.agents, discovery=discovery, selection=selection, merging=merging)


def world_of(point: Point) -> World:
    """Where they live."""
    if point.world == "digits":
        return digits(seed=point.seed)
    return planted(seed=point.seed, objects=OBJECTS, features=FEATURES, factors=FACTORS)


def stepping(model: Any, point: Point) -> Callable[[], None]:
    """A step of the model, to the end: a GPU goes on working when whoever gave it work is told that it has it."""
    if point.device is None:
        step: Callable[[], None] = model.step
        return step
    import torch

    gpu = torch.device(point.device).type == "cuda"

    def whole() -> None:
        model.step()
        if gpu:
            torch.cuda.synchronize(point.device)

    return whole


def device_peak_mb(point: Point) -> float | None:
    """The most memory of the GPU that this process's tensors ever had; None where there is none."""
    if point.device is None:
        return None
    import torch

    gpu = torch.device(point.device).type == "cuda"
    return torch.cuda.max_memory_allocated(point.device) / 2**20 if gpu else None


def asked(model: Any, kind: Kind) -> tuple[float, float]:
    """Seconds of selecting agents by a Python function, and of the mean of an attribute."""
    if kind == "frames":
        select, _ = timed(lambda: model.agents.select(filter_func=lambda people: people["wealth"] > 0))
        mean, _ = timed(lambda: [wealth.mean() for wealth in model.agents.get("wealth").values()])
        return select, mean
    attribute = "wealth" if kind == "wealth" else "success"
    select, _ = timed(lambda: model.agents.select(lambda agent: getattr(agent, attribute) > 0))
    mean, _ = timed(lambda: model.agents.agg(attribute, np.mean))
    return select, mean


def timed(what: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, and what came of it."""
    started = time.perf_counter()
    result = what()
    return time.perf_counter() - started, result


def made(point: Point, world: World) -> Any:
    """A model of this kind, mesa-frames' or Mesa's."""
    if point.kind == "society":
        return Society(world, life(point.agents), seed=point.seed)
    if point.device is not None:
        from agents.tensors import TensorSociety

        draws: Literal["host", "device"] = "host" if point.kind == "tensors" else "device"
        return TensorSociety(world, life(point.agents), seed=point.seed, device=point.device, draws=draws)
    if point.kind == "plain":
        from experiments.plain_society import PlainSociety

        return PlainSociety(world, life(point.agents), seed=point.seed)
    if point.kind == "frames":
        from experiments.frames_wealth import FramesWealth

        return FramesWealth(agents=point.agents, seed=point.seed)
    from mesa.examples.basic.boltzmann_wealth_model.model import BoltzmannWealth

    side = max(round(point.agents**0.5), 1)
    return BoltzmannWealth(n=point.agents, width=side, height=side, seed=point.seed)


def touched_bytes(people: Population) -> float:
    """Bytes of an agent that a tick has to do with, each counted once however often it is read or written."""
    columns = people.columns()
    whole = ("sensor", "loading", "words", "kind", "body", "n_seen", "success")
    # Of the memory the acquaintances; of what was felt, only what belongs to the dimension in use.
    memory = columns["seen"].nbytes * min(ACQUAINTANCES / people.seen.shape[1], 1.0)
    in_use = sum(columns[name].nbytes / people.n_slots for name in ("score", "contests", "understood"))
    return float(sum(columns[name].nbytes for name in whole) + memory + in_use) / len(people)


def stream_bytes_per_s(threads: int) -> float:
    """How many bytes this machine reads and writes a second when ``threads`` copy arrays much larger than caches."""
    arrays = [np.ones(COPIED // 8) for _ in range(2 * threads)]
    seconds = list[float]()
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(COPIES):
            spent, _ = timed(lambda: list(pool.map(np.copyto, arrays[:threads], arrays[threads:])))
            seconds.append(spent)
    return 2 * threads * COPIED / min(seconds)
