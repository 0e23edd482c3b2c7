"""The metrics of the language on languages made by hand, whose values are known."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr

from agents.language import (
    coherence,
    distinct_words,
    homonymy,
    settled_at,
    signal_distances,
    synonymy,
    topographic_similarity,
    understanding,
    utterances,
    words_per_dimension,
)
from agents.population import Population
from tests.agents.speakers import FEATURES, WORLD, axis_views, config, people

N, K = 10, 4
"""Agents who know every one of the concepts."""

CONCEPT = np.tile(np.arange(K), (N, 1))


def lexicon(words: NDArray[np.integer], places: int = 3) -> NDArray[np.int32]:
    """Inventories [N, K, places] of one word each."""
    found = np.full((*words.shape, places), -1, dtype=np.int32)
    found[..., 0] = words
    return found


# ---- words and concepts


def test_in_a_perfect_language_a_concept_has_one_word_a_word_one_concept_and_all_agree() -> None:
    words = lexicon(7 + 3 * CONCEPT)
    assert synonymy(words, CONCEPT) == pytest.approx(1)
    assert homonymy(words, CONCEPT) == pytest.approx(1)
    assert coherence(words, CONCEPT) == 1
    assert distinct_words(words) == K
    assert words_per_dimension(words, CONCEPT >= 0) == 1


def test_when_everybody_has_words_of_their_own_a_concept_has_as_many_as_there_are_agents() -> None:
    words = lexicon(np.arange(N * K).reshape(N, K))
    assert synonymy(words, CONCEPT) == pytest.approx(N)
    assert homonymy(words, CONCEPT) == pytest.approx(1)
    assert coherence(words, CONCEPT) == 0


def test_one_word_for_everything_is_agreed_on_and_means_everything() -> None:
    words = lexicon(np.full((N, K), 5))
    assert synonymy(words, CONCEPT) == pytest.approx(1)
    assert homonymy(words, CONCEPT) == pytest.approx(K)
    assert coherence(words, CONCEPT) == 1


def test_two_camps_agree_within_and_not_between() -> None:
    camp = np.arange(N)[:, None] % 2
    words = lexicon(2 * CONCEPT + camp)
    assert synonymy(words, CONCEPT) == pytest.approx(2)
    # Of the N - 1 others, N / 2 - 1 are of one's own camp.
    assert coherence(words, CONCEPT) == pytest.approx((N / 2 - 1) / (N - 1))


def test_two_words_known_to_all_are_said_by_two_agents_alike_half_of_the_time() -> None:
    words = lexicon(2 * CONCEPT)
    words[..., 1] = 2 * CONCEPT + 1
    assert coherence(words, CONCEPT) == pytest.approx(0.5)
    assert synonymy(words, CONCEPT) == pytest.approx(2)
    assert words_per_dimension(words, CONCEPT >= 0) == 2


def test_a_rare_synonym_counts_less_than_a_common_one() -> None:
    words = lexicon(np.zeros((N, 1), dtype=int))
    words[0, 0, 0] = 1
    share = np.array([1, N - 1]) / N
    assert synonymy(words, CONCEPT[:, :1]) == pytest.approx(np.exp(-(share * np.log(share)).sum()))


def test_a_word_that_some_say_of_the_opposite_direction_is_one_word_but_not_agreed_on() -> None:
    words, sign = lexicon(CONCEPT), np.ones((N, K))
    sign[::2] = -1
    assert synonymy(words, CONCEPT) == pytest.approx(1)
    assert coherence(words, CONCEPT, sign) == pytest.approx((N / 2 - 1) / (N - 1))
    assert coherence(words, CONCEPT, -sign) == pytest.approx((N / 2 - 1) / (N - 1))
    assert coherence(words, CONCEPT, np.full((N, K), -1)) == 1


def test_dimensions_without_words_or_of_no_concept_have_no_say() -> None:
    words, concept = lexicon(CONCEPT), CONCEPT.copy()
    words[0] = -1
    concept[1] = -1
    words[1, :, 0] = 99
    assert synonymy(words, concept) == pytest.approx(1)
    assert homonymy(words, concept) == pytest.approx(1)
    assert coherence(words, concept) == 1
    assert words_per_dimension(words, CONCEPT >= 0) == (N - 1) / N


def test_a_concept_counts_in_coherence_as_often_as_it_is_held() -> None:
    # Eight agree on the first concept; the two who hold the second do not.
    concept = np.array([0] * 8 + [1] * 2)[:, None]
    words = lexicon(np.array([3] * 8 + [4, 5])[:, None])
    assert coherence(words, concept) == pytest.approx(0.8)


def test_where_nothing_is_named_or_shared_nothing_is_told() -> None:
    silent = np.full((N, K, 2), -1)
    assert synonymy(silent, CONCEPT) is None
    assert homonymy(silent, CONCEPT) is None
    assert coherence(silent, CONCEPT) is None
    assert coherence(lexicon(CONCEPT[:1]), CONCEPT[:1]) is None
    assert synonymy(lexicon(CONCEPT), np.full((N, K), -1)) is None
    assert words_per_dimension(silent, np.zeros((N, K), dtype=bool)) is None
    assert distinct_words(silent) == 0


def test_words_and_concepts_of_different_dimensions_are_refused() -> None:
    for figure in (synonymy, homonymy, coherence):
        with pytest.raises(ValueError, match="words are"):
            figure(lexicon(CONCEPT), CONCEPT[:3])


@st.composite
def languages(draw: st.DrawFn) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int8]]:
    """Random words [n, s, w], each at most once in an inventory, concepts [n, s], one agent's all different, signs."""
    n, s, w = (draw(st.integers(1, most)) for most in (6, 3, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    pool = draw(st.integers(w, 12))
    words = np.argsort(rng.random((n, s, pool)), axis=2)[:, :, :w].astype(np.int32)
    words[np.arange(w) >= rng.integers(w + 1, size=(n, s, 1))] = -1
    concept = np.argsort(rng.random((n, s + 2)), axis=1)[:, :s].astype(np.int32) - 1
    return words, concept, rng.choice(np.array([-1, 1], dtype=np.int8), size=(n, s))


@given(languages())
@settings(max_examples=150, deadline=None)
def test_coherence_is_the_share_of_pairs_that_a_loop_over_pairs_finds(
    language: tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int8]],
) -> None:
    words, concept, sign = language
    forms = [
        (concept[i, j], sign[i, j], [word for word in words[i, j] if word >= 0]) for i, j in np.ndindex(concept.shape)
    ]
    named = [form for form in forms if form[0] >= 0 and form[2]]
    chances = []
    for i, (meant, way, own) in enumerate(named):
        others = [form for j, form in enumerate(named) if j != i and form[0] == meant]
        if others:
            agree = [
                (way == other_way) * len(set(own) & set(theirs)) / (len(own) * len(theirs))
                for _, other_way, theirs in others
            ]
            chances.append(np.mean(agree))
    found = coherence(words, concept, sign)
    assert found == (pytest.approx(np.mean(chances)) if chances else None)


@given(languages(), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_what_words_and_concepts_are_called_and_who_comes_first_changes_nothing(
    language: tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int8]], luck: object
) -> None:
    words, concept, sign = language
    rng = np.random.default_rng(luck.getrandbits(32))  # type: ignore[attr-defined]
    order = rng.permutation(len(words))
    rename = np.append(1000 * rng.permutation(12), -1)  # -1 stays
    renumber = np.append(rng.permutation(20), -1)
    other_words, other_concept = rename[words[order]], renumber[concept[order]]
    for figure in (synonymy, homonymy):
        before, after = figure(words, concept), figure(other_words, other_concept)
        assert (before is None) == (after is None)
        if before is not None:
            assert after == pytest.approx(before)
            assert before >= 1
    assert distinct_words(other_words) == distinct_words(words)
    before, after = coherence(words, concept, sign), coherence(other_words, other_concept, sign[order])
    assert after == (None if before is None else pytest.approx(before))
    assert before is None or 0 <= before <= 1


@given(languages())
@settings(max_examples=100, deadline=None)
def test_there_are_never_more_synonyms_than_words_nor_more_homonyms_than_concepts(
    language: tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int8]],
) -> None:
    words, concept, _ = language
    named = (words >= 0) & (concept >= 0)[:, :, None]
    if named.any():
        synonyms, homonyms = synonymy(words, concept), homonymy(words, concept)
        assert synonyms is not None
        assert homonyms is not None
        assert synonyms <= len(np.unique(words[named])) + 1e-9
        assert homonyms <= len(np.unique(concept[named.any(axis=2)])) + 1e-9


# ---- time to convention


def test_a_convention_has_come_about_when_values_stay_near_their_end() -> None:
    steps = [10.0 * t for t in range(1, 9)]
    assert settled_at(steps, [0, 0.1, 0.9, 0.2, 0.85, 0.9, 1, 1]) == 50
    assert settled_at(steps, [0, 0.1, 0.9, 0.2, 0.85, 0.9, 1, 1], share=0.15) == 30
    assert settled_at(steps, [1] * 8) == 10
    assert settled_at(steps, [None, None, None, float("nan"), 0.9, None, 0.9, 1]) == 70


def test_the_end_is_the_mean_of_the_last_quarter() -> None:
    values = [0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.9, 0.7]
    assert settled_at(range(8), values, share=0.62) == 0
    assert settled_at(range(8), values, share=0.63) == 6


def test_without_an_end_there_is_no_convention() -> None:
    assert settled_at([], []) is None
    assert settled_at([1, 2], [0.3, None]) is None
    assert settled_at([1, 2], [0.3, 0.0]) is None
    # The last value has fallen off again.
    assert settled_at(range(8), [1, 1, 1, 1, 1, 1, 1, 0.1]) is None


# ---- structure


def described(positions: NDArray[np.floating]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """One agent that says one word of everything, at the height at which it stands."""
    return np.zeros((1, len(positions)), dtype=int), positions[None].astype(float)


def test_a_language_whose_levels_are_the_things_themselves_has_their_shape() -> None:
    positions = np.random.default_rng(0).uniform(-1.9, 1.9, size=30)
    found = topographic_similarity(
        positions[:, None], signal_distances(*described(positions)), np.random.default_rng(1)
    )
    assert found.similarity == pytest.approx(1)
    assert 0 < found.null < 0.3


def test_words_for_groups_of_like_things_have_shape_and_names_at_random_have_none() -> None:
    rng = np.random.default_rng(2)
    group = np.repeat(np.arange(4), 12)
    things = 5 * rng.standard_normal((4, 6))[group] + rng.standard_normal((48, 6))
    level = np.zeros((1, 48))
    by_group = topographic_similarity(things, signal_distances(group[None], level), rng)
    shuffled = topographic_similarity(things, signal_distances(rng.permutation(group)[None], level), rng)
    assert by_group.similarity > 0.6
    assert by_group.similarity > 8 * by_group.null
    assert abs(shuffled.similarity) < 2 * shuffled.null


def test_it_is_the_mean_rank_correlation_over_agents() -> None:
    rng = np.random.default_rng(3)
    things, word, level = rng.standard_normal((20, 3)), rng.integers(3, size=(5, 20)), rng.standard_normal((5, 20))
    signal = signal_distances(word, level)
    each = [spearmanr(pdist(things), row).statistic for row in signal]
    assert topographic_similarity(things, signal, rng).similarity == pytest.approx(np.mean(each))


def test_one_in_twenty_languages_at_random_is_above_the_null() -> None:
    rng = np.random.default_rng(4)
    things = rng.standard_normal((16, 3))
    above = 0
    for _ in range(200):
        signal = signal_distances(rng.integers(3, size=(2, 16)), rng.standard_normal((2, 16)))
        found = topographic_similarity(things, signal, rng, permutations=200)
        above += found.similarity > found.null
    # Binomial(200, .05): mean 10, and outside of 1 to 23 less often than once in 10,000.
    assert 1 <= above <= 23


def test_what_words_are_called_changes_no_signal_distance() -> None:
    rng = np.random.default_rng(5)
    word, level = rng.integers(6, size=(4, 15)), rng.standard_normal((4, 15))
    renamed = rng.permutation(6)[word]
    assert np.array_equal(signal_distances(word, level), signal_distances(renamed, level))
    assert np.array_equal(
        signal_distances(word, level, word[::-1], level[::-1]),
        signal_distances(renamed, level, renamed[::-1], level[::-1]),
    )


def test_signal_distances_are_those_of_a_loop_over_pairs() -> None:
    rng = np.random.default_rng(6)
    word, level = rng.integers(-3, 3, size=(2, 2, 7)), 3 * rng.standard_normal((2, 2, 7))

    def apart(said: int, height: float, heard: int, other_height: float) -> float:
        return min(abs(height - other_height) / 4, 1) if said == heard else 1.0

    own, shared = [], []
    for i, j in itertools.combinations(range(7), 2):
        own.append(apart(word[0, 0, i], level[0, 0, i], word[0, 0, j], level[0, 0, j]))
        ways = [
            apart(a if a >= 0 else -2, u, b if b >= 0 else -1, v)
            for a, u, b, v in (
                (word[0, 0, i], level[0, 0, i], word[1, 0, j], level[1, 0, j]),
                (word[0, 0, j], level[0, 0, j], word[1, 0, i], level[1, 0, i]),
            )
        ]
        shared.append(sum(ways) / 2)
    assert np.allclose(signal_distances(word[0], level[0])[0], own)
    assert np.allclose(signal_distances(word[0], level[0], word[1], level[1])[0], shared)


def test_agents_with_words_of_their_own_share_no_topography() -> None:
    rng = np.random.default_rng(7)
    positions = rng.uniform(-1.9, 1.9, size=20)
    word, level = np.repeat([[0], [1]], 20, axis=1), np.tile(positions, (2, 1))
    alone = topographic_similarity(positions[:, None], signal_distances(word, level), rng)
    together = topographic_similarity(positions[:, None], signal_distances(word, level, word[::-1], level[::-1]), rng)
    assert alone.similarity == pytest.approx(1)
    assert (together.similarity, together.null) == (0, 0)


def test_too_few_objects_or_other_pairs_than_theirs_are_refused() -> None:
    rng = np.random.default_rng(8)
    for objects, shape in ((2, (1, 1)), (5, (1, 9)), (5, (0, 10))):
        with pytest.raises(ValueError, match="signal distances of shape"):
            topographic_similarity(np.zeros((objects, 2)), np.zeros(shape), rng)


def speakers_of(words: NDArray[np.integer], features: list[int]) -> Population:
    """Agents whose dimensions are these features, with one word each: ``words [n, k]``."""
    population = people(axis_views(len(words), features), config(len(words)))
    population.words[:, : len(features), 0] = words
    return population


def test_an_utterance_is_the_word_of_the_dimension_on_which_a_thing_stands_out_most_and_how_high() -> None:
    population = speakers_of(np.tile([10, 11, -1], (2, 1)), [2, 5, 7])
    objects = WORLD.train[:40]
    word, level = utterances(population, WORLD, np.array([0]), objects)
    z = WORLD.features[objects][:, [2, 5, 7]].astype(float)
    z = (z - z.mean(axis=0)) / z.std(axis=0)
    slot = np.abs(z).argmax(axis=1)
    assert word[0].tolist() == np.array([10, 11, -4])[slot].tolist()
    assert np.allclose(level[0], z[np.arange(40), slot], atol=1e-5)
    assert set(slot) == {0, 1, 2}


def test_an_agent_without_dimensions_says_nothing() -> None:
    population = speakers_of(np.array([[10], [10]]), [2])
    population.clear(np.array([0]), np.array([0]))
    word, level = utterances(population, WORLD, np.array([0]), WORLD.train[:5])
    assert word.tolist() == [[-1] * 5]
    assert np.array_equal(level, np.zeros((1, 5)))


# ---- use

ALL = list(range(FEATURES))[:8]


def understood(population: Population, objects: NDArray[np.int32], candidates: int = 4, **more: object) -> float:
    rng = np.random.default_rng(9)
    life = config(len(population))
    return understanding(population, WORLD, life, objects, rng, candidates=candidates, games=400, **more)  # type: ignore[arg-type]


def test_those_who_share_dimensions_and_words_always_understand_each_other() -> None:
    population = speakers_of(np.tile(ALL, (12, 1)), ALL)
    for objects in (WORLD.train, WORLD.held_out):
        for candidates in (1, 2, 16):
            assert understood(population, objects, candidates) == 1


def test_those_who_share_no_word_never_do_and_nobody_learns_from_being_asked() -> None:
    population = speakers_of(np.arange(12 * 8).reshape(12, 8), ALL)
    before = population.copy()
    assert understood(population, WORLD.train) == 0
    assert all(np.array_equal(column, getattr(before, name)) for name, column in population.columns().items())


def test_a_word_for_another_dimension_is_understood_as_often_as_guessing_picks() -> None:
    # Everybody says word 0, of features that have nothing to do with each other: two agents never of the same.
    population = people(np.eye(FEATURES)[:8][:, None, :], config(8))
    population.words[:, 0, 0] = 0
    for candidates in (2, 4, 8):
        # Three standard errors of 400 games, and the features' correlations of the sample.
        assert understood(population, WORLD.train, candidates) == pytest.approx(1 / candidates, abs=0.09)


def test_agents_are_asked_along_the_edges_of_their_graph() -> None:
    words = np.tile(ALL, (10, 1))
    words[5:] += 100
    population = speakers_of(words, ALL)
    inside = np.array([[a, b] for a, b in itertools.combinations(range(10), 2) if (a < 5) == (b < 5)])
    across = np.array([[a, b] for a in range(5) for b in range(5, 10)])
    assert understood(population, WORLD.train, edges=inside) == 1
    assert understood(population, WORLD.train, edges=across) == 0
    assert 0.2 < understood(population, WORLD.train) < 0.7


def test_a_scene_larger_than_the_world_is_refused() -> None:
    population = speakers_of(np.tile(ALL, (4, 1)), ALL)
    with pytest.raises(ValueError, match="a scene of 9 needs as many objects"):
        understood(population, WORLD.train[:8], candidates=9)
