"""The gesture game: understanding each other by pointing alone."""

from __future__ import annotations

import numpy as np
import pytest

from agents.communication import Talk
from agents.population import NOTHING
from tests.agents.speakers import FEATURES, axis_views, config, meeting_of, people, play


def gestures(common_ground: int, *, related: bool, n: int = 400, candidates: int = 4) -> Talk:
    """Speakers and hearers with much the same dimensions in another order and direction, or with quite others."""
    life = config(2 * n, game="gesture", common_ground=common_ground)
    rng = np.random.default_rng(11)
    heard = [rng.permutation(6) + (0 if related else 6) for _ in range(n)]
    views = np.concatenate([axis_views(n, list(range(6))), np.eye(FEATURES)[np.array(heard)]])
    if related:
        views += 0.1 * rng.normal(size=views.shape)
    population = people(views * rng.choice([-1.0, 1.0], size=(2 * n, 6, 1)), life)
    before = population.copy()
    outcome = play(population, meeting_of(n, candidates=candidates), life, n_words=3)
    for name, column in population.columns().items():
        assert np.array_equal(column, getattr(before, name)), f"{name}: gestures leave no trace"
    assert (outcome.word == NOTHING).all()
    assert outcome.n_words == 3
    assert outcome.known.all()
    return outcome


def test_gestures_are_understood_the_better_the_more_there_is_to_point_at() -> None:
    success = [gestures(ground, related=True).success.mean() for ground in (0, 3, 6, 30)]
    # With nothing to point at, one in six has the right dimension by accident, and one in two its direction.
    assert success[0] == pytest.approx(0.25, abs=0.11)
    assert success[0] + 0.2 < success[1] < success[2] - 0.05 < success[3] - 0.1


@pytest.mark.parametrize("common_ground", [0, 8, 30])
def test_gestures_along_dimensions_that_have_nothing_in_common_are_understood_by_chance(common_ground: int) -> None:
    success = gestures(common_ground, related=False, n=1500).success.mean()
    assert success == pytest.approx(0.25, abs=4 * np.sqrt(0.25 * 0.75 / 1500))


def test_gestures_of_and_to_those_without_dimensions_are_not_understood() -> None:
    life = config(6, game="gesture", common_ground=5)
    population = people(axis_views(6, [0, 1]), life)
    population.clear(np.array([0, 0, 4, 4]), np.array([0, 1, 0, 1]))
    outcome = play(population, meeting_of(3), life)
    assert outcome.known.tolist() == [False, False, True]
    assert outcome.success.tolist() == [False, False, True]
    assert outcome.speaker_slot[0] == outcome.hearer_slot[0] == outcome.hearer_slot[1] == NOTHING
