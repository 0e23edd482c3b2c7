"""The columns that a tick reads and writes, as tensors on a device, and the levels of objects in views."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from agents.population import EMPTY, NEUTRAL, Population
from agents.world import World

READ = ("body", "sensor", "kind")
WRITTEN = ("seen", "n_seen", "loading", "score", "contests", "words", "success", "understood")

ROOM = {"cpu": 2**25, "cuda": 2**29}
"""Bytes that what is looked up at a time may take: in caches a processor is quicker, and a GPU with much to do."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Columns:
    """Columns of a `Population`, under their names, in their types and shapes; those in `WRITTEN` are written to."""

    body: Tensor
    sensor: Tensor
    kind: Tensor
    seen: Tensor
    n_seen: Tensor
    loading: Tensor
    score: Tensor
    contests: Tensor
    words: Tensor
    success: Tensor
    understood: Tensor

    @classmethod
    def of(cls, population: Population, device: torch.device) -> Columns:
        """Copies of a population's columns."""
        # In one piece each, so that a column can be written to as a flat one.
        named = {name: np.ascontiguousarray(column) for name, column in population.columns().items()}
        return cls(**{name: torch.from_numpy(named[name]).to(device, copy=True) for name in (*READ, *WRITTEN)})

    def bring_to(self, population: Population) -> None:
        """Write what a tick has changed into a population's columns."""
        named = population.columns()
        for name in WRITTEN:
            np.copyto(named[name], getattr(self, name).cpu().numpy())

    def some(self, population: Population, rows: Tensor) -> Population:
        """A population of ``rows [n]`` alone, up to date."""
        at = rows.cpu().numpy()
        now = {name: getattr(self, name)[rows].cpu().numpy() for name in WRITTEN}
        return dataclasses.replace(population.some(at), **now)

    @property
    def device(self) -> torch.device:
        """Where the columns are."""
        return self.body.device

    @property
    def n_sensors(self) -> int:
        """How many features an agent senses."""
        return self.sensor.shape[1]

    @property
    def n_slots(self) -> int:
        """The width of a view."""
        return self.kind.shape[1]

    def at(self, rows: Tensor, slots: Tensor) -> Tensor:
        """int64 [n]: where the dimensions in ``slots [n]`` of ``rows [n]`` are in `flat` columns; of -1 the first."""
        return rows * self.n_slots + slots.clamp(min=0)

    def flat(self, name: str) -> Tensor:
        """A column [N, S, ...] as one of dimensions [N * S, ...], not copied."""
        column: Tensor = getattr(self, name)
        return column.flatten(0, 1)

    def held(self, rows: Tensor) -> Tensor:
        """bool [n, S]: slots of ``rows [n]`` that hold a dimension."""
        return self.kind[rows] != EMPTY

    def self_esteem(self, rows: Tensor) -> Tensor:
        """`Population.self_esteem`, float32 [n]."""
        held = self.held(rows)
        count = held.sum(dim=1)
        total = torch.where(held, self.score[rows], 0.0).sum(dim=1, dtype=torch.float64)
        return torch.where(count > 0, total / count.clamp(min=1), NEUTRAL).float()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sights:
    """What of a world the tick looks at: features float32 [M, D]; objects int64 to meet and to point at."""

    features: Tensor
    train: Tensor
    probe: Tensor

    @classmethod
    def of(cls, world: World, device: torch.device) -> Sights:
        """What of ``world`` is looked at, on ``device``."""
        return cls(
            features=torch.tensor(world.features, device=device),
            train=torch.tensor(world.train, device=device, dtype=torch.int64),
            probe=torch.tensor(world.probe, device=device, dtype=torch.int64),
        )


def in_parts(
    what: Callable[[slice], tuple[Tensor, ...]], n: int, each: int, device: torch.device
) -> tuple[Tensor, ...]:
    """What ``what`` makes of 0 to ``n``, in parts of which none takes much more than `ROOM`, put together.

    ``each`` is how many bytes one of the n takes.
    """
    size = max(ROOM[device.type] // each, 1)
    found = [what(slice(start, min(start + size, n))) for start in range(0, n, size)]
    return found[0] if len(found) == 1 else tuple(torch.cat(parts) for parts in zip(*found, strict=True))


def sense(columns: Columns, features: Tensor, rows: Tensor, objects: Tensor) -> Tensor:
    """`agents.perception.sense`: float32 [n, C, m], ``objects [n, C]`` as ``rows [n]`` see them."""
    return features[objects[:, :, None], columns.sensor[rows].long()[:, None, :]]


def levels(columns: Columns, features: Tensor, rows: Tensor, objects: Tensor) -> Tensor:
    """`agents.perception.levels`: float32 [n, C, S], of ``objects [n, C]`` on each dimension of ``rows [n]``."""
    return torch.bmm(sense(columns, features, rows, objects), columns.loading[rows].transpose(1, 2))


def heights(columns: Columns, features: Tensor, rows: Tensor, places: Tensor, objects: Tensor) -> Tensor:
    """`agents.perception.heights`: float32 [n, C], on the one dimension of ``rows [n]`` that is at ``places [n]``."""
    weights = columns.flat("loading")[places]
    return torch.bmm(sense(columns, features, rows, objects), weights[:, :, None])[:, :, 0]


def along(values: Tensor, slots: Tensor) -> Tensor:
    """Of ``values [n, ..., S]`` what belongs to the dimension in ``slots [n]`` (of -1, the first): [n, ...]."""
    places = slots.clamp(min=0).view(-1, *[1] * (values.dim() - 1)).expand(*values.shape[:-1], 1)
    return values.gather(-1, places)[..., 0]
