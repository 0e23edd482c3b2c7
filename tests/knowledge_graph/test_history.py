"""Who is who from merge to merge: ids, directions, events, and any earlier library."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowledge_graph.history import (
    BACK,
    RECOGNISED,
    alive,
    by_loadings,
    matched,
    number_of,
    pointing,
    recognise,
    since,
)
from knowledge_graph.library import Library
from knowledge_graph.views import Views
from tests.knowledge_graph.handmade import FACTORS, library_on, planted, views_on
from tests.knowledge_graph.known import OBJECTS, assert_same, directions, put_in, silent_views, unified_of


def library_after(*merges: np.ndarray, supports: list[list[float] | None] | None = None) -> Library:
    """A library that has found these scores [P, K], one merge after the other."""
    library = Library(probe=np.arange(OBJECTS))
    for scores, support in itertools.zip_longest(merges, supports or []):
        put_in(library, unified_of(scores, support=support), step=10 * (len(library.rounds) + 1))
    return library


def happened(library: Library, round_: int) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(e.kind, e.concept, e.parents) for e in library.rounds[round_ - 1].events]


def test_concepts_found_in_another_order_and_turned_round_keep_their_ids_and_directions() -> None:
    b = directions(4)
    library = library_after(b, b[:, [2, 0, 3, 1]] * [-1, 1, -1, -1])
    assert library.ids == ("c1", "c2", "c3", "c4")
    assert happened(library, 2) == []
    np.testing.assert_array_equal(library.unified.scores, b)


def test_everything_of_a_concept_moves_and_turns_with_it() -> None:
    b = directions(2)
    rng = np.random.default_rng(1)
    r, weights, loadings = rng.uniform(-0.4, 0.4, (3, 2, 2)), rng.standard_normal((5, 2)), rng.standard_normal((5, 2))
    views = silent_views(3, 2)
    # The first ones point the way the library would turn them.
    weights *= np.sign((weights**3).sum(axis=0))
    library = Library(probe=np.arange(OBJECTS))
    support = np.array([0.9, 0.5])
    put_in(library, unified_of(b, correlation=r, support=support, weights=weights, loadings=loadings), views)
    swapped = {
        "correlation": r[:, :, ::-1] * [1, -1],
        "support": support[::-1],
        "weights": weights[:, ::-1] * [1, -1],
        "loadings": loadings[:, ::-1] * [1, -1],
    }
    put_in(library, unified_of(b[:, ::-1] * [1, -1], **swapped), views)
    first, second = (round_.unified for round_ in library.rounds)
    for name in ("scores", *swapped):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=name)


def test_the_better_supported_of_new_concepts_have_the_lower_numbers_and_come_first() -> None:
    b = directions(3)
    library = library_after(b, supports=[[0.2, 0.9, 0.5]])
    assert library.ids == ("c1", "c2", "c3")
    found = np.abs(b.T @ library.unified.scores / OBJECTS)
    np.testing.assert_allclose(found, np.eye(3)[:, [1, 2, 0]], atol=1e-12)
    assert [e.concept for e in library.history] == ["c1", "c2", "c3"]


def test_what_is_half_like_a_concept_that_goes_on_has_split_off_from_it_and_points_its_way() -> None:
    b = directions(2)
    closer, other = b @ [0.8, 0.6], b @ [-0.6, 0.8]
    library = library_after(b[:, :1], np.stack([other, closer], axis=1))
    assert happened(library, 2) == [("split", "c2", ("c1",))]
    np.testing.assert_allclose(library.unified.scores.T @ b[:, 0] / OBJECTS, [0.8, 0.6])


def test_what_is_no_longer_there_but_half_in_another_has_merged_into_it() -> None:
    b = directions(2)
    library = library_after(b, (b @ [0.6, 0.8])[:, None])
    assert library.ids == ("c2",)
    assert happened(library, 2) == [("merge", "c2", ("c2", "c1"))]


def test_what_nothing_is_like_any_more_retires_and_what_is_like_nothing_is_born() -> None:
    b = directions(3)
    library = library_after(b[:, :2], b[:, [0, 2]])
    assert library.ids == ("c1", "c3")
    assert happened(library, 2) == [("birth", "c3", ()), ("retirement", "c2", ())]


def test_two_that_merged_and_part_again_are_who_they_were() -> None:
    b = directions(2)
    library = library_after(b, (b @ [0.8, 0.6])[:, None], -b[:, ::-1])
    assert library.ids == ("c1", "c2")
    assert happened(library, 2) == [("merge", "c1", ("c1", "c2"))]
    assert happened(library, 3) == [("return", "c2", ())]
    np.testing.assert_allclose(library.unified.scores, b)


def test_a_concept_that_comes_back_has_its_id_name_direction_and_age_again() -> None:
    b = directions(3)
    library = library_after(b[:, :2], b[:, [0]], np.stack([b[:, 0], b[:, 2]], axis=1), -b[:, [1, 0]])
    assert happened(library, 4) == [("return", "c2", ()), ("retirement", "c3", ())]
    (back,) = [c for c in library.concepts() if c.id == "c2"]
    assert back.word == library.at(1).concept("c2").word
    assert back.since == since(library.history)["c2"] == 10
    np.testing.assert_allclose(back.scores, b[:, 1])


def test_a_concept_is_back_only_if_it_could_be_no_other() -> None:
    b = directions(3)
    near = b @ [0.0, BACK - 0.02, np.sqrt(1 - (BACK - 0.02) ** 2)]
    library = library_after(b[:, :2], b[:, [0]], np.stack([b[:, 0], near], axis=1))
    assert happened(library, 3) == [("birth", "c3", ())]
    near = b @ [0.0, BACK + 0.02, np.sqrt(1 - (BACK + 0.02) ** 2)]
    library = library_after(b[:, :2], b[:, [0]], np.stack([b[:, 0], near], axis=1))
    assert happened(library, 3) == [("return", "c2", ())]


@pytest.mark.parametrize(("formerly", "kind"), [(0.85, "return"), (0.75, "split")])
def test_what_is_like_one_that_had_gone_and_one_that_is_there_is_what_it_is_more_like(
    formerly: float, kind: str
) -> None:
    # Clusters may correlate, so that two of them can be like one concept.
    found = recognise(
        {"c1": np.array([0.9, 0.8])},
        {"c2": np.array([0.1, -formerly])},
        unified=unified_of(directions(2)),
        step=4,
        round_=3,
    )
    (event,) = found.events
    assert event.kind == kind
    assert found.ids == (["c1", "c2"] if kind == "return" else ["c1", "c3"])
    assert found.sign.tolist() == ([1, -1] if kind == "return" else [1, 1])


def test_weak_likenesses_do_not_take_a_concept_its_id() -> None:
    # By the sum of all |r| the second matching would be better: .6 + 0 < .45 + .3.
    assert matched(np.array([[0.6, 0.45], [0.3, 0.0]])) == [(0, 0)]
    b = directions(6)
    old = np.stack([b[:, 0], b[:, 1]], axis=1)
    new = np.stack([b @ [0.6, 0.3, np.sqrt(0.55), 0, 0, 0], b @ [0.45, 0.0, 0.0, np.sqrt(1 - 0.45**2), 0, 0]], axis=1)
    library = library_after(old, new)
    assert library.ids == ("c1", "c3")
    assert happened(library, 2) == [("birth", "c3", ()), ("retirement", "c2", ())]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 4))
def test_matching_is_the_best_there_is_and_leaves_no_two_that_are_recognisable(seed: int, j: int, k: int) -> None:
    r = np.random.default_rng(seed).uniform(-1, 1, (j, k))
    pairs = matched(r)
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
    assert all(abs(r[pair]) >= RECOGNISED for pair in pairs)
    counted = np.where(np.abs(r) >= RECOGNISED, np.abs(r), 0.0)
    wide = counted if j <= k else counted.T
    best = max(
        sum(wide[i, c] for i, c in enumerate(way)) for way in itertools.permutations(range(max(j, k)), min(j, k))
    )
    assert sum(abs(r[pair]) for pair in pairs) == pytest.approx(best)
    rows, columns = ({pair[side] for pair in pairs} for side in (0, 1))
    left = [abs(r[a, b]) for a in range(j) for b in range(k) if a not in rows and b not in columns]
    assert all(one < RECOGNISED for one in left)


def random_merges(seed: int, counts: list[int]) -> list[np.ndarray]:
    """Concepts [P, k] in a space of six dimensions, from merge to merge some the same, some mixed, some others."""
    rng = np.random.default_rng(seed)
    b, turn, found = directions(6), np.eye(6), []
    for k in counts:
        i, j = rng.permutation(6)[:2]
        angle = rng.choice([0.0, 0.3, np.pi / 4, 1.0])
        givens = np.eye(6)
        givens[[i, i, j, j], [i, j, i, j]] = np.cos(angle), np.sin(angle), -np.sin(angle), np.cos(angle)
        turn = turn @ givens
        found.append(b @ turn[:, rng.permutation(6)[:k]] * rng.choice([-1.0, 1.0], k))
    return found


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.lists(st.integers(0, 5), min_size=1, max_size=8))
def test_the_events_say_at_any_time_which_concepts_there_are_and_where_they_come_from(
    seed: int, counts: list[int]
) -> None:
    library = Library(probe=np.arange(OBJECTS))
    ever: list[str] = []
    rng = np.random.default_rng(seed)
    for scores in random_merges(seed, counts):
        before = set(library.ids)
        put_in(library, unified_of(scores, support=rng.uniform(0, 1, scores.shape[1])), step=7 * len(library.rounds))
        last = library.rounds[-1]
        assert alive(library.history) == set(last.ids)
        assert list(last.ids) == sorted(set(last.ids), key=number_of)
        for event in last.events:
            assert (event.round, event.step) == (last.number, last.step)
            if event.kind in ("birth", "split"):
                assert number_of(event.concept) == len(ever) + 1  # numbers are given once, and none is left out
                ever.append(event.concept)
            if event.kind == "birth":
                assert event.parents == ()
            elif event.kind == "split":
                (parent,) = event.parents
                assert parent in before & set(last.ids)
            elif event.kind == "return":
                assert event.concept in set(ever) - before
            elif event.kind == "merge":
                into, gone = event.parents
                assert into == event.concept
                assert into in before & set(last.ids)
                assert gone in before - set(last.ids)
            else:
                assert event.kind == "retirement"
                assert event.concept in before - set(last.ids)
        assert set(library.names) == set(ever)
        assert len(set(library.names.values())) == len(ever)
        assert since(library.history).keys() == set(ever)
    for r in range(len(library.rounds) + 1):
        assert alive(library.at(r).history) == set(library.at(r).ids)


def test_a_concept_that_goes_on_is_as_it_was_before_turned_round_or_not() -> None:
    library = Library(probe=np.arange(OBJECTS))
    for scores in random_merges(3, [4, 4, 4, 4, 4]):
        before = {} if library.unified is None else dict(zip(library.ids, library.unified.scores.T, strict=True))
        put_in(library, unified_of(scores))
        for name, now in zip(library.ids, library.unified.scores.T, strict=True):
            if name in before:
                assert now @ before[name] / OBJECTS >= RECOGNISED


@pytest.mark.parametrize("turn", [1.0, -1.0])
def test_a_new_concept_points_where_it_is_heavier_whatever_the_solver_made_of_it(turn: float) -> None:
    scores, heavy = directions(1), np.array([[0.1], [-0.9], [0.2]])
    by_weights = unified_of(scores * turn, weights=heavy * turn, loadings=-heavy * turn)
    assert pointing(by_weights, 0) == -turn
    assert pointing(unified_of(scores * turn, loadings=-heavy * turn), 0) == turn
    skewed = np.sign((scores**3).sum())
    assert pointing(unified_of(scores * turn), 0) == skewed * turn
    library = Library(probe=np.arange(OBJECTS))
    put_in(library, by_weights)
    np.testing.assert_array_equal(library.weights, -heavy)


def test_concepts_without_shared_objects_are_known_by_their_loadings_also_when_there_are_more_features() -> None:
    library = Library()
    loadings = np.random.default_rng(0).standard_normal((6, 3))
    loadings *= np.sign((loadings**3).sum(axis=0))
    put_in(library, unified_of(np.zeros((0, 3)), loadings=loadings))
    grown = np.vstack([loadings, 0.1 * np.ones((2, 3))])[:, [1, 2, 0]] * [-1, 1, -1]
    put_in(library, unified_of(np.zeros((0, 3)), loadings=grown))
    assert library.ids == ("c1", "c2", "c3")
    assert happened(library, 2) == []
    np.testing.assert_array_equal(library.loadings[:6], loadings)
    put_in(library, unified_of(np.zeros((0, 3)), loadings=loadings))
    assert happened(library, 3) == []
    np.testing.assert_allclose(np.diag(by_loadings(grown, grown)), 1.0)


def test_concepts_that_nothing_compares_are_refused_and_the_library_stays_as_it_was() -> None:
    library = library_after(directions(2))
    before = library.copy()
    with pytest.raises(ValueError, match="nothing says which concept is which"):
        put_in(library, unified_of(np.zeros((0, 2)), loadings=np.eye(2)))
    assert_same(library, before)


def a_growing_society(merges: int = 4) -> list[Views]:
    """Views of a society that grows and shrinks; in some merges not everybody knows everything."""
    features, truth = planted()
    poorer = truth.copy()
    poorer[:, 0] = 0.0
    poorer[:, 1] = truth[:, 2]
    worlds = [truth, poorer, truth, truth]
    found = []
    for number, (agents, known) in enumerate(zip([40, 70, 25, 90], worlds, strict=True)):
        views = views_on(features, known, agents=agents, seed=number)
        words = np.random.default_rng(number).integers(-1, 12, views.words.shape).astype(np.int32)
        found.append(dataclasses.replace(views, words=words, agent=np.arange(agents) + 10 * number))
    return found[:merges]


@pytest.fixture(scope="module")
def lived() -> tuple[Library, list[Library]]:
    """A library that has merged a growing society, and what was copied from it after each merge."""
    library = library_on(planted()[0])
    copies = [library.copy()]
    for number, views in enumerate(a_growing_society()):
        library.merge(views, step=5 * number + 5, n_words=12)
        copies.append(library.copy())
    return library, copies


def test_a_society_that_grows_and_shrinks_keeps_its_concepts(lived: tuple[Library, list[Library]]) -> None:
    library, _ = lived
    assert [len(round_.views) for round_ in library.rounds] == [40, 70, 25, 90]
    assert library.rounds[0].ids == library.rounds[2].ids == library.rounds[3].ids
    assert len(library.rounds[0].ids) == FACTORS
    assert len(library.rounds[1].ids) < FACTORS
    assert {e.kind for e in library.rounds[2].events} == {"return"}
    assert library.rounds[3].events == ()
    first, last = library.at(1), library
    for one, other in zip(first.ids, last.ids, strict=True):
        assert np.corrcoef(first.concept(one).scores, last.concept(other).scores)[0, 1] > 0.9
        assert first.concept(one).word == last.concept(other).word


@pytest.mark.parametrize("r", range(5))
def test_the_library_at_a_round_is_the_library_as_it_was_then(lived: tuple[Library, list[Library]], r: int) -> None:
    library, copies = lived
    assert_same(library.at(r), copies[r])
    assert_same(library.at(r - 5), copies[r])
    assert library.at(r).probe is not None
    assert library.at(r).count == library.count


@pytest.mark.parametrize("r", range(4))
def test_going_on_from_an_earlier_round_leads_to_the_same(lived: tuple[Library, list[Library]], r: int) -> None:
    library, _ = lived
    earlier = library.at(r)
    for number, views in list(enumerate(a_growing_society()))[r:]:
        earlier.merge(views, step=5 * number + 5, n_words=12)
    assert_same(earlier, library)


@pytest.mark.parametrize("r", range(4))
def test_a_run_that_is_resumed_from_its_state_leads_to_the_same(lived: tuple[Library, list[Library]], r: int) -> None:
    library, copies = lived
    # As a checkpoint does it: arrays to arrays, into a library that is made anew.
    resumed = library_on(planted()[0])
    resumed.restore({name: np.array(array) for name, array in copies[r].state().items()})
    assert_same(resumed, copies[r])
    for number, views in list(enumerate(a_growing_society()))[r:]:
        resumed.merge(views, step=5 * number + 5, n_words=12)
    assert_same(resumed, library)


def test_a_copy_goes_its_own_way(lived: tuple[Library, list[Library]]) -> None:
    library, copies = lived
    before, copy = library.copy(), library.copy()
    features, truth = planted()
    copy.merge(views_on(features, np.random.default_rng(2).permutation(truth), agents=30, seed=9), step=99)
    assert len(copy.rounds) == len(library.rounds) + 1
    assert copy.ids != library.ids
    assert_same(library, before)
    assert_same(copy.at(-2), copies[-1])


def test_a_round_that_has_not_been_is_a_key_error_that_says_which_there_are(
    lived: tuple[Library, list[Library]],
) -> None:
    for r in (5, -6, 99):
        with pytest.raises(KeyError) as told:
            lived[0].at(r)
        assert str(told.value) == f"there is no round {r}; this library has the rounds 0 to 4"


def test_a_word_coined_for_a_concept_is_never_one_that_there_is_already() -> None:
    features, truth = planted()
    views = views_on(features, truth, agents=40)
    said = dataclasses.replace(views, words=np.where(np.arange(2) == 0, 6, -1) + 0 * views.words)
    library = library_on(features)
    told = library.merge(said, n_words=0)  # there are seven words already: one of them names a concept
    assert sorted(told.word.tolist()) == [6, 7, 8, 9, 10, 11]
    other = truth @ np.linalg.qr(np.random.default_rng(1).standard_normal((FACTORS, FACTORS)))[0]
    library.merge(views_on(features, np.random.default_rng(2).permutation(other), agents=60, seed=4), n_words=0)
    assert len(set(library.names.values())) == len(library.names)


def test_steps_and_words_may_be_numbers_of_numpy() -> None:
    features, truth = planted()
    library = library_on(features)
    library.merge(views_on(features, truth, agents=40), step=np.int64(3), n_words=np.int32(50))
    again = library_on(features)
    again.restore(library.state())
    assert_same(library, again)
    assert type(library.history[0].step) is int
