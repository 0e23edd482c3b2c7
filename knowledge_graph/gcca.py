"""Unifying views that share objects: MAXVAR generalised canonical correlation.

Every agent scores the same P probe objects along its own few dimensions. Names, signs and rotations differ between
agents; the subspace that a view spans does not depend on them. The mean of the projections onto these subspaces has
as its leading eigenvectors the dimensions that views share most (MAXVAR-GCCA, Kettenring 1971; Horst 1961), and its
noise has a known edge, so that their number is found, not given. Varimax then turns them to simple structure.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from knowledge_graph.rotation import varimax
from knowledge_graph.views import (
    FloatMatrix,
    Unified,
    Views,
    by_feature,
    chunks,
    correlations,
    features_known,
    held_only,
    lifted,
    loadings_of,
    seen_in,
    standardised,
    whitening,
)

NULL_DRAWS = 2
"""Worlds without anything in common that the number of concepts is compared with, where no formula tells."""

LIMIT = 1.0
"""Standard errors by which a loading is drawn towards experience at most."""

Levels = Callable[[Views, slice], NDArray[np.floating]]
"""Levels [n, P, S] of some of the views."""


def gcca(views: Views, *, features: NDArray[np.floating] | None = None, count: str = "shared") -> Unified:
    """Unify views that share objects.

    The eigenvectors of P_bar = mean Q_a Q_a^T above the noise edge, where Q_a is an orthonormal basis of the centred
    scores of view a, are the concepts; varimax on their feature loadings fixes the rotation. Where agents have not
    seen all objects, each projects within those it has seen, and the problem becomes P_bar v = lambda D v with D the
    share of agents who have seen each object (van de Velden & Takane 2012). Cost: N S P^2 for the mean, P^3 for the
    eigenvectors.

    Parameters
    ----------
    views : of N agents, with levels on P objects
    features : [P, D], the same objects as anyone may look at them, centred and scaled over all objects of the world:
        loadings are told by a regression without a constant, and their error by the variance that they leave of 1.
        Without features, concepts look like what their members weigh. Where views have structure and phi, what agents
        know of their features from all that they have seen is taken into account as well (see `shrunken`)
    count : "shared", "common": see `knowledge_graph.unify.unify`

    Raises
    ------
    ValueError
        If there is no view, or fewer than two objects; if the features are not those of the objects; or if common
        factors are to be counted and it is not known what the dimensions weigh.
    """
    if views.levels is None or len(views) == 0 or views.n_objects < 2:
        raise ValueError(
            f"unifying needs views on at least two shared objects, not {len(views)} views on {views.n_objects}"
        )
    features_known(views, features)
    n_objects = views.n_objects
    mean = _mean_projection(views)
    whole = bool((mean.seen == len(views)).all())
    spread = np.sqrt(np.maximum(mean.seen / len(views), 1e-12))
    values, vectors = np.linalg.eigh(mean.projection / np.outer(spread, spread))
    values, vectors = values[::-1], vectors[:, ::-1] / spread[:, None]
    if whole:
        # Centring takes one dimension of the probe away.
        edge = np.full(n_objects, noise_edge(mean.rank, n_objects - 1, len(views)))
    else:
        edge = np.full(n_objects, _null_spectrum(views, _random_levels).max())
    if count == "common":
        if features is None or views.sensor is None or views.loading is None:
            raise ValueError("counting common factors needs the features of the objects, and what dimensions weigh")
        # Horn's parallel analysis (1965), with a world of the same features that have nothing in common.
        edge = np.maximum(edge, _null_spectrum(views, _levels_of_unrelated(views, features)))
    elif count != "shared":
        raise ValueError(f'count is {count!r}, but it must be "shared" or "common"')
    k = int(np.cumprod(values > edge).sum())
    scores = vectors[:, :k] * np.sqrt(n_objects)

    # scores = D^-1 P_bar scores / eigenvalues, and P_bar is made of the agents' own weights: so any object can be
    # scored by asking all of them.
    n_features = 0 if views.sensor is None or views.loading is None else views.n_features
    n_features = features.shape[1] if n_features and features is not None else n_features
    weights = np.zeros((n_features, k))
    for rows in chunks(len(views)) if n_features else ():
        centred, norm = standardised(views.levels[rows], views.held[rows])
        whiten = whitening(centred.swapaxes(1, 2) @ centred)
        canonical = whiten @ ((centred @ whiten).swapaxes(1, 2) @ scores)
        # Canonical variates weigh columns of norm 1; an object's own levels have to be brought to that scale first.
        weights += lifted(views, canonical / norm[:, :, None], rows, n_features)
    weights /= len(views) * values[:k]

    loadings = weights
    if features is not None:
        loadings = loadings_of(features, features @ weights if n_features else scores)
        if views.sensor is not None and views.structure is not None and views.phi is not None:
            experience, known = loadings_in_experience(views, scores, features.shape[1])
            loadings = shrunken(loadings, experience, known=known, n_objects=n_objects)
    _, rotation = varimax(loadings if len(loadings) else scores, tolerance=1e-10)
    scores, weights, loadings = scores @ rotation, weights @ rotation, loadings @ rotation
    explained = np.einsum("pk,pq,qk->k", scores, mean.projection, scores)
    support = explained / ((mean.seen / len(views)) @ scores**2)
    if not whole:
        # Orthonormal over what was seen how often; brought to mean 0 and variance 1 over the objects.
        sd = scores.std(axis=0)
        scores, weights, loadings = (scores - scores.mean(axis=0)) / sd, weights / sd, loadings * sd
    return Unified(
        method="gcca",
        scores=scores,
        weights=weights,
        loadings=loadings,
        correlation=correlations(views, scores),
        support=support,
        eigenvalues=values,
        edge=edge,
    )


def loadings_in_experience(views: Views, scores: FloatMatrix, n_features: int) -> tuple[FloatMatrix, NDArray[np.bool_]]:
    """What the agents' own experience says of how features [D] go with concepts [K], and which features it knows [D].

    The mean over the agents who sense a feature of what their dimensions foretell of it and of the concept,
    structure' phi^-1 r. A view of a few dimensions foretells a part of either, so that this is too small by a factor
    for each concept.
    """
    assert views.sensor is not None
    assert views.structure is not None
    assert views.phi is not None
    correlation = correlations(views, scores)
    total, count = np.zeros((n_features, scores.shape[1])), np.zeros(n_features)
    for rows in chunks(len(views)):
        held = views.held[rows]
        r = np.linalg.pinv(held_only(views.phi[rows], held), rcond=1e-5, hermitian=True) @ correlation[rows]
        told = np.where(held[:, :, None], views.structure[rows], 0.0).swapaxes(1, 2) @ r
        sensor = views.sensor[rows]
        total += by_feature(sensor, told, n_features)
        count += np.bincount(sensor[sensor >= 0], minlength=n_features)
    return total / np.maximum(count, 1)[:, None], count > 0


def shrunken(
    loadings: FloatMatrix, experience: FloatMatrix, *, known: NDArray[np.bool_], n_objects: int
) -> FloatMatrix:
    """Loadings [D, K] over the probe, drawn towards what agents know from all the objects that they have seen.

    Empirical Bayes: a loading found by regression on P objects has the sampling variance (1 - communality) / P; the
    prior is the ``experience``, scaled to them concept by concept, with the spread that is left beyond sampling. No
    loading moves by more than a standard error (limited translation, Efron & Morris 1972), so that where experience
    misleads it does little harm. Features that nobody senses (not ``known``) keep what the probe says.
    """
    error = (1.0 - np.minimum((loadings**2).sum(axis=1), 0.95))[:, None] / n_objects
    size = np.maximum((experience[known] ** 2).sum(axis=0), 1e-12)
    prior = experience * ((loadings[known] * experience[known]).sum(axis=0) / size)
    spread = np.maximum(((loadings - prior)[known] ** 2).mean(axis=0) - error[known].mean(), 1e-9)
    trust = np.where(known[:, None], spread / (spread + error), 1.0)
    limit = LIMIT * np.sqrt(error)
    step: FloatMatrix = np.clip((1.0 - trust) * (prior - loadings), -limit, limit)
    return loadings + step


def noise_edge(rank: float, dimension: int, n_views: int) -> float:
    """Upper edge of the eigenvalues of the mean of random rank-k projections: (k/P) (1 + sqrt(P / (k N)))^2.

    Marchenko & Pastur (1967) for N k random directions in ``dimension`` P. An asymptotic edge: below some fifty probe
    objects a stray eigenvalue may pass it.
    """
    if rank <= 0:
        return 1.0
    return float(rank / dimension * (1.0 + np.sqrt(dimension / (rank * n_views))) ** 2)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Mean:
    """Mean projection [P, P], its mean rank, and how many agents have seen each object [P]."""

    projection: FloatMatrix
    rank: float
    seen: NDArray[np.intp]


def _mean_projection(views: Views, levels_of: Levels | None = None) -> _Mean:
    """The mean over views of the projections onto what each spans; ``levels_of`` puts other levels in their place."""
    assert views.levels is not None
    n, n_objects = len(views), views.n_objects
    total, rank, seen = np.zeros((n_objects, n_objects)), 0.0, np.zeros(n_objects, dtype=np.intp)
    for rows in chunks(n):
        levels = views.levels[rows] if levels_of is None else levels_of(views, rows)
        centred, _ = standardised(levels, views.held[rows])
        whiten = whitening(centred.swapaxes(1, 2) @ centred)
        rank += float(whiten.any(axis=1).sum())
        seen += seen_in(levels).sum(axis=0)
        # One product per chunk, of all the bases side by side.
        basis = (centred @ whiten).transpose(1, 0, 2).reshape(n_objects, -1)
        total += basis @ basis.T
    return _Mean(projection=total / n, rank=rank / n, seen=seen)


def _null_spectrum(views: Views, levels_of: Callable[[np.random.Generator], Levels]) -> NDArray[np.float64]:
    """Eigenvalues [P] of the mean projection where nothing is in common; the largest of each over some draws."""
    found = []
    for seed in range(NULL_DRAWS):
        mean = _mean_projection(views, levels_of(np.random.default_rng(seed)))
        spread = np.sqrt(np.maximum(mean.seen / len(views), 1e-12))
        found.append(np.linalg.eigvalsh(mean.projection / np.outer(spread, spread))[::-1])
    largest: NDArray[np.float64] = np.max(found, axis=0)
    return largest


def _random_levels(rng: np.random.Generator) -> Levels:
    """Everybody feels something of its own about the objects it has seen."""

    def levels_of(views: Views, rows: slice) -> NDArray[np.floating]:
        assert views.levels is not None
        levels = views.levels[rows]
        return np.where(np.isnan(levels), np.nan, rng.standard_normal(levels.shape, dtype=np.float32))

    return levels_of


def _levels_of_unrelated(views: Views, features: NDArray[np.floating]) -> Callable[[np.random.Generator], Levels]:
    """The same agents look at objects whose features have nothing to do with each other (each shuffled by itself)."""
    assert views.sensor is not None
    assert views.loading is not None
    sensor, loading = views.sensor, views.loading

    def drawn(rng: np.random.Generator) -> Levels:
        unrelated = rng.permuted(features, axis=0).astype(np.float32)

        def levels_of(views: Views, rows: slice) -> NDArray[np.floating]:
            assert views.levels is not None
            sensed = unrelated.T[np.maximum(sensor[rows], 0)]  # weights of missing sensors are 0
            levels = (loading[rows] @ sensed).swapaxes(1, 2)
            return np.where(np.isnan(views.levels[rows]), np.nan, levels)

        return levels_of

    return drawn
