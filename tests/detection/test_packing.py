"""Convolutions whose weights are laid out beforehand: the same answers for inputs of every size, one after another."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from detection.packing import PackedConv2d, packable

pytestmark = pytest.mark.skipif(
    not packable(torch.empty(1)), reason="needs a CPU and a PyTorch that can lay out weights"
)


@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (1, 2), (3, 1), (3, 2)])
@torch.no_grad()
def test_a_packed_convolution_says_what_the_convolution_says(kernel, stride):
    torch.manual_seed(0)
    conv = nn.Conv2d(64, 48, kernel, stride=stride, padding=kernel // 2)
    packed = PackedConv2d(conv)
    for batch, height, width in ((1, 64, 64), (1, 4, 4), (2, 9, 13), (1, 4, 4), (1, 1, 1)):
        x = torch.randn(batch, 64, height, width).contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(packed(x), conv(x), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_weights_of_single_pixels_are_laid_out_for_the_size_that_came_last():
    single, wide = PackedConv2d(nn.Conv2d(32, 32, 1)), PackedConv2d(nn.Conv2d(32, 32, 3, padding=1))
    before = [layer.packed[1] for layer in (single, wide)]
    x = torch.randn(1, 32, 5, 6)
    single(x), wide(x)
    after = [layer.packed[1] for layer in (single, wide)]
    assert single.packed[0] == x.shape
    assert after[0] is not before[0]
    assert after[1] is before[1]
    single(x)
    assert single.packed[1] is after[0]
