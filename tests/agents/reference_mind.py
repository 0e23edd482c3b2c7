"""The parts of the plain reference society: dimensions, agents, and the first generation."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from agents import population
from agents.config import SocietyConfig
from agents.population import EXEMPLAR, NEUTRAL, NOTHING, RAW
from agents.world import World

Vector = NDArray[np.float32]


@dataclasses.dataclass(kw_only=True)
class Dimension:
    """One dimension of a view; ``loading [m]`` has unit norm, ``words`` are oldest first."""

    loading: Vector
    kind: int
    exemplar: int
    born: int
    origin: int
    score: np.float32
    understood: np.float32
    generation: int = 0
    contests: int = 0
    words: list[int] = dataclasses.field(default_factory=list)
    concept: int = NOTHING

    def inherited(self, step: int) -> Dimension:
        """The same for an heir, who has it from its birth."""
        own = {"loading": self.loading.copy(), "words": list(self.words)}
        return dataclasses.replace(self, **own, born=step, generation=self.generation + 1)

    def feel_anew(self, score: np.float32) -> None:
        """Forget all contests."""
        self.score, self.contests = score, 0

    def turn_round(self, esteem: np.float32) -> None:
        """The other direction, of which its owner feels as it does in general."""
        self.loading = -self.loading
        self.feel_anew(esteem)

    def add_word(self, word: int, vocabulary: int) -> None:
        """One more word; where there is no room the oldest is forgotten."""
        self.words = [*self.words, word][-vocabulary:]


@dataclasses.dataclass(kw_only=True)
class ReferenceAgent:
    """One mind: what it is, senses and remembers, and a view of so many slots, some of which may be empty."""

    id: int
    parent: int
    birth: int
    body: int
    sensor: list[int]
    communality: list[float]
    view: list[Dimension | None]
    seen: list[int] = dataclasses.field(default_factory=list)
    n_seen: int = 0
    success: np.float32 = dataclasses.field(default_factory=lambda: np.float32(0))

    def dimension(self, slot: int) -> Dimension:
        """The dimension in a slot that is not empty."""
        found = self.view[slot]
        assert found is not None, f"slot {slot} of agent {self.id} is empty"
        return found

    @property
    def held(self) -> list[int]:
        """The slots that hold a dimension."""
        return [slot for slot, dimension in enumerate(self.view) if dimension is not None]

    @property
    def esteem(self) -> np.float32:
        """Mean superiority over what it holds; neutral without anything."""
        scores = [float(self.dimension(slot).score) for slot in self.held]
        return np.float32(sum(scores) / len(scores) if scores else NEUTRAL)

    @property
    def loadings(self) -> Vector:
        """[S, m], zero in empty slots."""
        empty = np.zeros(len(self.sensor), dtype=np.float32)
        return np.array([empty if dimension is None else dimension.loading for dimension in self.view])

    def levels(self, world: World, objects: list[int]) -> Vector:
        """[C, S]: how high each object stands on each dimension; 0 in empty slots."""
        sensed = world.features[np.ix_(np.array(objects, dtype=np.intp), np.array(self.sensor))]
        return sensed @ self.loadings.T

    def install(self, slot: int, *, loading: Vector, kind: int, exemplar: int, origin: int, step: int) -> None:
        """Put a new dimension into a slot; it is felt and understood like the agent in general."""
        self.view[slot] = Dimension(
            loading=loading,
            kind=kind,
            exemplar=exemplar,
            born=step,
            origin=origin,
            score=self.esteem,
            understood=self.success,
        )

    def take_exemplar(self, slot: int, obj: int, world: World, *, step: int) -> bool:
        """Make an object a raw dimension, unless it is one already."""
        if any(self.dimension(held).exemplar == obj for held in self.held):
            return False
        alike = likeness(world, obj, self.sensor)
        self.install(slot, loading=alike, kind=RAW, exemplar=obj, origin=EXEMPLAR, step=step)
        return True

    def sense_instead(self, moved: dict[int, int], world: World) -> None:
        """Sense other features at some places; abstract dimensions do not weigh them, raw ones stay a likeness."""
        if not moved:
            return
        old = list(self.sensor)
        for place, feature in moved.items():
            self.sensor[place] = feature
            self.communality[place] = 0.0
        for slot in self.held:
            dimension = self.dimension(slot)
            if dimension.kind == RAW:
                turned = (dimension.loading * likeness(world, dimension.exemplar, old)).sum() < 0
                alike = likeness(world, dimension.exemplar, self.sensor)
                dimension.loading = -alike if turned else alike
            else:
                dimension.loading[list(moved)] = 0.0
                if dimension.loading.any():
                    dimension.loading = unit(dimension.loading)
                else:
                    self.view[slot] = None


def likeness(world: World, obj: int, sensor: list[int]) -> Vector:
    """The direction in which an object is like itself."""
    return unit(world.features[obj, sensor])


def unit(vector: Vector) -> Vector:
    norm = np.sqrt((vector * vector).sum())
    return vector / norm if norm > 0 else np.full_like(vector, 1.0 / np.sqrt(len(vector)))


def n_sensors(config: SocietyConfig, world: World) -> int:
    """As configured; by default a quarter of the features, at least 8 and at most 48."""
    return config.sensors or min(max(world.n_features // 4, 8), 48, world.n_features)


def found(world: World, config: SocietyConfig, rng: np.random.Generator) -> list[ReferenceAgent]:
    """The first generation."""
    n, n_features = config.agents, world.n_features
    m = n_sensors(config, world)
    bodies = world.train[rng.integers(len(world.train), size=n)]
    # Of a large society sensors are dealt, of a small one they are the first of a random order.
    many = n >= population.MANY
    draws = rng.random((n, m if many else n_features))
    sensors = [dealt(row, n_features) if many else np.argsort(row)[:m].tolist() for row in draws]
    agents = [
        ReferenceAgent(
            id=i,
            parent=NOTHING,
            birth=0,
            body=int(bodies[i]),
            sensor=sensors[i],
            communality=[0.0] * m,
            view=[None] * config.dimensions,
        )
        for i in range(n)
    ]
    grow_up(agents, world, config, rng)
    for agent in agents:
        # Likeness to itself, then to the first that it saw.
        for slot, obj in enumerate([agent.body, *agent.seen][: config.exemplars]):
            agent.take_exemplar(slot, obj, world, step=0)
    return agents


def dealt(draws: Vector, n_features: int) -> list[int]:
    """As many features as there are draws: each a random one of those that are left (Fisher and Yates)."""
    deck = list(range(n_features))
    for place, chance in enumerate(draws):
        other = place + int(chance * (n_features - place))
        deck[place], deck[other] = deck[other], deck[place]
    return deck[: len(draws)]


def grow_up(agents: list[ReferenceAgent], world: World, config: SocietyConfig, rng: np.random.Generator) -> None:
    """A childhood full of random objects."""
    known = min(config.childhood, config.memory)
    draws = rng.integers(len(world.train), size=(len(agents), known))
    for agent, draw in zip(agents, draws, strict=True):
        agent.seen = [int(world.train[i]) for i in draw]
        agent.n_seen = known
