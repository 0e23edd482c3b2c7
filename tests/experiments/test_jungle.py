"""Diversity: each figure against a plain account of it; and that the jungle is told as it is found."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments import comparison, society_figures
from experiments.compared import Compared
from experiments.comparison import ComparisonConfig, Lived, lived
from experiments.jungle import (
    COMPARISON,
    CONDITIONS,
    JUNGLE,
    MORAN,
    MORE_DIVERSE,
    TOURNAMENT,
    conclude,
    main,
    measure,
)
from experiments.society_figures import BETTER, hill, projections, sensor_overlap, view_dimensions, view_overlap

LIVES = comparison.lives_of(COMPARISON, ComparisonConfig(quick=True, agents=14, steps=40))


@pytest.fixture(scope="module")
def jungle() -> Lived:
    return lived(dataclasses.replace(LIVES[JUNGLE], turnover=0.2, dimension_floor=0.7))


# ---- effective numbers


WEIGHTS = st.lists(st.just(0.0) | st.floats(1e-6, 1e6), min_size=1, max_size=30)


@given(WEIGHTS, st.floats(0.1, 1e3))
def test_an_effective_number_is_at_most_the_number_and_does_not_hang_on_the_scale(
    weights: list[float], scale: float
) -> None:
    there = sum(weight > 0 for weight in weights)
    found = hill(np.array(weights))
    assert (there > 0) * (1 - 1e-9) <= found <= there * (1 + 1e-9)
    assert hill(scale * np.array(weights)) == pytest.approx(found, rel=1e-6)


def test_effective_numbers_of_known_shares() -> None:
    assert hill(np.ones((3, 4))) == pytest.approx(12.0)
    assert hill(np.array([5.0, 0.0, 0.0])) == 1.0
    assert hill(np.zeros(3)) == 0.0
    # 1/2, 1/4, 1/4 have the entropy 1.5 bits.
    assert hill(np.array([2, 1, 1])) == pytest.approx(2**1.5)


# ---- views


def views_of(*spans: np.ndarray) -> list[np.ndarray]:
    """Bases of views with these levels [P, k], in eight slots of which the others are empty."""
    levels = np.full((len(spans), len(spans[0]), 8), 7.0)
    held = np.zeros((len(spans), 8), dtype=bool)
    for view, span in enumerate(spans):
        levels[view, :, : span.shape[1]] = span
        held[view, : span.shape[1]] = True
    return projections(levels, held)


def test_overlap_is_1_for_the_same_views_0_for_unrelated_ones_and_no_matter_how_they_are_turned() -> None:
    rng = np.random.default_rng(0)
    whole = np.linalg.qr(rng.standard_normal((40, 8)))[0]
    whole = np.linalg.qr(whole - whole.mean(axis=0))[0]
    a, b = whole[:, :4], whole[:, 4:]
    turned = a @ rng.standard_normal((4, 4)) + 3.0
    assert view_overlap(views_of(a, turned)) == pytest.approx(1.0)
    assert view_overlap(views_of(a, b)) == pytest.approx(0.0, abs=1e-12)
    assert view_overlap(views_of(a, whole[:, 2:6])) == pytest.approx(0.5)
    assert view_overlap(views_of(a, whole)) == pytest.approx(4 / math.sqrt(4 * 8))
    assert view_overlap(views_of(a)) is None
    assert view_dimensions(views_of(a, turned)) == pytest.approx(4.0)
    assert view_dimensions(views_of(a, b)) == pytest.approx(8.0)
    assert view_dimensions([]) == 0.0


def test_a_view_without_dimensions_or_with_constant_ones_spans_nothing() -> None:
    rng = np.random.default_rng(1)
    full, doubled = rng.standard_normal((30, 3)), rng.standard_normal((30, 1)) @ np.ones((1, 2))
    assert [basis.shape[1] for basis in views_of(full, np.ones((30, 2)), doubled, np.zeros((30, 0)))] == [3, 1]


def test_overlap_is_the_mean_over_all_pairs() -> None:
    rng = np.random.default_rng(2)
    for objects in (12, 200):  # fewer objects than dimensions, and more
        bases = views_of(*(rng.standard_normal((objects, k)) for k in (3, 8, 5, 1)))
        pairs = [
            np.square(a.T @ b).sum() / math.sqrt(a.shape[1] * b.shape[1]) for a, b in itertools.combinations(bases, 2)
        ]
        assert view_overlap(bases) == pytest.approx(np.mean(pairs))
        spectrum = np.linalg.eigvalsh(sum(basis @ basis.T for basis in bases) / len(bases))
        share = spectrum[spectrum > 1e-12] / spectrum.sum()
        assert view_dimensions(bases) == pytest.approx(np.exp(-(share * np.log(share)).sum()))


def test_views_at_random_overlap_as_much_as_their_dimensions_let_them() -> None:
    rng = np.random.default_rng(3)
    bases = views_of(*(rng.standard_normal((101, 8)) for _ in range(60)))
    assert view_overlap(bases) == pytest.approx(8 / 100, rel=0.02)


def test_sensors_overlap_as_any_two_agents_sensors_do(jungle: Lived) -> None:
    population, world = jungle.society.population, jungle.society.world
    sets = [set(row.tolist()) for row in population.sensor]
    share = np.mean([len(a & b) / len(a) for a, b in itertools.combinations(sets, 2)])
    assert sensor_overlap(population, world.n_features) == pytest.approx(share)


def test_figures_of_a_life_are_what_its_society_shows(jungle: Lived) -> None:
    found, society = measure(jungle), jungle.society
    assert set(found) == set(COMPARISON.figures)
    assert math.isnan(found["mcc"])
    assert all(math.isfinite(found[name]) for name in COMPARISON.answers if name != "mcc")
    assert found["n_concepts"] == len(jungle.library) >= found["effective_concepts"] > 1
    assert found["concepts_held"] <= found["n_concepts"]
    assert found["concepts_per_agent"] <= 8
    assert found["deaths"] == society.counters.deaths > 0
    assert found["dims_dropped"] == society.counters.dims_dropped > 0
    assert 1 <= found["effective_founders"] <= found["founders"] < 14
    ancestors = {int(agent): int(agent) for agent in range(14)}
    for _, dead in society.deaths:
        ancestors |= {int(heir): ancestors[int(parent)] for heir, parent in zip(dead.heir, dead.parent, strict=True)}
    assert found["founders"] == len({ancestors[agent] for agent in society.population.id.tolist()})
    assert found["effective_bodies"] == hill(np.unique(society.population.body, return_counts=True)[1])
    assert 0 < found["view_overlap"] < 1
    assert found["illusory"] == pytest.approx(found["mean_felt"] - found["mean_true"])


def test_before_the_first_merge_nothing_is_known_of_a_library() -> None:
    found = measure(lived(dataclasses.replace(LIVES[JUNGLE], steps=5, merge_interval=0)))
    assert found["n_concepts"] == 0
    unknown = {name for name, figure in found.items() if math.isnan(figure)}
    assert unknown > {"efficiency", "explained_variance", "label_accuracy", "effective_concepts", "concepts_held"}
    assert not unknown & {"view_overlap", "sensor_overlap", "deaths", *society_figures.FEELINGS}


# ---- conditions, and what is concluded


def test_selection_is_switched_off_and_on_part_by_part() -> None:
    parts = {name: (config.dimension_floor > 0, config.turnover > 0) for name, config in LIVES.items()}
    assert parts["no selection"] == (False, False)
    assert parts["dimensions dropped"] == (True, False)
    assert parts["agents replaced"] == (False, True)
    assert parts[JUNGLE] == (True, True)
    for condition in CONDITIONS:
        if condition.at is not None:
            assert LIVES[condition.name].turnover == condition.at
            assert LIVES[condition.name].dimension_floor == LIVES[JUNGLE].dimension_floor
    nobody = lived(LIVES["no selection"]).society
    assert nobody.counters.deaths == nobody.counters.dims_dropped == 0
    assert np.array_equal(nobody.population.id, np.arange(14))


def found_to_be(**change: float) -> Compared:
    """A jungle that differs from no selection by so much in these figures."""
    base = {name: np.array([1.0, 1.1, 0.9, 1.2]) for name in COMPARISON.figures}
    noise = np.array([0.01, -0.01, 0.02, -0.02])
    other = {name: values + change.get(name, 0.0) + noise for name, values in base.items()}
    return Compared(
        question=COMPARISON.question,
        found={"no selection": base, JUNGLE: other, TOURNAMENT: other, MORAN: base},
        seeds=(0, 1, 2, 3),
        figures=COMPARISON.figures,
        answers=COMPARISON.answers,
    )


def test_what_is_concluded_of_the_jungle_follows_the_figures() -> None:
    assert set(BETTER) | set(MORE_DIVERSE) <= set(COMPARISON.figures)
    library, society, drift = conclude(
        found_to_be(efficiency=0.2, success=-0.2, view_overlap=0.3, effective_concepts=0.3)
    )
    assert "is better in efficiency of the library; poorer in talk that succeeds; no different that 4 seeds" in library
    assert "is richer in diversity by effective number of concepts; poorer in diversity by overlap of two" in society
    assert "0.05): a library better in efficiency of the library; poorer in talk" in drift
    library, society, drift = conclude(found_to_be())
    assert "is no different that 4 seeds can show in efficiency of the library, " in library
    assert "is no different that 4 seeds can show in concepts in the library, " in society


@pytest.mark.slow
@pytest.mark.parametrize("world", ["digits", "planted"])
def test_the_quick_experiment_leaves_its_results(
    world: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--quick", "--world", world, "--out", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    printed = capsys.readouterr().out
    assert found["seeds"] == [0, 1]
    assert list(found["conditions"]) == list(LIVES)
    assert all(sentence in printed for sentence in found["answer"])
    assert ("mcc" in found["figures"]) == (world == "planted")
    assert (tmp_path / "comparison.html").stat().st_size > 1e6
