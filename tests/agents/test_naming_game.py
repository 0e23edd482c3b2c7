"""With one object and one dimension the language game is the minimal naming game, and meets its published numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from agents.communication import talk
from agents.config import SocietyConfig
from agents.meeting import Meeting
from agents.population import found
from tests.agents.speakers import WORLD, config


def naming_config(agents: int) -> SocietyConfig:
    """One dimension each and one object: nothing is left to talk about but its name."""
    one: dict[str, Any] = {"dimensions": 1, "exemplars": 1, "candidates": 1, "vocabulary": 48, "audience": False}
    return config(agents, sensors=1, **one)


def strangers(sizes: NDArray[np.intp], rng: np.random.Generator) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """A random speaker and another random hearer in each of some societies that share a population."""
    first = np.cumsum(sizes) - sizes
    speaker, hearer = rng.integers(sizes), rng.integers(sizes - 1)
    return first + speaker, first + hearer + (hearer >= speaker)


def test_with_one_object_and_one_dimension_it_is_the_minimal_naming_game() -> None:
    n = 12
    life = naming_config(n)
    population = found(WORLD, life, np.random.default_rng(2))
    inventories: list[list[int]] = [[] for _ in range(n)]
    rng, n_words, wins = np.random.default_rng(3), 0, 0
    for game in range(400):
        speaker, hearer = strangers(np.array([n]), rng)
        chance = np.random.default_rng([4, game]).random(1)[0]
        ours, theirs = inventories[speaker[0]], inventories[hearer[0]]
        if not ours:
            ours.append(n_words)
        word = ours[int(chance * len(ours))]
        success = word in theirs
        if success:
            ours[:], theirs[:] = [word], [word]
        else:
            theirs.append(word)
        meeting = Meeting(speaker=speaker, hearer=hearer, scene=WORLD.train[None, :1], topic=np.zeros(1, np.intp))
        outcome = talk(population, WORLD, meeting, life, n_words, np.random.default_rng([4, game]))
        assert outcome.n_words == max(n_words, word + 1)
        n_words = outcome.n_words
        assert outcome.success.tolist() == outcome.known.tolist() == [success]
        assert outcome.word.tolist() == [word]
        wins += success
        assert [[int(w) for w in words if w >= 0] for words in population.words[:, 0]] == inventories
    assert wins > 100
    assert all(inventory == inventories[0] for inventory in inventories)


def naming_games(sizes: NDArray[np.intp], seed: int) -> NDArray[np.float64]:
    """Play many societies to the end, a pair of each at a time, each as if it were alone.

    Returns [runs, 4]: the game at which there were most words, how many those were, the game from which all had one
    and the same word, and how many distinct words there were at most (looked up every 25 games).
    """
    life = naming_config(int(sizes.sum()))
    rng = np.random.default_rng(seed)
    population = found(WORLD, life, rng)
    scene = np.tile(WORLD.train[:1], (len(sizes), 1))
    home = np.repeat(np.arange(len(sizes)), sizes)
    total, distinct, games, n_words = np.zeros(len(sizes), dtype=np.intp), np.zeros(len(sizes)), 0, 0
    most, most_at, agreed_at = np.zeros((3, len(sizes)))
    while not agreed_at.all():
        games += 1
        speaker, hearer = strangers(sizes, rng)
        pair = np.stack([speaker, hearer])
        total -= (population.words[pair, 0] >= 0).sum(axis=(0, 2))
        meeting = Meeting(speaker=speaker, hearer=hearer, scene=scene, topic=np.zeros(len(sizes), dtype=np.intp))
        n_words = talk(population, WORLD, meeting, life, n_words, rng).n_words
        total += (population.words[pair, 0] >= 0).sum(axis=(0, 2))
        rose = total > most
        most[rose], most_at[rose] = total[rose], games
        words = population.words[:, 0]
        if games % 25 == 0:
            holder, place = np.nonzero(words >= 0)
            assert place.max() < life.vocabulary - 1, "nobody ever has to forget a word"
            # No two societies have a word in common.
            _, found_at = np.unique(words[holder, place], return_index=True)
            distinct = np.maximum(distinct, np.bincount(home[holder[found_at]], minlength=len(sizes)))
        for run in np.flatnonzero((total == sizes) & (agreed_at == 0)):
            if len(np.unique(words[home == run, 0])) == 1:
                agreed_at[run] = games
    return np.stack([most_at, most, agreed_at, distinct], axis=1)


# Means of the time of most words, of most words, and of the time of agreement, over N^1.5, of 1000, 500 and 200 runs
# of a naming game with lists of words written for this comparison. The law of N^1.5 is that of large societies.
NAMING = {50: (0.683, 0.445, 2.87), 100: (0.637, 0.402, 2.50), 200: (0.592, 0.371, 2.13)}


def test_names_spread_and_die_out_as_fast_as_in_the_naming_game() -> None:
    """Baronchelli et al. 2006: words grow as N^1.5, as does the time they take; half of the N found words die."""
    runs = 40
    measured = naming_games(np.repeat(list(NAMING), runs), seed=5)
    scaled = {}
    for i, (n, expected) in enumerate(NAMING.items()):
        results = measured[i * runs : (i + 1) * runs]
        scaled[n] = results[:, :3].mean(axis=0) / n**1.5
        # Four standard errors: one run differs from another by 24%, 11% and 26% at N = 50, and by less at N = 200.
        assert (np.abs(scaled[n] / expected - 1) < [0.15, 0.07, 0.17]).all()
        assert results[:, 3].mean() == pytest.approx(n / 2, rel=0.05)
        assert np.abs(results[:, 3] - n / 2).max() < 0.3 * n / 2
    exponents = 1.5 + np.log(scaled[200] / scaled[50]) / np.log(4)
    # Between 50 and 1600 agents: 1.47 +- .08, 1.40 to 1.52, 1.25 to 1.50; small societies are at the lower ends.
    assert (exponents > [1.37, 1.34, 1.21]).all()
    assert (exponents < [1.55, 1.52, 1.50]).all()


@pytest.mark.slow
def test_a_large_society_agrees_as_fast_as_published() -> None:
    """Prefactors of N^1.5 at N = 400 to 800: .57 to .59 and .34 to .35 for most words, 1.56 to 1.85 for agreement."""
    n, runs = 400, 40
    measured = naming_games(np.full(runs, n), seed=6)
    at, most, agreed = (measured[:, i] / n**1.5 for i in range(3))
    # Margins of three standard errors.
    assert 0.57 - 0.042 < at.mean() < 0.59 + 0.042
    assert 0.34 - 0.009 < most.mean() < 0.35 + 0.009
    assert 1.56 - 0.17 < agreed.mean() < 1.85 + 0.17
    assert measured[:, 3].mean() == pytest.approx(n / 2, rel=0.03)
