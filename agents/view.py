"""A view: the dimensions of one agent, at most eight, in a form to read.

`View` and `Dimension` are snapshots. They keep copies of what the agent held when they were made and never write.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agents.communication import spelled
from agents.config import MAX_DIMENSIONS
from agents.population import EMPTY, KIND_NAMES, NOTHING, ORIGIN_NAMES, Population
from agents.world import World


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Dimension:
    """One dimension of one agent.

    Attributes
    ----------
    slot : its place in the view, 0 to 7
    kind : "raw" (likeness to one object) or "abstract" (a factor of many)
    sensor : int32 [m], the features sensed
    loading : float32 [m], unit norm, what it weighs
    superiority : what the agent feels along it, in [0, 1]
    contests : comparisons that fed that feeling
    understood : running mean of communicative success with it
    words : its words, spelled, oldest first
    exemplar : the object that a raw dimension is likeness to, else None
    concept : index into ``library.ids`` as of the last merge whose word the agent took, else None
    born : the step at which it arose
    origin : how it first arose: from an "exemplar", a "factor" or "component" of what was remembered, a "random"
        direction, a coordinate of an "embedding", or "none" of these
    generation : how often it has been handed down from parent to heir since; 0 for one's own
    """

    slot: int
    kind: str
    sensor: NDArray[np.int32]
    loading: NDArray[np.float32]
    superiority: float
    contests: int
    understood: float
    words: tuple[str, ...]
    exemplar: int | None
    concept: int | None
    born: int
    origin: str
    generation: int
    world: World = dataclasses.field(repr=False)

    def weights(self, top: int | None = None) -> dict[str, float]:
        """What it weighs by name of feature, heaviest first, at most ``top``; features of weight 0 are left out."""
        if top is not None and top < 0:
            raise ValueError(f"top is {top}, but it must be at least 0")
        order = np.argsort(-np.abs(self.loading), kind="stable")
        heaviest = order[self.loading[order] != 0][:top]
        names = self.world.feature_names
        return {names[self.sensor[i]]: float(self.loading[i]) for i in heaviest}

    def level(self, objects: ArrayLike) -> NDArray[np.float32]:
        """How high objects of the world stand on it, float32 of the shape of ``objects`` (ids).

        Raises
        ------
        IndexError
            If there is no such object.
        """
        ids = np.asarray(objects)
        if ids.size and (ids.min() < 0 or ids.max() >= self.world.n_objects):
            raise IndexError(f"the objects of {self.world.name} are 0 to {self.world.n_objects - 1}")
        return np.asarray(self.world.features[ids[..., None], self.sensor] @ self.loading)

    def __repr__(self) -> str:
        name = " ".join(self.words) or "no word"
        weights = " ".join(f"{weight:+.2f} {feature}" for feature, weight in self.weights(top=3).items())
        source = f" ({self.origin})" if self.exemplar is None else f" of object {self.exemplar}"
        times = "once" if self.generation == 1 else f"{self.generation} times"
        handed = f", handed down {times}" if self.generation else ""
        return (
            f"<Dimension {self.slot} ({name}): {self.kind}{source}{handed}, superiority {self.superiority:.2f} "
            f"after {self.contests} contests, {weights} ...>"
        )


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class View(Sequence[Dimension]):
    """The dimensions that agent ``agent`` (an id) holds at the moment, by slot; empty slots are left out."""

    agent: int
    dimensions: tuple[Dimension, ...]

    def __post_init__(self) -> None:
        if len(self.dimensions) > MAX_DIMENSIONS:
            raise ValueError(f"a view holds at most {MAX_DIMENSIONS} dimensions, not {len(self.dimensions)}")

    @classmethod
    def of(cls, population: Population, world: World, row: int) -> View:
        """The view of whoever lives in ``row``."""
        slots = np.flatnonzero(population.kind[row] != EMPTY)
        dimensions = tuple(_dimension(population, world, row, int(slot)) for slot in slots)
        return cls(agent=int(population.id[row]), dimensions=dimensions)

    def levels(self, objects: ArrayLike) -> NDArray[np.float32]:
        """How high objects stand on each dimension: float32, the shape of ``objects`` and one axis more."""
        shape = (*np.shape(objects), len(self))
        columns = [dimension.level(objects) for dimension in self.dimensions]
        return np.stack(columns, axis=-1) if columns else np.zeros(shape, dtype=np.float32)

    @overload
    def __getitem__(self, index: int) -> Dimension: ...

    @overload
    def __getitem__(self, index: slice) -> View: ...

    def __getitem__(self, index: int | slice) -> Dimension | View:
        if isinstance(index, slice):
            return View(agent=self.agent, dimensions=self.dimensions[index])
        return self.dimensions[index]

    def __iter__(self) -> Iterator[Dimension]:
        return iter(self.dimensions)

    def __len__(self) -> int:
        return len(self.dimensions)

    def __repr__(self) -> str:
        lines = [f"<View of agent {self.agent}: {len(self)} of at most {MAX_DIMENSIONS} dimensions"]
        return "\n  ".join([*lines, *(repr(dimension) for dimension in self.dimensions)]) + ">"


def _dimension(population: Population, world: World, row: int, slot: int) -> Dimension:
    exemplar, concept = int(population.exemplar[row, slot]), int(population.concept[row, slot])
    return Dimension(
        slot=slot,
        kind=KIND_NAMES[population.kind[row, slot]],
        sensor=frozen(population.sensor[row]),
        loading=frozen(population.loading[row, slot]),
        superiority=float(population.score[row, slot]),
        contests=int(population.contests[row, slot]),
        understood=float(population.understood[row, slot]),
        words=tuple(spelled(int(word)) for word in population.words[row, slot] if word != NOTHING),
        exemplar=None if exemplar == NOTHING else exemplar,
        concept=None if concept == NOTHING else concept,
        born=int(population.born[row, slot]),
        origin=ORIGIN_NAMES[population.origin[row, slot]],
        generation=int(population.generation[row, slot]),
        world=world,
    )


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """A read-only copy: writing into it would not reach the agent, so it fails instead of being lost."""
    copy = array.copy()
    copy.flags.writeable = False
    return copy
