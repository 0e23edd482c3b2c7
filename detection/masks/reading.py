"""From the coarse probabilities of a mask to its pixels in the stored image.

They are enlarged to the resized image (`grids.enlarged`), cut where its padding begins, resized to the stored image and
compared with a threshold. All of that is linear along each axis, so that it is one small matrix per axis.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

THRESHOLD = 0.5
"""What the probability of a pixel of a mask exceeds."""


class Axes(NamedTuple):
    """What makes pixels of cells."""

    down: Tensor
    """float32 [height, rows of cells]: of the stored image."""
    across: Tensor
    """float32 [width, columns of cells]."""


def axes(cells: tuple[int, int], *, factor: int, size: tuple[int, int], original: tuple[int, int]) -> Axes:
    """How a grid of ``cells`` (rows, columns) ``factor`` pixels apart is read at the stored image's pixels.

    ``size`` and ``original`` are height and width of the image after and before resizing.
    """
    matrices = (
        _resizing(resized, length) @ _enlarging(count, factor)[:resized]
        for count, resized, length in zip(cells, size, original, strict=True)
    )
    return Axes(*matrices)


def read(probability: Tensor, axes: Axes) -> NDArray[np.uint8]:
    """The mask, uint8 [height, width] of 0 and 1 column by column, that a grid of probabilities float32 [h, w] means.

    Every pixel is a mean of a few cells, so those in which no cell above the threshold has a share are not computed.
    """
    down, across = axes
    mask = np.zeros((len(down), len(across)), dtype=np.uint8, order="F")
    above = probability > THRESHOLD
    if above.any():
        y, rows = _reach(above.any(1), down)
        x, columns = _reach(above.any(0), across)
        part = down[y, rows] @ probability[rows, columns] @ across[x, columns].T
        mask[y, x] = (part > THRESHOLD).numpy()
    return mask


def _enlarging(cells: int, factor: int) -> Tensor:
    """The matrix [factor cells, cells] by which `grids.enlarged` makes one axis."""
    return _linear((torch.arange(factor * cells) - factor // 2) / factor, cells)


def _resizing(cells: int, size: int) -> Tensor:
    """The matrix [size, cells] by which `torch.nn.functional.interpolate` (bilinear, of areas) makes one axis."""
    return _linear((torch.arange(size) + 0.5) * (cells / size) - 0.5, cells)


def _linear(at: Tensor, cells: int) -> Tensor:
    """Weights [n, cells] that read between the values of ``cells`` at places ``at`` [n], or at the nearest border."""
    at = at.clamp(0, cells - 1)
    low = at.floor().long()
    share = (at - low).float()
    matrix = torch.zeros(len(at), cells)
    rows = torch.arange(len(at))
    matrix[rows, low] += 1 - share
    matrix[rows, (low + 1).clamp(max=cells - 1)] += share
    return matrix


def _reach(used: Tensor, matrix: Tensor) -> tuple[slice, slice]:
    """The pixels in which the cells ``used`` [cells] have a share, and all cells that have one in these."""
    pixels = _span(matrix[:, _span(used)].any(1))
    return pixels, _span(matrix[pixels].any(0))


def _span(flags: Tensor) -> slice:
    places = flags.nonzero().squeeze(1)
    return slice(int(places[0]), int(places[-1]) + 1) if len(places) else slice(0, 0)
