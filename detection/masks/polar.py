"""PolarMask (Xie et al. 2020): a mask is the lengths of rays from a location to the outline, in equal angles around it.

What is star-shaped as seen from the location can be said so; holes, separate parts and what lies behind a bay cannot:
`detection.ceilings` measures how much that costs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from detection.config import STRIDES, ModelConfig
from detection.data import bitmaps
from detection.masks.codes import MaskCodes
from detection.targets import BACKGROUND, Locations
from detection.targets import Targets as BoxTargets
from detection.towers import begin_small, rows, tower

SHORTEST = 1e-6
"""Pixels: a ray that does not meet the mask has this length, since lengths are compared by their ratios."""

STEPS = 256
"""Places at which the mask is looked at along a ray, out to the farthest corner of the object's box."""

HALVINGS = 5
"""Times that the step in which a ray leaves the mask is halved."""

RAYS_AT_ONCE = 16_384
"""Rays that are followed together, which bounds the memory."""


class Rays(nn.Module):
    """A tower of its own, shared by all levels, that says exp(scale x) for every ray, with a scale for every level."""

    def __init__(
        self,
        *,
        in_channels: int,
        channels: int,
        n_convs: int,
        norm: Literal["gn", "none"],
        n_rays: int,
        learned_scales: bool,
    ) -> None:
        super().__init__()
        self.tower = tower(channels, convs=n_convs, norm=norm, in_channels=in_channels)
        self.rays = nn.Conv2d(channels, n_rays, 3, padding=1)
        self.scales = nn.Parameter(torch.ones(len(STRIDES))) if learned_scales else None
        begin_small(self)

    def forward(self, features: Sequence[Tensor], box_features: Sequence[Tensor]) -> MaskCodes:
        """Lengths [B, L, R] > 0 from P3 to P7; the box towers' maps are not used."""
        lengths = []
        for level, feature in enumerate(features):
            # float32, because the exponential of a coarse number is coarser still.
            x = self.rays(self.tower(feature)).float()
            if self.scales is not None:
                x = x * self.scales[level]
            lengths.append(rows(x.exp()))
        return MaskCodes(torch.cat(lengths, dim=1), None)


def directions(n_rays: int, *, device: torch.device | None = None) -> Tensor:
    """Unit vectors x, y [n_rays, 2], from the right clockwise as seen on the screen."""
    angles = torch.arange(n_rays, device=device) * (2 * math.pi / n_rays)
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def ray_lengths(masks: Tensor, points: Tensor, objects: Tensor, reach: Tensor, *, n_rays: int) -> Tensor:
    """How far from M locations their masks reach in all directions: float32 [M, n_rays] in pixels.

    A ray ends where it leaves the mask for the last time (as PolarMask takes the farthest of several crossings), or has
    the length `SHORTEST` if it never meets it.

    Parameters
    ----------
    masks : uint8 [n, h, w]
    points : float [M, 2]
        x, y in pixels; may lie outside of the mask.
    objects : int64 [M]
        Which of the masks is meant.
    reach : float [M]
        A distance beyond which there is no mask.

    Notes
    -----
    The mask is looked at in `STEPS` places of each ray, and the last step halved `HALVINGS` times: lengths are right to
    reach / 2^14, unless the mask has parts narrower than reach / 256 along a ray.
    """
    at_once = max(1, RAYS_AT_ONCE // n_rays)
    way = directions(n_rays, device=points.device)
    parts = zip(*(torch.split(column, at_once) for column in (points, objects, reach)), strict=True)
    return torch.cat([_ray_lengths(masks, point, which, far, way) for point, which, far in parts])


def _ray_lengths(masks: Tensor, points: Tensor, objects: Tensor, reach: Tensor, way: Tensor) -> Tensor:
    step = (reach / STEPS)[:, None]  # [M, 1]
    # From the middle of a step to that of the next, so that a location at the edge of its mask is not the first place.
    places = torch.arange(STEPS, device=points.device) + 0.5
    inside = _inside(masks, points, objects, way, (places * step)[:, None].expand(-1, len(way), -1))  # [M, R, S]
    last = (inside * torch.arange(1, STEPS + 1, dtype=torch.int16, device=points.device)).amax(-1)
    low = (last - 0.5) * step  # inside, the half step after it not
    width = step.expand_as(low)
    for _ in range(HALVINGS):
        width = width / 2
        middle = low + width
        low = torch.where(_inside(masks, points, objects, way, middle[..., None])[..., 0], middle, low)
    return torch.where(last > 0, low + width / 2, SHORTEST)


def _inside(masks: Tensor, points: Tensor, objects: Tensor, way: Tensor, lengths: Tensor) -> Tensor:
    """Whether the masks are there at ``lengths`` [M, R, S] along the rays: bool [M, R, S]."""
    height, width = masks.shape[1:]
    x = (points[:, 0, None, None] + way[:, 0, None] * lengths).floor_().long()
    y = (points[:, 1, None, None] + way[:, 1, None] * lengths).floor_().long()
    there = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    index = (objects[:, None, None] * height + y.clamp_(0, height - 1)) * width + x.clamp_(0, width - 1)
    return (masks.reshape(-1)[index] > 0) & there


def reaches(boxes: Tensor, points: Tensor) -> Tensor:
    """Distances [M] from ``points`` [M, 2] beyond which there is nothing of the masks in ``boxes`` [M, 4]."""
    # A mask lies within its box, but for the rounding of pixels and the resizing.
    first, last = boxes[:, :2].floor() - 1, boxes[:, 2:].ceil() + 1
    reach: Tensor = torch.maximum((first - points).abs(), (last - points).abs()).norm(dim=1)
    return reach


def polar_centerness(lengths: Tensor) -> Tensor:
    """sqrt(shortest / longest ray) (PolarMask, eq. 2): [...] in [0, 1], of lengths [..., R] above 0.

    0 where no ray meets the mask: nothing is to be learned there.
    """
    longest = lengths.amax(-1)
    return torch.where(longest > SHORTEST, (lengths.amin(-1) / longest).sqrt(), 0)


def polar_iou(a: Tensor, b: Tensor) -> Tensor:
    """The IoU of two masks around the same point, of the lengths [..., R] of their rays.

    It is the simpler form that PolarMask learns by (eq. 6); of the squares of lengths it is the IoU of areas, as sums
    over the sectors between rays (eq. 4).
    """
    return torch.minimum(a, b).sum(-1) / torch.maximum(a, b).sum(-1)


class Targets(NamedTuple):
    """What the P positive locations of a batch should say, image by image and in the order of the locations."""

    lengths: Tensor
    """float32 [P, R], in the unit of the distances."""


def targets(
    where: Locations,
    assigned: BoxTargets,
    masks: Sequence[Tensor],
    boxes: Sequence[Tensor],
    *,
    config: ModelConfig,
) -> Targets:
    """The rays of all positive locations to ``masks`` (uint8 [n, h, w]) of objects with ``boxes`` [n, 4], by image."""
    found = []
    for matched, bits, corners in zip(assigned.matched, masks, boxes, strict=True):
        place = (matched != BACKGROUND).nonzero().squeeze(1)
        owner, points = matched[place], where.points[place]
        lengths = ray_lengths(bits, points, owner, reaches(corners[owner], points), n_rays=config.mask_rays)
        unit = where.strides[place, None] if config.normalise_distances else 1.0
        found.append(lengths / unit)
    return Targets(torch.cat(found))


def normaliser(found: Targets) -> Tensor:
    """What the losses of a batch are divided by: the sum of the polar centerness of its positive locations."""
    return polar_centerness(found.lengths).sum()


def loss(said: MaskCodes, found: Targets, positive: Tensor) -> Tensor:
    """The sum of -log polar IoU, in proportion to polar centerness, of the locations ``positive`` [B, L]: a scalar."""
    lengths = said.codes[positive].float()
    return (-polar_iou(lengths, found.lengths).log() * polar_centerness(found.lengths)).sum()


def outlines(lengths: Tensor, points: Tensor) -> Tensor:
    """The corners x, y [n, R, 2] at the ends of rays of ``lengths`` [n, R] pixels from ``points`` [n, 2]."""
    return points[:, None] + lengths[..., None] * directions(lengths.shape[1], device=lengths.device)


def decode(
    said: MaskCodes,
    image: int,
    places: Tensor,
    where: Locations,
    *,
    size: tuple[int, int],
    original: tuple[int, int],
    config: ModelConfig,
) -> list[dict[str, Any]]:
    """The masks of the objects at ``places`` [n] of an image, in pixels of the stored image, as run lengths.

    ``size`` and ``original`` are its height and width after and before resizing.
    """
    lengths = said.codes[image, places].float()
    if config.normalise_distances:
        lengths = lengths * where.strides[places, None]
    return drawn(lengths, where.points[places], size=size, original=original)


def drawn(lengths: Tensor, points: Tensor, *, size: tuple[int, int], original: tuple[int, int]) -> list[dict[str, Any]]:
    """The insides of the outlines at the ends of rays of ``lengths`` [n, R] pixels from ``points`` [n, 2].

    ``size`` and ``original`` are as in `decode`.
    """
    # Drawing goes along the whole outline, and crashes where it has no end.
    lengths = lengths.nan_to_num(nan=0.0).clamp(max=2 * math.hypot(*size))
    corners = outlines(lengths, points).cpu().double()
    corners *= torch.tensor([original[1] / size[1], original[0] / size[0]], dtype=torch.float64)
    return [bitmaps.of_outline(one, *original) for one in corners.numpy()]
