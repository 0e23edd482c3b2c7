"""CondInst (Tian, Shen & Chen 2020, Conditional convolutions for instance segmentation): each object has a network.

A branch makes eight features of the image, shared by all objects. Every location says, beside its class and box, the
169 weights of three 1x1 convolutions, which make the mask of its object out of the shared features and of where a pixel
lies relative to the location.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from detection.config import ModelConfig, Norm
from detection.data import bitmaps
from detection.masks import reading
from detection.masks.codes import MaskCodes
from detection.masks.grids import enlarged, sampled
from detection.norm import normalisation
from detection.targets import Locations
from detection.targets import Targets as BoxTargets
from detection.towers import rows

CHANNELS = 8
"""Shared features, and channels between the convolutions of an object."""

SHAPES = ((CHANNELS, CHANNELS + 2), (CHANNELS, CHANNELS), (1, CHANNELS))
"""Outputs and inputs of its three convolutions; the first also sees where a pixel is, x and y, before the features."""

LENGTHS = [*(out * inputs for out, inputs in SHAPES), *(out for out, _ in SHAPES)]
"""How its weights lie in the code: those of the three convolutions, then their biases; 169 together."""

STRIDE = 8
"""Of the shared features; masks are learned and read at half of that."""

FINER = 2

SIZES = (64.0, 128.0, 256.0, 512.0, 1024.0)
"""Pixels that positions are divided by, per level: about how large its objects are."""

TOGETHER = 64
"""Objects whose masks are made at once where many are found, which bounds the memory."""


class CondInst(nn.Module):
    """The branch of shared features, and the controller that says each object's weights."""

    def __init__(self, *, in_channels: int, channels: int, n_convs: int, norm: Norm) -> None:
        super().__init__()
        self.controller = nn.Conv2d(in_channels, sum(LENGTHS), 3, padding=1)
        self.refine = nn.ModuleList([_block(in_channels, channels, norm) for _ in range(3)])
        self.tower = nn.Sequential(
            *(_block(channels, channels, norm) for _ in range(n_convs)), nn.Conv2d(channels, CHANNELS, 1)
        )
        nn.init.normal_(self.controller.weight, std=0.01)
        assert self.controller.bias is not None
        nn.init.zeros_(self.controller.bias)

    def forward(self, features: Sequence[Tensor], box_features: Sequence[Tensor]) -> MaskCodes:
        """Codes from the box towers' maps of P3 to P7, and shared features from P3 to P5."""
        codes = torch.cat([rows(self.controller(each)) for each in box_features], dim=1)
        shared = self.refine[0](features[0])
        height, width = shared.shape[-2:]
        for level in (1, 2):
            coarse = enlarged(self.refine[level](features[level]), 2**level)
            shared = shared + coarse[..., :height, :width]
        return MaskCodes(codes, self.tower(shared))


def _block(in_channels: int, channels: int, norm: Norm) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
    nn.init.kaiming_uniform_(conv.weight, a=1)
    return nn.Sequential(conv, normalisation(norm, channels, eps=1e-5), nn.ReLU(inplace=True))


def mask_logits(features: Tensor, codes: Tensor, points: Tensor, sizes: Tensor) -> Tensor:
    """The masks of n objects of one image at the resolution of the shared features: float32 logits [n, H, W].

    Parameters
    ----------
    features : float [8, H, W]
    codes : float [n, 169]
    points : float [n, 2]
        The objects' locations, x, y in pixels.
    sizes : float [n]
        What positions are divided by (`SIZES` of the location's level).

    Notes
    -----
    It is a grouped convolution with n groups, without its input of n x 10 maps: the part of the first layer that sees
    the features is one product of matrices for all objects, and the part that sees positions a sum of a column and a
    row. In float32, since positions are precise to less than a pixel.
    """
    n, (height, width) = len(codes), features.shape[-2:]
    w1, w2, w3, b1, b2, b3 = torch.split(codes.float(), LENGTHS, dim=1)
    w1, w2, w3 = (w.reshape(n, *shape) for w, shape in zip((w1, w2, w3), SHAPES, strict=True))
    across = torch.arange(width, device=features.device) * STRIDE + STRIDE // 2
    down = torch.arange(height, device=features.device) * STRIDE + STRIDE // 2
    dx = (points[:, :1] - across) / sizes[:, None]  # [n, W]
    dy = (points[:, 1:] - down) / sizes[:, None]  # [n, H]
    column = w1[:, :, 1, None] * dy[:, None] + b1[..., None]  # [n, 8, H]
    row = w1[:, :, 0, None] * dx[:, None]  # [n, 8, W]
    x = (w1[:, :, 2:].reshape(-1, CHANNELS) @ features.float().flatten(1)).view(n, CHANNELS, height, width)
    x = (x + column[..., None] + row[:, :, None]).relu_().flatten(2)
    x = torch.baddbmm(b2[..., None], w2, x).relu_()
    return torch.baddbmm(b3[..., None], w3, x).view(n, height, width)


def dice_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """1 - 2 sum(p m) / (sum(p^2) + sum(m^2)) (Milletari et al. 2016) of n masks: [n], float32.

    ``logits`` and ``masks`` (0 or 1) are [n, h, w]; sums are over pixels.
    """
    p, m = logits.flatten(1).float().sigmoid(), masks.flatten(1).float()
    return 1 - 2 * (p * m).sum(1) / ((p * p).sum(1) + (m * m).sum(1) + 1e-5)


class Targets(NamedTuple):
    """Which M locations of a batch learn masks, and the masks."""

    images: Tensor
    """int64 [M]: index in the batch, rising."""
    places: Tensor
    """int64 [M]: index of the location."""
    objects: Tensor
    """int64 [M]: which of the image's masks."""
    points: Tensor
    """float32 [M, 2]: where the locations are."""
    sizes: Tensor
    """float32 [M]: what positions are divided by there."""
    masks: list[Tensor]
    """uint8 [n, H / 4, W / 4] of 0 and 1 for each image: every fourth pixel."""


def targets(
    where: Locations,
    assigned: BoxTargets,
    masks: Sequence[Tensor],
    centers: Sequence[Tensor],
    *,
    config: ModelConfig,
    image_size: tuple[int, int],
) -> Targets:
    """What is to be learned of ``masks`` (uint8 [n, h, w] for each image, without padding; centres x, y [n, 2]).

    Positive locations of objects of which a sampled pixel is left, the most central ones of every object first, up to
    ``config.mask_positives`` in an image.
    """
    images, places, objects, small = [], [], [], []
    for image, (bits, middle) in enumerate(zip(masks, centers, strict=True)):
        small.append(_sampled(bits, image_size))
        matched = assigned.matched[image]
        there = torch.cat([small[-1].flatten(1).amax(1) > 0, matched.new_zeros(1, dtype=torch.bool)])
        place = there[matched].nonzero().squeeze(1)  # the background's index, -1, is the zero at the end
        owner = matched[place]
        if len(place) > config.mask_positives:
            distance = (where.points[place] - middle[owner]).abs().amax(1) / where.strides[place]
            best = _in_turns(owner, distance)[: config.mask_positives]
            place, owner = place[best], owner[best]
        images.append(torch.full_like(place, image))
        places.append(place)
        objects.append(owner)
    every = torch.cat(places)
    return Targets(
        images=torch.cat(images),
        places=every,
        objects=torch.cat(objects),
        points=where.points[every],
        sizes=_sizes(where, every),
        masks=small,
    )


def normaliser(found: Targets) -> Tensor:
    """What the losses of a batch are divided by: the number of locations that learn masks."""
    return torch.tensor(float(len(found.places)), device=found.places.device)


def loss(said: MaskCodes, found: Targets) -> Tensor:
    """The sum of the dice losses of all masks that are learned: float32 scalar."""
    assert said.features is not None
    total = []
    for image, bits in enumerate(found.masks):
        mine = found.images == image
        codes = said.codes[image, found.places[mine]]
        logits = mask_logits(said.features[image], codes, found.points[mine], found.sizes[mine])
        fine = enlarged(logits[:, None], FINER)[:, 0]
        total.append(dice_loss(fine, bits[found.objects[mine]]).sum())
    return torch.stack(total).sum()


def decode(
    said: MaskCodes,
    image: int,
    places: Tensor,
    where: Locations,
    *,
    size: tuple[int, int],
    original: tuple[int, int],
) -> list[dict[str, Any]]:
    """The masks of the objects at ``places`` [n] of an image, in pixels of the stored image, as run lengths.

    ``size`` and ``original`` are its height and width after and before resizing. A mask is where the probability,
    enlarged to the resized image and then resized back, exceeds a half.
    """
    assert said.features is not None
    features = said.features[image].float()
    codes, points, scale = said.codes[image, places], where.points[places], _sizes(where, places)
    height, width = features.shape[-2:]
    cells = (FINER * height, FINER * width)
    axes = reading.axes(cells, factor=STRIDE // FINER, size=size, original=original)
    found: list[dict[str, Any]] = []
    for start in range(0, len(places), TOGETHER):
        part = slice(start, start + TOGETHER)
        logits = mask_logits(features, codes[part], points[part], scale[part])
        fine = enlarged(logits[:, None], FINER)[:, 0].sigmoid().cpu()
        found += [bitmaps.run_lengths(reading.read(one, axes)) for one in fine]
    return found


def _sizes(where: Locations, places: Tensor) -> Tensor:
    return where.points.new_tensor(SIZES)[where.levels[places]]


def _sampled(masks: Tensor, image_size: tuple[int, int]) -> Tensor:
    """Every fourth pixel of ``masks`` [n, h, w], from the third on, in an image padded to ``image_size``."""
    bits = sampled(masks, STRIDE // FINER)
    height, width = (-(-side // STRIDE) * FINER for side in image_size)
    return functional.pad(bits, (0, width - bits.shape[2], 0, height - bits.shape[1]))


def _in_turns(owner: Tensor, distance: Tensor) -> Tensor:
    """An order of locations: the nearest of every owner, then the second nearest of each, and so on."""
    order = torch.argsort(distance, stable=True)
    same = owner[order][:, None] == torch.arange(int(owner.max()) + 1, device=owner.device)
    rank = (same.cumsum(0) * same).sum(1)  # 1 for the nearest
    return order[torch.argsort(rank, stable=True)]
