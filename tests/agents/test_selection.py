"""Phase 8, the law of the jungle: which dimensions are dropped, who dies, and what heirs inherit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import chisquare

from agents.communication import turn_round
from agents.config import SocietyConfig
from agents.errors import InputError
from agents.population import ABSTRACT, EMPTY, NEUTRAL, NOTHING, RAW, Population, found, likeness
from agents.selection import (
    GRACE,
    Deaths,
    bear,
    drop_dimensions,
    fitness,
    least_fit,
    proportional,
    select_agents,
    tournament,
)
from agents.society import Society
from agents.world import World, planted

RARE = 1e-3
"""Below this p-value a fixed-seed sample does not pass for the distribution."""

SEEDS = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module")
def world() -> World:
    return planted(seed=9, objects=300, features=40, factors=4, probe=40)


def config(**changes: Any) -> SocietyConfig:
    usual: dict[str, Any] = {"agents": 20, "sensors": 10, "memory": 12, "childhood": 6, "selection_interval": 5}
    return SocietyConfig(**(usual | changes))


def people(world: World, life: SocietyConfig, seed: int = 60) -> Population:
    """Agents in the middle of their lives: some words, feelings, success, and an abstract dimension each."""
    rng = np.random.default_rng(seed)
    population = found(world, life, rng)
    n, m = len(population), population.n_sensors
    loading = rng.standard_normal((n, m)).astype(np.float32)
    loading /= np.linalg.norm(loading, axis=1, keepdims=True)
    population.install(np.arange(n), np.full(n, 5), loading=loading, kind=ABSTRACT, exemplar=NOTHING, step=0)
    held = population.held
    population.score[:] = np.where(held, rng.random(held.shape), 0)
    population.contests[:] = np.where(held, rng.integers(0, 3 * GRACE, held.shape), 0)
    population.understood[:] = np.where(held, rng.random(held.shape), 0)
    population.words[:, :, 0] = np.where(held, rng.permutation(held.size).reshape(held.shape), NOTHING)
    population.concept[:] = np.where(held, rng.integers(0, 5, held.shape), NOTHING)
    population.success[:] = rng.random(n)
    return population


def select(population: Population, world: World, life: SocietyConfig, *, step: int, seed: int = 61) -> Deaths:
    next_id = int(population.id.max()) + 1
    return select_agents(population, world, life, step=step, next_id=next_id, rng=np.random.default_rng(seed))


@pytest.mark.parametrize(("n", "size"), [(10, 1), (10, 2), (8, 3), (3, 7)])
def test_ranks_win_tournaments_as_often_as_the_formula_says(n: int, size: int) -> None:
    rng = np.random.default_rng(62)
    worth = rng.permutation(n).astype(float)
    winners = tournament(worth, 20_000, size, rng)
    wins = np.bincount(worth[winners].astype(int), minlength=n)
    rank = np.arange(1, n + 1)  # rank 1 is the least fit
    assert chisquare(wins, 20_000 * (rank**size - (rank - 1) ** size) / n**size).pvalue > RARE


def test_equals_win_tournaments_equally_often() -> None:
    rng = np.random.default_rng(63)
    # Two of the fittest, three that are less fit, one of the least: ranks 5 and 6, 2 to 4, and 1 of six.
    worth = np.array([0.5, 0.9, 0.5, 0.1, 0.9, 0.5])
    wins = np.bincount(np.concatenate([tournament(worth, 1, 3, rng) for _ in range(6000)]), minlength=6)
    share = np.array([4**3 - 1, 6**3 - 4**3, 4**3 - 1, 3, 6**3 - 4**3, 4**3 - 1]) / [3, 2, 3, 3, 2, 3] / 6**3
    assert chisquare(wins, 6000 * share).pvalue > RARE


def test_fitness_is_what_one_feels_times_how_well_one_is_understood(world: World) -> None:
    population = people(world, config())
    rows, slots = np.nonzero(population.held[:1])
    population.clear(rows, slots)
    worth = fitness(population)
    assert worth[0] == 0
    for row in range(1, 20):
        felt = population.score[row, population.held[row]].astype(np.float64).mean()
        assert worth[row] == pytest.approx(felt * population.success[row], rel=1e-6)


@settings(max_examples=25)
@given(seed=SEEDS, turnover=st.floats(0, 1), mutation=st.floats(0, 1), size=st.integers(1, 4))
def test_the_least_fit_die_and_heirs_of_survivors_take_their_rows(
    world: World, seed: int, turnover: float, mutation: float, size: int
) -> None:
    life = config(turnover=turnover, mutation=mutation, tournament=size)
    population = people(world, life, seed)
    before, worth = population.copy(), fitness(population)
    deaths = select(population, world, life, step=5, seed=seed)
    n_dead = len(deaths.id)
    assert n_dead in (int(turnover * 20), int(turnover * 20) + 1)
    least = np.sort(np.argsort(worth)[:n_dead])
    died = np.flatnonzero(population.id != before.id)
    assert died.tolist() == least.tolist()
    assert sorted(deaths.id.tolist()) == before.id[least].tolist()
    assert sorted(deaths.heir.tolist()) == list(range(20, 20 + n_dead))
    if n_dead < 20:
        assert not np.isin(deaths.parent, deaths.id).any()
    for dead, heir, parent, value, dims in zip(
        deaths.id, deaths.heir, deaths.parent, deaths.fitness, deaths.dimensions, strict=True
    ):
        assert population.id[dead] == heir
        assert population.parent[dead] == parent
        assert value == worth[dead]
        assert dims == before.held[dead].sum()
    assert (deaths.age == 5).all()
    alive = np.setdiff1d(np.arange(20), least)
    for name, column in population.columns().items():
        assert (column[alive] == getattr(before, name)[alive]).all(), f"{name} of survivors"
    assert_sound(population, world)


def test_a_turnover_of_half_an_agent_is_one_at_every_other_selection(world: World) -> None:
    life = config(agents=10, turnover=0.05)
    dead = [len(select(people(world, life, seed), world, life, step=5, seed=seed).id) for seed in range(200)]
    assert set(dead) == {0, 1}
    assert np.mean(dead) == pytest.approx(0.5, abs=0.11)  # three standard errors


def assert_sound(population: Population, world: World) -> None:
    for sensor in population.sensor:
        assert len(set(sensor.tolist())) == population.n_sensors
    assert population.sensor.min() >= 0
    assert population.sensor.max() < world.n_features
    norm = np.linalg.norm(population.loading, axis=2)
    np.testing.assert_allclose(norm, population.held, atol=1e-5)


def test_nobody_dies_without_turnover(world: World) -> None:
    life = config(turnover=0.0)
    population = people(world, life)
    before = population.copy()
    deaths = select(population, world, life, step=5)
    assert len(deaths.id) == len(deaths.heir) == len(deaths.parent) == 0
    for name, column in population.columns().items():
        assert (column == getattr(before, name)).all(), name


def test_where_everybody_dies_each_leaves_an_heir(world: World) -> None:
    life = config(turnover=1.0)
    population = people(world, life)
    select(population, world, life, step=5)
    assert population.parent.tolist() == list(range(20))
    assert sorted(population.id.tolist()) == list(range(20, 40))


def test_the_newborn_are_not_judged_before_a_whole_interval(world: World) -> None:
    life = config(turnover=0.5)
    population = people(world, life)
    population.birth[:15] = 3
    population.success[:15] = 0.0
    deaths = select(population, world, life, step=7)
    # Only five are old enough, however unfit the young are.
    assert sorted(deaths.id.tolist()) == [15, 16, 17, 18, 19]
    assert (deaths.age == 7).all()
    population.birth[15:] = 8
    population.success[:15] = 0.0
    deaths = select(population, world, life, step=8)
    assert len(deaths.id) == 10
    assert set(deaths.id.tolist()) <= set(range(15))


def test_among_equally_unfit_everybody_is_equally_likely_to_die(world: World) -> None:
    life = config(agents=8, turnover=0.25, memory=2, childhood=0, sensors=8)
    population = people(world, life)
    deaths = np.zeros(8)
    for seed in range(800):
        population.success[:] = 0.0
        population.success[2] = 1.0
        population.birth[:] = 0
        before = population.id.copy()
        select(population, world, life, step=5, seed=seed)
        deaths += population.id != before
    assert deaths[2] == 0
    assert chisquare(np.delete(deaths, 2)).pvalue > RARE


def test_by_drift_alone_every_founder_is_equally_likely_to_become_the_ancestor_of_all(world: World) -> None:
    """The neutral Moran process, one death and one birth at a time: each lineage is fixed with probability 1/N."""
    n, runs = 6, 300
    life = config(agents=n, turnover=1 / n, selection_interval=1, memory=2, childhood=0, sensors=8, mutation=0.0)
    founders = found(world, life, np.random.default_rng(64))
    founders.body[:] = world.train[:n]
    rng = np.random.default_rng(65)
    ancestor = []
    for _ in range(runs):
        population, step = founders.copy(), 0
        while len(set(population.body.tolist())) > 1:
            step += 1
            assert step < 2000, "the expected time is N (N - 1) steps"
            next_id = n + step
            deaths = select_agents(population, world, life, step=step, next_id=next_id, rng=rng)
            assert len(deaths.id) == 1
        ancestor.append(population.body[0])
    assert chisquare([ancestor.count(body) for body in world.train[:n]]).pvalue > RARE


def test_a_fitter_kind_takes_over(world: World) -> None:
    life = config(agents=10, turnover=0.1, selection_interval=1, memory=2, childhood=0, mutation=0.0)
    population = found(world, life, np.random.default_rng(66))
    population.success[:] = 0.4
    population.success[7] = 0.5
    share = [1]
    for step in range(1, 200):
        select_agents(population, world, life, step=step, next_id=9 + step, rng=np.random.default_rng([67, step]))
        share.append(int((population.success == np.float32(0.5)).sum()))
    assert share == sorted(share), "the fitter are never the ones who die while others are there"
    assert share[-1] == 10


def test_parents_are_drawn_in_proportion_to_fitness_and_evenly_where_nobody_has_any() -> None:
    rng = np.random.default_rng(71)
    worth = np.array([0.0, 1.0, 3.0, 0.0, 4.0, 0.0])
    drawn = np.bincount(proportional(worth, 20_000, rng), minlength=6)
    assert (drawn[worth == 0] == 0).all(), "who is worth nothing has no offspring while others are worth something"
    assert chisquare(drawn[worth > 0], 20_000 * worth[worth > 0] / 8).pvalue > RARE
    assert chisquare(np.bincount(proportional(np.zeros(6), 6000, rng), minlength=6)).pvalue > RARE


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9), SEEDS)
def test_whoever_is_drawn_in_proportion_to_fitness_is_there_and_has_some(worth: list[float], seed: int) -> None:
    drawn = proportional(np.array(worth), 5, np.random.default_rng(seed))
    assert ((drawn >= 0) & (drawn < len(worth))).all()
    assert (np.array(worth)[drawn] > 0).all() or not any(worth)


def test_the_least_fit_of_many_populations_are_those_of_each() -> None:
    worth = np.random.default_rng(72).random((5, 7))
    least = least_fit(worth, 3, np.random.default_rng(73))
    assert (least == np.argsort(worth, axis=1)[:, :3]).all()
    assert least_fit(worth[0], 9, np.random.default_rng(73)).shape == (7,)


def test_in_the_moran_process_death_is_blind_and_birth_goes_by_fitness(world: World) -> None:
    life = config(agents=8, turnover=0.25, selection="moran", memory=2, childhood=0, sensors=8)
    population = people(world, life)
    population.score[population.held] = 0.5
    population.success[:] = np.arange(1, 9) / 8
    died, begot = np.zeros(8), np.zeros(8)
    for seed in range(1200):
        now = population.copy()
        deaths = select(now, world, life, step=5, seed=seed)
        assert len(deaths.id) == 2
        died += np.bincount(deaths.id, minlength=8)
        begot += np.bincount(deaths.parent, minlength=8)
    # Two die, and each parent is drawn for itself, from all who lived.
    assert chisquare(died).pvalue > RARE
    assert chisquare(begot, 2400 * np.arange(1, 9) / 36).pvalue > RARE


def test_who_dies_may_leave_offspring_at_the_same_time(world: World) -> None:
    life = config(turnover=1.0, mutation=0.0, selection="moran")
    population = people(world, life)
    before = population.copy()
    deaths = select(population, world, life, step=5)
    assert sorted(deaths.id.tolist()) == list(range(20))
    assert population.id[deaths.id].tolist() == deaths.heir.tolist()
    assert population.parent[deaths.id].tolist() == deaths.parent.tolist()
    assert 1 < len(set(deaths.parent.tolist())) < 20
    for name in (*INHERITED, *FELT):
        assert (getattr(population, name)[deaths.id] == getattr(before, name)[deaths.parent]).all(), name


def test_selection_is_by_tournaments_or_the_moran_process() -> None:
    with pytest.raises(InputError, match="selection is 'lottery', but it must be one of tournament, moran"):
        config(selection="lottery")


@settings(max_examples=20)
@given(seed=SEEDS, turnover=st.floats(0, 0.9), size=st.integers(1, 4))
def test_without_mutation_the_price_equation_is_exact(world: World, seed: int, turnover: float, size: int) -> None:
    life = config(turnover=turnover, tournament=size, mutation=0.0)
    population = people(world, life, seed)
    before = population.copy()
    select(population, world, life, step=5, seed=seed)
    survived = population.id == before.id
    # Everybody in the second generation is itself or the heir of somebody in the first.
    source = np.where(survived, np.arange(20), population.parent)
    representatives = np.bincount(source, minlength=20)
    for trait in ("success", "body", "n_seen"):
        z = getattr(before, trait).astype(np.float64)
        change = getattr(population, trait).astype(np.float64).mean() - z.mean()
        # Mean number of representatives is 1, and heirs are as their parents: the covariance is all there is.
        assert change == pytest.approx(np.cov(representatives, z, bias=True)[0, 1], abs=1e-9 * (1 + abs(z).max()))


INHERITED = ("body", "sensor", "communality", "loading", "kind", "exemplar", "origin", "words", "concept")
FELT = ("score", "contests", "success", "understood")


def test_an_unmutated_heir_is_as_its_parent_but_for_its_own_name_and_childhood(world: World) -> None:
    life = config(mutation=0.0)
    population = people(world, life)
    population.seen[:, 6:], population.n_seen[:] = world.train[:6], 40
    before = population.copy()
    rows, parents = np.array([3, 4, 9]), np.array([0, 0, 12])
    bear(population, rows, parents, np.array([30, 31, 32]), world, life, step=9, rng=np.random.default_rng(68))
    for name in (*INHERITED, *FELT):
        assert (getattr(population, name)[rows] == getattr(before, name)[parents]).all(), name
    assert population.id[rows].tolist() == [30, 31, 32]
    assert population.parent[rows].tolist() == [0, 0, 12]
    assert (population.birth[rows] == 9).all()
    assert (population.born[rows] == np.where(before.held[parents], 9, NOTHING)).all()
    assert (population.n_seen[rows] == 6).all()
    assert (population.seen[rows, 6:] == NOTHING).all()
    assert np.isin(population.seen[rows, :6], world.train).all()
    for row, memory in zip(rows, population.seen[rows, :6].tolist(), strict=True):
        assert memory not in before.seen[:, :6].tolist()
        assert memory not in np.delete(population.seen, row, axis=0)[:, :6].tolist()
    assert (population.generation[rows] == before.generation[parents] + before.held[parents]).all()
    own = {"id", "parent", "birth", "born", "generation", "n_seen", "seen"}
    assert {*INHERITED, *FELT, *own} == set(population.columns())


def test_a_wholly_mutated_heir_has_another_body_other_sensors_and_no_feelings_yet(world: World) -> None:
    life = config(mutation=1.0)
    population = people(world, life)
    turned = np.array([12]), np.array([1])
    turn_round(population, *turned)
    before = population.copy()
    rows, parents = np.array([3, 4, 9]), np.array([0, 0, 12])
    bear(population, rows, parents, np.array([30, 31, 32]), world, life, step=9, rng=np.random.default_rng(69))
    # All that they sense is new: nothing is left of an abstract dimension, which weighed what the parent sensed.
    kept = before.kind[parents] == RAW
    held = population.held[rows]
    assert (held == kept).all()
    assert (population.body[rows] != before.body[parents]).all()
    assert np.isin(population.body[rows], world.train).all()
    for row, parent in zip(rows, parents, strict=True):
        assert not np.isin(population.sensor[row], before.sensor[parent]).any()
    assert (population.score[rows] == np.where(held, np.float32(NEUTRAL), 0)).all()
    assert (population.contests[rows] == 0).all()
    for name in ("kind", "exemplar", "words", "concept", "success", "understood"):
        same = getattr(population, name)[rows] == getattr(before, name)[parents]
        assert (same if name == "success" else same[kept]).all(), name
    assert_sound(population, world)
    # Raw dimensions stay what they are, also in direction: likeness to the same object, by other features.
    for row, parent in zip(rows, parents, strict=True):
        for slot in np.flatnonzero(population.kind[row] == RAW):
            alike = likeness(world.features, population.exemplar[row, [slot]], population.sensor[[row]])[0]
            direction = -1 if (parent, slot) == (12, 1) else 1
            np.testing.assert_allclose(population.loading[row, slot], direction * alike, atol=1e-6)


def test_where_nearly_everything_is_sensed_only_as_many_sensors_move_as_there_are_others(world: World) -> None:
    life = config(mutation=1.0, sensors=37)
    population = people(world, life)
    before = population.copy()
    bear(population, np.array([3]), np.array([0]), np.array([30]), world, life, step=9, rng=np.random.default_rng(70))
    assert (population.sensor[3] != before.sensor[0]).sum() == 3
    assert_sound(population, world)


def test_mutations_come_at_their_rate(world: World) -> None:
    n, rate = 3000, 0.3
    life = config(agents=n + 1, mutation=rate, memory=2, childhood=0)
    population = people(world, life)
    rows, parents = np.arange(n), np.full(n, n)
    rng = np.random.default_rng(71)
    bear(population, rows, parents, n + 1 + rows, world, life, step=9, rng=rng)
    moved = population.sensor[rows] != population.sensor[n]
    tolerance = 4 * np.sqrt(rate * (1 - rate) / n)
    np.testing.assert_allclose(moved.mean(axis=0), rate, atol=tolerance)
    # Every other feature is an equally likely new one.
    new = np.bincount(population.sensor[rows][moved], minlength=world.n_features)
    others = np.setdiff1d(np.arange(world.n_features), population.sensor[n])
    assert new.sum() == new[others].sum()
    assert chisquare(new[others]).pvalue > RARE
    # One in 225 of those drawn is the old body again.
    assert (population.body[rows] != population.body[n]).mean() == pytest.approx(rate * 224 / 225, abs=tolerance)
    other_body = population.body[rows] != population.body[n]
    kept = population.score[rows] == population.score[n]
    assert kept[~other_body].all(axis=1).mean() > 0.99
    assert not kept[other_body][:, population.held[n]].any()


@pytest.mark.parametrize("seed", [1, 2])
def test_ids_are_never_used_twice_and_the_population_keeps_its_size(world: World, seed: int) -> None:
    life = config(turnover=0.2, selection_interval=2, discovery_interval=0, merge_interval=0, dimension_floor=0.4)
    society = Society(world, life, seed=seed)
    ever = set(range(20))
    for step in range(1, 41):
        society.step()
        population = society.population
        assert len(population) == len(set(population.id.tolist())) == 20
        if step % 2 == 0:
            at, deaths = society.deaths[-1]
            assert at == step
            assert not ever & set(deaths.heir.tolist())
            ever |= set(deaths.heir.tolist())
            assert set(deaths.id.tolist()) <= ever
            assert not set(deaths.id.tolist()) & set(population.id.tolist())
    assert society.counters.deaths == society.counters.births == len(ever) - 20 == society.counters.next_id - 20
    assert society.counters.deaths > 40


def test_a_dimension_is_dropped_when_it_is_under_the_floor_after_enough_contests(world: World) -> None:
    population = people(world, config())
    before = population.copy()
    doomed = before.held & (before.score < np.float32(0.3)) & (before.contests >= GRACE)
    spared = before.held & (before.score < np.float32(0.3)) & (before.contests < GRACE)
    assert spared.any(), "some are under the floor, but too young to be judged"
    assert drop_dimensions(population, 0.3) == doomed.sum() > 0
    assert (population.held == (before.held & ~doomed)).all()
    assert (population.kind[doomed] == EMPTY).all()
    for name in ("loading", "score", "contests", "understood"):
        assert (getattr(population, name)[doomed] == 0).all(), name
    for name in ("exemplar", "words", "concept", "born"):
        assert (getattr(population, name)[doomed] == NOTHING).all(), name
    kept: NDArray[np.bool_] = ~doomed
    for name, column in population.columns().items():
        expected = getattr(before, name)
        if column.ndim > 1 and column.shape[1] == population.n_slots:
            assert (column[kept] == expected[kept]).all(), name
        else:
            assert (column == expected).all(), name
    assert drop_dimensions(population, 0.0) == 0


def test_a_dimension_at_the_floor_stays(world: World) -> None:
    population = people(world, config())
    population.score[population.held] = 0.25
    population.contests[population.held] = GRACE
    assert drop_dimensions(population, 0.25) == 0
    population.contests[population.held] = GRACE - 1
    assert drop_dimensions(population, 1.0) == 0
    population.contests[population.held] = GRACE
    n_held = population.held.sum()
    assert drop_dimensions(population, 1.0) == n_held > 0
    assert not population.held.any()
