"""Phases 7 to 9 of the plain reference society: what changes in views, in the population, and through the library."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from agents.accommodation import SAME
from agents.config import SocietyConfig
from agents.consult import N_SOURCES
from agents.population import ABSTRACT, EMPTY, NEUTRAL, NOTHING, RAW
from agents.selection import GRACE
from agents.society import MERGE_SAMPLE
from agents.world import World
from knowledge_graph.views import Views
from tests.agents.reference_mind import Dimension, ReferenceAgent, Vector, grow_up, n_sensors
from tests.agents.reference_sources import Proposal, Proposing

if TYPE_CHECKING:
    from tests.agents.reference import ReferenceSociety


def discover(society: ReferenceSociety) -> None:
    """Phase 7: attention shifts; what the memory has in common becomes abstract dimensions."""
    world, config, rng, agents = society.world, society.config, society.rng, society.agents
    shift_attention(agents, world, config, rng)
    proposing = Proposing.drawn(society)
    for place, agent in enumerate(agents):
        corr = correlations(agent, world, config)
        refreshed: set[int] = set()
        proposals, agent.communality = proposing.propose(place, corr)
        for proposal in proposals:
            accommodate(society, agent, proposal, corr, refreshed)
    if config.discovery not in ("factor", "pca"):
        return
    for agent, chance in zip(agents, rng.random(len(agents)), strict=True):
        if len(agent.held) < len(agent.view) and agent.seen:
            obj = agent.seen[int(chance * len(agent.seen))]
            taken = agent.take_exemplar(agent.view.index(None), obj, world, step=society.steps)
            society.counters.dims_discovered += taken


def shift_attention(
    agents: list[ReferenceAgent], world: World, config: SocietyConfig, rng: np.random.Generator
) -> None:
    """The sensors of least communality turn to new features: of some random ones those that the view explains best."""
    m, n_features = len(agents[0].sensor), world.n_features
    n_moved = min(round(config.attention * m), n_features - m)
    if n_moved == 0:
        return
    for agent, keys in zip(agents, rng.random((len(agents), n_features)), strict=True):
        dullest = sorted(range(m), key=lambda place: (agent.communality[place], keys[agent.sensor[place]]))
        fresh = [int(feature) for feature in np.argsort(keys) if feature not in agent.sensor]
        fresh = fresh[: n_moved * config.glimpses]
        if len(fresh) > n_moved:
            promise = {feature: glimpsed(agent, feature, world) for feature in fresh}
            fresh.sort(key=lambda feature: -promise[feature])
        agent.sense_instead(dict(zip(dullest[:n_moved], fresh, strict=False)), world)


def glimpsed(agent: ReferenceAgent, feature: int, world: World) -> float:
    """How much of a feature the view explains (R^2), over the different objects in memory."""
    objects = sorted(set(agent.seen))
    levels = agent.levels(world, objects)
    stands = [standing(levels[:, slot]) for slot in agent.held]
    column = standing(world.features[objects, feature].astype(np.float64))
    if not stands:
        return 0.0
    across = np.array(stands)
    r = across @ column
    return round(float(r @ np.linalg.solve(across @ across.T + 1e-6 * np.eye(len(r)), r)), 6)


def standing(column: NDArray[np.floating]) -> NDArray[np.float64]:
    """A column with mean 0 and norm 1; 0 if it does not vary."""
    centred = column.astype(np.float64) - column.sum(dtype=np.float64) / max(len(column), 1)
    norm = np.sqrt((centred**2).sum())
    return centred / norm if norm > 1e-5 * np.sqrt(len(column)) else np.zeros(len(column))


def correlations(agent: ReferenceAgent, world: World, config: SocietyConfig) -> NDArray[np.float64]:
    """[m, m], of what the agent senses over the different objects in memory; a constant feature goes with nothing."""
    m, count = len(agent.sensor), max(len(set(agent.seen)), 1)
    sensed, met = np.zeros((config.memory, m), dtype=np.float32), set()
    for place, obj in enumerate(sorted(agent.seen), start=config.memory - len(agent.seen)):
        if obj not in met:
            sensed[place] = world.features[obj, agent.sensor]
        met.add(obj)
    mean = sensed.sum(axis=0, dtype=np.float64) / count
    covariance = (sensed.T @ sensed).astype(np.float64) / count - np.outer(mean, mean)
    corr = np.eye(m)
    for i in range(m):
        for j in range(m):
            variance = covariance[i, i], covariance[j, j]
            varies = all(covariance[k, k] > 1e-5 * max(mean[k] ** 2, 1.0) for k in (i, j))
            if i != j and varies:
                corr[i, j] = covariance[i, j] / (np.sqrt(variance[0]) * np.sqrt(variance[1]))
    return corr


def accommodate(
    society: ReferenceSociety,
    agent: ReferenceAgent,
    proposal: Proposal,
    corr: NDArray[np.float64],
    refreshed: set[int],
) -> None:
    """A proposal refreshes the dimension it repeats, or takes an empty slot, or that of the one worth least."""
    kind = ABSTRACT if proposal.exemplar == NOTHING else RAW
    alike = [0.0] * len(agent.view)
    for slot in agent.held:
        if agent.dimension(slot).kind == kind:
            alike[slot] = float(agent.dimension(slot).loading.astype(np.float64) @ proposal.loading)
    nearest_slot = max(range(len(alike)), key=lambda slot: abs(alike[slot]))
    same = [slot for slot in range(len(alike)) if abs(alike[slot]) >= SAME]
    if refreshed.intersection(same):
        return
    if same:
        if kind == ABSTRACT:
            turned = np.sign(alike[nearest_slot]) * proposal.loading
            agent.dimension(nearest_slot).loading = turned.astype(np.float32)
        refreshed.add(nearest_slot)
        for slot in same:
            if slot != nearest_slot:
                agent.view[slot] = None
        return
    unique = unique_variance(corr, agent.loadings)
    value = [-1.0 if d is None else float(d.score) * unique[slot] for slot, d in enumerate(agent.view)]
    for slot in refreshed:
        value[slot] = np.inf
    weakest = min(range(len(value)), key=lambda slot: value[slot])
    rivals = agent.loadings
    rivals[weakest] = proposal.loading
    if NEUTRAL * unique_variance(corr, rivals)[weakest] > value[weakest]:
        agent.install(
            weakest,
            loading=proposal.loading.astype(np.float32),
            kind=kind,
            exemplar=proposal.exemplar,
            origin=proposal.origin,
            step=society.steps,
        )
        refreshed.add(weakest)
        society.counters.dims_discovered += 1


def unique_variance(corr: NDArray[np.float64], loadings: Vector) -> list[float]:
    """The mean squared semipartial correlation of each dimension with the sensed features (0 in empty slots)."""
    weights = loadings.astype(np.float64)
    held = [bool(row.any()) for row in weights]
    cross = weights @ corr
    gram = cross @ weights.T + np.diag([1e-9 if there else 1.0 for there in held])
    inverse = np.linalg.inv(gram)
    beta = inverse @ cross
    return [
        float((beta[slot] ** 2).sum() / inverse[slot, slot] / len(corr)) if there else 0.0
        for slot, there in enumerate(held)
    ]


def select(society: ReferenceSociety) -> None:
    """Phase 8: dimensions that do not pay go; the least fit die, and heirs of the fittest take their places."""
    world, config, rng, agents = society.world, society.config, society.rng, society.agents
    counters, step = society.counters, society.steps
    for agent in agents:
        for slot in agent.held:
            dimension = agent.dimension(slot)
            if dimension.score < config.dimension_floor and dimension.contests >= GRACE:
                agent.view[slot] = None
                counters.dims_dropped += 1
    worth = [fitness(agent) for agent in agents]
    n_dead = int(config.turnover * len(agents) + rng.random())
    judged = [i for i, agent in enumerate(agents) if step - agent.birth >= config.selection_interval]
    chance = dict(zip(judged, rng.random(len(judged)), strict=True))
    if config.selection == "moran":
        dead = sorted(judged, key=lambda i: chance[i])[:n_dead]
        parents = [agents[drawn_by_worth(worth, luck)] for luck in rng.random(len(dead))]
    else:
        dead = sorted(judged, key=lambda i: (worth[i], chance[i]))[:n_dead]
        parents = winners(society, worth, dead)
    heirs = bear(parents, counters.next_id, world, config, step, rng)
    for i, heir in zip(dead, heirs, strict=True):
        society.deaths.append(
            {
                "id": agents[i].id,
                "age": step - agents[i].birth,
                "fitness": worth[i],
                "dimensions": len(agents[i].held),
                "heir": heir.id,
                "parent": heir.parent,
            }
        )
        agents[i] = heir
    counters.deaths += len(dead)
    counters.births += len(dead)
    counters.next_id += len(dead)


def drawn_by_worth(worth: list[float], luck: float) -> int:
    """The first whose worth, with that of all before, is more than this share of the whole; evenly if all are 0."""
    up_to = list(itertools.accumulate(worth if any(worth) else [1.0] * len(worth)))
    return next(i for i, total in enumerate(up_to) if total / up_to[-1] > luck)


def winners(society: ReferenceSociety, worth: list[float], dead: list[int]) -> list[ReferenceAgent]:
    """For each of the dead the winner of a tournament among the survivors; itself where there are none."""
    agents, rng = society.agents, society.rng
    alive = [i for i in range(len(agents)) if i not in dead]
    if not alive:
        return [agents[i] for i in dead]
    luck = rng.random(len(alive))
    ranked = sorted(range(len(alive)), key=lambda i: (worth[alive[i]], luck[i]))
    entrants = rng.integers(len(alive), size=(len(dead), society.config.tournament))
    return [agents[alive[ranked[max(group)]]] for group in entrants]


def fitness(agent: ReferenceAgent) -> float:
    """Mean superiority times communicative success; 0 for an agent without dimensions."""
    return float(agent.esteem * agent.success) if agent.held else 0.0


def bear(
    parents: list[ReferenceAgent],
    next_id: int,
    world: World,
    config: SocietyConfig,
    step: int,
    rng: np.random.Generator,
) -> list[ReferenceAgent]:
    """A mutated offspring of each parent: perhaps another body, some other sensors, a childhood of its own."""
    heirs = [
        ReferenceAgent(
            id=next_id + i,
            parent=parent.id,
            birth=step,
            body=parent.body,
            sensor=list(parent.sensor),
            communality=list(parent.communality),
            view=[None if d is None else d.inherited(step) for d in parent.view],
            success=parent.success,
        )
        for i, parent in enumerate(parents)
    ]
    n, m, n_features = len(heirs), n_sensors(config, world), world.n_features
    other_body = rng.random(n) < config.mutation
    bodies = world.train[rng.integers(len(world.train), size=n)]
    keys = rng.random((n, n_features))
    moved = rng.random((n, m)) < config.mutation
    for i, heir in enumerate(heirs):
        if other_body[i]:
            heir.body = int(bodies[i])
            for slot in heir.held:
                heir.dimension(slot).feel_anew(np.float32(NEUTRAL))
        fresh = [int(feature) for feature in np.argsort(keys[i]) if feature not in heir.sensor]
        heir.sense_instead(dict(zip(np.flatnonzero(moved[i]).tolist(), fresh, strict=False)), world)
    grow_up(heirs, world, config, rng)
    return heirs


def merge(society: ReferenceSociety) -> None:
    """Phase 9: the library takes the views in, and the agents its word for what they hold."""
    world, config, agents, counters = society.world, society.config, society.agents, society.counters
    if len(agents) > MERGE_SAMPLE:
        agents = [agents[i] for i in sorted(society.rng.permutation(len(agents))[:MERGE_SAMPLE])]
    told = society.library.merge(views_of(agents, world, config), step=society.steps, n_words=counters.n_words)
    counters.n_words = told.n_words
    if not config.library_word:
        return
    names = told.word.tolist()
    for row, agent in enumerate(agents):
        esteem = agent.esteem
        for slot in agent.held:
            dimension, concept = agent.dimension(slot), int(told.concept[row, slot])
            if told.sign[row, slot] < 0:
                dimension.turn_round(esteem)
            dimension.words = [word for word in dimension.words if word not in names]
            if concept != NOTHING:
                dimension.words = [names[concept]]
            dimension.concept = concept


def views_of(agents: list[ReferenceAgent], world: World, config: SocietyConfig) -> Views:
    """What agents bring to the library."""

    def in_slots(value: Callable[[Dimension], int | float], empty: int | float) -> NDArray[np.float64]:
        return np.array([[empty if d is None else value(d) for d in agent.view] for agent in agents])

    words = np.full((len(agents), config.dimensions, config.vocabulary), NOTHING, dtype=np.int32)
    for row, agent in enumerate(agents):
        for slot in agent.held:
            known = agent.dimension(slot).words
            words[row, slot, : len(known)] = known
    experience = [experience_of(agent, world, config.dimensions) for agent in agents]
    return Views(
        agent=np.array([agent.id for agent in agents]),
        held=in_slots(lambda d: True, False).astype(bool),
        levels=np.array([agent.levels(world, world.probe.tolist()) for agent in agents]),
        sensor=np.array([agent.sensor for agent in agents], dtype=np.int32),
        loading=np.array([agent.loadings for agent in agents]),
        structure=np.array([structure for structure, _ in experience], dtype=np.float32),
        phi=np.array([phi for _, phi in experience], dtype=np.float32),
        words=words,
        kind=in_slots(lambda d: d.kind, EMPTY).astype(np.int8),
        sources=np.array([sources_of(agent, world, config.dimensions) for agent in agents], dtype=np.int32),
        born=in_slots(lambda d: d.born, NOTHING).astype(np.int32),
        score=in_slots(lambda d: float(d.score), 0.0).astype(np.float32),
    )


def experience_of(agent: ReferenceAgent, world: World, slots: int) -> tuple[Vector, Vector]:
    """Correlations of its dimensions with what it senses [S, m], and with each other [S, S], in its memory."""
    structure, phi = np.zeros((slots, len(agent.sensor))), np.zeros((slots, slots))
    objects = sorted(set(agent.seen))
    if not objects:
        return structure, phi
    felt = agent.levels(world, objects).astype(np.float64)
    sensed = world.features[np.ix_(np.array(objects), np.array(agent.sensor))].astype(np.float64)
    for slot in agent.held:
        for place in range(len(agent.sensor)):
            structure[slot, place] = correlation(felt[:, slot], sensed[:, place])
        for other in agent.held:
            phi[slot, other] = correlation(felt[:, slot], felt[:, other])
    return structure, phi


def correlation(a: Vector, b: Vector) -> float:
    """Of two columns; 0 where one does not vary."""
    if min(a.std(), b.std()) <= 1e-5:
        return 0.0
    return float(((a - a.mean()) * (b - b.mean())).mean() / (a.std() * b.std()))


def sources_of(agent: ReferenceAgent, world: World, slots: int) -> list[list[int]]:
    """The exemplar of a raw dimension; of an abstract one the remembered objects that stand farthest out on it."""
    found = [[NOTHING] * N_SOURCES for _ in range(slots)]
    objects = sorted(set(agent.seen))
    stands = np.abs(agent.levels(world, objects)) if objects else np.zeros((0, slots))
    for slot in agent.held:
        named = [agent.dimension(slot).exemplar]
        if agent.dimension(slot).kind == ABSTRACT:
            farthest = sorted(range(len(objects)), key=lambda i, slot=slot: -stands[i, slot])
            named = [objects[i] for i in farthest[:N_SOURCES]]
        found[slot][: len(named)] = named
    return found
