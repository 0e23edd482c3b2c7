"""Class-wise non-maximum suppression, exact, in two ways that keep the same boxes.

Greedy suppression goes through the boxes by falling score and keeps one unless a kept box of its class overlaps it by
more than the threshold. `greedy` does just that, with NumPy. `fixed_point` iterates

    keep_{t+1}[j] = not any(keep_t[i] for i before j that overlaps j too much)

on all boxes at once. Whether a box is kept depends only on boxes before it, so the first t boxes of any order are right
after t steps: the iteration ends, and a state that repeats itself is the greedy one. Chains of suppression decide how
many steps that takes; among detections they are a few boxes long.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

HEAD = 1024
"""Boxes of one class that `fixed_point` settles at a time, which bounds its memory to so many pairs for each box."""

FEW_PAIRS = 200
"""Pairs of boxes of one class, for each box, up to which `fixed_point` is the faster way on a CPU: it spends some 65 ns
on a pair, `greedy` some 20 us on a kept box, whatever else there is."""


def suppress(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor,
    *,
    threshold: float,
    inclusive: bool = False,
    limit: int | None = None,
) -> Tensor:
    """Indices (int64) of the boxes that class-wise greedy suppression keeps, by falling score.

    Parameters
    ----------
    boxes, scores, labels
        [n, 4] xyxy, [n], and [n] integers, on one device. Of equal scores the earlier box comes first.
    threshold
        A box is dropped if its IoU with a kept one of its class is above this (in fp32), not if it equals it.
    inclusive
        Boxes name their last pixel: widths are x2 - x1 + 1. A box without area overlaps nothing.
    limit
        Only so many of the best are asked for; the others need not be looked at.

    Raises
    ------
    ValueError
        If the shapes do not belong together.
    """
    _check(boxes, scores, labels)
    order = _by_score(scores)
    # A prefix of the order decides for itself, so where a few boxes are asked for a few times as many will mostly do.
    size = len(order) if limit is None else min(4 * limit, len(order))
    while True:
        first = order[:size]
        few = boxes.device.type != "cpu" or _pairs(labels[first]) <= FEW_PAIRS * size
        way = _fixed_point if few else _greedy
        kept = first[way(boxes[first], labels[first], threshold=threshold, inclusive=inclusive)]
        if limit is not None and len(kept) >= limit:
            return kept[:limit]
        if size == len(order):
            return kept
        size = min(4 * size, len(order))


def fixed_point(boxes: Tensor, scores: Tensor, labels: Tensor, *, threshold: float, inclusive: bool = False) -> Tensor:
    """What `suppress` returns, by iteration on all boxes at once: for a GPU, and for few boxes."""
    _check(boxes, scores, labels)
    order = _by_score(scores)
    return order[_fixed_point(boxes[order], labels[order], threshold=threshold, inclusive=inclusive)]


def greedy(boxes: Tensor, scores: Tensor, labels: Tensor, *, threshold: float, inclusive: bool = False) -> Tensor:
    """What `suppress` returns, box by box with NumPy on the CPU: for many boxes of a class."""
    _check(boxes, scores, labels)
    order = _by_score(scores)
    return order[_greedy(boxes[order], labels[order], threshold=threshold, inclusive=inclusive)]


def _check(boxes: Tensor, scores: Tensor, labels: Tensor) -> None:
    if boxes.ndim != 2 or boxes.shape[1] != 4 or scores.shape != boxes.shape[:1] or labels.shape != boxes.shape[:1]:
        raise ValueError(
            f"boxes {tuple(boxes.shape)}, scores {tuple(scores.shape)} and labels {tuple(labels.shape)} do not belong "
            "together; they must be [n, 4], [n] and [n]"
        )


def _by_score(scores: Tensor) -> Tensor:
    return torch.argsort(scores, descending=True, stable=True)


def _pairs(labels: Tensor) -> int:
    """Pairs of different boxes of one class."""
    counts = torch.unique(labels, return_counts=True)[1]
    return int((counts * (counts - 1) // 2).sum())


def _fixed_point(boxes: Tensor, labels: Tensor, *, threshold: float, inclusive: bool) -> Tensor:
    """Mask [n] of the kept ones among boxes that are sorted by falling score."""
    corners = boxes.detach().float().T.contiguous()
    alive = torch.argsort(labels, stable=True)  # class by class, each by falling score
    mask = torch.zeros(len(labels), dtype=torch.bool, device=labels.device)
    while len(alive):
        ours = labels[alive]
        place = torch.arange(len(alive), device=boxes.device)
        head = place - torch.searchsorted(ours, ours) < HEAD  # the best of each class
        # Pairs (i, j): the head of each class with all that follow in it.
        following = (torch.searchsorted(ours, ours, right=True) - place - 1) * head
        i = torch.repeat_interleave(place, following)
        j = torch.arange(len(i), device=boxes.device) + (place + 1 - (following.cumsum(0) - following))[i]
        near = (_iou(corners[:, alive], i, j, inclusive=inclusive) > threshold).nonzero().squeeze(1)
        i, j = i[near], j[near]
        keep = torch.ones_like(head)
        while True:
            # Only kept ones hit; the hits of the others all go to a place beyond the last.
            hit = torch.zeros(len(alive) + 1, dtype=torch.bool, device=boxes.device)
            hit[torch.where(keep[i], j, len(alive))] = True
            settled = ~hit[:-1]
            if torch.equal(settled, keep):
                break
            keep = settled
        mask[alive[keep & head]] = True
        alive = alive[keep & ~head]
    return mask


def _greedy(boxes: Tensor, labels: Tensor, *, threshold: float, inclusive: bool) -> Tensor:
    """Mask [n] of the kept ones among boxes that are sorted by falling score."""
    by_class = torch.argsort(labels, stable=True)
    starts = torch.unique_consecutive(labels[by_class], return_counts=True)[1].cumsum(0)[:-1]
    places = by_class.cpu().numpy()
    corners = boxes.detach().float().cpu().T.contiguous().numpy()[:, places]  # [4, n]
    bounds = [0, *starts.tolist(), len(places)]
    mask = np.zeros(len(places), dtype=bool)
    with np.errstate(divide="ignore", invalid="ignore"):
        for start, stop in itertools.pairwise(bounds):
            _shrink(corners[:, start:stop], places[start:stop], mask, threshold, inclusive)
    return torch.from_numpy(mask).to(boxes.device)


def _shrink(
    corners: NDArray[np.float32], places: NDArray[np.int64], mask: NDArray[np.bool_], threshold: float, inclusive: bool
) -> None:
    """Set ``mask`` at the kept ``places`` of one class: keep the best, drop what overlaps it, and so on."""
    extra = np.float32(inclusive)
    areas = np.maximum(corners[2] - corners[0] + extra, 0) * np.maximum(corners[3] - corners[1] + extra, 0)
    while len(places):
        mask[places[0]] = True
        x1, y1, x2, y2 = corners[:, 1:]
        width = np.minimum(x2, corners[2, 0]) - np.maximum(x1, corners[0, 0]) + extra
        height = np.minimum(y2, corners[3, 0]) - np.maximum(y1, corners[1, 0]) + extra
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        apart = ~(shared / (areas[1:] + areas[0] - shared) > threshold)
        corners, places, areas = corners[:, 1:][:, apart], places[1:][apart], areas[1:][apart]


def _iou(corners: Tensor, i: Tensor, j: Tensor, *, inclusive: bool) -> Tensor:
    """IoU [k] of the boxes i [k] and j [k] among ``corners`` [4, n], in the operations of `_shrink`: both round alike.

    Coordinate by coordinate, which takes less time than rows of four. Two boxes without area have nan, which
    is above no threshold.
    """
    extra = float(inclusive)
    x1, y1, x2, y2 = corners.unbind()
    areas = (x2 - x1 + extra).clamp_(min=0) * (y2 - y1 + extra).clamp_(min=0)
    width = torch.minimum(x2[j], x2[i]).sub_(torch.maximum(x1[j], x1[i])).add_(extra).clamp_(min=0)
    height = torch.minimum(y2[j], y2[i]).sub_(torch.maximum(y1[j], y1[i])).add_(extra).clamp_(min=0)
    shared = width.mul_(height)
    return shared / areas[j].add_(areas[i]).sub_(shared)
