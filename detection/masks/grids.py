"""Maps of different strides laid over each other: CondInst's "aligned bilinear".

Value i of a map enlarged f times is read at (i - f // 2) / f of the coarse one, and beyond its border the last value
goes on. Location i of a stride s lies in the image at i s + s // 2, so that is exact where pixels come out. Between two
strides above 1, the finer of which is t, values come to lie t / 2 pixels further right and down; a network that learned
so needs it so.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def enlarged(maps: Tensor, factor: int) -> Tensor:
    """``maps`` [n, c, h, w] as [n, c, factor h, factor w], linear in between."""
    if factor == 1:
        return maps
    height, width = maps.shape[-2:]
    # With a border of one value more on each side, all places lie within; value j of the finest grid is at j / factor.
    # Put together by hand: the gradient of `pad` with "replicate" cannot be compiled for channels-last maps on a CPU.
    bordered = torch.cat([maps[..., :1, :], maps, maps[..., -1:, :]], dim=-2)
    bordered = torch.cat([bordered[..., :1], bordered, bordered[..., -1:]], dim=-1)
    size = (factor * (height + 1) + 1, factor * (width + 1) + 1)
    fine = functional.interpolate(bordered, size=size, mode="bilinear", align_corners=True)
    first = factor - factor // 2
    return fine[..., first : first + factor * height, first : first + factor * width]


def sampled(maps: Tensor, stride: int) -> Tensor:
    """The values of ``maps`` [n, h, w] at the locations of a ``stride``: what `enlarged` begins from."""
    return maps[:, stride // 2 :: stride, stride // 2 :: stride]
