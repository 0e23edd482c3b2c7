"""EfficientNet-Lite0 (Tan & Le 2019; the Lite form of 2020: no squeeze-and-excitation, ReLU6), up to C5.

Parameters have the names of the published PyTorch weights without their underscores: `conv_stem`, `bn0`,
`blocks.I.{expand_conv,bn0,depthwise_conv,bn1,project_conv,bn2}`. Convolutions that stride pad as TensorFlow's SAME
does, which is what those weights were trained with.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from detection.backbones.stages import Backbone, Unit
from detection.config import Norm
from detection.norm import conv_norm, normalisation

NORM_EPS = 1e-3
"""With which the published weights were trained."""

STEM = 32
"""Channels of the stem."""

BLOCKS = (
    # (blocks, kernel size, stride of the first, expansion, channels)
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
"""Table 1 of the paper; scaling leaves the narrowest network as it is."""

STAGE_ENDS = (1, 3, 5, 11, 16)
"""Blocks up to the end of each of the five stages: the stem's has the first block, every other one begins by halving
the resolution, so that stages end at strides 2, 4, 8, 16 and 32 (a ResNet's at 4, 4, 8, 16 and 32)."""


class SameConv2d(nn.Conv2d):
    """A strided convolution that pads as TensorFlow's SAME: ceil(n / stride) outputs, the odd zero at the end."""

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        top, bottom = _same_padding(x.shape[-2], self.kernel_size[0], self.stride[0])
        left, right = _same_padding(x.shape[-1], self.kernel_size[1], self.stride[1])
        x = functional.pad(x, (left, right, top, bottom))
        return functional.conv2d(x, weight, bias, self.stride, groups=self.groups)


class InvertedResidual(nn.Module):
    """A 1x1 convolution that expands, a depthwise one that may stride, and a 1x1 one, without activation, that narrows.

    The input is added again where shapes allow. (The classifier's training left out blocks at random; here none is.)
    """

    def __init__(
        self,
        channels: int,
        out_channels: int,
        *,
        kernel_size: int,
        stride: int,
        expansion: int,
        norm: Norm,
        norm_eps: float,
    ) -> None:
        super().__init__()
        width = channels * expansion
        self.adds = stride == 1 and channels == out_channels
        self.expands = expansion > 1
        self.convs_and_norms: tuple[tuple[str, str], ...] = (("depthwise_conv", "bn1"), ("project_conv", "bn2"))
        if self.expands:
            self.convs_and_norms = (("expand_conv", "bn0"), *self.convs_and_norms)
            self.expand_conv = _conv(channels, width, 1)
            self.bn0 = normalisation(norm, width, eps=norm_eps)
        self.depthwise_conv = _conv(width, width, kernel_size, stride=stride, groups=width)
        self.bn1 = normalisation(norm, width, eps=norm_eps)
        self.project_conv = _conv(width, out_channels, 1)
        self.bn2 = normalisation(norm, out_channels, eps=norm_eps)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, channels, H, W]`` to ``[B, out_channels, H/stride, W/stride]``, rounded up."""
        y = x
        if self.expands:
            y = functional.relu6(conv_norm(y, self.expand_conv, self.bn0), inplace=True)
        y = functional.relu6(conv_norm(y, self.depthwise_conv, self.bn1), inplace=True)
        y = conv_norm(y, self.project_conv, self.bn2)
        return y.add_(x) if self.adds else y


class EfficientNetLite0(Backbone):
    """EfficientNet-Lite0 without its classifier and the convolution before that.

    Stage 1 is the stem and the first block, stage 2 the two blocks at stride 4, stages 3 to 5 those at 8, 16 and 32.
    Convolutions begin uniform, with variance 2 / fan-in before a ReLU6 and 1 / fan-in otherwise, with which a network
    whose normalisation is frozen at the identity neither fades nor explodes.
    """

    convs_and_norms = (("conv_stem", "bn0"),)
    out_channels = (40, 112, 320)

    def __init__(self, *, norm: Norm, norm_eps: float, frozen_stages: int = 0) -> None:
        super().__init__(frozen_stages=frozen_stages)
        self.conv_stem = _conv(3, STEM, 3, stride=2)
        self.bn0 = normalisation(norm, STEM, eps=norm_eps)
        blocks = []
        channels = STEM
        for count, kernel_size, stride, expansion, out_channels in BLOCKS:
            for index in range(count):
                blocks.append(
                    InvertedResidual(
                        channels,
                        out_channels,
                        kernel_size=kernel_size,
                        stride=stride if index == 0 else 1,
                        expansion=expansion,
                        norm=norm,
                        norm_eps=norm_eps,
                    )
                )
                channels = out_channels
        self.blocks = nn.ModuleList(blocks)
        for name, module in self.named_modules():
            if isinstance(module, nn.Conv2d):
                # a is the slope below 0 of what follows: 1 is no activation, 0 a rectified one.
                nn.init.kaiming_uniform_(module.weight, a=1 if name.endswith("project_conv") else 0)
        self.freeze()

    def stages(self) -> tuple[tuple[Unit, ...], ...]:
        """The stem with the first block, and the blocks at strides 4, 8, 16 and 32."""
        units = [Unit(block, (block,)) for block in self.blocks]
        starts = (0, *STAGE_ENDS[:-1])
        first, *others = (tuple(units[start:end]) for start, end in zip(starts, STAGE_ENDS, strict=True))
        return ((Unit(self._stem, (self.conv_stem, self.bn0)), *first), *others)

    def _stem(self, x: Tensor) -> Tensor:
        return functional.relu6(conv_norm(x, self.conv_stem, self.bn0), inplace=True)


def _conv(channels: int, out_channels: int, kernel_size: int, *, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    if stride > 1:
        return SameConv2d(channels, out_channels, kernel_size, stride=stride, groups=groups, bias=False)
    return nn.Conv2d(channels, out_channels, kernel_size, padding=kernel_size // 2, groups=groups, bias=False)


def _same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after one axis of ``size``."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2
