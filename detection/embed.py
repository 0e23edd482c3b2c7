"""Objects as vectors: ``python -m detection.embed --checkpoint F --data ROOT --out F.npz``.

Every annotated or detected object of a COCO-format set becomes the mean of a feature map over its box or mask. The
file that is written has these as a table with their labels, images and boxes, and says what it was made of.

The work is done in parts, which are kept beside the file until it is whole: after an interruption, even one by force,
``--resume`` goes on, to the same bytes.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from tqdm import tqdm

from detection import checkpoints, coco_eval, command_line, files, parts, presets
from detection.config import ModelConfig, to_json
from detection.data.batch import Batch
from detection.data.coco import CocoDataset
from detection.data.loading import refuse_bare
from detection.data.workers import read_ahead
from detection.detector import Detector
from detection.errors import InputError
from detection.evaluate import differences
from detection.fcos import FCOS
from detection.objects import (
    MapKind,
    Views,
    annotated,
    annotated_in,
    batches_of,
    described,
    detected,
    normalised,
    thumbnails,
)
from detection.places import Place, Shift, every_place, opened, shifts
from detection.postprocess import Detections
from detection.training.distributed import chosen_device
from detection.training.learner import begin

PROG = "embed"
DESCRIPTION = "Describe the objects of a COCO-format set by vectors, read from the feature maps of a network."

FORMAT = "object-embeddings"
"""What the file says that it is."""
VERSION = 1

LARGEST_PICTURE = 1024
"""Pixels of the sides of thumbnails, at most: larger ones would not fit into memory by the thousand."""

PART = 32
"""Images that are done before what was read from them is kept."""


@dataclass(frozen=True, kw_only=True)
class EmbedConfig:
    """Which objects to describe, by what, and where to put it."""

    checkpoint: Path | None = None
    """The detector: last.pt of a training run, or what detection.convert wrote."""
    preset: str | None = None
    """Instead of a checkpoint: the network that this preset's training begins with, of which only the backbone has
    been trained."""
    data: Path
    """Directory of a COCO-format set: annotations/instances_SPLIT.json and SPLIT/*.jpg."""
    split: tuple[str, ...] = ("val2017",)
    """One split or several, whose objects follow one another."""
    out: Annotated[Path, tyro.conf.arg(metavar="FILE")]
    """The .npz file for the vectors and what they are of."""
    boxes: Literal["annotated", "detected"] = "annotated"
    """The objects: those that are annotated, crowds left out, or those that the detector finds."""
    min_score: float = 0.3
    """The lowest score of an object that is detected."""
    features: Literal["fpn", "backbone"] = "fpn"
    """Which map the vectors are read from: the level of the pyramid at which an object of that size is learned, or the
    last map of the backbone."""
    embedding: Literal["none", "fpn", "backbone"] = "none"
    """A second description of the same objects, from the other map."""
    pool: Literal["box", "mask"] = "box"
    """Of what a vector is the mean: of all that is in the box, or of what is in the object's mask."""
    normalise: bool = True
    """Divide every vector by its length."""
    min_side: float = 24.0
    """Pixels of the stored image: objects that are narrower or lower are left out."""
    short_side: int | None = None
    """Images are resized to this shorter side; None: as the network's configuration says."""
    max_side: int | None = None
    """The longer side that an image has at most then; None: as the network's configuration says."""
    thumbnails: int = 0
    """Pixels of the sides of a small picture of every object; 0: none."""
    weights: Literal["ema", "raw"] = "ema"
    """The averaged weights, where the training had some, or those of the last update."""
    device: str = "auto"
    """cpu, cuda, cuda:1 ...; auto is cuda where there is one."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Of the network's arithmetic; means are computed in fp32."""
    batch_size: int = 1
    """Images at once; only such that are padded to the same size go together, so that results are the same up to
    rounding."""
    workers: int = 2
    """Processes that read images; results do not depend on it."""
    resume: bool = False
    """Go on with what an interrupted run has left beside the file."""

    def __post_init__(self) -> None:
        """Refuse what cannot be run."""
        if (self.checkpoint is None) == (self.preset is None):
            both = "both given" if self.checkpoint else "both missing"
            raise InputError(f"checkpoint and preset are {both}; give one of them")
        if self.out.suffix != ".npz":
            raise InputError(f"out is {self.out}; give a name that ends in .npz")
        if not self.split:
            raise InputError("split is empty; give one or more")
        if len(set(self.split)) < len(self.split):
            raise InputError(f"split is {' '.join(self.split)}, which names one twice; name each once")
        for name, least in (("batch_size", 1), ("workers", 0), ("thumbnails", 0)):
            if getattr(self, name) < least:
                raise InputError(f"{name} is {getattr(self, name)}; give a number from {least} up")
        if self.thumbnails > LARGEST_PICTURE:
            raise InputError(f"thumbnails is {self.thumbnails}; give a number of pixels from 0 to {LARGEST_PICTURE}")
        if not 0 <= self.min_score <= 1:  # NaN is not
            raise InputError(f"min_score is {self.min_score}; give a number from 0 to 1")
        if not 0 <= self.min_side < math.inf:
            raise InputError(f"min_side is {self.min_side}; give a number of pixels from 0 up")
        if self.embedding == self.features:
            raise InputError(f"embedding is {self.embedding}, as features is; give the other map, or none")
        if self.preset is not None:
            _refuse_untrained(self)

    @property
    def maps(self) -> dict[str, MapKind]:
        """The arrays of vectors that are asked for, by name, and the map that each is read from."""
        if self.embedding == "none":
            return {"features": self.features}
        return {"features": self.features, "embedding": self.embedding}


def main(args: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    config = command_line.parse(EmbedConfig, args, prog=PROG, description=DESCRIPTION)
    # Whatever can be refused is, before the long work begins.
    files.check_out(config.out)
    device = chosen_device(config.device)
    datasets = opened(config.data, config.split)
    model, origin = network(config, datasets[0])
    if config.boxes == "detected":
        coco_eval.label_map(model.config.categories, datasets[0].categories)
        for line in differences(model.config.categories, datasets[0].categories):
            print(f"{PROG}: {line}", file=sys.stderr)
        if config.pool == "mask" and model.config.masks == "none":
            raise InputError("pool is mask, but the detector finds no masks; give one that does, or pool box")
    elif config.pool == "mask":
        for dataset in datasets:
            refuse_bare(dataset)
    places, moved = to_look_at(datasets, config), shifts(datasets)
    source = {"format": FORMAT, "version": VERSION, **origin, **provenance(config, datasets, model.config)}
    if any(any(shift) for shift in moved.values()):
        source["ids_moved_up_by"] = {split: shift._asdict() for split, shift in moved.items()}
    directory = parts.directory_of(config.out)
    work = {**source, "thumbnails": config.thumbnails, "images_per_part": PART, "network": to_json(model.config)}
    done = parts.begin(directory, work, resume=config.resume)
    shares = [places[at : at + PART] for at in range(0, len(places), PART)]
    left = [number for number in range(len(shares)) if number not in done]

    detector = Detector(model, device=device, precision=config.precision, masks=config.pool == "mask")
    start = time.perf_counter()
    try:
        arrays_of_parts = described_parts([shares[n] for n in left], detector, config, moved)
        for number, arrays in zip(left, arrays_of_parts, strict=True):
            parts.write(directory, number, arrays)
    except InputError:
        if not parts.finished(directory):
            parts.remove(directory)
        raise
    seconds = time.perf_counter() - start
    arrays = joined([parts.read(directory, number) for number in range(len(shares))])
    if not len(arrays["labels"]):
        parts.remove(directory)
        raise InputError(
            f"the detector finds no object in {config.data} with a score of {config.min_score} and sides of "
            f"{config.min_side} pixels; give a lower min_score or min_side"
        )
    arrays.setdefault("object_ids", np.arange(len(arrays["labels"])))
    arrays["category_names"] = np.array([category.name for category in datasets[0].categories])
    arrays["source"] = np.array(json.dumps(source, allow_nan=False))
    files.write_arrays(config.out, arrays, by=directory)
    parts.remove(directory)
    looked = sum(len(shares[number]) for number in left)
    each = f", {seconds / looked:.3f} s per image ({device}, {config.precision})" if looked else ""
    print(f"{told(arrays)}{each}")
    return 0


def described_parts(
    shares: Sequence[Sequence[Place]], detector: Detector, config: EmbedConfig, moved: Mapping[str, Shift]
) -> Iterator[dict[str, NDArray[Any]]]:
    """What the file will have of each of ``shares``, which are not empty.

    Raises
    ------
    InputError
        If an image cannot be read, or what the network makes of one is no number.
    """
    model = detector.config
    batches = [batches_of(share, model=model, batch_size=config.batch_size) for share in shares]
    views = Views([places for of_share in batches for places in of_share], model)
    stream = read_ahead(views, range(len(views.batches)), workers=config.workers, pin_memory=False)
    # No bar where nobody looks (disable None: only on a terminal).
    with tqdm(total=sum(map(len, shares)), desc="images", unit="image", leave=False, disable=None) as bar:
        for share, of_share in zip(shares, batches, strict=True):
            found: dict[Place, dict[str, NDArray[Any]]] = {}
            for places in of_share:
                found |= zip(places, rows(next(stream), places, detector, config, moved), strict=True)
                bar.update(len(places))
            yield joined([found[place] for place in share])


def rows(
    batch: Batch, places: Sequence[Place], detector: Detector, config: EmbedConfig, moved: Mapping[str, Shift]
) -> Iterator[dict[str, NDArray[Any]]]:
    """What the file will have of each image of a batch; raises as `described_parts` does."""
    maps = detector.maps_of(batch, pyramid=config.boxes == "detected" or "fpn" in config.maps.values())
    found: Sequence[Detections | None] = [None] * len(places)
    if config.boxes == "detected":
        found = detector.detect_in_maps(batch, maps)
    image_size = (int(batch.images.shape[-2]), int(batch.images.shape[-1]))
    for at, (place, detections) in enumerate(zip(places, found, strict=True)):
        enough: dict[str, Any] = {"min_side": config.min_side, "with_masks": config.pool == "mask"}
        if detections is None:
            objects = annotated(place, **enough)
        else:
            known = coco_eval.label_map(detector.config.categories, place.dataset.categories)
            objects = detected(place, detections, labels_here=known, min_score=config.min_score, **enough)
        (height, width), (h, w) = batch.sizes[at].tolist(), batch.originals[at].tolist()
        where: dict[str, Any] = {"size": (height, width), "original": (h, w), "image_size": image_size}
        arrays: dict[str, NDArray[Any]] = {}
        for name, kind in config.maps.items():
            vectors = described(maps, at, objects, kind=kind, size_ranges=detector.config.size_ranges, **where)
            if not torch.isfinite(vectors).all():
                raise InputError(
                    f"the network makes features of image {place.id} that are no numbers; give a checkpoint with "
                    "sound weights, or --precision fp32"
                )
            arrays[name] = (normalised(vectors) if config.normalise else vectors).numpy()
        arrays["labels"] = objects.labels.numpy()
        shift = moved[place.dataset.split]
        arrays["image_ids"] = np.full(len(objects.labels), place.id + shift.images, dtype=np.int64)
        if objects.ids is not None:
            arrays["object_ids"] = objects.ids.numpy() + shift.objects
        arrays["boxes"] = objects.boxes.numpy()
        if objects.scores is not None:
            arrays["scores"] = objects.scores.numpy()
        if config.thumbnails:
            arrays["thumbnails"] = thumbnails(place, objects, side=config.thumbnails)
        yield arrays


def network(config: EmbedConfig, dataset: CocoDataset) -> tuple[FCOS, dict[str, Any]]:
    """The network, and where it is from as the file says it.

    Raises
    ------
    InputError
        If the checkpoint or the weights of the preset's backbone cannot be read.
    """
    sides = {name: getattr(config, name) for name in ("short_side", "max_side") if getattr(config, name) is not None}
    if config.checkpoint is not None:
        loaded = checkpoints.load(config.checkpoint)
        loaded = dataclasses.replace(loaded, config=dataclasses.replace(loaded.config, **sides))
        trained = (loaded.training or {}).get("config")
        origin = {
            "checkpoint": checkpoints.fingerprint(config.checkpoint),
            "preset": trained.get("preset") or None if isinstance(trained, Mapping) else None,
            "made_by": loaded.source,
        }
        return checkpoints.build(loaded, ema=config.weights == "ema"), origin
    assert config.preset is not None
    training = presets.preset(config.preset, data=config.data, out=config.out)
    model = dataclasses.replace(training.model, categories=dataset.categories)
    fresh = begin(dataclasses.replace(training, model=model), say=lambda text: None)
    fresh.config = dataclasses.replace(model, **sides)
    return fresh, {"checkpoint": None, "preset": config.preset, "made_by": None}


def provenance(config: EmbedConfig, datasets: Sequence[CocoDataset], model: ModelConfig) -> dict[str, Any]:
    """What the vectors are of and how they were read, as the file says it; null where something does not apply."""
    return {
        "data": config.data.resolve().name,
        "splits": list(config.split),
        "annotations": {one.split: checkpoints.fingerprint(one.annotation_file) for one in datasets},
        "boxes": config.boxes,
        "pool": config.pool,
        "features": config.features,
        "embedding": config.embedding,
        "normalise": config.normalise,
        "short_side": model.short_side,
        "max_side": model.max_side,
        "min_side": config.min_side,
        "min_score": config.min_score if config.boxes == "detected" else None,
        "weights": None if config.checkpoint is None else config.weights,
        "precision": config.precision,
    }


def to_look_at(datasets: Sequence[CocoDataset], config: EmbedConfig) -> list[Place]:
    """The images in which there is something to describe, split by split in the order of their ids.

    Raises
    ------
    InputError
        If objects are to be annotated ones, and there are none.
    """
    if config.boxes == "detected":
        return every_place(datasets)
    return list(annotated_in(datasets, min_side=config.min_side))


def joined(several: Sequence[Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """The arrays of several images or parts under one another."""
    return {name: np.concatenate([arrays[name] for arrays in several]) for name in several[0]}


def told(arrays: Mapping[str, NDArray[Any]]) -> str:
    """How much is in a file, in a sentence."""
    widths = [f"{arrays['features'].shape[1]:,} dimensions"]
    if "embedding" in arrays:
        widths.append(f"{arrays['embedding'].shape[1]:,} of the embedding")
    counts = {name: len(np.unique(arrays[name])) for name in ("image_ids", "labels")}
    return (
        f"{len(arrays['labels']):,} objects of {counts['image_ids']:,} images, {' and '.join(widths)}, "
        f"{counts['labels']} of {len(arrays['category_names'])} categories"
    )


def _refuse_untrained(config: EmbedConfig) -> None:
    """Refuse what a network of which only the backbone is trained cannot say."""
    assert config.preset is not None
    if presets.preset(config.preset, data=config.data, out=config.out).backbone_weights is None:
        raise InputError(
            f"preset is {config.preset}, whose network begins at random (it has no backbone_weights); give a "
            "checkpoint, or a preset such as mini"
        )
    reason = f"the network that preset {config.preset} begins with has no trained part but its backbone"
    for name in ("features", "embedding"):
        if getattr(config, name) == "fpn":
            raise InputError(f"{name} is fpn, but {reason}; give {name} backbone, or a checkpoint")
    if config.boxes == "detected":
        raise InputError(f"boxes is detected, but {reason}; give boxes annotated, or a checkpoint")


if __name__ == "__main__":
    sys.exit(command_line.run(main, prog=PROG))
