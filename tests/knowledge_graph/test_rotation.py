"""Varimax arrives: at simple structure where there is one, and at a place that no turn of two factors improves."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from knowledge_graph.measures import matched_correlation
from knowledge_graph.rotation import _plane_by_plane, varimax
from tests.knowledge_graph.handmade import FACTORS, planted


def criterion(loadings: NDArray[np.float64]) -> NDArray[np.float64]:
    """Kaiser's, of rows made unit length: the variances of the squared loadings, summed over factors."""
    length = np.linalg.norm(loadings, axis=-1, keepdims=True)
    return np.square(loadings / np.where(length > 0, length, 1)).var(axis=-2).sum(axis=-1)


def turned_at_random(rng: np.random.Generator, factors: int) -> NDArray[np.float64]:
    return np.linalg.qr(rng.standard_normal((factors, factors)))[0]


def turn_by(angle: float) -> NDArray[np.float64]:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def best_of_small_turns(loadings: NDArray[np.float64]) -> float:
    """The largest criterion that a turn of two factors, by any whole degree, comes to."""
    found = []
    for i, j in itertools.combinations(range(loadings.shape[1]), 2):
        for angle in np.radians(np.arange(0, 90)):
            one = loadings.copy()
            one[:, [i, j]] @= turn_by(angle)
            found.append(float(criterion(one)))
    return max(found)


def test_simple_structure_is_found_again_after_a_random_rotation() -> None:
    _, truth = planted()
    turn = turned_at_random(np.random.default_rng(0), FACTORS)
    rotated, rotation = varimax(truth @ turn)
    assert matched_correlation(rotated, truth) > 1 - 1e-6
    np.testing.assert_allclose(rotation.T @ rotation, np.eye(FACTORS), atol=1e-10)
    np.testing.assert_allclose(truth @ turn @ rotation, rotated, atol=1e-12)


@pytest.mark.parametrize("factors", [2, 3, 5, 8])
@pytest.mark.parametrize("each", [1, 2, 8])
@pytest.mark.parametrize("noise", [0.0, 1e-9, 1e-3, 0.02])
def test_factors_with_variables_of_their_own_are_found_however_they_are_turned(
    factors: int, each: int, noise: float
) -> None:
    rng = np.random.default_rng(factors)
    simple = np.repeat(np.eye(factors), each, axis=0) * rng.uniform(0.5, 1, (factors * each, 1))
    simple += noise * rng.standard_normal(simple.shape)
    turns = [turned_at_random(rng, factors) for _ in range(20)]
    rotated, rotation = varimax(simple @ np.stack(turns), max_iterations=50, tolerance=1e-5)
    for one in rotated:
        assert matched_correlation(one, simple) > 1 - 1e-3 - 3 * noise
    np.testing.assert_allclose(rotation.swapaxes(1, 2) @ rotation, np.eye(factors)[None].repeat(20, 0), atol=1e-10)


@pytest.mark.parametrize("degrees", [0, 1, 22.5, 44.999, 45, 90, 135])
def test_two_factors_are_told_apart_even_from_halfway_between_them(degrees: float) -> None:
    turn = turn_by(np.radians(degrees))
    for simple in (np.eye(2), np.repeat(np.eye(2), 4, axis=0)):
        found = np.sort(np.abs(varimax(simple @ turn)[0]), axis=1)
        np.testing.assert_allclose(found, np.tile([0.0, 1.0], (len(simple), 1)), atol=1e-6)


@pytest.mark.parametrize("noise", [0.0, 1e-6])
def test_nobody_stays_in_the_trough_between_two_factors(noise: float) -> None:
    """Variables at 30 to 45 degrees on either side: the gradient is symmetric where that is halfway, and not 0."""
    angle = np.radians(np.repeat([30.0, 35.0, 40.0, 45.0], 2) * np.tile([1.0, -1.0], 4))
    loadings = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    loadings += noise * np.random.default_rng(0).standard_normal(loadings.shape)
    for rotated in (varimax(loadings)[0], varimax(loadings, max_iterations=50, tolerance=1e-5)[0]):
        assert criterion(rotated) > 0.44
        assert best_of_small_turns(rotated) - criterion(rotated) < 1e-3


@settings(deadline=None)
@given(
    seed=st.integers(0, 10_000),
    factors=st.integers(2, 5),
    each=st.integers(3, 6),
    noise=st.sampled_from([0.0, 1e-8, 1e-4, 0.1, 1.0]),
)
def test_no_turn_of_two_factors_is_better(seed: int, factors: int, each: int, noise: float) -> None:
    rng = np.random.default_rng(seed)
    simple = np.repeat(np.eye(factors), each, axis=0)
    loadings = (simple + noise * rng.standard_normal(simple.shape)) @ turned_at_random(rng, factors)
    rotated, rotation = varimax(loadings, tolerance=1e-12)
    np.testing.assert_allclose(rotation.T @ rotation, np.eye(factors), atol=1e-9)
    np.testing.assert_allclose(rotated, loadings @ rotation, atol=1e-12)
    assert criterion(rotated) >= criterion(loadings) - 1e-9
    assert criterion(rotated) >= best_of_small_turns(rotated) - 1e-3


@pytest.mark.parametrize("factors", [3, 5])
def test_plane_by_plane_arrives_from_anywhere(factors: int) -> None:
    rng = np.random.default_rng(factors)
    simple = np.repeat(np.eye(factors), 4, axis=0)
    starts = np.stack([turned_at_random(rng, factors) for _ in range(30)])
    found = _plane_by_plane(np.stack([simple] * 30), starts, max_sweeps=100)
    for one in simple @ found:
        assert matched_correlation(one, simple) > 1 - 1e-9


def test_that_of_many_is_that_of_each() -> None:
    rng = np.random.default_rng(0)
    stuck = [np.repeat(np.eye(2), 6, axis=0) @ turned_at_random(rng, 2) for _ in range(3)]
    loadings = np.stack([*rng.standard_normal((4, 12, 2)), *stuck, np.zeros((12, 2))])
    for tolerance in (1e-5, 1e-10):
        together = varimax(loadings, max_iterations=200, tolerance=tolerance)[0]
        for one, many in zip(loadings, together, strict=True):
            np.testing.assert_array_equal(varimax(one, max_iterations=200, tolerance=tolerance)[0], many)
        assert not together[-1].any()
        assert np.abs(together[4:7]).min(axis=2).max() < 1e-6


def test_without_variables_nothing_is_turned() -> None:
    rotated, rotation = varimax(np.zeros((0, 3)))
    assert rotated.shape == (0, 3)
    np.testing.assert_array_equal(rotation, np.eye(3))
