"""Sizes to the pixel as the conventions have them; boxes, masks and pixels that stay together."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch.nn import functional

from detection.data.transforms import (
    Convention,
    flip,
    flip_boxes,
    padded_size,
    resize,
    resize_boxes,
    resize_masks,
    resized_size,
)
from tests.detection.data.tiny import pixels

CONVENTIONS: tuple[Convention, ...] = ("original", "detectron2", "torchvision")
SIDES = st.integers(1, 3000)


@pytest.mark.parametrize(
    ("height", "width", "convention", "size"),
    [
        (480, 640, "original", (800, 1066)),  # 1066.67 is cut
        (480, 640, "detectron2", (800, 1067)),
        (480, 640, "torchvision", (800, 1066)),
        (640, 480, "original", (1066, 800)),
        (427, 640, "original", (800, 1199)),  # 1199.06
        (427, 640, "torchvision", (800, 1199)),
        (300, 640, "original", (625, 1333)),  # 1333 / 640 * 300 = 624.8: the shorter side rounded, the longer from it
        (300, 640, "detectron2", (625, 1333)),
        (300, 640, "torchvision", (624, 1333)),
        (333, 500, "original", (800, 1201)),
        (800, 900, "original", (800, 900)),
        (1, 5000, "original", (1, 1333)),  # 1333 / 5000 rounds to 0; one pixel is the least
        (1, 5000, "detectron2", (1, 1333)),
        (1, 5000, "torchvision", (1, 1333)),
    ],
)
def test_sizes_round_as_each_convention_does(
    height: int, width: int, convention: Convention, size: tuple[int, int]
) -> None:
    assert resized_size(height, width, short_side=800, max_side=1333, convention=convention) == size


def test_torchvision_sizes_are_those_of_interpolating_by_a_scale() -> None:
    sizes = []
    for height in range(10, 60):
        for width in range(10, 60, 3):
            expected = functional.interpolate(
                torch.zeros(1, 1, height, width),
                scale_factor=min(8 / min(height, width), 13 / max(height, width)),
                mode="bilinear",
                recompute_scale_factor=True,
            )
            sizes.append(resized_size(height, width, short_side=8, max_side=13, convention="torchvision"))
            assert sizes[-1] == expected.shape[-2:]
    # Rounding errors of the scale show: squares do not all come out at the full size.
    assert {min(size) for size in sizes if size[0] == size[1]} == {7, 8}


@given(height=SIDES, width=SIDES, short_side=st.integers(1, 1000), more=st.integers(0, 1000))
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_sizes_keep_the_limits_and_the_shape(
    convention: Convention, height: int, width: int, short_side: int, more: int
) -> None:
    max_side = short_side + more
    new_height, new_width = resized_size(height, width, short_side=short_side, max_side=max_side, convention=convention)
    turned = resized_size(width, height, short_side=short_side, max_side=max_side, convention=convention)
    assert turned == (new_width, new_height)
    assert min(new_height, new_width) >= 1
    # The original computes the longer side from the shorter one, which rounding makes up to half a pixel longer.
    slack = max(height, width) / min(height, width) if convention == "original" else 0
    assert max(new_height, new_width) <= max_side + slack / 2
    assert min(new_height, new_width) <= short_side
    scale = min(short_side / min(height, width), max_side / max(height, width))
    assert abs(min(new_height, new_width) - scale * min(height, width)) <= 1
    assert abs(max(new_height, new_width) - scale * max(height, width)) <= 1 + slack


@pytest.mark.parametrize("sides", [(0, 5, 8, 9), (5, 0, 8, 9), (5, 5, 0, 9), (5, 5, 8, 0)])
def test_a_side_below_one_pixel_is_refused(sides: tuple[int, int, int, int]) -> None:
    height, width, short_side, max_side = sides
    with pytest.raises(ValueError, match="no side may be below 1"):
        resized_size(height, width, short_side=short_side, max_side=max_side, convention="original")


@given(st.lists(st.tuples(SIDES, SIDES), min_size=1, max_size=5), st.sampled_from((1, 32, 128)))
def test_padding_holds_all_images_in_the_smallest_multiple(sizes: list[tuple[int, int]], multiple: int) -> None:
    height, width = padded_size(sizes, multiple)
    assert height % multiple == width % multiple == 0
    assert 0 <= height - max(h for h, _ in sizes) < multiple
    assert 0 <= width - max(w for _, w in sizes) < multiple


def picture(width: int = 61, height: int = 40) -> torch.Tensor:
    return torch.from_numpy(pixels(width, height)).permute(2, 0, 1)


@pytest.mark.parametrize("convention", ["original", "detectron2"])
@pytest.mark.parametrize("size", [(20, 31), (80, 122), (40, 30), (57, 61), (1, 1)])
def test_bytes_are_resized_as_pillow_does_up_to_rounding(convention: Convention, size: tuple[int, int]) -> None:
    ours = resize(picture(), size, convention)
    height, width = size
    pillow = Image.fromarray(pixels(61, 40)).resize((width, height), Image.Resampling.BILINEAR)
    assert ours.dtype == torch.uint8
    difference = ours.permute(1, 2, 0).numpy().astype(int) - np.asarray(pillow).astype(int)
    assert abs(difference).max() <= 1


def test_torchvision_interpolates_floats_without_antialiasing() -> None:
    ours = resize(picture(), (13, 17), "torchvision")
    plain = functional.interpolate(picture().float()[None], size=(13, 17), mode="bilinear", align_corners=False)[0]
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours, plain, rtol=0, atol=1e-4)
    assert (ours - resize(picture(), (13, 17), "original").float()).abs().max() > 2


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_resizing_depends_on_pixels_and_not_on_how_they_lie_in_memory(convention: Convention) -> None:
    assert torch.equal(resize(picture(), (30, 50), convention), resize(picture().contiguous(), (30, 50), convention))
    assert torch.equal(resize(picture(), (40, 61), convention).float(), picture().float())


def test_an_image_of_floats_or_without_channels_is_refused() -> None:
    for wrong in (picture().float(), picture()[0]):
        with pytest.raises(ValueError, match="must be uint8"):
            resize(wrong, (8, 8), "original")


def test_boxes_go_with_the_image_by_the_scale_of_each_side() -> None:
    boxes = torch.tensor([[0.0, 0, 640, 480], [10, 20, 30, 40]])
    resized = resize_boxes(boxes, (480, 640), (800, 1066))
    torch.testing.assert_close(resized[0], torch.tensor([0.0, 0, 1066, 800]))
    torch.testing.assert_close(resized[1], torch.tensor([16.65625, 33.3333333, 49.96875, 66.6666667]))
    assert resize_boxes(torch.zeros(0, 4), (480, 640), (800, 1066)).shape == (0, 4)


@given(x=st.floats(0, 50), y=st.floats(0, 50), w=st.floats(0, 50), h=st.floats(0, 50))
def test_flipping_twice_changes_nothing_and_once_mirrors(x: float, y: float, w: float, h: float) -> None:
    box = torch.tensor([[x, y, x + w, y + h]])
    flipped = flip_boxes(box, 100)
    assert flipped[0, 0] == 100 - box[0, 2]
    assert torch.equal(flipped[:, 1::2], box[:, 1::2])
    torch.testing.assert_close(flip_boxes(flipped, 100), box, rtol=0, atol=1e-5)


def test_a_flipped_box_is_around_the_flipped_pixels() -> None:
    image = torch.zeros(3, 8, 10, dtype=torch.uint8)
    image[:, 2:5, 1:4] = 255
    x1, y1, x2, y2 = flip_boxes(torch.tensor([1.0, 2, 4, 5]), 10).int().tolist()
    inside = flip(image)[:, y1:y2, x1:x2]
    assert (inside == 255).all()
    assert inside.sum() == image.sum()


def test_masks_are_resized_to_what_is_covered_by_half() -> None:
    mask = torch.zeros(1, 8, 8, dtype=torch.uint8)
    mask[:, 2:6, 2:6] = 1
    assert torch.equal(resize_masks(mask, (8, 8)), mask)
    larger = resize_masks(mask, (32, 32))
    assert larger.dtype == torch.uint8
    assert set(larger.unique().tolist()) == {0, 1}
    assert (larger[0, 9:23, 9:23] == 1).all()
    assert larger[0, :7].sum() == larger[0, :, :7].sum() == 0
    assert resize_masks(torch.zeros(0, 8, 8, dtype=torch.uint8), (4, 5)).shape == (0, 4, 5)
