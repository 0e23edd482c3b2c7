"""What feature maps say of an object: their mean over its box or its mask. Pure functions on tensors.

A map is taken for what it is, constant in each of its cells, and a cell counts by the area of it that the object has:
the mean is exact, nothing is sampled. A cell is as large as the padded image divided by the map.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def overlaps(begin: Tensor, end: Tensor, *, cells: int, length: float) -> Tensor:
    """How much of each interval lies in each cell: float64 [n, cells], in the unit of the intervals.

    Parameters
    ----------
    begin, end : float [n]
        Where the intervals begin and end.
    cells, length
        The line from 0 to ``length`` is cut into so many equal cells.
    """
    edges = torch.arange(cells + 1, dtype=torch.float64, device=begin.device) * (length / cells)
    shared = torch.minimum(end.double()[:, None], edges[1:]) - torch.maximum(begin.double()[:, None], edges[:-1])
    return shared.clamp(min=0)


def box_weights(boxes: Tensor, *, grid: tuple[int, int], image_size: tuple[int, int]) -> Tensor:
    """The share of each box that lies in each cell: float64 [n, rows x columns], each row of it sums to 1.

    A side without any length, or outside of the image, counts as the one cell that is nearest to its middle.

    Parameters
    ----------
    boxes : float [n, 4]
        xyxy in pixels of the resized image.
    grid
        Rows and columns of the map.
    image_size
        Height and width of the resized image with the padding.
    """
    down = _shares(boxes[:, 1], boxes[:, 3], cells=grid[0], length=image_size[0])
    across = _shares(boxes[:, 0], boxes[:, 2], cells=grid[1], length=image_size[1])
    return (down[:, :, None] * across[:, None, :]).flatten(1)


def mask_weights(
    masks: Tensor, boxes: Tensor, *, grid: tuple[int, int], image_size: tuple[int, int], size: tuple[int, int]
) -> Tensor:
    """The share of each mask that lies in each cell: float64 [n, rows x columns], each row of it sums to 1.

    A mask without any pixel counts as the box.

    Parameters
    ----------
    masks : uint8 [n, h, w]
        Of 0 and 1, in pixels of the stored image.
    boxes, grid, image_size
        As `box_weights` has them.
    size
        Height and width of the resized image without the padding: what the stored pixels fill.
    """
    height, width = masks.shape[-2:]
    down = _pixels_in_cells(height, size=size[0], cells=grid[0], length=image_size[0]).to(masks.device)
    across = _pixels_in_cells(width, size=size[1], cells=grid[1], length=image_size[1]).to(masks.device)
    weights = box_weights(boxes, grid=grid, image_size=image_size)
    # One by one: all masks of an image as floats could be larger than all else.
    for row, mask in zip(weights, masks, strict=True):
        covered = (down @ mask.double() @ across.T).flatten()
        if (area := covered.sum()) > 0:
            row.copy_(covered / area)
    return weights


def pooled(weights: Tensor, features: Tensor) -> Tensor:
    """The means float32 [n, c] of a map ``features`` [c, rows, columns] by ``weights`` [n, rows x columns]."""
    cells = features.permute(1, 2, 0).flatten(0, 1).float()
    return weights.to(cells) @ cells


def levels(boxes: Tensor, size_ranges: Sequence[float]) -> Tensor:
    """The level at which FCOS learns a box from its middle: int64 [n], 0 for P3 to 4 for P7.

    There the largest of the four distances is half of the longer side; where two levels share it, the finer one.

    Parameters
    ----------
    boxes : float [n, 4]
        xyxy in pixels of the resized image.
    size_ranges
        Where one level's share of the distances ends and the next begins (see `ModelConfig`).
    """
    half = (boxes[:, 2:] - boxes[:, :2]).amax(1) / 2
    return torch.bucketize(half, torch.tensor(size_ranges, dtype=half.dtype, device=half.device))


def _shares(begin: Tensor, end: Tensor, *, cells: int, length: float) -> Tensor:
    """`overlaps` as parts of 1."""
    shared = overlaps(begin, end, cells=cells, length=length)
    total = shared.sum(1, keepdim=True)
    middle = ((begin.double() + end.double()) / 2 * (cells / length)).long().clamp(0, cells - 1)
    nearest = torch.nn.functional.one_hot(middle, cells).to(shared)
    return torch.where(total > 0, shared / torch.where(total > 0, total, 1), nearest)


def _pixels_in_cells(pixels: int, *, size: int, cells: int, length: float) -> Tensor:
    """How much of each of ``pixels`` that fill ``size`` of ``length`` lies in each cell: float64 [cells, pixels]."""
    edges = torch.arange(pixels + 1, dtype=torch.float64) * (size / pixels)
    return overlaps(edges[:-1], edges[1:], cells=cells, length=length).T
