"""The drawn set that small trainings learn from and are measured on."""

from __future__ import annotations

from pathlib import Path

from detection.data import shapes
from detection.data.coco import CocoDataset
from detection.errors import InputError
from experiments.lab import scales


def draw(directory: Path, *, quick: bool) -> None:
    """Draw the shapes to learn from and to measure on, unless they are there."""
    images, measured = (
        (scales.QUICK_IMAGES, scales.QUICK_MEASURED) if quick else (scales.SMALL_IMAGES, scales.SMALL_MEASURED)
    )
    if (directory / "annotations" / "instances_val2017.json").exists():
        there = [len(CocoDataset(directory, split)) for split in shapes.SPLITS]
        if there != [images, measured]:
            raise InputError(
                f"{directory} has {there[0]} and {there[1]} images, not {images} and {measured}; remove it"
            )
        return
    shapes.draw(shapes.Shapes(out=directory, images=images, val_images=measured, size=scales.SMALL_SIDE))
