"""A COCO-format set that is drawn on the spot: ``python -m detection.data.shapes --out ROOT --images N``.

Eight kinds of shapes in many textures and sizes, in front of busy backgrounds and partly behind each other, so that
learning curves mean something where nothing can be downloaded. Every image is a function of the seed and its number:
a larger set begins with the images of a smaller one, whatever the number of processes.
"""

from __future__ import annotations

import dataclasses
import io
import multiprocessing
import os
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as run_lengths
from tqdm import tqdm

from detection import command_line
from detection.data.scenes import CATEGORIES, Found, scene
from detection.errors import InputError
from detection.files import TEMPORARY, remove_unfinished, replacing, write_json

PROG = "shapes"
SPLITS = ("train2017", "val2017")
"""To learn from, and to measure on."""
SUBFOLDERS = {"annotations", *SPLITS}
DESCRIPTION = "Shapes, drawn by detection.data.shapes"
"""By which the annotations of a drawn set are known, and told from others: COCO's folders have the same names."""
UNFINISHED = "unfinished"
"""A file in the place of the annotations, as long as there are only images."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shapes:
    """What to draw, and where to."""

    out: Path
    """Directory of the set; a set of shapes that is there is drawn over."""
    images: int
    """Images to train on."""
    val_images: int | None = None
    """Images to measure on; a quarter as many, unless given."""
    size: int = 256
    """Pixels of the longer side."""
    seed: int = 0
    workers: int = 0
    """Processes that draw; 0: one for every processor."""

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn."""
        for name, least in (("images", 1), ("val_images", 1), ("size", 64), ("seed", 0), ("workers", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise InputError(f"{name} is {value}; give a number from {least} up")

    @property
    def counts(self) -> dict[str, int]:
        """Images of each split."""
        return dict(zip(SPLITS, (self.images, self.val_images or max(self.images // 4, 1)), strict=True))


def main(args: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    config = command_line.parse(Shapes, args, prog=PROG, description="Draw a COCO-format set of shapes.")
    for split, counts in draw(config, progress=True).items():
        of_each = ", ".join(f"{category.name} {counts[category.name]}" for category in CATEGORIES)
        print(f"{config.out / split}: {config.counts[split]} images, {sum(counts.values())} objects ({of_each})")
    return 0


def draw(config: Shapes, *, progress: bool = False) -> dict[str, Counter[str]]:
    """Draw the set; returns how many objects of each category every split has, crowds among them.

    Annotations are written last, so that half a set is never taken for a whole one.

    Raises
    ------
    InputError
        If ``out`` is not a directory, holds something else, or cannot be written to.
    """
    _prepare(config.out)
    context = multiprocessing.get_context("spawn")
    found = {}
    with ProcessPoolExecutor(config.workers or os.cpu_count(), mp_context=context, initializer=_begin) as pool:
        for number, (split, count) in enumerate(config.counts.items()):
            keys = [(config.seed, number, index) for index in range(count)]
            folder = [config.out / split] * count
            drawn = pool.map(_draw_one, folder, keys, [config.size] * count, chunksize=8)
            records = list(tqdm(drawn, total=count, desc=split, file=sys.stderr, disable=not progress))
            found[split] = [record for record in records if record]
    totals = {}
    for split, records in found.items():
        write_json(config.out / "annotations" / f"instances_{split}.json", annotation_file(records))
        (config.out / "annotations" / UNFINISHED).unlink(missing_ok=True)  # from the first on they tell it themselves
        names = {category.id: category.name for category in CATEGORIES}
        totals[split] = Counter(names[note["category_id"]] for _, notes in records for note in notes)
    return totals


def annotation_file(records: Sequence[tuple[dict[str, Any], list[dict[str, Any]]]]) -> dict[str, Any]:
    """What COCO's annotation file holds, of images and their annotations; these get ids from 1 up."""
    notes = [note for _, some in records for note in some]
    return {
        "info": {"description": DESCRIPTION},
        "categories": [{"id": c.id, "name": c.name, "supercategory": "shape"} for c in CATEGORIES],
        "images": [image for image, _ in records],
        "annotations": [{"id": number, **note} for number, note in enumerate(notes, start=1)],
    }


def _begin() -> None:
    # Where the program is killed, nobody else would end those who draw for it.
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _draw_one(folder: Path, key: tuple[int, int, int], size: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Draw the image of ``key`` into ``folder``; returns what the annotation file says of it."""
    picture = scene(key, size=size)
    number = key[-1] + 1
    name = f"{number:012d}.jpg"
    data = io.BytesIO()
    Image.fromarray(picture.pixels).save(data, format="JPEG", quality=92)
    with replacing(folder / name) as stream:
        stream.write(data.getvalue())
    height, width = picture.pixels.shape[:2]
    image = {"id": number, "file_name": name, "height": height, "width": width}
    return image, [_annotation(found, image_id=number) for found in picture.found]


def _annotation(found: Found, *, image_id: int) -> dict[str, Any]:
    """Box, area and mask of the visible pixels; the mask of a crowd in plain run lengths, as COCO has it."""
    packed = run_lengths.encode(np.asfortranarray(found.mask.astype(np.uint8)))
    counts = _runs(found.mask) if found.crowd else packed["counts"].decode("ascii")
    return {
        "image_id": image_id,
        "category_id": CATEGORIES[found.label].id,
        "bbox": [float(v) for v in run_lengths.toBbox(packed)],
        "area": float(found.mask.sum()),
        "iscrowd": int(found.crowd),
        "segmentation": {"size": [int(side) for side in found.mask.shape], "counts": counts},
    }


def _runs(mask: np.ndarray[Any, np.dtype[np.bool_]]) -> list[int]:
    """Lengths of the runs of outside and inside in turn, column by column, the first of outside (perhaps 0)."""
    pixels = mask.ravel(order="F")
    ends = np.flatnonzero(np.diff(pixels)) + 1
    runs = np.diff(np.concatenate([[0], ends, [len(pixels)]])).tolist()
    return [0, *runs] if pixels[0] else runs


def _prepare(out: Path) -> None:
    """Make the folders of a set in ``out``; annotations that are there go first."""
    if out.exists() and not out.is_dir():
        raise InputError(f"out is {out}, which is no directory; give the name of one")
    try:
        if out.exists() and (strange := _strange(out)):
            raise InputError(f"out is {out}, which holds {strange} and so is no set of shapes; give an empty directory")
        for name in SUBFOLDERS:
            (out / name).mkdir(parents=True, exist_ok=True)
        (out / "annotations" / UNFINISHED).touch()
        for path in (out / "annotations").iterdir():
            if path.name != UNFINISHED:
                path.unlink()
        for split in SPLITS:
            for path in (out / split).glob("*.jpg"):
                path.unlink()
            remove_unfinished(out / split)
    except OSError as error:
        raise InputError(f"out is {out}, where nothing can be written ({error.strerror}); give another") from None


def _strange(out: Path) -> str | None:
    """The first thing in the directory ``out`` that is of no drawn set, whole or begun; None if there is none."""
    for path in sorted(out.iterdir()):
        if path.name not in SUBFOLDERS:
            return path.name
    notes = out / "annotations"
    if (notes / UNFINISHED).exists():
        return None
    there = sorted(notes.iterdir()) if notes.exists() else []
    files = [path for path in there if not TEMPORARY.fullmatch(path.name)]  # not of what was killed while it wrote
    others = [path for path in files if not _has_drawn(path)]
    if not files:
        others = sorted(path for split in SPLITS for path in (out / split).glob("*.jpg"))
    return str(others[0].relative_to(out)) if others else None


def _has_drawn(path: Path) -> bool:
    """Whether a file has the annotations of a drawn set, as far as its beginning tells."""
    if not path.is_file():
        return False
    with open(path, "rb") as stream:
        return DESCRIPTION.encode() in stream.read(200)


if __name__ == "__main__":
    sys.exit(command_line.run(main, prog=PROG))
