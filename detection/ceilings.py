"""What each way of saying masks could reach: ``python -m detection.ceilings --data ROOT [--out F.json]``.

The annotated masks themselves are said, as polar rays or as a coarse grid, and read back as a detector's would be: the
AP of a detector that finds every object and says its mask exactly as it was taught. Rays end on the outline; with few
of them a network could gain a little by saying longer ones, from 18 on next to nothing. The cells of a grid are shares
of the mask, which is kinder than the bits that CondInst is taught ("as sampled"); a network may come to lie in between.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
import tyro
from pycocotools import mask as coco_mask
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from detection import coco_eval, command_line, files, plotting
from detection.boxes import middles
from detection.coco_eval import Evaluator, Found
from detection.config import to_json
from detection.data import bitmaps
from detection.data.coco import CocoDataset
from detection.data.loading import refuse_bare
from detection.data.transforms import resize_boxes, resize_masks, resized_size
from detection.errors import InputError
from detection.masks import polar, reading
from detection.masks.grids import sampled

PROG = "ceilings"
DESCRIPTION = "Measure what each way of saying masks could reach: annotated masks, said and read back."

COLUMNS = ("AP", "AP50", "AP75", "S", "M", "L")
"""Of COCO's numbers, those that a ceiling is told by."""

Said = Callable[["Scene"], list[dict[str, Any]]]
"""The masks of an image as one way of saying them leaves them: run lengths, in pixels of the stored image."""


@dataclass(frozen=True, kw_only=True)
class CeilingsConfig:
    """What to measure, and where to put it."""

    data: Path
    """Directory of a COCO-format set with masks: annotations/instances_SPLIT.json and SPLIT/*.jpg."""
    split: str = "val2017"
    rays: tuple[int, ...] = (8, 12, 18, 24, 36, 48, 60, 72, 90)
    """Numbers of polar rays."""
    strides: tuple[int, ...] = (2, 4, 8, 16)
    """Pixels between the cells of a coarse grid; CondInst's is 4."""
    short_side: int = 800
    """Images are resized to this shorter side, unless the longer one would exceed ``max_side``."""
    max_side: int = 1333
    evaluator: Evaluator = "pycocotools"
    """Who measures: COCO's own program, or a faster one with the same numbers."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """A JSON file for what was measured."""
    curve: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """An SVG file for AP by the number of rays."""

    def __post_init__(self) -> None:
        """Refuse what cannot be measured."""
        if any(not 3 <= n <= 360 for n in self.rays):
            raise InputError(f"rays is {self.rays}; give numbers from 3 to 360")
        if any(not 1 <= n <= 128 for n in self.strides):
            raise InputError(f"strides is {self.strides}; give numbers from 1 to 128")
        if not self.rays and not self.strides:
            raise InputError("rays and strides are both empty; give at least one number")
        if not 1 <= self.short_side <= self.max_side:
            raise InputError(f"short_side is {self.short_side}; give a number from 1 to max_side {self.max_side}")
        if self.curve is not None and not self.rays:
            raise InputError("curve is given, but there are no rays to draw it by; give some, or leave it out")


class Scene(NamedTuple):
    """The n objects of an image as a detector is shown them, without crowds."""

    masks: Tensor
    """uint8 [n, h, w], resized."""
    largest: Tensor
    """uint8 [n, h, w]: the largest part of each."""
    boxes: Tensor
    """float32 [n, 4], resized."""
    original: tuple[int, int]
    """Height and width of the stored image."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the resized image."""
        return int(self.masks.shape[1]), int(self.masks.shape[2])


class Ceiling(NamedTuple):
    """What one way of saying masks reaches."""

    name: str
    numbers: Mapping[str, float | None]
    """COCO's, of masks."""
    mean_iou: float
    """Of a mask with what is read back of it, over all objects."""


def ceilings(dataset: CocoDataset, ways: Mapping[str, Said], *, config: CeilingsConfig) -> list[Ceiling]:
    """What the annotated masks of ``dataset`` reach if said in these ``ways``.

    Raises
    ------
    InputError
        If no object has a mask, or one has none or one that cannot be drawn.
    """
    truth = coco_eval.ground_truth(dataset.annotation_file, iou_type="segm")
    said: dict[str, list[dict[str, Any]]] = {name: [] for name in ways}
    ious: dict[str, list[float]] = {name: [] for name in ways}
    images, labels = [], []
    for index in tqdm(range(len(dataset)), desc="images", unit="image", leave=False, disable=None):
        if not dataset.has_objects(index):
            continue
        drawn, annotations = dataset.masks(index, crowd=False), dataset.annotations(index)
        alone = ~annotations.crowd
        scene = resized(drawn, annotations.boxes[alone], config)
        own = annotations.labels[alone].numpy()
        exact = [bitmaps.run_lengths(mask) for mask in drawn.numpy()]
        images.append(np.full(len(own), index))
        labels.append(own)
        for name, way in ways.items():
            found = way(scene)
            said[name] += found
            pairs = zip(found, exact, strict=True)
            ious[name] += [float(coco_mask.iou([a], [b], [0])[0, 0]) for a, b in pairs]
    if not images:
        raise InputError(f"{dataset.annotation_file} has no object with a mask; give a set with some")
    where, what = np.concatenate(images), np.concatenate(labels)
    results = []
    for name in ways:
        found_here = Found(where, what, np.zeros((len(where), 4)), np.ones(len(where)), said[name])
        numbers = coco_eval.score(truth, found_here, evaluator=config.evaluator).numbers
        results.append(Ceiling(name, numbers, float(np.mean(ious[name]))))
    return results


def resized(exact: Tensor, boxes: Tensor, config: CeilingsConfig) -> Scene:
    """An image's objects of masks ``exact`` [n, h, w] and ``boxes`` [n, 4], resized as the original FCOS resizes."""
    original = (int(exact.shape[1]), int(exact.shape[2]))
    size = resized_size(*original, short_side=config.short_side, max_side=config.max_side, convention="original")
    masks = resize_masks(exact, size)
    return Scene(masks, bitmaps.largest_parts(masks), resize_boxes(boxes, original, size), original)


def by_rays(scene: Scene, *, n_rays: int, largest: bool = True, from_mass: bool = True) -> list[dict[str, Any]]:
    """The masks as the ends of ``n_rays`` rays from their centre of mass, or from the middle of the box."""
    masks = scene.largest if largest else scene.masks
    points = bitmaps.mass_centers(masks, scene.boxes) if from_mass else middles(scene.boxes)
    objects = torch.arange(len(masks))
    lengths = polar.ray_lengths(masks, points, objects, polar.reaches(scene.boxes, points), n_rays=n_rays)
    return polar.drawn(lengths, points, size=scene.size, original=scene.original)


def by_grid(scene: Scene, *, stride: int, bits: bool = False) -> list[dict[str, Any]]:
    """The masks as their shares of cells of ``stride`` pixels; or as their ``bits`` at every ``stride``-th place, which
    is what CondInst learns at a stride of 4.
    """
    height, width = scene.size
    padded = functional.pad(scene.masks, (0, -width % stride, 0, -height % stride))
    cells = sampled(padded, stride).float() if bits else shares(padded.float(), stride)
    rows, columns = cells.shape[1:]
    axes = reading.axes((rows, columns), factor=stride, size=scene.size, original=scene.original)
    return [bitmaps.run_lengths(reading.read(mask, axes)) for mask in cells]


def shares(masks: Tensor, stride: int) -> Tensor:
    """The means of ``masks`` [n, h, w] over ``stride`` pixels around every location of a stride, in both directions."""
    weights = torch.ones(stride + 1)
    weights[-1] = 0.0
    if stride % 2 == 0:  # a location lies between two pixels: half of one more on each side makes it the middle
        weights[0] = weights[-1] = 0.5
    around = functional.pad(masks[:, None], (0, 1, 0, 1), mode="replicate")
    kernel = torch.outer(weights, weights) / weights.sum() ** 2
    return functional.conv2d(around, kernel[None, None], stride=stride)[:, 0]


def ways_of(config: CeilingsConfig) -> dict[str, Said]:
    """All that is asked for, by name."""
    ways: dict[str, Said] = {f"polar, {n} rays": partial(by_rays, n_rays=n) for n in config.rays}
    if config.rays:
        n = 36 if 36 in config.rays else config.rays[-1]
        ways[f"polar, {n} rays, all parts"] = partial(by_rays, n_rays=n, largest=False)
        ways[f"polar, {n} rays, from the box's middle"] = partial(by_rays, n_rays=n, from_mass=False)
    for stride in config.strides:
        ways[f"grid, stride {stride}"] = partial(by_grid, stride=stride)
        ways[f"grid, stride {stride}, as sampled"] = partial(by_grid, stride=stride, bits=True)
    return ways


def main(args: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    config = command_line.parse(CeilingsConfig, args, prog=PROG, description=DESCRIPTION)
    files.check_out(config.out)
    files.check_out(config.curve, name="curve")
    coco_eval.check(config.evaluator)
    matplotlib = None if config.curve is None else plotting.matplotlib("curve is")
    dataset = CocoDataset(config.data, config.split)
    refuse_bare(dataset)
    found = ceilings(dataset, ways_of(config), config=config)
    if config.out is not None:
        files.write_json(config.out, as_json(config, found))
    if config.curve is not None:
        with files.replacing(config.curve) as stream:
            stream.write(picture(config, found, matplotlib))
    print(table(found))
    return 0


def table(found: Sequence[Ceiling]) -> str:
    """A row for each way."""
    width = max(len(one.name) for one in found)
    lines = ["".ljust(width) + "".join(f"{name:>7}" for name in (*COLUMNS, "IoU"))]
    for one in found:
        values = [*(one.numbers[name] for name in COLUMNS), one.mean_iou]
        lines.append(one.name.ljust(width) + "".join(f"{coco_eval.share(value):>7}" for value in values))
    return "\n".join(lines)


def as_json(config: CeilingsConfig, found: Sequence[Ceiling]) -> dict[str, Any]:
    """What was measured, and of what."""
    return {
        "config": to_json(config),
        "ceilings": [{"name": one.name, **one.numbers, "mean_iou": one.mean_iou} for one in found],
    }


def picture(config: CeilingsConfig, found: Sequence[Ceiling], matplotlib: Any) -> bytes:
    """AP by the number of rays, of all objects and by their size, as SVG; what a grid of stride 4 reaches beside it."""
    by_name = {one.name: one.numbers for one in found}
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "ceilings"}):
        figure = matplotlib.figure.Figure(figsize=(5.6, 4.0), layout="constrained")
        axes = figure.add_subplot()
        for column, label in zip(("AP", "S", "M", "L"), ("all", "small", "medium", "large"), strict=True):
            values = [by_name[f"polar, {n} rays"][column] for n in config.rays]
            shown = [np.nan if value is None else value for value in values]
            style = {"linewidth": 2.2, "color": "black"} if column == "AP" else {"linewidth": 1.2}
            axes.plot(config.rays, shown, marker="o", markersize=3, label=f"rays, {label}", **style)
        if 4 in config.strides and (grid := by_name["grid, stride 4"]["AP"]) is not None:
            axes.axhline(grid, color="0.5", linestyle="--", linewidth=1, label="grid of stride 4, all")
        axes.set(xlabel="rays", ylabel="AP of masks, said exactly", ylim=(0, 1.02), xlim=(0, None))
        axes.grid(color="0.92")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, loc="lower right", fontsize=9)
        drawn = io.BytesIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    return drawn.getvalue()


if __name__ == "__main__":
    sys.exit(command_line.run(main, prog=PROG))
