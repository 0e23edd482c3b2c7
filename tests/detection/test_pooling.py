"""Means of maps over boxes and masks, beside an average over a grid so fine that nothing is cut."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from detection.config import STRIDES, ModelConfig
from detection.pooling import box_weights, levels, mask_weights, overlaps, pooled
from detection.targets import Locations, assign

QUARTERS = 4
"""Boxes begin and end at quarters of pixels, so that there is a grid on which all edges lie."""


class Case(NamedTuple):
    """A map of an image that is resized to ``size`` and padded to ``image_size``, and a box in it."""

    features: Tensor
    image_size: tuple[int, int]
    size: tuple[int, int]
    box: Tensor

    @property
    def grid(self) -> tuple[int, int]:
        return int(self.features.shape[1]), int(self.features.shape[2])


@st.composite
def cases(draw: st.DrawFn) -> Case:
    image_size = draw(st.integers(4, 14)), draw(st.integers(4, 14))
    size = draw(st.integers(2, image_size[0])), draw(st.integers(2, image_size[1]))
    grid = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    ends = []
    for side in size[::-1]:  # x, then y
        begin = draw(st.integers(0, QUARTERS * side - 1))
        ends.append((begin, draw(st.integers(begin + 1, QUARTERS * side))))
    (x1, x2), (y1, y2) = ends
    features = torch.randn(3, *grid, generator=torch.Generator().manual_seed(draw(st.integers(0, 999))))
    return Case(features, image_size, size, torch.tensor([[x1, y1, x2, y2]]) / QUARTERS)


@st.composite
def masks(draw: st.DrawFn) -> Tensor:
    height, width = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    bits = draw(st.lists(st.integers(0, 1), min_size=height * width, max_size=height * width))
    return torch.tensor(bits, dtype=torch.uint8).view(1, height, width)


def finely(case: Case, inside: Tensor, points: tuple[Tensor, Tensor]) -> Tensor:
    """The mean over those of the ``points`` (y, x), in pixels, that are ``inside`` [y, x]."""
    y, x = (
        (at * cells / length).long().clamp(max=cells - 1)
        for at, cells, length in zip(points, case.grid, case.image_size, strict=True)
    )
    values = case.features.double()[:, y[:, None], x[None, :]]
    return values[:, inside].mean(1)


def middles(length: int, steps: int) -> Tensor:
    """The middles of ``steps`` equal steps from 0 to ``length``."""
    return (torch.arange(steps, dtype=torch.float64) + 0.5) * (length / steps)


@given(cases())
def test_a_mean_over_a_box_is_that_of_a_fine_grid(case: Case):
    points = tuple(
        middles(length, length * cells * QUARTERS) for length, cells in zip(case.image_size, case.grid, strict=True)
    )
    x1, y1, x2, y2 = case.box[0].tolist()
    (y, x), weights = points, box_weights(case.box, grid=case.grid, image_size=case.image_size)
    inside = ((y > y1) & (y < y2))[:, None] & ((x > x1) & (x < x2))[None, :]
    assert weights.sum() == pytest.approx(1)
    assert pooled(weights, case.features)[0].numpy() == pytest.approx(finely(case, inside, (y, x)), abs=1e-5)


@given(cases(), masks())
def test_a_mean_over_a_mask_is_that_of_a_fine_grid(case: Case, mask: Tensor):
    height, width = mask.shape[1:]
    y, x = (
        middles(length, length * cells * pixels)
        for length, cells, pixels in zip(case.image_size, case.grid, (height, width), strict=True)
    )
    row, column = (y * height / case.size[0]).long(), (x * width / case.size[1]).long()
    drawn = torch.zeros(int(row.max()) + 1, int(column.max()) + 1, dtype=torch.bool)
    drawn[:height, :width] = mask[0]
    inside = drawn[row[:, None], column[None, :]]
    where = {"grid": case.grid, "image_size": case.image_size}
    weights = mask_weights(mask, case.box, **where, size=case.size)
    assert weights.sum() == pytest.approx(1)
    if not mask.any():
        assert torch.equal(weights, box_weights(case.box, **where))
        return
    assert pooled(weights, case.features)[0].numpy() == pytest.approx(finely(case, inside, (y, x)), abs=1e-5)


@given(cases(), st.floats(-100, 100))
def test_a_constant_map_gives_the_constant(case: Case, value: float):
    weights = box_weights(case.box, grid=case.grid, image_size=case.image_size)
    same = torch.full_like(case.features, value)
    assert pooled(weights, same)[0].numpy() == pytest.approx([value] * 3, rel=1e-5, abs=1e-5)


@given(cases(), st.integers(1, 4))
def test_a_mask_that_is_the_box_gives_what_the_box_gives(case: Case, scale: int):
    height, width = (side * scale for side in case.size)  # stored pixels of a finer image, in which the box lies whole
    x1, y1, x2, y2 = (case.box[0] * scale).round().long().tolist()
    x2, y2 = max(x2, x1 + 1), max(y2, y1 + 1)
    mask = torch.zeros(1, height + 1, width + 1, dtype=torch.uint8)
    mask[0, y1:y2, x1:x2] = 1
    mask, (x2, y2) = mask[:, :height, :width], (min(x2, width), min(y2, height))
    box = torch.tensor([[x1, y1, x2, y2]]) / scale
    where = {"grid": case.grid, "image_size": case.image_size}
    by_mask = mask_weights(mask, box, **where, size=case.size)
    assert by_mask.numpy() == pytest.approx(box_weights(box, **where).numpy(), abs=1e-6)


def test_a_box_within_a_cell_takes_that_cell_and_one_without_a_side_too():
    boxes = torch.tensor([[9.0, 1, 10, 2], [9, 1, 9, 2], [9, 5, 9, 5], [16, 16, 16, 16], [40, -9, 50, -5]])
    weights = box_weights(boxes, grid=(2, 2), image_size=(16, 16))
    assert weights.tolist() == [[0, 1, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [0, 1, 0, 0]]


def test_cells_are_parts_of_the_padded_image_also_where_these_are_not_strides():
    shared = overlaps(torch.tensor([0.0, 40]), torch.tensor([96.0, 60]), cells=2, length=96)
    assert shared.tolist() == [[48, 48], [8, 12]]


def test_there_may_be_no_object():
    none = box_weights(torch.zeros(0, 4), grid=(2, 3), image_size=(16, 24))
    assert pooled(none, torch.ones(5, 2, 3)).shape == (0, 5)
    empty = mask_weights(
        torch.zeros(0, 9, 9, dtype=torch.uint8), torch.zeros(0, 4), grid=(2, 3), image_size=(16, 24), size=(9, 9)
    )
    assert empty.shape == (0, 6)


def test_coarse_maps_are_averaged_in_single_precision():
    features = torch.tensor([256.0, 257, 258, 259]).bfloat16().view(1, 2, 2)
    weights = box_weights(torch.tensor([[0.0, 0, 16, 16]]), grid=(2, 2), image_size=(16, 16))
    assert pooled(weights, features).item() == features.float().mean().item()
    assert pooled(weights, features).dtype == torch.float32


def test_the_level_is_the_one_at_which_the_middle_of_a_box_is_learned():
    config = ModelConfig()
    rng = np.random.default_rng(0)
    for side in (8, 100, 127, 129, 200, 255, 257, 400, 511, 513, 700, 1000, 1023, 1025, 2000):
        w, h = rng.permutation([side, side * rng.uniform(0.3, 1)])
        box = torch.tensor([[500 - w / 2, 300 - h / 2, 500 + w / 2, 300 + h / 2]], dtype=torch.float32)
        where = Locations(torch.tensor([[500.0, 300]] * 5), torch.tensor(STRIDES).float(), torch.arange(5))
        learned = assign(where, [box], [torch.zeros(1, dtype=torch.int64)], config=config)
        assert levels(box, config.size_ranges).tolist() == (learned.labels[0] == 0).nonzero().flatten().tolist()
    assert levels(torch.tensor([[0.0, 0, 128, 5], [0, 0, 5, 128.1]]), config.size_ranges).tolist() == [0, 1]
