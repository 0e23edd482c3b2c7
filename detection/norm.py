"""Normalisation of the backbone's feature maps: fixed, over the batch, over groups of channels, over all processes.

Where the statistics are fixed, normalisation is an affine map of each channel, and a convolution before it can do that
map with its own weights: `conv_norm` does so on the fly, `detection.folding` once and for all.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from detection.config import Norm
from detection.errors import InputError

BatchNorm = nn.modules.batchnorm._BatchNorm
"""Batch normalisation that learns, in one process or over all of them."""

GROUPS = 32
"""Groups of channels, at most (Wu & He 2018, section 4.1)."""


class FrozenBatchNorm2d(nn.Module):
    """Batch normalisation whose statistics and affine map never change: y = (x - mean) / sqrt(var + eps) w + b.

    All four are buffers ``[channels]``, named as `torch.nn.BatchNorm2d` names them, so that its weights load here
    (``num_batches_tracked`` is dropped). From scratch it is the identity, up to ``eps``.
    """

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.register_buffer("weight", torch.ones(channels))
        self.register_buffer("bias", torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``x [B, channels, H, W]``."""
        scale, shift = affine(self)
        return torch.addcmul(shift.to(x.dtype)[:, None, None], x, scale.to(x.dtype)[:, None, None])

    def extra_repr(self) -> str:
        """What is printed of it."""
        return f"{len(self.weight)}, eps={self.eps}"

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        state_dict.pop(f"{prefix}num_batches_tracked", None)
        super()._load_from_state_dict(state_dict, prefix, *args)


def normalisation(kind: Norm, channels: int, *, eps: float) -> nn.Module:
    """The module that normalises ``channels`` channels.

    ``gn`` has 32 groups where that leaves groups of equal size with two channels or more (the narrowest of a ResNet
    have two); otherwise the largest number of groups that does: 20 for 40 channels, 8 for 16. A group of one channel
    would take its mean level from every feature.

    ``syncbn`` takes the statistics over all processes. In a program of one process it is ``bn``, on any device; once
    processes have joined (torchrun) it needs a GPU each.

    Raises
    ------
    InputError
        For ``syncbn`` in one of joined processes on a machine without GPU.
    """
    if kind == "frozen_bn":
        return FrozenBatchNorm2d(channels, eps)
    if kind == "bn":
        return nn.BatchNorm2d(channels, eps=eps)
    if kind == "gn":
        return nn.GroupNorm(group_count(channels), channels, eps=eps)
    if dist.is_available() and dist.is_initialized() and not torch.cuda.is_available():
        raise InputError(
            "norm is syncbn, but there is no GPU, and processes on CPUs cannot share statistics; "
            "give bn, gn or frozen_bn, or start a single process"
        )
    return nn.SyncBatchNorm(channels, eps=eps)


def group_count(channels: int) -> int:
    """The largest number of groups, 32 at most, that divides ``channels`` and leaves two channels or more to each."""
    if channels < 2:
        return 1
    return max(g for g in range(1, min(GROUPS, channels // 2) + 1) if channels % g == 0)


def affine(norm: FrozenBatchNorm2d | BatchNorm) -> tuple[Tensor, Tensor]:
    """Scale and shift, ``[channels]`` each, by which ``norm`` with its running statistics maps x to scale x + shift.

    ``norm`` is a `FrozenBatchNorm2d` or any of PyTorch's batch normalisations that keeps statistics.
    """
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("a normalisation without running statistics is no affine map")
    scale = torch.rsqrt(norm.running_var + norm.eps)
    if norm.weight is not None:
        scale = scale * norm.weight
    shift = -norm.running_mean * scale
    return scale, shift if norm.bias is None else shift + norm.bias


def conv_norm(x: Tensor, conv: nn.Module, norm: nn.Module) -> Tensor:
    """``norm(conv(x))``, for a convolution without a bias.

    A fixed normalisation is done by the convolution's weights, scale w, and a bias: the same numbers up to rounding and
    the same gradients, without reading and writing the feature map once more. Weights are scaled anew at every step,
    since they learn; that costs little, for there are fewer of them than of features.
    """
    if not isinstance(norm, FrozenBatchNorm2d):
        plain: Tensor = norm(conv(x))
        return plain
    assert isinstance(conv, nn.Conv2d)
    scale, shift = affine(norm)
    weight = conv.weight * scale[:, None, None, None]
    out: Tensor = conv._conv_forward(x, weight.to(conv.weight.dtype), shift.to(conv.weight.dtype))
    return out
