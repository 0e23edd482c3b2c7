"""Phase 7, discover: abstract dimensions out of what has been seen.

"PCA and factor analysis of many landlords make the abstract landlord": each agent looks at its remembered objects
through its sensors; Horn's parallel analysis says how many dimensions are more than chance; principal components or
varimax-rotated common factors are proposed, and have to find a place in the view (`agents.accommodation`). Where
dimensions come from elsewhere (`agents.sources`), as many are proposed, and go the same way.

Everything works on a batch of agents. `factor_analysis` of one correlation matrix goes through factor-analyzer and
finds the same minimum as the batched `minres`.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.accommodation import Correlations, Proposals, accommodate, explained
from agents.config import SocietyConfig
from agents.perception import remembered, sense, shift_attention
from agents.population import (
    COMPONENT,
    EMBEDDING,
    EMPTY,
    EXEMPLAR,
    FACTOR,
    MANY,
    NOTHING,
    RANDOM,
    Population,
    take_exemplar,
)
from agents.sources import exemplars, random_directions, sources, told_coordinates
from agents.world import World
from knowledge_graph.rotation import varimax

NULL_QUANTILE = 0.95
NULL_DRAWS = 100
CHUNK = 2048
"""Agents looked at together; bounds the memory for [n, R, m] observations."""


def discover(
    population: Population,
    rows: NDArray[np.intp],
    world: World,
    config: SocietyConfig,
    step: int,
    rng: np.random.Generator,
) -> int:
    """Let ``rows`` shift their attention and discover; returns how many new dimensions arose."""
    shift_attention(population, rows, world, config, rng)
    batches = (rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK))
    # All draws are made in turn, whoever then works on them.
    drawn = ((batch, draw(population, batch, world, config, rng)) for batch in batches)

    def work(one: tuple[NDArray[np.intp], Drawn]) -> int:
        batch, lots = one
        corr, count = correlations(world, population, batch)
        proposals = proposals_of(population, batch, world, corr, count, config, lots)
        population.communality[batch] = proposals.communality
        return accommodate(population, batch, corr, proposals, step)

    if len(rows) >= MANY:
        from agents.kernels import threads

        found = sum(threads.at_once(work, drawn))
    else:
        found = sum(map(work, drawn))
    if config.discovery in ("factor", "pca"):  # the others have more to offer as long as there is room
        found += _take_exemplars(population, rows, world, step, rng)
    return found


class Drawn(NamedTuple):
    """The luck of n agents who discover.

    ``origin`` int8 [n] is their source; ``keys [n, R]``, ``normal [n, S, m]`` and ``told [n, E]`` are for whoever has
    exemplars, random directions, or an embedding for one, and None where nobody can.
    """

    origin: NDArray[np.int8]
    keys: NDArray[np.float64] | None
    normal: NDArray[np.float64] | None
    told: NDArray[np.float64] | None


def draw(
    population: Population, rows: NDArray[np.intp], world: World, config: SocietyConfig, rng: np.random.Generator
) -> Drawn:
    """All draws, whole, so that the source of one of ``rows [n]`` changes no one else's luck."""
    n, possible = len(rows), sources(config, world)
    drawn = rng.integers(len(possible), size=n) if len(possible) > 1 else np.zeros(n, dtype=np.intp)
    return Drawn(
        origin=np.array(possible, dtype=np.int8)[drawn],
        keys=rng.random((n, population.seen.shape[1])) if EXEMPLAR in possible else None,
        normal=rng.standard_normal((n, population.n_slots, population.n_sensors)) if RANDOM in possible else None,
        told=None
        if EMBEDDING not in possible or world.embedding is None
        else rng.random((n, world.embedding.shape[1])),
    )


def proposals_of(
    population: Population,
    rows: NDArray[np.intp],
    world: World,
    corr: Correlations,
    count: NDArray[np.intp],
    config: SocietyConfig,
    drawn: Drawn,
) -> Proposals:
    """What ``rows`` propose, each from one source: as many dimensions as its memory has more of than noise has.

    ``corr`` and ``count`` are their `correlations`, ``drawn`` their luck.
    """
    n, slots, m = len(rows), population.n_slots, population.n_sensors
    origin, keys, normal, told = drawn
    values, vectors = spectrum(corr)
    number = parallel_analysis(values, count, slots)
    loading, communality = np.zeros((n, slots, m)), np.zeros((n, m))
    exemplar = np.full((n, slots), NOTHING, dtype=np.int32)
    for source in sources(config, world):
        these = np.flatnonzero(origin == source)
        if source in (FACTOR, COMPONENT):
            loading[these], communality[these] = in_common(
                corr[these], values[these], vectors[these], number[these], slots, components=source == COMPONENT
            )
            continue
        if keys is not None and source == EXEMPLAR:
            loading[these], exemplar[these] = exemplars(population, rows[these], world, number[these], keys[these])
        elif normal is not None and source == RANDOM:
            loading[these] = random_directions(normal[these], number[these])
        elif told is not None:
            loading[these] = told_coordinates(population, rows[these], world, number[these], told[these])
        communality[these] = explained(corr[these], loading[these])
    return Proposals(
        loading=loading,
        number=(loading != 0).any(axis=2).sum(axis=1),
        origin=origin,
        exemplar=exemplar,
        communality=communality,
    )


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
    # A float32 second moment cannot tell a smaller variance from rounding, which grows with the moment itself.
    varies = variance > 1e-5 * np.maximum(mean**2, 1.0)
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

    A memory of no more objects than sensors says nothing yet: 0.
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
    number: NDArray[np.intp] = np.cumprod(above, axis=1).sum(axis=1)
    return number


def spectrum(corr: Correlations) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Eigenvalues [n, m], largest first, and their eigenvectors, the columns of [n, m, m]."""
    values, vectors = np.linalg.eigh(corr)
    return values[:, ::-1], vectors[:, :, ::-1]


def propose(
    corr: Correlations, count: NDArray[np.intp], config: SocietyConfig
) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.float64]]:
    """Unit loadings [n, S, m] of what memories have in common, strongest first; their number [n]; communalities [n, m].

    Principal components, or common factors.
    """
    values, vectors = spectrum(corr)
    number = parallel_analysis(values, count, config.dimensions)
    components = config.discovery == "pca"
    loading, communality = in_common(corr, values, vectors, number, config.dimensions, components=components)
    return loading, number, communality


def in_common(
    corr: Correlations,
    values: NDArray[np.float64],
    vectors: NDArray[np.float64],
    number: NDArray[np.intp],
    n_slots: int,
    *,
    components: bool,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Unit loadings [n, S, m] of so many components or common factors of each matrix, and their communalities [n, m].

    ``values`` and ``vectors`` are the matrices' `spectrum`.
    """
    proposals = np.zeros((len(corr), n_slots, corr.shape[1]))
    communality = np.zeros(corr.shape[:2])
    for k in range(1, n_slots + 1):
        these = np.flatnonzero(number == k)
        if len(these) == 0:
            continue
        if components:
            loadings = vectors[these, :, :k] * np.sqrt(values[these, None, :k])
        else:
            loadings, _ = minres(corr[these], k, start=vectors[these, :, :k])
            # Quick, for whatever is turned halfway is found anew at the next discovery.
            loadings, _ = varimax(loadings, max_iterations=50, tolerance=1e-5, troughs=False)
        # Sampling can make a factor explain more than all of a feature (a Heywood case).
        communality[these] = np.minimum((loadings**2).sum(axis=2), 1.0)
        strength = np.linalg.norm(loadings, axis=1)
        order = np.argsort(-strength, axis=1, kind="stable")
        loadings = np.take_along_axis(loadings, order[:, None, :], axis=2)
        norm = np.linalg.norm(loadings, axis=1, keepdims=True)
        proposals[these, :k] = (loadings / np.where(norm > 0, norm, 1)).swapaxes(1, 2)
    return proposals, communality


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
    basis = np.linalg.eigh(corr)[1][:, :, : -n_factors - 1 : -1] if start is None else start.copy("K")
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
    """Minimum-residual loadings [m, n_factors] of one correlation matrix by factor-analyzer, turned by varimax.

    The strongest factor first, and each so that its loadings have a sum above 0.

    A feature that correlates with no other has none; of more factors than there are others, those too many have none.
    """
    # Imported where it is used: no society needs it, and it takes a while to load.
    from agents.factor_analyzer_adapter import FactorAnalyzer

    loadings = np.zeros((len(corr), n_factors))
    # Varimax would divide by the length of their rows, which is 0.
    related = np.flatnonzero((corr != 0).sum(axis=1) > 1)
    found = min(n_factors, len(related))
    if found == 0:
        return loadings
    # Its own varimax stays between two factors of a size that correlate a little.
    model = FactorAnalyzer(n_factors=found, method="minres", rotation=None, is_corr_matrix=True)
    # A ridge, as in `minres`: where two features are the same to an agent, the matrix has no inverse to begin with.
    model.fit((corr[np.ix_(related, related)] + 1e-6 * np.eye(len(related))) / (1 + 1e-6))
    rotated, _ = varimax(model.loadings_, tolerance=1e-12)
    rotated = rotated[:, np.argsort(-np.square(rotated).sum(axis=0), kind="stable")]
    loadings[related, :found] = rotated * np.where(rotated.sum(axis=0) < 0, -1.0, 1.0)
    return loadings


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
