"""Where new dimensions come from: each source alone, all of them in one society, and what is told of it afterwards."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import chisquare, kstest

from agents import InputError, Society, SocietyConfig
from agents.accommodation import SAME, Proposals, accommodate, explained
from agents.discovery import correlations, discover, draw, parallel_analysis, proposals_of, spectrum
from agents.population import (
    ABSTRACT,
    COMPONENT,
    EMBEDDING,
    EMPTY,
    EXEMPLAR,
    FACTOR,
    NO_ORIGIN,
    NOTHING,
    ORIGIN_NAMES,
    RANDOM,
    RAW,
    Population,
    found,
    likeness,
)
from agents.selection import bear
from agents.sources import exemplars, random_directions, sources, told_coordinates
from agents.world import World, embedded, planted

RARE = 1e-3
"""Below this p-value a fixed-seed sample does not pass for what it should be."""

PLAIN = planted(seed=5, objects=800, features=40, factors=5, probe=60)


def told_world() -> World:
    """The planted world, with its true scores as an embedding (which a perfect network would give)."""
    assert PLAIN.truth is not None
    return embedded(PLAIN, PLAIN.truth.scores)


WORLD = told_world()


def config(**changes: Any) -> SocietyConfig:
    usual: dict[str, Any] = {"agents": 12, "sensors": 20, "memory": 200, "exemplars": 0, "attention": 0.0}
    return SocietyConfig(**(usual | changes))


def experienced(world: World, life: SocietyConfig, n_objects: int = 200, seed: int = 6) -> Population:
    """Agents whose memories are full of distinct objects."""
    rng = np.random.default_rng(seed)
    population = found(world, life, rng)
    for row in range(len(population)):
        population.seen[row, :n_objects] = rng.permutation(world.train)[:n_objects]
    population.seen[:, n_objects:], population.n_seen[:] = NOTHING, n_objects
    return population


def proposed(population: Population, world: World, life: SocietyConfig, seed: int = 7) -> Proposals:
    rows = np.arange(len(population))
    corr, count = correlations(world, population, rows)
    drawn = draw(population, rows, world, life, np.random.default_rng(seed))
    return proposals_of(population, rows, world, corr, count, life, drawn)


def how_many(population: Population, world: World) -> NDArray[np.intp]:
    corr, count = correlations(world, population, np.arange(len(population)))
    return parallel_analysis(spectrum(corr)[0], count, population.n_slots)


# Each source


def test_exemplars_are_likenesses_to_different_remembered_objects() -> None:
    population = experienced(WORLD, config())
    population.seen[0, 3:] = population.seen[0, 0]  # three different objects, one of them many times
    rows, keys = np.arange(12), np.random.default_rng(8).random((12, 200))
    number = np.arange(12) % 9
    loading, objects = exemplars(population, rows, WORLD, number, keys)
    for row in rows:
        expected = min(number[row], 3 if row == 0 else 200)
        chosen = objects[row, :expected]
        assert len(set(chosen.tolist())) == expected
        assert set(chosen.tolist()) <= set(population.seen[row].tolist())
        assert (objects[row, expected:] == NOTHING).all()
        assert (loading[row, expected:] == 0).all()
        alike = likeness(WORLD.features, chosen, np.broadcast_to(population.sensor[row], (expected, 20)))
        np.testing.assert_array_equal(loading[row, :expected], alike)


def test_every_remembered_object_is_equally_likely_to_become_an_exemplar() -> None:
    population = experienced(WORLD, config(agents=400, memory=20), 20)
    population.seen[:] = WORLD.train[:20]
    keys = np.random.default_rng(9).random((400, 20))
    _, objects = exemplars(population, np.arange(400), WORLD, np.full(400, 2), keys)
    counts = np.bincount(np.searchsorted(WORLD.train[:20], objects[:, :2].ravel()), minlength=20)
    assert chisquare(counts).pvalue > RARE


def test_random_directions_point_everywhere_alike() -> None:
    normal = np.random.default_rng(10).standard_normal((4000, 2, 3))
    loading = random_directions(normal, np.full(4000, 1))
    assert (loading[:, 1] == 0).all(), "one was asked for"
    np.testing.assert_allclose(np.linalg.norm(loading[:, 0], axis=1), 1)
    # On a sphere every coordinate is uniform (Archimedes), and directions are not tied to the axes.
    for direction in (np.array([1.0, 0, 0]), np.array([1.0, 1, 1]) / np.sqrt(3)):
        assert kstest(loading[:, 0] @ direction, "uniform", args=(-1, 2)).pvalue > RARE


def test_a_told_coordinate_is_the_ridge_regression_on_what_is_sensed_of_what_is_remembered() -> None:
    from sklearn.linear_model import Ridge

    population = experienced(WORLD, config())
    population.seen[0, 150:] = population.seen[0, 0]  # one seen twice is one observation
    keys = np.random.default_rng(11).random((12, 5))
    number = np.full(12, 3)
    loading = told_coordinates(population, np.arange(12), WORLD, number, keys)
    assert WORLD.embedding is not None
    for row in range(12):
        objects = np.unique(population.seen[row])
        sensed = WORLD.features[objects][:, population.sensor[row]].astype(np.float64)
        penalty = 20 * sensed.var(axis=0).mean()  # (m / n) of the mean variance, for a sum over n objects
        for place, coordinate in enumerate(np.argsort(keys[row])[:3]):
            peer = Ridge(alpha=penalty).fit(sensed, WORLD.embedding[objects, coordinate])
            np.testing.assert_allclose(loading[row, place], peer.coef_ / np.linalg.norm(peer.coef_), atol=1e-6)
        assert (loading[row, 3:] == 0).all()


def test_what_is_told_of_the_planted_factors_points_at_them() -> None:
    """The regression of a factor on what is sensed is as near to it as any weights are (Thurstone's factor scores)."""
    population = experienced(WORLD, config())
    loading = told_coordinates(
        population, np.arange(12), WORLD, np.full(12, 5), np.broadcast_to(np.linspace(0, 1, 5), (12, 5))
    )
    assert WORLD.embedding is not None
    best = []
    for row in range(12):
        sensed = WORLD.features[:, population.sensor[row]].astype(np.float64)
        for coordinate in range(5):
            told = sensed[WORLD.held_out] @ loading[row, coordinate]
            limit = sensed @ np.linalg.lstsq(sensed, WORLD.embedding[:, coordinate], rcond=None)[0]
            r = np.corrcoef(told, WORLD.embedding[WORLD.held_out, coordinate])[0, 1]
            best.append(r / np.corrcoef(limit, WORLD.embedding[:, coordinate])[0, 1])
    assert np.mean(best) > 0.9


def test_coordinates_that_do_not_vary_in_memory_are_not_proposed() -> None:
    hidden = np.random.default_rng(12).standard_normal((800, 3))
    rare = WORLD.train[-5:]
    hidden[:, 1] = np.isin(np.arange(800), rare)
    world = embedded(PLAIN, hidden)
    population = experienced(world, config(discovery="embedding"))
    population.seen[:, :200] = world.train[:200]
    keys = np.broadcast_to(np.array([0.2, 0.1, 0.3]), (12, 3))  # the dull one would come first
    loading = told_coordinates(population, np.arange(12), world, np.full(12, 3), keys)
    np.testing.assert_allclose(np.linalg.norm(loading[:, :2], axis=2), 1)
    assert (loading[:, 2:] == 0).all()
    assert (proposed(population, world, config(discovery="embedding")).number <= 2).all()


def test_agents_who_sense_nothing_that_varies_are_told_nothing() -> None:
    population = experienced(WORLD, config())
    population.seen[:, 1:] = NOTHING
    keys = np.random.default_rng(13).random((12, 5))
    assert (told_coordinates(population, np.arange(12), WORLD, np.full(12, 3), keys) == 0).all()


# Fairness


@pytest.mark.parametrize("discovery", ["factor", "pca", "exemplar", "random", "embedding", "mixed"])
def test_every_source_proposes_as_much_as_parallel_analysis_finds(discovery: str) -> None:
    life = config(discovery=discovery)
    population = experienced(WORLD, life)
    population.seen[0, 10:] = NOTHING  # fewer objects than sensors: nothing is known yet
    proposals, number = proposed(population, WORLD, life), how_many(population, WORLD)
    assert number[0] == 0
    assert number[1:].min() >= 3
    np.testing.assert_array_equal(proposals.number, np.minimum(number, 5) if discovery == "embedding" else number)
    there = np.arange(8) < proposals.number[:, None]
    np.testing.assert_allclose(np.linalg.norm(proposals.loading, axis=2), there, atol=1e-6)
    assert ((proposals.exemplar != NOTHING) == (there & (proposals.origin == EXEMPLAR)[:, None])).all()
    assert (proposals.communality[0] == 0).all()
    assert (proposals.communality[1:] > 0).any(axis=1).all()
    assert proposals.communality.max() <= 1


def test_what_proposals_explain_is_the_share_of_variance_that_regression_on_them_tells() -> None:
    life = config(discovery="random")
    population = experienced(WORLD, life)
    proposals = proposed(population, WORLD, life)
    for row in range(12):
        sensed = WORLD.features[population.seen[row]][:, population.sensor[row]].astype(np.float64)
        sensed = (sensed - sensed.mean(axis=0)) / sensed.std(axis=0)
        levels = sensed @ proposals.loading[row, : proposals.number[row]].T
        told = levels @ np.linalg.lstsq(levels, sensed, rcond=None)[0]
        np.testing.assert_allclose(proposals.communality[row], (told**2).mean(axis=0), atol=1e-4)


def test_of_principal_components_it_is_the_communality() -> None:
    life = config(discovery="pca")
    population = experienced(WORLD, life)
    proposals = proposed(population, WORLD, life)
    corr, _ = correlations(WORLD, population, np.arange(12))
    np.testing.assert_allclose(explained(corr, proposals.loading), proposals.communality, atol=1e-6)


def test_in_a_mixed_society_every_source_is_as_likely_for_every_agent() -> None:
    for world, possible in ((PLAIN, 4), (WORLD, 5)):
        life = config(agents=600, discovery="mixed", memory=40)
        population = experienced(world, life, 40)
        counts = np.bincount(proposed(population, world, life).origin, minlength=6)
        assert counts[NO_ORIGIN] == 0
        assert (counts > 0).sum() == possible == len(sources(life, world))
        assert chisquare(counts[counts > 0]).pvalue > RARE


def test_in_a_mixed_society_agents_propose_what_their_source_alone_would_propose() -> None:
    """Of factors and components, which have no luck in them, agent by agent."""
    life = config(agents=60, discovery="mixed")
    population = experienced(WORLD, life)
    mixed = proposed(population, WORLD, life)
    for discovery, origin in (("factor", FACTOR), ("pca", COMPONENT)):
        alone = proposed(population, WORLD, config(agents=60, discovery=discovery))
        these = mixed.origin == origin
        assert these.sum() > 3
        np.testing.assert_allclose(mixed.loading[these], alone.loading[these], atol=1e-10)
        np.testing.assert_allclose(mixed.communality[these], alone.communality[these], atol=1e-10)


# What becomes of proposals


def stated(loading: list[list[float]], origin: int, exemplar: list[int]) -> Proposals:
    """Proposals of one agent of 20 sensors, by the first few weights."""
    full = np.zeros((1, 8, 20))
    for place, weights in enumerate(loading):
        full[0, place, : len(weights)] = weights
    objects = np.full((1, 8), NOTHING, dtype=np.int32)
    objects[0, : len(exemplar)] = exemplar
    return Proposals(
        loading=full,
        number=np.array([len(loading)]),
        origin=np.array([origin], dtype=np.int8),
        exemplar=objects,
        communality=np.zeros((1, 20)),
    )


def test_a_repeat_refreshes_what_is_there_and_its_origin_stays_that_of_the_first() -> None:
    population = experienced(WORLD, config(agents=2))
    rows, corr = np.array([0]), np.eye(20)[None]
    accommodate(population, rows, corr, stated([[1.0]], RANDOM, []), 3)
    assert (population.origin[0, 0], population.born[0, 0], population.kind[0, 0]) == (RANDOM, 3, ABSTRACT)
    near = [-SAME - 0.01, np.sqrt(1 - (SAME + 0.01) ** 2)]
    assert accommodate(population, rows, corr, stated([near], FACTOR, []), 8) == 0
    assert (population.origin[0, 0], population.born[0, 0]) == (RANDOM, 3)
    np.testing.assert_allclose(population.loading[0, 0, :2], [-near[0], -near[1]], atol=1e-6)
    assert population.held[0].sum() == 1


def test_a_likeness_that_is_repeated_stays_the_likeness_to_its_own_exemplar() -> None:
    population = experienced(WORLD, config(agents=2))
    rows, corr = np.array([0]), np.eye(20)[None]
    objects = WORLD.train[:2]
    alike = likeness(WORLD.features, objects[:1], population.sensor[:1])
    accommodate(population, rows, corr, stated([alike[0].tolist()], EXEMPLAR, [int(objects[0])]), 3)
    assert (population.origin[0, 0], population.kind[0, 0], population.exemplar[0, 0]) == (EXEMPLAR, RAW, objects[0])
    other = alike[0].astype(np.float64)
    other[0] += 0.2
    other /= np.linalg.norm(other)
    assert accommodate(population, rows, corr, stated([other.tolist()], EXEMPLAR, [int(objects[1])]), 8) == 0
    np.testing.assert_array_equal(population.loading[0, 0], alike[0])
    assert population.exemplar[0].tolist() == [objects[0], *[NOTHING] * 7]
    # An abstract dimension is another thing, however like it is.
    assert accommodate(population, rows, corr, stated([other.tolist()], FACTOR, []), 9) == 1
    assert population.kind[0, :3].tolist() == [RAW, ABSTRACT, EMPTY]


def test_where_all_slots_are_taken_newcomers_of_every_origin_have_to_be_worth_more() -> None:
    for origin in (EXEMPLAR, FACTOR, RANDOM, EMBEDDING):
        population = experienced(WORLD, config(agents=2))
        rows, corr = np.array([0]), np.eye(20)[None]
        accommodate(population, rows, corr, stated(np.eye(20)[:8].tolist(), COMPONENT, []), 1)
        newcomer = stated([np.eye(20)[10].tolist()], origin, [int(WORLD.train[0])] if origin == EXEMPLAR else [])
        population.score[0] = 0.6
        assert accommodate(population, rows, corr, newcomer, 2) == 0
        population.score[0, 5] = 0.4
        assert accommodate(population, rows, corr, newcomer, 3) == 1
        assert population.origin[0].tolist() == [COMPONENT] * 5 + [origin] + [COMPONENT] * 2


# What a society keeps of it


@pytest.mark.parametrize(
    ("discovery", "origins"),
    [
        ("factor", {"exemplar", "factor"}),
        ("pca", {"exemplar", "component"}),
        ("exemplar", {"exemplar"}),
        ("random", {"random"}),
        ("embedding", {"embedding"}),
        ("mixed", {"exemplar", "factor", "component", "random", "embedding"}),
    ],
)
def test_a_society_has_dimensions_of_its_sources_alone(discovery: str, origins: set[str]) -> None:
    life = config(agents=40, discovery=discovery, discovery_interval=4, selection_interval=5, memory=64, turnover=0.1)
    society = Society(WORLD, life, seed=1)
    ever: set[str] = set()
    for _ in range(40):
        society.step()
        population = society.population
        ever |= {ORIGIN_NAMES[i] for i in population.origin[population.held]}
        assert ((population.origin == EXEMPLAR) == (population.kind == RAW)).all()
        assert ((population.origin == NO_ORIGIN) == (population.kind == EMPTY)).all()
    assert ever == origins
    if discovery in ("exemplar", "random"):
        assert society.population.held.all(), "a source that never ends fills every view"


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**16), discovery=st.sampled_from(["factor", "exemplar", "random", "embedding", "mixed"]))
def test_an_heirs_dimension_has_been_handed_down_once_more_and_arose_as_it_did_for_its_parent(
    seed: int, discovery: str
) -> None:
    life = config(agents=16, discovery=discovery, discovery_interval=4, selection_interval=5, memory=64, turnover=0.3)
    society = Society(WORLD, life, seed=seed)
    for _ in range(12):
        society.step()
    population = society.population
    assert (population.generation[~population.held] == 0).all()
    before = population.copy()
    rows, parents = np.array([0, 1, 2]), np.array([3, 3, 4])
    bear(population, rows, parents, np.array([90, 91, 92]), WORLD, life, step=13, rng=np.random.default_rng(seed))
    held = population.held[rows]
    assert (population.generation[rows][held] == before.generation[parents][held] + 1).all()
    assert (population.origin[rows][held] == before.origin[parents][held]).all()
    discover(population, rows, WORLD, life, 14, np.random.default_rng(seed))
    new = population.held & (population.born == 14)
    assert (population.generation[new] == 0).all()
    assert (population.generation[rows][population.born[rows] == 13] > 0).all()


def test_generations_are_counted_as_far_as_the_column_goes() -> None:
    life = config(exemplars=4)
    population = found(WORLD, life, np.random.default_rng(1))
    most = np.iinfo(population.generation.dtype).max
    population.generation[5, :2] = [most, most - 1]
    bear(population, np.array([0]), np.array([5]), np.array([50]), WORLD, life, step=3, rng=np.random.default_rng(2))
    assert population.generation[0].tolist() == [most, most, 1, 1, 0, 0, 0, 0]


def test_an_embedding_that_is_not_there_is_asked_for_in_one_sentence() -> None:
    with pytest.raises(InputError, match=r"discovery is 'embedding', but planted has none; give a \.npz world"):
        Society(PLAIN, config(discovery="embedding"), seed=0)
    with pytest.raises(InputError, match="discovery is 'dream', but it must be one of factor, pca, exemplar, random"):
        config(discovery="dream")


# Worlds with an embedding


def test_an_embedding_is_centred_and_scaled_over_what_can_be_met() -> None:
    assert WORLD.embedding is not None
    assert WORLD.embedding.dtype == np.float32
    np.testing.assert_allclose(WORLD.embedding[WORLD.train].mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(WORLD.embedding[WORLD.train].std(axis=0), 1, atol=1e-5)
    assert PLAIN.truth is not None
    for told, true in zip(WORLD.embedding.T, PLAIN.truth.scores.T, strict=True):
        assert np.corrcoef(told, true)[0, 1] == pytest.approx(1, abs=1e-5)
    assert WORLD.fingerprint != PLAIN.fingerprint
    assert embedded(PLAIN, -PLAIN.truth.scores).fingerprint != WORLD.fingerprint


@pytest.mark.parametrize(
    ("embedding", "said"),
    [
        (np.zeros((799, 2)), r"planted: 'embedding' has shape \(799, 2\), but it must be \[800, coordinates\]"),
        (np.zeros(800), r"'embedding' has shape \(800,\)"),
        (np.zeros((800, 0)), r"'embedding' has shape \(800, 0\)"),
        (np.column_stack([np.arange(800), np.ones(800)]), "coordinate 1 of 'embedding' is the same for every object"),
        (np.where(np.arange(800) == 6, np.nan, 1.0)[:, None], r"'embedding 0' is missing \(nan\) in row 7"),
    ],
)
def test_an_embedding_of_the_wrong_form_is_refused(embedding: NDArray[np.float64], said: str) -> None:
    with pytest.raises(InputError, match=said):
        embedded(PLAIN, embedding)
