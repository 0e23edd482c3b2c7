"""The society: a Mesa model whose step is nothing but the order of its nine phases."""

from __future__ import annotations

import dataclasses
from contextlib import ExitStack
from random import Random
from typing import Any, NoReturn

import mesa
import networkx as nx
import numpy as np
from threadpoolctl import ThreadpoolController

from agents.agent import KEPT_BY_SELECTION, Agent
from agents.attribution import Ledger, attribute
from agents.communication import Talk, remember_success, talk
from agents.config import SocietyConfig
from agents.consult import hear_the_library, new_library, sampled, take_in, views_of
from agents.discovery import discover
from agents.errors import InputError
from agents.interactions import InteractionLog
from agents.meeting import Experience, Meeting, edges_of, meet, meet_one
from agents.perception import perceive
from agents.population import MANY, Population, found, n_sensors
from agents.rows import RowSet
from agents.selection import Deaths, drop_dimensions, select_agents
from agents.sources import sources
from agents.superiority import compare, feel
from agents.world import World
from knowledge_graph.library import Library

BLAS = ThreadpoolController()
"""A tick is many small matrix products, on which threads cost more than they give (seven times more where the cores
are busy); and on one thread, results do not depend on how many cores there are."""

MERGE_SAMPLE = 2000
"""A larger society is merged from a random sample of this many views."""


@dataclasses.dataclass
class Counters:
    """What has happened so far, for the record."""

    deaths: int = 0
    births: int = 0
    dims_dropped: int = 0
    dims_discovered: int = 0
    n_words: int = 0
    next_id: int = 0


class Society(mesa.Model):  # type: ignore[misc]
    """Agents with views of at most 8 dimensions, who live in a world, talk, compete, and share a library.

    Parameters
    ----------
    world : what there is
    config : how they live
    seed : int; the same seed gives the same society, bit for bit
    graph : who can meet whom (nodes 0 .. agents - 1); by default anyone can meet anyone
    """

    random: Random
    rng: np.random.Generator

    def __init__(self, world: World, config: SocietyConfig, *, seed: int, graph: nx.Graph | None = None) -> None:
        if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
            raise InputError(f"seed is {seed!r}, but it must be an int of at least 0")
        super().__init__(seed=seed)
        # Mesa's registers of agents would stay empty; whoever asks for them shall hear so.
        del self._agents, self._agents_by_type, self._all_agents
        check_fit(world, config)
        self.world, self.config, self.seed = world, config, seed
        self.edges = None if graph is None else edges_of(graph, config.agents)
        self.population: Population = found(world, config, self.rng)
        self.library: Library = new_library(world, config)
        self.counters = Counters(next_id=config.agents)
        self.ledger = Ledger()
        self.deaths: list[tuple[int, Deaths]] = []
        self.positions: dict[int, Any] = {}  # by id, of those whom somebody placed in a Mesa space
        self.talks: list[Talk] = []  # of this step: one for all pairs, or one for each in sequential activation
        self.log = InteractionLog()  # keeps nothing; put one with a size here to have conversations kept

    @property
    def agents(self) -> RowSet:
        """All agents, as a Mesa AgentSet over the rows of the population."""
        return RowSet(self)

    @property
    def agents_by_type(self) -> dict[type[Agent], RowSet]:
        """Mesa's grouping: there is one type of agent."""
        return {Agent: self.agents}

    @property
    def agent_types(self) -> list[type[Agent]]:
        """Mesa's list of types: `Agent` alone."""
        return [Agent]

    def register_agent(self, agent: mesa.Agent) -> NoReturn:
        """Refuse: nobody can be put into a society."""
        raise RuntimeError(KEPT_BY_SELECTION.format("registered"))

    def deregister_agent(self, agent: mesa.Agent) -> NoReturn:
        """Refuse: nobody can be taken out of a society."""
        raise RuntimeError(KEPT_BY_SELECTION.format("removed"))

    def remove_all_agents(self) -> NoReturn:
        """Refuse: a society is never empty."""
        raise RuntimeError(KEPT_BY_SELECTION.format("removed"))

    def step(self) -> None:
        """One tick: each phase in its turn, on the state that the phase before left."""
        self.talks = []
        with ExitStack() as tick:
            tick.enter_context(BLAS.limit(limits=1, user_api="blas"))
            if self.config.agents >= MANY:
                from agents.kernels import threads

                tick.enter_context(threads.kept())
            self._tick()

    def _tick(self) -> None:
        self.encounter()
        if self.due(self.config.discovery_interval):
            self.discover()
        if self.due(self.config.selection_interval):
            self.select()
        if self.due(self.config.merge_interval):
            self.merge()

    def encounter(self) -> None:
        """Phases 1 to 6: everybody meets somebody, and what happens then."""
        if self.config.activation == "sequential":
            self.agents.shuffle_do("step")
        else:
            self.live(self.meet())

    def live(self, meeting: Meeting) -> None:
        """What happens in a meeting: perceive, talk, compare, attribute, feel."""
        if self.due(self.config.perceive_interval):
            self.perceive(meeting)
        if self.due(self.config.talk_interval):
            experience = self.talk(meeting)
            if self.due(self.config.compare_interval):
                experience = self.compare(experience)
            if self.due(self.config.attribute_interval):
                experience = self.attribute(experience)
            if self.due(self.config.feel_interval):
                self.feel(experience)
            self.remember(meeting)

    def due(self, interval: int) -> bool:
        """Whether a phase with this interval has its turn at this step."""
        return interval > 0 and self.steps % interval == 0

    def meet(self) -> Meeting:
        """Phase 1: a random matching, and a scene for each pair."""
        return meet(len(self.population), self.world.train, self.config.candidates, self.rng, self.edges)

    def meet_one(self, row: int) -> Meeting | None:
        """One agent meets one other (sequential activation); None for a hermit of the graph."""
        return meet_one(row, len(self.population), self.world.train, self.config.candidates, self.rng, self.edges)

    def perceive(self, meeting: Meeting) -> None:
        """Phase 2: both sides remember the scene."""
        scene = np.concatenate([meeting.scene, meeting.scene])
        perceive(self.population, meeting.participants, scene, self.rng)

    def talk(self, meeting: Meeting) -> Experience:
        """Phase 3: one game per pair; both sides learn, and have an experience."""
        outcome = talk(self.population, self.world, meeting, self.config, self.counters.n_words, self.rng)
        self.counters.n_words = outcome.n_words
        self.talks.append(outcome)
        self.log.listen(self.population, self.world, meeting, outcome, step=self.steps, concepts=self.library.ids)
        return Experience.of(meeting, outcome.success, outcome.speaker_slot, outcome.hearer_slot)

    def compare(self, experience: Experience) -> Experience:
        """Phase 4: whose body stands higher on the dimension used, each by its own measure."""
        return compare(self.population, self.world, experience, self.config)

    def attribute(self, experience: Experience) -> Experience:
        """Phase 5: what came of it, split between own dimension, others and luck."""
        return attribute(self.population, self.world, experience, self.config, self.ledger)

    def feel(self, experience: Experience) -> None:
        """Phase 6: superiority moves fast on good news and slowly on bad."""
        feel(self.population, experience, self.config)

    def remember(self, meeting: Meeting) -> None:
        """What was expected has been compared with what came; now that becomes part of what is expected."""
        remember_success(self.population, meeting, self.talks[-1])

    def discover(self) -> None:
        """Phase 7: attention shifts, abstract dimensions arise."""
        rows = np.arange(len(self.population))
        self.counters.dims_discovered += discover(self.population, rows, self.world, self.config, self.steps, self.rng)

    def select(self) -> None:
        """Phase 8: dimensions that do not pay are dropped; the least fit agents die and the fittest have heirs."""
        self.counters.dims_dropped += drop_dimensions(self.population, self.config.dimension_floor)
        dead = select_agents(
            self.population,
            self.world,
            self.config,
            step=self.steps,
            next_id=self.counters.next_id,
            rng=self.rng,
        )
        self.deaths.append((self.steps, dead))
        self.counters.deaths += len(dead.id)
        self.counters.births += len(dead.id)
        self.counters.next_id += len(dead.id)

    def merge(self) -> None:
        """Phase 9: the library takes the views in (of a sample, if there are many); everybody may take its word."""
        population, world = self.population, self.world
        rows = sampled(len(population), MERGE_SAMPLE, self.rng)
        n_words = self.counters.n_words
        told = take_in(self.library, views_of(population, world, rows), step=self.steps, n_words=n_words)
        self.counters.n_words = told.n_words
        if self.config.library_word:
            word = self.library.word(n_words=told.n_words)
            hear_the_library(population, world, rows, told, word, at_once=MERGE_SAMPLE)


def check_fit(world: World, config: SocietyConfig) -> None:
    """Refuse a configuration that this world cannot house."""
    sources(config, world)
    m = n_sensors(config, world)
    for name, value, limit, whose in (
        ("sensors", m, world.n_features, f"features of {world.name}"),
        ("dimensions", config.dimensions, m, "sensors of an agent"),
        ("dimensions", config.dimensions, len(world.train), f"objects of {world.name} that can be met"),
        ("candidates", config.candidates, len(world.train), f"objects of {world.name} that can be met"),
    ):
        if value > limit:
            raise InputError(f"{name} is {value}, but it must be at most {limit}, the number of {whose}")
