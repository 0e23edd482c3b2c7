"""3x3 convolutions by Winograd's algorithm: what the convolution itself says, of maps of every size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from detection import winograd
from detection.config import Category, ModelConfig
from detection.detector import DTYPES as DETECTOR_DTYPES
from detection.detector import Detector
from detection.fcos import FCOS
from detection.winograd import WinogradConv2d

BOUND = {torch.float32: 2e-6, torch.bfloat16: 1.5e-2}
"""Root mean square of the error over that of the outputs. Of a direct convolution it is 6e-7 and 2e-3."""

DTYPES = [dtype for dtype in BOUND if winograd.fits(nn.Conv2d(128, 128, 3, padding=1), dtype)]
"""Those in which this CPU computes."""

SMALL = ModelConfig(
    backbone="resnet18",
    fpn_channels=128,
    head_convs=2,
    short_side=96,
    max_side=128,
    frozen_stages=0,
    categories=(Category(1, "one"),),
)

pytestmark = pytest.mark.skipif(not DTYPES, reason="needs a CPU and a PyTorch that can lay out weights")


@pytest.fixture(autouse=True)
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Maps of every size and any number of threads, so that what is tested is the algorithm."""
    monkeypatch.setattr(winograd, "FEW", 0)
    monkeypatch.setattr(winograd, "THREADS", 1000)


def error(batch: int, channels: int, out_channels: int, height: int, width: int, dtype: torch.dtype) -> float:
    generator = torch.Generator().manual_seed(batch + 7 * channels + 11 * height + 13 * width)
    conv = nn.Conv2d(channels, out_channels, 3, padding=1)
    nn.init.normal_(conv.weight, generator=generator)
    nn.init.normal_(conv.bias, generator=generator)
    x = torch.randn(batch, channels, height, width, generator=generator).relu().to(dtype)
    mine = WinogradConv2d(conv, dtype)(x)
    expected = nn.functional.conv2d(x.double(), conv.weight.double(), conv.bias.double(), padding=1)
    assert mine.shape == expected.shape
    assert mine.dtype == dtype
    return float(((mine - expected).square().mean() / expected.square().mean()).sqrt())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("batch", "height", "width"),
    [(1, 1, 1), (2, 1, 1), (1, 1, 7), (1, 2, 3), (2, 3, 3), (1, 4, 6), (3, 7, 5), (1, 64, 63)],
)
@torch.no_grad()
def test_it_is_the_convolution(batch, height, width, dtype):
    assert error(batch, 64, 128, height, width, dtype) < BOUND[dtype]


@given(st.integers(1, 3), st.integers(1, 2), st.integers(1, 2), st.integers(1, 20), st.integers(1, 20))
@settings(max_examples=40, deadline=None)
@torch.no_grad()
def test_it_is_the_convolution_for_maps_of_any_size(batch, channels, out_channels, height, width):
    for dtype in DTYPES:
        assert error(batch, 64 * channels, 64 * out_channels, height, width, dtype) < BOUND[dtype]


@pytest.mark.parametrize("room", [1, 10**6])
@torch.no_grad()
def test_however_many_tiles_are_multiplied_at_once(room, monkeypatch):
    monkeypatch.setattr(winograd, "ROOM", room)
    assert error(2, 64, 64, 11, 13, torch.float32) < BOUND[torch.float32]


@torch.no_grad()
def test_images_may_lie_either_way_and_come_out_channels_last():
    layer = WinogradConv2d(nn.Conv2d(64, 64, 3, padding=1), torch.float32)
    x = torch.randn(2, 64, 9, 10)
    mine = layer(x)
    assert torch.equal(mine, layer(x.contiguous(memory_format=torch.channels_last)))
    assert mine.is_contiguous(memory_format=torch.channels_last)


def test_rounding_is_to_the_nearest_and_to_even():
    values = torch.randn(1000).view(torch.int32)
    values[:4] = torch.tensor([0x3F808000, 0x3F818000, 0x3F807FFF, 0x3F818001])
    mine = [winograd._rounded(np.uint32(u), np.uint32(16)) for u in values.view(torch.uint32).numpy()]
    expected = values.view(torch.float32).bfloat16().view(torch.uint16).numpy()
    assert np.array_equal(np.array(mine, np.uint16), expected)
    assert winograd._rounded(np.uint32(0x3F808001), np.uint32(0)) == 0x3F808001


def test_the_points_are_those_of_the_least_error():
    def amplified(a: float, b: float) -> float:
        """Expected square of an output's error over that of a direct convolution, in one direction."""
        points = np.array([a, -a, b, -b])
        read = np.vstack([points**k for k in range(3)])
        total = np.zeros(3)
        for k, point in enumerate(points):
            others = np.delete(points, k)
            polynomial = np.poly(others)
            weights = point ** np.arange(3) / np.prod(point - others)
            total += read[:, k] ** 2 * (polynomial**2).sum() * (weights**2).sum()
        total[2] += (np.poly(points) ** 2).sum()
        return float(total.mean() / 3)

    best = amplified(winograd.A, winograd.B)
    assert best == pytest.approx(2.616, abs=1e-3)
    for step in ((0.01, 0), (-0.01, 0), (0, 0.01), (0, -0.01)):
        assert amplified(winograd.A + step[0], winograd.B + step[1]) > best


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(128, 128, 1),
        nn.Conv2d(128, 128, 3),
        nn.Conv2d(128, 128, 3, padding=1, stride=2),
        nn.Conv2d(128, 128, 3, padding=2, dilation=2),
        nn.Conv2d(128, 128, 3, padding=1, groups=2),
        nn.Conv2d(128, 128, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(64, 128, 3, padding=1),
        nn.Conv2d(128, 80, 3, padding=1),
        nn.Conv2d(136, 136, 3, padding=1),
    ],
)
def test_other_convolutions_stay(conv):
    assert not winograd.fits(conv, torch.float32)
    assert not winograd.fits(nn.Conv2d(128, 128, 3, padding=1), torch.float16)


def test_small_maps_and_many_threads_take_the_convolution_itself(monkeypatch):
    layer = WinogradConv2d(nn.Conv2d(64, 64, 3, padding=1), torch.float32)
    taken: list[int] = []
    layer.otherwise.register_forward_hook(lambda *_: taken.append(1))
    x = torch.randn(1, 64, 12, 12)
    for few, threads, times in ((17, 1000, 1), (16, 1000, 1), (0, 0, 2)):
        monkeypatch.setattr(winograd, "FEW", few)
        monkeypatch.setattr(winograd, "THREADS", threads)
        layer(x)
        assert len(taken) == times


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_detector_finds_the_same(precision, monkeypatch):
    if DETECTOR_DTYPES[precision] not in DTYPES:
        pytest.skip("this CPU does not compute in that precision")
    torch.manual_seed(0)
    model = FCOS(SMALL).eval()
    nn.init.normal_(model.head.logits.weight, std=0.3)
    nn.init.zeros_(model.head.logits.bias)
    images = torch.randint(256, (1, 3, 96, 128), dtype=torch.uint8)
    sizes = torch.tensor([[96, 128]])
    mine = Detector(model, device="cpu", precision=precision)
    assert sum(isinstance(m, WinogradConv2d) for m in mine.model.modules()) > 10
    monkeypatch.setattr(winograd, "fits", lambda *_: False)
    theirs = Detector(model, device="cpu", precision=precision)
    assert not any(isinstance(m, WinogradConv2d) for m in theirs.model.modules())
    one, other = mine.predict(images, sizes), theirs.predict(images, sizes)
    tolerance = 1e-4 if precision == "fp32" else 0.1
    for a, b in ((one.logits, other.logits), (one.quality, other.quality), (one.distances, other.distances)):
        assert (a - b).float().abs().max() < tolerance * b.float().abs().max()


def test_a_detector_that_is_not_folded_keeps_its_convolutions():
    for how in ({"fold": False}, {"channels_last": False}):
        detector = Detector(FCOS(SMALL), device="cpu", **how)
        assert not any(isinstance(m, WinogradConv2d) for m in detector.model.modules())
