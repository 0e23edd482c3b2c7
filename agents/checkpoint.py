"""A society as a dictionary of plain arrays, and back: what a checkpoint holds. Nothing in it can run."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.archive import first_sentence
from agents.attribution import Ledger
from agents.config import SocietyConfig
from agents.errors import InputError
from agents.interactions import InteractionLog
from agents.population import Population
from agents.selection import Deaths
from agents.society import Counters, Society
from agents.world import World

VERSION = 3


def state(society: Society) -> dict[str, NDArray[np.generic]]:
    """Arrays by name from which `restored` makes a society that goes on exactly as this one would.

    They are copies: the society can live on.

    Raises
    ------
    ValueError
        If agents have places in a Mesa space, which arrays cannot hold, or the society draws on a device (see
        `agents.tensors`).
    """
    if getattr(society, "draws", "host") == "device":
        raise ValueError("a society that draws on a device cannot be saved as arrays; pickle it")
    if society.positions:
        raise ValueError("a society whose agents have places in a Mesa space cannot be saved as arrays; pickle it")
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
) -> Society:
    """The society that `state` was taken from; of another ``kind``, where that lives the same life.

    ``world`` and ``config`` must be those it lived in. With a ``device`` of PyTorch it goes on there (see
    `agents.tensors`), wherever it lived before.

    Raises
    ------
    InputError
        If the arrays are no checkpoint, or one of another version, another world or another configuration; or the
        device is not there, or nothing for such a configuration.
    """
    try:
        scalars = json.loads(str(arrays["scalars"]))
        _check_same(scalars, world, config)
        if device is None:
            society = kind(world, config, seed=scalars["seed"])
        else:
            society = founded(world, config, scalars["seed"], device)
        _restore_population(society.population, _part(arrays, "population"))
        society.rng.bit_generator.state = scalars["rng"]
        society.steps = scalars["steps"]
        society.counters = Counters(**scalars["counters"])
        society.ledger = Ledger(
            count=float(arrays["ledger/count"]),
            total=arrays["ledger/total"].copy(),
            squares=arrays["ledger/squares"].copy(),
        )
        society.edges = arrays["edges"].copy() if "edges" in arrays else None
        society.deaths = _unpacked(_part(arrays, "deaths"))
        society.library.restore(_part(arrays, "library"))
        society.log = InteractionLog.restored(_part(arrays, "log"))
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, RecursionError) as error:
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


def _part(arrays: Mapping[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    return {name[len(prefix) + 1 :]: arrays[name] for name in arrays if name.startswith(prefix + "/")}


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


def _unpacked(packed: Mapping[str, NDArray[Any]]) -> list[tuple[int, Deaths]]:
    ends = np.cumsum(packed["sizes"])
    parts = {f.name: np.split(packed[f.name], ends[:-1]) for f in dataclasses.fields(Deaths)}
    return [
        (int(step), Deaths(**{name: columns[i] for name, columns in parts.items()}))
        for i, step in enumerate(packed["steps"])
    ]
