"""Masks pixel by pixel as COCO's own tools draw them, and segmentations that cannot be drawn."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from detection.data import masks

HEIGHT, WIDTH = 23, 31
CORNER = st.floats(-9, 40, allow_nan=False, width=32)
POLYGON = st.lists(CORNER, min_size=6, max_size=16).filter(lambda numbers: len(numbers) % 2 == 0)


def reference(segmentation: Any) -> NDArray[np.uint8]:
    api = pytest.importorskip("pycocotools.mask", reason="COCO's own tools are not installed")
    rle = api.frPyObjects(segmentation, HEIGHT, WIDTH)
    return api.decode(api.merge(rle) if isinstance(rle, list) else rle)


@given(st.lists(POLYGON, min_size=1, max_size=3))
def test_polygons_are_drawn_to_the_pixel_as_coco_does(polygons: list[list[float]]) -> None:
    np.testing.assert_array_equal(masks.decode(polygons, HEIGHT, WIDTH), reference(polygons))


@given(arrays(np.uint8, (HEIGHT, WIDTH), elements=st.integers(0, 1)))
def test_run_lengths_of_both_forms_are_read_as_coco_writes_them(mask: NDArray[np.uint8]) -> None:
    api = pytest.importorskip("pycocotools.mask", reason="COCO's own tools are not installed")
    compressed = api.encode(np.asfortranarray(mask))
    compressed["counts"] = compressed["counts"].decode()
    flat = np.concatenate(([0], mask.T.ravel(), [2]))
    changes = np.flatnonzero(np.diff(flat))
    lengths = {"size": [HEIGHT, WIDTH], "counts": np.diff(changes, prepend=0).tolist()}
    for form in (compressed, lengths):
        masks.check(form, HEIGHT, WIDTH)
        np.testing.assert_array_equal(masks.decode(form, HEIGHT, WIDTH), mask)


def test_a_rectangle_of_whole_pixels_is_filled_exactly() -> None:
    mask = masks.decode([[3, 2, 10, 2, 10, 8, 3, 8]], HEIGHT, WIDTH)
    expected = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    expected[2:8, 3:10] = 1
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize("polygons", [[], [[]], [[1, 2]], [[1, 2, 8, 9]]])
def test_what_has_fewer_than_three_corners_has_no_inside(polygons: list[list[float]]) -> None:
    masks.check(polygons, HEIGHT, WIDTH)
    assert masks.decode(polygons, HEIGHT, WIDTH).sum() == 0


SIZE = [HEIGHT, WIDTH]
BROKEN: dict[str, tuple[Any, str]] = {
    "a text": ("abc", "neither a list of polygons nor an object"),
    "a number": (3, "neither a list of polygons nor an object"),
    "numbers that are not in a list of lists": ([1, 2, 3, 4, 5, 6], "something else than polygons"),
    "texts for numbers": ([["1", "2", "3", "4", "5", "6"]], "no list of numbers"),
    "null for a number": ([[1, 2, 3, None, 5, 6]], "no list of numbers"),
    "corners as pairs": ([[[1, 2], [3, 4], [5, 6]]], "no list of numbers"),
    "a ragged list": ([[1, 2, [3, 4]]], "no list of numbers"),
    "an odd count": ([[1, 2, 3, 4, 5, 6, 7]], "7 numbers, which are no pairs"),
    "NaN": ([[1, 2, 3, float("nan"), 5, 6]], "NaN or farther than 100000 pixels"),
    "the least of integers": ([[-(2**63), 2, 3, 4, 5, 6]], "NaN or farther than 100000 pixels"),
    "a corner far away": ([[1, 2, 3, 1e12, 5, 6]], "NaN or farther than 100000 pixels"),
    "no size": ({"counts": [HEIGHT * WIDTH]}, "has the size None, not that of its image, [23, 31]"),
    "another size": ({"size": [31, 23], "counts": [HEIGHT * WIDTH]}, "has the size [31, 23], not that of its image"),
    "no counts": ({"size": SIZE}, "has no counts"),
    "counts too few": ({"size": SIZE, "counts": [5, 6]}, "sum up to 11, not to the 713 pixels"),
    "no counts at all": ({"size": SIZE, "counts": []}, "sum up to 0, not to the 713 pixels"),
    "a negative count": ({"size": SIZE, "counts": [714, -1]}, "not all whole numbers"),
    "half a count": ({"size": SIZE, "counts": [712.5, 0.5]}, "not all whole numbers"),
    "counts that overflow": ({"size": SIZE, "counts": [2**63 - 1, 2**63 - 1, 715]}, "not all whole numbers"),
    "counts beyond 64 bits": ({"size": SIZE, "counts": [2**70]}, "not all whole numbers"),
    "an empty text": ({"size": SIZE, "counts": ""}, "no compressed run lengths, or are cut off"),
    "a text that is cut off": ({"size": SIZE, "counts": "P"}, "no compressed run lengths, or are cut off"),
    "a text of other characters": ({"size": SIZE, "counts": "é!"}, "no compressed run lengths, or are cut off"),
    "a text of endless digits": ({"size": SIZE, "counts": "o" * 40 + "0"}, "more than 60 bits"),
    "a text of negative lengths": ({"size": SIZE, "counts": "O"}, "not all whole numbers"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_segmentation_is_refused_before_and_when_it_is_drawn(name: str) -> None:
    segmentation, says = BROKEN[name]
    with pytest.raises(ValueError, match=re.escape(says)):
        masks.check(segmentation, HEIGHT, WIDTH)
    if isinstance(segmentation, list | dict):
        with pytest.raises(ValueError, match=re.escape(says)):
            masks.decode(segmentation, HEIGHT, WIDTH)
