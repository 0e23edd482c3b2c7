"""Measures against cases that can be worked out by hand."""

import numpy as np
import pytest

from knowledge_graph.measures import (
    central_loadings,
    congruence,
    explained_variance,
    label_accuracy,
    matched_correlation,
    null_mcc,
    principal_axes,
)


def test_explained_variance_is_that_inside_the_span_whatever_its_basis() -> None:
    features = np.array([[3.0, 0.0, 0.0], [0.0, 4.0, 0.0]])
    assert explained_variance(features, np.array([[1.0], [0.0], [0.0]])) == pytest.approx(9 / 25)
    skewed = np.array([[1.0, 1.0, 2.0], [0.0, 1e-3, 1e-3], [0.0, 0.0, 0.0]])  # three columns, rank 2
    assert explained_variance(features, skewed) == pytest.approx(1.0)
    assert explained_variance(features, np.zeros((3, 0))) == 0.0
    assert explained_variance(features, np.zeros((3, 2))) == 0.0


def test_principal_axes_explain_the_most_of_what_they_were_fitted_to() -> None:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((200, 6)) * np.array([5, 4, 3, 2, 1, 0.5])
    best = explained_variance(features, principal_axes(features, 2))
    others = [explained_variance(features, rng.standard_normal((6, 2))) for _ in range(50)]
    assert best > max(others)


def test_matching_ignores_order_sign_and_scale() -> None:
    truth = np.linalg.qr(np.random.default_rng(0).standard_normal((30, 5)))[0]
    found = truth[:, [3, 0, 4, 1, 2]] * np.array([2.0, -1.0, 0.5, -3.0, 1.0])
    assert matched_correlation(found, truth) == pytest.approx(1.0)


def test_a_truth_without_partner_counts_nothing_so_eight_of_32_reach_a_quarter() -> None:
    truth = np.eye(40)[:, :32]
    assert matched_correlation(truth[:, :8], truth) == pytest.approx(0.25)
    assert matched_correlation(truth[:, :0], truth) == 0.0


def test_two_finds_never_match_the_same_truth() -> None:
    truth = np.eye(4)[:, :2]
    twice = np.stack([truth[:, 0], truth[:, 0]], axis=1)
    assert matched_correlation(twice, truth) == pytest.approx(0.5)


def test_congruence_of_a_zero_column_is_zero() -> None:
    assert congruence(np.zeros((3, 1)), np.ones((3, 1)))[0, 0] == 0.0
    assert congruence(np.array([[1.0], [1.0]]), np.array([[1.0], [0.0]]))[0, 0] == pytest.approx(np.sqrt(0.5))


def test_null_floor_matches_random_loadings_and_sinks_with_features() -> None:
    assert null_mcc(np.eye(256)[:, :32], 32) == pytest.approx(0.134, abs=0.02)
    assert null_mcc(np.eye(1024)[:, :32], 32) < null_mcc(np.eye(256)[:, :32], 32)


def test_one_mind_that_holds_all_recovers_a_simple_truth() -> None:
    rng = np.random.default_rng(0)
    truth = np.zeros((30, 3))
    truth[np.arange(30), np.arange(30) % 3] = 0.8
    features = rng.standard_normal((1000, 3)) @ truth.T + 0.6 * rng.standard_normal((1000, 30))
    assert matched_correlation(central_loadings(features, 3), truth) > 0.98


def test_label_accuracy_is_perfect_apart_and_chance_together() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 4
    apart = labels[:, None] + 0.01 * rng.standard_normal((400, 1))
    assert label_accuracy(apart[:200], labels[:200], apart[200:], labels[200:]) == 1.0
    noise = rng.standard_normal((400, 3))
    assert label_accuracy(noise[:200], labels[:200], noise[200:], labels[200:]) == pytest.approx(0.25, abs=0.1)
    assert np.isnan(label_accuracy(noise[:0], labels[:0], noise, labels))
