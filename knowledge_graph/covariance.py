"""Unifying views that share names of features: masked implied covariance.

A view of a few dimensions implies how the features that it looks at go together: structure' phi^-1 structure, the
covariance of what its dimensions foretell of each feature. Every agent fills in another part of one covariance of all
features; where parts overlap, the mean is better than any of them. Its leading eigenvectors are the dimensions that
views share, however each of them is rotated. Nobody needs to have seen what others have.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from knowledge_graph.rotation import varimax
from knowledge_graph.views import (
    RANK_TOLERANCE,
    FloatMatrix,
    Unified,
    Views,
    chunks,
    correlations,
    features_known,
    held_only,
    moments,
    whitening,
)

NULL_DRAWS = 4
"""Societies whose members agree by chance alone, for the number of concepts to be compared with."""

MARGIN = 4.0
"""Standard deviations by which an eigenvalue has to exceed the mean of those of chance."""

REPEATED = 1e-4
"""Eigenvalue of phi under which a direction is a repetition of the agent's other dimensions, and says nothing new."""

MIN_UNIQUE = 0.005
"""Least unique variance of a feature, as in factor-analyzer; keeps scores finite where factors explain all of one."""

COMPLETED = 1e-2
"""Relative change at which pairs that nobody senses together count as completed; going on fits what noise says."""

MAX_ROUNDS = 100


def covariance(views: Views, *, features: NDArray[np.floating] | None = None) -> Unified:
    """Unify views that share names of features.

    The implied covariances are averaged over the agents who sense both features of a pair; pairs that nobody senses
    together are filled in by the fit of rank K, until it stands (iterated, as in principal-axis factoring). Varimax
    turns the eigenvectors to simple structure. Objects are scored by regression (Thurstone 1935), R^-1 L with
    R = L L' + diag(1 - communality).

    K is found by parallel analysis (Horn 1965) with a society of chance, in which every agent turns the sign of each
    feature as it pleases: communalities stay, agreement does not. What is left of every view once the concepts found
    are taken away is compared with chance again, until nothing is left; or else a strong first factor, whose share
    chance spreads over all places, would hide weak ones.

    Cost: N m^2 S operations for a mean; one for each of four draws of chance, and that twice or three times, some
    times more where pairs are missing; D^3 for each round of completion. D^2 + N S m numbers.

    Parameters
    ----------
    views : of N agents, with sensor, loading, structure and phi
    features : [P, D], the probe objects as anyone may look at them; only to score them

    Returns
    -------
    Unified, with loadings as the agents know them from their own experience; an agent of a few dimensions foretells a
    part of what a feature has in common with others, so that loadings rather err towards 0.

    Raises
    ------
    ValueError
        If there is no view, or it is not known what dimensions weigh and what goes with them; if a number is not
        finite; or if the features of the objects do not fit the views.
    """
    check_named(views, "covariance")
    n_features = features_known(views, features)
    loadings, values, edge = _shared(views, n_features)
    loadings, _ = varimax(loadings, tolerance=1e-10)
    # The strongest first, and a sign that does not depend on how anybody's dimensions are turned.
    loadings = loadings[:, np.argsort(-np.square(loadings).sum(axis=0), kind="stable")]
    loadings = loadings * positive_peak(loadings)

    unique = np.maximum(1.0 - np.square(loadings).sum(axis=1), MIN_UNIQUE)
    weights = np.asarray(np.linalg.solve(loadings @ loadings.T + np.diag(unique), loadings), dtype=np.float64)
    variance = np.square(loadings.T @ weights).sum(axis=0) + unique @ np.square(weights)
    weights /= np.sqrt(variance)
    scores, weights = scored(features, weights)
    correlation, support = known_by_members(views, scores, loadings)
    return Unified(
        method="covariance",
        scores=scores,
        weights=weights,
        loadings=loadings,
        correlation=correlation,
        support=support,
        eigenvalues=values,
        edge=edge,
    )


def check_named(views: Views, method: str) -> None:
    """ValueError unless features have common names, and it is known how the agents' dimensions go with them."""
    if len(views) == 0:
        raise ValueError("unifying needs at least one view; got none")
    for name in ("sensor", "loading", "structure", "phi"):
        array = getattr(views, name)
        if array is None:
            raise ValueError(
                f"{method} by features needs the views' sensor, loading, structure and phi, but {name} is not given"
            )
        if not np.isfinite(array).all():
            raise ValueError(f"the views' {name} has values that are not finite; give 0 where a slot is empty")


def positive_peak(columns: FloatMatrix) -> FloatMatrix:
    """Signs [K] that make the largest entry of each column [n, K] positive."""
    if len(columns) == 0:
        return np.ones(columns.shape[1])
    peak = np.take_along_axis(columns, np.abs(columns).argmax(axis=0)[None, :], axis=0)[0]
    return np.where(peak < 0, -1.0, 1.0)


def scored(features: NDArray[np.floating] | None, weights: FloatMatrix) -> tuple[FloatMatrix, FloatMatrix]:
    """Scores [P, K] of mean 0 and variance 1, and the weights [D, K] of that scale; no scores without features."""
    if features is None:
        return np.zeros((0, weights.shape[1])), weights
    scores = features.astype(np.float64) @ weights
    sd = scores.std(axis=0)
    sd = np.where(sd > 0, sd, 1.0)
    return (scores - scores.mean(axis=0)) / sd, weights / sd


def known_by_members(
    views: Views, scores: FloatMatrix, loadings: FloatMatrix
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Correlations [N, S, K] of all dimensions with all concepts, and the support [K] of these.

    Over the probe objects where agents share them, else from what each agent knows: a dimension of weights w and
    structure s has the variance w'Rw = (w's)^2, because s = R w / sd; so it correlates with a factor of loadings L by
    w'L / w's, over the features it senses.
    """
    if views.levels is not None and len(scores):
        correlation, overlap = correlations(views, scores), moments(views)[2]
    else:
        assert views.phi is not None
        correlation, overlap = _correlations_by_features(views, loadings), views.phi
    support = np.zeros(correlation.shape[2])
    for rows in chunks(len(views)):
        r = correlation[rows].astype(np.float64)
        # pinv: one dimension may repeat others.
        inverse = np.linalg.pinv(held_only(overlap[rows], views.held[rows]), rcond=1e-5, hermitian=True)
        support += np.minimum(np.einsum("nsk,nst,ntk->nk", r, inverse, r, optimize=True), 1.0).sum(axis=0)
    return correlation, support / len(views)


def _correlations_by_features(views: Views, loadings: FloatMatrix) -> NDArray[np.float32]:
    assert views.sensor is not None
    assert views.loading is not None
    assert views.structure is not None
    found = np.zeros((len(views), views.n_slots, loadings.shape[1]), dtype=np.float32)
    # One more row, of zeros, for the sensors that are not there.
    padded = np.vstack([loadings, np.zeros((1, loadings.shape[1]))])
    for rows in chunks(len(views), 256):
        across = views.loading[rows].astype(np.float64) @ padded[views.sensor[rows]]
        sd = np.einsum("nsm,nsm->ns", views.loading[rows], views.structure[rows], dtype=np.float64)
        there = (views.held[rows] & (sd > 1e-9))[:, :, None]
        found[rows] = np.clip(np.divide(across, sd[:, :, None], out=np.zeros(across.shape), where=there), -1.0, 1.0)
    return found


def _shared(views: Views, n_features: int) -> tuple[FloatMatrix, NDArray[np.float64], NDArray[np.float64]]:
    """Unrotated loadings [D, K]; and what was counted, and what it had to exceed, place by place [D].

    Those are eigenvalues of what is left of the mean covariance beside the concepts found before, and of chance.
    """
    foretold = _foretold(views)
    told, together = _mean_covariance(views, foretold, np.zeros((n_features, n_features)))
    known = together > 0
    looks: dict[int, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}

    def looked_at(k: int) -> tuple[int, FloatMatrix]:
        """How many dimensions more than chance are left beside the ``k`` strongest, and the loadings of those."""
        loadings = _completed(told, known, k)
        fit = loadings @ loadings.T
        values = np.linalg.eigvalsh(np.where(known, told - fit, 0.0))[::-1]
        drawn = [
            np.linalg.eigvalsh(_mean_covariance(views, foretold, fit, np.random.default_rng([seed, k]))[0])[::-1]
            for seed in range(NULL_DRAWS)
        ]
        # Of one view alone, or of views that repeat each other, chance makes the same but for rounding.
        exceeded = np.mean(drawn, axis=0) * (1.0 + RANK_TOLERANCE) + MARGIN * np.std(drawn, axis=0, ddof=1)
        exceeded = np.maximum(exceeded, RANK_TOLERANCE)
        looks[k] = values[: n_features - k], exceeded[: n_features - k]
        return int(np.cumprod(values > exceeded)[: n_features - k].sum()), loadings

    fewest, k = 0, 0
    more, loadings = looked_at(0)
    while more:
        fewest, k = k, k + more
        more, loadings = looked_at(k)
    # Pairs that nobody senses together leave holes, and a matrix with holes has more eigenvalues than a whole one: look
    # whether fewer dimensions, whose fit fills the holes, leave as little.
    step = 1
    while not known.all() and k - fewest > 1:
        tried = max(k - step, fewest + 1)
        more, fewer = looked_at(tried)
        if more:
            fewest, step = tried, 1
        else:
            k, loadings, step = tried, fewer, 2 * step
    counted, edge = np.zeros(n_features), np.zeros(n_features)
    for place in sorted(place for place in looks if place <= k):
        counted[place:], edge[place:] = looks[place]
    return loadings, counted, edge


def _foretold(views: Views) -> NDArray[np.float32]:
    """What a view foretells of its features, along uncorrelated dimensions of its own [N, S, m]: phi^-1/2 structure."""
    assert views.structure is not None
    assert views.phi is not None
    found = np.zeros(views.structure.shape, dtype=np.float32)
    for rows in chunks(len(views)):
        held = views.held[rows]
        own = whitening(held_only(views.phi[rows], held), least=REPEATED)
        found[rows] = own.swapaxes(1, 2) @ (views.structure[rows] * held[:, :, None])
    return found


def _mean_covariance(
    views: Views, foretold: NDArray[np.float32], fit: FloatMatrix, rng: np.random.Generator | None = None
) -> tuple[FloatMatrix, FloatMatrix]:
    """Mean over the agents who sense both features of what a view implies beyond ``fit``; how many they are [D, D].

    With ``rng`` every agent has the sign of each feature turned by chance.
    """
    assert views.sensor is not None
    n_features = len(fit)
    total, together = np.zeros(n_features**2), np.zeros(n_features**2)
    for rows in chunks(len(views), 256):
        sensor = views.sensor[rows].astype(np.intp)
        sensed = (sensor >= 0) & views.held[rows].any(axis=1, keepdims=True)
        both = sensed[:, :, None] & sensed[:, None, :]
        cell = (sensor[:, :, None] * n_features + sensor[:, None, :])[both]
        beyond = (foretold[rows].swapaxes(1, 2) @ foretold[rows])[both] - fit.ravel()[cell]
        if rng is not None:
            sign = rng.choice(np.array([-1.0, 1.0], dtype=np.float32), size=sensor.shape)
            beyond *= (sign[:, :, None] * sign[:, None, :])[both]
        total += np.bincount(cell, weights=beyond, minlength=len(total))
        together += np.bincount(cell, minlength=len(total))
    mean = total / np.maximum(together, 1)
    return mean.reshape(fit.shape), together.reshape(fit.shape)


def _completed(told: FloatMatrix, known: NDArray[np.bool_], k: int) -> FloatMatrix:
    """Loadings [D, k], unrotated, of the matrix of at most rank ``k`` nearest to what is known of ``told [D, D]``."""
    filled = told
    for _ in range(MAX_ROUNDS):
        values, vectors = np.linalg.eigh(filled)
        loadings: FloatMatrix = vectors[:, ::-1][:, :k] * np.sqrt(np.maximum(values[::-1][:k], 0.0))
        if known.all() or k == 0:
            break
        before, filled = filled, np.where(known, told, loadings @ loadings.T)
        if np.linalg.norm(filled - before) <= COMPLETED * np.linalg.norm(filled):
            break
    return loadings[:, np.square(loadings).sum(axis=0) > RANK_TOLERANCE]
