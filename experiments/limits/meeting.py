"""Meeting and perceiving in their exact limits: who meets whom, about what, and what is remembered of it.

All of it is fair by construction, and nothing but chance may make one agent, object or place differ from another.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from agents.config import SocietyConfig
from agents.meeting import Meeting, edges_of, matching, meet, meet_one
from agents.perception import perceive
from agents.population import NOTHING, found
from agents.society import Society
from agents.world import planted
from experiments.limits.chance import about, chi_square, even, share
from experiments.limits.rows import Law, Row, judged, law
from experiments.pieces import Figures, Found, Measure

PAIRS = "meeting: everybody with everybody"
GRAPH = "meeting: along a graph"
SCENES = "meeting: scenes"
MEMORY = "perceiving: the reservoir"

MATCHED = "a uniformly random perfect matching: 1 / (N-1)"
UNIFORM = "a uniformly random subset"
GREEDY = "maximal matching"
PARKING = "Flory 1939: 1 - e^-2; its variance is of Page 1959"
VITTER = "Vitter 1985, algorithm R: R / n"

N, ODD = 8, 7
"""Agents who meet; of an odd number one sits out, as if it met nobody of that name."""
SIZES = (2, 4, 8, 16, 32)
ROUNDS = 2000
OBJECTS, CANDIDATES = 12, 4
RING = 20_000
PATHS = 2000
"""Matchings along a path of four, whose middle edge is taken if it comes first, and else both others."""
NETWORKS = {
    "small world": nx.connected_watts_strogatz_graph(60, 4, 0.3, seed=1),
    "scale free": nx.barabasi_albert_graph(60, 2, seed=1),
    "star": nx.star_graph(59),
}
CAPACITY, SEEN, MINDS = 8, 40, 4000
"""Objects that a memory holds, objects seen, and agents who see them."""


def measures(*, quick: bool) -> dict[str, Measure]:
    """What has to be measured; ``quick`` looks at fewer meetings along graphs."""
    return {SCENES: scenes, GRAPH: functools.partial(along, rounds=50 if quick else 200), PAIRS: pairs, MEMORY: memory}


def rows(found: Mapping[str, Found]) -> Iterator[Row | Law]:
    """Every row and law of meeting and perceiving."""
    yield from pair_rows(found[PAIRS])
    yield from graph_rows(found[GRAPH])
    yield from scene_rows(found[SCENES])
    yield from memory_rows(found[MEMORY])


# -- measuring --------------------------------------------------------------------------------------------------------


def meetings(n: int, rounds: int, rng: np.random.Generator) -> Meeting:
    """So many rounds, each of everybody with somebody; the fields are [rounds, ...]."""
    every = [meet(n, np.arange(OBJECTS, dtype=np.int32), CANDIDATES, rng) for _ in range(rounds)]
    columns = {
        field.name: np.stack([getattr(one, field.name) for one in every]) for field in dataclasses.fields(Meeting)
    }
    return Meeting(**columns)


def pairs(seed: int) -> Figures:
    """Who meets whom, who speaks, and who meets twice."""
    rng = np.random.default_rng(seed)
    figures: Figures = {}
    for name, n in (("even", N), ("odd", ODD)):
        together = partners(meetings(n, ROUNDS, rng), n)
        figures[f"{name}: pairs"] = pair_statistic(together)
        figures[f"{name}: misfits"] = misfits(together)
    spoke = np.bincount(meetings(N, ROUNDS, rng).speaker.ravel(), minlength=N)
    # Half of them speak: a count varies by ROUNDS / 4, and any two that much less because only half can.
    figures["speak"] = chi_square(spoke, ROUNDS / 2, stretch=N / (N - 1) / 2)
    for n in SIZES:
        figures[f"first two of {n}"] = float(partners(meetings(n, ROUNDS // 4, rng), n)[:, 0, 1].mean())
    # One after the other (sequential activation): anybody else, with the same chance.
    met = [turned_to(2, rng) for _ in range(ROUNDS)]
    figures["one: partners"] = chi_square(np.delete(np.bincount(met, minlength=N), 2), ROUNDS / (N - 1))
    figures["one: itself"] = float(met.count(2))
    return figures


def partners(rounds: Meeting, n: int) -> NDArray[np.intp]:
    """How often everybody is with everybody in each round, [rounds, N, N]; N is n, or n + 1 if that is odd.

    Whoever sits out is with the last, who is nobody.
    """
    number, even_n = np.arange(len(rounds.speaker))[:, None], n + n % 2
    together = np.zeros((len(number), even_n, even_n), dtype=np.intp)
    np.add.at(together, (number, rounds.speaker, rounds.hearer), 1)
    np.add.at(together, (number, rounds.hearer, rounds.speaker), 1)
    if even_n > n:
        alone = together.sum(axis=2) == 0
        together[:, -1] += alone & (np.arange(even_n) < n)
        together[:, :, -1] = together[:, -1]
    return together


def misfits(together: NDArray[np.intp]) -> float:
    """In how many rounds not everybody is with exactly one other."""
    itself = np.einsum("rnn->rn", together).any(axis=1)
    return float((itself | (together.sum(axis=2) != 1).any(axis=1)).sum())


def pair_statistic(together: NDArray[np.intp]) -> float:
    """Chi-square of how often each pair met, with N (N-3) / 2 degrees of freedom.

    In a perfect matching each agent has one partner, so that the counts of its pairs add up to the rounds. What is left
    to vary are the other N (N-3) / 2 directions of the N (N-1) / 2 counts, and by symmetry all of them vary alike.
    """
    rounds, n, _ = together.shape
    count = together.sum(axis=0)[np.triu_indices(n, 1)]
    return chi_square(count, rounds / (n - 1), stretch=(n - 2) / (n - 3))


def turned_to(row: int, rng: np.random.Generator, edges: NDArray[np.intp] | None = None) -> int:
    """Whom an agent meets when it is its turn."""
    meeting = meet_one(row, N, np.arange(OBJECTS, dtype=np.int32), CANDIDATES, rng, edges)
    assert meeting is not None
    return int(meeting.hearer[0])


def along(seed: int, *, rounds: int) -> Figures:
    """Whom a matching along a graph brings together, and whom it leaves alone."""
    rng = np.random.default_rng(seed)
    figures: Figures = {"rounds": float(rounds)}
    for name, graph in NETWORKS.items():
        edges, strangers, left, twice = edges_of(graph, len(graph)), 0, 0, 0
        for _ in range(rounds):
            speaker, hearer = matching(edges, len(graph), rng)
            busy = np.concatenate([speaker, hearer])
            strangers += sum(not graph.has_edge(a, b) for a, b in zip(speaker.tolist(), hearer.tolist(), strict=True))
            left += int((~np.isin(edges, busy)).all(axis=1).sum())
            twice += len(busy) - len(np.unique(busy))
        figures |= {f"{name}: strangers": strangers, f"{name}: left": left, f"{name}: twice": twice}
    path = np.array([[0, 1], [1, 2], [2, 3]])
    middle, spoke = 0, np.zeros(4)
    for _ in range(PATHS):
        speaker, hearer = matching(path, 4, rng)
        middle += len(speaker) == 1
        spoke[speaker] += 1
    figures["middle"] = middle / PATHS
    figures["outer speak"] = spoke[0] / (PATHS - middle)
    ring = edges_of(nx.cycle_graph(RING), RING)
    figures["ring"] = float(np.mean([2 * len(matching(ring, RING, rng)[0]) / RING for _ in range(rounds // 10)]))
    met = [turned_to(0, rng, np.array([[0, 3], [5, 0], [0, 6], [1, 2]])) for _ in range(ROUNDS)]
    counts = np.bincount(met, minlength=N)
    figures["neighbours"] = chi_square(counts[[3, 5, 6]], ROUNDS / 3)
    figures["no neighbours"] = float(ROUNDS - counts[[3, 5, 6]].sum())
    return figures


def scenes(seed: int) -> Figures:
    """What is in scenes, what is meant, and whether a living society ever meets what was held out."""
    rng = np.random.default_rng(seed)
    rounds = meetings(N, ROUNDS, rng)
    scene, topic = rounds.scene.reshape(-1, CANDIDATES), rounds.topic.ravel()
    shown, p = np.bincount(scene.ravel(), minlength=OBJECTS), CANDIDATES / OBJECTS
    meant = np.bincount(scene[np.arange(len(scene)), topic], minlength=OBJECTS)
    figures = {
        "repeats": float((np.diff(np.sort(scene, axis=1), axis=1) == 0).sum()),
        # CANDIDATES of OBJECTS without replacement.
        "objects": chi_square(shown, len(scene) * p, stretch=(1 - p) * OBJECTS / (OBJECTS - 1)),
        "places": chi_square(np.bincount(topic, minlength=CANDIDATES), len(topic) / CANDIDATES),
        "topics": chi_square(meant, len(topic) / OBJECTS),
    }
    world = planted(seed=seed, objects=200, features=12, factors=3, probe=20)
    life = SocietyConfig(agents=20, sensors=8, memory=200, selection_interval=5, mutation=0.3, merge_interval=15)
    society, strange = Society(world, life, seed=seed), 0
    for _ in range(30):
        society.step()
        population = society.population
        known = np.concatenate([population.body, population.seen.ravel(), population.exemplar.ravel()])
        strange += int(np.isin(known[known != NOTHING], world.held_out).sum())
    return figures | {"held out": float(strange), "known": len(np.unique(known[known != NOTHING])) / len(world.train)}


def memory(seed: int) -> Figures:
    """Which of the objects that were seen are remembered: by their place in life, and how many of all."""
    rng = np.random.default_rng(seed)
    life = SocietyConfig(agents=MINDS, sensors=2, dimensions=1, exemplars=0, vocabulary=1, memory=CAPACITY, childhood=0)
    world = planted(seed=0, objects=80, features=2, factors=1, probe=4)
    population, everybody = found(world, life, rng), np.arange(MINDS)
    figures: Figures = {}
    for start in range(0, SEEN, CANDIDATES):
        scene = np.arange(start, start + CANDIDATES, dtype=np.int32)
        perceive(population, everybody, np.tile(scene, (MINDS, 1)), rng)
        kept = np.bincount(population.seen[population.seen != NOTHING], minlength=SEEN)
        figures[f"first, {start + CANDIDATES} seen"] = kept[0] / MINDS
    p = CAPACITY / SEEN
    figures["objects"] = chi_square(kept, MINDS * p, stretch=(1 - p) * SEEN / (SEEN - 1))
    figures["twice"] = float((np.diff(np.sort(population.seen, axis=1), axis=1) == 0).sum())
    figures["count"] = float(np.abs(population.n_seen - SEEN).max())
    return figures


# -- judging ----------------------------------------------------------------------------------------------------------


def never(found: Found, key: str, **given: Any) -> Row:
    """The row of what must not happen a single time."""
    return judged(found[key], relation="exactly", expected=0.0, **given)


def pair_rows(found: Found) -> Iterator[Row | Law]:
    """What `pairs` gave."""
    given = {"group": PAIRS, "source": MATCHED}
    yield even(
        found["even: pairs"], df=N * (N - 3) // 2, name=f"{N} agents: meetings of each pair, chi-square", **given
    )
    odd = f"{ODD} agents: meetings of each pair and times out, chi-square"
    yield even(found["odd: pairs"], df=(ODD + 1) * (ODD - 2) // 2, name=odd, **given)
    yield even(found["speak"], df=N - 1, name=f"{N} agents: turns to speak, chi-square", group=PAIRS, source="1/2")
    both = {"misfits": found["even: misfits"] + found["odd: misfits"]}
    yield never(both, "misfits", name="rounds in which anybody has no partner or two", **given)
    one = {"group": PAIRS, "source": "1 / (N-1)"}
    yield even(found["one: partners"], df=N - 2, name="one after the other: partners, chi-square", **one)
    yield never(found, "one: itself", name="one after the other: meetings with oneself", **one)
    yield law(
        [found[f"first two of {n}"] for n in SIZES],
        at=SIZES,
        name="How often two given agents meet",
        x="agents N",
        y="share of rounds",
        expected=tuple(1 / (n - 1) for n in SIZES),
        logarithmic=True,
        **given,
    )


def graph_rows(found: Found) -> Iterator[Row]:
    """What `along` gave."""
    rounds = round(found["rounds"][0])
    wrongs = {
        "strangers": "pairs without an edge",
        "left": "edges left with both ends free",
        "twice": "agents in two pairs",
    }
    for wrong, name in wrongs.items():
        total = {wrong: np.sum([found[f"{graph}: {wrong}"] for graph in NETWORKS], axis=0)}
        yield never(total, wrong, group=GRAPH, name=f"{', '.join(NETWORKS)}: {name}", source=GREEDY)
    yield share(
        found["middle"],
        expected=1 / 3,
        of=PATHS,
        group=GRAPH,
        name="a path of four: only the middle two meet",
        source="edges in random order: 1/3",
    )
    yield share(
        found["outer speak"],
        expected=0.5,
        of=PATHS // 2,  # they meet in two thirds of them; so many it is for sure
        group=GRAPH,
        name="a path of four: the first speaks when it meets the second",
        source="1/2",
    )
    yield about(
        found["ring"],
        expected=1 - np.exp(-2),
        variance=4 * np.exp(-4) / RING / (rounds // 10),
        group=GRAPH,
        name=f"a ring of {RING:,}: share of agents who meet somebody",
        source=PARKING,
    )
    one = {"group": GRAPH, "source": "1 / number of neighbours"}
    yield even(found["neighbours"], df=2, name="one after the other: neighbours met, chi-square", **one)
    yield never(found, "no neighbours", name="one after the other: meetings with others than neighbours", **one)


def scene_rows(found: Found) -> Iterator[Row]:
    """What `scenes` gave."""
    given = {"group": SCENES, "source": UNIFORM}
    yield never(found, "repeats", name="objects that are in a scene twice", **given)
    yield even(found["objects"], df=OBJECTS - 1, name="scenes that each object is in, chi-square", **given)
    yield even(found["places"], df=CANDIDATES - 1, name="places of the topic, chi-square", group=SCENES, source="1/C")
    yield even(found["topics"], df=OBJECTS - 1, name="times that each object is meant, chi-square", **given)
    yield judged(
        found["held out"],
        group=SCENES,
        name="a living society: held-out objects met, remembered, been or compared with",
        source="a quarter is held out",
        relation="exactly",
        expected=0.0,
        note=f"it knows {found['known'].mean():.0%} of the others",
    )


def memory_rows(found: Found) -> Iterator[Row | Law]:
    """What `memory` gave."""
    given = {"group": MEMORY, "source": VITTER}
    name = f"{SEEN} objects seen, {CAPACITY} remembered"
    yield even(found["objects"], df=SEEN - 1, name=f"{name}: times that each is, chi-square", **given)
    yield share(
        found[f"first, {SEEN} seen"], expected=CAPACITY / SEEN, of=MINDS, name=f"{name}: the first of them is", **given
    )
    yield never(found, "twice", name=f"{name}: remembered twice", **given)
    yield never(found, "count", name=f"{name}: miscounted", **given)
    at = range(CANDIDATES, SEEN + 1, CANDIDATES)
    yield law(
        [found[f"first, {seen} seen"] for seen in at],
        at=at,
        name="How long the first object is remembered",
        x="objects seen",
        y="share of agents who remember the first",
        expected=tuple(min(1.0, CAPACITY / seen) for seen in at),
        **given,
    )
