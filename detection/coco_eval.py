"""COCO's measures of detections: the 12 numbers, the AP of each class, precision by recall.

pycocotools is the reference; hotcoco (extra ``eval``) gives the same numbers and takes less time.
"""

from __future__ import annotations

import contextlib
import importlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detection.config import Category
from detection.data import annotation_file
from detection.errors import InputError

Evaluator = Literal["pycocotools", "hotcoco"]
IouType = Literal["bbox", "segm"]

KINDS: dict[IouType, str] = {"bbox": "boxes", "segm": "masks"}
"""What overlaps are those of, in a word."""

NUMBERS = ("AP", "AP50", "AP75", "S", "M", "L", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")
"""The 12, in the order in which COCO prints them. AP: mean over IoU .5:.95, classes and recalls; S, M, L: of objects
below 32^2 pixels, below 96^2, and above; AR1: recall, mean over IoU and classes, with one detection per image."""

IOUS = np.linspace(0.5, 0.95, 10)
"""Of a detection with its object, from which on it is found: axis T of precision and recall."""
RECALLS = np.linspace(0.0, 1.0, 101)
"""Where precision is read: axis R."""

ALL, SMALL, MEDIUM, LARGE = range(4)
"""Areas of objects: axis A."""
ONE, TEN, HUNDRED = range(3)
"""Detections that count in an image: axis M."""


class GroundTruth(NamedTuple):
    """What is to be found, as the evaluators take it.

    Images, categories and annotations are numbered from 1 in the order of their ids: the evaluators take an annotation
    with the id 0 for none at all, and keep ids in 64-bit floats.
    """

    image_ids: tuple[int, ...]
    categories: tuple[Category, ...]
    objects: tuple[int, ...]
    """How many of each category are to be found, crowds not counted."""
    coco: dict[str, Any]
    """Images, categories and annotations in COCO's form."""
    iou_type: IouType


class Found(NamedTuple):
    """N detections, those of an image together and by falling score."""

    images: NDArray[np.int64]
    """[N]: index of the image in the order of ids."""
    labels: NDArray[np.int64]
    """[N]: index of the category in the order of ids."""
    boxes: NDArray[np.float64]
    """[N, 4]: x1, y1, x2, y2 in pixels of the original image."""
    scores: NDArray[np.float64]
    """[N]."""
    masks: Sequence[dict[str, Any]] | None = None
    """COCO's compressed run lengths, N of them, where masks are measured."""


class ClassResult(NamedTuple):
    """How well one category is found; None where the set has no such object."""

    category: Category
    objects: int
    ap: float | None
    ap50: float | None


@dataclass(frozen=True)
class Evaluation:
    """What COCO's measures say."""

    iou_type: IouType
    """Overlaps are those of boxes, or of masks."""
    images: int
    numbers: dict[str, float | None]
    """The 12 of `NUMBERS`; None where the set has no such object."""
    per_class: tuple[ClassResult, ...]
    """In the order of the categories' ids."""
    precision: NDArray[np.float64]
    """[T, R, K]: for `IOUS`, `RECALLS` and categories, of objects of all sizes; -1 where a category has no object."""

    def to_json(self) -> dict[str, Any]:
        """The 12 numbers, and the AP of each class by its name (with its id where several have that name)."""
        names = [result.category.name for result in self.per_class]
        return {
            self.iou_type: dict(self.numbers),
            "per_class": {
                name if names.count(name) == 1 else f"{name} ({result.category.id})": result.ap
                for name, result in zip(names, self.per_class, strict=True)
            },
            "images": self.images,
        }


def ground_truth(path: Path, *, iou_type: IouType = "bbox") -> GroundTruth:
    """What the annotation file says is to be found; see `ground_truths`."""
    return ground_truths(path, (iou_type,))[0]


def ground_truths(path: Path, iou_types: Sequence[IouType]) -> list[GroundTruth]:
    """What the annotation file says is to be found, of each kind: boxes as they are written, not clipped.

    Raises
    ------
    InputError
        If the file is not what `annotation_file.read` asks for, or an annotation has no segmentation where masks are
        to be measured.
    """
    contents = annotation_file.read(path)
    return [_truth(contents, path, iou_type) for iou_type in iou_types]


def _truth(contents: annotation_file.Contents, path: Path, iou_type: IouType) -> GroundTruth:
    areas = np.where(np.isnan(contents.areas), contents.boxes[:, 2:].prod(axis=1), contents.areas)
    annotations: list[dict[str, Any]] = [
        {
            "id": at + 1,
            "image_id": int(contents.image[at]) + 1,
            "category_id": int(contents.labels[at]) + 1,
            "bbox": contents.boxes[at].tolist(),
            "area": float(areas[at]),
            "iscrowd": int(contents.crowd[at]),
        }
        for at in range(len(areas))
    ]
    if iou_type == "segm":
        for at, (annotation, segmentation) in enumerate(zip(annotations, contents.segmentations, strict=True)):
            if segmentation is None:
                raise InputError(
                    f"{path}: annotation {contents.ids[at]} has no segmentation, by which masks are measured; give one"
                )
            image = contents.images[contents.image[at]]
            annotation["segmentation"] = _whole(annotation_file.unpack(segmentation), image)
    return GroundTruth(
        image_ids=tuple(image.id for image in contents.images),
        categories=contents.categories,
        objects=tuple(np.bincount(contents.labels[~contents.crowd], minlength=len(contents.categories)).tolist()),
        coco={
            "images": [
                {"id": at + 1, "width": image.width, "height": image.height, "file_name": image.file_name}
                for at, image in enumerate(contents.images)
            ],
            "categories": [{"id": at + 1, "name": one.name} for at, one in enumerate(contents.categories)],
            "annotations": annotations,
        },
        iou_type=iou_type,
    )


def label_map(model: Sequence[Category], data: Sequence[Category]) -> NDArray[np.int64]:
    """For every label of the model, that of the data whose category has the same id; -1 where there is none.

    Raises
    ------
    InputError
        If no category has an id that both know.
    """
    places = {category.id: at for at, category in enumerate(data)}
    labels = np.array([places.get(category.id, -1) for category in model], dtype=np.int64)
    if not (labels >= 0).any():
        raise InputError(
            f"categories of the detector have the ids {_some(model)}, those of the data {_some(data)}, and none is the "
            "same; give data with categories that the detector was trained on"
        )
    return labels


def check(evaluator: Evaluator) -> None:
    """Refuse, with an InputError, an evaluator that is not installed."""
    _module(evaluator)


def _whole(segmentation: Any, image: annotation_file.ImageInfo) -> Any:
    """A segmentation that pycocotools can read: it takes a polygon of two corners for a box, and stumbles over it."""
    if isinstance(segmentation, list) and any(len(polygon) < 6 for polygon in segmentation):
        kept = [polygon for polygon in segmentation if len(polygon) >= 6]
        return kept or {"size": [image.height, image.width], "counts": [image.height * image.width]}
    return segmentation


def score(truth: GroundTruth, found: Found, *, evaluator: Evaluator = "pycocotools") -> Evaluation:
    """What COCO's measures say of ``found``; at most 100 detections of an image count.

    Raises
    ------
    InputError
        If the evaluator is not installed.
    ValueError
        If masks are to be measured and ``found`` has none.
    """
    if truth.iou_type == "segm" and found.masks is None:
        raise ValueError("masks are to be measured, but the detections have none")
    precision, recall = (_pycocotools if evaluator == "pycocotools" else _hotcoco)(truth, found)
    every = precision[:, :, :, ALL, HUNDRED]
    per_class = [
        ClassResult(category, truth.objects[k], _mean(every[:, :, k]), _mean(every[0, :, k]))
        for k, category in enumerate(truth.categories)
    ]
    return Evaluation(truth.iou_type, len(truth.image_ids), _numbers(precision, recall), tuple(per_class), every)


def share(value: float | None) -> str:
    """A number as a table of baselines has it: .387, or - where nothing is to be found."""
    return "-" if value is None else f"{value:.3f}".removeprefix("0")


def _numbers(precision: NDArray[np.float64], recall: NDArray[np.float64]) -> dict[str, float | None]:
    """The 12 numbers from precision [T, R, K, A, M] and recall [T, K, A, M]."""
    seventy_five = int(np.argmin(np.abs(IOUS - 0.75)))
    values = [
        precision[:, :, :, ALL, HUNDRED],
        precision[0, :, :, ALL, HUNDRED],
        precision[seventy_five, :, :, ALL, HUNDRED],
        *(precision[:, :, :, area, HUNDRED] for area in (SMALL, MEDIUM, LARGE)),
        *(recall[:, :, ALL, count] for count in (ONE, TEN, HUNDRED)),
        *(recall[:, :, area, HUNDRED] for area in (SMALL, MEDIUM, LARGE)),
    ]
    return {name: _mean(value) for name, value in zip(NUMBERS, values, strict=True)}


def _mean(values: NDArray[np.float64]) -> float | None:
    """The mean of what is defined: the evaluators have -1 where there is nothing to find."""
    defined = values[values > -1]
    return float(np.mean(defined)) if defined.size else None


def _pycocotools(truth: GroundTruth, found: Found) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    coco, cocoeval, mask = _module("pycocotools")
    x, y, width, height = _columns(found)
    # One by one, since pycocotools refuses more than 255 at once beside NumPy 2.
    areas = width * height if truth.iou_type == "bbox" else [mask.area(one) for one in found.masks or ()]
    detections: list[dict[str, Any]] = [
        {
            "id": at + 1,
            "image_id": int(found.images[at]) + 1,
            "category_id": int(found.labels[at]) + 1,
            "bbox": [float(x[at]), float(y[at]), float(width[at]), float(height[at])],
            "score": float(found.scores[at]),
            "area": float(areas[at]),
            "iscrowd": 0,
            **({} if found.masks is None else {"segmentation": found.masks[at]}),
        }
        for at in range(len(found.scores))
    ]
    # The evaluator writes into what it is given; and its own loadRes knows no empty list.
    annotations = [dict(annotation) for annotation in truth.coco["annotations"]]
    with contextlib.redirect_stdout(io.StringIO()):  # it says what it does in a dozen lines
        objects, results = coco.COCO(), coco.COCO()
        objects.dataset = {**truth.coco, "annotations": annotations}
        results.dataset = {**truth.coco, "annotations": detections}
        objects.createIndex()
        results.createIndex()
        run = cocoeval.COCOeval(objects, results, truth.iou_type)
        run.evaluate()
        run.accumulate()
    return run.eval["precision"], run.eval["recall"]


def _hotcoco(truth: GroundTruth, found: Found) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    (hotcoco,) = _module("hotcoco")
    detections: Any
    if truth.iou_type == "bbox":
        detections = np.column_stack([found.images + 1, *_columns(found), found.scores, found.labels + 1])
    else:
        # Without boxes: it would take a mask for as large as its box, which decides what counts as small.
        columns = zip(
            found.images.tolist(), found.labels.tolist(), found.scores.tolist(), found.masks or (), strict=True
        )
        detections = [
            {"image_id": image + 1, "category_id": label + 1, "score": score, "segmentation": mask}
            for image, label, score, mask in columns
        ]
    objects = hotcoco.COCO(truth.coco)
    run = hotcoco.COCOeval(objects, objects.load_res(detections), truth.iou_type)
    run.evaluate()
    run.accumulate()
    return np.asarray(run.eval["precision"]), np.asarray(run.eval["recall"])


def _columns(found: Found) -> tuple[NDArray[np.float64], ...]:
    """x, y, width and height [N] of the boxes."""
    x1, y1, x2, y2 = found.boxes.reshape(-1, 4).astype(np.float64).T
    return x1, y1, x2 - x1, y2 - y1


def _module(evaluator: Evaluator) -> list[Any]:
    """What the evaluator is made of; imported here, because one is optional and neither has types."""
    modules = {"pycocotools": ("pycocotools.coco", "pycocotools.cocoeval", "pycocotools.mask"), "hotcoco": ("hotcoco",)}
    try:
        return [importlib.import_module(name) for name in modules[evaluator]]
    except ImportError as error:
        package = "pycocotools" if evaluator == "pycocotools" else "'dimensional-views[eval]'"
        raise InputError(
            f"evaluator is {evaluator}, which cannot be imported ({error}); pip install {package}"
        ) from error


def _some(categories: Sequence[Category]) -> str:
    ids = [str(category.id) for category in categories]
    return ", ".join(ids if len(ids) <= 4 else [*ids[:3], "..."]) or "(none)"
