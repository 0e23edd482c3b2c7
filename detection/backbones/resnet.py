"""ResNet-18, -34, -50 and -101 (He et al. 2016), up to C5, with parameters named as torchvision names them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from detection.backbones.stages import Backbone, Unit
from detection.config import Norm
from detection.norm import conv_norm, normalisation

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
"""Blocks in the stages 2 to 5, by depth."""

WIDTHS = (64, 128, 256, 512)
"""Channels inside the blocks of those stages."""


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around which the input is added again; the first of them strides."""

    expansion = 1
    convs_and_norms = (("conv1", "bn1"), ("conv2", "bn2"))

    def __init__(
        self, channels: int, width: int, *, stride: int, stride_in_1x1: bool, norm: Norm, norm_eps: float
    ) -> None:
        super().__init__()
        self.conv1 = _conv(channels, width, 3, stride)
        self.bn1 = normalisation(norm, width, eps=norm_eps)
        self.conv2 = _conv(width, width, 3, 1)
        self.bn2 = normalisation(norm, width, eps=norm_eps)
        self.downsample = _shortcut(channels, width, stride, norm, norm_eps)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, channels, H, W]`` to ``[B, width, H/stride, W/stride]``."""
        y = functional.relu_(conv_norm(x, self.conv1, self.bn1))
        y = conv_norm(y, self.conv2, self.bn2)
        return _add_and_rectify(y, x, self.downsample)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions around which the input is added again; the first or the second of them strides."""

    expansion = 4
    convs_and_norms = (("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3"))

    def __init__(
        self, channels: int, width: int, *, stride: int, stride_in_1x1: bool, norm: Norm, norm_eps: float
    ) -> None:
        super().__init__()
        self.conv1 = _conv(channels, width, 1, stride if stride_in_1x1 else 1)
        self.bn1 = normalisation(norm, width, eps=norm_eps)
        self.conv2 = _conv(width, width, 3, 1 if stride_in_1x1 else stride)
        self.bn2 = normalisation(norm, width, eps=norm_eps)
        self.conv3 = _conv(width, width * self.expansion, 1, 1)
        self.bn3 = normalisation(norm, width * self.expansion, eps=norm_eps)
        self.downsample = _shortcut(channels, width * self.expansion, stride, norm, norm_eps)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, channels, H, W]`` to ``[B, 4 width, H/stride, W/stride]``."""
        y = functional.relu_(conv_norm(x, self.conv1, self.bn1))
        y = functional.relu_(conv_norm(y, self.conv2, self.bn2))
        y = conv_norm(y, self.conv3, self.bn3)
        return _add_and_rectify(y, x, self.downsample)


class ResNet(Backbone):
    """A ResNet without its classifier.

    The stages are the stem (a 7x7 convolution and a pooling, stride 4) and ``layer1`` to ``layer4``. Convolutions begin
    uniform with variance 1 / fan-in (kaiming_uniform with a = 1, as in the original FCOS), with which a network whose
    normalisation is frozen at the identity neither fades nor explodes, since its blocks add to what they are given.
    """

    convs_and_norms = (("conv1", "bn1"),)

    def __init__(
        self, *, depth: int, norm: Norm, norm_eps: float, stride_in_1x1: bool = False, frozen_stages: int = 0
    ) -> None:
        super().__init__(frozen_stages=frozen_stages)
        block = BasicBlock if depth < 50 else Bottleneck
        self.conv1 = _conv(3, WIDTHS[0], 7, 2)
        self.bn1 = normalisation(norm, WIDTHS[0], eps=norm_eps)
        channels = WIDTHS[0]
        layers = []
        for number, (width, count) in enumerate(zip(WIDTHS, BLOCKS[depth], strict=True)):
            blocks: list[nn.Module] = []
            for index in range(count):
                stride = 2 if number > 0 and index == 0 else 1
                blocks.append(
                    block(channels, width, stride=stride, stride_in_1x1=stride_in_1x1, norm=norm, norm_eps=norm_eps)
                )
                channels = width * block.expansion
            layers.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = layers
        c3, c4, c5 = (width * block.expansion for width in WIDTHS[1:])
        self.out_channels = (c3, c4, c5)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, a=1)
        self.freeze()

    def stages(self) -> tuple[tuple[Unit, ...], ...]:
        """The stem, and the blocks of the four layers."""
        layers = (self.layer1, self.layer2, self.layer3, self.layer4)
        stem = Unit(self._stem, (self.conv1, self.bn1))
        return ((stem,), *(tuple(Unit(block, (block,)) for block in layer) for layer in layers))

    def _stem(self, x: Tensor) -> Tensor:
        return functional.max_pool2d(
            functional.relu_(conv_norm(x, self.conv1, self.bn1)), kernel_size=3, stride=2, padding=1
        )


def _conv(channels: int, out_channels: int, kernel_size: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(channels, out_channels, kernel_size, stride=stride, padding=kernel_size // 2, bias=False)


def _shortcut(channels: int, out_channels: int, stride: int, norm: Norm, norm_eps: float) -> nn.Sequential | None:
    if stride == 1 and channels == out_channels:
        return None
    return nn.Sequential(_conv(channels, out_channels, 1, stride), normalisation(norm, out_channels, eps=norm_eps))


def _add_and_rectify(y: Tensor, x: Tensor, downsample: nn.Sequential | None) -> Tensor:
    if downsample is not None:
        conv, norm = downsample
        x = conv_norm(x, conv, norm)
    # In place: nothing needs the last convolution's output for its gradient.
    return torch.relu_(y.add_(x))
