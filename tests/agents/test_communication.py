"""Phase 3: the parts of the two games, and the language game."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from agents.communication import (
    MEMORY_OF_SUCCESS,
    Talk,
    add_word,
    agreement,
    choose_dimension,
    nearest,
    pick_word,
    remember_success,
    spelled,
    standardised,
    turn_round,
    understood_words,
)
from agents.population import NOTHING, Population
from tests.agents.speakers import FEATURES, WORLD, axis_views, config, meeting_of, people, play

SEEDS = st.integers(0, 2**32 - 1)
HEIGHTS = arrays(np.float64, (3, 5, 2), elements=st.floats(-10, 10))


@given(height=HEIGHTS, shift=st.floats(-10, 10), scale=st.floats(0.1, 10))
def test_a_gesture_needs_no_common_unit(height: NDArray[np.float64], shift: float, scale: float) -> None:
    assume((height.std(axis=1) > 1e-3).all())
    z = standardised(height)
    np.testing.assert_allclose(z.mean(axis=1), 0, atol=1e-9)
    np.testing.assert_allclose(z.std(axis=1), 1, atol=1e-9)
    np.testing.assert_allclose(standardised(shift + scale * height), z, atol=1e-6)
    np.testing.assert_allclose(standardised(-height), -z, atol=1e-9)


def test_where_all_objects_are_level_they_stand_nowhere() -> None:
    height = np.full((2, 4, 3), 0.7, dtype=np.float32)
    height[1, :, 2] = [1, 2, 3, 4]
    z = standardised(height)
    assert (z[0] == 0).all()
    assert (z[1, :, :2] == 0).all()
    assert (z[1, :, 2] != 0).all()
    assert (standardised(height[:, :1]) == 0).all()


@given(seed=SEEDS, candidates=st.integers(1, 5))
def test_the_speaker_uses_the_dimension_that_sets_the_topic_apart_most_among_those_understood(
    seed: int, candidates: int
) -> None:
    rng = np.random.default_rng(seed)
    spoken = rng.normal(size=(6, candidates, 8))
    topic = rng.integers(candidates, size=6)
    held, preferred = rng.random((6, 8)) < 0.5, rng.random((6, 8)) < 0.2
    held[0], preferred[1], preferred[2] = False, False, True
    chosen = choose_dimension(spoken, topic, held, preferred)
    for pair in range(6):
        slots = np.flatnonzero(held[pair] & preferred[pair])
        if len(slots) == 0:
            slots = np.flatnonzero(held[pair])
        if len(slots) == 0:
            assert chosen[pair] == NOTHING
            continue
        assert chosen[pair] in slots
        if candidates > 1:
            rivals = np.delete(spoken[pair], topic[pair], axis=0)
            margin = np.abs(rivals - spoken[pair, topic[pair]]).min(axis=0)
            assert margin[chosen[pair]] == margin[slots].max()


@given(candidates=arrays(np.bool_, (5, 6)), n=st.integers(1, 40))
def test_every_candidate_word_is_said_equally_often(candidates: NDArray[np.bool_], n: int) -> None:
    words = np.arange(30, dtype=np.int32).reshape(5, 6)
    # Chances that fall evenly over [0, 1) fall evenly on the candidates.
    for row in range(5):
        there = words[row, candidates[row]]
        repeats = n * max(len(there), 1)
        chances = (np.arange(repeats) + 0.5) / repeats
        said = pick_word(np.tile(words[row], (repeats, 1)), np.tile(candidates[row], (repeats, 1)), chances)
        if len(there) == 0:
            assert (said == NOTHING).all()
        else:
            assert np.unique(said, return_counts=True)[0].tolist() == there.tolist()
            assert (np.unique(said, return_counts=True)[1] == n).all()


@given(
    heard=arrays(np.float64, (4, 5), elements=st.floats(-3, 3)),
    gesture=arrays(np.float64, 4, elements=st.floats(-3, 3)),
)
def test_the_hearer_takes_the_object_nearest_to_the_gesture(
    heard: NDArray[np.float64], gesture: NDArray[np.float64]
) -> None:
    for row, place in enumerate(nearest(heard, gesture)):
        assert abs(heard[row, place] - gesture[row]) == min(abs(heard[row] - gesture[row]))


@given(seed=SEEDS, n_objects=st.integers(2, 12))
def test_agreement_is_the_correlation_of_levels(seed: int, n_objects: int) -> None:
    rng = np.random.default_rng(seed)
    shown = rng.normal(size=(4, n_objects)).astype(np.float32)
    own = rng.normal(size=(4, n_objects, 3)).astype(np.float32)
    own[2, :, 1], shown[3] = 0.5, 0.1
    r = agreement(shown, own)
    for pair in range(4):
        for slot in range(3):
            constant = (pair, slot) == (2, 1) or pair == 3
            expected = 0.0 if constant else np.corrcoef(shown[pair], own[pair, :, slot])[0, 1]
            assert r[pair, slot] == pytest.approx(expected, abs=1e-4)


def test_nothing_shown_says_nothing() -> None:
    assert (
        agreement(np.zeros((2, 0), dtype=np.float32), np.zeros((2, 0, 3), dtype=np.float32)) == np.zeros((2, 3))
    ).all()


@given(
    ours=arrays(np.int32, (3, 4, 2), elements=st.integers(-1, 8)),
    theirs=arrays(np.int32, (3, 5, 2), elements=st.integers(-1, 8)),
)
def test_words_are_understood_that_are_anywhere_among_theirs(
    ours: NDArray[np.int32], theirs: NDArray[np.int32]
) -> None:
    known = understood_words(ours, theirs)
    for index, word in np.ndenumerate(ours):
        assert known[index] == (word >= 0 and word in theirs[index[0]])


@given(sizes=st.lists(st.integers(0, 3), min_size=4, max_size=4))
def test_a_new_word_comes_last_and_a_full_inventory_forgets_its_oldest(sizes: list[int]) -> None:
    words = np.full((4, 2, 3), NOTHING, dtype=np.int32)
    for row, size in enumerate(sizes):
        words[row, 1, :size] = 10 * row + np.arange(size)
    before = words.copy()
    rows = np.array([3, 0, 2])
    add_word(words, rows, np.array([1, 1, 1]), np.array([73, 70, 72], dtype=np.int32))
    for row in range(4):
        kept = [w for w in before[row, 1].tolist() if w != NOTHING]
        if row != 1:
            kept = [*kept, 70 + row][-3:]
        assert words[row, 1].tolist() == kept + [NOTHING] * (3 - len(kept))
    assert (words[:, 0] == NOTHING).all()


def test_words_are_spelled_differently_and_can_be_pronounced() -> None:
    spellings = [spelled(word) for word in range(100_000)]
    assert len(set(spellings)) == 100_000
    syllables = re.compile(r"([bdgklmnprstvz][aeiou]){2,}")
    assert all(syllables.fullmatch(text) for text in spellings)
    assert max(len(text) for text in spellings) == 6
    assert len({text[:2] for text in spellings[:10]}) > 5, "neighbours do not sound alike"


def test_what_is_no_word_is_not_spelled() -> None:
    with pytest.raises(ValueError, match="-1 is no word"):
        spelled(NOTHING)


def test_a_dimension_that_is_turned_round_is_felt_as_its_owner_feels_in_general() -> None:
    population = people(axis_views(3, [0, 1]), config(3))
    population.score[1, :2], population.contests[1, :2] = [0.9, 0.3], 7
    before = population.copy()
    turn_round(population, np.array([1]), np.array([0]))
    assert (population.loading[1, 0] == -before.loading[1, 0]).all()
    assert population.score[1, 0] == pytest.approx(0.6)
    assert population.contests[1, :2].tolist() == [0, 7]
    population.loading[1, 0], population.score[1, 0], population.contests[1, 0] = before.loading[1, 0], 0.9, 7
    for name, column in population.columns().items():
        assert np.array_equal(column, getattr(before, name)), name


def with_words(population: Population, words: dict[tuple[int, int], list[int]]) -> Population:
    for (row, slot), inventory in words.items():
        population.words[row, slot] = inventory + [NOTHING] * (population.words.shape[2] - len(inventory))
    return population


def test_who_share_dimensions_and_words_always_understand_each_other() -> None:
    n = 100
    life = config(2 * n)
    population = people(axis_views(2 * n, list(range(8))), life)
    population.words[:, :, 0] = np.arange(8)
    before = population.copy()
    outcome = play(population, meeting_of(n), life, n_words=8)
    assert outcome.success.all()
    assert outcome.known.all()
    assert (outcome.speaker_slot == outcome.hearer_slot).all()
    assert (outcome.word == outcome.speaker_slot).all()
    assert outcome.n_words == 8
    assert len(set(outcome.word.tolist())) > 3
    for name, column in population.columns().items():
        assert np.array_equal(column, getattr(before, name)), name


def test_who_mean_the_opposite_by_a_word_misunderstand_each_other_and_learn_nothing_from_it() -> None:
    n = 60
    life = config(2 * n)
    views = axis_views(2 * n, [3])
    views[n:] *= -1
    population = people(views, life)
    population.words[:, 0, 0] = 5
    before = population.words.copy()
    outcome = play(population, meeting_of(n, candidates=2), life, n_words=6)
    # Of two objects the one that stands higher stands lower.
    assert not outcome.success.any()
    assert outcome.known.all()
    assert np.array_equal(population.words, before)


def test_after_success_both_keep_only_the_word_that_was_understood() -> None:
    life = config(4)
    population = people(axis_views(4, [0, 1]), life)
    for row in range(4):
        with_words(population, {(row, 0): [row, 9, 30 + row], (row, 1): [20 + row, 40 + row]})
    outcome = play(population, meeting_of(2), life, n_words=50)
    assert outcome.success.all()
    assert outcome.word.tolist() == [9, 9], "the audience knows no other of their words"
    assert (outcome.speaker_slot == 0).all()
    for row in range(4):
        assert population.words[row, 0].tolist() == [9, NOTHING, NOTHING, NOTHING]
        assert population.words[row, 1].tolist() == [20 + row, 40 + row, NOTHING, NOTHING]


def test_speakers_who_mind_their_audience_use_dimensions_whose_word_it_knows() -> None:
    n = 80
    population = people(axis_views(2 * n, [0, 1, 2, 3]), config(2 * n))
    population.words[:, :4, 0] = np.arange(8 * n).reshape(2 * n, 4)
    population.words[:, 2, 1] = 1000
    meeting = meeting_of(n)
    minding = play(population.copy(), meeting, config(2 * n, audience=True), n_words=1001)
    assert (minding.speaker_slot == 2).all()
    assert (minding.word == 1000).all()
    assert minding.success.all()
    careless = play(population.copy(), meeting, config(2 * n, audience=False), n_words=1001)
    assert 0 < (careless.speaker_slot == 2).mean() < 0.6
    assert 0 < (careless.word == 1000).mean() < 0.4


def test_speakers_coin_words_for_dimensions_without_a_name() -> None:
    n = 5
    life = config(2 * n)
    population = people(axis_views(2 * n, [0, 1]), life)
    with_words(population, {(2, 0): [3], (2, 1): [4]})
    rows, slots = np.array([4, 4]), np.array([0, 1])
    population.clear(rows, slots)
    outcome = play(population, meeting_of(n), life, n_words=7)
    # Row 2 has names already, and row 4 has nothing to name.
    assert outcome.word[[0, 1, 3]].tolist() == [7, 8, 9]
    assert outcome.word[2] in (3, 4)
    assert outcome.n_words == 10
    assert outcome.word[4] == outcome.speaker_slot[4] == outcome.hearer_slot[4] == NOTHING
    assert not outcome.success[4]
    assert not outcome.known[4]
    assert (population.words[9] == NOTHING).all(), "who hears nothing learns nothing"
    for pair in (0, 1, 3):
        assert population.words[pair, outcome.speaker_slot[pair], 0] == 7 + [0, 1, 3].index(pair)


def test_a_hearer_without_dimensions_understands_and_learns_nothing() -> None:
    life = config(2)
    population = people(axis_views(2, [0]), life)
    population.clear(np.array([1]), np.array([0]))
    outcome = play(population, meeting_of(1), life)
    assert outcome.hearer_slot.tolist() == [NOTHING]
    assert not outcome.success.any()
    assert (population.words[1] == NOTHING).all()
    assert outcome.speaker_slot.tolist() == [0]


@given(seed=SEEDS, common_ground=st.integers(0, 8), named=st.integers(0, 2**3 - 1))
def test_an_unknown_word_goes_to_the_dimension_that_orders_things_most_alike(
    seed: int, common_ground: int, named: int
) -> None:
    rng = np.random.default_rng(seed)
    life = config(2, common_ground=common_ground)
    population = people(rng.normal(size=(2, 3, FEATURES)), life)
    with_words(population, {(1, slot): [50 + slot] for slot in range(3) if named >> slot & 1})
    population.score[1, :3], population.contests[1, :3] = [0.2, 0.4, 0.9], 3
    before = population.copy()
    meeting = meeting_of(1, seed=seed)
    outcome = play(population, meeting, life, n_words=60, seed=seed)
    assert not outcome.success.any()
    assert not outcome.known.any()

    twin = np.random.default_rng(seed)
    twin.random(1)
    shown = [*meeting.scene[0], *WORLD.probe[twin.integers(len(WORLD.probe), size=common_ground)]]
    demonstrated = WORLD.features[shown] @ before.loading[0, outcome.speaker_slot[0]]
    own = WORLD.features[shown] @ before.loading[1, :3].T
    r = np.array([np.corrcoef(demonstrated, own[:, slot])[0, 1] for slot in range(3)])
    free = np.array([not named >> slot & 1 for slot in range(3)])
    fit = np.where(free, np.abs(r), r)
    taken = int(outcome.hearer_slot[0])
    assert fit[taken] == pytest.approx(fit.max(), abs=1e-5)
    assert population.words[1, taken].tolist() == ([50 + taken] if not free[taken] else []) + [60] + [NOTHING] * (
        2 + int(free[taken])
    )
    others = [slot for slot in range(3) if slot != taken]
    assert np.array_equal(population.words[1, others], before.words[1, others])
    # A dimension without a name turns round to agree; one with a name never does.
    turned = bool(free[taken] and r[taken] < 0)
    direction = np.ones((8, 1), dtype=np.float32)
    direction[taken] = -1 if turned else 1
    assert np.array_equal(population.loading[1], direction * before.loading[1])
    assert np.array_equal(population.loading[0], before.loading[0])
    assert population.score[1, taken] == pytest.approx(0.5 if turned else before.score[1, taken])
    assert population.contests[1, taken] == (0 if turned else 3)


def test_after_one_lesson_with_enough_to_point_at_a_word_is_understood() -> None:
    n = 50
    life = config(2 * n, common_ground=30)
    rng = np.random.default_rng(8)
    views = axis_views(2 * n, list(range(6))) * rng.choice([-1.0, 1.0], size=(2 * n, 6, 1))
    population = people(views, life)
    lesson = play(population, meeting_of(n), life)
    assert not lesson.success.any()
    assert (lesson.hearer_slot == lesson.speaker_slot).mean() > 0.95
    again = play(population, meeting_of(n, seed=9), life, n_words=lesson.n_words)
    assert (again.word == lesson.word).all(), "speakers prefer the word that has been taught"
    assert again.known.all()
    assert again.success.mean() > 0.95


def test_talk_changes_nothing_about_those_who_do_not_take_part() -> None:
    life = config(10)
    population = people(axis_views(10, [0, 1, 2]), life)
    before = population.copy()
    outcome = play(population, meeting_of(3), life)
    remember_success(population, meeting_of(3), outcome)
    for name, column in population.columns().items():
        assert np.array_equal(column[6:], getattr(before, name)[6:]), name


def test_success_is_remembered_in_running_means_in_general_and_along_the_dimension_used() -> None:
    population = people(axis_views(4, [0, 1, 2]), config(4))
    population.success[:], population.understood[:, :3] = 0.5, 0.3
    outcome = Talk(
        success=np.array([True, False]),
        word=np.array([0, 1], dtype=np.int32),
        known=np.array([True, False]),
        speaker_slot=np.array([1, 2]),
        hearer_slot=np.array([0, NOTHING]),
        picked=np.array([0, NOTHING]),
        n_words=2,
    )
    remember_success(population, meeting_of(2), outcome)
    up, down = 0.5 + MEMORY_OF_SUCCESS * 0.5, 0.5 - MEMORY_OF_SUCCESS * 0.5
    np.testing.assert_allclose(population.success, [up, down, up, down], rtol=1e-6)
    expected = np.full((4, 3), 0.3)
    expected[0, 1] = expected[2, 0] = 0.3 + MEMORY_OF_SUCCESS * 0.7
    expected[1, 2] = 0.3 - MEMORY_OF_SUCCESS * 0.3
    np.testing.assert_allclose(population.understood[:, :3], expected, rtol=1e-6)
    assert (population.understood[:, 3:] == 0).all()
