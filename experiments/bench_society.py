"""What living costs: agent-steps a second and memory of a society's tick, from a thousand agents to a million.

The tick is the whole of what happens at every step: meet, perceive, talk, compare, attribute, feel, remember. What
happens now and then, discovery, selection and merging, is off, and measured once by itself. Every view is full: eight
dimensions. The world is one that agents meet elsewhere too: planted factors, or real digits, whose features are fewer.

Beside it stand the same rules as a plain Mesa model (`experiments.plain_society`), which tests hold against the society
life for life; for orientation Mesa's own example, the Boltzmann wealth model, whose agents do next to nothing, and,
where mesa-frames is installed, that model as a data frame (`experiments.frames_wealth`); and the floor: how long it
would take only to read what of the population a tick has to do with, at the speed at which this machine copies memory.
With ``--device`` the society is measured on a device of PyTorch too (`agents.tensors`), by the draws of the host and by
the device's own. Every point is measured in a fresh process.
"""

from __future__ import annotations

import dataclasses
import gc
import importlib
import importlib.metadata
import importlib.util
import math
import platform
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, Literal

import mesa
import numpy as np
from threadpoolctl import threadpool_limits
from tyro.conf import arg

from agents.config import SocietyConfig
from agents.errors import InputError
from agents.population import MANY, Population
from agents.society import Society
from agents.superiority import ACQUAINTANCES
from agents.world import World, digits, planted
from detection import plotting
from experiments import command_line, out_file
from experiments.bench_library import exponent, peak_mb
from experiments.workers import processors, workers

PROG = "benchmark society"
OBJECTS, FEATURES, FACTORS, SENSORS, DIMS, MEMORY = 4_000, 256, 32, 32, 8, 64

ENOUGH = 6.0
"""Seconds after which no further step is measured; the fastest of 2 to `REPEATS` counts."""

REPEATS = 6

Kind = Literal["society", "tensors", "own draws", "plain", "wealth", "frames"]

WorldName = Literal["planted", "digits"]

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
class SocietyBench:
    """What to measure, and where to put it."""

    quick: bool = False
    """Small societies only, to try it out."""
    threads: int = dataclasses.field(default_factory=processors)
    """Of the compiled kernels; by default as many as there are processors."""
    seed: int = 0
    """Of the world and the societies."""
    world: WorldName = "planted"
    """Where they live: 4,000 objects of 256 features with planted factors, or scikit-learn's 1,797 digits of 64."""
    device: Annotated[str | None, arg(metavar="NAME", help_behavior_hint="(default: none)")] = None
    """Device of PyTorch (cuda, cuda:1, cpu) on which the society is measured too."""
    peers: bool = True
    """Whether plain Mesa and the wealth models are measured beside it."""
    out: Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="")] = None
    """A JSON file for what was measured."""
    plot: Annotated[Path | None, arg(metavar="FILE.svg", help_behavior_hint="")] = None
    """An SVG file for a picture of it, by the number of agents; needs the extra viz."""

    def __post_init__(self) -> None:
        for name, least in (("threads", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise InputError(f"{name} is {getattr(self, name)}, but it must be at least {least}")


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


def points(
    *,
    quick: bool,
    seed: int,
    frames: bool = False,
    device: str | None = None,
    peers: bool = True,
    world: WorldName = "planted",
) -> list[Point]:
    """What is measured, ``frames``: mesa-frames too. In plain Mesa nobody cares to wait for more than ten thousand."""
    all_sizes = (500, 3_000) if quick else (1_000, 10_000, 100_000, 1_000_000)
    sizes: dict[Kind, tuple[int, ...]] = {"society": all_sizes}
    if device is not None:
        sizes |= {"tensors": all_sizes, "own draws": all_sizes}
    if peers:
        sizes |= dict.fromkeys(("plain", "wealth"), (500,) if quick else (1_000, 10_000))
    if peers and frames:
        sizes["frames"] = all_sizes
    return [
        Point(kind=kind, agents=n, seed=seed, device=device if kind in ON_DEVICE else None, world=world)
        for kind, numbers in sizes.items()
        for n in numbers
    ]


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


def main(args: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    description = "Measure agent-steps per second and memory of a society's tick as it grows."
    config = command_line.parse(SocietyBench, args, prog=PROG, description=description)
    out_file.check(config.out)
    out_file.check(config.plot, name="plot")
    if config.plot is not None:
        plotting.matplotlib("plot is")
    if config.device is not None:
        from agents.tensors.society import checked

        checked(config.device)
    missing = without_frames() if config.peers else None
    if missing is not None:
        print(f"mesa-frames is left out: {missing}", file=sys.stderr, flush=True)
    planned = points(
        quick=config.quick,
        seed=config.seed,
        frames=missing is None,
        device=config.device,
        peers=config.peers,
        world=config.world,
    )
    found: list[Measured] = []
    with workers(1, threads=config.threads, fresh=True) as pool:
        print("compiling, where that was not done before", file=sys.stderr, flush=True)
        compiling = pool.submit(measured, Point(kind="society", agents=2 * MANY)).result().first_seconds
        for number, point in enumerate(planned, start=1):
            what = f"{CALLED[point.kind]}, {point.agents:,} agents"
            print(f"{number} of {len(planned)}: {what}", file=sys.stderr, flush=True)
            found.append(pool.submit(measured, point).result())
        print("what happens now and then", file=sys.stderr, flush=True)
        some = planned[0] if config.quick else dataclasses.replace(planned[0], agents=SELDOM)
        rare = pool.submit(seldom, some).result()
        stream = pool.submit(stream_bytes_per_s, config.threads).result()
    told = as_json(found, rare, threads=config.threads, stream=stream, compiling=compiling)
    out_file.write(config.out, told)
    if config.plot is not None:
        from experiments.bench_society_plot import draw  # which needs this module

        draw(told, config.plot)
    print(table(found, rare, stream=stream))
    return 0


def without_frames() -> str | None:
    """Why mesa-frames cannot be measured; None if it can."""
    if importlib.util.find_spec("mesa_frames") is None:
        return "it is not installed"
    try:  # what it needs may be missing, and later versions give other names to what there is
        importlib.import_module("experiments.frames_wealth")
    except ImportError as error:
        return str(error)
    return None


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


def stream_bytes_per_s(threads: int, *, size: int = 2**27, repeats: int = 5) -> float:
    """How many bytes this machine reads and writes a second when ``threads`` copy arrays much larger than caches."""
    arrays = [np.ones(size // 8) for _ in range(2 * threads)]
    seconds = list[float]()
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(repeats):
            spent, _ = timed(lambda: list(pool.map(np.copyto, arrays[:threads], arrays[threads:])))
            seconds.append(spent)
    return 2 * threads * size / min(seconds)


def growth(found: Sequence[Measured]) -> float:
    """The exponent of the time of a tick over the number of agents, where the kernels work; nan of one."""
    many = [cost for cost in found if cost.point.kind == "society" and cost.point.agents >= MANY]
    many = many if len(many) > 1 else [cost for cost in found if cost.point.kind == "society"]
    if len(many) < 2:
        return math.nan
    return exponent([cost.point.agents for cost in many], [cost.seconds for cost in many])


def beside_society(cost: Measured, found: Sequence[Measured]) -> float | None:
    """How many times as many agent-steps a second as this peer a society of that size has; None for itself."""
    peers = {other.point.agents: other for other in found if other.point.kind == "society"}
    same = peers.get(cost.point.agents)
    return None if same is None or cost.point.kind == "society" else cost.seconds / same.seconds


def table(found: Sequence[Measured], rare: Seldom, *, stream: float) -> str:
    """For the terminal."""
    lines = ["", "       agents  seconds a step  processor s  agent-steps/s  founding s  select s   mean s  peak MB"]
    kind = None
    for cost in found:
        if cost.point.kind != kind:
            kind = cost.point.kind
            lines.append(CALLED[kind])
        ratio = beside_society(cost, found)
        lines.append(
            f"  {cost.point.agents:>11,}  {cost.seconds:>14.4f}  {cost.cpu_seconds:>11.4f}  "
            f"{cost.agent_steps_per_s:>13,.0f}  {cost.founding_seconds:>10.3f}  {cost.select_seconds:>8.3f}  "
            f"{cost.mean_seconds:>7.3f}  {cost.peak_mb:>7,.0f}"
            + ("" if ratio is None else f"  Society takes {ratio:{',.1f' if ratio >= 1 else '.2g'}} times as many")
            + ("" if cost.device_peak_mb is None else f"; {cost.device_peak_mb:,.0f} MB of the device")
        )
    largest = max((cost for cost in found if cost.touched_bytes is not None), key=lambda cost: cost.point.agents)
    assert largest.touched_bytes is not None
    assert largest.bytes_per_agent is not None
    floor = largest.touched_bytes * largest.point.agents / stream
    lines += [
        "",
        f"Time grows as N^{growth(found):.2f}.",
        f"An agent has {largest.bytes_per_agent:,.0f} bytes; a tick reads {largest.touched_bytes:,.0f} of them.",
        f"To go once through those of {largest.point.agents:,} agents at {stream / 1e9:.1f} GB/s takes {floor:.3f} s; "
        f"a tick takes {largest.seconds / floor:.1f} times as long.",
        f"Now and then, in microseconds for each of {rare.agents:,} agents: discovery "
        f"{rare.us_an_agent('discovery'):,.0f}, selection {rare.us_an_agent('selection'):,.1f}, "
        f"merging {rare.us_an_agent('merging'):,.0f}.",
        f"With discovery every 10 steps, as by default, that is {with_discovery(largest, rare, 10):,.0f} agent-steps "
        f"a second, every 1,000 steps {with_discovery(largest, rare, 1_000):,.0f}.",
    ]
    return "\n".join(lines)


def with_discovery(cost: Measured, rare: Seldom, interval: int) -> float:
    """Agent-steps a second where everybody discovers once in so many steps."""
    return 1 / (cost.seconds / cost.point.agents + rare.discovery / rare.agents / interval)


def device_of(found: Sequence[Measured]) -> dict[str, str]:
    """The device's name, and PyTorch's version, if anything was measured there."""
    device = next((cost.point.device for cost in found if cost.point.device is not None), None)
    if device is None:
        return {}
    from experiments import machine  # which needs torch

    return {"device": machine.device_name(device), "torch": importlib.metadata.version("torch")}


def as_json(
    found: Sequence[Measured], rare: Seldom, *, threads: int, stream: float, compiling: float
) -> dict[str, Any]:
    """Everything measured, and on what."""
    with_frames = any(cost.point.kind == "frames" for cost in found)
    return {
        "machine": {
            "processors": processors(),
            "threads": threads,
            "stream_gb_per_s": stream / 1e9,
            "architecture": platform.machine(),
            "system": platform.system(),
            "python": platform.python_version(),
            "numpy": np.__version__,
            "mesa": mesa.__version__,
            **device_of(found),
            "mesa_frames": importlib.metadata.version("mesa-frames") if with_frames else None,
        },
        "first_step_s": compiling,
        "growth": growth(found),
        "seldom": dataclasses.asdict(rare),
        "points": [
            {
                **dataclasses.asdict(cost.point),
                **{name: value for name, value in vars(cost).items() if name != "point"},
                "agent_steps_per_s": cost.agent_steps_per_s,
                "society_ratio": beside_society(cost, found),
                "floor_seconds": cost.touched_bytes and cost.touched_bytes * cost.point.agents / stream,
            }
            for cost in found
        ],
    }
