"""Maps of different strides over each other, and masks read off coarse ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from detection.masks import reading
from detection.masks.grids import enlarged, sampled


def read_at(values: Tensor, place: float) -> float:
    """A piece-wise linear function of ``values`` at 0, 1, 2, ..., constant beyond both ends."""
    return float(np.interp(place, np.arange(len(values)), values.numpy()))


@pytest.mark.parametrize("factor", [1, 2, 3, 4, 8])
def test_a_location_keeps_its_value_when_its_map_is_enlarged(factor: int):
    values = torch.randn(1, 1, 1, 7, generator=torch.Generator().manual_seed(0))
    fine = enlarged(values.expand(1, 1, 5, 7), factor)
    assert fine.shape == (1, 1, 5 * factor, 7 * factor)
    expected = [read_at(values[0, 0, 0], (i - factor // 2) / factor) for i in range(7 * factor)]
    torch.testing.assert_close(fine[0, 0, 3], torch.tensor(expected), rtol=1e-5, atol=1e-6)
    # Cell i of stride f lies at i f + f // 2, in the fine map as in the image.
    torch.testing.assert_close(sampled(fine[0], factor)[0], values[0, 0].expand(5, 7), rtol=1e-6, atol=1e-6)


def test_both_axes_are_enlarged_alike():
    maps = torch.randn(2, 3, 5, 4, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(enlarged(maps, 4).mT, enlarged(maps.mT.contiguous(), 4))


@pytest.mark.parametrize(("size", "original"), [((29, 45), (29, 45)), ((29, 45), (61, 90)), ((30, 41), (17, 23))])
def test_what_is_read_is_what_two_interpolations_and_a_threshold_give(size: tuple[int, int], original: tuple[int, int]):
    generator = torch.Generator().manual_seed(2)
    coarse = functional.avg_pool2d(torch.rand(6, 1, 12, 16, generator=generator), 3, stride=1, padding=1)[:, 0]
    coarse[1] = 0.2  # nothing
    coarse[2] = 0.9  # everything
    axes = reading.axes((12, 16), factor=4, size=size, original=original)
    fine = enlarged(coarse[:, None], 4)[..., : size[0], : size[1]]
    plain = functional.interpolate(fine, size=original, mode="bilinear", align_corners=False)[:, 0]
    for one, probability in zip(coarse, plain, strict=True):
        mask = reading.read(one, axes)
        assert mask.shape == original
        clear = (probability - 0.5).abs() > 1e-5
        assert ((torch.from_numpy(np.ascontiguousarray(mask)) == (probability > 0.5)) | ~clear).all()
    assert reading.read(coarse[1], axes).sum() == 0
    assert reading.read(coarse[2], axes).all()


def test_a_single_cell_is_read_where_it_lies():
    probability = torch.zeros(8, 8)
    probability[2, 5] = 1.0
    mask = reading.read(probability, reading.axes((8, 8), factor=4, size=(32, 32), original=(32, 32)))
    y, x = np.nonzero(mask)
    # The cell is at 5 * 4 + 2 = 22 and 2 * 4 + 2 = 10; linear in between, it exceeds a half of itself near there alone.
    assert (y.min(), y.max(), x.min(), x.max()) == (9, 11, 21, 23)
    assert mask[10, 22] == 1
