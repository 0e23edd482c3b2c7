"""Masks as pixels: centres, parts, and COCO's run lengths."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from detection.data import masks as coco_masks
from detection.data.bitmaps import largest_parts, mass_centers, of_outline, run_lengths


def test_the_centre_of_mass_is_the_mean_of_the_middles_of_pixels():
    masks = torch.zeros(3, 6, 8, dtype=torch.uint8)
    masks[0, 1:3, 2:6] = 1
    masks[1, 0, 0] = masks[1, 4, 7] = masks[1, 5, 7] = 1
    boxes = torch.tensor([[2.0, 1, 6, 3], [0, 0, 8, 6], [1, 1, 4, 2]])
    centers = mass_centers(masks, boxes)
    torch.testing.assert_close(centers, torch.tensor([[4.0, 2.0], [15.5 / 3, 10.5 / 3], [2.5, 1.5]]))
    assert mass_centers(masks[:0], boxes[:0]).shape == (0, 2)


def test_of_several_parts_the_largest_is_left():
    mask = torch.zeros(3, 5, 9, dtype=torch.uint8)
    mask[0, 0:2, 0:2] = 1
    mask[0, 3:5, 5:9] = 1
    mask[1, 1, 1:4] = 1
    mask[2, 0, 0] = mask[2, 1, 1] = 1  # corners do not connect; of equal ones the first
    found = largest_parts(mask)
    assert found[0].sum() == 8
    assert found[0, 3:5, 5:9].all()
    assert torch.equal(found[1], mask[1])
    assert found[2].nonzero().tolist() == [[0, 0]]
    assert found.dtype == torch.uint8
    assert len(largest_parts(mask[:0])) == 0


@pytest.mark.parametrize("seed", range(3))
def test_run_lengths_are_the_pixels(seed: int):
    mask = (np.random.default_rng(seed).random((13, 7)) < 0.4).astype(np.uint8)
    packed = run_lengths(mask)
    assert packed["size"] == [13, 7]
    assert (coco_masks.decode(packed, 13, 7) == mask).all()


def test_an_outline_is_filled_and_cut_at_the_border():
    square = np.array([[-3.0, 2.0], [4.0, 2.0], [4.0, 50.0], [-3.0, 50.0]])
    mask = coco_masks.decode(of_outline(square, 6, 9), 6, 9)
    expected = np.zeros((6, 9), dtype=np.uint8)
    expected[2:, :4] = 1
    assert (mask == expected).all()
