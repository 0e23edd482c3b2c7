"""The naming game: how a society without a leader comes to call one thing by one name.

There is no game of its own here. Agents of one dimension in a scene of one object have nothing left to talk about but
its name, and `agents.communication.talk` is then the minimal naming game (Baronchelli, Felici, Loreto, Caglioti &
Steels 2006): the speaker says one of its words at random, or coins one if it has none; if the hearer knows it, both
forget all others, else the hearer takes it over. This module lets societies play it, many side by side in one
population, on the complete graph or on any network.

Games follow one another, but those that have no agent in common can as well be played at once. So stretches of games
are drawn, and each is played in a few calls of `talk`: first the games whose two agents have no earlier one to play,
then the games that those were waiting for, and so on. What comes of every single game is the same.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Literal, TypeAlias

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from agents.communication import talk
from agents.config import SocietyConfig
from agents.errors import InputError
from agents.meeting import Meeting
from agents.population import NOTHING, Population, found
from agents.world import World, planted

Order = Literal["direct", "reverse"]
"""Who is drawn first: "direct" is a random speaker that speaks to a random neighbour, "reverse" a random hearer that
listens to one (Dall'Asta, Baronchelli, Barrat & Loreto 2006). It matters where some have more neighbours."""

Network: TypeAlias = int | nx.Graph
"""Who can talk to whom: a number of agents is the complete graph; the nodes of a graph can have any names."""

FIRST_VOCABULARY = 4
"""Words there is room for at first; more is made when needed, as here nobody forgets a word but by success."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class NamingOutcome:
    """What came of ``runs`` societies of N agents, each by itself; T times at which they were looked at.

    Attributes
    ----------
    agents : N
    at : int64 [T], how many games had been played then
    words : int64 [runs, T], words in total, over all agents
    distinct : int64 [runs, T], different words that anyone had
    success : float64 [runs, T], share of successful games since the look before
    most_words, most_words_at : int64 [runs], the most words there ever were in total, and the first game after which
    coined : int64 [runs], how many words were ever invented
    agreed_at : int64 [runs], the game after which all had one and the same word; -1 where the games did not suffice
    """

    agents: int
    at: NDArray[np.int64]
    words: NDArray[np.int64]
    distinct: NDArray[np.int64]
    success: NDArray[np.float64]
    most_words: NDArray[np.int64]
    most_words_at: NDArray[np.int64]
    coined: NDArray[np.int64]
    agreed_at: NDArray[np.int64]


def play(
    network: Network,
    *,
    runs: int,
    seed: int,
    order: Order = "direct",
    every: int | None = None,
    max_games: int | None = None,
) -> NamingOutcome:
    """Let ``runs`` societies play, each from nobody having a word, until all agree or have played ``max_games``.

    ``every`` is how many games there are from one look to the next; by default N, a unit of time in which everybody
    speaks once on average. Agreement is certain on a connected network, but where it falls into communities it may
    take very long.

    Raises
    ------
    InputError
        If there is nobody to talk to, or if nobody could ever say when to stop: the graph is not connected and
        there is no ``max_games``.
    """
    ties = Ties.of(network, endless=max_games is None)
    n, every = ties.agents, ties.agents if every is None else every
    for name, value in {"runs": runs, "every": every, "max_games": max_games}.items():
        if value is not None and value < 1:
            raise InputError(f"{name} is {value}, but it must be at least 1")

    rng = np.random.default_rng(seed)
    population = societies(n, runs, rng)
    total, coined, most, most_at, agreed_at = np.zeros((5, runs), dtype=np.int64)
    agreed_at -= 1
    distinct, success = np.zeros(runs, dtype=np.int64), np.zeros(runs)
    at, looks = [], []
    games = n_words = 0
    live = np.arange(runs)
    while len(live) and games != max_games:
        stretch = every if max_games is None else min(every, max_games - games)
        speaker, hearer = ties.pairs((len(live), stretch), rng, order)
        here = live[:, None] * n
        played = play_in_order(population, here + speaker, here + hearer, n_words, rng)
        n_words = played.n_words

        after = total[live, None] + played.change.cumsum(axis=1)
        highest = after.argmax(axis=1)
        more = after.max(axis=1) > most[live]
        most[live] = np.maximum(most[live], after.max(axis=1))
        most_at[live[more]] = games + 1 + highest[more]
        total[live] = after[:, -1]
        coined[live] += played.coined.sum(axis=1)
        success[live] = played.success.mean(axis=1)
        words = population.words[here + np.arange(n), 0]
        distinct[live] = distinct_words(words, n_words)
        # As long as they do not agree, what was played last to any effect was not the last of it.
        agreed = (total[live] == n) & (words[:, :, 0] == words[:, :1, 0]).all(axis=1)
        last = stretch - 1 - (played.change != 0)[:, ::-1].argmax(axis=1)
        agreed_at[live[agreed]] = games + 1 + last[agreed]
        games += stretch
        at.append(games)
        looks.append((total.copy(), distinct.copy(), success.copy()))
        success[live[agreed]] = 1.0
        live = live[~agreed]
    return NamingOutcome(
        agents=n,
        at=np.array(at, dtype=np.int64),
        words=np.stack([look[0] for look in looks], axis=1),
        distinct=np.stack([look[1] for look in looks], axis=1),
        success=np.stack([look[2] for look in looks], axis=1),
        most_words=most,
        most_words_at=most_at,
        coined=coined,
        agreed_at=agreed_at,
    )


# -- who talks to whom ------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ties:
    """Neighbours: those of agent i are ``neighbour[start[i] : start[i + 1]]``; all others where these are None."""

    agents: int
    start: NDArray[np.intp] | None = None
    neighbour: NDArray[np.intp] | None = None

    @classmethod
    def of(cls, network: Network, *, endless: bool) -> Ties:
        """The ties of a network; an ``endless`` one is played on until all agree, so it must be connected.

        Raises
        ------
        InputError
            If there are fewer than two agents, one of them has nobody to talk to, or an endless graph is in pieces.
        """
        if isinstance(network, int | np.integer):
            if network < 2:
                raise InputError(f"the society has {network} agents, but it takes at least 2 to talk")
            return cls(agents=int(network))
        if network.is_directed():
            raise InputError("the graph is directed, but who can talk can listen; give graph.to_undirected()")
        if network.number_of_nodes() < 2:
            raise InputError(f"the graph has {network.number_of_nodes()} nodes, but it takes at least 2 to talk")
        row = {name: i for i, name in enumerate(network.nodes)}
        around = [sorted({row[other] for other in network.adj[name]} - {i}) for name, i in row.items()]
        for name, others in zip(row, around, strict=True):
            if not others:
                raise InputError(f"node {name!r} of the graph has no neighbour to talk to; remove it or tie it to one")
        if endless and not nx.is_connected(network):
            pieces = nx.number_connected_components(network)
            raise InputError(f"the graph is in {pieces} pieces, which cannot ever agree; connect it, or give max_games")
        return cls(
            agents=len(row),
            start=np.cumsum([0, *map(len, around)]),
            neighbour=np.array([other for others in around for other in others], dtype=np.intp),
        )

    def pairs(
        self, shape: tuple[int, ...], rng: np.random.Generator, order: Order = "direct"
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Random speakers and hearers of the given shape, drawn in that ``order``.

        Raises
        ------
        InputError
            If there is no such order.
        """
        if order not in ("direct", "reverse"):
            raise InputError(f"order is {order!r}, but it must be one of direct, reverse")
        first = rng.integers(self.agents, size=shape)
        if self.start is None or self.neighbour is None:
            second = rng.integers(self.agents - 1, size=shape)
            second += second >= first
        else:
            second = self.neighbour[self.start[first] + rng.integers(np.diff(self.start)[first])]
        return (first, second) if order == "direct" else (second, first)


# -- playing ----------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, kw_only=True)
class Played:
    """What came of T games in each of R societies, all [R, T], and how many words there are afterwards.

    ``success`` and ``coined`` say whether a word was understood, whether it was a new one; ``change`` by how many
    words the two have more in total than before.
    """

    success: NDArray[np.bool_]
    coined: NDArray[np.bool_]
    change: NDArray[np.int64]
    n_words: int


def play_in_order(
    population: Population,
    speaker: NDArray[np.intp],
    hearer: NDArray[np.intp],
    n_words: int,
    rng: np.random.Generator,
    committed: NDArray[np.bool_] | None = None,
) -> Played:
    """Play the games of rows ``speaker, hearer [R, T]`` as if each society (a row) played its own one by one.

    No two societies may have an agent in common. Agents who are ``committed`` (bool, one for each row of the
    population) talk like all others, but have the same words afterwards as before.
    """
    said_by, heard_by = speaker.ravel(), hearer.ravel()
    success = np.zeros(speaker.size, dtype=bool)
    coined = np.zeros(speaker.size, dtype=bool)
    change = np.zeros(speaker.size, dtype=np.int64)
    life = naming_config(len(population))
    waiting = np.arange(speaker.size)
    while len(waiting):
        ahead = np.full(len(population), speaker.size, dtype=np.intp)
        np.minimum.at(ahead, said_by[waiting], waiting)
        np.minimum.at(ahead, heard_by[waiting], waiting)
        ready = (ahead[said_by[waiting]] == waiting) & (ahead[heard_by[waiting]] == waiting)
        now, waiting = waiting[ready], waiting[~ready]

        pair = np.stack([said_by[now], heard_by[now]])
        make_room(population, pair)
        before = population.words[pair, 0]
        meeting = Meeting(
            speaker=pair[0],
            hearer=pair[1],
            scene=np.tile(_world().train[:1], (len(now), 1)),
            topic=np.zeros(len(now), dtype=np.intp),
        )
        outcome = talk(population, _world(), meeting, life, n_words, rng)
        if committed is not None:
            population.words[pair[committed[pair]], 0] = before[committed[pair]]
        success[now] = outcome.success
        coined[now] = outcome.word >= n_words
        change[now] = (population.words[pair, 0] >= 0).sum(axis=(0, 2)) - (before >= 0).sum(axis=(0, 2))
        n_words = outcome.n_words
    return Played(
        success=success.reshape(speaker.shape),
        coined=coined.reshape(speaker.shape),
        change=change.reshape(speaker.shape),
        n_words=n_words,
    )


def naming_config(agents: int) -> SocietyConfig:
    """The life in which talk is the naming game: one dimension each, one object, and nothing to point at."""
    return SocietyConfig(
        agents=agents,
        dimensions=1,
        sensors=1,
        memory=2,
        childhood=0,
        exemplars=1,
        vocabulary=FIRST_VOCABULARY,
        candidates=1,
        common_ground=0,
        audience=False,
    )


def societies(agents: int, runs: int, rng: np.random.Generator) -> Population:
    """A population of ``runs`` societies, one after the other in its rows, in which nobody has a word."""
    return found(_world(), naming_config(agents * runs), rng)


def make_room(population: Population, rows: NDArray[np.intp]) -> None:
    """Widen the inventories of all, if one of ``rows`` has no room for another word."""
    if (population.words[rows, 0, -1] >= 0).any():
        more = np.full_like(population.words, NOTHING)
        population.words = np.concatenate([population.words, more], axis=2)


def distinct_words(words: NDArray[np.int32], n_words: int) -> NDArray[np.int64]:
    """How many different words [R] there are in ``words [R, N, W]``; no two of the R have any in common."""
    society = np.full(n_words, NOTHING)
    held = words >= 0
    society[words[held]] = np.nonzero(held)[0]
    return np.bincount(society[society >= 0], minlength=len(words))


@functools.cache
def _world() -> World:
    """A world, as an agent must live in one; what is in it makes no difference to its name."""
    return planted(seed=0, objects=8, features=2, factors=1, probe=2)
