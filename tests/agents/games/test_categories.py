"""The category game against plain Python, and in what can be said of it for certain."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.games import categories
from agents.games.categories import Categories, met, nothing_known, play, scenes
from tests.agents.games import plain_categories


def read(minds: Categories) -> list[list[tuple[float, list[int], int]]]:
    """Edge, words and most relevant word of each category of each agent, from left to right."""
    return [
        [
            (float(minds.edge[agent, k]), minds.word[agent, p, : minds.n_words[agent, p]].tolist(), int(name))
            for k, (p, name) in enumerate(
                zip(minds.place[agent, : minds.number[agent]], minds.names(agent), strict=True)
            )
        ]
        for agent in range(len(minds.number))
    ]


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 8), st.integers(0, 1200), st.sampled_from([0.01, 0.1, 0.4]), st.integers(0, 2**32 - 1))
def test_the_compiled_loop_equals_plain_python_draw_for_draw(agents: int, games: int, least: float, seed: int) -> None:
    fast, slow = nothing_known(agents), nothing_known(agents)
    success = play(fast, games, least, np.random.default_rng(seed))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(categories, "talk", plain_categories.talk)
        np.testing.assert_array_equal(play(slow, games, least, np.random.default_rng(seed)), success)
    assert read(fast) == read(slow)
    assert fast.coined == slow.coined == 2 * int((fast.number - 1).sum())


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 6), st.integers(1, 3000), st.floats(0.02, 0.9), st.integers(0, 2**32 - 1))
def test_categories_are_never_narrower_than_half_of_what_can_be_told_apart(
    agents: int, games: int, least: float, seed: int
) -> None:
    minds = nothing_known(agents)
    play(minds, games, least, np.random.default_rng(seed))
    for agent in range(agents):
        widths, begins = minds.widths(agent), minds.linguistic(agent)
        assert widths.min() >= least / 2 - 1e-12
        assert widths.sum() == pytest.approx(1)
        assert 1 <= len(begins) <= minds.number[agent] <= 2 / least + 1
        assert begins[0] == 0
        words = [words for _, words, _ in read(minds)[agent]]
        assert all(len(set(some)) == len(some) for some in words)
        assert all(name in some for _, some, name in read(minds)[agent] if name >= 0)


def one_game(minds: Categories, shown: tuple[float, float], *, guess: float = 0.0, speaker: int = 0) -> bool:
    """Agent ``speaker`` of two means the first of two stimuli."""
    success = np.zeros(1, dtype=np.bool_)
    done, minds.coined = categories.talk(
        minds.number,
        minds.edge,
        minds.place,
        minds.word,
        minds.n_words,
        minds.relevant,
        minds.coined,
        np.array([[speaker, 1 - speaker]]),
        np.array([shown]),
        np.array([guess]),
        0,
        success,
    )
    assert done == 1
    return bool(success[0])


def test_the_first_games_of_two_agents_go_as_in_the_paper() -> None:
    minds = nothing_known(2)
    # Both stimuli are in the only category: the speaker splits it half-way and says the new word of the topic's part,
    # which the hearer does not know and adds.
    assert not one_game(minds, (0.8, 0.2))
    assert read(minds) == [[(0.0, [0], 0), (0.5, [1], 1)], [(0.0, [1], -1)]]
    # The hearer's only category has the word now, and both stimuli: it guesses, wrongly; nothing is new to it.
    assert not one_game(minds, (0.9, 0.1), guess=0.7)
    assert read(minds) == [[(0.0, [0], 0), (0.5, [1], 1)], [(0.0, [1], -1)]]
    # The other way round: a new edge, and two new words beside the one that both parts inherit.
    assert not one_game(minds, (0.7, 0.3), speaker=1)
    assert read(minds) == [[(0.0, [0], 0), (0.5, [1, 3], 1)], [(0.0, [1, 2], 2), (0.5, [1, 3], 3)]]
    # The word is known for the topic alone: understood, and all others are forgotten there.
    assert one_game(minds, (0.6, 0.3), speaker=1)
    assert read(minds) == [[(0.0, [0], 0), (0.5, [3], 3)], [(0.0, [1, 2], 2), (0.5, [3], 3)]]
    np.testing.assert_array_equal(minds.name_of(np.array([0.1, 0.5, 0.9])), [[0, 3, 3], [2, 3, 3]])
    # The part that is split off from a winner is called by its own new word, until it has won as well.
    assert not one_game(minds, (0.9, 0.6))
    assert read(minds)[0] == [(0.0, [0], 0), (0.5, [3, 4], 4), (0.75, [3, 5], 5)]
    np.testing.assert_array_equal(minds.linguistic(0), [0, 0.5, 0.75])


def test_neighbours_of_one_name_are_one_linguistic_category() -> None:
    minds = nothing_known(2)
    minds.number[0] = 4
    minds.edge[0, :4] = [0, 0.25, 0.5, 0.75]
    minds.place[0, :4] = [0, 2, 1, 3]
    minds.relevant[0, :4] = [7, 8, 7, 7]
    np.testing.assert_array_equal(minds.names(0), [7, 7, 8, 7])
    np.testing.assert_array_equal(minds.linguistic(0), [0, 0.5, 0.75])
    np.testing.assert_array_equal(minds.linguistic(1), [0])


def test_playing_on_is_playing_as_long() -> None:
    whole, parts = nothing_known(5), nothing_known(5)
    rng = np.random.default_rng(3)
    success = play(whole, 2 * categories.BLOCK, 0.05, np.random.default_rng(3))
    halves = [play(parts, categories.BLOCK, 0.05, rng) for _ in range(2)]
    np.testing.assert_array_equal(np.concatenate(halves), success)
    assert read(parts) == read(whole)
    assert len(play(parts, 0, 0.05, rng)) == 0


def test_stimuli_are_at_least_so_far_apart_and_otherwise_as_if_pairs_had_been_rejected() -> None:
    rng, least = np.random.default_rng(4), 0.3
    shown = scenes(least, 40_000, rng)
    gap = np.abs(shown[:, 0] - shown[:, 1])
    assert gap.min() >= least - 1e-12
    assert ((shown >= 0) & (shown < 1)).all()
    pairs = rng.random((120_000, 2))
    kept = pairs[np.abs(pairs[:, 0] - pairs[:, 1]) >= least]
    for of_shown, of_kept in ((shown[:, 0], kept[:, 0]), (gap, np.abs(kept[:, 0] - kept[:, 1]))):
        levels = [0.1, 0.3, 0.5, 0.7, 0.9]
        np.testing.assert_allclose(np.quantile(of_shown, levels), np.quantile(of_kept, levels), atol=0.015)
    assert abs((shown[:, 0] > shown[:, 1]).mean() - 0.5) < 0.01


def test_everybody_meets_everybody_else_alike() -> None:
    pairs = met(4, 24_000, np.random.default_rng(5))
    counts = np.zeros((4, 4))
    np.add.at(counts, (pairs[:, 0], pairs[:, 1]), 1)
    assert (np.diag(counts) == 0).all()
    assert (abs(counts[~np.eye(4, dtype=bool)] - 2000) < 200).all()


@pytest.mark.parametrize("least", [0.0, 1.0, -0.1, np.nan])
def test_a_difference_that_nobody_or_everybody_notices_is_refused(least: float) -> None:
    with pytest.raises(ValueError, match="least is"):
        play(nothing_known(2), 1, least, np.random.default_rng(0))


def test_nobody_plays_alone_or_a_negative_number_of_games() -> None:
    with pytest.raises(ValueError, match="agents is 1"):
        nothing_known(1)
    with pytest.raises(ValueError, match="games is -1"):
        play(nothing_known(2), -1, 0.1, np.random.default_rng(0))
