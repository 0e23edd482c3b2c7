"""Feature pyramid (Lin et al. 2017) with the two coarser levels of RetinaNet and FCOS."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class FPN(nn.Module):
    """P3 to P7 from C3 to C5.

    From the top down, each level is a 1x1 convolution of the backbone's map plus the level above, enlarged by its
    nearest values; a 3x3 convolution of that is the output. P6 strides over P5, P7 over relu(P6). Weights begin uniform
    with variance 1 / fan-in (kaiming_uniform with a = 1), biases at 0, as in the original FCOS.

    ``in_channels`` are the channels of C3, C4 and C5, ``channels`` those of every level.
    """

    def __init__(self, in_channels: tuple[int, int, int], channels: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList([nn.Conv2d(c, channels, 1) for c in in_channels])
        self.output = nn.ModuleList([nn.Conv2d(channels, channels, 3, padding=1) for _ in in_channels])
        self.p6 = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
        self.p7 = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, a=1)
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def forward(self, features: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """P3 to P7, ``[B, channels, H/8, W/8]`` to ``/128`` rounded up, from C3, C4, C5 ``[B, in_channels, ...]``."""
        c3, c4, c5 = features
        inner5 = self.lateral[2](c5)
        inner4 = _enlarged(inner5, like=self.lateral[1](c4))
        inner3 = _enlarged(inner4, like=self.lateral[0](c3))
        p3, p4, p5 = self.output[0](inner3), self.output[1](inner4), self.output[2](inner5)
        p6 = _halved(p5, self.p6)
        return p3, p4, p5, p6, _halved(functional.relu(p6), self.p7)


def _enlarged(coarse: Tensor, *, like: Tensor) -> Tensor:
    """The finer map ``like`` plus the coarser one at its size."""
    return like + functional.interpolate(coarse, size=like.shape[-2:], mode="nearest")


def _halved(finer: Tensor, conv: nn.Module) -> Tensor:
    """The map that ``conv``, 3x3 with stride 2, makes of ``finer``.

    A map one cell wide gets a column of zeros on its right, as if it were padded, which it is. Without it, in bf16 on
    a CPU, torch 2.13 (oneDNN) leaves the gradient of the kernel's right column as it finds it in memory.
    """
    halved: Tensor = conv(functional.pad(finer, (0, 1)) if finer.shape[-1] == 1 else finer)
    return halved
