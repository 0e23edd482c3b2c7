"""Phase 7: the numerics of discovery against other implementations and exact laws, and what it does to views."""

from __future__ import annotations

import numpy as np
import pytest
from factor_analyzer.rotator import Rotator
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from agents.accommodation import SAME, unique_variance
from agents.config import SocietyConfig
from agents.discovery import (
    correlations,
    discover,
    factor_analysis,
    minres,
    null_eigenvalues,
    parallel_analysis,
    propose,
    spectrum,
)
from agents.errors import InputError
from agents.factor_analyzer_adapter import FactorAnalyzer
from agents.population import ABSTRACT, EMPTY, NOTHING, RAW, Population, found
from agents.society import Society
from agents.world import World, build, planted
from knowledge_graph.measures import congruence
from knowledge_graph.rotation import varimax

Matrix = NDArray[np.float64]
SEEDS = st.integers(0, 2**32 - 1)


def factor_loadings(rng: np.random.Generator, n_variables: int, n_factors: int) -> Matrix:
    """Loadings of simple structure: every variable loads on one factor, and a little on the others."""
    loadings = 0.1 * rng.standard_normal((n_variables, n_factors))
    own = np.arange(n_variables) % n_factors
    loadings[np.arange(n_variables), own] = rng.uniform(0.5, 0.85, n_variables) * rng.choice([-1, 1], n_variables)
    return loadings


def sample(rng: np.random.Generator, loadings: Matrix, n_objects: int) -> Matrix:
    """Objects [n, m] that follow the common factor model, with unit variance."""
    noise = np.sqrt(np.clip(1 - (loadings**2).sum(axis=1), 0, None))
    factors = rng.standard_normal((n_objects, loadings.shape[1]))
    return factors @ loadings.T + noise * rng.standard_normal((n_objects, len(loadings)))


def correlation_of(objects: Matrix) -> Matrix:
    """[m, m] of objects [n, m], also where m is 1."""
    return np.atleast_2d(np.corrcoef(objects, rowvar=False)).astype(np.float64)


def eigenvalues_of(corr: Matrix) -> Matrix:
    """[n, m] of matrices [n, m, m], largest first."""
    return np.linalg.eigvalsh(corr)[:, ::-1].astype(np.float64)


def precise_minres(corr: Matrix, n_factors: int) -> tuple[Matrix, Matrix]:
    return minres(corr, n_factors, max_iterations=20_000, tolerance=1e-10)


def sample_correlation(seed: int, n_variables: int, n_factors: int, n_objects: int = 500) -> Matrix:
    rng = np.random.default_rng(seed)
    return correlation_of(sample(rng, factor_loadings(rng, n_variables, n_factors), n_objects))


def aligned(found: Matrix, like: Matrix) -> Matrix:
    """The columns of ``found`` in the order and with the signs of those of ``like``."""
    likeness = congruence(found, like)
    rows, columns = linear_sum_assignment(-np.abs(likeness))
    order = rows[np.argsort(columns)]
    return found[:, order] * np.sign(likeness[order, np.arange(like.shape[1])])


# Factor analysis


@pytest.mark.parametrize(("n_variables", "n_factors"), [(6, 1), (9, 2), (12, 3), (16, 4)])
def test_batched_minres_finds_the_factors_that_factor_analyzer_finds(n_variables: int, n_factors: int) -> None:
    corr = np.stack([sample_correlation(seed, n_variables, n_factors) for seed in range(3)])
    loadings, communalities = precise_minres(corr, n_factors)
    for i, matrix in enumerate(corr):
        peer = FactorAnalyzer(n_factors=n_factors, rotation=None, method="minres", is_corr_matrix=True).fit(matrix)
        np.testing.assert_allclose(aligned(loadings[i], peer.loadings_), peer.loadings_, atol=1e-3)
        np.testing.assert_allclose(communalities[i], peer.get_communalities(), atol=1e-3)
        rotation = "varimax" if n_factors > 1 else None
        peer = FactorAnalyzer(n_factors=n_factors, rotation=rotation, method="minres", is_corr_matrix=True).fit(matrix)
        for own in (varimax(loadings[i])[0], factor_analysis(matrix, n_factors)):
            # factor-analyzer stops rotating at a growth of 1e-5
            np.testing.assert_allclose(aligned(own, peer.loadings_), peer.loadings_, atol=5e-3)


def test_what_minres_leaves_is_a_minimum_of_the_squared_residual() -> None:
    corr = sample_correlation(11, 10, 2)
    loadings, communalities = precise_minres(corr[None], 2)

    def residual(h: Matrix) -> float:
        """The least squared error of the off-diagonal, and of the diagonal at these communalities."""
        reduced = corr - np.diag(1 - h)
        values = np.linalg.eigvalsh(reduced)[:-2]
        return float((values**2).sum())

    best = residual(communalities[0])
    rng = np.random.default_rng(12)
    for _ in range(50):
        assert residual(communalities[0] + 1e-3 * rng.standard_normal(10)) >= best
    np.testing.assert_allclose((loadings[0] ** 2).sum(axis=1), communalities[0], atol=1e-8)


def test_minres_and_varimax_of_many_matrices_equal_those_of_each() -> None:
    # Different numbers of planted factors, so that they take differently many iterations.
    corr = np.stack([sample_correlation(seed, 12, n) for seed, n in enumerate((1, 2, 3, 4, 6))])
    loadings, communalities = minres(corr, 3)
    rotated, rotation = varimax(loadings, max_iterations=50, tolerance=1e-5)
    for i, matrix in enumerate(corr):
        alone, communality = minres(matrix[None], 3)
        np.testing.assert_allclose(loadings[i], alone[0], atol=1e-10)
        np.testing.assert_allclose(communalities[i], communality[0], atol=1e-10)
        turned, turn = varimax(alone[0], max_iterations=50, tolerance=1e-5)
        np.testing.assert_allclose(rotated[i], turned, atol=1e-10)
        np.testing.assert_allclose(rotation[i], turn, atol=1e-10)


def test_minres_leaves_what_it_starts_from_as_it_was() -> None:
    corr = np.stack([sample_correlation(seed, 8, 2) for seed in range(3)])
    start = spectrum(corr)[1][:, :, :2].copy()
    before = start.copy()
    minres(corr, 2, start=start)
    np.testing.assert_array_equal(start, before)


def test_the_quick_minres_of_the_tick_is_near_the_minimum() -> None:
    corr = np.stack([sample_correlation(seed, 16, 4) for seed in range(10)])
    quick, precise = minres(corr, 4)[0], precise_minres(corr, 4)[0]
    for a, b in zip(varimax(quick)[0], varimax(precise)[0], strict=True):
        assert np.diag(congruence(aligned(a, b), b)).min() > 0.999


@pytest.mark.parametrize("n_factors", [2, 3, 5])
def test_varimax_equals_that_of_factor_analyzer(n_factors: int) -> None:
    loadings = factor_loadings(np.random.default_rng(n_factors), 20, n_factors)
    mixed = loadings @ np.linalg.qr(np.random.default_rng(9).standard_normal((n_factors, n_factors)))[0]
    rotated, rotation = varimax(mixed, max_iterations=2000, tolerance=1e-12)
    peer = Rotator(method="varimax", normalize=True, max_iter=2000, tol=1e-12).fit_transform(mixed)
    np.testing.assert_allclose(aligned(rotated, peer), peer, atol=1e-5)
    np.testing.assert_allclose(mixed @ rotation, rotated, atol=1e-12)
    np.testing.assert_allclose(rotation.T @ rotation, np.eye(n_factors), atol=1e-12)


@pytest.mark.parametrize("r", [0.0, 0.02, 0.1, 0.3])
def test_two_factors_that_correlate_are_told_apart(r: float) -> None:
    """The first principal axis is their sum, the second their difference: there varimax begins, and must not stay."""
    simple = np.repeat(np.eye(2), 4, axis=0) * 0.8
    corr = simple @ np.array([[1, r], [r, 1]]) @ simple.T
    np.fill_diagonal(corr, 1)
    quick = varimax(minres(corr[None], 2)[0], max_iterations=50, tolerance=1e-5, troughs=False)[0][0]
    for loadings in (factor_analysis(corr, 2), quick):
        small, large = np.sort(np.abs(loadings), axis=1).T
        assert small.max() < 0.45 * r + 1e-3
        assert large.min() > 0.78


# How many dimensions


def test_pure_noise_gives_no_dimension_in_19_of_20_cases() -> None:
    """The first eigenvalue of noise exceeds the 95th percentile of noise at the stated rate, whatever the sizes."""
    rng = np.random.default_rng(14)
    found = []
    for n_objects, n_variables in ((40, 8), (64, 12), (100, 16), (150, 10), (200, 24), (256, 16), (90, 30), (300, 8)):
        noise = rng.standard_normal((150, n_objects, n_variables))
        corr = np.stack([correlation_of(objects) for objects in noise])
        found.append(parallel_analysis(eigenvalues_of(corr), np.full(150, n_objects), 8))
    rate = (np.concatenate(found) > 0).mean()
    # The quantiles are of 100 draws each, which spreads the rate of one size by .02 and that of eight by .008.
    assert rate == pytest.approx(0.05, abs=0.03)


@pytest.mark.parametrize("n_factors", [1, 2, 3, 5])
def test_planted_factors_are_counted(n_factors: int) -> None:
    corr = np.stack([sample_correlation(seed, 4 * n_factors, n_factors, 300) for seed in range(40)])
    number = parallel_analysis(eigenvalues_of(corr), np.full(40, 300), 8)
    assert (number == n_factors).mean() >= 0.9


def test_the_number_of_dimensions_is_at_most_what_a_view_holds() -> None:
    corr = np.stack([sample_correlation(seed, 30, 6, 500) for seed in range(5)])
    values = eigenvalues_of(corr)
    assert (parallel_analysis(values, np.full(5, 500), 3) == 3).all()


def test_a_memory_smaller_than_the_sensors_says_nothing() -> None:
    values = eigenvalues_of(np.stack([sample_correlation(0, 12, 2)] * 4))
    assert parallel_analysis(values, np.array([0, 5, 12, 13]), 8).tolist() == [0, 0, 0, 2]


def test_the_eigenvalues_of_noise_depend_on_the_sizes_alone() -> None:
    assert null_eigenvalues(50, 6) == null_eigenvalues.__wrapped__(50, 6)
    assert list(null_eigenvalues(50, 6)) == sorted(null_eigenvalues(50, 6), reverse=True)
    assert null_eigenvalues(5000, 6)[0] < null_eigenvalues(50, 6)[0]
    # Marchenko & Pastur (1967): the largest eigenvalue of noise tends to (1 + sqrt(m / n))^2.
    assert null_eigenvalues(400, 100)[0] == pytest.approx((1 + np.sqrt(100 / 400)) ** 2, rel=0.05)


# What a dimension is worth


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, n_variables=st.integers(3, 9), n_slots=st.integers(1, 5), empty=st.integers(0, 2))
def test_unique_variance_is_the_drop_in_r_squared_when_a_dimension_is_left_out(
    seed: int, n_variables: int, n_slots: int, empty: int
) -> None:
    assume(n_slots - empty <= n_variables)
    rng = np.random.default_rng(seed)
    objects = rng.standard_normal((60, n_variables)) @ rng.standard_normal((n_variables, n_variables))
    objects = (objects - objects.mean(axis=0)) / objects.std(axis=0)
    loading = rng.standard_normal((n_slots, n_variables))
    loading[rng.permutation(n_slots)[:empty]] = 0
    levels = objects @ loading.T
    held = (loading != 0).any(axis=1)

    def r_squared(slots: NDArray[np.intp]) -> float:
        predicted = levels[:, slots] @ np.linalg.lstsq(levels[:, slots], objects, rcond=None)[0]
        return float((predicted**2).mean())

    every = np.flatnonzero(held)
    # Where the levels of two dimensions are nearly the same, the ridge tells.
    assume(len(every) == 0 or np.linalg.cond(levels[:, every]) < 1e3)
    expected = [r_squared(every) - r_squared(every[every != slot]) if held[slot] else 0.0 for slot in range(n_slots)]
    corr = objects.T @ objects / len(objects)
    np.testing.assert_allclose(unique_variance(corr[None], loading[None])[0], expected, atol=1e-4)


def test_a_dimension_that_another_repeats_has_no_unique_variance() -> None:
    corr = sample_correlation(15, 10, 2)
    loading = np.random.default_rng(16).standard_normal((4, 10))
    loading[3] = 0
    loading[2] = -2 * loading[0]
    unique = unique_variance(corr[None], loading[None])[0]
    assert unique[0] == pytest.approx(0, abs=1e-6)
    assert unique[2] == pytest.approx(0, abs=1e-6)
    assert unique[3] == 0
    assert unique[1] > 0.01


# What is proposed


def test_correlations_are_those_of_the_remembered_objects(small_world: World) -> None:
    config = SocietyConfig(agents=6, sensors=10, memory=50, childhood=30)
    population = found(small_world, config, np.random.default_rng(17))
    corr, count = correlations(small_world, population, np.arange(6))
    for row in range(6):
        different = np.unique(population.seen[row, :30])  # one seen twice is one observation
        assert count[row] == len(different)
        objects = small_world.features[different][:, population.sensor[row]]
        np.testing.assert_allclose(corr[row], correlation_of(objects.astype(np.float64)), atol=1e-5)


def test_a_feature_that_never_varied_correlates_with_nothing(small_world: World) -> None:
    population = found(small_world, SocietyConfig(agents=2, sensors=10, memory=50), np.random.default_rng(18))
    population.seen[0], population.seen[1, 1:] = NOTHING, NOTHING
    corr, count = correlations(small_world, population, np.arange(2))
    assert count.tolist() == [0, 1]
    np.testing.assert_array_equal(corr, np.stack([np.eye(10)] * 2))


def test_features_far_from_the_mean_of_the_world_that_never_varied_correlate_with_nothing_either() -> None:
    # Four marks that only a rare kind has; who has met nobody else has seen them always the same, far above the mean.
    rng = np.random.default_rng(0)
    raw = rng.standard_normal((4000, 12))
    rare = np.arange(4000) < 54
    raw[:, 8:] = rare[:, None]
    world = build(name="marks", raw=raw, seed=0, probe=40)
    population = found(world, SocietyConfig(agents=2, sensors=12), np.random.default_rng(1))
    kind = np.intersect1d(np.flatnonzero(rare), world.train)
    population.seen[:], population.seen[:, : len(kind)] = NOTHING, kind
    corr, count = correlations(world, population, np.arange(2))
    assert world.features[kind, 8].min() > 8
    mark = population.sensor >= 8
    np.testing.assert_array_equal(corr[mark], np.stack([np.eye(12)] * 2)[mark])
    assert parallel_analysis(spectrum(corr)[0], count, 8).tolist() == [0, 0]


def test_principal_components_span_the_leading_eigenvectors() -> None:
    corr = np.stack([sample_correlation(seed, 12, 3) for seed in range(4)])
    proposals, number, _ = propose(corr, np.full(4, 500), SocietyConfig(discovery="pca"))
    assert (number == 3).all()
    for matrix, proposal in zip(corr, proposals, strict=True):
        leading = np.linalg.eigh(matrix)[1][:, ::-1][:, :3]
        np.testing.assert_allclose(np.abs(np.diag(proposal[:3] @ leading)), 1, atol=1e-10)
        assert (proposal[3:] == 0).all()


@pytest.mark.parametrize("discovery", ["factor", "pca"])
def test_proposals_have_unit_norm_and_the_strongest_comes_first(discovery: str) -> None:
    rng = np.random.default_rng(19)
    loadings = factor_loadings(rng, 15, 3) * np.array([1.0, 0.8, 0.6])
    corr = correlation_of(sample(rng, loadings, 2000))
    config = SocietyConfig(discovery=discovery)  # type: ignore[arg-type]
    proposals, number, _ = propose(corr[None], np.array([2000]), config)
    assert number.tolist() == [3]
    np.testing.assert_allclose(np.linalg.norm(proposals[0, :3], axis=1), 1)
    if discovery == "factor":
        assert np.abs(congruence(proposals[0, :3].T, loadings)).argmax(axis=1).tolist() == [0, 1, 2]


@pytest.mark.parametrize(("n", "expected"), [(1, 0.600), (2, 0.750), (4, 0.857), (8, 0.923)])
def test_the_abstract_landlord_follows_the_common_factor_as_spearman_and_brown_say(n: int, expected: float) -> None:
    """With n exemplars of communality r, rho^2 of their first principal component is n r / (1 + (n - 1) r)."""
    r, n_objects = 0.6, 20_000
    rng = np.random.default_rng(26)
    factor = rng.standard_normal(n_objects)
    levels = np.sqrt(r) * factor[:, None] + np.sqrt(1 - r) * rng.standard_normal((n_objects, n))
    corr = correlation_of(levels)
    first = np.linalg.eigh(corr)[1][:, -1]
    if n > 1:
        proposals, number, _ = propose(corr[None], np.array([n_objects]), SocietyConfig(discovery="pca"))
        assert number.tolist() == [1]
        assert abs(proposals[0, 0] @ first) == pytest.approx(1)
        first = proposals[0, 0]
    assert expected == pytest.approx(n * r / (1 + (n - 1) * r), abs=5e-4)
    assert np.corrcoef(levels @ first, factor)[0, 1] ** 2 == pytest.approx(expected, abs=0.01)


# What it does to views


@pytest.fixture(scope="module")
def small_world() -> World:
    return planted(seed=5, objects=800, features=40, factors=5, probe=60)


def memorise(population: Population, world: World, n_objects: int, rng: np.random.Generator) -> None:
    """Fill the memories with distinct objects."""
    for row in range(len(population)):
        population.seen[row, :n_objects] = rng.permutation(world.train)[:n_objects]
    population.n_seen[:] = n_objects


def test_a_refreshed_dimension_keeps_its_name_its_feelings_and_its_birth(small_world: World) -> None:
    config = SocietyConfig(
        agents=20, sensors=20, attention=0.0, discovery_interval=5, selection_interval=0, merge_interval=9
    )
    society = Society(small_world, config, seed=6)
    for _ in range(23):
        society.step()
    before, population = society.population.copy(), society.population
    society.discover()
    stayed = (before.kind == ABSTRACT) & (population.kind == ABSTRACT)
    stayed &= (before.words == population.words).all(axis=2) & (before.born == population.born)
    refreshed = stayed & (before.loading != population.loading).any(axis=2)
    assert refreshed.sum() > 20
    likeness = (before.loading[refreshed] * population.loading[refreshed]).sum(axis=1)
    assert likeness.min() >= SAME - 1e-6, "it is the same dimension, in the same direction"
    assert (before.words[refreshed] >= 0).any(), "some of them had a name to keep"
    for name in ("score", "contests", "concept", "understood", "exemplar"):
        old, new = getattr(before, name), getattr(population, name)
        np.testing.assert_array_equal(new[refreshed], old[refreshed])


def test_no_view_holds_more_than_its_dimensions_and_all_loadings_have_unit_norm(small_world: World) -> None:
    config = SocietyConfig(agents=20, sensors=20, dimensions=3, exemplars=2, discovery_interval=3)
    society = Society(small_world, config, seed=7)
    for _ in range(40):
        society.step()
        held = society.population.held
        assert held.shape == (20, 3)
        assert held.sum(axis=1).max() <= 3
        np.testing.assert_allclose(np.linalg.norm(society.population.loading, axis=2), held, atol=1e-5)
    assert (society.population.kind == ABSTRACT).any()


def test_what_is_new_fills_empty_slots_before_it_competes(small_world: World) -> None:
    config = SocietyConfig(agents=10, sensors=20, memory=400, exemplars=3, attention=0.0)
    rng = np.random.default_rng(27)
    population = found(small_world, config, rng)
    memorise(population, small_world, 400, rng)
    before = population.copy()
    n_new = discover(population, np.arange(10), small_world, config, 1, rng)
    # Five factors and the new exemplar do not need the slots of the three that were there.
    assert (population.kind[:, :3] == RAW).all()
    assert (population.loading[:, :3] == before.loading[:, :3]).all()
    assert n_new == (population.kind != EMPTY).sum() - 30
    assert (population.born[:, 3:][population.kind[:, 3:] != EMPTY] == 1).all()


def test_where_all_slots_are_taken_the_one_worth_least_gives_way(small_world: World) -> None:
    config = SocietyConfig(agents=30, sensors=20, memory=400, childhood=32, exemplars=8, attention=0.0, discovery="pca")
    rng = np.random.default_rng(28)
    population = found(small_world, config, rng)
    memorise(population, small_world, 400, rng)
    population.score[:] = rng.uniform(0.2, 0.8, population.score.shape)
    corr, count = correlations(small_world, population, np.arange(30))
    proposals, _, _ = propose(corr, count, config)
    worth = population.score * unique_variance(corr, population.loading)
    discover(population, np.arange(30), small_world, config, 1, rng)
    for row in range(30):
        # The strongest component goes where least is lost.
        assert population.kind[row, worth[row].argmin()] == ABSTRACT
        np.testing.assert_allclose(population.loading[row, worth[row].argmin()], proposals[row, 0], atol=1e-6)


def test_an_agent_with_room_left_takes_an_exemplar_from_its_memory(small_world: World) -> None:
    config = SocietyConfig(agents=10, sensors=20, memory=12, childhood=10, exemplars=2, attention=0.0)
    rng = np.random.default_rng(29)
    population = found(small_world, config, rng)
    assert discover(population, np.arange(10), small_world, config, 4, rng) == 10
    assert (population.kind[:, 2] == RAW).all()
    assert (population.kind[:, 3:] == EMPTY).all()
    assert (population.born[:, 2] == 4).all()
    for row in range(10):
        assert population.exemplar[row, 2] in population.seen[row, :10]


def test_a_lone_agent_that_has_seen_enough_recovers_the_factors_that_it_senses() -> None:
    world = planted(seed=8, objects=2000, features=48, factors=6, probe=60)
    assert world.truth is not None
    config = SocietyConfig(agents=2, sensors=24, memory=1000, childhood=0, exemplars=0, attention=0.0)
    rng = np.random.default_rng(31)
    population = found(world, config, rng)
    memorise(population, world, 1000, rng)
    discover(population, np.array([0]), world, config, 1, rng)
    truth = world.truth.loadings[population.sensor[0]]
    well_sensed = (np.abs(truth) > 0.5 * np.sqrt(0.6)).sum(axis=0) >= 4
    assert well_sensed.sum() >= 3
    abstract = population.loading[0, population.kind[0] == ABSTRACT].T
    alike = np.abs(congruence(abstract, truth)).max(axis=0)
    assert alike[well_sensed].min() > 0.9
    assert not population.held[1].any(), "nobody else was asked to discover"


def test_one_agent_asked_for_its_factors_tells_those_that_the_tick_proposes(small_world: World) -> None:
    society = Society(small_world, SocietyConfig(agents=6, sensors=16, memory=400, discovery_interval=0), seed=3)
    memorise(society.population, small_world, 400, np.random.default_rng(30))
    rows = np.arange(6)
    corr, count = correlations(small_world, society.population, rows)
    proposals, number, _ = propose(corr, count, society.config)
    assert number.max() > 1
    for agent in society.agents:
        told = agent.factors()
        assert told.shape == (16, number[agent.row])
        told = told / np.linalg.norm(told, axis=0)
        alike = np.abs(proposals[agent.row, : number[agent.row]] @ told)
        # The tick stops at communalities that change by less than .001; a weak factor may still turn a little.
        assert (alike.max(axis=1) > 0.97).all()
    assert society.agents[0].factors(2).shape == (16, 2)


def test_one_agent_can_be_asked_whatever_it_remembers() -> None:
    rng = np.random.default_rng(31)
    raw = sample(rng, factor_loadings(rng, 9, 2), 400)
    raw[:, 7] = raw[:, 6]  # the same twice
    raw[:, 8] = np.arange(400) < 4  # nearly nobody has it
    world = build(name="twice", raw=raw, seed=0, probe=40)
    society = Society(world, SocietyConfig(agents=2, sensors=9, memory=200, discovery_interval=0), seed=3)
    memorise(society.population, world, 200, rng)
    never = society.population.seen[0] >= 4
    society.population.seen[0, ~never] = society.population.seen[0, never][0]
    told, sensor = society.agents[0].factors(), society.agents[0].sensor
    assert told.shape[1] > 0
    assert np.isfinite(told).all()
    assert (told[sensor == 8] == 0).all()
    np.testing.assert_allclose(told[sensor == 6], told[sensor == 7], atol=1e-4)


def test_a_memory_without_anything_in_common_has_no_factors_to_tell() -> None:
    assert factor_analysis(np.eye(5), 2).tolist() == [[0.0, 0.0]] * 5
    assert factor_analysis(np.ones((3, 3)), 3).shape == (3, 3)


@pytest.mark.parametrize("number", [-1, 17])
def test_so_many_factors_as_there_cannot_be_are_refused(small_world: World, number: int) -> None:
    society = Society(small_world, SocietyConfig(agents=6, sensors=16), seed=3)
    with pytest.raises(InputError, match=f"n_factors is {number}, but it must be from 0 to 16"):
        society.agents[0].factors(number)
