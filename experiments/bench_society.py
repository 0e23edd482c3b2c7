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
import importlib
import importlib.metadata
import importlib.util
import math
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import mesa
import numpy as np
from tyro.conf import arg

from agents.population import MANY
from detection import plotting
from experiments import command_line, out_file
from experiments.bench_library import exponent
from experiments.society_costs import (
    CALLED,
    ON_DEVICE,
    SELDOM,
    Kind,
    Measured,
    Point,
    Seldom,
    WorldName,
    measured,
    seldom,
    stream_bytes_per_s,
)
from experiments.workers import processors, workers

PROG = "benchmark society"


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
        command_line.at_least(self, threads=1, seed=0)


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
