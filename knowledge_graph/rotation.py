"""Rotation to simple structure: varimax, for one matrix of loadings or for many at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


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
    """
    *batch, _, k = loadings.shape
    rotation = np.broadcast_to(np.eye(k), (*batch, k, k)).copy()
    if k < 2:
        return loadings.copy(), rotation
    length = np.linalg.norm(loadings, axis=-1, keepdims=True)
    normal = np.divide(loadings, length, out=np.zeros_like(loadings), where=length > 0)
    before = np.zeros(tuple(batch))
    growing = np.ones(tuple(batch), dtype=bool)
    for _ in range(max_iterations):
        turned = normal @ rotation
        # The gradient of sum(var(turned^2)); its polar factor is the best next rotation.
        squared = turned * turned
        gradient = normal.swapaxes(-1, -2) @ (turned * (squared - squared.mean(axis=-2, keepdims=True)))
        left, values, right = np.linalg.svd(gradient)
        # Each matrix stops when it has converged itself, so that none depends on its company.
        rotation = np.where(growing[..., None, None], left @ right, rotation)
        criterion = values.sum(axis=-1)
        growing &= criterion > before * (1 + tolerance)
        if not growing.any():
            break
        before = criterion
    return loadings @ rotation, rotation
