"""A society as a dictionary of plain arrays, and back: what a checkpoint holds. Nothing in it can run."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.archive import first_sentence, part_of
from agents.attribution import Ledger
from agents.config import SocietyConfig
from agents.errors import InputError
from agents.interactions import InteractionLog
from agents.population import Population
from agents.selection import Deaths
from agents.society import Counters, Society
from agents.soundness import check_sound
from agents.upbringing import Raised
from agents.world import World

VERSION = 3


def state(society: Society) -> dict[str, NDArray[np.generic]]:
    """Arrays by name from which `restored` makes a society that goes on exactly as this one would.

    They are copies: the society can live on.

    Raises
    ------
    ValueError
        If agents have places in a Mesa space or homes (see `agents.upbringing`), which are not among the arrays, or the
        society draws on a device (see `agents.tensors`).
    """
    if getattr(society, "draws", "host") == "device":
        raise ValueError("a society that draws on a device cannot be saved as arrays; pickle it")
    if society.positions:
        raise ValueError("a society whose agents have places in a Mesa space cannot be saved as arrays; pickle it")
    if isinstance(society, Raised):
        raise ValueError("a society whose agents have homes cannot be saved as arrays; pickle it")
    library = {f"library/{name}": array for name, array in society.library.state().items()}
    columns = {f"population/{name}": column for name, column in society.population.copy().columns().items()}
    deaths = {f"deaths/{name}": array for name, array in _packed(society.deaths).items()}
    log = {f"log/{name}": array for name, array in society.log.state().items()}
    edges = {} if society.edges is None else {"edges": society.edges.copy()}
    scalars = {
        "version": VERSION,
        "world": society.world.fingerprint,
        "config": dataclasses.asdict(society.config),
        "steps": society.steps,
        "seed": society.seed,
        "rng": society.rng.bit_generator.state,
        "counters": dataclasses.asdict(society.counters),
    }
    return {
        "scalars": np.array(json.dumps(scalars)),
        "ledger/count": np.array(society.ledger.count),
        "ledger/total": society.ledger.total.copy(),
        "ledger/squares": society.ledger.squares.copy(),
        **edges,
        **columns,
        **deaths,
        **library,
        **log,
    }


def restored(
    arrays: Mapping[str, NDArray[Any]],
    world: World,
    config: SocietyConfig,
    *,
    device: str | None = None,
    kind: type[Society] = Society,
    part_from: int | None = None,
) -> Society:
    """The society that `state` was taken from; of another ``kind``, where that lives the same life.

    ``world`` and ``config`` must be those it lived in. With a ``device`` of PyTorch it goes on there (see
    `agents.tensors`), wherever it lived before. ``part_from`` is given for a part of a larger society, whose ids begin
    there, and whose words and concepts are those of the whole.

    Raises
    ------
    InputError
        If the arrays are no checkpoint, or one of another version, another world or another configuration; or the
        device is not there, or nothing for such a configuration.
    ValueError
        If both ``kind`` and ``device`` are given: what lives on a device is of a kind of its own.
    """
    if device is not None and kind is not Society:
        raise ValueError(f"kind and device cannot both be given; they are {kind.__name__} and {device}")
    try:
        scalars = json.loads(str(arrays["scalars"]))
        _check_same(scalars, world, config)
        if device is None:
            society = kind(world, config, seed=scalars["seed"])
        else:
            society = founded(world, config, scalars["seed"], device)
        _restore_population(society.population, part_of(arrays, "population"))
        society.rng.bit_generator.state = scalars["rng"]
        society.steps = _count("steps", scalars["steps"])
        society.counters = Counters(**{name: _count(name, value) for name, value in scalars["counters"].items()})
        born = society.counters.next_id - (part_from or 0) - config.agents
        if not society.counters.births == society.counters.deaths == born:
            raise ValueError("births, deaths and next_id do not go together")
        society.ledger = Ledger(
            count=float(_numbers(arrays, "ledger/count", ())),
            total=_numbers(arrays, "ledger/total", (3,)).copy(),
            squares=_numbers(arrays, "ledger/squares", (3, 3)).copy(),
        )
        society.edges = _edges(arrays["edges"], config.agents) if "edges" in arrays else None
        society.deaths = _unpacked(part_of(arrays, "deaths"))
        society.library.restore(part_of(arrays, "library"))
        society.log = InteractionLog.restored(part_of(arrays, "log"), world)
        check_sound(
            society.population,
            world,
            steps=society.steps,
            next_id=society.counters.next_id,
            n_words=society.counters.n_words if part_from is None else np.iinfo(np.int32).max,
            first_id=part_from or 0,
        )
        if part_from is None and society.population.concept.max(initial=-1) >= len(society.library):
            raise ValueError("concept names what is not in the library")
    except InputError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise InputError(
            f"the checkpoint is damaged ({type(error).__name__}: {first_sentence(error)}); start the run anew"
        ) from error
    return society


def founded(world: World, config: SocietyConfig, seed: int, device: str | None) -> Society:
    """A new society, of arrays, or on a device of PyTorch by the draws of the host."""
    if device is None:
        return Society(world, config, seed=seed)
    from agents.tensors import TensorSociety

    return TensorSociety(world, config, seed=seed, device=device)


def _check_same(scalars: Mapping[str, Any], world: World, config: SocietyConfig) -> None:
    if scalars["version"] != VERSION:
        raise InputError(
            f"the checkpoint is of version {scalars['version']}, but this program reads version {VERSION}; go on with "
            "the program that wrote it, or start the run anew"
        )
    for name, value in dataclasses.asdict(config).items():
        if scalars["config"][name] != value:
            raise InputError(
                f"{name} is {value}, but the checkpoint is of a society with {scalars['config'][name]}; go on with that"
            )
    if scalars["world"] != world.fingerprint:
        raise InputError(
            f"the world {world.name!r} is not the one that the society lived in: its objects or labels have changed "
            "since; put them back, or start the run anew"
        )


def _restore_population(population: Population, columns: Mapping[str, NDArray[Any]]) -> None:
    for name, fresh in population.columns().items():
        saved = columns[name]
        if saved.shape != fresh.shape or saved.dtype != fresh.dtype:
            raise ValueError(f"{name} is {saved.dtype} {saved.shape}, not {fresh.dtype} {fresh.shape}")
        fresh[...] = saved


def _packed(deaths: list[tuple[int, Deaths]]) -> dict[str, NDArray[np.generic]]:
    """The record of deaths as flat columns, with the step and the size of each selection."""
    packed: dict[str, NDArray[np.generic]] = {
        "steps": np.array([step for step, _ in deaths], dtype=np.int64),
        "sizes": np.array([len(dead.id) for _, dead in deaths], dtype=np.int64),
    }
    for field in dataclasses.fields(Deaths):
        columns = [getattr(dead, field.name) for _, dead in deaths]
        packed[field.name] = np.concatenate(columns) if columns else np.zeros(0)
    return packed


def _count(name: str, value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise ValueError(f"{name} is {value!r}")
    return value


def _numbers(arrays: Mapping[str, NDArray[Any]], name: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """An array of finite floats of this shape."""
    array = arrays[name]
    if array.dtype != np.float64 or array.shape != shape or not np.isfinite(array).all():
        raise ValueError(f"{name} is {array.dtype} {array.shape}, not finite float64 {shape}")
    return array


def _edges(edges: NDArray[Any], n_agents: int) -> NDArray[np.intp]:
    sound = edges.dtype.kind == "i" and edges.ndim == 2 and edges.shape[1] == 2
    if not sound or ((edges < 0) | (edges >= n_agents)).any():
        raise ValueError(f"edges are {edges.dtype} {edges.shape}, or tie agents that there are not")
    return edges.astype(np.intp)


DEATHS = {"fitness": "f"}
"""The column of the record of deaths that holds fractions; all others hold whole numbers."""


def _unpacked(packed: Mapping[str, NDArray[Any]]) -> list[tuple[int, Deaths]]:
    for name, column in packed.items():
        kinds = DEATHS.get(name, "i")
        # A column of nobody is of no kind.
        if column.ndim != 1 or (len(column) and column.dtype.kind not in kinds) or not np.isfinite(column).all():
            raise ValueError(f"the record of deaths has {column.dtype} {column.shape} for its {name}")
    sizes, dead = packed["sizes"], {len(packed[field.name]) for field in dataclasses.fields(Deaths)}
    if len(sizes) != len(packed["steps"]) or (sizes < 0).any() or dead != {int(sizes.sum())}:
        raise ValueError("the record of deaths has columns of different lengths")
    ends = np.cumsum(sizes)
    parts = {f.name: np.split(packed[f.name], ends[:-1]) for f in dataclasses.fields(Deaths)}
    return [
        (int(step), Deaths(**{name: columns[i] for name, columns in parts.items()}))
        for i, step in enumerate(packed["steps"])
    ]
