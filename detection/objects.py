"""Objects of the images of a set, annotated or detected, and what describes one: a vector, a small picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from detection import pooling
from detection.config import ModelConfig
from detection.data import masks
from detection.data.batch import Batch, assemble, load
from detection.data.coco import CocoDataset
from detection.data.transforms import padded_size, resize_boxes
from detection.errors import InputError
from detection.fcos import Maps
from detection.places import Place, every_place
from detection.postprocess import Detections

MapKind = Literal["fpn", "backbone"]
"""What a vector is read from: the level of the pyramid at which an object of that size is learned, or C5."""


class Objects(NamedTuple):
    """The n objects of an image that are to be described."""

    boxes: Tensor
    """float32 [n, 4]: xyxy in pixels of the stored image."""
    labels: Tensor
    """int64 [n]: index of the category of the set."""
    ids: Tensor | None
    """int64 [n], of the annotations; None where they are detected."""
    scores: Tensor | None
    """float32 [n], where they are detected."""
    masks: Tensor | None
    """uint8 [n, height, width] of 0 and 1, where vectors are means over masks."""


class Views(Dataset[Batch]):
    """Batches of the images of ``batches``, as ``model`` wants them."""

    def __init__(self, batches: Sequence[Sequence[Place]], model: ModelConfig) -> None:
        self.batches, self.model = batches, model

    def __getitem__(self, at: int) -> Batch:
        """A batch.

        Raises
        ------
        InputError
            If an image cannot be read.
        """
        places, model = self.batches[at], self.model
        sizes = [place.size(model) for place in places]
        examples = [
            load(place.dataset, place.at, size, convention=model.resize)
            for place, size in zip(places, sizes, strict=True)
        ]
        return assemble(examples, padded_size(sizes, model.pad_to))


def annotated(place: Place, *, min_side: float, with_masks: bool) -> Objects:
    """What is annotated in an image, without crowds and what is narrower or lower than ``min_side`` pixels."""
    said = place.dataset.annotations(place.at)
    kept = ~said.crowd & _large(said.boxes, min_side)
    drawn = place.dataset.masks(place.at, crowd=False)[kept[~said.crowd]] if with_masks else None
    return Objects(said.boxes[kept], said.labels[kept], said.ids[kept], None, drawn)


def annotated_in(datasets: Sequence[CocoDataset], *, min_side: float) -> dict[Place, int]:
    """How many objects are `annotated` in each image in which there are any, in the order of `places.every_place`.

    Raises
    ------
    InputError
        If there are none.
    """
    numbers = {
        place: len(annotated(place, min_side=min_side, with_masks=False).labels) for place in every_place(datasets)
    }
    numbers = {place: number for place, number in numbers.items() if number}
    if not numbers:
        splits = " or ".join(dataset.split for dataset in datasets)
        raise InputError(
            f"{datasets[0].root} has no object in {splits} with sides of {min_side} pixels that is not a crowd's; give "
            "a lower min_side, or a set with boxes"
        )
    return numbers


def detected(
    place: Place,
    detections: Detections,
    *,
    labels_here: NDArray[np.int64],
    min_side: float,
    min_score: float,
    with_masks: bool,
) -> Objects:
    """What was found in an image, of the categories that the set has, with a score and a size that are enough.

    ``labels_here`` are the set's labels by those of the detector (see `coco_eval.label_map`).

    Raises
    ------
    InputError
        If a box or a score is no number.
    """
    detections.refuse_not_finite(f"image {place.id}")
    boxes, scores, labels = detections.boxes.cpu(), detections.scores.cpu(), detections.labels.cpu()
    labels = torch.from_numpy(labels_here)[labels]
    kept = (labels >= 0) & (scores >= min_score) & _large(boxes, min_side)
    drawn = None
    if with_masks:
        assert detections.masks is not None
        image = place.dataset.images[place.at]
        drawn = torch.zeros(int(kept.sum()), image.height, image.width, dtype=torch.uint8)
        for row, at in zip(drawn, kept.nonzero().flatten().tolist(), strict=True):
            row.copy_(torch.from_numpy(masks.run_lengths(detections.masks[at], image.height, image.width)))
    return Objects(boxes[kept], labels[kept], None, scores[kept], drawn)


def described(
    maps: Maps,
    at: int,
    objects: Objects,
    *,
    kind: MapKind,
    size: tuple[int, int],
    original: tuple[int, int],
    image_size: tuple[int, int],
    size_ranges: Sequence[float],
) -> Tensor:
    """The vectors float32 [n, channels] of the ``objects`` of image ``at`` of a batch, on the CPU.

    Parameters
    ----------
    kind
        The level of the pyramid for each object's size (`pooling.levels`), or C5 for all.
    size, original
        Height and width of the resized image without padding, and of the stored one.
    image_size
        Height and width of the batch with the padding.
    """
    boxes = resize_boxes(objects.boxes, original, size)
    if kind == "backbone":
        used: Sequence[Tensor] = maps.backbone[-1:]
        level = torch.zeros(len(boxes), dtype=torch.int64)
    else:
        used = maps.pyramid
        level = pooling.levels(boxes, size_ranges)
    vectors = torch.zeros(len(boxes), used[0].shape[1])
    for number in sorted(set(level.tolist())):
        here, features = level == number, used[number][at]
        where = {"grid": (int(features.shape[1]), int(features.shape[2])), "image_size": image_size}
        if objects.masks is None:
            weights = pooling.box_weights(boxes[here], **where)
        else:
            weights = pooling.mask_weights(objects.masks[here], boxes[here], **where, size=size)
        vectors[here] = pooling.pooled(weights, features).cpu()
    return vectors


def normalised(vectors: Tensor) -> Tensor:
    """``vectors`` [n, c], each divided by its Euclidean length; one of zeros stays as it is."""
    length = vectors.double().norm(dim=1, keepdim=True)
    return (vectors.double() / torch.where(length > 0, length, 1)).to(vectors.dtype)


def thumbnail(pixels: Image.Image, box: Sequence[float], *, side: int) -> NDArray[np.uint8]:
    """What is in ``box`` (xyxy), as a small picture [side, side, 3].

    The box is first enlarged to a square, around its middle as far as it does not leave the image; an object that is
    longer than the image is in the other direction is squeezed.
    """
    x1, y1, x2, y2 = box
    longer = max(x2 - x1, y2 - y1)
    corners = []
    for low, high, whole in ((x1, x2, pixels.width), (y1, y2, pixels.height)):
        extent = min(longer, whole)
        first = min(max((low + high - extent) / 2, 0), whole - extent)
        corners.append((first, first + extent))
    (left, right), (top, bottom) = corners
    small = pixels.resize((side, side), Image.Resampling.BILINEAR, box=(left, top, right, bottom))
    return np.asarray(small)


def thumbnails(place: Place, objects: Objects, *, side: int) -> NDArray[np.uint8]:
    """Small pictures uint8 [n, side, side, 3] of the objects of an image."""
    if not len(objects.boxes):
        return np.zeros((0, side, side, 3), dtype=np.uint8)
    pixels = Image.fromarray(place.dataset.read(place.at).permute(1, 2, 0).numpy())
    return np.stack([thumbnail(pixels, box, side=side) for box in objects.boxes.tolist()])


def batches_of(places: Sequence[Place], *, model: ModelConfig, batch_size: int) -> list[list[Place]]:
    """``places`` in batches of images that are padded to the same size: what is read of one depends on no other."""
    together: dict[tuple[int, int], list[Place]] = {}
    for place in places:
        together.setdefault(padded_size([place.size(model)], model.pad_to), []).append(place)
    return [same[at : at + batch_size] for same in together.values() for at in range(0, len(same), batch_size)]


def _large(boxes: Tensor, side: float) -> Tensor:
    return ((boxes[:, 2:] - boxes[:, :2]) >= side).all(dim=1)
