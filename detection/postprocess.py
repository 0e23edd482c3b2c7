"""From what locations say to detections: threshold, the best of each level, boxes, suppression, the best of the image.

Tian et al. 2019 (FCOS), section 3.1, as the original and torchvision have it; they differ in what the threshold is for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from detection import boxes, nms
from detection.config import STRIDES, ModelConfig
from detection.errors import InputError
from detection.fcos import Predictions
from detection.targets import Locations, locations

SLACK = 1e-5
"""Part of a probability by which the first, coarse threshold is lower: far more than rounding in fp32 (1e-7) can do."""


class Detections(NamedTuple):
    """The n objects found in one image, by falling score."""

    boxes: Tensor
    """float32 [n, 4]: x1, y1, x2, y2 in pixels."""
    scores: Tensor
    """float32 [n], from 0 to 1."""
    labels: Tensor
    """int64 [n]: index of the category in the order of ids."""
    places: Tensor | None = None
    """int64 [n]: index of the location that says so, where that is known."""
    masks: list[dict[str, Any]] | None = None
    """COCO's compressed run lengths, n of them, where the detector finds masks."""

    def refuse_not_finite(self, image: object) -> None:
        """Refuse, with an InputError, boxes or scores that are no numbers; ``image`` is what it calls the image."""
        if not (self.boxes.isfinite().all() and self.scores.isfinite().all()):
            raise InputError(
                f"the detector finds boxes in {image} that are no numbers; give a checkpoint with sound weights, or "
                "--precision fp32"
            )


class Candidates(NamedTuple):
    """What a batch's locations suggest before suppression: k boxes, image by image and level by level."""

    images: Tensor
    """int64 [k]: index in the batch."""
    places: Tensor
    """int64 [k]: index of the location."""
    boxes: Tensor
    """float32 [k, 4]: in pixels of the resized image, cut at its border if that comes first."""
    scores: Tensor
    """float32 [k]: sqrt(class probability x quality)."""
    labels: Tensor
    """int64 [k]."""


@torch.no_grad()
def detect(
    predictions: Predictions, *, sizes: Tensor, config: ModelConfig, image_size: tuple[int, int]
) -> list[Detections]:
    """The detections of each image of a batch, in pixels of the resized image.

    Parameters
    ----------
    predictions
        Of B images; whatever their precision, everything from here on is float32.
    sizes : int64 [B, 2]
        Height and width of each image without the padding; boxes are cut there, unless that comes last
        (``cut_boxes``): then `to_original` does it.
    image_size
        Height and width of the batch with the padding.
    """
    found = candidates(predictions, sizes=sizes, config=config, image_size=image_size)
    counts = torch.bincount(found.images, minlength=len(sizes)).tolist()
    columns = (found.boxes, found.scores, found.labels, found.places)
    detections = []
    for corners, scores, labels, places in zip(*(torch.split(column, counts) for column in columns), strict=True):
        kept = nms.suppress(
            corners,
            scores,
            labels,
            threshold=config.nms_threshold,
            inclusive=config.inclusive_boxes,
            limit=config.max_detections,
        )
        detections.append(Detections(corners[kept], scores[kept], labels[kept], places[kept]))
    return detections


def candidates(
    predictions: Predictions, *, sizes: Tensor, config: ModelConfig, image_size: tuple[int, int]
) -> Candidates:
    """The best of each level of each image, among location x class, that exceed the threshold.

    The score is sqrt(class probability x quality) in any case. The threshold is for the class probability, or, as
    torchvision has it, for the score.
    """
    n_locations, n_classes = predictions.logits.shape[1:]
    n_levels = len(STRIDES)
    where = locations(predictions.grid, config=config, image_size=image_size, device=predictions.logits.device)
    # All logits are looked at once; probabilities are computed, and the threshold is applied to them, for the few that
    # can exceed it. Quality is at most 1, so a score above t needs a class probability above t^2.
    least = config.score_threshold if config.threshold_on == "class" else config.score_threshold**2
    chosen = (predictions.logits.reshape(-1) > _coarse(least, predictions.logits.dtype)).nonzero().squeeze(1)
    probability = predictions.logits.reshape(-1)[chosen].float().sigmoid()
    rows = torch.div(chosen, n_classes, rounding_mode="floor")  # location of the batch: image x L + location
    scores = (probability * predictions.quality.reshape(-1)[rows].float().sigmoid()).sqrt()
    exact = ((probability if config.threshold_on == "class" else scores) > config.score_threshold).nonzero().squeeze(1)
    chosen, rows, scores = chosen[exact], rows[exact], scores[exact]

    # Every level of every image is one run of entries, since they are in the order of image, level, location, class.
    level = where.levels[rows % n_locations]
    image = torch.div(rows, n_locations, rounding_mode="floor")
    lengths = torch.bincount(image * n_levels + level, minlength=len(sizes) * n_levels).tolist()
    if max(lengths, default=0) > config.candidates:
        best = _best_of_runs(scores, lengths, config.candidates)
        chosen, rows, image, scores = chosen[best], rows[best], image[best], scores[best]

    places = rows % n_locations
    corners = _corners(where, places, predictions.distances.reshape(-1, 4)[rows].float(), config=config)
    if config.cut_boxes == "first":
        corners = _cut(corners, sizes[image], config=config)
    return Candidates(image, places, corners, scores, chosen % n_classes)


def to_original(
    detections: Detections, *, size: Sequence[int] | Tensor, original: Sequence[int] | Tensor, config: ModelConfig
) -> Detections:
    """Detections in pixels of the image as it was, from those in the resized one.

    ``size`` and ``original`` are height and width after and before resizing. A box that names its last pixel
    (``inclusive_boxes``) comes out as ours do, one pixel further to the right and down. Boxes end with the image;
    where they are cut last (``cut_boxes``), those that lie outside of it are left out.
    """
    (height, width), (resized_height, resized_width) = _pair(original), _pair(size)
    down, across = height / resized_height, width / resized_width
    corners = detections.boxes * detections.boxes.new_tensor([across, down, across, down])
    if config.inclusive_boxes:
        corners = corners + corners.new_tensor([0.0, 0.0, 1.0, 1.0])
    corners = boxes.clip(corners, height, width)
    if config.cut_boxes == "first":
        return detections._replace(boxes=corners)
    there = (corners[:, 2:] > corners[:, :2]).all(dim=1)
    places = None if detections.places is None else detections.places[there]
    return Detections(corners[there], detections.scores[there], detections.labels[there], places)


def _pair(size: Sequence[int] | Tensor) -> tuple[int, int]:
    height, width = size.tolist() if isinstance(size, Tensor) else size
    return int(height), int(width)


def _coarse(probability: float, dtype: torch.dtype) -> float:
    """A logit that every logit exceeds whose float32 sigmoid exceeds ``probability``, also compared as ``dtype``."""
    lower = probability * (1 - SLACK)
    if lower <= 0:
        return -math.inf
    logit = math.log(lower) - math.log1p(-lower)
    return logit - abs(logit) * torch.finfo(dtype).eps  # the comparison may round it up by half of that


def _best_of_runs(scores: Tensor, lengths: Sequence[int], count: int) -> Tensor:
    """Indices of at most ``count`` of the highest scores in each run; of equal ones the earlier."""
    best, start = [], 0
    for run in torch.split(scores, list(lengths)):
        if len(run) <= count:
            best.append(torch.arange(start, start + len(run), device=scores.device))
        else:
            # topk alone may take any of those that equal the last one.
            enough = (run >= run.topk(count).values[-1]).nonzero().squeeze(1)
            order = torch.argsort(run[enough], descending=True, stable=True)
            best.append(start + enough[order[:count]])
        start += len(run)
    return torch.cat(best)


def _corners(where: Locations, places: Tensor, distances: Tensor, *, config: ModelConfig) -> Tensor:
    """Boxes [k, 4] whose sides are at ``distances`` [k, 4] from the locations ``places`` [k]."""
    if config.normalise_distances:
        distances = distances * where.strides[places, None]
    points = where.points[places]
    return torch.cat([points - distances[:, :2], points + distances[:, 2:]], dim=1)


def _cut(corners: Tensor, sizes: Tensor, *, config: ModelConfig) -> Tensor:
    """Boxes [k, 4], each cut at the border of its own image (height, width in ``sizes`` [k, 2])."""
    last = sizes.flip(1).repeat(1, 2).to(corners.dtype)  # [k, 4]: width, height, width, height
    if config.inclusive_boxes:
        last = last - 1
    return torch.minimum(corners.clamp(min=0), last)
