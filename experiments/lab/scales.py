"""At what scales the table is made: as the lab made it, on COCO, and small enough for two cores and half an hour."""

from __future__ import annotations

import dataclasses

from experiments.lab.rows import (
    AT_EQUAL_IMAGES,
    AT_EQUAL_ITERATIONS,
    COCO_IMAGES,
    DOWNLOADED,
    ITERATIONS,
    LONG,
    ROWS,
    Row,
)
from experiments.lab.runs import Scale

COCO = Scale(name="coco", iterations=ITERATIONS, images=COCO_IMAGES)
"""As the lab made it."""

SMALL_ITERATIONS, SMALL_IMAGES, SMALL_MEASURED = 150, 195, 120
"""Updates at equal iterations, images to learn from and to measure on: batch 4 sees each 3.1 times, batch 16 12.3."""
SMALL_SIDE = 128
"""Pixels of drawn images; an object is 12 pixels wide at least."""
SMALL_PHOTOGRAPH = 192
"""Pixels of a photograph's shorter side."""

SMALL_IN_PARTS = 4
"""Images at once of a batch that is accumulated."""

QUICK_ITERATIONS, QUICK_IMAGES, QUICK_MEASURED = 3, 12, 6
"""To try it out."""

_COMMON = ("--schedule", "steps", "--warmup-iterations", "20", "--workers", "0", "--checkpoint-every", "60")


def coco(*, quick: bool = False) -> Scale:
    """The lab's scale; quick: the very networks at their full size, for a few updates."""
    return dataclasses.replace(COCO, iterations=QUICK_ITERATIONS) if quick else COCO


def mini(*, quick: bool = False) -> Scale:
    """The rows on drawn shapes, with EfficientNet-Lite0; the schedule has the lab's proportions."""
    sides = ("--short-side", str(SMALL_SIDE), "--max-side", "256", "--short-sides", str(SMALL_SIDE))
    return Scale(
        name="mini",
        iterations=QUICK_ITERATIONS if quick else SMALL_ITERATIONS,
        images=QUICK_IMAGES if quick else SMALL_IMAGES,
        common=(*sides, *_COMMON),
        measuring=("--batch-size", "8", "--workers", "0"),
        in_parts=SMALL_IN_PARTS,
    )


def mini_photographs(images: int, *, quick: bool = False) -> Scale:
    """Some of the rows on so many photographs, which are larger."""
    side = str(SMALL_PHOTOGRAPH)
    sides = ("--short-side", side, "--max-side", "320", "--short-sides", side)
    return dataclasses.replace(
        mini(quick=quick), images=images, common=(*sides, *_COMMON), measuring=("--workers", "0")
    )


STAND_IN = dataclasses.replace(DOWNLOADED, trained=True, reported={}, run_name="")
"""What stands for the downloaded detector where there is nothing to download: the unchanged code, 16 images at once."""

_MASKED = ("b4-lr5e-3-condinst", "b4-lr5e-3-polar", f"b4-lr5e-3-condinst{LONG}", f"b4-lr5e-3-polar{LONG}")

MINI_ROWS: tuple[Row, ...] = (
    STAND_IN,
    *(row for row in (*AT_EQUAL_ITERATIONS, *AT_EQUAL_IMAGES) if row.trained),
    *(ROWS[name] for name in _MASKED),
)
"""Of the rows with masks only those of the lab's best learning rate; any other can be asked for."""

PHOTOGRAPH_ROWS: tuple[Row, ...] = tuple(row for row in AT_EQUAL_ITERATIONS if row.batch == 4)
