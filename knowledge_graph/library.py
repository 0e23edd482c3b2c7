"""The library: one map out of many views, with names, members and an append-only history.

`Library.merge` takes views in and makes concepts of them; a concept keeps its id from merge to merge as long as it
stays recognisable. `Library.graph` is the map as a networkx MultiDiGraph.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from knowledge_graph.measures import congruence
from knowledge_graph.unify import Unified, Views, correlations, gcca, loadings_of, metric_of

RECOGNISED = 0.5
"""|correlation| over the probe from which a concept of this merge is the one of an earlier merge."""

MEMBER = 0.5
"""|correlation| over the probe from which a dimension counts as a form of a concept."""

RELATED = 0.2
"""|congruence| of loadings from which two concepts are drawn as related."""

N_EXEMPLARS = 5

KIND_NAMES = {1: "raw", 2: "abstract"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Concept:
    """One shared dimension, as of the last merge.

    ``loadings [D]`` describe it, ``weights [D]`` score an object on it; ``support`` is the share of agents who know it
    times how reliably they do; ``members`` counts the dimensions merged into it; ``word`` is its name; ``words`` are
    those its members came with, most used first, with counts (the name need not be among them); ``strongest`` and
    ``weakest`` are the probe objects at its two ends.
    """

    id: str
    word: int
    loadings: NDArray[np.float64]
    weights: NDArray[np.float64]
    scores: NDArray[np.float64]
    support: float
    members: int
    words: dict[int, int]
    strongest: tuple[int, ...]
    weakest: tuple[int, ...]
    since: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened to a concept: its birth or its retirement, at a step."""

    step: int
    kind: str
    concept: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Merge:
    """What a merge tells the agents: for each of their dimensions a concept (or -1), its name, and the direction.

    ``concept`` int32 [N, S], number of the concept in this merge; ``sign`` float32 [N, S], -1 where a dimension runs
    against its concept; ``word`` int32 [K]; ``n_words`` how many words exist afterwards.
    """

    concept: NDArray[np.int32]
    sign: NDArray[np.float32]
    word: NDArray[np.int32]
    n_words: int


class Library:
    """What the views of a society add up to.

    Parameters
    ----------
    probe : int [P], the objects that everyone can point at
    spell : how a word's number is written; by default "w17"
    """

    def __init__(self, *, probe: NDArray[np.integer], spell: Callable[[int], str] | None = None) -> None:
        self.probe = np.asarray(probe)
        self.spell = spell or _plain
        self.history: list[Event] = []
        self.rounds = 0
        self.step = -1
        self.ids: list[str] = []
        self.unified: Unified | None = None
        self.views: Views | None = None
        self.membership: NDArray[np.int32] = np.zeros((0, 0), dtype=np.int32)
        self.loadings: NDArray[np.float64] = np.zeros((0, 0))
        self._names: dict[str, int] = {}
        self._since: dict[str, int] = {}

    def merge(self, views: Views, features: NDArray[np.floating], *, step: int, n_words: int) -> Merge:
        """Take views in, and tell what became of them.

        Parameters
        ----------
        views : levels on the probe, in the order of ``probe``
        features : [P, D], the probe objects themselves: what anyone may look at
        step : when this is
        n_words : how many words exist; names that the library has to coin are numbered from here
        """
        unified = gcca(views, features)
        ids, order, flip = self._recognise(unified, step)
        unified = _arranged(unified, order, flip)
        membership = members(unified.correlation)
        n_words = self._name(ids, word_counts(views.words, membership, len(ids)), n_words)
        self.ids, self.unified, self.views, self.membership = ids, unified, views, membership
        self.loadings = loadings_of(features, unified.weights)
        self.step, self.rounds = step, self.rounds + 1
        return self._answer(unified.correlation, n_words)

    def consult(self, views: Views, *, n_words: int) -> Merge:
        """Tell agents whose views were not merged what their dimensions are; changes nothing.

        Raises
        ------
        ValueError
            If nothing has been merged yet.
        """
        if self.unified is None:
            raise ValueError("the library has not merged any views yet, so it has nothing to tell")
        return self._answer(correlations(views, self.unified.scores), n_words)

    def concepts(self) -> list[Concept]:
        """All present concepts, best supported first."""
        if self.unified is None or self.views is None:
            return []
        size = np.bincount(self.membership[self.membership >= 0], minlength=len(self.ids))
        counts = word_counts(self.views.words, self.membership, len(self.ids))
        found = []
        for k, name in enumerate(self.ids):
            ranked = self.probe[np.argsort(self.unified.scores[:, k], kind="stable")].tolist()
            found.append(
                Concept(
                    id=name,
                    word=self._names[name],
                    loadings=self.loadings[:, k],
                    weights=self.unified.weights[:, k],
                    scores=self.unified.scores[:, k],
                    support=float(self.unified.support[k]),
                    members=int(size[k]),
                    words=dict(sorted(counts[k].items(), key=lambda item: (-item[1], item[0]))),
                    strongest=tuple(ranked[: -N_EXEMPLARS - 1 : -1]),
                    weakest=tuple(ranked[:N_EXEMPLARS]),
                    since=self._since[name],
                )
            )
        return sorted(found, key=lambda c: (-c.support, c.id))

    def concept(self, name: str) -> Concept:
        """The concept with this id; KeyError names those there are."""
        if name not in self.ids:
            raise KeyError(f"no concept {name!r}; there are {', '.join(self.ids) or 'none yet'}")
        return next(concept for concept in self.concepts() if concept.id == name)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def weights(self) -> NDArray[np.float64]:
        """float64 [D, K]: ``features @ weights`` are concept scores, as the agents would give them."""
        return np.zeros((0, 0)) if self.unified is None else self.unified.weights

    def transform(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """Concept scores [M, K] of any objects ``[M, D]``, asked of the agents' own weights."""
        return features.astype(np.float64) @ self.weights

    def coordinates(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """Concept scores [M, K] in the metric of the world: near means alike as far as the library can tell."""
        return self.transform(features) @ metric_of(self.loadings)

    def graph(self) -> nx.MultiDiGraph:
        """The map: concepts, agents, their dimensions, words and exemplar objects, and how they hang together.

        Nodes carry ``type``; edges carry ``type``: dimension -merged_into-> concept (sign, r, objects, round),
        dimension -held_by-> agent, concept -named-> word (count), concept -exemplified_by-> object (end),
        dimension -derived_from-> object (raw dimensions), concept -related-> concept (congruence).
        """
        graph = nx.MultiDiGraph(step=self.step, rounds=self.rounds)
        for concept in self.concepts():
            self._draw_concept(graph, concept)
        self._draw_dimensions(graph)
        self._draw_relations(graph)
        return graph

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Everything as plain arrays, for a checkpoint; `restored` is the way back."""
        arrays: dict[str, NDArray[np.generic]] = {
            "counts": np.array([self.rounds, self.step], dtype=np.int64),
            "ids": np.array(self.ids, dtype=str),
            "loadings": self.loadings,
            "membership": self.membership,
            "named": np.array(list(self._names), dtype=str),
            "names": np.array(list(self._names.values()), dtype=np.int64),
            "since": np.array([self._since[name] for name in self._names], dtype=np.int64),
            "history": np.array([[e.step, e.kind, e.concept] for e in self.history], dtype=str),
        }
        for prefix, part in (("unified", self.unified), ("views", self.views)):
            for field in dataclasses.fields(part) if part is not None else ():
                arrays[f"{prefix}/{field.name}"] = np.asarray(getattr(part, field.name))
        return arrays

    @classmethod
    def restored(
        cls,
        arrays: Mapping[str, NDArray[Any]],
        *,
        probe: NDArray[np.integer],
        spell: Callable[[int], str] | None = None,
    ) -> Library:
        """A library from what `state` gave."""
        library = cls(probe=probe, spell=spell)
        library.rounds, library.step = (int(n) for n in arrays["counts"])
        library.ids = arrays["ids"].tolist()
        library.loadings, library.membership = arrays["loadings"], arrays["membership"]
        library._names = dict(zip(arrays["named"].tolist(), arrays["names"].tolist(), strict=True))
        library._since = dict(zip(arrays["named"].tolist(), arrays["since"].tolist(), strict=True))
        library.history = [Event(step=int(row[0]), kind=row[1], concept=row[2]) for row in arrays["history"].tolist()]
        if library.rounds:
            unified: dict[str, Any] = {f.name: arrays[f"unified/{f.name}"] for f in dataclasses.fields(Unified)}
            unified["edge"] = float(unified["edge"])
            library.unified = Unified(**unified)
            library.views = Views(**{f.name: arrays[f"views/{f.name}"] for f in dataclasses.fields(Views)})
        return library

    def _recognise(self, unified: Unified, step: int) -> tuple[list[str], list[int], NDArray[np.float64]]:
        """Ids for the new concepts, their order, and the sign of each (Hungarian on |correlation| to earlier ones)."""
        k = unified.n_concepts
        names: list[str] = [""] * k
        flip = np.ones(k)
        if self.unified is not None and self.ids and k:
            r = unified.scores.T @ self.unified.scores / len(self.probe)
            for new, old in zip(*linear_sum_assignment(-np.abs(r)), strict=True):
                if abs(r[new, old]) >= RECOGNISED:
                    names[new] = self.ids[old]
                    flip[new] = np.sign(r[new, old])
        for gone in sorted(set(self.ids) - set(names), key=_number):
            self.history.append(Event(step=step, kind="retirement", concept=gone))
        for new in np.argsort(-unified.support, kind="stable"):
            if not names[new]:
                # Every concept there ever was is in the names, so numbers are never used twice.
                names[new] = f"c{len(self._since) + 1}"
                self._since[names[new]] = step
                self.history.append(Event(step=step, kind="birth", concept=names[new]))
                # A new concept points where its weights are heavier, so that the sign does not depend on the solver.
                flip[new] = -1.0 if (unified.weights[:, new] ** 3).sum() < 0 else 1.0
        order = sorted(range(k), key=lambda i: _number(names[i]))
        return [names[i] for i in order], order, flip[order]

    def _name(self, ids: list[str], counts: list[dict[int, int]], n_words: int) -> int:
        """One word per concept: the one it has, else the most used among its members, else a new one."""
        taken = {self._names[name] for name in ids if name in self._names}
        claims = sorted((-count, k, word) for k, found in enumerate(counts) for word, count in found.items())
        for _, k, word in claims:
            if ids[k] not in self._names and word not in taken:
                self._names[ids[k]] = word
                taken.add(word)
        for name in ids:
            if name not in self._names:
                self._names[name] = n_words
                n_words += 1
        return n_words

    def _answer(self, correlation: NDArray[np.float32], n_words: int) -> Merge:
        membership = members(correlation)
        return Merge(
            concept=membership,
            sign=np.where(_at(correlation, membership) < 0, -1.0, 1.0).astype(np.float32),
            word=np.array([self._names[name] for name in self.ids], dtype=np.int32),
            n_words=n_words,
        )

    def _draw_concept(self, graph: nx.MultiDiGraph, concept: Concept) -> None:
        graph.add_node(
            concept.id,
            type="concept",
            label=self.spell(concept.word),
            support=concept.support,
            members=concept.members,
            since=concept.since,
        )
        for word, count in [(concept.word, concept.words.get(concept.word, 0)), *concept.words.items()]:
            node = f"w:{self.spell(word)}"
            graph.add_node(node, type="word", label=self.spell(word), number=word)
            if not graph.has_edge(concept.id, node):
                graph.add_edge(concept.id, node, type="named", count=count, name=word == concept.word)
        for end, objects in (("strongest", concept.strongest), ("weakest", concept.weakest)):
            for obj in objects:
                graph.add_node(f"o:{obj}", type="object", object=obj)
                graph.add_edge(concept.id, f"o:{obj}", type="exemplified_by", end=end)

    def _draw_dimensions(self, graph: nx.MultiDiGraph) -> None:
        if self.views is None or self.unified is None:
            return
        views, ids, correlation = self.views, self.ids, _at(self.unified.correlation, self.membership)
        for row, slot in zip(*np.nonzero(views.held), strict=True):
            agent = f"a:{views.agent[row]}"
            node = f"d:{views.agent[row]}.{slot}"
            graph.add_node(agent, type="agent", agent=int(views.agent[row]))
            graph.add_node(
                node,
                type="dimension",
                kind=KIND_NAMES[int(views.kind[row, slot])],
                slot=int(slot),
                born=int(views.born[row, slot]),
                superiority=round(float(views.score[row, slot]), 6),
                words=[self.spell(int(w)) for w in views.words[row, slot] if w >= 0],
            )
            graph.add_edge(node, agent, type="held_by")
            if views.exemplar[row, slot] >= 0:
                obj = int(views.exemplar[row, slot])
                graph.add_node(f"o:{obj}", type="object", object=obj)
                graph.add_edge(node, f"o:{obj}", type="derived_from")
            k = int(self.membership[row, slot])
            if k >= 0:
                r = float(correlation[row, slot])
                graph.add_edge(
                    node,
                    ids[k],
                    type="merged_into",
                    sign=1 if r >= 0 else -1,
                    r=round(abs(r), 6),
                    objects=len(self.probe),
                    round=self.rounds,
                )

    def _draw_relations(self, graph: nx.MultiDiGraph) -> None:
        ids, alike = self.ids, congruence(self.loadings, self.loadings)
        for i in range(len(ids)):
            for j in range(i + 1, len(ids)):
                if abs(alike[i, j]) >= RELATED:
                    graph.add_edge(ids[i], ids[j], type="related", congruence=round(float(alike[i, j]), 6))


def members(correlation: NDArray[np.float32]) -> NDArray[np.int32]:
    """The concept [N, S] that each dimension is a form of, -1 for none.

    Its most correlated one, from `MEMBER` on; two dimensions of one agent are never forms of the same concept (the
    one more correlated has it).
    """
    n, slots, k = correlation.shape
    if k == 0:
        return np.full((n, slots), -1, dtype=np.int32)
    strength = np.abs(correlation)
    best = strength.argmax(axis=2)
    r = np.take_along_axis(strength, best[:, :, None], axis=2)[:, :, 0]
    same = best[:, :, None] == best[:, None, :]
    earlier = np.tri(slots, k=-1, dtype=bool)
    stronger = same & ((r[:, None, :] > r[:, :, None]) | ((r[:, None, :] == r[:, :, None]) & earlier))
    return np.where((r >= MEMBER) & ~stronger.any(axis=2), best, -1).astype(np.int32)


def _at(correlation: NDArray[np.float32], membership: NDArray[np.int32]) -> NDArray[np.float32]:
    """Correlation [N, S] of every dimension with the concept that it is a form of; 0 for those of none."""
    if correlation.shape[2] == 0:
        return np.zeros(membership.shape, dtype=np.float32)
    r = np.take_along_axis(correlation, np.maximum(membership, 0)[:, :, None], axis=2)[:, :, 0]
    return np.where(membership >= 0, r, np.float32(0))


def word_counts(words: NDArray[np.int32], membership: NDArray[np.int32], n_concepts: int) -> list[dict[int, int]]:
    """For each concept, how many of its member dimensions have each word."""
    counts: list[dict[int, int]] = [{} for _ in range(n_concepts)]
    rows, slots, places = np.nonzero((words >= 0) & (membership >= 0)[:, :, None])
    pairs = np.stack([membership[rows, slots], words[rows, slots, places]], axis=1)
    for (k, word), count in zip(*np.unique(pairs, axis=0, return_counts=True), strict=True):
        counts[int(k)][int(word)] = int(count)
    return counts


def _arranged(unified: Unified, order: list[int], flip: NDArray[np.float64]) -> Unified:
    return dataclasses.replace(
        unified,
        scores=unified.scores[:, order] * flip,
        weights=unified.weights[:, order] * flip,
        correlation=unified.correlation[:, :, order] * flip.astype(np.float32),
        support=unified.support[order],
    )


def _number(name: str) -> int:
    return int(name[1:])


def _plain(word: int) -> str:
    return f"w{word}"
