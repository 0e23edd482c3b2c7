"""Views -> concepts: MAXVAR generalised canonical correlation on objects that everyone can look at.

Every agent scores the same P probe objects along its own few dimensions. Names, signs and rotations differ between
agents; the subspace that a view spans does not depend on them. The mean of the projections onto these subspaces has
as its leading eigenvectors the dimensions that views share most (MAXVAR-GCCA, Kettenring 1971; Horst 1961), and its
noise has a known edge, so that their number is found, not given. Varimax then turns them to simple structure.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from knowledge_graph.rotation import varimax

CHUNK = 1024
"""Views taken together; bounds the memory for [n, P, S] scores."""

RANK_TOLERANCE = 1e-6


@dataclasses.dataclass(frozen=True, kw_only=True)
class Views:
    """What N agents bring to the library, S slots each; nothing in it depends on how the society is built.

    Attributes
    ----------
    agent : int64 [N], stable ids
    held : bool [N, S], which slots hold a dimension
    levels : float32 [N, P, S], levels of the P probe objects along each dimension
    sensor : int32 [N, m], the features an agent senses
    loading : float32 [N, S, m], what its dimensions weigh
    words : int32 [N, S, W], the words it has for a dimension, -1 where free
    kind : int8 [N, S], exemplar : int32 [N, S], born : int32 [N, S], score : float32 [N, S]
        provenance: raw or abstract, the object a raw one is likeness to, when it arose, the superiority felt
    """

    agent: NDArray[np.int64]
    held: NDArray[np.bool_]
    levels: NDArray[np.float32]
    sensor: NDArray[np.int32]
    loading: NDArray[np.float32]
    words: NDArray[np.int32]
    kind: NDArray[np.int8]
    exemplar: NDArray[np.int32]
    born: NDArray[np.int32]
    score: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.agent)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unified:
    """The shared dimensions of N views, K of them.

    Attributes
    ----------
    scores : float64 [P, K], concept scores of the probe objects: uncorrelated, mean 0, variance 1
    weights : float64 [D, K], so that ``features @ weights`` are concept scores of any objects, as the agents see them
    correlation : float32 [N, S, K], of every dimension with every concept over the probe (0 in empty slots)
    support : float64 [K], the mean over views of the share of the concept's variance that a view explains: the share
        of agents who know it times how reliably they do
    eigenvalues : float64 [P], of the mean projection, largest first
    edge : the largest eigenvalue that views without anything in common would have
    """

    scores: NDArray[np.float64]
    weights: NDArray[np.float64]
    correlation: NDArray[np.float32]
    support: NDArray[np.float64]
    eigenvalues: NDArray[np.float64]
    edge: float

    @property
    def n_concepts(self) -> int:
        return self.scores.shape[1]


def gcca(views: Views, features: NDArray[np.floating]) -> Unified:
    """Unify views that share objects.

    The eigenvectors of P_bar = mean Q_a Q_a^T above the noise edge, where Q_a is an orthonormal basis of the centred
    scores of view a, are the concepts; varimax on their feature loadings fixes the rotation. Cost: N P S^2 + N S P^2
    for the mean, P^3 for the eigenvectors.

    Parameters
    ----------
    views : of N agents
    features : [P, D], the same objects as anyone may look at them; only their covariance with the concepts is used

    Raises
    ------
    ValueError
        If there is no view, or fewer than two probe objects.
    """
    n, n_probe, slots = views.levels.shape
    if n == 0 or n_probe < 2:
        raise ValueError(f"unifying needs views on at least two shared objects, not {n} views on {n_probe}")
    whiten = np.empty((n, slots, slots))
    mean_projection = np.zeros((n_probe, n_probe))
    for rows in _chunks(n):
        centred = _centred(views, rows)
        whiten[rows] = _whitening(centred)
        basis = (centred @ whiten[rows]).transpose(1, 0, 2).reshape(n_probe, -1)
        mean_projection += basis @ basis.T
    mean_projection /= n
    rank = float((np.abs(whiten).max(axis=1) > 0).sum(axis=1).mean())
    values, vectors = np.linalg.eigh(mean_projection)
    values, vectors = values[::-1], vectors[:, ::-1]
    edge = noise_edge(rank, n_probe - 1, n)  # centring takes one dimension of the probe away
    k = int((values > edge).sum())
    scores = vectors[:, :k] * np.sqrt(n_probe)

    # scores = P_bar scores / eigenvalues, and P_bar is made of the agents' own weights: so any object can be scored.
    weights = np.zeros((features.shape[1], k))
    for rows in _chunks(n):
        centred = _centred(views, rows)
        canonical = whiten[rows] @ ((centred @ whiten[rows]).swapaxes(1, 2) @ scores)
        # Canonical variates weigh columns of norm 1; an object's own levels have to be brought to that scale first.
        canonical /= _norms(views, rows)[:, 0, :, None]
        lifted = views.loading[rows].swapaxes(1, 2).astype(np.float64) @ canonical
        np.add.at(weights, views.sensor[rows].ravel(), lifted.reshape(views.sensor[rows].size, k))
    weights /= n * values[:k]
    _, rotation = varimax(loadings_of(features, weights), tolerance=1e-10)
    scores, weights = scores @ rotation, weights @ rotation

    return Unified(
        scores=scores,
        weights=weights,
        correlation=correlations(views, scores),
        support=np.einsum("pk,pq,qk->k", scores, mean_projection, scores) / n_probe,
        eigenvalues=values,
        edge=edge,
    )


def correlations(views: Views, scores: NDArray[np.float64]) -> NDArray[np.float32]:
    """Correlation [N, S, K] over the probe of every dimension with concepts ``scores [P, K]``; 0 in empty slots."""
    n, n_probe, slots = views.levels.shape
    found = np.zeros((n, slots, scores.shape[1]), dtype=np.float32)
    for rows in _chunks(n):
        found[rows] = _centred(views, rows).swapaxes(1, 2) @ scores / np.sqrt(n_probe)
    return found


def noise_edge(rank: float, dimension: int, n_views: int) -> float:
    """Upper edge of the eigenvalues of the mean of random rank-k projections: (k/P) (1 + sqrt(P / (k N)))^2.

    Marchenko & Pastur (1967) for N k random directions in ``dimension`` P. An asymptotic edge: below some fifty probe
    objects a stray eigenvalue may pass it.
    """
    if rank <= 0:
        return 1.0
    return rank / dimension * (1.0 + np.sqrt(dimension / (rank * n_views))) ** 2


def loadings_of(features: NDArray[np.floating], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Loadings [D, K]: regression of every feature on the concept scores ``features @ weights`` of the same objects."""
    scores = features @ weights
    return np.asarray(np.linalg.lstsq(scores, features.astype(np.float64), rcond=None)[0].T, dtype=np.float64)


def metric_of(loadings: NDArray[np.float64]) -> NDArray[np.float64]:
    """C [K, K] so that distances between ``scores @ C`` are those between the objects' images ``scores @ loadings.T``.

    Concept scores have variance 1 whether a concept explains much of the world or little; in these coordinates a
    concept counts as much as it explains.
    """
    values, vectors = np.linalg.eigh(loadings.T @ loadings)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)) @ vectors.T, dtype=np.float64)


def _chunks(n: int) -> list[slice]:
    return [slice(start, min(start + CHUNK, n)) for start in range(0, n, CHUNK)]


def _centred(views: Views, rows: slice) -> NDArray[np.float64]:
    """Scores [n, P, S] with mean 0 and norm 1 in each column; empty slots and constant dimensions are 0."""
    levels = views.levels[rows].astype(np.float64)
    levels -= levels.mean(axis=1, keepdims=True)
    return np.asarray(levels / _norms(views, rows))


def _norms(views: Views, rows: slice) -> NDArray[np.float64]:
    """Norms [n, 1, S] of the centred levels over the probe; infinite in empty slots and for constant dimensions."""
    levels = views.levels[rows].astype(np.float64)
    norm = np.linalg.norm(levels - levels.mean(axis=1, keepdims=True), axis=1, keepdims=True)
    return np.where(views.held[rows][:, None, :] & (norm > RANK_TOLERANCE), norm, np.inf)


def _whitening(centred: NDArray[np.float64]) -> NDArray[np.float64]:
    """T [n, S, S] so that ``centred @ T`` has orthonormal columns, with zero columns for directions not there."""
    values, vectors = np.linalg.eigh(centred.swapaxes(1, 2) @ centred)
    there = values > RANK_TOLERANCE
    scale = np.where(there, 1.0 / np.sqrt(np.where(there, values, 1.0)), 0.0)
    return vectors * scale[:, None, :]
