"""Boxes: areas, overlaps, borders."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from detection import boxes


def drawn(n: int) -> st.SearchStrategy[torch.Tensor]:
    return arrays("int64", (n, 4), elements=st.integers(0, 20)).map(lambda a: torch.from_numpy(a).float())


def cells(box: torch.Tensor) -> set[tuple[int, int]]:
    """The unit cells that a box of whole numbers covers."""
    x1, y1, x2, y2 = (int(v) for v in box)
    return {(x, y) for x in range(x1, x2) for y in range(y1, y2)}


@given(drawn(3), drawn(4))
def test_overlap_is_that_of_the_cells_which_boxes_cover(a, b):
    iou = boxes.pairwise_iou(a, b)
    for i, one in enumerate(a):
        assert boxes.area(one) == len(cells(one))
        for j, other in enumerate(b):
            union = len(cells(one) | cells(other))
            expected = len(cells(one) & cells(other)) / union if union else 0.0
            # A box whose corners are swapped covers nothing, and so does what it shares.
            assert abs(float(iou[i, j]) - expected) < 1e-6


def test_a_box_of_width_one_is_one_pixel():
    assert boxes.area(torch.tensor([3.0, 4.0, 4.0, 5.0])) == 1


def test_boxes_are_cut_at_the_border():
    cut = boxes.clip(torch.tensor([[-5.0, -1.0, 300.0, 90.0], [3.0, 4.0, 5.0, 6.0]]), 100, 200)
    assert cut.tolist() == [[0, 0, 200, 90], [3, 4, 5, 6]]
