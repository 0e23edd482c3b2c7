"""Where objects are looked for: the images of one split of a set, or of several that follow one another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detection.config import ModelConfig
from detection.data.annotation_file import LARGEST_ID
from detection.data.coco import CocoDataset
from detection.data.transforms import resized_size
from detection.errors import InputError


class Place(NamedTuple):
    """An image of a split."""

    dataset: CocoDataset
    at: int
    """Which of its images."""

    @property
    def id(self) -> int:
        """Of the image, in the annotations."""
        return self.dataset.images[self.at].id

    def size(self, model: ModelConfig) -> tuple[int, int]:
        """Height and width to which ``model`` resizes it."""
        image = self.dataset.images[self.at]
        sides = {"short_side": model.short_side, "max_side": model.max_side}
        return resized_size(image.height, image.width, **sides, convention=model.resize)


def opened(root: Path, splits: Sequence[str]) -> list[CocoDataset]:
    """The splits of the set in ``root``.

    Raises
    ------
    InputError
        If one cannot be read, or one has other categories than the first.
    """
    datasets = [CocoDataset(root, split) for split in splits]
    for dataset in datasets[1:]:
        if dataset.categories != datasets[0].categories:
            raise InputError(
                f"{dataset.annotation_file} has other categories than {datasets[0].annotation_file}; give one split"
            )
    return datasets


def every_place(datasets: Sequence[CocoDataset]) -> list[Place]:
    """All images, split by split in the order of their ids."""
    return [Place(dataset, index) for dataset in datasets for index in range(len(dataset))]


class Shift(NamedTuple):
    """What is added to the ids of a split, because an earlier one has such ids too; 0 for most sets."""

    images: int
    objects: int


def shifts(datasets: Sequence[CocoDataset]) -> dict[str, Shift]:
    """By split: no two images and no two annotations of several splits may have an id in common.

    Where a split shares one with those before it, all of its ids move up past theirs.

    Raises
    ------
    InputError
        If there is no room for that in 64 bits.
    """
    found: dict[str, Shift] = {}
    images, objects = np.zeros(0, np.int64), np.zeros(0, np.int64)
    for dataset in datasets:
        here, there = np.array([image.id for image in dataset.images], dtype=np.int64), dataset.ids
        found[dataset.split] = shift = Shift(_past(images, here), _past(objects, there))
        for what, ids, moved in (("images", here, shift.images), ("annotations", there, shift.objects)):
            if moved and int(ids.max()) + moved > LARGEST_ID:
                raise InputError(
                    f"{dataset.annotation_file} has {what} with ids of an earlier split, too large to be moved up past "
                    "those; give smaller ids, or one split"
                )
        images, objects = np.append(images, here + shift.images), np.append(objects, there + shift.objects)
    return found


def _past(known: NDArray[np.int64], here: NDArray[np.int64]) -> int:
    return int(known.max()) - int(here.min()) + 1 if np.isin(here, known).any() else 0
