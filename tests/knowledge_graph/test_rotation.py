"""Varimax arrives: at simple structure where there is one, and at a place that no turn of two factors improves."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from knowledge_graph.measures import matched_correlation
from knowledge_graph.rotation import varimax
from tests.knowledge_graph.handmade import FACTORS, planted


def criterion(loadings: NDArray[np.float64]) -> NDArray[np.float64]:
    """Kaiser's, of rows made unit length: the variances of the squared loadings, summed over factors."""
    length = np.linalg.norm(loadings, axis=-1, keepdims=True)
    return np.square(loadings / np.where(length > 0, length, 1)).var(axis=-2).sum(axis=-1)


def turned_at_random(rng: np.random.Generator, factors: int) -> NDArray[np.float64]:
    return np.linalg.qr(rng.standard_normal((factors, factors)))[0]


def best_of_small_turns(loadings: NDArray[np.float64]) -> float:
    """The largest criterion that a turn of two factors, by any whole degree, comes to."""
    found = []
    for i, j in itertools.combinations(range(loadings.shape[1]), 2):
        for angle in np.radians(np.arange(0, 90)):
            one = loadings.copy()
            one[:, [i, j]] @= np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
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
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    for simple in (np.eye(2), np.repeat(np.eye(2), 4, axis=0)):
        found = np.sort(np.abs(varimax(simple @ turn)[0]), axis=1)
        np.testing.assert_allclose(found, np.tile([0.0, 1.0], (len(simple), 1)), atol=1e-6)


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), factors=st.integers(2, 5), rows=st.integers(6, 20))
def test_no_turn_of_two_factors_is_better(seed: int, factors: int, rows: int) -> None:
    loadings = np.random.default_rng(seed).standard_normal((rows, factors))
    rotated, rotation = varimax(loadings, tolerance=1e-12)
    np.testing.assert_allclose(rotation.T @ rotation, np.eye(factors), atol=1e-9)
    np.testing.assert_allclose(rotated, loadings @ rotation, atol=1e-12)
    assert criterion(rotated) >= criterion(loadings) - 1e-9
    assert criterion(rotated) >= best_of_small_turns(rotated) - 1e-3


def test_that_of_many_is_that_of_each() -> None:
    rng = np.random.default_rng(0)
    pairs = np.repeat(np.eye(3), 4, axis=0) @ turned_at_random(rng, 3)  # which do not arrive by themselves
    loadings = np.stack([*rng.standard_normal((4, 12, 3)), pairs, np.zeros((12, 3))])
    together = varimax(loadings, max_iterations=200)[0]
    for one, many in zip(loadings, together, strict=True):
        np.testing.assert_allclose(varimax(one, max_iterations=200)[0], many, atol=1e-9)
    assert not together[-1].any()
