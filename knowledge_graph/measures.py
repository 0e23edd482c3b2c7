"""How good a map is: efficiency, matching with a truth, label accuracy; with their floors and central baselines."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from knowledge_graph.rotation import varimax

NULL_DRAWS = 10
"""Random loadings whose mean match is the floor."""

NEIGHBOURS = 5
"""Training objects that tell the label of another."""


def explained_variance(features: NDArray[np.floating], span: NDArray[np.floating]) -> float:
    """Share of the variance of ``features [M, D]`` (centred by the world) inside the span of ``span [D, K]``."""
    total = float(np.square(features, dtype=np.float64).sum())
    if span.shape[1] == 0 or total == 0:
        return 0.0
    left, values, _ = np.linalg.svd(span, full_matrices=False)
    basis = left[:, values > 1e-10 * values[0]] if values[0] > 0 else left[:, :0]
    return float(np.square(features @ basis, dtype=np.float64).sum()) / total


def principal_axes(features: NDArray[np.floating], rank: int) -> NDArray[np.float64]:
    """The first ``rank`` principal axes [D, rank] of ``features [M, D]``: the central baseline of a map."""
    gram = features.astype(np.float64).T @ features
    return np.linalg.eigh(gram)[1][:, ::-1][:, :rank]


def matched_correlation(found: NDArray[np.floating], truth: NDArray[np.floating]) -> float:
    """MCC: mean |congruence| of the columns of ``truth [n, K]`` with those of ``found [n, J]``, matched one to one.

    The matching is the best there is (Hungarian); a column of the truth left without a partner counts 0, so that a
    view of 8 dimensions reaches at most 8 / K. Congruence is Tucker's (the cosine), 0 for a zero column.
    """
    if found.shape[1] == 0:
        return 0.0
    similarity = np.abs(congruence(found, truth))
    rows, columns = linear_sum_assignment(-similarity)
    return float(similarity[rows, columns].sum() / truth.shape[1])


def congruence(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.float64]:
    """Tucker's congruence [J, K] of the columns of ``a [n, J]`` and ``b [n, K]`` (Tucker 1951)."""

    def normal(x: NDArray[np.floating]) -> NDArray[np.float64]:
        norm = np.linalg.norm(x.astype(np.float64), axis=0, keepdims=True)
        unit: NDArray[np.float64] = np.divide(x, norm, out=np.zeros(x.shape), where=norm > 0)
        return unit

    return normal(a).T @ normal(b)


def null_mcc(truth: NDArray[np.floating], n_found: int, *, seed: int = 0) -> float:
    """The floor: the mean MCC of random Gaussian loadings [D, n_found] with the truth."""
    rng = np.random.default_rng(seed)
    return float(
        np.mean([matched_correlation(rng.standard_normal((len(truth), n_found)), truth) for _ in range(NULL_DRAWS)])
    )


def central_loadings(features: NDArray[np.floating], n_factors: int) -> NDArray[np.float64]:
    """Varimax-rotated maximum-likelihood factors [D, n_factors] of all objects at once: one mind that holds all.

    The baseline that the library is compared with; scikit-learn's FactorAnalysis (Barber 2012, alg. 21.1) fits it.
    """
    from sklearn.decomposition import FactorAnalysis

    model = FactorAnalysis(n_components=n_factors, svd_method="lapack", max_iter=200)
    model.fit(features.astype(np.float64))
    return varimax(np.asarray(model.components_, dtype=np.float64).T)[0]


def metric_of(loadings: NDArray[np.float64]) -> NDArray[np.float64]:
    """C [K, K] so that distances between ``scores @ C`` are those between the objects' images ``scores @ loadings.T``.

    Concept scores have variance 1 whether a concept explains much of the world or little; in these coordinates a
    concept counts as much as it explains.
    """
    values, vectors = np.linalg.eigh(loadings.T @ loadings)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)) @ vectors.T, dtype=np.float64)


def label_accuracy(
    train: NDArray[np.floating],
    train_labels: NDArray[np.integer],
    test: NDArray[np.floating],
    test_labels: NDArray[np.integer],
) -> float:
    """Share of the test objects whose label the 5 nearest training objects tell (Euclidean, majority)."""
    from sklearn.neighbors import KNeighborsClassifier

    if len(train) == 0 or len(test) == 0:
        return float("nan")
    model = KNeighborsClassifier(n_neighbors=min(NEIGHBOURS, len(train)))
    return float(model.fit(train, train_labels).score(test, test_labels))
