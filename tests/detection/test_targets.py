"""Targets: which location answers for which box, against cases worked out by hand and a plain loop."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from detection.boxes import area
from detection.config import STRIDES, ModelConfig
from detection.targets import BACKGROUND, assign, locations

CONFIG = ModelConfig()
GRID = ((16, 24), (8, 12), (4, 6), (2, 3), (1, 2))
SIZE = (128, 192)
"""Of the padded image; P7 has a row less than 128 / 128 + 1 and one column more than 192 // 128."""


def where(config: ModelConfig = CONFIG):
    return locations(GRID, config=config, image_size=SIZE)


def at(x: float, y: float, level: int) -> int:
    """The index of the location at x, y of a level."""
    w = where()
    found = ((w.points == torch.tensor([x, y])).all(1) & (w.levels == level)).nonzero()
    assert len(found) == 1
    return int(found)


def assigned(*boxes: tuple[float, float, float, float], **changes: object):
    """Targets of one image whose boxes have the classes 5, 6, 7, ..."""
    config = dataclasses.replace(CONFIG, **changes)
    labels = torch.arange(5, 5 + len(boxes))
    return assign(where(config), [torch.tensor(boxes).reshape(-1, 4)], [labels], config=config)


def test_locations_are_the_middles_of_cells():
    w = where()
    assert len(w.points) == sum(rows * columns for rows, columns in GRID)
    assert w.points[:2].tolist() == [[4, 4], [12, 4]]  # along x first
    assert w.points[24].tolist() == [4, 12]
    assert w.points[-2:].tolist() == [[64, 64], [192, 64]]
    assert w.strides.unique().tolist() == list(STRIDES)


def test_locations_on_a_grid_step_by_padded_size_over_cells():
    w = where(dataclasses.replace(CONFIG, locations="grid"))
    assert w.points[:2].tolist() == [[0, 0], [8, 0]]
    assert w.points[-2:].tolist() == [[0, 0], [96, 0]]  # 192 // 2, not 128
    assert w.strides[-1] == 128  # the unit stays


def test_a_box_belongs_to_the_level_of_its_size():
    found = assigned((20, 20, 68, 52))
    positive = found.labels[0] != BACKGROUND
    assert positive.any()
    assert where().levels[positive].unique().tolist() == [0]
    index = at(44, 36, 0)
    assert found.labels[0, index] == 5
    assert found.distances[0, index].tolist() == [24 / 8, 16 / 8, 24 / 8, 16 / 8]
    in_pixels = assigned((20, 20, 68, 52), normalise_distances=False)
    assert in_pixels.distances[0, index].tolist() == [24, 16, 24, 16]


def test_a_distance_at_the_end_of_a_range_belongs_to_both_levels():
    # 64 pixels to the right side: on P3 because 64 is not above its range, on P4 because it is not below.
    box = (4.0, 0.0, 88.0, 40.0)
    found = assigned(box, center_sampling=0.0)
    assert found.labels[0, at(24, 24, 1)] == 5
    assert found.distances[0, at(24, 24, 1)][2] == 64 / 16
    on_p3 = assigned((4.0, 0.0, 84.0, 40.0), center_sampling=0.0)
    assert on_p3.labels[0, at(20, 20, 0)] == 5


def test_only_the_middle_is_positive_and_only_inside_the_box():
    found = assigned((20, 20, 68, 52))
    x, y = where().points[found.labels[0] != BACKGROUND].unbind(1)
    # 1.5 strides of 8 around (44, 36), the border itself excluded.
    assert x.tolist() == [36, 44, 52] * 3
    assert y.tolist() == [28] * 3 + [36] * 3 + [44] * 3
    everywhere = assigned((20, 20, 68, 52), center_sampling=0.0)
    assert (everywhere.labels[0] != BACKGROUND).sum() == 5 * 3
    # Thinner than the middle: locations beside the box are not in it.
    thin = assigned((20, 35, 68, 37))
    assert where().points[thin.labels[0] != BACKGROUND].tolist() == [[36, 36], [44, 36], [52, 36]]


def test_the_smaller_of_two_boxes_is_meant_and_of_equal_ones_the_first():
    index = at(44, 36, 0)
    assert assigned((20, 20, 68, 52), (30, 25, 58, 47)).labels[0, index] == 6
    assert assigned((30, 25, 58, 47), (20, 20, 68, 52)).labels[0, index] == 5
    assert assigned((20, 20, 68, 52), (20, 20, 68, 52)).matched[0, index] == 0


def test_an_image_without_boxes_is_all_background():
    found = assign(where(), [torch.empty(0, 4)] * 2, [torch.empty(0, dtype=torch.int64)] * 2, config=CONFIG)
    assert found.labels.shape == (2, len(where().points))
    assert (found.labels == BACKGROUND).all()
    assert (found.distances == 0).all()


@pytest.mark.parametrize("center_sampling", [0.0, 1.5])
def test_vectorised_targets_are_those_of_a_plain_loop(center_sampling):
    config = dataclasses.replace(CONFIG, center_sampling=center_sampling)
    generator = torch.Generator().manual_seed(3)
    corner = torch.rand(12, 2, generator=generator) * 120
    boxes = torch.cat([corner, corner + 1 + torch.rand(12, 2, generator=generator) ** 2 * 150], dim=1)
    labels = torch.arange(12)
    w = where(config)
    found = assign(w, [boxes], [labels], config=config)
    edges = [-1, *config.size_ranges, math.inf]
    n_positive = 0
    for i, (point, stride, level) in enumerate(zip(*w, strict=True)):
        x, y = point.tolist()
        best, smallest = BACKGROUND, math.inf
        for j, box in enumerate(boxes):
            x1, y1, x2, y2 = box.tolist()
            four = (x - x1, y - y1, x2 - x, y2 - y)
            middle = max(abs(x - (x1 + x2) / 2), abs(y - (y1 + y2) / 2)) < center_sampling * stride
            if min(four) <= 0 or (center_sampling and not middle):
                continue
            if edges[level] <= max(four) <= edges[level + 1] and float(area(box)) < smallest:
                best, smallest = j, float(area(box))
        assert found.matched[0, i] == best
        assert found.labels[0, i] == best
        n_positive += best != BACKGROUND
        if best != BACKGROUND:
            x1, y1, x2, y2 = boxes[best].tolist()
            expected = torch.tensor([x - x1, y - y1, x2 - x, y2 - y]) / stride
            assert torch.allclose(found.distances[0, i], expected, atol=1e-5)
    assert n_positive > 20
