"""Towers of convolutions that all levels share, and their maps as a row for every location."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from detection.norm import group_count


def tower(channels: int, *, convs: int, norm: Literal["gn", "none"], in_channels: int | None = None) -> nn.Sequential:
    """``convs`` times a 3x3 convolution, a normalisation over groups if asked for, and a ReLU."""
    layers: list[nn.Module] = []
    for index in range(convs):
        begin = channels if index or in_channels is None else in_channels
        layers.append(nn.Conv2d(begin, channels, 3, padding=1))
        if norm == "gn":
            layers.append(nn.GroupNorm(group_count(channels), channels))
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


def begin_small(module: nn.Module) -> None:
    """Let the convolutions of ``module`` begin normal with deviation .01 and no bias, as in RetinaNet and FCOS."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.normal_(part.weight, std=0.01)
            assert part.bias is not None
            nn.init.zeros_(part.bias)


def rows(maps: Tensor) -> Tensor:
    """Maps [B, channels, h, w] as a row for every location: [B, h w, channels]."""
    return maps.flatten(2).transpose(1, 2)
