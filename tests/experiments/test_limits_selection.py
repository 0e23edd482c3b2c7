"""The law of the jungle in its limits: the theory beside brute force, and that what is broken turns its rows red."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from agents import selection as mechanism
from agents.population import Population
from experiments.limits import descent, selection
from experiments.limits import selection_theory as theory
from experiments.limits.rows import Law, Row

SEED = 3

Rows = Callable[[dict[str, Any]], Iterator[Row | Law]]


def red(rows: Rows, figures: dict[str, float]) -> set[str]:
    """The names of the rows that are not ok, by the figures of one seed."""
    shown = list(rows({name: np.array([float(figure)]) for name, figure in figures.items()}))
    assert any(isinstance(row, Row) for row in shown)
    return {row.name for row in shown if isinstance(row, Row) and not row.ok}


def broken(monkeypatch: pytest.MonkeyPatch, name: str, replacement: Callable[..., Any]) -> None:
    """Put something else in the place of a part of `agents.selection`, wherever it is used."""
    for module in (mechanism, selection):
        if hasattr(module, name):
            monkeypatch.setattr(module, name, replacement)


# ---- unbroken


def test_the_jungle_meets_all_its_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    for mutants in (selection.MUTANTS, selection.BESIDE):
        for which, runs in list(mutants.items()):
            monkeypatch.setitem(mutants, which, runs // 8)
    for module in (selection, descent):
        found = {
            name: {figure: np.array([value]) for figure, value in measure(SEED).items()}
            for name, measure in module.measures(quick=True).items()
        }
        shown = list(module.rows(found))
        judged = [row for row in shown if isinstance(row, Row)]
        assert {row.name for row in judged if not row.ok} == set()
        assert len({row.name for row in judged}) == len(judged) >= 8
        for law in shown:
            if isinstance(law, Law):
                assert law.expected is not None
                assert len(law.measured) == len(law.expected) == len(law.at) > 3


# ---- tournaments


def losing(worth: NDArray[Any], n_winners: int, size: int, rng: np.random.Generator) -> NDArray[np.intp]:
    order = np.lexsort((rng.random(len(worth)), worth))
    return order[rng.integers(len(worth), size=(n_winners, size)).min(axis=1)]


tournament, least_fit = mechanism.tournament, mechanism.least_fit


def test_tournaments_that_the_least_fit_win_turn_their_rows_red(monkeypatch: pytest.MonkeyPatch) -> None:
    broken(monkeypatch, "tournament", losing)
    missed = red(selection.tournament_rows, selection.tournaments(SEED))
    for n, size in selection.SIZES:
        assert f"tournaments of {size} among {n}: wins of all ranks, chi-square" in missed
        assert f"tournaments of {size} among {n}: won by the fittest" in missed
    missed = red(selection.replicator_rows, selection.replicators(SEED))
    assert "two kinds, 30% of them the fitter: the fitter among winners of tournaments of 2" in missed
    assert "tournaments of 3, 5% die: share of the fitter, 0.05 at first, after 20 selections" in missed
    assert not any("Moran" in name or "proportion" in name for name in missed)


def test_tournaments_with_one_more_turn_their_rows_red(monkeypatch: pytest.MonkeyPatch) -> None:
    broken(monkeypatch, "tournament", lambda worth, n, size, rng: tournament(worth, n, size + 1, rng))
    missed = red(selection.tournament_rows, selection.tournaments(SEED))
    for n, size in selection.SIZES:
        assert f"tournaments of {size} among {n}: won by the fittest" in missed
    missed = red(selection.replicator_rows, selection.replicators(SEED))
    for size in selection.ENTRANTS:
        assert f"two kinds, 30% of them the fitter: the fitter among winners of tournaments of {size}" in missed


def test_equals_in_the_order_of_their_rows_turn_fairness_red(monkeypatch: pytest.MonkeyPatch) -> None:
    def in_rows(worth: NDArray[Any], n_winners: int, size: int, rng: np.random.Generator) -> NDArray[np.intp]:
        return np.argsort(worth, kind="stable")[rng.integers(len(worth), size=(n_winners, size)).max(axis=1)]

    def first_rows(worth: NDArray[Any], n_dead: int, rng: np.random.Generator) -> NDArray[np.intp]:
        return np.argsort(worth, axis=-1, kind="stable")[..., :n_dead]

    broken(monkeypatch, "tournament", in_rows)
    broken(monkeypatch, "least_fit", first_rows)
    assert red(selection.tournament_rows, selection.tournaments(SEED)) == {
        "tournaments with equals: wins, chi-square",
        "equals at the bottom: deaths, chi-square",
    }


def fittest(worth: NDArray[Any], n_dead: int, rng: np.random.Generator) -> NDArray[np.intp]:
    return least_fit(-worth, n_dead, rng)


def test_death_of_the_fittest_turns_its_rows_red(monkeypatch: pytest.MonkeyPatch) -> None:
    broken(monkeypatch, "least_fit", fittest)
    assert "deaths among the fitter" in red(selection.tournament_rows, selection.tournaments(SEED))
    missed = red(selection.replicator_rows, selection.replicators(SEED))
    assert missed == {
        f"tournaments of 3, 5% die: share of the fitter, 0.05 at first, after {step} selections" for step in (10, 20)
    }, "in the Moran process death does not ask for fitness"


# ---- the Moran process


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mutants that are soon fixed or lost."""
    for mutants in (selection.MUTANTS, selection.BESIDE):
        for n, r in list(mutants):
            if n > 10 and (n, r) != (20, 1.5):
                monkeypatch.delitem(mutants, (n, r))


def moran_red(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    return red(selection.moran_rows, selection.fixations(SEED, more=1))


@pytest.mark.usefixtures("few")
def test_parents_drawn_evenly_turn_fixation_red_where_fitness_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert moran_red(monkeypatch) == set()
    proportional = mechanism.proportional
    broken(monkeypatch, "proportional", lambda worth, n, rng: proportional(np.ones(len(worth)), n, rng))
    missed = moran_red(monkeypatch)
    assert {"a mutant of fitness 1.5 among 20: fixed", "a mutant of fitness 2 among 6, whole agents: fixed"} <= missed
    assert "a mutant of fitness 1 among 10: fixed" not in missed


@pytest.mark.usefixtures("few")
def test_parents_drawn_by_the_square_of_fitness_turn_fixation_red(monkeypatch: pytest.MonkeyPatch) -> None:
    proportional = mechanism.proportional
    broken(monkeypatch, "proportional", lambda worth, n, rng: proportional(worth**2, n, rng))
    assert "a mutant of fitness 1.5 among 20: fixed" in moran_red(monkeypatch)


@pytest.mark.usefixtures("few")
def test_a_society_that_mixes_the_two_ways_of_selecting_turns_red(monkeypatch: pytest.MonkeyPatch) -> None:
    select = mechanism.select_agents

    def by_tournament(population: Population, world: Any, config: Any, **how: Any) -> mechanism.Deaths:
        object.__setattr__(config, "selection", "tournament")
        return select(population, world, config, **how)

    broken(monkeypatch, "select_agents", by_tournament)
    assert moran_red(monkeypatch) == {"a mutant of fitness 2 among 6, whole agents: fixed"}


def test_fitness_that_forgets_success_turns_whole_populations_red(monkeypatch: pytest.MonkeyPatch) -> None:
    broken(
        monkeypatch, "fitness", lambda population: population.self_esteem(np.arange(len(population))).astype(np.float64)
    )
    missed = red(selection.replicator_rows, selection.replicators(SEED))
    for name, (*_, start, steps) in selection.COURSES.items():
        assert f"{name}: share of the fitter, {start:g} at first, after {steps} selections" in missed
    assert not any(name.startswith("two kinds") for name in missed)


# ---- descent


def test_offspring_of_another_parent_than_the_record_says_turn_the_price_equation_red(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bear = mechanism.bear

    def changelings(population: Population, rows: Any, parents: NDArray[np.intp], *args: Any, **how: Any) -> None:
        bear(population, rows, (parents + 1) % len(population), *args, **how)

    broken(monkeypatch, "bear", changelings)
    whole = "8 selections of a living society: mean body and sensors"
    assert red(descent.price_rows, descent.price_equation(SEED)) == {
        "each selection: change of mean dimensions, superiority, success beside the covariance",
        f"{whole}, change beside the covariance",
    }


def test_heirs_that_are_always_mutated_turn_the_price_equation_red(monkeypatch: pytest.MonkeyPatch) -> None:
    mutate = mechanism._mutate_sensors

    def more(population: Population, rows: Any, keys: Any, moved: NDArray[np.bool_], world: Any) -> None:
        mutate(population, rows, keys, np.ones_like(moved), world)

    broken(monkeypatch, "_mutate_sensors", more)
    missed = red(descent.price_rows, descent.price_equation(SEED))
    assert "8 selections of a living society: mean body and sensors, change beside the covariance" in missed


def test_one_parent_of_all_the_newborn_turns_drift_red(monkeypatch: pytest.MonkeyPatch) -> None:
    def one(draw: Callable[..., NDArray[np.intp]]) -> Callable[..., NDArray[np.intp]]:
        return lambda worth, n, *how: np.repeat(draw(worth, 1, *how), n)

    broken(monkeypatch, "tournament", one(mechanism.tournament))
    broken(monkeypatch, "proportional", one(mechanism.proportional))
    missed = red(descent.drift_rows, descent.drift(SEED, runs=25))
    assert "Moran, all 10 die: heterozygosity after 10 selections" in missed
    # Where one dies there is but one newborn.
    assert "Moran, 1 of 10 dies: heterozygosity after 30 selections" not in missed


def test_death_in_the_order_of_rows_turns_the_time_to_the_common_ancestor_red(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those in the first rows are replaced again and again, and leave hardly any line; the others never die."""
    broken(monkeypatch, "least_fit", lambda worth, n_dead, rng: np.arange(worth.shape[-1])[:n_dead])
    missed = red(descent.drift_rows, descent.drift(SEED, runs=25))
    assert "Moran, 1 of 10 dies: heterozygosity after 30 selections" in missed


# ---- the theory


@pytest.mark.parametrize(("n", "r"), [(2, 1.3), (7, 0.8), (10, 1.1), (5, 1.0)])
def test_fixation_is_what_the_chain_of_single_births_and_deaths_comes_to(n: int, r: float) -> None:
    i = np.arange(1, n)
    born = r * i / (r * i + n - i)
    up, down = born * (1 - i / n), (1 - born) * i / n
    chain = np.diag(up + down) - np.diag(up[:-1], 1) - np.diag(down[1:], -1)
    target = np.zeros(n - 1)
    target[-1] = up[-1]
    assert theory.moran_fixation(n, r) == pytest.approx(np.linalg.solve(chain, target)[0])


@pytest.mark.parametrize(("n", "size"), [(3, 2), (4, 3)])
def test_ranks_win_as_often_as_in_all_tournaments_that_can_be(n: int, size: int) -> None:
    wins = np.bincount([max(entrants) for entrants in itertools.product(range(n), repeat=size)], minlength=n)
    np.testing.assert_allclose(theory.rank_shares(n, size), wins / n**size)
    equal = theory.tied_shares(np.array([0.3, 0.1, 0.3, 0.1][:n]), size)
    assert equal.sum() == pytest.approx(1)
    assert equal[0] == equal[2]


@pytest.mark.parametrize(
    ("n", "deaths", "from_all"), [(4, 1, True), (4, 2, True), (4, 4, True), (4, 1, False), (4, 2, False)]
)
def test_diversity_is_kept_as_in_all_selections_that_can_be(n: int, deaths: int, from_all: bool) -> None:
    kept = []
    for dead in itertools.combinations(range(n), deaths):
        survivors = [agent for agent in range(n) if agent not in dead]
        for parents in itertools.product(range(n) if from_all else survivors, repeat=deaths):
            now = survivors + list(parents)
            kept.append(np.mean([a != b for a, b in itertools.combinations(now, 2)]))
    assert theory.kept_diversity(n, deaths, from_all=from_all) == pytest.approx(np.mean(kept))


def test_the_common_ancestor_of_n_lived_n_minus_1_squared_births_ago() -> None:
    for n in (2, 3, 10):
        assert theory.time_to_common_ancestor(n)[0] == pytest.approx((n - 1) ** 2)


def test_where_all_are_replaced_the_odds_of_the_fitter_grow_by_r() -> None:
    x = 0.2
    for _ in range(5):
        x = theory.moran_map(x, r=1.25)
    assert x / (1 - x) == pytest.approx(0.25 * 1.25**5)
    shares, _ = theory.course_of("moran", 1.0, 1.25, start=0.2, steps=5, n=100)
    assert shares[-1] == pytest.approx(x)


def test_the_less_fit_die_first_and_the_fitter_win_whatever_they_enter() -> None:
    assert theory.tournament_map(0.3, size=2) == pytest.approx(0.51)
    # Of ten agents, three are fitter; two others die; of the eight left three are fitter.
    assert theory.tournament_map(0.3, size=2, turnover=0.2) == pytest.approx(0.3 + 0.2 * (1 - (5 / 8) ** 2))
    assert theory.tournament_map(0.95, size=2, turnover=0.2) == pytest.approx(1.0)
