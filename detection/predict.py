"""Detect objects in image files: ``python -m detection.predict --checkpoint F IMAGE... [--out F.json] [--draw DIR]``.

Each image is seen alone, as the checkpoint's own conventions resize and pad it, so that what is found in one depends on
no other.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from tqdm import tqdm

from detection import checkpoints, command_line, drawing, files
from detection.config import Category
from detection.data.images import check_header, read_image
from detection.detector import Detector
from detection.errors import InputError
from detection.postprocess import Detections
from detection.training.distributed import chosen_device

PROG = "predict"
DESCRIPTION = "Detect objects in image files, and say where they are as JSON, or draw them."


@dataclass(frozen=True, kw_only=True)
class PredictConfig:
    """What to look at, with what, and where to put what is found."""

    images: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="IMAGE...")] = ()
    """Image files."""
    checkpoint: Path
    """The detector: last.pt of a training run, or what detection.convert wrote."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """A JSON file for what is found; without it, it is printed."""
    draw: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """A directory for the images with what is found drawn on them, NAME.png each."""
    min_score: float = 0.0
    """The lowest score that is written; 0: all that the detector's own threshold keeps."""
    draw_score: float = 0.3
    """The lowest score that is drawn."""
    device: str = "auto"
    """cpu, cuda, cuda:1 ...; auto is cuda where there is one."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Of the network's arithmetic; boxes and scores are computed in fp32."""
    weights: Literal["ema", "raw"] = "ema"
    """The averaged weights, where the training had some, or those of the last update."""

    def __post_init__(self) -> None:
        """Refuse what cannot be run."""
        if not self.images:
            raise InputError("there is no image; name one file or more")
        for name in ("min_score", "draw_score"):
            value = getattr(self, name)
            if not 0 <= value <= 1 or math.isnan(value):
                raise InputError(f"{name} is {value}; give a number from 0 to 1")


def entries(detections: Detections, categories: Sequence[Category], *, min_score: float = 0.0) -> list[dict[str, Any]]:
    """``detections`` as JSON has them, best first: box x1, y1, x2, y2 in pixels, score, category id and name.

    Where there are masks, each has its "segmentation", COCO's compressed run lengths.
    """
    rows = zip(detections.boxes.tolist(), detections.scores.tolist(), detections.labels.tolist(), strict=True)
    found: list[dict[str, Any]] = []
    for at, (box, score, label) in enumerate(rows):
        if score >= min_score:
            entry = {"bbox": box, "score": score, "label": categories[label].id, "name": categories[label].name}
            found.append(entry if detections.masks is None else {**entry, "segmentation": detections.masks[at]})
    return found


def drawing_paths(images: Sequence[Path], directory: Path) -> list[Path]:
    """Where in ``directory`` to draw each of ``images``: NAME.png, and NAME-2.png for the second of a name.

    Raises
    ------
    InputError
        If one of them would take the place of an image that is looked at.
    """
    given = {image.resolve() for image in images}
    taken: set[Path] = set()
    paths = []
    for image in images:
        path, number = directory / f"{image.stem}.png", 1
        while path in taken:
            number += 1
            path = directory / f"{image.stem}-{number}.png"
        taken.add(path)
        paths.append(path)
        if path.resolve() in given:
            raise InputError(f"draw is {directory}, where {path.name} is one of the images; give another directory")
    return paths


def main(args: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    config = command_line.parse(PredictConfig, args, prog=PROG, description=DESCRIPTION)
    # Whatever can be refused is, before the long work begins.
    for path in config.images:
        check_header(path)
    files.check_out(config.out)
    drawn = None if config.draw is None else drawing_paths(config.images, config.draw)
    files.make_directory(config.draw, name="draw")
    device = chosen_device(config.device)
    checkpoint = checkpoints.load(config.checkpoint)
    model = checkpoints.build(checkpoint, ema=config.weights == "ema")
    detector = Detector(model, device=device, precision=config.precision)

    categories = checkpoint.config.categories
    found, seconds = [], 0.0
    # No bar where nobody looks (disable None: only on a terminal).
    for index, path in enumerate(tqdm(config.images, desc="images", unit="image", leave=False, disable=None)):
        pixels = read_image(path)
        start = time.perf_counter()
        detections = _on_cpu(detector.detect([pixels])[0])
        seconds += time.perf_counter() - start
        detections.refuse_not_finite(path)
        found.append(entries(detections, categories, min_score=config.min_score))
        if drawn is not None:
            picture = drawing.draw(pixels, detections, [c.name for c in categories], min_score=config.draw_score)
            with files.replacing(drawn[index]) as stream:
                picture.save(stream, format="PNG")

    if config.out is None:
        print(json.dumps(found, indent=1, allow_nan=False))
    else:
        files.write_json(config.out, found)
    print(
        f"{PROG}: objects: {sum(map(len, found)):,}, images: {len(found):,}, {seconds / len(found):.3f} s per image "
        f"({device}, {config.precision})",
        file=sys.stderr,
    )
    return 0


def _on_cpu(detections: Detections) -> Detections:
    return detections._replace(
        boxes=detections.boxes.cpu(), scores=detections.scores.cpu(), labels=detections.labels.cpu()
    )


if __name__ == "__main__":
    sys.exit(command_line.run(main, prog=PROG))
