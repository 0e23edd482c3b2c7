"""Weights of convolutions laid out once as the CPU's kernels want them, for inference.

PyTorch keeps a weight as anybody can read it, and rearranges it each time that a convolution is done on a CPU. The
operators here are those with which ``torch.compile`` avoids that; they are not public, so a PyTorch that has none of
them, or another device, leaves the network as it is.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

SIDE = 64
"""Height and width of the feature maps that weights are laid out for. Others are computed all the same."""


class PackedConv2d(nn.Module):
    """A convolution that gives what ``conv`` gives, the same bits mostly, and cannot be read, saved or trained."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        likely = (1, conv.in_channels, SIDE, SIDE)
        assert not isinstance(conv.padding, str)
        self.how = ([*conv.padding], [*conv.stride], [*conv.dilation], conv.groups)
        self.weight = torch.ops.mkldnn._reorder_convolution_weight(conv.weight.detach(), *self.how, list(likely))
        self.bias = None if conv.bias is None else conv.bias.detach()

    def forward(self, x: Tensor) -> Tensor:
        """``[B, channels, H, W]`` of the weights' precision to ``[B, out_channels, ...]``."""
        return torch.ops.mkldnn._convolution_pointwise(x, self.weight, self.bias, *self.how, "none", [], "")


def pack(model: nn.Module) -> None:
    """Replace the convolutions of ``model``, in place, wherever this PyTorch can pack them.

    That is on a CPU, in a precision that oneDNN computes there. Subclasses of `torch.nn.Conv2d` stay as they are:
    they do something else with their weights.
    """
    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child) is nn.Conv2d and packable(child.weight):
                setattr(module, name, PackedConv2d(child))


def packable(weight: Tensor) -> bool:
    """Whether there is a packed form of a convolution's ``weight``."""
    if weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    if not all(hasattr(torch.ops.mkldnn, op) for op in ("_reorder_convolution_weight", "_convolution_pointwise")):
        return False
    if weight.dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return weight.dtype == torch.float32
