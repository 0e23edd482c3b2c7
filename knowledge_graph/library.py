"""The library: one map out of many views, with names, members and an append-only history.

`Library.merge` takes views in and makes concepts of them; a concept keeps its id from merge to merge as long as it
stays recognisable. All that a library knows is its list of `rounds`, one per merge and never changed afterwards, and
the names it gave; so that `Library.at` is any earlier library.

What can be asked of it is in `queries`, `tables`, `graph`, `comparing`, `world_model` and `storage`; the methods here
are how one gets there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from knowledge_graph import comparing, graph, queries, storage, tables, world_model
from knowledge_graph.concept import Concept, concepts_of, members, word_counts
from knowledge_graph.history import Event, Round, arranged, number_of, recognise, similarity, since
from knowledge_graph.measures import metric_of
from knowledge_graph.unify import Count, Method, unify
from knowledge_graph.views import (
    NOTHING,
    FloatMatrix,
    Unified,
    Views,
    check_sound,
    moments,
    objects_seen,
)
from knowledge_graph.word import Merge, Word, answer

if TYPE_CHECKING:
    import pandas as pd


class Library:
    """What the views of a society add up to.

    Parameters
    ----------
    probe : int [P], the objects that everyone can point at; none where agents share names of features alone
    features : float [P, D], these objects as anyone may look at them: they tell what concepts look like. They are to
        be centred and scaled over all objects of the world (not just these), as those are that the views are of
    feature_names : [D], by default x0, x1, ...
    spell : how a word's number is written; by default "w17"
    method, count : how views are unified, see `knowledge_graph.unify.unify`

    Raises
    ------
    ValueError
        If the lengths do not agree, a feature is not finite, or there is no such method or count.
    """

    def __init__(
        self,
        *,
        probe: NDArray[np.integer] | Sequence[int] = (),
        features: NDArray[np.floating] | None = None,
        feature_names: Sequence[str] | None = None,
        spell: Callable[[int], str] | None = None,
        method: Method = "auto",
        count: Count = "shared",
    ) -> None:
        for name, value, choices in (("method", method, get_args(Method)), ("count", count, get_args(Count))):
            if value not in choices:
                raise ValueError(f"{name} is {value!r}, but it must be one of {', '.join(choices)}")
        self.probe = np.asarray(probe, dtype=np.int64)
        if self.probe.ndim != 1 or len(np.unique(self.probe)) < len(self.probe):
            raise ValueError("probe is a list of numbers of objects, each of which may be in it once")
        features = None if features is None else np.asarray(features)
        if features is not None and (features.ndim != 2 or len(features) != len(self.probe)):
            raise ValueError(
                f"features are {features.shape}, but there are {len(self.probe)} probe objects to describe"
            )
        if features is not None and not np.isfinite(features).all():
            raise ValueError("features hold values that are not finite; a library takes finite numbers only")
        if feature_names is not None and features is not None and len(feature_names) != features.shape[1]:
            raise ValueError(f"there are {features.shape[1]} features, but {len(feature_names)} names for them")
        self.features = features
        self.feature_names = None if feature_names is None else tuple(feature_names)
        self.spell = spell or _plain
        self.method: Method = method
        self.count: Count = count
        self.rounds: list[Round] = []
        self.names: dict[str, int] = {}
        """The word of every concept there ever was."""

    # -- merging ------------------------------------------------------------------------------------------------

    def merge(self, views: Views, *, step: int | None = None, n_words: int | None = None) -> Merge:
        """Take views in, and tell what became of them.

        Parameters
        ----------
        views : levels on the probe, in the order of ``probe``
        step : when this is; by default the number of the merge
        n_words : how many words exist; names that the library has to coin are numbered from here. By default one more
            than the largest there is.

        Raises
        ------
        ValueError
            If the views cannot be unified, are not sound, or are of other objects or features than the library.
        """
        check_sound(views)
        self._check_probe(views)
        named = self.features.shape[1:] if self.features is not None else (len(self.feature_names or ()),)
        if named != (0,) and views.n_features > named[0]:
            raise ValueError(
                f"the views sense features up to number {views.n_features - 1}, but this library knows {named[0]} of "
                "them"
            )
        number = len(self.rounds) + 1
        step = number if step is None else int(step)
        unified = unify(views, features=self.features, method=self.method, count=self.count)
        present, gone = self._alike(unified)
        found = recognise(present, gone, unified=unified, step=step, round_=number)
        order = sorted(range(len(found.ids)), key=lambda k: number_of(found.ids[k]))
        unified = arranged(unified, order, found.sign[order])
        ids = tuple(found.ids[k] for k in order)
        membership = members(unified.correlation)
        least = max(int(views.words.max(initial=NOTHING)), *self.names.values(), NOTHING) + 1
        n_words = least if n_words is None else max(int(n_words), least)
        mean, sd, overlap = moments(views)
        n_words = self._name(ids, word_counts(views.words, membership, len(ids)), n_words)
        self.rounds.append(
            Round(
                number=number,
                step=step,
                ids=ids,
                unified=unified,
                views=dataclasses.replace(views, levels=None, structure=None, phi=None),
                membership=membership,
                seen=objects_seen(views),
                mean=mean,
                sd=sd,
                overlap=overlap,
                events=tuple(found.events),
            )
        )
        return answer(unified.correlation, self._named(), n_words)

    def word(self, *, n_words: int) -> Word:
        """What has to be known of this library to consult it elsewhere.

        Raises
        ------
        ValueError
            If nothing has been merged yet, or it is not known how the probe objects stand on the concepts.
        """
        if self.unified is None:
            raise ValueError("the library has not merged any views yet, so it has nothing to tell")
        if not len(self.unified.scores):
            raise ValueError(
                "the library compares dimensions by how its probe objects stand on the concepts, which it does not "
                "know: it has merged by names of features alone, and has no features of the probe objects"
            )
        return Word(scores=self.unified.scores, word=self._named(), n_words=n_words)

    def consult(self, views: Views, *, n_words: int) -> Merge:
        """Tell agents whose views were not merged what their dimensions are; changes nothing.

        Raises
        ------
        ValueError
            As `word` does, or if the views have no levels of the probe objects.
        """
        word = self.word(n_words=n_words)
        if views.levels is None:
            raise ValueError("the library compares dimensions by their levels on its probe, which these views lack")
        self._check_probe(views)
        return word.consult(views)

    # -- what there is ------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        when = f"after merge {len(self.rounds)} at step {self.step}" if self.rounds else "nothing merged yet"
        agents = 0 if self.views is None else len(self.views)
        return f"<Library of {len(self)} concepts in the views of {agents} agents, {when}>"

    @property
    def last(self) -> Round | None:
        """The last merge."""
        return self.rounds[-1] if self.rounds else None

    @property
    def ids(self) -> tuple[str, ...]:
        """The present concepts, in the order of the columns of `unified`."""
        return self.rounds[-1].ids if self.rounds else ()

    @property
    def unified(self) -> Unified | None:
        """The present concepts as arrays."""
        return self.rounds[-1].unified if self.rounds else None

    @property
    def views(self) -> Views | None:
        """What was merged last, without what was needed for unifying alone."""
        return self.rounds[-1].views if self.rounds else None

    @property
    def membership(self) -> NDArray[np.int32]:
        """int32 [N, S], the concept (by place in `ids`) that each dimension is a form of, -1 for none."""
        return self.rounds[-1].membership if self.rounds else np.zeros((0, 0), dtype=np.int32)

    @property
    def step(self) -> int:
        """The step of the last merge, -1 before any."""
        return self.rounds[-1].step if self.rounds else -1

    @property
    def history(self) -> list[Event]:
        """Everything that ever happened to a concept, in order."""
        return [event for round_ in self.rounds for event in round_.events]

    @property
    def loadings(self) -> FloatMatrix:
        """float64 [D, K]: what concepts look like."""
        return np.zeros((0, 0)) if self.unified is None else self.unified.loadings

    @property
    def weights(self) -> FloatMatrix:
        """float64 [D, K]: ``features @ weights`` are concept scores, as the agents would give them."""
        return np.zeros((0, 0)) if self.unified is None else self.unified.weights

    def feature_name(self, number: int) -> str:
        """What a feature is called."""
        return self.feature_names[number] if self.feature_names else f"x{number}"

    def concepts(self) -> list[Concept]:
        """All present concepts, best supported first."""
        if self.last is None:
            return []
        return concepts_of(self.last, probe=self.probe, names=self.names, since=since(self.history))

    def concept(self, name: str) -> Concept:
        """The concept with this id (or this word as its name); a KeyError suggests the nearest."""
        wanted = queries.concept_id(self, name)
        return next(concept for concept in self.concepts() if concept.id == wanted)

    # -- questions ----------------------------------------------------------------------------------------------

    def explain(self, concept: str) -> queries.Explanation:
        """Where a concept comes from and what it means: members, words, features, objects, events."""
        return queries.explain(self, concept)

    def agent(self, agent: int) -> list[queries.Meaning]:
        """The dimensions of one agent, each with the concept that it is a form of."""
        return queries.agent(self, agent)

    def meaning(self, agent: int, word: str | int) -> list[queries.Meaning]:
        """What an agent means by a word: its dimensions of that name."""
        return queries.meaning(self, agent, word)

    def translate(self, agent: int, dimension: int | str, other: int) -> queries.Translation:
        """Which dimension of another agent says the same as this one (by its slot, or a word of the agent's)."""
        return queries.translate(self, agent, dimension, other)

    def path(self, a: str | int, b: str | int) -> queries.Path:
        """How two things hang together: a shortest way through the graph."""
        return queries.path(self, a, b)

    def to_pandas(self, table: tables.Table = "concepts") -> pd.DataFrame:
        """A table of "concepts", "dimensions", "agents", "words" or "events"."""
        return tables.to_pandas(self, table)

    def graph(self) -> nx.MultiDiGraph:
        """The map as a networkx graph, see `knowledge_graph.graph.graph_of`."""
        return graph.graph_of(self)

    # -- the history --------------------------------------------------------------------------------------------

    def at(self, round_: int) -> Library:
        """The library as it was after an earlier merge (0 is before the first, -1 after the last)."""
        n = len(self.rounds)
        end = round_ if round_ >= 0 else n + 1 + round_
        if not 0 <= end <= n:
            raise queries.NotInLibraryError(f"there is no round {round_}; this library has the rounds 0 to {n}")
        earlier = Library(
            probe=self.probe,
            features=self.features,
            feature_names=self.feature_names,
            spell=self.spell,
            method=self.method,
            count=self.count,
        )
        earlier.rounds = self.rounds[:end]
        there = {name for round_ in earlier.rounds for name in round_.ids}
        earlier.names = {name: word for name, word in self.names.items() if name in there}
        return earlier

    def copy(self) -> Library:
        """A library that goes its own way from here; rounds never change, so that they are shared."""
        return self.at(len(self.rounds))

    def diff(self, other: Library) -> comparing.Difference:
        """What changed from another library to this one, see `knowledge_graph.comparing.diff`."""
        return comparing.diff(self, other)

    # -- a model of the world -----------------------------------------------------------------------------------

    def transform(self, features: NDArray[np.floating]) -> FloatMatrix:
        """Concept scores [M, K] of any objects ``[M, D]``, asked of the agents' own weights."""
        return world_model.transform(self, features)

    def coordinates(self, features: NDArray[np.floating]) -> FloatMatrix:
        """Concept scores [M, K] in the metric of the world: near means alike as far as the library can tell."""
        return self.transform(features) @ metric_of(self.loadings)

    def reconstruct(self, features: NDArray[np.floating]) -> FloatMatrix:
        """Objects [M, D] as the library knows them, see `knowledge_graph.world_model.reconstruct`."""
        return world_model.reconstruct(self, features)

    def levels(self, agent: int, features: NDArray[np.floating]) -> FloatMatrix:
        """How objects [M, D] stand on the dimensions of an agent, [M, S], as these were when merged."""
        return world_model.levels(self, agent, features)

    def predict(self, agent: int, levels: NDArray[np.floating]) -> FloatMatrix:
        """What one agent's few levels [M, S] of objects foretell of all their features, [M, D]."""
        return world_model.predict(self, agent, levels)

    # -- keeping ------------------------------------------------------------------------------------------------

    def save(self, path: Path | str) -> None:
        """Write everything to a file, whole or not at all; `load` is the way back."""
        storage.save(self, path)

    @classmethod
    def load(cls, path: Path | str, *, spell: Callable[[int], str] | None = None) -> Library:
        """A library from a file that `save` wrote; words are spelled as they were there, unless ``spell`` is given."""
        return storage.load(path, spell=spell)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Rounds and names as plain arrays, for a checkpoint; `restore` is the way back."""
        return storage.state(self)

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take rounds and names from what `state` gave."""
        storage.restore(self, arrays)

    # -- inside -------------------------------------------------------------------------------------------------

    def _check_probe(self, views: Views) -> None:
        if views.levels is not None and views.n_objects != len(self.probe):
            raise ValueError(
                f"the views are on {views.n_objects} objects, but the probe of this library has {len(self.probe)}"
            )

    def _alike(self, unified: Unified) -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]]]:
        """Correlations [K] of the new concepts with each present one, and with the last state of each that has gone."""
        latest = {name: (round_, k) for round_ in self.rounds for k, name in enumerate(round_.ids)}
        wanted = {round_.number: round_ for round_, _ in latest.values()}
        alike = {number: similarity(unified, round_.unified) for number, round_ in wanted.items()}
        present: dict[str, NDArray[np.float64]] = {}
        gone: dict[str, NDArray[np.float64]] = {}
        for name in sorted(latest, key=number_of):
            round_, k = latest[name]
            (present if round_ is self.last else gone)[name] = alike[round_.number][:, k]
        return present, gone

    def _named(self) -> NDArray[np.int32]:
        """int32 [K], the words of the present concepts."""
        return np.array([self.names[name] for name in self.ids], dtype=np.int32)

    def _name(self, ids: Sequence[str], counts: list[dict[int, int]], n_words: int) -> int:
        """One word per concept: the one it has, else the most used among its members, else a new one.

        A word names one concept for ever, so that no record becomes ambiguous when concepts go and come back.
        """
        taken = set(self.names.values())
        claims = sorted((-count, k, word) for k, found in enumerate(counts) for word, count in found.items())
        for _, k, word in claims:
            if ids[k] not in self.names and word not in taken:
                self.names[ids[k]] = word
                taken.add(word)
        for name in ids:
            if name not in self.names:
                self.names[name] = n_words
                n_words += 1
        return n_words


def _plain(word: int) -> str:
    return f"w{word}"
