"""The population: struct-of-arrays columns, one row per agent, and birth and death in place.

All state of all agents lives here, in arrays that the phases of the tick read and write. The cap of eight dimensions
is the width of these arrays, so nothing can exceed it. Rows are reused; ids never are.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.config import SocietyConfig
from agents.world import World

EMPTY, RAW, ABSTRACT = 0, 1, 2
KIND_NAMES = ("empty", "raw", "abstract")

NO_ORIGIN, EXEMPLAR, FACTOR, COMPONENT, RANDOM, EMBEDDING = 0, 1, 2, 3, 4, 5
ORIGIN_NAMES = ("none", "exemplar", "factor", "component", "random", "embedding")
"""How a dimension first arose, see `agents.sources`; "none" for empty slots, and for what was put there by hand."""

PART = 65_536
"""Agents for whom random numbers are drawn at a time where there are many of them."""

AMONG_OBJECTS = 24
"""Features that an agent senses of objects found in images, unless told otherwise: all channels of a network hang
together, and minds who sense less of them differ more."""

NOTHING = -1
"""No object, no word, no concept, no parent."""

MANY = 5000
"""Agents (or pairs of them) from which the compiled `agents.kernels` do the work. What takes time of fewer is the
calls, of which arrays need few more; and to load Numba and the kernels would take longer than many a life. More than
the games that doubles of a small society play to be measured."""

NEUTRAL = 0.5
"""Superiority of an agent that has not been in a contest yet: neither above nor below."""


@dataclasses.dataclass(kw_only=True)
class Population:
    """Columns of N agents with S slots, m sensors, R remembered objects and W words a slot.

    Attributes
    ----------
    id, parent : int64 [N], stable ids; the parent of the first generation is -1
    birth : int32 [N], the step at which the agent was born
    body : int32 [N], the object it is
    sensor : int32 [N, m], the features it senses, without repetition
    communality : float32 [N, m], share of each sensed feature's variance that the factors found last explain
    seen : int32 [N, R], a reservoir of the objects it has seen, -1 where free
    n_seen : int32 [N], how many objects it has seen in its life
    loading : float32 [N, S, m], unit norm (zero in empty slots): what a dimension weighs
    kind : int8 [N, S], EMPTY, RAW or ABSTRACT
    exemplar : int32 [N, S], the object that a raw dimension is likeness to
    score : float32 [N, S], superiority along each dimension, in [0, 1]
    contests : int32 [N, S], events that fed the score
    words : int32 [N, S, W], oldest first, -1 where free
    concept : int32 [N, S], index into ``library.ids`` as of the last merge whose word was taken, -1 for none
    born : int32 [N, S], the step at which the dimension arose
    origin : int8 [N, S], how it arose in the ancestor who had it first: its place in `ORIGIN_NAMES`
    generation : int16 [N, S], how often it has been handed down to an heir since; 0 for one's own
    success : float32 [N], running mean of communicative success
    understood : float32 [N, S], the same along each dimension
    """

    id: NDArray[np.int64]
    parent: NDArray[np.int64]
    birth: NDArray[np.int32]
    body: NDArray[np.int32]
    sensor: NDArray[np.int32]
    communality: NDArray[np.float32]
    seen: NDArray[np.int32]
    n_seen: NDArray[np.int32]
    loading: NDArray[np.float32]
    kind: NDArray[np.int8]
    exemplar: NDArray[np.int32]
    score: NDArray[np.float32]
    contests: NDArray[np.int32]
    words: NDArray[np.int32]
    concept: NDArray[np.int32]
    born: NDArray[np.int32]
    origin: NDArray[np.int8]
    generation: NDArray[np.int16]
    success: NDArray[np.float32]
    understood: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.id)

    @property
    def n_slots(self) -> int:
        """The width of a view: 8, or fewer if the configuration says so."""
        return int(self.kind.shape[1])

    @property
    def n_sensors(self) -> int:
        """How many features an agent senses."""
        return int(self.sensor.shape[1])

    @property
    def held(self) -> NDArray[np.bool_]:
        """bool [N, S]: slots that hold a dimension."""
        held: NDArray[np.bool_] = self.kind != EMPTY
        return held

    @property
    def bytes_per_agent(self) -> float:
        """Bytes of all columns, for one agent."""
        return sum(column.nbytes for column in self.columns().values()) / max(len(self), 1)

    def columns(self) -> dict[str, NDArray[Any]]:
        """The columns by name, not copied."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def copy(self) -> Population:
        """The same agents in columns of their own."""
        return Population(**{name: column.copy() for name, column in self.columns().items()})

    def some(self, rows: NDArray[np.intp] | slice) -> Population:
        """Those in ``rows``, of a slice not copied; who is asked for twice is there twice."""
        return Population(**{name: column[rows] for name, column in self.columns().items()})

    def self_esteem(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """Mean superiority [n] over the dimensions held; neutral for an agent without any."""
        held = self.held[rows]
        count = held.sum(axis=1)
        total = np.where(held, self.score[rows], 0.0).sum(axis=1, dtype=np.float64)
        return np.where(count > 0, total / np.maximum(count, 1), NEUTRAL).astype(np.float32)

    def clear(self, rows: NDArray[np.intp], slots: NDArray[np.intp]) -> None:
        """Empty the given slots (pairs of row and slot)."""
        self.loading[rows, slots] = 0.0
        self.kind[rows, slots] = EMPTY
        self.exemplar[rows, slots] = NOTHING
        self.score[rows, slots] = 0.0
        self.contests[rows, slots] = 0
        self.words[rows, slots] = NOTHING
        self.concept[rows, slots] = NOTHING
        self.born[rows, slots] = NOTHING
        self.origin[rows, slots] = NO_ORIGIN
        self.generation[rows, slots] = 0
        self.understood[rows, slots] = 0.0

    def install(
        self,
        rows: NDArray[np.intp],
        slots: NDArray[np.intp],
        *,
        loading: NDArray[np.float32],
        kind: NDArray[np.int8] | int,
        exemplar: NDArray[np.int32] | int,
        step: int,
        origin: NDArray[np.int8] | int = NO_ORIGIN,
    ) -> None:
        """Put a new dimension, without words or history, into a slot of each row; ``loading`` is [n, m], unit norm.

        It is felt as the agent feels in general, until contests tell.
        """
        esteem = self.self_esteem(rows)
        self.clear(rows, slots)
        self.loading[rows, slots] = loading
        self.kind[rows, slots] = kind
        self.exemplar[rows, slots] = exemplar
        self.score[rows, slots] = esteem
        self.born[rows, slots] = step
        self.origin[rows, slots] = origin
        self.understood[rows, slots] = self.success[rows]


def found(world: World, config: SocietyConfig, rng: np.random.Generator) -> Population:
    """The first generation: random bodies and sensors, a childhood, and a few exemplars as raw dimensions."""
    n, slots, m = config.agents, config.dimensions, n_sensors(config, world)
    population = Population(
        id=np.arange(n, dtype=np.int64),
        parent=np.full(n, NOTHING, dtype=np.int64),
        birth=np.zeros(n, dtype=np.int32),
        body=world.train[rng.integers(len(world.train), size=n)],
        sensor=distinct(rng, n, m, world.n_features),
        communality=np.zeros((n, m), dtype=np.float32),
        seen=np.full((n, config.memory), NOTHING, dtype=np.int32),
        n_seen=np.zeros(n, dtype=np.int32),
        loading=np.full((n, slots, m), 0, dtype=np.float32),
        kind=np.zeros((n, slots), dtype=np.int8),
        exemplar=np.full((n, slots), NOTHING, dtype=np.int32),
        score=np.zeros((n, slots), dtype=np.float32),
        contests=np.zeros((n, slots), dtype=np.int32),
        words=np.full((n, slots, config.vocabulary), NOTHING, dtype=np.int32),
        concept=np.full((n, slots), NOTHING, dtype=np.int32),
        born=np.full((n, slots), NOTHING, dtype=np.int32),
        origin=np.full((n, slots), NO_ORIGIN, dtype=np.int8),
        generation=np.zeros((n, slots), dtype=np.int16),
        success=np.zeros(n, dtype=np.float32),
        understood=np.zeros((n, slots), dtype=np.float32),
    )
    grow_up(population, np.arange(n), world, config, rng)
    first_exemplars(population, world, config)
    return population


def first_exemplars(population: Population, world: World, config: SocietyConfig) -> None:
    """The raw dimensions of the first generation: likeness to oneself, then to childhood acquaintances."""
    n, known = len(population), min(config.childhood, config.memory)
    n_slots = min(config.exemplars, 1 + known)
    if n >= MANY:
        from agents import kernels

        kernels.first_exemplars(population, world.features, n_slots)
        return
    for slot in range(n_slots):
        objects = population.body if slot == 0 else population.seen[:, slot - 1]
        take_exemplar(population, np.arange(n), np.full(n, slot), objects, world, step=0)


def grow_up(
    population: Population,
    rows: NDArray[np.intp],
    world: World,
    config: SocietyConfig,
    rng: np.random.Generator,
) -> None:
    """Give newborns their childhood: the first objects they have seen."""
    known = min(config.childhood, config.memory)
    population.seen[rows] = NOTHING
    # In parts, which make the same draws: a million childhoods at once would take as much room as the memories.
    for start in range(0, len(rows), PART):
        part = rows[start : start + PART]
        population.seen[part, :known] = world.train[rng.integers(len(world.train), size=(len(part), known))]
    population.n_seen[rows] = known


def take_exemplar(
    population: Population,
    rows: NDArray[np.intp],
    slots: NDArray[np.intp],
    objects: NDArray[np.int32],
    world: World,
    *,
    step: int,
) -> int:
    """Make an object a raw dimension of each row, unless it is one already; returns how many it was made for."""
    new = (population.exemplar[rows] != objects[:, None]).all(axis=1)
    rows, slots, objects = rows[new], slots[new], objects[new]
    alike = likeness(world.features, objects, population.sensor[rows])
    population.install(rows, slots, loading=alike, kind=RAW, exemplar=objects, step=step, origin=EXEMPLAR)
    return len(rows)


def likeness(
    features: NDArray[np.float32], objects: NDArray[np.int32], sensor: NDArray[np.int32]
) -> NDArray[np.float32]:
    """Loadings [n, m] of raw dimensions: the direction in which each object is like itself, seen through ``sensor``."""
    return unit(features[objects[:, None], sensor])


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows scaled to norm 1; a zero row (an object average in all that is sensed) becomes the even direction."""
    norm = np.linalg.norm(vectors, axis=-1, keepdims=True)
    even = np.float32(1.0 / np.sqrt(vectors.shape[-1]))
    return np.where(norm > 0, vectors / np.where(norm > 0, norm, 1), even).astype(np.float32)


def n_sensors(config: SocietyConfig, world: World) -> int:
    """How many features an agent senses in this world."""
    if config.sensors is not None:
        return config.sensors
    usual = AMONG_OBJECTS if world.instances is not None else min(max(world.n_features // 4, 8), 48)
    return min(usual, world.n_features)


def distinct(rng: np.random.Generator, n: int, m: int, high: int) -> NDArray[np.int32]:
    """int32 [n, m]: in each row m distinct numbers under ``high``, in random order.

    Few rows are the first places of shuffled ones, by random keys [n, high]; for many, so many draws would take longer
    than all the rest of founding, and they are dealt.
    """
    if n >= MANY:
        from agents import kernels

        cards = np.empty((n, m), dtype=np.int32)
        for start in range(0, n, PART):
            part = cards[start : start + PART]
            part[:] = kernels.dealt(rng.random(part.shape), high)
        return cards
    return np.argsort(rng.random((n, high)), axis=1)[:, :m].astype(np.int32)


def dealt(draws: NDArray[np.float64], high: int) -> NDArray[np.int32]:
    """int32 [n, m]: the first m of the numbers under ``high`` as ``draws [n, m]`` in [0, 1) shuffle them.

    Fisher and Yates's way, as far as needed: place k takes what is in a random place from k on, and gives its own.
    """
    n, m = draws.shape
    everyone, deck = np.arange(n), np.tile(np.arange(high, dtype=np.int32), (n, 1))
    for k in range(m):
        place = k + (draws[:, k] * (high - k)).astype(np.intp)
        taken = deck[everyone, place]
        deck[everyone, place] = deck[:, k]
        deck[:, k] = taken
    return deck[:, :m]
