"""Questions to a library: whose is it, what is it called, what does it mean, where does it come from?

Every answer is a small frozen dataclass that prints as a sentence. Every question about something that is not there is
a KeyError that suggests the nearest thing that is.
"""

from __future__ import annotations

import dataclasses
import difflib
import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np

from knowledge_graph.history import Event
from knowledge_graph.measures import congruence

if TYPE_CHECKING:
    from knowledge_graph.library import Library

KIND_NAMES = {0: "empty", 1: "raw", 2: "abstract"}

UNDERSTOOD = 0.3
"""|correlation| between dimensions of two agents, as far as the library can tell, from which one translates another."""

RELATED = 0.2
"""|congruence| of loadings from which two concepts are related."""

N_FEATURES = 5


class NotInLibraryError(KeyError):
    """Nothing of this name; the message suggests what is near."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would put quotes around it


@dataclasses.dataclass(frozen=True, kw_only=True)
class Meaning:
    """One dimension of one agent: its slot, kind and words, and the concept that it is a form of.

    ``concept`` is None for a form of none; then ``r`` is 0. ``r`` is negative where it runs against its concept.
    ``sources`` are the objects it comes from.
    """

    agent: int
    slot: int
    kind: str
    words: tuple[str, ...]
    concept: str | None
    name: str | None
    r: float
    superiority: float
    born: int
    sources: tuple[int, ...]

    def __str__(self) -> str:
        called = " or ".join(self.words) or "nothing"
        if self.concept is None:
            what = "a form of no concept"
        else:
            what = f"a form of {self.concept} ({self.name}), r = {self.r:+.2f}"
        return f"agent {self.agent}, dimension {self.slot} ({self.kind}, called {called}): {what}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Translation:
    """What a dimension of one agent is for another.

    ``slot`` is the other's dimension nearest in meaning, None where none comes near. ``r`` is the correlation between
    the two as far as the library can tell, negative where one agent's high is the other's low. ``concept`` is the one
    that both are forms of, None where they are alike in mixtures only. ``words`` are the other's words for it.
    """

    of: Meaning
    to_agent: int
    slot: int | None
    r: float
    concept: str | None
    words: tuple[str, ...]

    def __str__(self) -> str:
        said = " or ".join(self.of.words) or f"dimension {self.of.slot} (without a word)"
        if self.slot is None:
            return f"agent {self.to_agent} has no dimension like agent {self.of.agent}'s {said}"
        called = " or ".join(self.words) or "nothing"
        through = f" (both forms of {self.concept})" if self.concept else ""
        against = ", turned round" if self.r < 0 else ""
        return (
            f"agent {self.of.agent}'s {said} is agent {self.to_agent}'s dimension {self.slot}, called {called}{against}"
            f": r = {self.r:+.2f}{through}"
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Explanation:
    """Where a concept comes from and what it means.

    ``features`` are those that weigh most, with loadings; ``members`` the dimensions merged into it, the closest
    first; ``objects`` those the members come from, most often first, with counts; ``related`` the concepts of most
    similar loadings, with Tucker's congruence; ``events`` all it was part of.
    """

    concept: str
    name: str
    support: float
    since: int
    words: dict[str, int]
    features: tuple[tuple[str, float], ...]
    strongest: tuple[int, ...]
    weakest: tuple[int, ...]
    members: tuple[Meaning, ...]
    objects: dict[int, int]
    related: tuple[tuple[str, float], ...]
    events: tuple[Event, ...]

    def __str__(self) -> str:
        kinds = [member.kind for member in self.members]
        agents = len({member.agent for member in self.members})
        lines = [
            f"{self.concept}, called {self.name}: support {self.support:.2f}, since step {self.since}",
            f"  held by {agents} agents, as {kinds.count('raw')} raw and {kinds.count('abstract')} abstract dimensions"
            if agents
            else "  held by nobody as a dimension of its own, but known to many in mixtures",
        ]
        if self.words:
            lines.append("  they call it " + ", ".join(f"{word} ({n})" for word, n in list(self.words.items())[:5]))
        if self.features:
            lines.append("  goes with " + ", ".join(f"{name} {loading:+.2f}" for name, loading in self.features))
        if self.strongest:
            lines.append(f"  highest objects {_listed(self.strongest)}; lowest {_listed(self.weakest)}")
        if self.objects:
            most = [f"{obj} ({n})" for obj, n in list(self.objects.items())[:5]]
            lines.append(f"  its members come from {len(self.objects)} objects, most often {', '.join(most)}")
        if self.related:
            lines.append("  related: " + ", ".join(f"{name} {alike:+.2f}" for name, alike in self.related[:5]))
        lines += [f"  step {event.step}: {told(event)}" for event in self.events]
        return "\n".join(lines)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """One edge of a path, walked ``forward`` or against its direction."""

    source: str
    relation: str
    target: str
    forward: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Path:
    """A shortest way through the graph; without steps where there is none, or where both ends are one."""

    start: str
    end: str
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        if not self.steps:
            return self.start if self.start == self.end else f"{self.start} and {self.end} do not hang together"
        ways = (
            f" -{step.relation}-> {step.target}" if step.forward else f" <-{step.relation}- {step.target}"
            for step in self.steps
        )
        return self.start + "".join(ways)


def concept_id(library: Library, name: str) -> str:
    """The id of a concept given by id, or by the word that is its name."""
    if name in library.ids:
        return name
    for concept in library.ids:
        if library.spell(library.names[concept]) == name:
            return concept
    for concept, word in library.names.items():
        if name in (concept, library.spell(word)):
            gone = name if name == concept else f"{concept} ({name})"
            raise NotInLibraryError(
                f"concept {gone} is no longer in the library (see its history); {nearest(name, library.ids)}"
            )
    known = [*library.ids, *(library.spell(library.names[concept]) for concept in library.ids)]
    raise NotInLibraryError(f"no concept {name!r}; {nearest(name, known)}")


def row_of(library: Library, agent: int) -> int:
    """The row of an agent in the views merged last."""
    ids = np.zeros(0, dtype=np.int64) if library.views is None else library.views.agent
    if isinstance(agent, np.integer):
        agent = int(agent)
    if isinstance(agent, int) and len(ids):
        found = np.flatnonzero(ids == agent)
        if len(found):
            return int(found[0])
        near = sorted(ids.tolist(), key=lambda one: abs(one - agent))[:3]
        suggested = f"the nearest are {_listed(sorted(near))}" if len(near) > 1 else f"there is only {near[0]}"
    else:
        suggested = nearest(agent, map(str, ids.tolist()))
    raise NotInLibraryError(f"no agent {agent!r} in the views merged last; {suggested}")


def agent(library: Library, agent: int) -> list[Meaning]:
    """The dimensions of an agent, in the order of their slots."""
    row = row_of(library, agent)
    assert library.views is not None
    return [_meaning(library, row, int(slot)) for slot in np.flatnonzero(library.views.held[row])]


def meaning(library: Library, agent_: int, word: str | int) -> list[Meaning]:
    """What an agent means by a word (as text, or by its number): its dimensions of that name, the closest first."""
    # Words are numbered from 0; what a speller would make of other numbers is nobody's word.
    said = library.spell(int(word)) if isinstance(word, int | np.integer) and word >= 0 else str(word)
    own = agent(library, agent_)
    found = [one for one in own if said in one.words]
    if not found:
        known = sorted({word for one in own for word in one.words})
        raise NotInLibraryError(f"agent {agent_} has no word {said!r}; {nearest(said, known)}")
    return sorted(found, key=lambda one: -abs(one.r))


def translate(library: Library, agent_: int, dimension: int | str, other: int) -> Translation:
    """Which dimension of ``other`` says the same as a dimension of ``agent_``, given by its slot or a word for it.

    Two dimensions r, s [K] (their correlations with the concepts) correlate, as far as the library can tell, by
    r' C^-1 s, where C are the concepts' correlations with each other: none after GCCA or covariance, some after
    clustering.
    """
    row = row_of(library, agent_)
    if isinstance(dimension, str):
        of = meaning(library, agent_, dimension)[0]
    else:
        held = [one.slot for one in agent(library, agent_)]
        if dimension not in held:
            raise NotInLibraryError(f"agent {agent_} has no dimension {dimension!r}; it has {_listed(held) or 'none'}")
        of = _meaning(library, row, int(dimension))
    last = library.rounds[-1]
    there = row_of(library, other)
    if there == row:
        # What the library can tell of a dimension that it hardly knows is too little to find it again.
        return Translation(of=of, to_agent=other, slot=of.slot, r=1.0, concept=of.concept, words=of.words)
    r, s = (last.unified.correlation[at].astype(np.float64) for at in ((row, of.slot), there))
    scores = last.unified.scores
    if len(scores):
        r = np.linalg.pinv(scores.T @ scores / len(scores), rcond=1e-5, hermitian=True) @ r
    alike = s @ r
    slot = int(np.abs(alike).argmax())
    if abs(alike[slot]) < UNDERSTOOD or not last.views.held[there, slot]:
        return Translation(of=of, to_agent=other, slot=None, r=0.0, concept=None, words=())
    to = _meaning(library, there, slot)
    return Translation(
        of=of,
        to_agent=other,
        slot=slot,
        r=float(np.clip(alike[slot], -1, 1)),
        concept=to.concept if to.concept == of.concept else None,
        words=to.words,
    )


def explain(library: Library, name: str) -> Explanation:
    """Where a concept comes from and what it means."""
    concept = library.concept(name)
    k = library.ids.index(concept.id)
    rows, slots = np.nonzero(library.membership == k)
    found = [_meaning(library, int(row), int(slot)) for row, slot in zip(rows, slots, strict=True)]
    words: dict[str, int] = {}
    for word, n in concept.words.items():
        words[library.spell(word)] = words.get(library.spell(word), 0) + n
    objects: dict[int, int] = {}
    for member in found:
        for obj in member.sources:
            objects[obj] = objects.get(obj, 0) + 1
    alike = congruence(library.loadings, library.loadings[:, [k]])[:, 0]
    related = [(library.ids[j], float(r)) for j, r in enumerate(alike) if j != k and abs(r) >= RELATED]
    return Explanation(
        concept=concept.id,
        name=library.spell(concept.word),
        support=concept.support,
        since=concept.since,
        words=words,
        features=tuple((library.feature_name(i), float(concept.loadings[i])) for i in concept.heaviest(N_FEATURES)),
        strongest=concept.strongest,
        weakest=concept.weakest,
        members=tuple(sorted(found, key=lambda one: -abs(one.r))),
        objects=dict(sorted(objects.items(), key=lambda item: (-item[1], item[0]))),
        related=tuple(sorted(related, key=lambda one: -abs(one[1]))),
        events=tuple(e for e in library.history if concept.id in (e.concept, *e.parents)),
    )


def path(library: Library, a: str | int, b: str | int) -> Path:
    """A shortest way between two things through the graph, whatever the direction of its edges.

    Of ways equally long those through concepts and words are preferred to those through objects, which say less.

    Things are given as the graph names them (``"c12"``, ``"a:17"``, ``"d:17.3"``, ``"w:kiru"``, ``"o:5"``), or as a
    plain word, or as the number of an agent.
    """
    graph = library.graph()
    start, end = _node(library, graph, a), _node(library, graph, b)
    try:
        way = nx.shortest_path(graph.to_undirected(as_view=True), start, end, weight=_length)
    except nx.NetworkXNoPath:
        way = []
    steps = []
    for source, target in itertools.pairwise(way):
        forward = graph.has_edge(source, target)
        edge = next(iter((graph[source][target] if forward else graph[target][source]).values()))
        steps.append(Step(source=source, relation=edge["type"], target=target, forward=forward))
    return Path(start=start, end=end, steps=tuple(steps))


def told(event: Event) -> str:
    """An event as a sentence."""
    parents = [name for name in event.parents if name != event.concept]
    return {
        "birth": f"{event.concept} is born",
        "split": f"{event.concept} splits off from {_listed(parents)}",
        "return": f"{event.concept} is back",
        "merge": f"{_listed(parents)} merges into {event.concept}",
        "retirement": f"{event.concept} retires",
    }[event.kind]


def meanings(library: Library) -> list[Meaning]:
    """All dimensions that were merged last, agent by agent in the order of the views."""
    if library.views is None:
        return []
    return [_meaning(library, int(row), int(slot)) for row, slot in zip(*np.nonzero(library.views.held), strict=True)]


def _meaning(library: Library, row: int, slot: int) -> Meaning:
    last = library.rounds[-1]
    views, k = last.views, int(last.membership[row, slot])
    concept = last.ids[k] if k >= 0 else None
    return Meaning(
        agent=int(views.agent[row]),
        slot=slot,
        kind=KIND_NAMES[int(views.kind[row, slot])],
        words=tuple(library.spell(int(word)) for word in views.words[row, slot] if word >= 0),
        concept=concept,
        name=None if concept is None else library.spell(library.names[concept]),
        r=float(last.unified.correlation[row, slot, k]) if k >= 0 else 0.0,
        superiority=float(views.score[row, slot]),
        born=int(views.born[row, slot]),
        sources=tuple(int(obj) for obj in views.sources[row, slot] if obj >= 0),
    )


def _node(library: Library, graph: nx.MultiDiGraph, name: str | int) -> str:
    if isinstance(name, int | np.integer):
        row_of(library, name)
        return f"a:{int(name)}"
    for node in (name, f"w:{name}"):
        if node in graph:
            return node
    raise NotInLibraryError(f"nothing in the library is called {name!r}; {nearest(name, graph.nodes)}")


def _length(source: str, target: str, edges: dict[int, dict[str, object]]) -> float:
    return 1.25 if source.startswith("o:") or target.startswith("o:") else 1.0


def nearest(name: object, known: Iterable[str]) -> str:
    """Which of the ``known`` a name is most like, as the end of a sentence."""
    near = difflib.get_close_matches(str(name), list(known), n=3, cutoff=0.0)
    if not near:
        return "there are none yet"
    return f"the nearest are {_listed(near)}" if len(near) > 1 else f"there is only {near[0]}"


def _listed(things: Iterable[object]) -> str:
    return ", ".join(map(str, things))
