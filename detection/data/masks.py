"""COCO's two ways to write down a mask, polygons and run lengths, as pixels.

Pixels are exactly those of COCO's own mask API, which is what segmentations are scored with: a polygon's outline is
sampled on a grid five times as fine, and a column's pixels change between in and out where the outline crosses the
column's middle. Here it is one pass of array operations per polygon, and nothing has to be compiled or installed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

FINE = 5
"""Steps per pixel of the grid on which an outline is sampled."""
FARTHEST = 100_000
"""Pixels: a corner farther away is no part of any image, and sampling the way there would fill the memory."""


def decode(segmentation: Any, height: int, width: int) -> NDArray[np.uint8]:
    """The mask [height, width] of 0 and 1 that a ``segmentation`` in COCO's form describes.

    Parameters
    ----------
    segmentation
        A list of polygons [x1, y1, x2, y2, ...] in pixels, of which the union is meant, or ``{"size": [height, width],
        "counts": ...}`` with run lengths as a list or as COCO's compressed text.

    Raises
    ------
    ValueError
        With what is wrong with it, to follow "segmentation".
    """
    if isinstance(segmentation, Mapping):
        return run_lengths(segmentation, height, width)
    return polygons(segmentation, height, width)


def check(segmentation: Any, height: int, width: int) -> None:
    """Refuse, with a ValueError, what `decode` could not draw, without drawing it."""
    if isinstance(segmentation, Mapping):
        _lengths(segmentation, height, width)
    elif isinstance(segmentation, list):
        for polygon in segmentation:
            _corners(polygon)
    else:
        raise ValueError("is neither a list of polygons nor an object with size and counts")


def polygons(outlines: Sequence[Sequence[float]], height: int, width: int) -> NDArray[np.uint8]:
    """The union [height, width] of polygons; those of fewer than three corners have no inside."""
    mask = np.zeros((width, height), dtype=np.uint8).T  # column by column in memory, as it is drawn
    for outline in outlines:
        corners = _corners(outline)
        if len(corners) >= 3:
            mask |= _polygon(corners, height, width)
    return np.ascontiguousarray(mask)


def run_lengths(segmentation: Mapping[str, Any], height: int, width: int) -> NDArray[np.uint8]:
    """The mask [height, width] whose columns, one after the other, are runs of 0, 1, 0, ... of the given lengths."""
    return np.ascontiguousarray(_runs(_lengths(segmentation, height, width), height, width))


def _polygon(corners: NDArray[np.float64], height: int, width: int) -> NDArray[np.uint8]:
    # Casts to integers cut towards zero, as in the reference; with the .5 that rounds all but negative numbers.
    start = (FINE * corners + 0.5).astype(np.int64)
    along = np.roll(start, -1, axis=0) - start
    longest = np.abs(along).max(axis=1)
    edge = np.repeat(np.arange(len(start)), longest + 1)
    step = np.arange(len(edge)) - np.repeat(np.cumsum(longest + 1) - longest - 1, longest + 1)

    # One sample per fine step along the longer extent of an edge. Each edge is sampled in its growing direction, so
    # that the same edge of two neighbours has the same samples, and then listed in the direction of the outline.
    main = np.where(np.abs(along[:, 0]) >= np.abs(along[:, 1]), 0, 1)
    rows = np.arange(len(start))
    backwards = along[rows, main] < 0
    origin = np.where(backwards[:, None], start + along, start)
    sign = np.where(backwards, -1, 1)
    slope = sign * along[rows, 1 - main] / np.maximum(longest, 1)
    step = np.where(backwards[edge], longest[edge] - step, step)
    first = step + origin[rows, main][edge]
    second = (origin[rows, 1 - main][edge] + slope[edge] * step + 0.5).astype(np.int64)
    x = np.where(main[edge] == 0, first, second)
    y = np.where(main[edge] == 0, second, first)

    # Where the outline passes the middle of a column of pixels, everything below changes between in and out.
    fine_x, fine_y = np.minimum(x[1:], x[:-1]), np.minimum(y[1:], y[:-1])
    column, rest = np.divmod(fine_x - FINE // 2, FINE)
    crossing = (x[1:] != x[:-1]) & (rest == 0) & (column >= 0) & (column < width)
    row = np.clip(-((FINE // 2 - fine_y[crossing]) // FINE), 0, height)
    changes = np.sort(column[crossing] * height + row)
    return _runs(np.diff(changes, prepend=0, append=height * width), height, width)


def _runs(lengths: NDArray[np.int64], height: int, width: int) -> NDArray[np.uint8]:
    """The mask [height, width] whose columns, one after the other, are runs of 0, 1, 0, ... of ``lengths``."""
    inside = np.arange(len(lengths)) % 2
    return np.repeat(inside.astype(np.uint8), lengths).reshape(width, height).T


def _corners(outline: Any) -> NDArray[np.float64]:
    """A polygon's corners [n, 2] (x, y)."""
    if not isinstance(outline, list):
        raise ValueError("is a list that holds something else than polygons [x1, y1, x2, y2, ...]")
    try:
        numbers = np.array(outline)
    except ValueError:  # lists of different lengths within the list
        numbers = np.array(None)
    if numbers.ndim != 1 or (numbers.dtype.kind not in "iuf" and len(numbers)):
        raise ValueError("has a polygon that is no list of numbers")
    if len(numbers) % 2:
        raise ValueError(f"has a polygon of {len(numbers)} numbers, which are no pairs of x and y")
    numbers = numbers.astype(np.float64)  # the least integer has no positive twin
    if not (np.abs(numbers) <= FARTHEST).all():  # NaN is not
        raise ValueError(f"has a polygon with a corner that is NaN or farther than {FARTHEST} pixels away")
    return numbers.reshape(-1, 2)


def _lengths(segmentation: Mapping[str, Any], height: int, width: int) -> NDArray[np.int64]:
    """Run lengths as an array, once they are known to fill the image."""
    if segmentation.get("size") != [height, width]:
        raise ValueError(f"has the size {segmentation.get('size')}, not that of its image, [{height}, {width}]")
    counts, pixels = segmentation.get("counts"), height * width
    if isinstance(counts, str):
        lengths = _decompressed(counts)
    elif isinstance(counts, list):
        lengths = np.array(counts if all(type(count) is int for count in counts) else [-1])
    else:
        raise ValueError("has no counts, a list of run lengths or a compressed text")
    if len(lengths) and (lengths.dtype.kind != "i" or lengths.min() < 0 or lengths.max() > pixels):
        raise ValueError(f"has counts that are not all whole numbers from 0 to the {pixels} pixels of its image")
    if lengths.sum() != pixels:
        raise ValueError(f"has counts that sum up to {int(lengths.sum())}, not to the {pixels} pixels of its image")
    return lengths.astype(np.int64)


def _decompressed(text: str) -> NDArray[np.int64]:
    """Run lengths of COCO's text: 5 bits per character, lowest first, a sixth bit where more follow, the last one's
    highest bit the sign; from the fourth on, a number is the difference to the last but one.
    """
    characters = np.frombuffer(text.encode("utf-8"), dtype=np.uint8).astype(np.int64) - 48
    if len(characters) == 0 or characters.min() < 0 or characters.max() > 63 or characters[-1] & 32:
        raise ValueError("has counts that are no compressed run lengths, or are cut off")
    last = np.flatnonzero((characters & 32) == 0)
    first = np.concatenate(([0], last[:-1] + 1))
    digits = last - first + 1
    if digits.max() > 12:
        raise ValueError("has counts that are no compressed run lengths: a number has more than 60 bits")
    place = np.arange(len(characters)) - np.repeat(first, digits)
    numbers = np.add.reduceat((characters & 31) << (5 * place), first)
    numbers -= np.where(characters[last] & 16, np.int64(1) << (5 * digits), 0)
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers
