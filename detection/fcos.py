"""FCOS: Fully Convolutional One-Stage object detection (Tian et al., ICCV 2019; improved version TPAMI 2020).

Every location of five feature maps says, for itself: which class is here, how far away the four sides of its box are,
and how good that box is. There are no anchors.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from detection import backbones
from detection.config import STRIDES, ModelConfig
from detection.fpn import FPN
from detection.norm import group_count


class Predictions(NamedTuple):
    """What all L locations of B images say; level by level, row by row."""

    logits: Tensor
    """float [B, L, C]: a logit for every class."""
    distances: Tensor
    """float32 [B, L, 4]: left, top, right, bottom, not below 0; in strides if normalised, otherwise in pixels."""
    quality: Tensor
    """float [B, L]: the logit of the centerness or of the IoU."""
    grid: tuple[tuple[int, int], ...]
    """Height and width of the five levels; L is the sum of their products."""


class FCOS(nn.Module):
    """Backbone, feature pyramid and head; built from what a checkpoint carries."""

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
        # Buffers that follow the module from device to device, but belong to the configuration and not to the weights.
        self.register_buffer("mean", torch.tensor(config.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(config.std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor, sizes: Tensor) -> Predictions:
        """What the locations say of a batch.

        Parameters
        ----------
        images : uint8 or float [B, 3, H, W]
            RGB, 0 to 255, padded to a multiple of 32.
        sizes : int64 [B, 2]
            Height and width of each image without the padding.
        """
        return self.head(self.fpn(self.backbone(self.normalised(images, sizes))))

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
        norm: str,
        learned_scales: bool,
        normalise_distances: bool,
        quality_on_box_tower: bool,
    ) -> None:
        super().__init__()
        self.normalise_distances = normalise_distances
        self.quality_on_box_tower = quality_on_box_tower
        self.cls_tower = _tower(in_channels, n_convs, norm)
        self.box_tower = _tower(in_channels, n_convs, norm)
        self.logits = nn.Conv2d(in_channels, n_classes, 3, padding=1)
        self.distances = nn.Conv2d(in_channels, 4, 3, padding=1)
        self.quality = nn.Conv2d(in_channels, 1, 3, padding=1)
        self.scales = nn.Parameter(torch.ones(len(STRIDES))) if learned_scales else None
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.01)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        # All classes begin with probability .01: the many negatives would drown the rest otherwise (RetinaNet, 4.1).
        nn.init.constant_(self.logits.bias, -math.log(99))  # type: ignore[arg-type]

    def forward(self, features: tuple[Tensor, ...]) -> Predictions:
        """Predictions from P3 to P7, float [B, channels, h, w] each."""
        logits, distances, quality = [], [], []
        for level, feature in enumerate(features):
            classes, boxes = self.cls_tower(feature), self.box_tower(feature)
            # float32, because the exponential of a coarse number is coarser still.
            x = self.distances(boxes).float()
            if self.scales is not None:
                x = x * self.scales[level]
            logits.append(_rows(self.logits(classes)))
            distances.append(_rows(x.relu() if self.normalise_distances else x.exp()))
            quality.append(_rows(self.quality(boxes if self.quality_on_box_tower else classes)))
        return Predictions(
            torch.cat(logits, dim=1),
            torch.cat(distances, dim=1),
            torch.cat(quality, dim=1)[..., 0],
            tuple((int(feature.shape[-2]), int(feature.shape[-1])) for feature in features),
        )


def _tower(channels: int, n_convs: int, norm: str) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(n_convs):
        layers.append(nn.Conv2d(channels, channels, 3, padding=1))
        if norm == "gn":
            layers.append(nn.GroupNorm(group_count(channels), channels))
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


def _rows(maps: Tensor) -> Tensor:
    """Maps [B, channels, h, w] as a row for every location: [B, h w, channels]."""
    return maps.flatten(2).transpose(1, 2)
