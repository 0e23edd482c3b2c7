"""Phase 1, meet: a random matching of agents, and for each pair a scene with a topic."""

from __future__ import annotations

import dataclasses

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from agents.population import MANY, Population


@dataclasses.dataclass(frozen=True, kw_only=True)
class Meeting:
    """B pairs: rows ``speaker``, ``hearer`` int [B], objects ``scene`` int32 [B, C], ``topic`` int [B]."""

    speaker: NDArray[np.intp]
    hearer: NDArray[np.intp]
    scene: NDArray[np.int32]
    topic: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.speaker)

    @property
    def participants(self) -> NDArray[np.intp]:
        """int [2B]: speakers, then hearers. Nobody is in a meeting twice, so rows can be written without conflict."""
        return np.concatenate([self.speaker, self.hearer])


@dataclasses.dataclass(frozen=True)
class Strangers:
    """Partners who are not rows of the population: the object ``body`` int32 [n] that each is, and how well it is
    usually understood, ``success`` float32 [n].
    """

    body: NDArray[np.int32]
    success: NDArray[np.float32]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experience:
    """What a meeting was to each of n participants, in columns; phases add to it as it goes on.

    Attributes
    ----------
    rows, slots, partners : int [n], the agent, the dimension it used, the row it dealt with
    topic : int32 [n], the object that was meant
    outcomes : by source of feedback ("talk", "comparison", "prediction"), float64 [n] in [0, 1]
    bodies : float32 [n, 2], how high the own and the partner's body stand on that dimension; None before comparison
    standings : float64 [n, 2], the share of those the agent remembers whom they exceed there, if that is known
    felt : the outcomes after attribution: what superiority is fed; None before
    strangers : who the partners are, if they are not of this population (and ``partners`` are -1)
    """

    rows: NDArray[np.intp]
    slots: NDArray[np.intp]
    partners: NDArray[np.intp]
    topic: NDArray[np.int32]
    outcomes: dict[str, NDArray[np.float64]]
    bodies: NDArray[np.float32] | None = None
    standings: NDArray[np.float64] | None = None
    felt: dict[str, NDArray[np.float64]] | None = None
    strangers: Strangers | None = None

    @classmethod
    def of(
        cls,
        meeting: Meeting,
        success: NDArray[np.bool_],
        speaker_slot: NDArray[np.intp],
        hearer_slot: NDArray[np.intp],
    ) -> Experience:
        """The experience of those who used a dimension (a slot of -1 is none)."""
        slots = np.concatenate([speaker_slot, hearer_slot])
        used = np.flatnonzero(slots >= 0)
        if len(used) >= MANY:
            from agents import kernels

            used = used[kernels.in_order(meeting.participants[used])]
        topic = meeting.scene[np.arange(len(meeting)), meeting.topic]
        return cls(
            rows=meeting.participants[used],
            slots=slots[used],
            partners=np.concatenate([meeting.hearer, meeting.speaker])[used],
            topic=np.concatenate([topic, topic])[used],
            outcomes={"talk": np.concatenate([success, success])[used].astype(np.float64)},
        )

    def part(self, places: slice) -> Experience:
        """The experience of some of the participants."""
        bodies, standings, strangers = self.bodies, self.standings, self.strangers
        return Experience(
            rows=self.rows[places],
            slots=self.slots[places],
            partners=self.partners[places],
            topic=self.topic[places],
            outcomes={source: outcome[places] for source, outcome in self.outcomes.items()},
            bodies=None if bodies is None else bodies[places],
            standings=None if standings is None else standings[places],
            felt=None if self.felt is None else {source: felt[places] for source, felt in self.felt.items()},
            strangers=None if strangers is None else Strangers(strangers.body[places], strangers.success[places]),
        )


def partner_bodies(population: Population, experience: Experience) -> NDArray[np.int32]:
    """int32 [n]: the objects that the partners are."""
    return population.body[experience.partners] if experience.strangers is None else experience.strangers.body


def partner_success(population: Population, experience: Experience) -> NDArray[np.float32]:
    """float32 [n]: how well the partners are usually understood."""
    return population.success[experience.partners] if experience.strangers is None else experience.strangers.success


def meet(
    n_agents: int,
    objects: NDArray[np.int32],
    candidates: int,
    rng: np.random.Generator,
    edges: NDArray[np.intp] | None = None,
) -> Meeting:
    """Match agents at random, or along ``edges [E, 2]``, and give each pair a scene of distinct objects."""
    speaker, hearer = random_pairs(n_agents, rng) if edges is None else matching(edges, n_agents, rng)
    if len(speaker) >= MANY:
        from agents import kernels

        # Pairs are alike, so it does not matter who comes first; but whoever goes through them goes through memory.
        order = kernels.in_order(speaker)
        speaker, hearer = speaker[order], hearer[order]
    scene = scenes(objects, len(speaker), candidates, rng)
    topic = rng.integers(candidates, size=len(speaker))
    return Meeting(speaker=speaker, hearer=hearer, scene=scene, topic=topic)


def meet_one(
    row: int,
    n_agents: int,
    objects: NDArray[np.int32],
    candidates: int,
    rng: np.random.Generator,
    edges: NDArray[np.intp] | None = None,
) -> Meeting | None:
    """One agent speaks to a random other, or to a random neighbour; None where there is nobody to meet."""
    if edges is None:
        partner = int(rng.integers(n_agents - 1))
        partner += partner >= row
    else:
        neighbours = np.concatenate([edges[edges[:, 0] == row, 1], edges[edges[:, 1] == row, 0]])
        if len(neighbours) == 0:
            return None
        partner = int(neighbours[rng.integers(len(neighbours))])
    return Meeting(
        speaker=np.array([row]),
        hearer=np.array([partner]),
        scene=scenes(objects, 1, candidates, rng),
        topic=rng.integers(candidates, size=1),
    )


def random_pairs(n_agents: int, rng: np.random.Generator) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """A uniformly random perfect matching; with an odd number one agent sits out."""
    order = rng.permutation(n_agents)
    half = n_agents // 2
    return order[:half], order[half : 2 * half]


def matching(
    edges: NDArray[np.intp], n_agents: int, rng: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The greedy maximal matching over a random order of ``edges [E, 2]``, each edge in a random direction.

    Found without a loop over edges: an edge that comes first at both its ends is in the greedy matching; take all of
    those, drop what they touch, repeat (a few rounds on the graphs that societies live on).
    """
    order = rng.permutation(len(edges))
    turned = rng.random(len(edges)) < 0.5
    rank = np.empty(len(edges), dtype=np.intp)
    rank[order] = np.arange(len(edges))
    alive = np.arange(len(edges))
    taken: list[NDArray[np.intp]] = []
    while len(alive):
        first = np.full(n_agents, len(edges), dtype=np.intp)
        np.minimum.at(first, edges[alive, 0], rank[alive])
        np.minimum.at(first, edges[alive, 1], rank[alive])
        chosen = alive[(first[edges[alive, 0]] == rank[alive]) & (first[edges[alive, 1]] == rank[alive])]
        taken.append(chosen)
        busy = np.zeros(n_agents, dtype=bool)
        busy[edges[chosen].ravel()] = True
        alive = alive[~busy[edges[alive]].any(axis=1)]
    picked = np.concatenate(taken) if taken else np.zeros(0, dtype=np.intp)
    picked = picked[np.argsort(rank[picked])]
    ends = np.where(turned[picked, None], edges[picked, ::-1], edges[picked])
    return ends[:, 0], ends[:, 1]


def scenes(objects: NDArray[np.int32], n_scenes: int, candidates: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """int32 [n_scenes, candidates]: distinct random objects in each scene (Floyd's algorithm, a column at a time)."""
    n = len(objects)
    picks = [rng.integers(top + 1, size=n_scenes) for top in range(n - candidates, n)]
    if n_scenes >= MANY:
        from agents import kernels

        return kernels.scenes(objects, np.stack(picks))
    return objects[distinct_picks(np.stack(picks), n)]


def distinct_picks(picks: NDArray[np.intp], n: int) -> NDArray[np.intp]:
    """int [n_scenes, C]: the first choice among ``n``, or its substitute, for each of ``picks [C, n_scenes]``.

    The k-th is drawn from the first n - C + k + 1; if it is there already, the last of those stands in, which is not.
    """
    candidates, n_scenes = picks.shape
    chosen = np.empty((n_scenes, candidates), dtype=np.intp)
    for place, pick in enumerate(picks):
        repeated = (chosen[:, :place] == pick[:, None]).any(axis=1)
        chosen[:, place] = np.where(repeated, n - candidates + place, pick)
    return chosen


def edges_of(graph: nx.Graph, n_agents: int) -> NDArray[np.intp]:
    """int [E, 2]: the edges of a graph on 0 .. n_agents - 1, without loops.

    Raises
    ------
    ValueError
        If the graph has other nodes, or no edge between two of them.
    """
    if not set(graph.nodes) <= set(range(n_agents)):
        raise ValueError(f"the nodes of the graph must be the rows 0 to {n_agents - 1}")
    edges = np.array([(a, b) for a, b in graph.edges() if a != b], dtype=np.intp).reshape(-1, 2)
    if len(edges) == 0:
        raise ValueError("the graph has no edge along which agents could meet")
    return edges
