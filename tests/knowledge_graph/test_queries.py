"""Questions to a library whose truth is known."""

import dataclasses

import numpy as np
import pytest

from agents.communication import spelled
from knowledge_graph.concept import N_EXEMPLARS
from knowledge_graph.library import Library
from knowledge_graph.queries import UNDERSTOOD, Meaning, told
from tests.knowledge_graph.handmade import library_on, planted, views_on
from tests.knowledge_graph.known import (
    CORRELATION,
    HELD,
    PROBE,
    directions,
    known_library,
    known_views,
    put_in,
    spell,
    unified_of,
)


@pytest.fixture(scope="module")
def library() -> Library:
    return known_library()


def sentence(asked: pytest.ExceptionInfo[KeyError]) -> str:
    text = str(asked.value)
    assert "\n" not in text
    assert text[0] not in "'\""
    assert text.startswith(("no ", "nothing ", "agent ", "concept ", "there is no "))
    return text


def test_a_concept_is_found_by_its_id_and_by_its_name(library: Library) -> None:
    assert [c.id for c in library.concepts()] == ["c1", "c2", "c3"]
    assert [spell(c.word) for c in library.concepts()] == ["kiru", "moba", "vano"]  # the last had to be coined
    for concept in library.concepts():
        assert library.concept(spell(concept.word)).id == concept.id
        assert library.concept(concept.id).support == concept.support


def test_a_concept_names_its_agents_the_closest_first(library: Library) -> None:
    assert library.concept("c1").agents() == [3, 11]
    assert library.concept("c2").agents() == [7, 3]
    assert library.concept("c3").agents() == [7]
    assert library.concept("c1").words == {0: 2, 4: 1}
    assert library.concept("c2").words == {1: 2, 2: 1}


def test_an_agents_dimensions_are_told_slot_by_slot(library: Library) -> None:
    first, second = library.agent(3)
    assert first == Meaning(
        agent=3,
        slot=0,
        kind="abstract",
        words=("kiru",),
        concept="c1",
        name="kiru",
        r=pytest.approx(0.9),
        superiority=0.5,
        born=2,
        sources=(100, 101),
    )
    assert (second.slot, second.kind, second.words, second.concept) == (1, "raw", ("moba", "tane"), "c2")
    assert second.r == pytest.approx(-0.8)
    assert str(first) == "agent 3, dimension 0 (abstract, called kiru): a form of c1 (kiru), r = +0.90"
    mixed = library.agent(7)[2]
    assert (mixed.concept, mixed.name, mixed.r) == (None, None, 0.0)
    assert str(mixed) == "agent 7, dimension 2 (abstract, called silo): a form of no concept"
    assert str(library.agent(7)[1]).startswith("agent 7, dimension 1 (abstract, called nothing)")
    assert library.agent(20) == []


def test_what_an_agent_means_by_a_word_is_told_by_text_or_number(library: Library) -> None:
    (found,) = library.meaning(3, "tane")
    assert (found.slot, found.concept) == (1, "c2")
    assert library.meaning(3, 2) == library.meaning(3, np.int64(2)) == [found]
    several = dataclasses.replace(known_views(), words=np.where(HELD[:, :, None], 1, -1).astype(np.int32))
    other = Library(probe=PROBE, spell=spell)
    put_in(other, unified_of(directions(3), correlation=-CORRELATION), several)
    assert [round(one.r, 3) for one in other.meaning(3, "moba")] == [-0.9, 0.8]
    assert [one.slot for one in other.meaning(7, "moba")] == [0, 1, 2]  # the closest to a concept first


def test_a_dimension_is_translated_into_the_others_slot_and_direction(library: Library) -> None:
    found = library.translate(3, 0, 11)
    assert (found.slot, found.concept, found.words) == (0, "c1", ("dupe", "kiru"))
    assert found.r == pytest.approx(-0.9 * 0.85)
    assert str(found) == (
        "agent 3's kiru is agent 11's dimension 0, called dupe or kiru, turned round: r = -0.77 (both forms of c1)"
    )
    found = library.translate(3, "moba", 7)
    assert (found.slot, found.concept, found.r) == (0, "c2", pytest.approx(-0.8 * 0.95))
    back = library.translate(7, np.int64(0), 3)
    assert (back.slot, back.r) == (1, pytest.approx(found.r))
    assert type(back.of.slot) is int


def test_dimensions_that_are_alike_in_mixtures_only_are_translated_without_a_concept(library: Library) -> None:
    found = library.translate(7, 2, 3)
    assert (found.slot, found.concept) == (0, None)
    assert found.r == pytest.approx(0.45 * 0.9 + 0.45 * 0.1)
    assert "both forms" not in str(found)


def test_what_another_has_nothing_like_is_not_translated(library: Library) -> None:
    assert abs(0.2 * 0.85 - 0.7 * 0.2) < UNDERSTOOD
    found = library.translate(7, 1, 11)
    assert (found.slot, found.r, found.concept, found.words) == (None, 0.0, None, ())
    assert str(found) == "agent 11 has no dimension like agent 7's dimension 1 (without a word)"
    assert library.translate(3, 0, 20).slot is None


def test_every_dimension_is_for_its_own_agent_what_it_is(library: Library) -> None:
    for agent in (3, 7, 11):
        for one in library.agent(agent):
            found = library.translate(agent, one.slot, agent)
            assert (found.slot, found.r, found.concept, found.words) == (one.slot, 1.0, one.concept, one.words)


def test_translation_takes_into_account_that_concepts_go_together() -> None:
    a, b = directions(2).T
    scores = np.stack([a, 0.6 * a + 0.8 * b], axis=1)
    views = dataclasses.replace(known_views().take(slice(0, 2)), held=HELD[:2] & [[True, False, False]])
    # Agent 3 knows a alone, agent 7 what is left of the second concept when a is out of it, b: they share nothing.
    correlation = np.zeros((2, 3, 2))
    correlation[:, 0] = [[1.0, 0.6], [0.0, 0.8]]
    library = Library(probe=PROBE)
    put_in(library, unified_of(scores, correlation=correlation), views)
    assert library.translate(3, 0, 7).slot is None
    assert library.translate(3, 0, 3).r == pytest.approx(1.0)


def test_explaining_a_concept_goes_down_to_features_members_and_objects(library: Library) -> None:
    found = library.explain("c1")
    assert (found.concept, found.since, found.support) == ("c1", 10, 0.8)
    assert found.features[:2] == (("ears", 0.9), ("tail", 0.8))
    assert [(member.agent, member.slot) for member in found.members] == [(3, 0), (11, 0)]
    assert found.words == {"kiru": 2, "dupe": 1}
    assert found.objects == {100: 2, 101: 1}
    assert found.related == (("c3", pytest.approx(0.9 * 0.5 / np.hypot(0.9, 0.8) / np.hypot(0.5, 0.9))),)
    ranked = PROBE[np.argsort(library.concept("c1").scores)]
    assert found.weakest == tuple(ranked[:N_EXEMPLARS])
    assert found.strongest == tuple(ranked[::-1][:N_EXEMPLARS])
    text = str(found)
    assert "c1, called kiru: support 0.80, since step 10" in text
    assert "held by 2 agents, as 1 raw and 1 abstract dimensions" in text
    assert "they call it kiru (2), dupe (1)" in text
    assert "its members come from 2 objects, most often 100 (2), 101 (1)" in text
    assert "step 10: c1 is born" in text


def test_what_is_related_is_told_from_both_sides(library: Library) -> None:
    (first,), (second,) = library.explain("c1").related, library.explain("c3").related
    assert (first[0], second[0]) == ("c3", "c1")
    assert first[1] == pytest.approx(second[1])
    assert library.explain("c2").related == ()


def test_explaining_tells_all_that_a_concept_was_part_of(library: Library) -> None:
    assert [told(e) for e in library.explain("c2").events] == ["c2 is born", "c3 splits off from c2"]
    assert [told(e) for e in library.explain("c3").events] == ["c3 splits off from c2"]


def test_every_event_is_told_as_a_sentence() -> None:
    b = directions(3)
    library = Library(probe=PROBE)
    for scores in (b[:, :2], (b @ [0.8, 0.6, 0.0])[:, None], b[:, :2], b[:, [0]]):
        put_in(library, unified_of(scores))
    assert [told(event) for event in library.history] == [
        "c1 is born",
        "c2 is born",
        "c2 merges into c1",
        "c2 is back",
        "c2 retires",
    ]


def test_a_path_is_a_shortest_way_told_edge_by_edge(library: Library) -> None:
    way = library.path(3, 11)
    assert (way.start, way.end) == ("a:3", "a:11")
    assert str(way) == "a:3 <-held_by- d:3.0 -merged_into-> c1 <-merged_into- d:11.0 -held_by-> a:11"
    assert str(library.path("d:3.0", "c1")) == "d:3.0 -merged_into-> c1"
    assert str(library.path("c1", "d:3.0")) == "c1 <-merged_into- d:3.0"
    assert str(library.path("c3", "c2")) == "c3 -derived_from-> c2"
    assert str(library.path("kiru", "c1")) == "w:kiru <-named- c1"
    assert str(library.path("o:102", 7)) == "o:102 <-derived_from- d:7.0 -held_by-> a:7"
    assert str(library.path("c1", "c1")) == "c1"
    assert library.path(np.int64(3), np.int64(11)) == way


def test_agents_without_dimensions_hang_together_with_nothing(library: Library) -> None:
    way = library.path(3, 20)
    assert (way.start, way.end, way.steps) == ("a:3", "a:20", ())
    assert str(way) == "a:3 and a:20 do not hang together"
    assert str(library.path(20, "a:20")) == "a:20"


def test_ways_through_concepts_are_preferred_to_ways_through_objects(library: Library) -> None:
    # Dimensions 3.1 and 7.0 are forms of c2, and both come from object 102.
    assert str(library.path("d:3.1", "d:7.0")) == "d:3.1 -merged_into-> c2 <-merged_into- d:7.0"
    assert str(library.path("d:3.0", "o:100")) == "d:3.0 -derived_from-> o:100"


def test_unknown_things_are_key_errors_that_suggest_the_nearest(library: Library) -> None:
    asked = {
        lambda: library.concept("c4"): "no concept 'c4'; the nearest are c3, c2, c1",
        lambda: library.concept("c11"): "no concept 'c11'; the nearest are c1",
        lambda: library.explain(12): "no concept 12; the nearest are",
        lambda: library.agent(8): "no agent 8 in the views merged last; the nearest are 3, 7, 11",
        lambda: library.agent(10**30): "the nearest are 7, 11, 20",
        lambda: library.agent(-(2**63)): "the nearest are 3, 7, 11",
        lambda: library.agent(np.int64(19)): "no agent 19 in the views merged last; the nearest are 7, 11, 20",
        lambda: library.agent("a:20"): "no agent 'a:20' in the views merged last; the nearest are 20",
        lambda: library.meaning(3, "kira"): "agent 3 has no word 'kira'; the nearest are kiru",
        lambda: library.meaning(3, 5): "agent 3 has no word 'vano'; the nearest are tane",
        lambda: library.meaning(3, -1): "agent 3 has no word '-1'",
        lambda: library.meaning(20, "kiru"): "agent 20 has no word 'kiru'; there are none yet",
        lambda: library.translate(3, 2, 7): "agent 3 has no dimension 2; it has 0, 1",
        lambda: library.translate(20, 0, 7): "agent 20 has no dimension 0; it has none",
        lambda: library.translate(3, "mobe", 7): "agent 3 has no word 'mobe'; the nearest are moba",
        lambda: library.translate(3, 0, 8): "no agent 8",
        lambda: library.path(3, "kire"): "nothing in the library is called 'kire'; the nearest are w:kiru",
        lambda: library.path("d:3.2", 3): "nothing in the library is called 'd:3.2'; the nearest are d:",
        lambda: library.path(3, 8): "no agent 8",
        lambda: library.path(3, None): "nothing in the library is called None; the nearest are",
        lambda: library.to_pandas("word"): "no table 'word'; the nearest are words",
        lambda: library.at(3): "there is no round 3; this library has the rounds 0 to 2",
    }
    for ask, expected in asked.items():
        with pytest.raises(KeyError) as found:
            ask()
        assert expected in sentence(found)


def test_a_concept_that_has_gone_is_a_key_error_that_points_to_the_history() -> None:
    b = directions(2)
    library = Library(probe=PROBE)
    put_in(library, unified_of(b))
    put_in(library, unified_of(b[:, :1]))
    told = {"c2": "concept c2", library.spell(library.names["c2"]): "concept c2 (w1)"}
    for name, what in told.items():
        with pytest.raises(KeyError) as asked:
            library.concept(name)
        assert sentence(asked) == f"{what} is no longer in the library (see its history); there is only c1"


def test_an_empty_library_answers_every_question_with_a_key_error() -> None:
    library = Library(probe=PROBE)
    for ask in (
        lambda: library.concept("c1"),
        lambda: library.explain("c1"),
        lambda: library.agent(0),
        lambda: library.meaning(0, "kiru"),
        lambda: library.translate(0, 0, 1),
        lambda: library.path(0, 1),
        lambda: library.path("c1", "c2"),
    ):
        with pytest.raises(KeyError) as asked:
            ask()
        assert "there are none yet" in sentence(asked)


def test_a_word_that_no_speller_can_spell_is_a_key_error() -> None:
    features, truth = planted()
    library = Library(probe=np.arange(150), features=features[:150], spell=spelled)
    library.merge(views_on(features, truth, agents=30))
    with pytest.raises(KeyError, match="has no word '-1'"):
        library.meaning(3, -1)


def test_in_a_planted_world_dimensions_are_translated_into_what_they_correlate_with() -> None:
    features, truth = planted()
    views = views_on(features, truth, agents=60)
    library = library_on(features)
    library.merge(views)
    told_r, true_r = [], []
    for a in range(12):
        for slot in range(3):
            found = library.translate(a, slot, a + 20)
            if found.slot is None:
                continue
            told_r.append(found.r)
            true_r.append(np.corrcoef(views.levels[a, :, slot], views.levels[a + 20, :, found.slot])[0, 1])
    assert len(told_r) >= 25
    assert np.corrcoef(told_r, true_r)[0, 1] > 0.95
    np.testing.assert_allclose(told_r, true_r, atol=0.3)
