"""The library: names, identity over merges, members, the graph, and its way into a checkpoint and back."""

import dataclasses

import numpy as np
import pytest

from knowledge_graph.concept import members, word_counts
from knowledge_graph.library import Library
from tests.knowledge_graph.handmade import FACTORS, PROBE, SLOTS, library_on, planted, views_on


@pytest.fixture
def world() -> tuple[np.ndarray, np.ndarray]:
    return planted()


def merged(features: np.ndarray, truth: np.ndarray, *, seed: int = 1) -> Library:
    library = library_on(features)
    library.merge(views_on(features, truth, agents=60, seed=seed), step=5, n_words=100)
    return library


def test_every_concept_is_born_named_and_counted(world: tuple[np.ndarray, np.ndarray]) -> None:
    library = merged(*world)
    concepts = library.concepts()
    assert len(library) == len(concepts) == FACTORS
    assert {c.id for c in concepts} == {f"c{i}" for i in range(1, FACTORS + 1)}
    assert sorted(c.word for c in concepts) == list(range(100, 100 + FACTORS))  # nobody had words: all are coined
    assert [c.support for c in concepts] == sorted((c.support for c in concepts), reverse=True)
    assert sum(c.members for c in concepts) == (library.membership >= 0).sum()
    assert [e.kind for e in library.history] == ["birth"] * FACTORS


def test_concepts_keep_id_name_and_direction_when_other_views_come(world: tuple[np.ndarray, np.ndarray]) -> None:
    features, truth = world
    library = merged(features, truth)
    before = {c.id: c for c in library.concepts()}
    library.merge(views_on(features, truth, agents=60, seed=2), step=9, n_words=200)
    assert {c.id for c in library.concepts()} == set(before)
    for concept in library.concepts():
        assert concept.word == before[concept.id].word
        assert concept.since == 5
        assert np.corrcoef(concept.scores, before[concept.id].scores)[0, 1] > 0.9


def test_what_nobody_knows_any_more_retires_and_comes_back_under_its_old_id(
    world: tuple[np.ndarray, np.ndarray],
) -> None:
    features, truth = world
    library = merged(features, truth)
    first = {c.id: c.word for c in library.concepts()}
    gone = truth.copy()
    gone[:, 0] = 0.0  # one factor that no view contains any more
    gone[:, 1] = gone[:, 2]
    library.merge(views_on(features, gone, agents=60, seed=3), step=9, n_words=200)
    assert "retirement" in {e.kind for e in library.history}
    assert len(library) < FACTORS
    library.merge(views_on(features, truth, agents=60, seed=1), step=12, n_words=200)
    assert {c.id: c.word for c in library.concepts()} == first
    assert "return" in {e.kind for e in library.history}


def test_the_name_is_the_word_that_most_members_use_and_no_two_concepts_share_one(
    world: tuple[np.ndarray, np.ndarray],
) -> None:
    features, truth = world
    views = views_on(features, truth, agents=60)
    membership = merged(features, truth).membership
    words = views.words.copy()
    words[:, :, 0] = np.where(membership >= 0, membership + 10, -1)
    words[:7, :, 0] = 99  # a few use another word, the same for everything
    library = library_on(features)
    merge = library.merge(dataclasses.replace(views, words=words), step=1, n_words=200)
    assert sorted(merge.word.tolist()) == [10 + k for k in range(FACTORS)]
    assert merge.n_words == 200


def test_agents_are_told_concept_and_direction_of_their_dimensions(world: tuple[np.ndarray, np.ndarray]) -> None:
    features, truth = world
    views = views_on(features, truth, agents=60)
    library = library_on(features)
    merge = library.merge(views, step=1, n_words=0)
    scores = library.unified.scores
    rows, slots = np.nonzero(merge.concept >= 0)
    for row, slot in zip(rows[:40], slots[:40], strict=True):
        r = np.corrcoef(views.levels[row, :, slot], scores[:, merge.concept[row, slot]])[0, 1]
        assert np.sign(r) == merge.sign[row, slot]
        assert abs(r) >= 0.5


def test_agents_whose_views_were_not_merged_are_told_the_same_as_if_they_had_been(
    world: tuple[np.ndarray, np.ndarray],
) -> None:
    features, truth = world
    views = views_on(features, truth, agents=60)
    library = library_on(features)
    with pytest.raises(ValueError, match="not merged"):
        library.consult(views, n_words=0)
    told = library.merge(views, step=1, n_words=0)
    again = library.consult(views, n_words=told.n_words)
    np.testing.assert_array_equal(told.concept, again.concept)
    np.testing.assert_array_equal(told.sign, again.sign)
    np.testing.assert_array_equal(told.word, again.word)
    assert len(library.history) == FACTORS


def test_two_dimensions_of_one_agent_are_never_forms_of_one_concept() -> None:
    correlation = np.array([[[0.9, 0.1], [0.95, 0.2], [0.3, 0.4]]], dtype=np.float32)
    assert members(correlation).tolist() == [[-1, 0, -1]]
    tie = np.array([[[0.8], [-0.8]]], dtype=np.float32)
    assert members(tie).tolist() == [[0, -1]]
    assert members(np.zeros((2, 3, 0), dtype=np.float32)).tolist() == [[-1, -1, -1]] * 2


def test_words_are_counted_per_concept() -> None:
    words = np.array([[[1, 2], [3, -1]], [[1, -1], [1, -1]]], dtype=np.int32)
    membership = np.array([[0, 1], [0, -1]], dtype=np.int32)
    assert word_counts(words, membership, 2) == [{1: 2, 2: 1}, {3: 1}]


def test_an_unknown_concept_is_a_key_error_that_names_those_there_are(world: tuple[np.ndarray, np.ndarray]) -> None:
    with pytest.raises(KeyError, match="the nearest are c"):
        merged(*world).concept("c99")
    with pytest.raises(KeyError, match="none yet"):
        Library(probe=np.arange(3)).concept("c1")


def test_the_graph_says_for_every_dimension_whose_it_is_and_what_it_merged_into(
    world: tuple[np.ndarray, np.ndarray],
) -> None:
    library = merged(*world)
    graph = library.graph()
    kinds = {"concept": 0, "agent": 0, "dimension": 0, "word": 0, "object": 0}
    for _, data in graph.nodes(data=True):
        kinds[data["type"]] += 1
    assert kinds["concept"] == FACTORS
    assert kinds["agent"] == 60
    assert kinds["dimension"] == 60 * SLOTS
    merged_into = [d for _, _, d in graph.edges(data=True) if d["type"] == "merged_into"]
    assert len(merged_into) == (library.membership >= 0).sum()
    assert all(0.5 <= d["r"] <= 1 and d["sign"] in (1, -1) and d["objects"] == PROBE for d in merged_into)
    for node, data in graph.nodes(data=True):
        if data["type"] == "dimension":
            assert len([1 for _, _, d in graph.out_edges(node, data=True) if d["type"] == "held_by"]) == 1


def test_coordinates_put_alike_objects_together(world: tuple[np.ndarray, np.ndarray]) -> None:
    features, truth = world
    library = merged(features, truth)
    assert library.transform(features).shape == (len(features), FACTORS)
    near = library.coordinates(features)
    seen = library.transform(features) @ library.loadings.T
    distance = np.linalg.norm(near[0] - near[1:20], axis=1)
    np.testing.assert_allclose(distance, np.linalg.norm(seen[0] - seen[1:20], axis=1), rtol=1e-8)


def test_a_library_restored_from_its_state_goes_on_as_if_nothing_had_been(
    world: tuple[np.ndarray, np.ndarray],
) -> None:
    features, truth = world
    library = merged(features, truth)
    again = library_on(features)
    again.restore(library.state())
    for one in (library, again):
        one.merge(views_on(features, truth, agents=60, seed=7), step=8, n_words=300)
    assert library.history == again.history
    assert library.ids == again.ids
    state, other = library.state(), again.state()
    assert state.keys() == other.keys()
    for name in state:
        np.testing.assert_array_equal(state[name], other[name])
    empty = Library(probe=np.arange(3))
    empty.restore(Library(probe=np.arange(3)).state())
    assert len(empty) == 0
    assert empty.unified is None


@pytest.mark.parametrize("wrong", [{"method": "magic"}, {"count": "all"}])
def test_an_unknown_way_of_unifying_is_refused_before_anything_is_merged(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="but it must be one of"):
        Library(probe=np.arange(3), **wrong)
