"""An annotation file in COCO's format, checked number by number before anything is made of it."""

from __future__ import annotations

import json
import marshal
import math
import os
import reprlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detection.config import Category
from detection.data import masks
from detection.errors import InputError

LARGEST_ID = 2**63 - 1
"""Ids are kept in 64 bits."""
LONGEST_SIDE = 100_000
"""Pixels; more is a mistake in the file, and no decoder would open the image."""


@dataclass(frozen=True)
class ImageInfo:
    """What the annotations say of an image; ``width`` and ``height`` are of its pixels as stored."""

    id: int
    file_name: str
    width: int
    height: int


class Contents(NamedTuple):
    """The N annotations of a file, ordered by image and within an image as they are in the file.

    ``boxes`` are float64 [N, 4] in COCO's form x, y, width, height, as they were written. ``segmentations`` are packed
    (`unpack`): one string of bytes each, where lists of Python's numbers would take several times the memory, and again
    in every process that reads images.
    """

    images: tuple[ImageInfo, ...]
    categories: tuple[Category, ...]
    image: NDArray[np.int64]
    """Index into ``images`` [N]."""
    ids: NDArray[np.int64]
    boxes: NDArray[np.float64]
    labels: NDArray[np.int64]
    """Index into ``categories`` [N]."""
    crowd: NDArray[np.bool_]
    areas: NDArray[np.float64]
    """As written, for COCO of the mask; NaN where an annotation does not say [N]."""
    segmentations: list[bytes | None]


def read(path: Path) -> Contents:
    """The contents of ``path``, images and categories sorted by their ids.

    ``images`` need id, file_name, width and height; ``categories`` need id and name; ``annotations`` need id, image_id,
    category_id and bbox, and may have iscrowd (0 unless given), area and segmentation. Other fields are ignored.

    Raises
    ------
    InputError
        If the file cannot be read, is not JSON, lacks one of these, has one of another type, an id twice, an
        annotation of an unknown image or category, a negative size, or a number that is not finite. The sentence
        names the file and the first image or annotation that is wrong.
    """
    whole = _json(path)
    categories = _categories(_records(whole, "categories", path), path)
    images = _images(_records(whole, "images", path), path)
    records = _records(whole, "annotations", path)
    del whole  # most of the memory goes with the records, one by one

    image_index = {image.id: index for index, image in enumerate(images)}
    label_index = {category.id: index for index, category in enumerate(categories)}
    n = len(records)
    image, ids, labels = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
    boxes, areas, crowd = np.empty((n, 4)), np.empty(n), np.empty(n, np.bool_)
    segmentations: list[bytes | None] = [None] * n
    known: set[int] = set()
    for at, record in enumerate(records):
        ids[at] = identity = _id(record, "annotation", at, known, path)
        where = f"{path}: annotation {identity}"
        image[at] = _known(record, "image_id", image_index, "images", where)
        labels[at] = _known(record, "category_id", label_index, "categories", where)
        boxes[at] = _box(record, where)
        crowd[at] = _crowd(record, where)
        areas[at] = _area(record, where)
        segmentations[at] = _segmentation(record, images[image[at]], where)
        records[at] = None
    order = np.argsort(image, kind="stable")
    return Contents(
        images=images,
        categories=categories,
        image=image[order],
        ids=ids[order],
        boxes=boxes[order],
        labels=labels[order],
        crowd=crowd[order],
        areas=areas[order],
        segmentations=[segmentations[at] for at in order],
    )


def unpack(segmentation: bytes) -> Any:
    """A packed segmentation in COCO's form: a list of polygons, or an object with size and counts."""
    return marshal.loads(segmentation)  # never from a file: `read` has written it in this process


def _json(path: Path) -> dict[str, Any]:
    try:
        with open(path, "rb") as stream:
            whole = json.load(stream)
    except FileNotFoundError:
        raise InputError(f"{path} is missing; a COCO-format set has its annotations there") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({os.strerror(error.errno or 0)}); give a file that can") from error
    except (ValueError, RecursionError) as error:  # also what is no UTF-8
        raise InputError(f"{path} is not JSON ({_line(error)}); give annotations in COCO's format") from error
    if not isinstance(whole, dict):
        raise InputError(
            f"{path} holds {_kind(whole)}; COCO's format is an object with images, annotations and categories"
        )
    return whole


def _records(whole: dict[str, Any], name: str, path: Path) -> list[Any]:
    if name not in whole:
        raise InputError(f"{path} has no {name}; COCO's format is an object with images, annotations and categories")
    records = whole[name]
    if not isinstance(records, list):
        raise InputError(f"{path} has {name} that are {_kind(records)}; give a list of objects")
    return records


def _categories(records: list[Any], path: Path) -> tuple[Category, ...]:
    known: set[int] = set()
    found: list[Category] = []
    for at, record in enumerate(records):
        identity = _id(record, "category", at, known, path)
        found.append(Category(identity, _text(record, "name", f"{path}: category {identity}")))
    if not found:
        raise InputError(f"{path} has no categories; give at least one, with an id and a name")
    return tuple(sorted(found, key=lambda category: category.id))


def _images(records: list[Any], path: Path) -> tuple[ImageInfo, ...]:
    known: set[int] = set()
    found: list[ImageInfo] = []
    for at, record in enumerate(records):
        identity = _id(record, "image", at, known, path)
        where = f"{path}: image {identity}"
        name = _text(record, "file_name", where)
        width, height = (_whole(record, side, where, low=1, high=LONGEST_SIDE) for side in ("width", "height"))
        found.append(ImageInfo(identity, name, width, height))
    if not found:
        raise InputError(f"{path} has no images; give at least one")
    return tuple(sorted(found, key=lambda image: image.id))


def _id(record: Any, name: str, at: int, known: set[int], path: Path) -> int:
    where = f"{path}: {name} number {at + 1} of the file"
    if not isinstance(record, dict):
        raise InputError(f"{where} is {_kind(record)}; give an object")
    identity = _whole(record, "id", where, low=-LARGEST_ID, high=LARGEST_ID)
    if identity in known:
        raise InputError(f"{path}: {name} {identity} is there twice; give every {name} an id of its own")
    known.add(identity)
    return identity


def _field(record: dict[str, Any], name: str, where: str) -> Any:
    if name not in record:
        raise InputError(f"{where} has no {name}; give it one")
    return record[name]


def _whole(record: dict[str, Any], name: str, where: str, *, low: int, high: int) -> int:
    value = _field(record, name, where)
    if type(value) is not int or not low <= value <= high:
        limits = f" from {low} to {high}" if low >= 0 else ""
        raise InputError(f"{where} has the {name} {_short(value)}; give a whole number{limits}")
    return value


def _text(record: dict[str, Any], name: str, where: str) -> str:
    value = _field(record, name, where)
    if not isinstance(value, str) or not value or "\0" in value:
        raise InputError(f"{where} has the {name} {_short(value)}; give a text")
    return value


def _known(record: dict[str, Any], name: str, index: dict[int, int], among: str, where: str) -> int:
    value = _field(record, name, where)
    if type(value) is not int or value not in index:
        raise InputError(f"{where} has the {name} {_short(value)}; give the id of one of the file's {among}")
    return index[value]


def _number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < 1e300 and math.isfinite(value)


def _box(record: dict[str, Any], where: str) -> list[float]:
    box = _field(record, "bbox", where)
    if not isinstance(box, list) or len(box) != 4 or not all(_number(value) for value in box):
        raise InputError(f"{where} has the bbox {_short(box)}; give four finite numbers: x, y, width, height")
    if box[2] < 0 or box[3] < 0:
        raise InputError(f"{where} has the bbox {_short(box)} of a negative size; give x, y, width, height")
    return box


def _crowd(record: dict[str, Any], where: str) -> bool:
    value = record.get("iscrowd", 0)
    if not isinstance(value, int) or value not in (0, 1):
        raise InputError(f"{where} has the iscrowd {_short(value)}; give 0 or 1")
    return bool(value)


def _area(record: dict[str, Any], where: str) -> float:
    value = record.get("area")
    if value is None:
        return math.nan
    if not _number(value) or value < 0:
        raise InputError(f"{where} has the area {_short(value)}; give a number of pixels from 0 up")
    return float(value)


def _segmentation(record: dict[str, Any], image: ImageInfo, where: str) -> bytes | None:
    value = record.get("segmentation")
    if value is None or value == []:
        return None
    try:
        masks.check(value, image.height, image.width)
    except ValueError as error:
        raise InputError(
            f"{where} has a segmentation that {error}; give polygons [[x1, y1, x2, y2, ...], ...] or run lengths"
        ) from error
    if isinstance(value, dict):  # nothing else of it is needed, or could be relied on to be packed
        value = {"size": [image.height, image.width], "counts": value["counts"]}
    return marshal.dumps(value)


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")


def _short(value: Any) -> str:
    """``value`` as the file has it, if that is short."""
    if isinstance(value, str):
        return json.dumps(value) if len(value) < 40 else json.dumps(value[:37] + "...")
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return reprlib.repr(value)


def _line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
