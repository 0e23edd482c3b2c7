"""Images with what was found, or annotated, drawn on them."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from detection.data import masks as coco_masks
from detection.data.coco import Annotations

Colour = tuple[int, int, int]

TRANSLUCENT = 0.45
"""How much of a mask's pixels is its colour."""
GOLDEN = (math.sqrt(5) - 1) / 2
"""Steps of this, modulo 1, never come close to where they have been."""
TONES = ((0.95, 1.0), (0.75, 0.78), (0.5, 1.0))
"""Saturation and value of colours, in turns."""


class Found(Protocol):
    """Anything with boxes [n, 4], scores [n] and labels [n]; ``masks``, where it has them, as `draw_objects` says."""

    @property
    def boxes(self) -> Tensor:
        """Xyxy in pixels, float [n, 4]."""

    @property
    def scores(self) -> Tensor:
        """Float [n]."""

    @property
    def labels(self) -> Tensor:
        """Indices of categories, int64 [n]."""


def colour(label: int) -> Colour:
    """The colour of a category: bright, and another one for each of a hundred."""
    saturation, value = TONES[label % len(TONES)]
    red, green, blue = colorsys.hsv_to_rgb(label * GOLDEN % 1, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def draw(image: Tensor, detections: Found, names: Sequence[str], *, min_score: float = 0.3) -> Image.Image:
    """``image`` (uint8 [3, h, w], RGB) with the detections whose score is at least ``min_score``, the best on top.

    ``names`` has a name for every label.
    """
    keep = torch.nonzero(detections.scores >= min_score).flatten()
    keep = keep[detections.scores[keep].argsort(stable=True)].cpu()  # best last, and so on top
    labels, scores = detections.labels.cpu()[keep].tolist(), detections.scores.cpu()[keep].tolist()
    masks = getattr(detections, "masks", None)
    return draw_objects(
        image,
        detections.boxes.detach().cpu()[keep],
        labels,
        [f"{names[label]} {score:.2f}" for label, score in zip(labels, scores, strict=True)],
        masks=None if masks is None else [masks[at] for at in keep.tolist()],
    )


def draw_annotations(image: Tensor, annotations: Annotations, names: Sequence[str]) -> Image.Image:
    """``image`` (uint8 [3, h, w], RGB) with what is annotated in it, the smallest objects on top."""
    order = annotations.areas.argsort(descending=True, stable=True).tolist()
    labels, crowd = annotations.labels.tolist(), annotations.crowd.tolist()
    return draw_objects(
        image,
        annotations.boxes[order],
        [labels[at] for at in order],
        [names[labels[at]] + (" (crowd)" if crowd[at] else "") for at in order],
        masks=[annotations.segmentations[at] for at in order],
    )


def draw_objects(
    image: Tensor,
    boxes: Tensor,
    labels: Sequence[int],
    texts: Sequence[str],
    *,
    masks: Sequence[Tensor | NDArray[Any] | Mapping[str, Any] | list[Any] | None] | None = None,
) -> Image.Image:
    """``image`` with translucent masks under boxes under texts, later objects over earlier ones.

    Parameters
    ----------
    image
        uint8 [3, h, w], RGB.
    boxes
        [n, 4], xyxy in pixels; what is outside of the image is not drawn.
    labels, texts
        n labels, which choose the colours, and what is written at the boxes, always inside of the image.
    masks
        n bitmaps [h, w], COCO segmentations (polygons or run lengths), or None where there is none.

    Raises
    ------
    ValueError
        If a shape is not as above.
    """
    if image.dtype != torch.uint8 or image.ndim != 3 or image.shape[0] != 3:
        raise ValueError(f"the image is {image.dtype} {list(image.shape)}, but it must be uint8 [3, height, width]")
    count = len(boxes)
    if boxes.shape != (count, 4) or len(labels) != count or len(texts) != count:
        raise ValueError(f"boxes {list(boxes.shape)}, {len(labels)} labels, {len(texts)} texts do not belong together")
    if masks is not None and len(masks) != count:
        raise ValueError(f"there are {len(masks)} masks for {count} boxes")
    pixels = image.permute(1, 2, 0).cpu().numpy()
    height, width = pixels.shape[:2]
    if masks is not None:
        pixels = _overlaid(pixels, labels, [_bitmap(mask, height, width) for mask in masks])
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    pen = ImageDraw.Draw(picture)
    line = max(1, round(min(height, width) / 200))
    for label, box in zip(labels, boxes.tolist(), strict=True):
        corners = _pixels_of(box, height, width)
        if corners is not None:
            pen.rectangle(corners, outline=colour(label), width=line)
    _write(pen, boxes.tolist(), labels, texts, size=(width, height), line=line)
    return picture


def grid(images: Sequence[Image.Image], *, columns: int | None = None, gap: int = 8) -> Image.Image:
    """A contact sheet: ``images`` in rows, each in the middle of a cell as large as the largest needs.

    Without ``columns`` there are about as many as rows.

    Raises
    ------
    ValueError
        If there are no images, or fewer than one column.
    """
    if not images:
        raise ValueError("a contact sheet needs at least one image")
    columns = math.ceil(math.sqrt(len(images))) if columns is None else columns
    if columns < 1:
        raise ValueError(f"a contact sheet needs at least one column, not {columns}")
    columns = min(columns, len(images))
    width, height = max(image.width for image in images), max(image.height for image in images)
    rows = math.ceil(len(images) / columns)
    sheet = Image.new("RGB", (gap + columns * (width + gap), gap + rows * (height + gap)), "white")
    for at, image in enumerate(images):
        row, column = divmod(at, columns)
        left, top = gap + column * (width + gap), gap + row * (height + gap)
        sheet.paste(image, (left + (width - image.width) // 2, top + (height - image.height) // 2))
    return sheet


def _overlaid(
    pixels: NDArray[np.uint8], labels: Sequence[int], bitmaps: Sequence[NDArray[np.bool_] | None]
) -> NDArray[np.uint8]:
    blended = pixels.copy()
    for label, bitmap in zip(labels, bitmaps, strict=True):
        if bitmap is not None:
            mixed = (1 - TRANSLUCENT) * blended[bitmap] + TRANSLUCENT * np.array(colour(label))
            blended[bitmap] = mixed.round().astype(np.uint8)
    return blended


def _bitmap(mask: Any, height: int, width: int) -> NDArray[np.bool_] | None:
    if mask is None:
        return None
    if isinstance(mask, Mapping | list):
        return coco_masks.decode(mask, height, width).astype(bool)
    bitmap = np.asarray(mask.cpu() if isinstance(mask, Tensor) else mask).astype(bool)
    if bitmap.shape != (height, width):
        raise ValueError(f"a mask is {list(bitmap.shape)}, but the image is [{height}, {width}]")
    return bitmap


def _pixels_of(box: Sequence[float], height: int, width: int) -> tuple[int, int, int, int] | None:
    """The first and last pixels that a box fills, at least one; None where nothing of it is in the image."""
    if not all(math.isfinite(value) for value in box):
        return None
    x1, y1, x2, y2 = box
    if x2 <= 0 or y2 <= 0 or x1 >= width or y1 >= height:
        return None
    left, top = min(max(round(x1), 0), width - 1), min(max(round(y1), 0), height - 1)
    return left, top, max(left, min(round(x2), width) - 1), max(top, min(round(y2), height) - 1)


def _write(
    pen: ImageDraw.ImageDraw,
    boxes: Sequence[Sequence[float]],
    labels: Sequence[int],
    texts: Sequence[str],
    *,
    size: tuple[int, int],
    line: int,
) -> None:
    """Write the texts on plates of their colours, above their boxes or where else they hide no other text."""
    width, height = size
    font = ImageFont.load_default(max(9.0, min(height, width) / 32))
    assert isinstance(font, ImageFont.FreeTypeFont)  # what Pillow loads when asked for a size
    ascent, descent = font.getmetrics()
    tall, margin = math.ceil(ascent + descent), max(1, line)
    plates: list[tuple[int, int, int, int]] = []
    written: list[tuple[str, int]] = []
    # The best, last ones choose their places first, and are written last, over what has had to share one.
    for box, label, text in reversed(list(zip(boxes, labels, texts, strict=True))):
        corners = _pixels_of(box, height, width)
        if corners is None:
            continue
        text = _shortened(text, font, width - 2 * margin)
        wide = math.ceil(font.getlength(text)) + 2 * margin
        left, top, right, bottom = corners
        places = [
            (min(max(x, 0), max(0, width - wide)), min(max(y, 0), max(0, height - tall)))
            for y in (top - tall, bottom + 1, top, bottom + 1 - tall)
            for x in (left, right + 1 - wide)
        ]
        x, y = min(places, key=lambda place: _shared((*place, place[0] + wide, place[1] + tall), plates))
        plates.append((x, y, x + wide, y + tall))
        written.append((text, label))
    for (x1, y1, x2, y2), (text, label) in reversed(list(zip(plates, written, strict=True))):
        red, green, blue = colour(label)
        pen.rectangle((x1, y1, x2 - 1, y2 - 1), fill=(red, green, blue))
        dark = 0.299 * red + 0.587 * green + 0.114 * blue > 140
        pen.text((x1 + margin, y1), text, fill="black" if dark else "white", font=font)


def _shared(plate: tuple[int, int, int, int], others: Sequence[tuple[int, int, int, int]]) -> int:
    """Pixels that a plate has in common with others."""
    x1, y1, x2, y2 = plate
    return sum(max(0, min(x2, c) - max(x1, a)) * max(0, min(y2, d) - max(y1, b)) for a, b, c, d in others)


def _shortened(text: str, font: Any, width: int) -> str:
    """``text``, or as much of its beginning as is at most ``width`` pixels wide."""
    if font.getlength(text) <= width:
        return text
    for end in range(len(text) - 1, 0, -1):
        if font.getlength(text[:end] + "…") <= width:
            return text[:end] + "…"
    return ""
