"""Masks of objects, said in two ways: CondInst's own convolutions for each object, and PolarMask's rays.

Each way is a module of the network that says something for every location (`codes`), and functions for what it should
say, how wrong it is, and the masks it means. What is here chooses between them by ``config.masks``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from detection.config import ModelConfig
from detection.masks import condinst, polar
from detection.masks.codes import MaskCodes
from detection.targets import Locations
from detection.targets import Targets as BoxTargets

Targets = condinst.Targets | polar.Targets


def build(config: ModelConfig) -> nn.Module | None:
    """The part of the network that says masks: P3 to P7 and what the tower of the boxes made of them to `MaskCodes`."""
    if config.masks == "condinst":
        return condinst.CondInst(
            in_channels=config.fpn_channels,
            channels=config.mask_channels,
            n_convs=config.mask_convs,
            norm=config.mask_norm,
        )
    if config.masks == "polar":
        return polar.Rays(
            in_channels=config.fpn_channels,
            channels=config.mask_channels,
            n_convs=config.mask_convs,
            norm=config.head_norm,
            n_rays=config.mask_rays,
            learned_scales=config.learned_scales,
        )
    return None


def targets(
    where: Locations,
    assigned: BoxTargets,
    *,
    masks: Sequence[Tensor],
    boxes: Sequence[Tensor],
    centers: Sequence[Tensor],
    config: ModelConfig,
    image_size: tuple[int, int],
) -> Targets:
    """What the locations of a batch should say of masks, once it is known which objects they answer for.

    Parameters
    ----------
    masks, boxes, centers
        uint8 [n, h, w] (without padding), float [n, 4] and [n, 2] (x, y) of the n objects of each image, resized.
    image_size
        Height and width of the batch with the padding.
    """
    if config.masks == "condinst":
        return condinst.targets(where, assigned, masks, centers, config=config, image_size=image_size)
    return polar.targets(where, assigned, masks, boxes, config=config)


def normaliser(found: Targets) -> Tensor:
    """What the losses of masks of a whole batch are divided by: a scalar, which adds up over its parts."""
    return condinst.normaliser(found) if isinstance(found, condinst.Targets) else polar.normaliser(found)


def loss(said: MaskCodes, found: Targets, positive: Tensor) -> Tensor:
    """The sum of the losses of the masks, float32 scalar; ``positive`` bool [B, L] are the locations with an object."""
    return condinst.loss(said, found) if isinstance(found, condinst.Targets) else polar.loss(said, found, positive)


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
    """The masks of what was found at ``places`` int64 [n] of an image: COCO's compressed run lengths.

    ``size`` and ``original`` are height and width after and before resizing; masks are of the stored image.
    """
    if config.masks == "condinst":
        return condinst.decode(said, image, places, where, size=size, original=original)
    return polar.decode(said, image, places, where, size=size, original=original, config=config)
