"""The society again, written plainly: one object per agent, one loop per thing done. The tick's executable meaning.

Every phase of `agents.society.Society` (synchronous activation) is here a function of the same name, over lists of
agents, dimensions and words instead of columns. It makes the same draws from an identical generator (arrays of the
same shape in the same order) and then goes through them one by one, so that both societies live the same life.

Only what the parts themselves are tested for elsewhere is shared with them: the world, the configuration, `minres`
and `varimax` (of one matrix at a time), the eigenvalues of noise, and the library. Where rounding could decide (levels
and second moments are single precision) the same product of two matrices is taken, of one agent at a time.
"""

from __future__ import annotations

import networkx as nx
import numpy as np

from agents.communication import spelled
from agents.config import SocietyConfig
from agents.society import Counters
from agents.world import World
from knowledge_graph.library import Library
from tests.agents.reference_change import discover, merge, select
from tests.agents.reference_meeting import Pair, attribute, compare, feel, meet, perceive, remember, talk
from tests.agents.reference_mind import found


class ReferenceSociety:
    """The same society as `agents.society.Society`, agent by agent."""

    def __init__(self, world: World, config: SocietyConfig, *, seed: int, graph: nx.Graph | None = None) -> None:
        self.world, self.config = world, config
        self.rng = np.random.default_rng(seed)
        self.steps = 0
        self.edges = None if graph is None else [(a, b) for a, b in graph.edges() if a != b]
        self.agents = found(world, config, self.rng)
        self.library = Library(probe=world.probe, features=world.features[world.probe], spell=spelled)
        self.counters = Counters(next_id=config.agents)
        self.ledger: list[tuple[float, float, float]] = []
        self.deaths: list[dict[str, float]] = []
        self.pairs: list[Pair] = []

    def step(self) -> None:
        """The nine phases."""
        self.steps += 1
        config = self.config
        self.pairs = meet(self)
        if self.due(config.perceive_interval):
            perceive(self, self.pairs)
        if self.due(config.talk_interval):
            experiences = talk(self, self.pairs)
            if self.due(config.compare_interval):
                compare(self, experiences)
            if self.due(config.attribute_interval):
                attribute(self, experiences)
            if self.due(config.feel_interval):
                feel(self, experiences)
            remember(self.pairs)
        if self.due(config.discovery_interval):
            discover(self)
        if self.due(config.selection_interval):
            select(self)
        if self.due(config.merge_interval):
            merge(self)

    def due(self, interval: int) -> bool:
        return interval > 0 and self.steps % interval == 0
