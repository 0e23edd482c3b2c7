"""Objects found in images: where each is from, as files of embeddings say it, and a sentence where they do not.

Such a file is what ``python -m detection.embed`` writes: beside the features it has ``object_ids``, ``image_ids``,
``boxes``, perhaps ``thumbnails``, and a ``source``, which says in JSON what the file is and what it was made by. Files
of others may have a ``source`` in words of their own.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.errors import InputError

FORMAT, VERSION = "object-embeddings", 1
"""What the source of a file of embeddings says that it is. The detection bench, which writes them, says it too."""

SOURCE = "source"
IDS, IMAGES, BOXES, THUMBNAILS = "object_ids", "image_ids", "boxes", "thumbnails"
ARRAYS = (SOURCE, IDS, BOXES, THUMBNAILS)
"""What only such a file has; images, which others have too, are read with the groups."""

LARGEST_ID = 2**63 - 1
"""Ids are kept in 64 bits."""

NEEDED = (IDS, IMAGES, BOXES, "labels", "category_names")
REMEDY = "make it anew with python -m detection.embed"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Instances:
    """Where M objects that were found in images come from, for people to look at; agents never do.

    ``object_ids`` int64 [M], all different; ``image_ids`` int64 [M]; ``boxes`` float32 [M, 4], xyxy in pixels of the
    stored image; ``thumbnails`` uint8 [M, t, t, 3], RGB, or None; ``source`` says by what they were found and
    described: the checkpoint's hash, the preset, the set.
    """

    object_ids: NDArray[np.int64]
    image_ids: NDArray[np.int64]
    boxes: NDArray[np.float32]
    source: Mapping[str, Any]
    thumbnails: NDArray[np.uint8] | None = None


def instances_of(arrays: Mapping[str, NDArray[Any]], n_objects: int, path: Path) -> Instances | None:
    """The instances that a file's ``arrays`` tell of, or None if its objects are not said to be from images.

    Raises
    ------
    InputError
        If the file is of another version, lacks an array, or one has the wrong form or says the impossible.
    """
    if SOURCE not in arrays:
        return None
    said = _ours(arrays[SOURCE])
    if said is not None:
        _check_version(said, path)
        for name in NEEDED:
            if name not in arrays:
                raise InputError(f"{path} has no array {name!r}, which a file of embeddings has; {REMEDY}")
    elif not is_of_objects(tuple(arrays)) or arrays[IMAGES].dtype.kind not in "iu":
        return None  # somebody else's: images may have names there
    ids = _whole(arrays.get(IDS, np.arange(n_objects)), n_objects, path, IDS)
    distinct, counts = np.unique(ids, return_counts=True)
    if len(distinct) < n_objects:
        twice = distinct[counts > 1][0]
        raise InputError(f"{path}: {IDS!r} has {twice} more than once, but every object has an id of its own; {REMEDY}")
    return Instances(
        object_ids=ids,
        image_ids=_whole(arrays[IMAGES], n_objects, path, IMAGES),
        boxes=_boxes(arrays[BOXES], n_objects, path),
        thumbnails=_thumbnails(arrays[THUMBNAILS], n_objects, path) if THUMBNAILS in arrays else None,
        source=said if said is not None else {"made_by": _text(arrays[SOURCE]) or ""},
    )


def is_of_objects(names: Sequence[str]) -> bool:
    """Whether a file that has arrays of these ``names`` tells of objects found in images."""
    return {SOURCE, BOXES, IMAGES} <= set(names)


def _text(source: NDArray[Any]) -> str | None:
    """A source as text, if it is one."""
    if source.ndim != 0 or source.dtype.kind not in "US":
        return None
    value = source.item()
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _ours(source: NDArray[Any]) -> dict[str, Any] | None:
    """What a source says, if it is in the form of ``python -m detection.embed``."""
    try:
        said = json.loads(_text(source) or "")
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) and "format" in said else None


def _check_version(said: Mapping[str, Any], path: Path) -> None:
    if said["format"] != FORMAT:
        raise InputError(f"{path} says that it is {said['format']!r}, not {FORMAT!r}; {REMEDY}")
    if said.get("version") != VERSION:
        raise InputError(
            f"{path} has version {said.get('version')!r} of the format of embeddings, but this program reads "
            f"{VERSION}; {REMEDY}"
        )


def _whole(values: NDArray[Any], n_objects: int, path: Path, name: str) -> NDArray[np.int64]:
    if values.shape != (n_objects,):
        raise InputError(
            f"{path}: {name!r} has shape {values.shape}, but it must hold one number for each object, {(n_objects,)}"
        )
    if values.dtype.kind not in "iu":
        raise InputError(f"{path}: {name!r} holds {values.dtype} values, but it must hold whole numbers")
    if (values > LARGEST_ID).any():
        raise InputError(f"{path}: {name!r} has {values.max()}, but it must hold numbers up to {LARGEST_ID}")
    return values.astype(np.int64)


def _boxes(values: NDArray[Any], n_objects: int, path: Path) -> NDArray[np.float32]:
    if values.shape != (n_objects, 4) or values.dtype.kind not in "fiu":
        raise InputError(
            f"{path}: {BOXES!r} holds {values.dtype} values of shape {values.shape}, but it must be x1, y1, x2, y2 for "
            f"each object, {(n_objects, 4)}"
        )
    # What is too large for a float32 is no coordinate of a pixel; what is not a number is neither.
    there = (np.abs(values) <= np.finfo(np.float32).max).all(axis=1)
    sound = there & (values[:, 2] >= values[:, 0]) & (values[:, 3] >= values[:, 1])
    if not sound.all():
        row = int((~sound).argmax())
        corners = ", ".join(f"{value:g}" for value in values[row].tolist())
        raise InputError(
            f"{path}: {BOXES!r} has {corners} in row {row + 1}, which is no box; give x1 <= x2 and y1 <= y2 in pixels"
        )
    return values.astype(np.float32)


def _thumbnails(values: NDArray[Any], n_objects: int, path: Path) -> NDArray[np.uint8]:
    square = values.ndim == 4 and values.shape[1] == values.shape[2] > 0
    if not square or values.shape[0] != n_objects or values.shape[3] != 3 or values.dtype != np.uint8:
        raise InputError(
            f"{path}: {THUMBNAILS!r} holds {values.dtype} values of shape {values.shape}, but it must be bytes "
            f"[{n_objects}, side, side, 3], red, green and blue"
        )
    return values
