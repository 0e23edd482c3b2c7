"""3x3 convolutions by fewer multiplications, for inference on a CPU: minimal filtering F(3x3, 3x3).

Winograd's algorithm, as in Lavin & Gray (CVPR 2016): the nine outputs of a tile take 25 multiplications for every pair
of an input and an output channel, not 81. The 5x5 inputs of a tile and the 3x3 weights are taken as polynomials in two
variables and evaluated at five points each; the values are multiplied, point by point, and the outputs are read off the
products. Points are `A`, -A, `B`, -B and infinity. The usual 0, 1, -1, 2 and infinity would make rounding errors 2.3
times as large, and in bfloat16 that shows (on the choice of points: Barabasz et al., ACM TOMS 2020).
"""

from __future__ import annotations

import copy
import itertools
from typing import Any

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from detection.packing import PackedConv2d, packable

A, B = 0.3823, 1.2795
"""With these the expected square of the rounding error is least, where inputs and weights are independent."""

LEAST = 128
"""Channels, in and out, from which this is quicker than the convolution itself."""

FEW = 64
"""Tiles below which it is not: to read the weights, 25 for each 9, takes longer than the multiplications."""

THREADS = 2
"""More than these it was not measured with. One does the evaluation and the reading off, all do the products."""

LANES = 64
"""Channels that go through the kernels at once; what they leave in between stays in the nearest cache."""

ROOM = 2**21
"""Bytes, about, of values at the points that are multiplied at once: they should stay in a cache too."""

BITS = {torch.bfloat16: (torch.uint16, 16), torch.float32: (torch.uint32, 0)}
"""Integers of the size of a number of that precision, and how many bits it has less than float32."""


class WinogradConv2d(nn.Module):
    """What ``conv`` computes, up to rounding; `fits` says of which convolutions. Cannot be read, saved or trained.

    Inputs, outputs, and what is multiplied are of ``dtype``; everything else is float32. Where the convolution itself
    is quicker, that is done.
    """

    def __init__(self, conv: nn.Conv2d, dtype: torch.dtype) -> None:
        super().__init__()
        self.otherwise = PackedConv2d(copy.deepcopy(conv).to(dtype))
        self.weight = at_points(conv.weight.detach()).to(dtype)
        bias = torch.zeros(conv.out_channels) if conv.bias is None else conv.bias.detach()
        self.bias: NDArray[np.float32] = bias.float().numpy().copy()

    def forward(self, x: Tensor) -> Tensor:
        """``[B, channels, H, W]`` to ``[B, out_channels, H, W]``, channels last."""
        batch, _, height, width = x.shape
        tiles = batch * -(-height // 3) * -(-width // 3)
        if tiles < FEW or torch.get_num_threads() > THREADS:
            plain: Tensor = self.otherwise(x)
            return plain
        points, channels, out_channels = self.weight.shape
        dtype = self.weight.dtype
        bits, shift = BITS[dtype]
        out = torch.empty(batch, height, width, out_channels, dtype=dtype)
        pixels, results = x.permute(0, 2, 3, 1).contiguous().view(bits).numpy(), out.view(bits).numpy()
        steps = min(-(-tiles * points * channels * dtype.itemsize // ROOM), tiles)
        ends = [tiles * step // steps for step in range(steps + 1)]
        for begin, end in itertools.pairwise(ends):
            values = torch.empty(points, end - begin, channels, dtype=dtype)
            _evaluate(pixels, begin, values.view(bits).numpy(), shift)
            products = torch.bmm(values, self.weight)
            _read_off(products.view(bits).numpy(), self.bias, begin, results, shift)
        return out.permute(0, 3, 1, 2)


def replace(model: nn.Module, dtype: torch.dtype) -> None:
    """Put a `WinogradConv2d` that computes in ``dtype`` in the place of every convolution of ``model`` that `fits`."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child) is nn.Conv2d and fits(child, dtype):
                setattr(module, name, WinogradConv2d(child, dtype))


def fits(conv: nn.Conv2d, dtype: torch.dtype) -> bool:
    """Whether ``conv`` is one of 3x3 that keeps the size, on a CPU that computes in ``dtype``, of enough channels."""
    shape = (conv.kernel_size, conv.stride, conv.padding, conv.dilation, conv.groups, conv.padding_mode)
    channels = (conv.in_channels, conv.out_channels)
    if shape != ((3, 3), (1, 1), (1, 1), (1, 1), 1, "zeros") or dtype not in BITS:
        return False
    return min(channels) >= LEAST and not any(c % LANES for c in channels) and packable(conv.weight.detach().to(dtype))


def at_points(weight: Tensor) -> Tensor:
    """Weights [out, in, 3, 3] evaluated at the 25 points: float64 [25, in, out].

    They are divided by what the inputs' values are multiplied with in the interpolation, (x^2 - A^2) (x^2 - B^2)
    without the factor of the point.
    """
    rows = []
    for point, other in ((A, B), (-A, B), (B, A), (-B, A)):
        by = 2 * point * (point**2 - other**2)
        rows.append([1 / by, point / by, point**2 / by])
    g = torch.tensor([*rows, [0, 0, 1]], dtype=torch.float64)
    out_channels, channels = weight.shape[:2]
    return torch.einsum("pr,oirs,qs->pqio", g, weight.double(), g).reshape(25, channels, out_channels).contiguous()


# The kernels. Numbers come as their bits, since Numba has no bfloat16, which is the upper half of a float32. What is
# kept in between has a size known beforehand: only so do the loops over LANES channels become vector instructions.

_jit = numba.njit(cache=True, nogil=True, fastmath={"contract"}, error_model="numpy")

A1, A2, B1, B2 = np.float32(A), np.float32(A**2), np.float32(B), np.float32(B**2)
BOTH, EITHER = np.float32(A**2 * B**2), np.float32(A**2 + B**2)


@_jit
def _five_values(d0: Any, d1: Any, d2: Any, d3: Any, d4: Any) -> Any:
    """Five inputs in a row at A, -A, B, -B and infinity."""
    odd_a, even_a = A1 * (d2 - B2 * d0), d3 - B2 * d1
    odd_b, even_b = B1 * (d2 - A2 * d0), d3 - A2 * d1
    return even_a + odd_a, even_a - odd_a, even_b + odd_b, even_b - odd_b, d4 - EITHER * d2 + BOTH * d0


@_jit
def _three_outputs(p0: Any, p1: Any, p2: Any, p3: Any, p4: Any) -> Any:
    """Three outputs in a row of the products at the points."""
    even_a, odd_a, even_b, odd_b = p0 + p1, p0 - p1, p2 + p3, p2 - p3
    return even_a + even_b, A1 * odd_a + B1 * odd_b, A2 * even_a + B2 * even_b + p4


@_jit
def _rounded(u: Any, shift: Any) -> Any:
    """The bits of a float32 with ``shift`` fewer, to the nearest and if in doubt to the even."""
    if shift == 0:
        return u
    return (u + np.uint32(0x7FFF) + ((u >> shift) & np.uint32(1))) >> shift


@_jit
def _corner(tile: int, height: int, width: int) -> tuple[int, int, int]:
    """Image, row and column where a tile of a batch begins."""
    down, across = (height + 2) // 3, (width + 2) // 3
    place = tile % (down * across)
    return tile // (down * across), place // across * 3, place % across * 3


@_jit
def _evaluate(x: NDArray[Any], first: int, values: NDArray[Any], shift: int) -> None:
    """Write the ``values`` [25, n, C] at the points of the n tiles from ``first`` of x [B, H, W, C]."""
    height, width, channels = x.shape[1:]
    bits = np.empty((5, 5, LANES), np.uint32)
    d = bits.view(np.float32)
    t = np.empty((5, 5, LANES), np.float32)
    s = np.uint32(shift)
    for tile in range(values.shape[1]):
        image, top, left = _corner(first + tile, height, width)
        for lane in range(0, channels, LANES):
            for i in range(5):
                for j in range(5):
                    row, column = top + i - 1, left + j - 1
                    if 0 <= row < height and 0 <= column < width:
                        pixel = x[image, row, column, lane : lane + LANES]
                        for c in range(LANES):
                            bits[i, j, c] = np.uint32(pixel[c]) << s
                    else:
                        for c in range(LANES):
                            bits[i, j, c] = 0
            for j in range(5):
                for c in range(LANES):
                    t[0, j, c], t[1, j, c], t[2, j, c], t[3, j, c], t[4, j, c] = _five_values(
                        d[0, j, c], d[1, j, c], d[2, j, c], d[3, j, c], d[4, j, c]
                    )
            for i in range(5):
                for c in range(LANES):
                    d[i, 0, c], d[i, 1, c], d[i, 2, c], d[i, 3, c], d[i, 4, c] = _five_values(
                        t[i, 0, c], t[i, 1, c], t[i, 2, c], t[i, 3, c], t[i, 4, c]
                    )
            for i in range(5):
                for j in range(5):
                    value = values[i * 5 + j, tile, lane : lane + LANES]
                    for c in range(LANES):
                        value[c] = _rounded(bits[i, j, c], s)


@_jit
def _read_off(products: NDArray[Any], bias: NDArray[np.float32], first: int, out: NDArray[Any], shift: int) -> None:
    """Write the outputs [B, H, W, C] of the n tiles from ``first``, whose ``products`` [25, n, C] are."""
    height, width, channels = out.shape[1:]
    bits = np.empty((5, 5, LANES), np.uint32)
    d = bits.view(np.float32)
    t = np.empty((3, 5, LANES), np.float32)
    s = np.uint32(shift)
    for tile in range(products.shape[1]):
        image, top, left = _corner(first + tile, height, width)
        for lane in range(0, channels, LANES):
            for i in range(5):
                for j in range(5):
                    product = products[i * 5 + j, tile, lane : lane + LANES]
                    for c in range(LANES):
                        bits[i, j, c] = np.uint32(product[c]) << s
            for j in range(5):
                for c in range(LANES):
                    t[0, j, c], t[1, j, c], t[2, j, c] = _three_outputs(
                        d[0, j, c], d[1, j, c], d[2, j, c], d[3, j, c], d[4, j, c]
                    )
            constant = bias[lane : lane + LANES]
            for i in range(3):
                for c in range(LANES):
                    y0, y1, y2 = _three_outputs(t[i, 0, c], t[i, 1, c], t[i, 2, c], t[i, 3, c], t[i, 4, c])
                    d[i, 0, c], d[i, 1, c], d[i, 2, c] = y0 + constant[c], y1 + constant[c], y2 + constant[c]
            for i in range(min(3, height - top)):
                for j in range(min(3, width - left)):
                    pixel = out[image, top + i, left + j, lane : lane + LANES]
                    for c in range(LANES):
                        pixel[c] = _rounded(bits[i, j, c], s)
