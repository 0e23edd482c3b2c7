"""What every location should say: which box it answers for, if any, and how far that box's sides are.

Tian et al. 2019 (FCOS), section 3, with the center sampling of its improved version. Pure functions on tensors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from detection.boxes import area, middles
from detection.config import STRIDES, ModelConfig

if TYPE_CHECKING:
    from detection import masks

BACKGROUND = -1
"""The label, and the index of the matched box, of a location that answers for none."""


class Locations(NamedTuple):
    """All locations of the five levels, level by level and row by row: L of them."""

    points: Tensor
    """float32 [L, 2]: x, y in pixels of the padded image."""
    strides: Tensor
    """float32 [L]: the stride of the level."""
    levels: Tensor
    """int64 [L]: 0 for P3 to 4 for P7."""


class Targets(NamedTuple):
    """What the locations of a batch should say."""

    labels: Tensor
    """int64 [B, L]: the class, or `BACKGROUND`."""
    distances: Tensor
    """float32 [B, L, 4]: left, top, right, bottom in the unit of the predictions; 0 for the background."""
    matched: Tensor
    """int64 [B, L]: which of the image's boxes, or `BACKGROUND`."""
    masks: masks.Targets | None = None
    """What they should say of masks, where the detector does."""


def locations(
    grid: Sequence[tuple[int, int]],
    *,
    config: ModelConfig,
    image_size: tuple[int, int],
    device: torch.device | str | None = None,
) -> Locations:
    """Where the locations of levels with ``grid`` (height, width) cells lie in an image padded to ``image_size``.

    A cell's location is its middle, i s + s // 2; or i times (padded size // grid size), as torchvision has it, which
    on P6 and P7 need not be the stride.
    """
    points, strides, levels = [], [], []
    for level, ((rows, columns), stride) in enumerate(zip(grid, STRIDES, strict=True)):
        if config.locations == "half_stride":
            step_y, step_x, offset = stride, stride, stride // 2
        else:
            step_y, step_x, offset = image_size[0] // rows, image_size[1] // columns, 0
        y = torch.arange(rows, dtype=torch.float32, device=device) * step_y + offset
        x = torch.arange(columns, dtype=torch.float32, device=device) * step_x + offset
        points.append(torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).reshape(-1, 2))
        strides.append(torch.full((rows * columns,), float(stride), device=device))
        levels.append(torch.full((rows * columns,), level, device=device))
    return Locations(torch.cat(points), torch.cat(strides), torch.cat(levels))


def assign(
    where: Locations,
    boxes: Sequence[Tensor],
    labels: Sequence[Tensor],
    *,
    config: ModelConfig,
    centers: Sequence[Tensor] | None = None,
) -> Targets:
    """The targets of a batch of images with ``boxes`` [n, 4] (pixels) and ``labels`` [n] each; n may be 0.

    ``centers`` [n, 2] (x, y) are those of the objects; those of their boxes if not given.

    A location is positive for a box if it lies inside it, and within ``center_sampling`` strides of its centre (in
    either direction), and if the largest of its four distances is in its level's range. If that holds for several
    boxes, the smallest is meant, and of equal ones the first.
    """
    unit = where.strides[:, None] if config.normalise_distances else torch.ones_like(where.strides)[:, None]
    ranges = where.points.new_tensor([-1.0, *config.size_ranges, math.inf])
    lower, upper = ranges[where.levels], ranges[where.levels + 1]
    matches, classes, distances = [], [], []
    if centers is None:
        centers = [middles(corners) for corners in boxes]
    for image_boxes, image_labels, image_centers in zip(boxes, labels, centers, strict=True):
        matched = _matched(where, image_boxes, image_centers, lower, upper, center_sampling=config.center_sampling)
        positive = matched != BACKGROUND
        matches.append(matched)
        label = torch.full_like(matched, BACKGROUND)
        label[positive] = image_labels[matched[positive]]
        classes.append(label)
        distance = where.points.new_zeros(len(matched), 4)
        distance[positive] = sides(where.points[positive], image_boxes[matched[positive]]) / unit[positive]
        distances.append(distance)
    return Targets(torch.stack(classes), torch.stack(distances), torch.stack(matches))


def sides(points: Tensor, boxes: Tensor) -> Tensor:
    """Distances [..., 4] from ``points`` [..., 2] to the left, top, right and bottom of ``boxes`` [..., 4]."""
    return torch.cat([points - boxes[..., :2], boxes[..., 2:] - points], dim=-1)


def _matched(
    where: Locations, boxes: Tensor, centers: Tensor, lower: Tensor, upper: Tensor, *, center_sampling: float
) -> Tensor:
    """Which of ``boxes`` [n, 4] around ``centers`` [n, 2] each location answers for: int64 [L]."""
    if len(boxes) == 0:
        return torch.full_like(where.levels, BACKGROUND)
    points = where.points[:, None]  # [L, 1, 2]
    distances = sides(points, boxes)  # [L, n, 4]
    positive = distances.amin(-1) > 0
    if center_sampling > 0:
        radius = center_sampling * where.strides[:, None]
        positive &= (points - centers).abs().amax(-1) < radius
    largest = distances.amax(-1)
    positive &= (largest >= lower[:, None]) & (largest <= upper[:, None])
    size, matched = torch.where(positive, area(boxes), math.inf).min(dim=1)
    return torch.where(size < math.inf, matched, BACKGROUND)
