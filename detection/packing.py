"""Weights of convolutions laid out once as the CPU's kernels want them, for inference.

PyTorch keeps a weight as anybody can read it, and rearranges it each time that a convolution is done on a CPU. The
operators here are those with which ``torch.compile`` avoids that; they are not public, so a PyTorch that has none of
them, or another device, leaves the network as it is.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

SIDE = 64
"""Height and width of the feature maps that weights are laid out for, unless the kernel is a single pixel."""


class PackedConv2d(nn.Module):
    """A convolution that gives what ``conv`` gives, the same bits mostly, and cannot be read, saved or trained.

    Which layout the kernels want depends on the input's size where the kernel is a single pixel, and to change one such
    layout into another takes longer than the convolution, twenty times as long at worst. Those weights are therefore
    laid out again from the beginning whenever the size is another, which is what PyTorch does every time.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        assert not isinstance(conv.padding, str)
        self.how = ([*conv.padding], [*conv.stride], [*conv.dilation], conv.groups)
        self.plain = conv.weight.detach() if conv.kernel_size == (1, 1) else None
        self.bias = None if conv.bias is None else conv.bias.detach()
        likely = torch.Size((1, conv.in_channels, SIDE, SIDE))
        self.packed = likely, self._laid_out(conv.weight.detach(), likely)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, channels, H, W]`` of the weights' precision to ``[B, out_channels, ...]``."""
        shape, weight = self.packed
        if self.plain is not None and shape != x.shape:
            weight = self._laid_out(self.plain, x.shape)
            self.packed = x.shape, weight
        out: Tensor = torch.ops.mkldnn._convolution_pointwise(x, weight, self.bias, *self.how, "none", [], "")
        return out

    def _laid_out(self, weight: Tensor, shape: torch.Size) -> Tensor:
        laid_out: Tensor = torch.ops.mkldnn._reorder_convolution_weight(weight, *self.how, list(shape))
        return laid_out


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
