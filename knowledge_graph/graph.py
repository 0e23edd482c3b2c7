"""The library as a networkx graph: concepts, agents, dimensions, words and objects, and how they hang together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import networkx as nx
import numpy as np

from knowledge_graph.concept import Concept
from knowledge_graph.measures import congruence
from knowledge_graph.queries import KIND_NAMES, RELATED

if TYPE_CHECKING:
    from knowledge_graph.library import Library


def graph_of(library: Library) -> nx.MultiDiGraph:
    """The map as of the last merge.

    Nodes carry ``type``; edges carry ``type``: dimension -merged_into-> concept (sign, r, round, and over how many
    objects that was seen), dimension -held_by-> agent, concept -named-> word (count), concept -exemplified_by-> object
    (end), dimension -derived_from-> object (what it comes from), concept -derived_from-> concept (what it has split
    off from), concept -related-> concept (congruence).
    """
    graph = nx.MultiDiGraph(step=library.step, rounds=len(library.rounds))
    for concept in library.concepts():
        _draw_concept(graph, library, concept)
    for event in library.history:
        if event.kind == "split" and {event.concept, *event.parents} <= set(library.ids):
            graph.add_edge(event.concept, event.parents[0], type="derived_from", round=event.round)
    _draw_dimensions(graph, library)
    _draw_relations(graph, library)
    return graph


def _draw_concept(graph: nx.MultiDiGraph, library: Library, concept: Concept) -> None:
    graph.add_node(
        concept.id,
        type="concept",
        label=library.spell(concept.word),
        support=concept.support,
        members=concept.members,
        since=concept.since,
    )
    for word, count in [(concept.word, concept.words.get(concept.word, 0)), *concept.words.items()]:
        node = f"w:{library.spell(word)}"
        graph.add_node(node, type="word", label=library.spell(word), number=word)
        if not graph.has_edge(concept.id, node):
            graph.add_edge(concept.id, node, type="named", count=count, name=word == concept.word)
    for end, objects in (("strongest", concept.strongest), ("weakest", concept.weakest)):
        for obj in objects:
            graph.add_node(f"o:{obj}", type="object", object=obj)
            graph.add_edge(concept.id, f"o:{obj}", type="exemplified_by", end=end)


def _draw_dimensions(graph: nx.MultiDiGraph, library: Library) -> None:
    last = library.last
    if last is None:
        return
    views = last.views
    for number in views.agent.tolist():
        graph.add_node(f"a:{number}", type="agent", agent=number)
    for row, slot in zip(*np.nonzero(views.held), strict=True):
        agent = f"a:{views.agent[row]}"
        node = f"d:{views.agent[row]}.{slot}"
        graph.add_node(
            node,
            type="dimension",
            kind=KIND_NAMES[int(views.kind[row, slot])],
            slot=int(slot),
            born=int(views.born[row, slot]),
            superiority=round(float(views.score[row, slot]), 6),
            words=[library.spell(int(w)) for w in views.words[row, slot] if w >= 0],
        )
        graph.add_edge(node, agent, type="held_by")
        for obj in views.sources[row, slot]:
            if obj >= 0:
                graph.add_node(f"o:{obj}", type="object", object=int(obj))
                graph.add_edge(node, f"o:{obj}", type="derived_from")
        k = int(last.membership[row, slot])
        if k >= 0:
            r = float(last.unified.correlation[row, slot, k])
            graph.add_edge(
                node,
                last.ids[k],
                type="merged_into",
                sign=1 if r >= 0 else -1,
                r=round(abs(r), 6),
                objects=int(last.seen[row]) if len(last.seen) else 0,
                round=last.number,
            )


def _draw_relations(graph: nx.MultiDiGraph, library: Library) -> None:
    ids, alike = library.ids, congruence(library.loadings, library.loadings)
    for i, j in zip(*np.triu_indices(len(ids), 1), strict=True):
        if abs(alike[i, j]) >= RELATED:
            graph.add_edge(ids[i], ids[j], type="related", congruence=round(float(alike[i, j]), 6))
