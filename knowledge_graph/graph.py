"""The library as a networkx graph: concepts, agents, dimensions, words and objects, and how they hang together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import networkx as nx
import numpy as np

from knowledge_graph.concept import Concept
from knowledge_graph.measures import congruence
from knowledge_graph.queries import RELATED, meanings

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
    for one, other, alike in relations(library):
        graph.add_edge(one, other, type="related", congruence=alike)
    return graph


def relations(library: Library) -> list[tuple[str, str, float]]:
    """The pairs of concepts that are related, each with Tucker's congruence of their loadings."""
    ids, alike = library.ids, congruence(library.loadings, library.loadings)
    pairs = zip(*np.triu_indices(len(ids), 1), strict=True)
    return [(ids[i], ids[j], round(float(alike[i, j]), 6)) for i, j in pairs if abs(alike[i, j]) >= RELATED]


def _draw_concept(graph: nx.MultiDiGraph, library: Library, concept: Concept) -> None:
    graph.add_node(
        concept.id,
        type="concept",
        label=library.spell(concept.word),
        support=concept.support,
        members=concept.members,
        since=concept.since,
    )
    for word in dict.fromkeys((concept.word, *concept.words)):
        node, count = f"w:{library.spell(word)}", concept.words.get(word, 0)
        graph.add_node(node, type="word", label=library.spell(word), number=word)
        if graph.has_edge(concept.id, node):  # another word that is spelled alike
            graph.edges[concept.id, node, 0]["count"] += count
        else:
            graph.add_edge(concept.id, node, type="named", count=count, name=word == concept.word)
    for end, objects in (("strongest", concept.strongest), ("weakest", concept.weakest)):
        for obj in objects:
            graph.add_node(f"o:{obj}", type="object", object=obj)
            graph.add_edge(concept.id, f"o:{obj}", type="exemplified_by", end=end)


def _draw_dimensions(graph: nx.MultiDiGraph, library: Library) -> None:
    last = library.last
    if last is None:
        return
    agents = last.views.agent.tolist()
    seen = dict(zip(agents, last.seen.tolist(), strict=True)) if len(last.seen) else {}
    for number in agents:
        graph.add_node(f"a:{number}", type="agent", agent=number)
    for one in meanings(library):
        node = f"d:{one.agent}.{one.slot}"
        graph.add_node(
            node,
            type="dimension",
            kind=one.kind,
            slot=one.slot,
            born=one.born,
            superiority=round(one.superiority, 6),
            words=list(one.words),
        )
        graph.add_edge(node, f"a:{one.agent}", type="held_by")
        for obj in one.sources:
            graph.add_node(f"o:{obj}", type="object", object=obj)
            graph.add_edge(node, f"o:{obj}", type="derived_from")
        if one.concept is not None:
            graph.add_edge(
                node,
                one.concept,
                type="merged_into",
                sign=1 if one.r >= 0 else -1,
                r=round(abs(one.r), 6),
                objects=seen.get(one.agent, 0),
                round=last.number,
            )
