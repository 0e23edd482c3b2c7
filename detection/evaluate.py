"""Measure a detector as COCO does: ``python -m detection.evaluate --checkpoint F --data ROOT [--out F.json]``."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Protocol

import numpy as np
import torch
import tyro
from tqdm import tqdm

from detection import checkpoints, coco_eval, command_line, curves, drawing, files
from detection.coco_eval import KINDS, NUMBERS, Evaluation, Evaluator, Found, GroundTruth, IouType, share
from detection.config import Category, ModelConfig
from detection.data.coco import CocoDataset
from detection.data.loading import Batch, eval_batches
from detection.detector import Detector
from detection.errors import InputError
from detection.postprocess import Detections
from detection.training.distributed import chosen_device

PROG = "evaluate"
DESCRIPTION = "Measure a detector on COCO-format data: COCO's 12 numbers, the AP of each class, precision by recall."


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """What to measure, and where to put it."""

    checkpoint: Path
    """The detector: last.pt of a training run, or what detection.convert wrote."""
    data: Path
    """Directory of a COCO-format set: annotations/instances_SPLIT.json and SPLIT/*.jpg."""
    split: str = "val2017"
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """A JSON file for what was measured."""
    evaluator: Evaluator = "pycocotools"
    """Who measures: COCO's own program, or a faster one with the same numbers."""
    device: str = "auto"
    """cpu, cuda, cuda:1 ...; auto is cuda where there is one."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Of the network's arithmetic; boxes and scores are computed in fp32."""
    weights: Literal["ema", "raw"] = "ema"
    """The averaged weights, where the training had some, or those of the last update."""
    batch_size: int = 1
    """Images at once; those of a batch are padded to one size."""
    workers: int = 2
    """Processes that read images; results do not depend on it."""
    curves: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """A directory for precision by recall: precision_recall.csv and .svg, and mask_precision_recall.csv and .svg."""
    draw: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """A directory for images with what is annotated, and beside it with what was found."""
    draw_images: int = 20
    """How many to draw, the first ones in the order of their ids."""
    masks: bool = True
    """Measure masks too, where the detector finds them; without, data need not have any."""

    def __post_init__(self) -> None:
        """Refuse what cannot be run."""
        for name, least in (("batch_size", 1), ("workers", 0), ("draw_images", 1)):
            if getattr(self, name) < least:
                raise InputError(f"{name} is {getattr(self, name)}; give a number from {least} up")


class Finder(Protocol):
    """What can be measured: `detection.detector.Detector`, or anything that answers like it."""

    @property
    def config(self) -> ModelConfig:
        """How images are to be resized, and what the labels mean."""

    def detect_batch(self, batch: Batch) -> list[Detections]:
        """What is found in each image of ``batch``, in pixels of the originals."""


class Timed(NamedTuple):
    """Detections of a whole set."""

    found: Found
    seconds: float
    """From the first image read to the last detection."""


def evaluate(
    detector: Finder,
    dataset: CocoDataset,
    *,
    evaluator: Evaluator = "pycocotools",
    batch_size: int = 1,
    workers: int = 0,
    masks: bool = True,
) -> dict[IouType, Evaluation]:
    """What COCO's measures say of ``detector`` on all images of ``dataset``: of its boxes ("bbox") and, unless
    ``masks`` is off or it finds none, of its masks ("segm").

    Categories are matched by their ids: what the detector finds of others than the set's is not counted, and those of
    the set that it does not know are never found.

    Raises
    ------
    InputError
        If the evaluator is not installed, no category is known to both, an image cannot be read, or an annotation has
        no mask to measure with.
    """
    coco_eval.check(evaluator)
    truths = ground_truths(dataset, detector.config, masks=masks)
    found = find(detector, dataset, batch_size=batch_size, workers=workers).found
    return {truth.iou_type: coco_eval.score(truth, found, evaluator=evaluator) for truth in truths}


def ground_truths(dataset: CocoDataset, config: ModelConfig, *, masks: bool = True) -> list[GroundTruth]:
    """What is to be found by a detector of ``config``: boxes and, if it finds them and ``masks`` is on, masks."""
    kinds: tuple[IouType, ...] = ("bbox",) if config.masks == "none" or not masks else ("bbox", "segm")
    return coco_eval.ground_truths(dataset.annotation_file, kinds)


def find(detector: Finder, dataset: CocoDataset, *, batch_size: int, workers: int, progress: bool = False) -> Timed:
    """What ``detector`` finds in the images of ``dataset``, by the set's own categories; raises as `evaluate` does."""
    labels_here = coco_eval.label_map(detector.config.categories, dataset.categories)
    index_of = {image.id: index for index, image in enumerate(dataset.images)}
    parts: list[Found] = []
    masks: list[list[dict[str, Any]] | None] = []
    start = time.perf_counter()
    batches = eval_batches(dataset, model=detector.config, batch_size=batch_size, workers=workers)
    with tqdm(total=len(dataset), desc="images", unit="image", leave=False, disable=None if progress else True) as bar:
        for batch in batches:
            for image_id, detections in zip(batch.image_ids, detector.detect_batch(batch), strict=True):
                detections.refuse_not_finite(f"image {image_id}")
                boxes, scores, labels = (value.cpu().numpy() for value in detections[:3])
                labels = labels_here[labels]
                known = labels >= 0
                images = np.full(int(known.sum()), index_of[image_id])
                parts.append(Found(images, labels[known], boxes[known].astype(float), scores[known].astype(float)))
                said = detections.masks
                masks.append(None if said is None else [said[at] for at in np.flatnonzero(known)])
            bar.update(len(batch.image_ids))
    seconds = time.perf_counter() - start
    images, labels, boxes, scores = (np.concatenate(column) for column in list(zip(*parts, strict=True))[:4])
    segmentations = None if None in masks else [one for of_image in masks for one in of_image or ()]
    return Timed(Found(images, labels, boxes, scores, segmentations), seconds)


def main(args: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    config = command_line.parse(EvaluateConfig, args, prog=PROG, description=DESCRIPTION)
    # Whatever can be refused is, before the long work begins.
    files.check_out(config.out)
    coco_eval.check(config.evaluator)
    if config.curves is not None:
        curves.check()
    for name in ("curves", "draw"):
        files.make_directory(getattr(config, name), name=name)
    device = chosen_device(config.device)
    checkpoint = checkpoints.load(config.checkpoint)
    dataset = CocoDataset(config.data, config.split)
    coco_eval.label_map(checkpoint.config.categories, dataset.categories)
    for line in differences(checkpoint.config.categories, dataset.categories):
        print(f"{PROG}: {line}", file=sys.stderr)
    truths = ground_truths(dataset, checkpoint.config, masks=config.masks)
    model = checkpoints.build(checkpoint, ema=config.weights == "ema")

    detector = Detector(model, device=device, precision=config.precision, masks=config.masks)
    found, seconds = find(detector, dataset, batch_size=config.batch_size, workers=config.workers, progress=True)
    measured = {truth.iou_type: coco_eval.score(truth, found, evaluator=config.evaluator) for truth in truths}

    if config.draw is not None:
        draw(config.draw, dataset, found, count=config.draw_images)
    if config.curves is not None:
        for evaluation in measured.values():
            curves.write(config.curves, evaluation)
    if config.out is not None:
        files.write_json(config.out, _result(config, measured, seconds=seconds, device=device))
    print(table(measured))
    print()
    print(class_table(measured))
    print(
        f"\n{len(dataset):,} images in {seconds:.1f} s, {len(dataset) / seconds:.2f} images/s "
        f"({device}, {config.precision}, batches of {config.batch_size})"
    )
    return 0


def draw(directory: Path, dataset: CocoDataset, found: Found, *, count: int) -> None:
    """Write ``ID.png`` for the first ``count`` images: on the left what is annotated, on the right what was found."""
    names = [category.name for category in dataset.categories]
    for index, image in enumerate(dataset.images[:count]):
        here = found.images == index
        detections = Detections(
            torch.from_numpy(found.boxes[here]).float(),
            torch.from_numpy(found.scores[here]).float(),
            torch.from_numpy(found.labels[here]),
            masks=None if found.masks is None else [found.masks[at] for at in np.flatnonzero(here).tolist()],
        )
        pixels = dataset.read(index)
        both = [
            drawing.draw_annotations(pixels, dataset.annotations(index), names),
            drawing.draw(pixels, detections, names),
        ]
        with files.replacing(directory / f"{image.id}.png") as stream:
            drawing.grid(both, columns=2).save(stream, format="PNG")


def table(measured: Mapping[IouType, Evaluation]) -> str:
    """The 12 numbers under their names, as in a table of baselines: .387, or - where nothing is to be found."""
    lines = [list(NUMBERS), *([share(one.numbers[name]) for name in NUMBERS] for one in measured.values())]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    labels = ["", *(KINDS[kind] for kind in measured)]
    return "\n".join(
        f"{label:<6}" + "  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True))
        for label, line in zip(labels, lines, strict=True)
    )


def class_table(measured: Mapping[IouType, Evaluation]) -> str:
    """AP and AP50 of every category that the set has objects of, with their number."""
    every = list(zip(*(one.per_class for one in measured.values()), strict=True))
    rows = [results for results in every if results[0].ap is not None]
    width = max([8, *(len(results[0].category.name) for results in rows)])
    heads = [f"{name}{'' if kind == 'bbox' else ' ' + KINDS[kind]}" for kind in measured for name in ("AP", "AP50")]
    lines = ["  ".join(["category".ljust(width), " objects", *(f"{head:>5}" for head in heads)])] if rows else []
    for results in rows:
        cells = [share(value) for result in results for value in (result.ap, result.ap50)]
        numbers = [cell.rjust(max(5, len(head))) for cell, head in zip(cells, heads, strict=True)]
        lines.append("  ".join([results[0].category.name.ljust(width), f"{results[0].objects:>8,}", *numbers]))
    if missing := len(every) - len(rows):
        lines.append(f"{missing} of {len(every)} categories have no objects here.")
    return "\n".join(lines)


def _result(
    config: EvaluateConfig, measured: Mapping[IouType, Evaluation], *, seconds: float, device: torch.device
) -> dict[str, Any]:
    images = measured["bbox"].images
    of_masks = {}
    if "segm" in measured:
        said = measured["segm"].to_json()
        of_masks = {"segm": said["segm"], "per_class_segm": said["per_class"]}
    return {
        **measured["bbox"].to_json(),
        **of_masks,
        "seconds": seconds,
        "images_per_s": images / seconds,
        "checkpoint": str(config.checkpoint),
        "data": str(config.data),
        "split": config.split,
        "weights": config.weights,
        "evaluator": config.evaluator,
        "device": str(device),
        "precision": config.precision,
        "batch_size": config.batch_size,
    }


def differences(model: Sequence[Category], data: Sequence[Category]) -> list[str]:
    """What should be known of categories that are not the same in the detector and in the data."""
    lines = []
    names = {category.id: category.name for category in model}
    unknown = [category for category in data if category.id not in names]
    if unknown:
        lines.append(
            f"the detector does not know {len(unknown)} of {len(data)} categories of the data "
            f"({unknown[0].name!r}, id {unknown[0].id}, ...), and will find none of them"
        )
    renamed = [category for category in data if names.get(category.id, category.name) != category.name]
    if renamed:
        first = renamed[0]
        lines.append(
            f"{len(renamed)} categories have another name in the data than in the detector, and are taken for the same "
            f"by their id (id {first.id} is {first.name!r} in the data, {names[first.id]!r} in the detector)"
        )
    return lines


if __name__ == "__main__":
    sys.exit(command_line.run(main, prog=PROG))
