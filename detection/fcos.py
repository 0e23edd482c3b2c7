"""FCOS: Fully Convolutional One-Stage object detection (Tian et al., ICCV 2019; improved version TPAMI 2020).

Every location of five feature maps says, for itself: which class is here, how far away the four sides of its box are,
and how good that box is. There are no anchors.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from detection import backbones, masks
from detection.config import STRIDES, ModelConfig
from detection.fpn import FPN
from detection.masks.codes import MaskCodes
from detection.towers import begin_small, rows, tower


class Predictions(NamedTuple):
    """What all L locations of B images say; level by level, row by row."""

    logits: Tensor
    """float [B, L, C]: a logit for every class."""
    distances: Tensor
    """float32 [B, L, 4]: left, top, right, bottom, not below 0; in strides if normalised, otherwise in pixels."""
    quality: Tensor
    """float [B, L]: the logit of a centerness or of the IoU."""
    grid: tuple[tuple[int, int], ...]
    """Height and width of the five levels; L is the sum of their products."""
    masks: MaskCodes | None = None
    """What they say of masks, where the detector does."""


class Maps(NamedTuple):
    """The feature maps that a network makes of B images, float [B, channels, height, width] each."""

    backbone: tuple[Tensor, Tensor, Tensor]
    """C3, C4 and C5."""
    pyramid: tuple[Tensor, ...]
    """P3 to P7; none of them where they were not asked for."""


class FCOS(nn.Module):
    """Backbone, feature pyramid, head and, where there are any, masks; built from what a checkpoint carries."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = backbones.build(config)
        self.fpn = FPN(self.backbone.out_channels, config.fpn_channels)
        self.head = Head(
            in_channels=config.fpn_channels,
            n_classes=len(config.categories),
            n_convs=config.head_convs,
            norm=config.head_norm,
            learned_scales=config.learned_scales,
            normalise_distances=config.normalise_distances,
            quality_on_box_tower=config.quality_on_box_tower,
        )
        self.masks = masks.build(config)
        # Buffers that follow the module from device to device, but belong to the configuration and not to the weights.
        self.register_buffer("mean", torch.tensor(config.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(config.std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor, sizes: Tensor) -> Predictions:
        """What the locations say of a batch.

        Parameters
        ----------
        images : uint8 or float [B, 3, H, W]
            RGB, 0 to 255, padded below and on the right.
        sizes : int64 [B, 2]
            Height and width of each image without the padding.
        """
        return self.said(self.normalised(images, sizes))

    def said(self, pixels: Tensor) -> Predictions:
        """What the locations say of `normalised` images [B, 3, H, W]."""
        return self.read(self.maps(pixels).pyramid)

    def maps(self, pixels: Tensor, *, pyramid: bool = True) -> Maps:
        """The feature maps of `normalised` images [B, 3, H, W]; without ``pyramid`` only those of the backbone."""
        features = self.backbone(pixels)
        return Maps(features, self.fpn(features) if pyramid else ())

    def read(self, pyramid: tuple[Tensor, ...]) -> Predictions:
        """What the locations say where the maps P3 to P7 are ``pyramid``."""
        predictions: Predictions
        predictions, box_features = self.head(pyramid)
        if self.masks is None:
            return predictions
        return predictions._replace(masks=self.masks(pyramid, box_features))

    def normalised(self, images: Tensor, sizes: Tensor) -> Tensor:
        """Images as the backbone takes them: float32, in its order of channels, zero in the padding."""
        pixels = images.flip(1) if self.config.channels == "bgr" else images
        pixels = (pixels.float() - self.mean) / self.std
        height, width = pixels.shape[-2:]
        down = torch.arange(height, device=pixels.device) < sizes[:, :1]  # [B, H]
        across = torch.arange(width, device=pixels.device) < sizes[:, 1:]  # [B, W]
        return pixels * (down[:, None, :, None] & across[:, None, None, :])


class Head(nn.Module):
    """Two towers of convolutions, shared by all levels, and what is read from them."""

    def __init__(
        self,
        *,
        in_channels: int,
        n_classes: int,
        n_convs: int,
        norm: Literal["gn", "none"],
        learned_scales: bool,
        normalise_distances: bool,
        quality_on_box_tower: bool,
    ) -> None:
        super().__init__()
        self.normalise_distances = normalise_distances
        self.quality_on_box_tower = quality_on_box_tower
        self.cls_tower = tower(in_channels, convs=n_convs, norm=norm)
        self.box_tower = tower(in_channels, convs=n_convs, norm=norm)
        self.logits = nn.Conv2d(in_channels, n_classes, 3, padding=1)
        self.distances = nn.Conv2d(in_channels, 4, 3, padding=1)
        self.quality = nn.Conv2d(in_channels, 1, 3, padding=1)
        self.scales = nn.Parameter(torch.ones(len(STRIDES))) if learned_scales else None
        begin_small(self)
        # All classes begin with probability .01: the many negatives would drown the rest otherwise (RetinaNet, 4.1).
        nn.init.constant_(self.logits.bias, -math.log(99))  # type: ignore[arg-type]

    def forward(self, features: tuple[Tensor, ...]) -> tuple[Predictions, list[Tensor]]:
        """Predictions from P3 to P7, float [B, channels, h, w] each, and what the tower of the boxes made of these."""
        logits, distances, quality, box_features = [], [], [], []
        for level, feature in enumerate(features):
            classes, boxes = self.cls_tower(feature), self.box_tower(feature)
            box_features.append(boxes)
            # float32, because the exponential of a coarse number is coarser still.
            x = self.distances(boxes).float()
            if self.scales is not None:
                x = x * self.scales[level]
            logits.append(rows(self.logits(classes)))
            distances.append(rows(x.relu() if self.normalise_distances else x.exp()))
            quality.append(rows(self.quality(boxes if self.quality_on_box_tower else classes)))
        predictions = Predictions(
            torch.cat(logits, dim=1),
            torch.cat(distances, dim=1),
            torch.cat(quality, dim=1)[..., 0],
            tuple((int(feature.shape[-2]), int(feature.shape[-1])) for feature in features),
        )
        return predictions, box_features
