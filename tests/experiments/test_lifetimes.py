"""How long dimensions live: survival curves, and societies whose dimensions are followed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import agents.society
from agents import Society, SocietyConfig
from agents.meeting import Experience
from agents.world import planted
from experiments.lifetimes import ELIMINATED, THERE, WITH_OWNER, Followed, Lives, kaplan_meier

WORLD = planted(seed=4, objects=300, features=24, factors=4, probe=40)


def config(**changes: Any) -> SocietyConfig:
    usual: dict[str, Any] = {
        "agents": 16, "sensors": 10, "memory": 48, "discovery": "mixed", "exemplars": 0, "discovery_interval": 3,
        "selection_interval": 5, "turnover": 0.2, "merge_interval": 6, "dimension_floor": 0.4,
    }  # fmt: skip
    return SocietyConfig(**(usual | changes))


# Survival


def test_survival_is_that_of_the_textbook() -> None:
    """Worked by hand: 6 lives, ended at 1, 3, 3 and 6, watched up to 2 and 6 only."""
    lasted = np.array([1, 2, 3, 3, 6, 6])
    over = np.array([True, False, True, True, True, False])
    expected = [1, 5 / 6, 5 / 6, 5 / 6 * 2 / 4, 5 / 12, 5 / 12, 5 / 12 * 1 / 2]
    np.testing.assert_allclose(kaplan_meier(lasted, over, np.arange(7)), expected)


def test_beyond_what_was_watched_survival_is_not_known_unless_all_have_ended() -> None:
    watched = kaplan_meier(np.array([2, 4]), np.array([True, False]), np.array([4, 5, 99]))
    np.testing.assert_array_equal(watched, [0.5, np.nan, np.nan])
    np.testing.assert_array_equal(
        kaplan_meier(np.array([2, 4]), np.array([True, True]), np.array([3, 4, 99])), [0.5, 0, 0]
    )
    assert np.isnan(kaplan_meier(np.zeros(0, dtype=int), np.zeros(0, dtype=bool), np.arange(3))).all()


@given(lives=st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=1, max_size=30))
def test_survival_is_the_product_over_the_times_at_which_something_ended(lives: list[tuple[int, bool]]) -> None:
    lasted, over = np.array([t for t, _ in lives]), np.array([e for _, e in lives])
    for at in range(int(lasted.max()) + 1):
        expected = 1.0
        for time in sorted({t for t, ended in lives if ended and t <= at}):
            expected *= 1 - sum(t == time and ended for t, ended in lives) / sum(t >= time for t, _ in lives)
        assert kaplan_meier(lasted, over, np.array([at]))[0] == pytest.approx(expected)
    if over.all():
        shares = [(lasted > at).mean() for at in range(13)]
        np.testing.assert_allclose(kaplan_meier(lasted, over, np.arange(13)), shares, atol=1e-12)


def test_a_constant_hazard_is_found_however_many_are_watched_for_a_while_only() -> None:
    rng = np.random.default_rng(3)
    n, hazard = 40_000, 0.04
    ends, watched = rng.geometric(hazard, n), rng.geometric(0.02, n)
    lives = lives_of(steps=np.minimum(ends, watched), end=np.where(ends <= watched, ELIMINATED, WITH_OWNER))
    assert lives.hazard_per_step == pytest.approx(hazard, rel=0.03)
    survival = kaplan_meier(lives.steps, lives.eliminated, np.array([1, 10, 30]))
    np.testing.assert_allclose(survival, (1 - hazard) ** np.array([1, 10, 30]), atol=0.01)


def lives_of(*, steps: NDArray[np.integer], end: NDArray[np.integer]) -> Lives:
    n = len(steps)
    return Lives(
        origin=np.ones(n, dtype=np.int8),
        inherited=np.zeros(n, dtype=bool),
        born=np.zeros(n, dtype=np.int64),
        steps=steps.astype(np.int64),
        contests=np.zeros(n, dtype=np.int64),
        end=end.astype(np.int8),
    )


def test_hazards_of_nothing_are_not_known() -> None:
    none = lives_of(steps=np.zeros(0), end=np.zeros(0))
    assert np.isnan([none.hazard, none.hazard_per_step]).all()


# Societies whose dimensions are followed


@pytest.mark.parametrize("changes", [{}, {"activation": "sequential"}, {"discovery": "factor", "exemplars": 4}])
def test_following_changes_no_life(changes: dict[str, Any]) -> None:
    followed, plain = Followed(WORLD, config(**changes), seed=2), Society(WORLD, config(**changes), seed=2)
    for _ in range(20):
        followed.step()
        plain.step()
    for name, column in plain.population.columns().items():
        assert np.array_equal(column, getattr(followed.population, name)), name
    assert followed.counters == plain.counters


class Watched(Followed):
    """Follows every dimension a second time, one by one, in a dictionary."""

    def __init__(self, seed: int) -> None:
        super().__init__(WORLD, config(), seed=seed)
        self.there: dict[tuple[int, int, int], dict[str, int]] = {}
        self.over: list[tuple[int, ...]] = []
        self.fought = 0

    def feel(self, experience: Experience) -> None:
        super().feel(experience)
        self.fought += len(experience.rows)
        for row, slot in zip(experience.rows.tolist(), experience.slots.tolist(), strict=True):
            key = int(self.population.id[row]), slot, int(self.population.born[row, slot])
            self.there[key]["contests"] += 1

    def step(self) -> None:
        super().step()
        population, now = self.population, {}
        for row, slot in np.argwhere(population.held).tolist():
            key = int(population.id[row]), slot, int(population.born[row, slot])
            fresh = {
                "origin": int(population.origin[row, slot]),
                "inherited": int(population.generation[row, slot] > 0),
                "contests": 0,
            }
            now[key] = self.there.get(key, fresh)
        alive = set(population.id.tolist())
        self.over += [
            self.row(key, life, ELIMINATED if key[0] in alive else WITH_OWNER)
            for key, life in self.there.items()
            if key not in now
        ]
        self.there = now

    def row(self, key: tuple[int, int, int], life: dict[str, int], end: int) -> tuple[int, ...]:
        return life["origin"], life["inherited"], key[2], self.steps - key[2], life["contests"], end

    @property
    def rows(self) -> list[tuple[int, ...]]:
        return sorted([*self.over, *(self.row(key, life, THERE) for key, life in self.there.items())])


@pytest.mark.parametrize("seed", [5, 6])
def test_lives_are_those_that_one_sees_following_each_dimension_alone(seed: int) -> None:
    society = Watched(seed)
    for _ in range(43):
        society.step()
    lives = society.lives
    columns = (lives.origin, lives.inherited, lives.born, lives.steps, lives.contests, lives.end)
    rows = sorted(tuple(int(value) for value in row) for row in zip(*columns, strict=True))
    assert rows == society.rows
    assert {THERE, ELIMINATED, WITH_OWNER} == set(lives.end.tolist())
    assert lives.contests.sum() == society.fought > 100
    assert (lives.end == THERE).sum() == society.population.held.sum()
    assert lives.inherited.any()
    assert society.counters.dims_discovered >= (~lives.inherited).sum() > 100
    only = lives.where(lives.inherited)
    assert len(only) == lives.inherited.sum()
    assert only.hazard == (only.end == ELIMINATED).sum() / only.contests.sum()


@pytest.mark.parametrize("sample", [2000, 10])
def test_what_a_merge_keeps_is_what_the_library_says_of_its_members(
    sample: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agents.society, "MERGE_SAMPLE", sample)
    society = Followed(WORLD, config(), seed=8)
    assert len(society.merged.origin) == 0
    n_kept = []
    for _ in range(12):
        society.step()
        n_kept.append(int(society.merged.kept.sum()))
    library, merged, population = society.library, society.merged, society.population
    assert library.views is not None
    assert library.unified is not None
    assert len(library.views) == min(sample, 16)
    last = []
    row_of = {int(name): row for row, name in enumerate(population.id)}
    for place, agent in enumerate(library.views.agent.tolist()):
        for slot in np.flatnonzero(library.views.held[place]):
            concept = int(library.membership[place, slot])
            r = abs(library.unified.correlation[place, slot, concept]) if concept >= 0 else np.nan
            row = row_of[agent]
            last.append((population.origin[row, slot], population.generation[row, slot] > 0, concept >= 0, r))
    there = list(zip(merged.origin, merged.inherited, merged.kept, merged.r, strict=True))[-len(last) :]
    np.testing.assert_array_equal(np.array(there, dtype=float), np.array(last, dtype=float))
    assert n_kept[4] == 0 < n_kept[5] < n_kept[11]
    assert merged.r[merged.kept].min() > 0
