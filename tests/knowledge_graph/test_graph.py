"""The library as a graph: which nodes and edges there are, and what they carry."""

import dataclasses
from collections import Counter

import networkx as nx
import numpy as np
import pytest

from knowledge_graph.graph import graph_of
from knowledge_graph.library import Library
from knowledge_graph.measures import congruence
from knowledge_graph.queries import RELATED
from knowledge_graph.views import Views
from tests.knowledge_graph.handmade import PROBE, planted, views_on
from tests.knowledge_graph.known import directions, put_in, silent_views, unified_of

AGENTS = 40


def views() -> Views:
    """Views with words, sources and kinds, an agent without dimensions, and half of the agents not having seen all."""
    features, truth = planted()
    found = views_on(features, truth, agents=AGENTS)
    rng = np.random.default_rng(0)
    held = rng.random(found.held.shape) < 0.9
    held[7] = False
    levels = found.levels.copy()
    levels[::2, 100:] = np.nan
    return dataclasses.replace(
        found,
        agent=np.arange(AGENTS) * 3,
        held=held,
        levels=levels,
        words=np.where(held[:, :, None], rng.integers(-1, 9, found.words.shape), -1).astype(np.int32),
        kind=np.where(held, rng.integers(1, 3, held.shape), 0).astype(np.int8),
        sources=np.where(held[:, :, None], rng.integers(-1, 200, (*held.shape, 2)), -1).astype(np.int32),
        born=np.where(held, rng.integers(0, 9, held.shape), 0).astype(np.int32),
        score=rng.random(held.shape).astype(np.float32),
    )


@pytest.fixture(scope="module")
def library() -> Library:
    features, _ = planted()
    found = Library(probe=np.arange(PROBE) + 1000, features=features[:PROBE], spell=lambda word: f"word{word}")
    found.merge(views(), step=30)
    return found


@pytest.fixture(scope="module")
def graph(library: Library) -> nx.MultiDiGraph:
    return library.graph()


def edges(graph: nx.MultiDiGraph, kind: str) -> list[tuple[str, str, dict[str, object]]]:
    return [(source, target, data) for source, target, data in graph.edges(data=True) if data["type"] == kind]


def test_there_are_five_kinds_of_nodes_with_names_by_which_they_are_told_apart(
    library: Library, graph: nx.MultiDiGraph
) -> None:
    held = library.views.held
    number = Counter(data["type"] for _, data in graph.nodes(data=True))
    assert set(number) == {"concept", "agent", "dimension", "word", "object"}
    assert number["concept"] == len(library) > 0
    assert number["agent"] == AGENTS
    assert number["dimension"] == held.sum()
    prefix = {"concept": "c", "agent": "a:", "dimension": "d:", "word": "w:", "object": "o:"}
    carried = {
        "concept": {"label", "support", "members", "since"},
        "agent": {"agent"},
        "dimension": {"kind", "slot", "born", "superiority", "words"},
        "word": {"label", "number"},
        "object": {"object"},
    }
    for node, data in graph.nodes(data=True):
        assert node.startswith(prefix[data["type"]])
        assert set(data) == carried[data["type"]] | {"type"}
    assert graph.graph == {"step": 30, "rounds": 1}


def test_edges_lead_from_and_to_what_they_should_and_carry_what_they_should(graph: nx.MultiDiGraph) -> None:
    contract = {
        "merged_into": ("dimension", "concept", {"sign", "r", "objects", "round"}),
        "held_by": ("dimension", "agent", set()),
        "named": ("concept", "word", {"count", "name"}),
        "exemplified_by": ("concept", "object", {"end"}),
        "derived_from": ("dimension", "object", set()),
        "related": ("concept", "concept", {"congruence"}),
    }
    found = set()
    for source, target, data in graph.edges(data=True):
        one, other, carried = contract[data["type"]]
        assert (graph.nodes[source]["type"], graph.nodes[target]["type"]) == (one, other)
        assert set(data) == carried | {"type"}
        found.add(data["type"])
    assert found >= {"merged_into", "held_by", "named", "exemplified_by", "derived_from"}


def test_every_dimension_tells_whose_it_is_what_it_is_and_where_it_comes_from(
    library: Library, graph: nx.MultiDiGraph
) -> None:
    last = library.rounds[-1]
    told = library.views
    for row, slot in zip(*np.nonzero(told.held), strict=True):
        node = f"d:{told.agent[row]}.{slot}"
        data = graph.nodes[node]
        assert data["kind"] == {1: "raw", 2: "abstract"}[int(told.kind[row, slot])]
        assert (data["slot"], data["born"]) == (slot, told.born[row, slot])
        assert data["words"] == [f"word{w}" for w in told.words[row, slot] if w >= 0]
        out: dict[str, list[str]] = {}
        for _, target, edge in graph.out_edges(node, data=True):
            out.setdefault(edge["type"], []).append(target)
        assert out["held_by"] == [f"a:{told.agent[row]}"]
        assert sorted(out.get("derived_from", [])) == sorted(f"o:{o}" for o in told.sources[row, slot] if o >= 0)
        k = last.membership[row, slot]
        assert out.get("merged_into", []) == ([last.ids[k]] if k >= 0 else [])


def test_a_merged_dimension_tells_sign_strength_round_and_over_how_many_objects(
    library: Library, graph: nx.MultiDiGraph
) -> None:
    told = library.rounds[-1]
    merged = edges(graph, "merged_into")
    assert len(merged) == (told.membership >= 0).sum() > 30
    for source, target, data in merged:
        agent, slot = source.removeprefix("d:").split(".")
        row = int(agent) // 3
        r = told.unified.correlation[row, int(slot), told.ids.index(target)]
        assert (data["sign"], data["r"]) == (np.sign(r), pytest.approx(abs(r), abs=1e-6))
        assert data["objects"] == (100 if row % 2 == 0 else PROBE)
        assert data["round"] == 1


def test_a_concept_is_joined_to_its_name_to_what_members_call_it_and_to_the_objects_at_its_ends(
    library: Library, graph: nx.MultiDiGraph
) -> None:
    for concept in library.concepts():
        named = {target: data for source, target, data in edges(graph, "named") if source == concept.id}
        assert {target: data["count"] for target, data in named.items() if data["count"]} == {
            f"w:word{word}": n for word, n in concept.words.items()
        }
        assert [target for target, data in named.items() if data["name"]] == [f"w:word{concept.word}"]
        for end, objects in (("strongest", concept.strongest), ("weakest", concept.weakest)):
            found = [t for s, t, data in edges(graph, "exemplified_by") if s == concept.id and data["end"] == end]
            assert found == [f"o:{obj}" for obj in objects]
            assert all(1000 <= obj < 1000 + PROBE for obj in objects)
        assert graph.nodes[concept.id]["members"] == concept.members
        assert graph.nodes[concept.id]["support"] == concept.support


def test_words_that_are_spelled_alike_are_one_word_that_is_counted_for_all_of_them(library: Library) -> None:
    alike = library.copy()
    alike.spell = lambda word: f"word{word % 2}"
    named = {(source, target): data["count"] for source, target, data in edges(alike.graph(), "named")}
    for concept in alike.concepts():
        assert len(concept.words) > 2
        counted = Counter({f"word{word % 2}": 0 for word in (concept.word, *concept.words)})
        for word, n in concept.words.items():
            counted[f"word{word % 2}"] += n
        assert {word: named[concept.id, f"w:{word}"] for word in counted} == counted
        assert alike.explain(concept.id).words == {word: n for word, n in counted.items() if n}


def test_concepts_that_look_alike_are_related_once() -> None:
    loadings = np.array([[1.0, 1.0, 0.0], [1.0, -0.2, 0.0], [0.0, 0.0, 1.0], [0.0, 0.1, 0.1]])
    library = Library(probe=np.arange(40))
    put_in(library, unified_of(directions(3), loadings=loadings, weights=loadings))
    alike = congruence(library.loadings, library.loadings)
    ids = library.ids
    expected = {
        (ids[i], ids[j]): pytest.approx(alike[i, j], abs=1e-6)
        for i in range(3)
        for j in range(i + 1, 3)
        if abs(alike[i, j]) >= RELATED
    }
    assert len(expected) == 1
    assert {(s, t): data["congruence"] for s, t, data in edges(library.graph(), "related")} == expected


def test_a_concept_that_split_off_is_derived_from_the_one_it_came_out_of_as_long_as_both_are_there() -> None:
    b = directions(3)
    library = Library(probe=np.arange(40))
    put_in(library, unified_of((b @ [0.8, 0.6, 0.0])[:, None]))
    put_in(library, unified_of(b[:, :2]))
    ((source, target, data),) = edges(library.graph(), "derived_from")
    assert (source, target, data["round"]) == ("c2", "c1", 2)
    put_in(library, unified_of(b[:, [0, 2]]))
    assert library.ids == ("c1", "c3")
    assert edges(library.graph(), "derived_from") == []
    assert edges(library.at(2).graph(), "derived_from") == [("c2", "c1", data)]


def test_agents_that_share_features_alone_have_merged_over_no_objects() -> None:
    loadings = np.eye(4)[:, :2]
    library = Library()
    correlation = np.array([[[0.9, 0.0], [0.0, -0.8]]])
    put_in(
        library,
        unified_of(np.zeros((0, 2)), loadings=loadings, weights=loadings, correlation=correlation),
        silent_views(1, 2),
    )
    merged = edges(library.graph(), "merged_into")
    assert [(data["objects"], data["sign"]) for _, _, data in merged] == [(0, 1), (0, -1)]
    assert edges(library.graph(), "exemplified_by") == []


def test_the_graph_of_nothing_is_empty_and_of_nothing_shared_has_no_concepts() -> None:
    assert len(Library(probe=np.arange(3)).graph()) == 0
    assert graph_of(Library()).graph == {"step": -1, "rounds": 0}
    library = Library(probe=np.arange(40))
    put_in(library, unified_of(directions(0), correlation=np.zeros((4, 2, 0))), silent_views(4, 2))
    assert Counter(data["type"] for _, data in library.graph().nodes(data=True)) == {"agent": 4, "dimension": 8}
    assert {data["type"] for *_, data in library.graph().edges(data=True)} == {"held_by"}
