"""Masks as pixels: uint8 [n, height, width] of 0 and 1; pixel i reaches from i to i + 1."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from scipy import ndimage
from torch import Tensor

from detection.boxes import middles


def mass_centers(masks: Tensor, boxes: Tensor) -> Tensor:
    """The mean x, y [n, 2] of the pixels of ``masks`` [n, h, w]; where there are none, the middle of the box."""
    columns, rows = masks.sum(1, dtype=torch.float32), masks.sum(2, dtype=torch.float32)
    mass = rows.sum(1)
    down = torch.arange(masks.shape[1], device=masks.device) + 0.5
    across = torch.arange(masks.shape[2], device=masks.device) + 0.5
    sums = torch.stack([(columns * across).sum(1), (rows * down).sum(1)], dim=1)
    return torch.where((mass > 0)[:, None], sums / mass.clamp(min=1)[:, None], middles(boxes))


def largest_parts(masks: Tensor) -> Tensor:
    """``masks`` [n, h, w] with nothing but the largest of their connected parts (by sides), of equal ones the first."""
    return torch.from_numpy(np.stack([_largest(mask) for mask in masks.numpy()])) if len(masks) else masks


def _largest(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    parts, count = ndimage.label(mask)
    if count < 2:
        return mask
    sizes = np.bincount(parts.ravel())
    largest: NDArray[np.uint8] = (parts == 1 + sizes[1:].argmax()).astype(np.uint8)
    return largest


def run_lengths(mask: NDArray[np.uint8]) -> dict[str, Any]:
    """``mask`` [height, width] as COCO's compressed run lengths, {"size": [height, width], "counts": text}."""
    return _readable(coco_mask.encode(np.asfortranarray(mask)))


def of_outline(corners: NDArray[np.float64], height: int, width: int) -> dict[str, Any]:
    """The inside of a polygon, ``corners`` [n, 2] (x, y), as compressed run lengths, cut at the image's border."""
    # COCO's own drawing; a polygon of two corners is taken for a box there.
    return _readable(coco_mask.frPyObjects([corners.ravel().tolist()], height, width)[0])


def _readable(encoded: Any) -> dict[str, Any]:
    """What pycocotools encodes, as JSON can hold it."""
    return {"size": [int(side) for side in encoded["size"]], "counts": encoded["counts"].decode("ascii")}
