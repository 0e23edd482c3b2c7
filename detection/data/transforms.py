"""Resizing and flipping of images, boxes and masks: pure functions of tensors.

Three conventions of whose sizes and pixels a detector was trained on. *original*: FCOS and maskrcnn-benchmark round the
longer side down. *detectron2*: it is rounded to the nearest. Both resize bytes with antialiasing, as Pillow does.
*torchvision*: both sides are rounded down, and floats are interpolated without antialiasing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Convention = Literal["original", "detectron2", "torchvision"]


def resized_size(height: int, width: int, *, short_side: int, max_side: int, convention: Convention) -> tuple[int, int]:
    """The (height, width) to which an image is resized: its shorter side to ``short_side``, unless the longer one
    would then exceed ``max_side``. Each side is at least 1 pixel, where a very long image would have none left.

    The arithmetic is that of each convention to the last bit, because one rounding more is another image:
    get_size of maskrcnn-benchmark's Resize; get_output_shape of detectron2's ResizeShortestEdge; and
    GeneralizedRCNNTransform of torchvision, whose floor of height x scale may fall one pixel short of ``short_side``.
    """
    if min(height, width, short_side, max_side) < 1:
        raise ValueError(f"no side may be below 1, but they are {height}, {width}, {short_side}, {max_side}")
    short, long = min(height, width), max(height, width)
    if convention == "original":
        side = short_side
        if long / short * side > max_side:
            side = round(max_side * short / long)
        # The original has no size for an image of which the shorter side would vanish.
        side, other = (side, int(side * long / short)) if side else (1, max_side)
        return (side, other) if height <= width else (other, side)
    if convention == "detectron2":
        scale = short_side / short
        new_height = float(short_side) if height < width else scale * height
        new_width = scale * width if height < width else float(short_side)
        if max(new_height, new_width) > max_side:
            shrink = max_side / max(new_height, new_width)
            new_height, new_width = new_height * shrink, new_width * shrink
        return max(int(new_height + 0.5), 1), max(int(new_width + 0.5), 1)
    if convention == "torchvision":
        scale = min(short_side / short, max_side / long)
        return max(math.floor(height * scale), 1), max(math.floor(width * scale), 1)
    raise ValueError(f"convention is {convention!r}, but it must be original, detectron2 or torchvision")


def padded_size(sizes: Sequence[tuple[int, int]], multiple: int) -> tuple[int, int]:
    """The smallest (height, width) that holds images of all ``sizes``, each side a multiple of ``multiple``."""
    height, width = max(h for h, _ in sizes), max(w for _, w in sizes)
    return math.ceil(height / multiple) * multiple, math.ceil(width / multiple) * multiple


def resize(image: Tensor, size: tuple[int, int], convention: Convention) -> Tensor:
    """``image`` uint8 [3, h, w] resized to [3, *size]: uint8, or float32 (0 to 255) for torchvision's convention.

    The pixel grid is that of areas (align_corners False) in all conventions. Bytes are rounded as Pillow rounds them:
    results are within 1 of its BILINEAR.
    """
    if image.dtype != torch.uint8 or image.dim() != 3:
        raise ValueError(f"image must be uint8 [3, h, w], but it is {image.dtype} {list(image.shape)}")
    if convention == "torchvision":
        image = image.float()
    if image.shape[-2:] == size:
        return image
    # Pixel by pixel in memory, and with the strides of a batch of such images: by these the fast kernel is chosen.
    batch = image.permute(1, 2, 0)[None].contiguous().permute(0, 3, 1, 2)
    antialias = convention != "torchvision"
    return functional.interpolate(batch, size=size, mode="bilinear", align_corners=False, antialias=antialias)[0]


def resize_boxes(boxes: Tensor, original: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """``boxes`` xyxy [..., 4] of an image of ``original`` (height, width) in the pixels of the image of ``size``."""
    y, x = (new / old for new, old in zip(size, original, strict=True))
    return boxes * boxes.new_tensor((x, y, x, y))


def resize_masks(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """``masks`` uint8 [n, h, w] of 0 and 1 resized to [n, *size]: 1 where at least half of a pixel is covered.

    Of a mask so thin or small that this is so nowhere, where at least half as much is covered as anywhere.
    """
    if masks.shape[-2:] == size or not len(masks):
        return masks.new_zeros((0, *size)) if not len(masks) else masks
    # Covering is measured in 255ths of a byte: bytes are resized several times faster than floats.
    covered = functional.interpolate(
        (masks * 255)[None], size=size, mode="bilinear", align_corners=False, antialias=True
    )[0]
    most = covered.flatten(1).amax(1)[:, None, None]
    least = torch.where(most >= 128, 128, (most + 1) // 2).clamp(min=1)
    return (covered >= least).to(torch.uint8)


def flip(image: Tensor) -> Tensor:
    """An image or masks [..., width], left and right exchanged."""
    return image.flip(-1)


def flip_boxes(boxes: Tensor, width: int) -> Tensor:
    """``boxes`` xyxy [..., 4] of an image of ``width`` pixels that is flipped; without the original's one pixel."""
    x1, y1, x2, y2 = boxes.unbind(-1)
    return torch.stack((width - x2, y1, width - x1, y2), dim=-1)
