"""Small COCO-format sets, written where a test wants them."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SPLIT = "train"
CATEGORIES = ({"id": 7, "name": "cat"}, {"id": 3, "name": "ant"}, {"id": 90, "name": "yak"})


def annotation(identity: int, image: int, bbox: Sequence[float], category: int = 3, **fields: Any) -> dict[str, Any]:
    return {"id": identity, "image_id": image, "bbox": list(bbox), "category_id": category, "iscrowd": 0, **fields}


def pixels(width: int, height: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A smooth picture with some noise, uint8 [height, width, 3]."""
    y, x = np.mgrid[:height, :width]
    smooth = np.stack([255 * x / width, 255 * y / height, 127 + 100 * np.sin((x + y) / 9)], axis=-1)
    return (smooth + np.random.default_rng(seed).integers(-9, 10, smooth.shape)).clip(0, 255).astype(np.uint8)


def contents(sizes: Mapping[int, tuple[int, int]], annotations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """An annotation file of images {id: (width, height)}."""
    images = [{"id": i, "file_name": f"{i}.png", "width": w, "height": h} for i, (w, h) in sizes.items()]
    return copy.deepcopy({"images": images, "annotations": list(annotations), "categories": list(CATEGORIES)})


def write_annotations(root: Path, whole: Any, *, split: str = SPLIT) -> Path:
    """``whole`` as the annotation file of a set, whose directory of images is made too."""
    (root / split).mkdir(parents=True, exist_ok=True)
    path = root / "annotations" / f"instances_{split}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(whole if isinstance(whole, bytes) else json.dumps(whole).encode())
    return path


def write_set(
    root: Path, sizes: Mapping[int, tuple[int, int]], annotations: Sequence[Mapping[str, Any]], *, split: str = SPLIT
) -> Path:
    """A set with images {id: (width, height)} and ``annotations``; its root."""
    write_annotations(root, contents(sizes, annotations), split=split)
    for identity, (width, height) in sizes.items():
        Image.fromarray(pixels(width, height, identity)).save(root / split / f"{identity}.png")
    return root
