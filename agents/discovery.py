"""Phase 7, discover: abstract dimensions out of what has been seen.

"PCA and factor analysis of many landlords make the abstract landlord": each agent looks at its remembered objects
through its sensors; Horn's parallel analysis says how many dimensions are more than chance; principal components or
varimax-rotated common factors are proposed; a proposal refreshes the dimension that it repeats, fills an empty slot,
or competes with the dimension whose superiority x unique variance is lowest.

Everything works on a batch of agents. `factor_analysis` of one correlation matrix goes through factor-analyzer and
finds the same minimum as the batched `minres`.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from agents.config import SocietyConfig
from agents.perception import remembered, sense, shift_attention
from agents.population import ABSTRACT, EMPTY, NEUTRAL, NOTHING, Population, take_exemplar
from agents.world import World
from knowledge_graph.rotation import varimax

SAME = 0.85
"""Tucker congruence from which a factor counts as the same one (Lorenzo-Seva & ten Berge 2006: .85 is fair)."""

NULL_QUANTILE = 0.95
NULL_DRAWS = 100
CHUNK = 2048
"""Agents looked at together; bounds the memory for [n, R, m] observations."""

Correlations = NDArray[np.float64]


def discover(
    population: Population,
    rows: NDArray[np.intp],
    world: World,
    config: SocietyConfig,
    step: int,
    rng: np.random.Generator,
) -> int:
    """Let ``rows`` shift their attention and discover; returns how many new dimensions arose."""
    found = 0
    shift_attention(population, rows, world, config.attention, rng)
    for start in range(0, len(rows), CHUNK):
        batch = rows[start : start + CHUNK]
        corr, count = correlations(world, population, batch)
        proposals, n_proposed, population.communality[batch] = propose(corr, count, config)
        found += _accommodate(population, batch, corr, proposals, n_proposed, step)
    found += _take_exemplars(population, rows, world, step, rng)
    return found


def correlations(world: World, population: Population, rows: NDArray[np.intp]) -> tuple[Correlations, NDArray[np.intp]]:
    """Correlations [n, m, m] of the sensed features over the different objects remembered, and how many those are [n].

    A feature that never varied in an agent's experience correlates with nothing (and 1 with itself).
    """
    objects, there = remembered(population, rows)
    sensed = sense(world.features, objects, population.sensor[rows])
    sensed *= there[:, :, None]
    count = there.sum(axis=1)
    n = np.maximum(count, 1)[:, None]
    mean = sensed.sum(axis=1, dtype=np.float64) / n
    covariance = np.matmul(sensed.swapaxes(1, 2), sensed).astype(np.float64) / n[:, :, None]
    covariance -= mean[:, :, None] * mean[:, None, :]
    variance = np.einsum("nii->ni", covariance)
    # A float32 second moment cannot tell a smaller variance from rounding.
    varies = variance > 1e-5
    sd = np.sqrt(np.where(varies, variance, 1.0))
    corr = np.where(varies[:, :, None] & varies[:, None, :], covariance / (sd[:, :, None] * sd[:, None, :]), 0.0)
    np.einsum("nii->ni", corr)[...] = 1.0
    return corr, count


@functools.lru_cache(maxsize=4096)
def null_eigenvalues(n_objects: int, n_variables: int) -> tuple[float, ...]:
    """The 95th percentile of each eigenvalue of the correlations of pure noise, largest first (Horn 1965).

    Depends on the two sizes alone: 100 draws from a generator seeded by them.
    """
    rng = np.random.default_rng([n_objects, n_variables])
    noise = rng.standard_normal((NULL_DRAWS, n_objects, n_variables))
    noise -= noise.mean(axis=1, keepdims=True)
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    values = np.linalg.eigvalsh(noise.swapaxes(1, 2) @ noise)[:, ::-1]
    # Rounded, so that the last digits do not depend on how many threads found them.
    return tuple(np.quantile(values, NULL_QUANTILE, axis=0).round(9).tolist())


def parallel_analysis(eigenvalues: NDArray[np.float64], count: NDArray[np.intp], limit: int) -> NDArray[np.intp]:
    """How many leading eigenvalues [n, m] (largest first) exceed those of noise, per matrix, at most ``limit``.

    A memory of fewer objects than sensors says nothing yet: 0.
    """
    n_variables = eigenvalues.shape[1]
    limit = min(limit, n_variables - 1)
    if limit <= 0:
        return np.zeros(len(eigenvalues), dtype=np.intp)
    threshold = np.full((len(count), limit), np.inf)
    for size in np.unique(count):
        if size > n_variables:
            threshold[count == size] = null_eigenvalues(int(size), n_variables)[:limit]
    above = eigenvalues[:, :limit] > threshold
    return np.cumprod(above, axis=1).sum(axis=1)


def propose(
    corr: Correlations, count: NDArray[np.intp], config: SocietyConfig
) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.float64]]:
    """Unit loadings [n, S, m] of the proposed dimensions, strongest first; their number [n]; communalities [n, m]."""
    values, vectors = np.linalg.eigh(corr)
    values, vectors = values[:, ::-1], vectors[:, :, ::-1]
    number = parallel_analysis(values, count, config.dimensions)
    proposals = np.zeros((len(corr), config.dimensions, corr.shape[1]))
    communality = np.zeros(corr.shape[:2])
    for k in range(1, config.dimensions + 1):
        these = np.flatnonzero(number == k)
        if len(these) == 0:
            continue
        if config.discovery == "pca":
            loadings = vectors[these, :, :k] * np.sqrt(values[these, None, :k])
        else:
            loadings, _ = minres(corr[these], k, start=vectors[these, :, :k])
            loadings, _ = varimax(loadings, max_iterations=50, tolerance=1e-5)
        # Sampling can make a factor explain more than all of a feature (a Heywood case).
        communality[these] = np.minimum((loadings**2).sum(axis=2), 1.0)
        strength = np.linalg.norm(loadings, axis=1)
        order = np.argsort(-strength, axis=1, kind="stable")
        loadings = np.take_along_axis(loadings, order[:, None, :], axis=2)
        norm = np.linalg.norm(loadings, axis=1, keepdims=True)
        proposals[these, :k] = (loadings / np.where(norm > 0, norm, 1)).swapaxes(1, 2)
    return proposals, number, communality


def minres(
    corr: Correlations,
    n_factors: int,
    *,
    start: NDArray[np.float64] | None = None,
    max_iterations: int = 60,
    tolerance: float = 1e-3,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Common factors that leave the least squared off-diagonal residual (Harman & Jones 1966), for many matrices.

    Iterated principal axes, whose fixed point is that minimum; the leading eigenvectors are carried from one
    iteration to the next (subspace iteration), so that an iteration costs a few small products.

    Parameters
    ----------
    corr : float64 [n, m, m]
    n_factors : at most m - 1
    start : float64 [n, m, n_factors], leading eigenvectors to start from
    tolerance : largest change of a communality in the last iteration

    Returns
    -------
    loadings : float64 [n, m, n_factors], unrotated, strongest factor first
    communalities : float64 [n, m], in [0, 0.995] as in factor-analyzer
    """
    n, m, _ = corr.shape
    # Squared multiple correlations, the usual start; the ridge keeps a singular matrix invertible.
    inverse = np.linalg.inv(corr + 1e-6 * np.eye(m))
    communality = np.clip(1.0 - 1.0 / np.einsum("nii->ni", inverse), 0.0, 0.995)
    basis = np.linalg.eigh(corr)[1][:, :, : -n_factors - 1 : -1] if start is None else start
    loadings = np.zeros((n, m, n_factors))
    active = np.arange(n)
    for _ in range(max_iterations):
        h = communality[active]
        reduced = corr[active] - np.eye(m) * (1.0 - h)[:, :, None]
        # One step of subspace iteration; the shift keeps negative eigenvalues from being the largest in size.
        basis_now = np.linalg.qr(np.matmul(reduced, basis[active]) + basis[active])[0]
        values, turn = np.linalg.eigh(basis_now.swapaxes(1, 2) @ reduced @ basis_now)
        values, turn = values[:, ::-1], turn[:, :, ::-1]
        basis_now = basis_now @ turn
        found = basis_now * np.sqrt(np.maximum(values, 0.0))[:, None, :]
        now = np.clip((found**2).sum(axis=2), 0.0, 0.995)
        basis[active], loadings[active], communality[active] = basis_now, found, now
        active = active[np.abs(now - h).max(axis=1) > tolerance]
        if len(active) == 0:
            break
    return loadings, communality


def factor_analysis(corr: NDArray[np.float64], n_factors: int) -> NDArray[np.float64]:
    """Varimax-rotated minimum-residual loadings [m, n_factors] of one correlation matrix, by factor-analyzer."""
    # Imported where it is used: no society needs it, and it takes a while to load.
    from agents.factor_analyzer_adapter import FactorAnalyzer

    model = FactorAnalyzer(
        n_factors=n_factors,
        method="minres",
        rotation="varimax" if n_factors > 1 else None,
        is_corr_matrix=True,
    )
    model.fit(corr)
    return np.asarray(model.loadings_, dtype=np.float64)


def unique_variance(corr: Correlations, loading: NDArray[np.floating]) -> NDArray[np.float64]:
    """Share of the sensed variance [n, S] that a view explains only thanks to each of its dimensions.

    The drop in R^2 of predicting every sensed feature from the levels, when one dimension is left out (the squared
    semipartial correlation, averaged over features). Empty slots have 0; so have dimensions that others repeat.

    Parameters
    ----------
    corr : float64 [n, m, m]
    loading : [n, S, m], zero in empty slots
    """
    weights = loading.astype(np.float64)
    held = (weights != 0).any(axis=2)
    cross = weights @ corr
    gram = cross @ weights.swapaxes(1, 2)
    s = weights.shape[1]
    # Unit entries for empty slots, and a ridge that makes exact repeats share nothing instead of failing.
    gram += np.eye(s) * np.where(held, 1e-9, 1.0)[:, :, None]
    inverse = np.linalg.inv(gram)
    beta = inverse @ cross
    unique = (beta**2).sum(axis=2) / np.einsum("nss->ns", inverse)
    return np.where(held, unique / corr.shape[1], 0.0)


def _accommodate(
    population: Population,
    rows: NDArray[np.intp],
    corr: Correlations,
    proposals: NDArray[np.float64],
    n_proposed: NDArray[np.intp],
    step: int,
) -> int:
    """Let the proposals in: refresh what they repeat, fill empty slots, else compete with the weakest."""
    arrived = 0
    refreshed = np.zeros((len(rows), population.n_slots), dtype=bool)
    for place in range(proposals.shape[1]):
        these = np.flatnonzero(n_proposed > place)
        if len(these) == 0:
            break
        arrived += _accommodate_one(
            population, rows[these], corr[these], proposals[these, place], refreshed, these, step
        )
    return arrived


def _accommodate_one(
    population: Population,
    rows: NDArray[np.intp],
    corr: Correlations,
    proposal: NDArray[np.float64],
    refreshed: NDArray[np.bool_],
    these: NDArray[np.intp],
    step: int,
) -> int:
    """One proposal [n, m] for each row; ``refreshed[these]`` marks slots that already answered to a stronger one."""
    everyone = np.arange(len(rows))
    congruence = np.einsum("nsm,nm->ns", population.loading[rows].astype(np.float64), proposal)
    congruence[population.kind[rows] != ABSTRACT] = 0.0
    same = np.abs(congruence) >= SAME
    # A proposal so like a stronger one that both answer to one dimension says nothing new.
    told = (same & refreshed[these]).any(axis=1)
    repeats = same.any(axis=1) & ~told
    # Refresh: the same dimension, known better now; name, direction and feelings stay. Others like it are repeats.
    nearest = np.abs(congruence).argmax(axis=1)
    at, slot = rows[repeats], nearest[repeats]
    sign = np.sign(congruence[everyone, nearest])[repeats, None]
    population.loading[at, slot] = (sign * proposal[repeats]).astype(np.float32)
    refreshed[these[repeats], slot] = True
    same[everyone, nearest] = False
    twice, spare = np.nonzero(same & repeats[:, None])
    population.clear(rows[twice], spare)

    value = population.score[rows] * unique_variance(corr, population.loading[rows])
    value[population.kind[rows] == EMPTY] = -1.0
    value[refreshed[these]] = np.inf
    weakest = value.argmin(axis=1)
    # What the newcomer would be worth in the place of the weakest; untested, it is valued neither high nor low.
    rivals = population.loading[rows].copy()
    rivals[everyone, weakest] = proposal
    worth = NEUTRAL * unique_variance(corr, rivals)[everyone, weakest]
    enters = ~repeats & ~told & (worth > value[everyone, weakest])
    population.install(
        rows[enters],
        weakest[enters],
        loading=proposal[enters].astype(np.float32),
        kind=ABSTRACT,
        exemplar=NOTHING,
        step=step,
    )
    refreshed[these[enters], weakest[enters]] = True
    return int(enters.sum())


def _take_exemplars(
    population: Population,
    rows: NDArray[np.intp],
    world: World,
    step: int,
    rng: np.random.Generator,
) -> int:
    """An agent with an empty slot left takes one remembered object as a new raw dimension."""
    pick = rng.random(len(rows))
    empty = population.kind[rows] == EMPTY
    known = np.minimum(population.n_seen[rows], population.seen.shape[1])
    takes = empty.any(axis=1) & (known > 0)
    at, slot = rows[takes], empty[takes].argmax(axis=1)
    objects = population.seen[at, (pick[takes] * known[takes]).astype(np.intp)]
    return take_exemplar(population, at, slot, objects, world, step=step)
