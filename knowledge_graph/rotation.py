"""Rotation to simple structure: varimax, for one matrix of loadings or for many at once."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

FAR = 0.02
"""Norm of a last step from which on what oscillates has not converged."""


def varimax(
    loadings: NDArray[np.float64], *, max_iterations: int = 500, tolerance: float = 1e-8, troughs: bool = True
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rotate loadings so that each column has a few large and many small entries (Kaiser 1958).

    Rows are normalised to unit length while the rotation is sought (Kaiser's normalisation), so that variables of
    small communality count as much as those of large.

    Parameters
    ----------
    loadings : float64 [..., D, K]
    max_iterations, tolerance : stop when the criterion grows by less than this share
    troughs : look for a way out of where it has stopped; otherwise only if there is no gradient at all

    Returns
    -------
    rotated : float64 [..., D, K], equal to ``loadings @ rotation``
    rotation : float64 [..., K, K], orthogonal

    Notes
    -----
    All factors are turned at once, by the polar factor of the criterion's gradient, which is quick, and can fail in two
    ways. It oscillates between two mirrored places where two factors have variables of their own; and it stays where
    the gradient is symmetric, at the worst place as well as at the best, as halfway between two factors. What is found
    at either goes on plane by plane (`_plane_by_plane`).
    """
    *batch, _, k = loadings.shape
    rotation = np.broadcast_to(np.eye(k), (*batch, k, k)).copy()
    if k < 2 or loadings.shape[-2] == 0:
        return loadings.copy(), rotation
    length = np.linalg.norm(loadings, axis=-1, keepdims=True)
    normal = np.divide(loadings, length, out=np.zeros_like(loadings), where=length > 0)
    before = np.zeros(tuple(batch))
    growing = np.ones(tuple(batch), dtype=bool)
    last = rotation
    oscillates = np.zeros(tuple(batch), dtype=bool)
    for _ in range(max_iterations):
        turned = normal @ rotation
        # The gradient of sum(var(turned^2)); its polar factor is the best next rotation.
        squared = turned * turned
        gradient = normal.swapaxes(-1, -2) @ (turned * (squared - squared.mean(axis=-2, keepdims=True)))
        left, values, right = np.linalg.svd(gradient)
        # Each matrix stops when it has converged itself, so that none depends on its company.
        onward = np.where(growing[..., None, None], left @ right, rotation)
        step, since_last = _distance(onward, rotation), _distance(onward, last)
        oscillates = np.where(growing, (step > FAR) & (since_last < step), oscillates)
        last, rotation = rotation, onward
        criterion = values.sum(axis=-1)
        growing &= criterion > before * (1 + tolerance)
        if not growing.any():
            break
        before = criterion
    unfinished = oscillates | (before <= 0.0)
    if troughs:
        # A best turn of more than 22.5 degrees, halfway to the next best place, leads out of one.
        unfinished |= ~growing & (np.abs(_best_turns(normal @ rotation)).max(axis=-1) > np.pi / 8)
    if unfinished.any():
        rotation[unfinished] = _plane_by_plane(normal[unfinished], rotation[unfinished], max_sweeps=max_iterations)
    return loadings @ rotation, rotation


def _distance(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    norm: NDArray[np.float64] = np.linalg.norm(a - b, axis=(-2, -1))
    return norm


def _best_turns(turned: NDArray[np.float64]) -> NDArray[np.float64]:
    """The angle [..., K (K - 1) / 2] by which to turn each two columns of ``turned [..., D, K]`` (Kaiser 1958, 1959).

    Of columns x, y it has tan 4t = 2 cov(u, v) / (var(u) - var(v)), with u = x^2 - y^2 and v = 2 x y; from -45 to 45
    degrees.
    """
    first, second = np.triu_indices(turned.shape[-1], 1)
    x, y = turned[..., first], turned[..., second]
    u, v = x * x - y * y, 2.0 * x * y
    u, v = u - u.mean(axis=-2, keepdims=True), v - v.mean(axis=-2, keepdims=True)
    across, along = 2.0 * (u * v).mean(axis=-2), (u * u - v * v).mean(axis=-2)
    flat = np.hypot(across, along) < 1e-14  # any turn is as good
    angles: NDArray[np.float64] = np.where(flat, 0.0, np.arctan2(across, along) / 4.0)
    return angles


def _plane_by_plane(
    normal: NDArray[np.float64], rotation: NDArray[np.float64], *, max_sweeps: int
) -> NDArray[np.float64]:
    """Go on from ``rotation [n, K, K]`` to where no turn of two columns of ``normal @ rotation`` improves on it.

    Rows of ``normal [n, D, K]`` have length 1, or 0.
    """
    rotation = rotation.copy()
    k = rotation.shape[-1]
    active = np.arange(len(rotation))
    for _ in range(max_sweeps):
        largest = np.zeros(len(active))
        for pair in itertools.combinations(range(k), 2):
            columns = rotation[active][..., pair]
            angle = _best_turns(normal[active] @ columns)[:, 0]
            cos, sin = np.cos(angle), np.sin(angle)
            turn = np.stack([np.stack([cos, -sin], axis=-1), np.stack([sin, cos], axis=-1)], axis=-2)
            rotation[active[:, None, None], np.arange(k)[:, None], pair] = columns @ turn
            largest = np.maximum(largest, np.abs(angle))
        active = active[largest > 1e-8]
        if len(active) == 0:
            break
    return rotation
