"""What the naming game must give: exactly, as a Markov chain, where few can be told apart; else from plain lists.

Nothing here plays a game of the society: the chains are built from the rules (Baronchelli et al. 2006, section 2)
alone, a state at a time, and the lists were kept by another program.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Sequence

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, eye_array
from scipy.sparse.linalg import spsolve

from agents.games.naming import Order

PLAIN = {
    50: (0.6809, 0.4443, 2.8379),
    100: (0.6327, 0.4013, 2.4906),
    200: (0.6013, 0.3717, 2.1435),
    400: (0.5843, 0.3523, 1.8515),
    800: (0.5790, 0.3409, 1.6260),
    1600: (0.5818, 0.3346, 1.4673),
}
"""By number of agents: the game of most words, the most words, and the game of agreement, all over N^1.5. Means of
40,000 runs (20,000, 10,000 and 5,000 for the last three) of a naming game with lists of words on the complete graph,
written apart; their standard errors are at most .2%."""

PLAIN_SPREAD = {
    50: (0.249, 0.107, 0.270),
    100: (0.199, 0.085, 0.229),
    200: (0.162, 0.067, 0.196),
    400: (0.133, 0.052, 0.170),
    800: (0.108, 0.039, 0.149),
    1600: (0.091, 0.029, 0.132),
}
"""By how much of that mean one run differs from another (standard deviation)."""

WORLD_PLAIN = {100: (2.010, 0.054), 200: (1.991, 0.040), 400: (1.962, 0.029), 800: (1.942, 0.021)}
"""By number of agents: the most words in a small world (four neighbours on a ring, and as many new ties as agents) per
agent, and by how much of that one run differs from another. The same lists, 1,000 to 2,000 runs."""

State = tuple[int, ...]
"""Of each word that anyone has, the set of those who have it, as the bits of a number; ascending."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Expected:
    """Mean and standard deviation over runs."""

    mean: float
    spread: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class SmallSociety:
    """What is to be expected of a society that is small enough to be written out.

    Attributes
    ----------
    agreement : games until all have one and the same word
    words : words in total after game 1, 2, ...
    success : chance of success of game 1, 2, ... (its spread is that of a coin)
    """

    agreement: Expected
    words: tuple[Expected, ...]
    success: tuple[Expected, ...]


def small_society(graph: nx.Graph, order: Order, *, games: int) -> SmallSociety:
    """The naming game on a graph of the nodes 0 .. N - 1, as a Markov chain of which ``games`` are followed.

    Four nodes are a matter of milliseconds, five of minutes.
    """
    n = graph.number_of_nodes()
    chance = {
        (one, other) if order == "direct" else (other, one): 1.0 / (n * graph.degree[one])
        for one in graph
        for other in graph.adj[one]
    }
    number: dict[State, int] = {(): 0}
    states: list[State] = [()]
    moves, success = [], []
    for at, state in enumerate(states):  # which grows as states are found
        wins = 0.0
        for (speaker, hearer), drawn in chance.items():
            for follower, share, won in games_from(state, speaker, hearer):
                wins += drawn * share * won
                if follower not in number:
                    number[follower] = len(states)
                    states.append(follower)
                moves.append((at, number[follower], drawn * share))
        success.append(wins)
    step = transitions(moves, len(states))
    total = np.array([sum(word.bit_count() for word in state) for state in states], dtype=np.float64)
    agreed = number[((1 << n) - 1,)]
    before = np.flatnonzero(np.arange(len(states)) != agreed)
    left = (eye_array(len(before)) - step[before][:, before]).tocsc()
    mean = spsolve(left, np.ones(len(before)))
    square = spsolve(left, 2.0 * mean - 1.0)  # E T^2 = 1 + 2 E T' + E T'^2 over the next state's T'
    start = np.zeros(len(states))
    start[0] = 1.0
    words, wins_at = [], []
    for _ in range(games):
        p = float(start @ np.array(success))
        wins_at.append(Expected(mean=p, spread=float(np.sqrt(p * (1.0 - p)))))
        start = step.T @ start
        words.append(moments(start, total))
    return SmallSociety(
        agreement=Expected(mean=float(mean[0]), spread=float(np.sqrt(square[0] - mean[0] ** 2))),
        words=tuple(words),
        success=tuple(wins_at),
    )


def games_from(state: State, speaker: int, hearer: int) -> Iterator[tuple[State, float, bool]]:
    """The states that a game can lead to, how likely each is, and whether the game was a success."""
    two = 1 << speaker | 1 << hearer
    own = [word for word in state if word >> speaker & 1]
    if not own:
        yield tuple(sorted((*state, two))), 1.0, False
    for said in own:
        others = list(state)
        others.remove(said)
        won = bool(said >> hearer & 1)
        if won:
            others = [word & ~two for word in others if word & ~two]
        yield tuple(sorted((*others, said | two))), 1.0 / len(own), won


def transitions(moves: Sequence[tuple[int, int, float]], states: int) -> csr_array:
    """The matrix [states, states] of moves (from, to, chance); those between the same two states add up."""
    source, target, chance = zip(*moves, strict=True)
    return csr_array((chance, (source, target)), shape=(states, states))


def moments(chance: NDArray[np.float64], value: NDArray[np.float64]) -> Expected:
    """Mean and spread of a value over states."""
    mean = float(chance @ value)
    variance = float(chance @ value**2) - mean**2
    return Expected(mean=mean, spread=float(np.sqrt(max(variance, 0.0))))


def first_words(graph: nx.Graph, order: Order) -> Expected:
    """How many words will be coined: by those who have to speak before they have heard anything.

    With who is drawn first at random, a game of i with its neighbour j in which i is drawn first comes up at the rate
    1 / degree of i. What each does first is independent of what others do, but for neighbours whose first game can be
    with each other: then one of them speaks and the other hears.
    """
    drawn = {node: 1.0 / graph.degree[node] for node in graph}
    first = dict.fromkeys(graph, 1.0)
    second: dict[int, float] = {node: sum(drawn[other] for other in graph.adj[node]) for node in graph}
    speaks = first if order == "direct" else second
    p: dict[int, float] = {node: speaks[node] / (first[node] + second[node]) for node in graph}
    variance = float(sum(chance * (1.0 - chance) for chance in p.values()))
    for i, j in graph.edges:
        together = drawn[i] + drawn[j]
        both = 0.0  # at what rate one of them speaks to a third first of all, times the chance that so will the other
        for one, other in ((i, j), (j, i)):
            to_other = drawn[one] if order == "direct" else drawn[other]
            both += (speaks[one] - to_other) * p[other]
        rate = sum(first[node] + second[node] for node in (i, j)) - together
        variance += 2.0 * (both / rate - p[i] * p[j])
    return Expected(mean=sum(p.values()), spread=float(np.sqrt(variance)))


@functools.cache
def holding_out(agents: int, committed: int, at: tuple[int, ...]) -> tuple[Expected, ...]:
    """How many agents have just the word B after ``at`` games (ascending), of all but ``committed`` at the start.

    The chain of the numbers of those who have just A and just B, on the complete graph.
    """
    free = agents - committed
    pairs = [(a, b) for a in range(free + 1) for b in range(free + 1 - a)]
    number = {pair: i for i, pair in enumerate(pairs)}
    moves = []
    for (a, b), i in number.items():
        both, firm = free - a - b, a + committed
        stay = agents * (agents - 1.0)
        for more_a, more_b, ways in (
            (-1, 0, a * b + a * both / 2),  # a hearer of A comes to know B
            (0, -1, firm * b + b * both / 2),  # a hearer of B comes to know A
            (1, 0, firm * both * 1.5),  # one of both agrees with one of A, as hearer, or as speaker if it says A
            (0, 1, b * both * 1.5),
            (2, 0, both * (both - 1) / 2),
            (0, 2, both * (both - 1) / 2),
        ):
            if ways > 0:
                moves.append((i, number[a + more_a, b + more_b], ways / (agents * (agents - 1.0))))
                stay -= ways
        moves.append((i, i, stay / (agents * (agents - 1.0))))
    forward = transitions(moves, len(pairs)).T.tocsr()
    just_b = np.array([b for _, b in pairs], dtype=np.float64)
    state = np.zeros(len(pairs))
    state[number[0, free]] = 1.0
    found, played = [], 0
    for games in at:
        for _ in range(games - played):
            state = forward @ state
        played = games
        found.append(moments(state, just_b))
    return tuple(found)
