"""Rotation to simple structure: varimax, for one matrix of loadings or for many at once."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

ASTRAY = 0.02
"""Norm of the last step above which whoever goes to and fro has not arrived."""


def varimax(
    loadings: NDArray[np.float64], *, max_iterations: int = 500, tolerance: float = 1e-8
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rotate loadings so that each column has a few large and many small entries (Kaiser 1958).

    Rows are normalised to unit length while the rotation is sought (Kaiser's normalisation), so that variables of
    small communality count as much as those of large.

    Parameters
    ----------
    loadings : float64 [..., D, K]
    max_iterations, tolerance : stop when the criterion grows by less than this share

    Returns
    -------
    rotated : float64 [..., D, K], equal to ``loadings @ rotation``
    rotation : float64 [..., K, K], orthogonal

    Notes
    -----
    All factors are turned at once, by the polar factor of the criterion's gradient. That can go to and fro between two
    mirrored places: of two factors that each have variables of their own, it never arrives, however they are turned.
    Whoever is found at that is turned plane by plane (see `plane_by_plane`).
    """
    *batch, _, k = loadings.shape
    rotation = np.broadcast_to(np.eye(k), (*batch, k, k)).copy()
    if k < 2:
        return loadings.copy(), rotation
    length = np.linalg.norm(loadings, axis=-1, keepdims=True)
    normal = np.divide(loadings, length, out=np.zeros_like(loadings), where=length > 0)
    before = np.zeros(tuple(batch))
    growing = np.ones(tuple(batch), dtype=bool)
    last = rotation
    lost = np.zeros(tuple(batch), dtype=bool)
    for _ in range(max_iterations):
        turned = normal @ rotation
        # The gradient of sum(var(turned^2)); its polar factor is the best next rotation.
        squared = turned * turned
        gradient = normal.swapaxes(-1, -2) @ (turned * (squared - squared.mean(axis=-2, keepdims=True)))
        left, values, right = np.linalg.svd(gradient)
        # Each matrix stops when it has converged itself, so that none depends on its company.
        onward = np.where(growing[..., None, None], left @ right, rotation)
        step, since_last = _distance(onward, rotation), _distance(onward, last)
        lost = np.where(growing, (step > ASTRAY) & (since_last < step), lost)
        last, rotation = rotation, onward
        criterion = values.sum(axis=-1)
        growing &= criterion > before * (1 + tolerance)
        if not growing.any():
            break
        before = criterion
    # Without any gradient the place is the best there is or, as well, the worst.
    lost |= before <= 0.0
    if lost.any():
        rotation[lost] = plane_by_plane(normal[lost], rotation[lost], max_sweeps=max_iterations)
    return loadings @ rotation, rotation


def _distance(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    norm: NDArray[np.float64] = np.linalg.norm(a - b, axis=(-2, -1))
    return norm


def plane_by_plane(
    normal: NDArray[np.float64], rotation: NDArray[np.float64], *, max_sweeps: int
) -> NDArray[np.float64]:
    """Go on from ``rotation`` [n, K, K] to where no turn of two factors alone raises the criterion (Kaiser 1958, 1959).

    The best turn of two columns x, y of ``normal @ rotation`` (``normal`` [n, D, K] has rows of length 1 or 0) has
    tan 4t = 2 cov(u, v) / (var(u) - var(v)), with u = x^2 - y^2 and v = 2 x y.
    """
    rotation = rotation.copy()
    turned = normal @ rotation
    for _ in range(max_sweeps):
        largest = 0.0
        for pair in itertools.combinations(range(rotation.shape[-1]), 2):
            x, y = turned[..., pair[0]], turned[..., pair[1]]
            u, v = x * x - y * y, 2.0 * x * y
            u, v = u - u.mean(axis=-1, keepdims=True), v - v.mean(axis=-1, keepdims=True)
            across, along = 2.0 * (u * v).mean(axis=-1), (u * u - v * v).mean(axis=-1)
            flat = np.hypot(across, along) < 1e-14  # any turn is as good
            angle = np.where(flat, 0.0, np.arctan2(across, along) / 4.0)
            cos, sin = np.cos(angle), np.sin(angle)
            turn = np.stack([np.stack([cos, -sin], axis=-1), np.stack([sin, cos], axis=-1)], axis=-2)
            turned[..., pair] = turned[..., pair] @ turn
            rotation[..., pair] = rotation[..., pair] @ turn
            largest = max(largest, float(np.abs(angle).max()))
        if largest < 1e-8:
            break
    return rotation
