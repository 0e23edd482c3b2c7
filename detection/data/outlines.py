"""Masks as COCO annotations write them: polygons where these say everything, run lengths otherwise."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

RIGHT, DOWN, LEFT, UP = range(4)


def segmentation(mask: NDArray[np.bool_]) -> Any:
    """``mask`` [height, width] in COCO's form: a polygon per part, or compressed run lengths if a part has a hole.

    Polygons run along the edges of pixels, so that exactly the pixels of ``mask`` come out when they are drawn.
    """
    parts = outlines(mask)
    if any(_signed_area(part) < 0 for part in parts):
        encoded = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
        return {"size": list(mask.shape), "counts": encoded["counts"].decode("ascii")}
    return [part.ravel().tolist() for part in parts]


def run_lengths(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """``mask`` [height, width] as uncompressed run lengths, column by column from a run of 0: COCO's form of crowds."""
    pixels = mask.T.ravel()
    changes = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    bounds = np.concatenate([[0], [0] if pixels[0] else [], changes, [pixels.size]])
    return {"size": list(mask.shape), "counts": np.diff(bounds).astype(int).tolist()}


def outlines(mask: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """The closed lines between inside and outside of ``mask`` [height, width], each as corners [n, 2] (x, y).

    They have the inside at their right hand: clockwise as seen on the screen, where y grows downwards, around a part,
    and counterclockwise around a hole. Pixels that touch at a corner only are different parts.
    """
    rows, columns = np.nonzero(mask)
    if rows.size == 0:
        return []
    top, left = rows.min(), columns.min()
    inside = np.pad(mask[top : rows.max() + 1, left : columns.max() + 1], 1).astype(bool)
    stride = inside.shape[1]
    # Edges of unit length as 4 start + direction, where start numbers the corners of pixels: corner (y, x) of the
    # padded mask is the upper left one of its pixel (y, x).
    above, before = np.roll(inside, 1, axis=0), np.roll(inside, 1, axis=1)
    edges = {
        int(4 * start + direction)
        for direction, starts in (
            (RIGHT, np.flatnonzero(inside & ~above)),
            (DOWN, np.flatnonzero(~inside & before)),
            (LEFT, np.flatnonzero(~inside & above) + 1),
            (UP, np.flatnonzero(inside & ~before) + stride),
        )
        for start in starts
    }
    steps = (1, stride, -1, -stride)
    lines = []
    # Beginnings in the order of the picture keep the answer the same wherever it is computed.
    for first in sorted(edge for edge in edges if edge % 4 == RIGHT):
        if first not in edges:
            continue
        corners, edge = [], first
        while edge in edges:
            edges.remove(edge)
            start, direction = divmod(edge, 4)
            end = start + steps[direction]
            # To the right before to the left: where two pixels touch at a corner, stay with the own one.
            turns = (4 * end + (direction + turn) % 4 for turn in (1, 0, 3))
            edge = next((following for following in turns if following in edges), first)
            if edge % 4 != direction:
                corners.append(end)
        y, x = np.divmod(np.array(corners, dtype=np.int64), stride)
        lines.append(np.stack([x + left - 1, y + top - 1], axis=1))
    return lines


def _signed_area(corners: NDArray[np.int64]) -> float:
    x, y = corners.T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
