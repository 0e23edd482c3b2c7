"""What agents bring to a library when each has been alone with objects of its own: views with a known truth.

No society lives here. Every agent senses a few features, correlates them over its private objects, finds a few common
factors (minres, varimax), and then looks at the probe, which all share. Whatever a merge makes of such views can be
held against the factors that were planted.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from agents.discovery import minres
from agents.errors import InputError
from agents.population import distinct
from agents.world import Truth, World, build, planted
from knowledge_graph.rotation import varimax
from knowledge_graph.views import Views, chunks

Sensing = Literal["random", "correlates"]
Rotation = Literal["varimax", "none"]

CHUNK = 64
"""Agents looked at together; bounds the memory for [n, private objects, D] features."""

RIDGE = 1e-6
"""Keeps the correlations invertible where one sensed feature repeats others, or objects are few."""


def planted_views(
    world: World,
    *,
    seed: int,
    agents: int = 200,
    dims: int = 8,
    sensors: int = 64,
    private_objects: int = 400,
    sensing: Sensing = "random",
    rotation: Rotation = "varimax",
    groups: int = 1,
    fewer: float = 0.0,
    unseen: float = 0.0,
) -> Views:
    """Views of agents that have been alone so far, measured on ``world.probe``.

    A dimension weighs features by the regression of its factor on them, R^-1 L (Thurstone 1935), brought to unit norm.
    What GCCA makes of the views is then the same to the third digit as if the dimensions weighed features by their
    loadings L, but levels follow the factors more closely: clusters of them match the truth by .96 rather than .94.

    Parameters
    ----------
    seed : of all that is random here; the world has its own
    agents : N
    dims : S, the common factors that each agent finds
    sensors : m, the features that each agent senses
    private_objects : how many objects each has seen, drawn for each agent from the training objects beside the probe
    sensing : "random" features; or "correlates": as many random seeds as dimensions, each with those features that go
        with it most in what the agent has seen
    rotation : of the factors that an agent finds
    groups : the features are dealt out to this many groups of agents; agents of two groups sense nothing in common
    fewer : this share of the agents (at random) finds fewer dimensions, from 1 to ``dims - 1``
    unseen : share of the probe that an agent (each another one) has not seen: nan in its levels

    Returns
    -------
    Views with levels on the probe and with named features; empty slots come last, dimensions of an agent strongest
    first.

    Raises
    ------
    InputError
        If the world has too few objects or features for what is asked.
    """
    pool = np.setdiff1d(world.train, world.probe)
    _check(world, pool, agents, dims, sensors, private_objects, groups, fewer, unseen)
    rng = np.random.default_rng([seed, 0xA10E])
    shares = np.array_split(rng.permutation(world.n_features), groups)
    allowed = np.zeros((groups, world.n_features), dtype=bool)
    for g, share in enumerate(shares):
        allowed[g, share] = True
    group = np.arange(agents) * groups // agents
    sensor = np.zeros((agents, sensors), dtype=np.int32)
    number = np.full(agents, dims)
    with_fewer = rng.permutation(agents)[: round(fewer * agents)]
    number[with_fewer] = rng.integers(1, dims, size=len(with_fewer)) if dims > 1 else dims
    loading = np.zeros((agents, dims, sensors), dtype=np.float32)
    structure, phi = np.zeros_like(loading), np.zeros((agents, dims, dims), dtype=np.float32)
    levels = np.zeros((agents, len(world.probe), dims), dtype=np.float32)
    for rows in chunks(agents, CHUNK):
        n = len(number[rows])
        experience = world.features[pool[distinct(rng, n, private_objects, len(pool))]]
        sensor[rows] = _sensed(experience, allowed[group[rows]], sensing, dims, sensors, rng)
        corr = _correlations(np.take_along_axis(experience, sensor[rows][:, None, :].astype(np.intp), axis=2))
        weights = _weights(corr, number[rows], dims, rotation)
        across = corr @ weights
        gram = weights.swapaxes(1, 2) @ across
        sd = np.sqrt(np.einsum("nss->ns", gram))
        scale = np.divide(1.0, sd, out=np.zeros_like(sd), where=sd > 0)
        loading[rows] = weights.swapaxes(1, 2)
        structure[rows] = (across * scale[:, None, :]).swapaxes(1, 2)
        phi[rows] = gram * scale[:, :, None] * scale[:, None, :]
        probed = world.features[world.probe][:, sensor[rows]].swapaxes(0, 1)
        levels[rows] = probed @ weights.astype(np.float32)
    if unseen > 0:
        missing = np.argsort(rng.random((agents, len(world.probe))), axis=1)[:, : round(unseen * len(world.probe))]
        np.put_along_axis(levels, missing[:, :, None], np.nan, axis=1)
    held = np.arange(dims) < number[:, None]
    return Views.of(levels=levels, sensor=sensor, loading=loading, structure=structure, phi=phi, held=held)


def correlated_world(
    *,
    seed: int,
    correlation: float = 0.3,
    objects: int = 4000,
    features: int = 256,
    factors: int = 32,
    communality: float = 0.6,
    probe: int = 500,
) -> World:
    """The planted world, but every two factors correlate with ``correlation``: what one sees more of, one sees all of.

    The truth is the pattern of loadings; features keep their communality, so that only the correlation is new.
    """
    if not 0 <= correlation < 1:
        raise InputError(f"correlation is {correlation}, but it must be from 0 to under 1")
    base = planted(seed=seed, objects=objects, features=features, factors=factors, communality=communality, probe=probe)
    assert base.truth is not None
    phi = np.full((factors, factors), correlation) + (1.0 - correlation) * np.eye(factors)
    loadings = base.truth.loadings * base.scale[:, None]
    explained = np.einsum("dk,kj,dj->d", loadings, phi, loadings)
    loadings *= np.sqrt(communality / explained)[:, None]
    scores = base.truth.scores @ np.linalg.cholesky(phi).T
    rng = np.random.default_rng([seed, 0xC0BB])
    noise = np.sqrt(1.0 - communality) * rng.standard_normal((objects, features))
    return build(
        name="planted, correlated factors",
        raw=scores @ loadings.T + noise,
        seed=seed,
        probe=probe,
        truth=Truth(loadings=loadings, scores=scores),
    )


def _sensed(
    experience: NDArray[np.float32],
    within: NDArray[np.bool_],
    sensing: Sensing,
    seeds: int,
    sensors: int,
    rng: np.random.Generator,
) -> NDArray[np.int32]:
    """The features [n, m] that each agent senses, among those allowed ``within [n, D]``."""
    n, _, n_features = experience.shape
    # Random keys order the features; what is not allowed, or sensed already, comes last.
    keys = np.where(within, rng.random((n, n_features)), np.inf)
    if sensing == "random":
        return np.argsort(keys, axis=1)[:, :sensors].astype(np.int32)
    centred = experience - experience.mean(axis=1, keepdims=True)
    norm = np.sqrt(np.einsum("npd,npd->nd", centred, centred))
    centred /= np.where(norm > 0, norm, np.inf)[:, None, :]
    sensor = np.zeros((n, sensors), dtype=np.int32)
    for places in np.array_split(np.arange(sensors), min(seeds, sensors)):
        first = keys.argmin(axis=1)
        seed = np.take_along_axis(centred, first[:, None, None], axis=2)
        likeness = np.abs(seed.swapaxes(1, 2) @ centred)[:, 0]
        likeness[np.isinf(keys)] = -1.0
        np.put_along_axis(likeness, first[:, None], np.inf, axis=1)  # the seed itself, even one that never varies
        chosen = np.argsort(-likeness, axis=1)[:, : len(places)]
        sensor[:, places] = chosen
        np.put_along_axis(keys, chosen, np.inf, axis=1)
    return sensor


def _correlations(sensed: NDArray[np.float32]) -> NDArray[np.float64]:
    """Correlations [n, m, m] of what was sensed [n, objects, m]; a constant feature correlates with itself alone."""
    centred = sensed - sensed.mean(axis=1, keepdims=True)
    covariance = (centred.swapaxes(1, 2) @ centred).astype(np.float64) / sensed.shape[1]
    variance = np.einsum("nii->ni", covariance)
    scale = np.divide(1.0, np.sqrt(variance), out=np.zeros_like(variance), where=variance > 1e-9)
    corr: NDArray[np.float64] = covariance * scale[:, :, None] * scale[:, None, :]
    np.einsum("nii->ni", corr)[...] = 1.0
    return corr


def _weights(corr: NDArray[np.float64], number: NDArray[np.intp], dims: int, rotation: Rotation) -> NDArray[np.float64]:
    """Weights [n, m, S] of unit norm of ``number [n]`` common factors each, strongest first; 0 in empty slots."""
    weights = np.zeros((*corr.shape[:2], dims))
    for k in np.unique(number[number > 0]):
        these = np.flatnonzero(number == k)
        loadings, _ = minres(corr[these], int(k))
        if rotation == "varimax":
            loadings, _ = varimax(loadings, max_iterations=50, tolerance=1e-5, troughs=False)
        order = np.argsort(-np.linalg.norm(loadings, axis=1), axis=1, kind="stable")
        loadings = np.take_along_axis(loadings, order[:, None, :], axis=2)
        regression = np.linalg.solve(corr[these] + RIDGE * np.eye(corr.shape[1]), loadings)
        norm = np.linalg.norm(regression, axis=1, keepdims=True)
        weights[these, :, :k] = regression / np.where(norm > 0, norm, 1.0)
    return weights


def _check(
    world: World,
    pool: NDArray[np.int32],
    agents: int,
    dims: int,
    sensors: int,
    private_objects: int,
    groups: int,
    fewer: float,
    unseen: float,
) -> None:
    least = world.n_features // max(groups, 1)
    for name, value, low, high in (
        ("agents", agents, 1, 1_000_000),
        ("groups", groups, 1, world.n_features),
        ("dims", dims, 1, sensors - 1),
        ("sensors", sensors, 2, least),
        ("private_objects", private_objects, 2, len(pool)),
        ("fewer", fewer, 0, 1),
        ("unseen", unseen, 0, 1),
    ):
        if not low <= value <= high:
            raise InputError(f"{name} is {value}, but in this world it must be from {low} to {high}")
