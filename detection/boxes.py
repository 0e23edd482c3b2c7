"""Boxes: float [..., 4] as x1, y1, x2, y2 in pixels; a box from 0 to 1 is one pixel wide (no +1 anywhere)."""

from __future__ import annotations

import torch
from torch import Tensor


def area(boxes: Tensor) -> Tensor:
    """Areas [...] of ``boxes`` [..., 4]; 0 where a box has no inside."""
    sides = (boxes[..., 2:] - boxes[..., :2]).clamp(min=0)
    return sides[..., 0] * sides[..., 1]


def middles(boxes: Tensor) -> Tensor:
    """The points x, y [..., 2] in the middle of ``boxes`` [..., 4]."""
    return (boxes[..., :2] + boxes[..., 2:]) / 2


def pairwise_iou(a: Tensor, b: Tensor) -> Tensor:
    """IoU [n, m] of every box of ``a`` [n, 4] with every box of ``b`` [m, 4]; 0 where both have no inside."""
    shared = torch.minimum(a[:, None, 2:], b[:, 2:]) - torch.maximum(a[:, None, :2], b[:, :2])
    intersection = shared.clamp(min=0).prod(-1)
    union = area(a)[:, None] + area(b) - intersection
    return torch.where(union > 0, intersection / union.clamp(min=torch.finfo(union.dtype).tiny), 0)


def clip(boxes: Tensor, height: float, width: float) -> Tensor:
    """``boxes`` [..., 4], cut at the border of an image."""
    return torch.stack(
        [
            boxes[..., 0].clamp(0, width),
            boxes[..., 1].clamp(0, height),
            boxes[..., 2].clamp(0, width),
            boxes[..., 3].clamp(0, height),
        ],
        dim=-1,
    )
