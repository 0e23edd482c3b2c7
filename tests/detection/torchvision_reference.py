"""torchvision's FCOS, from the names in its files to its detections: a plain definition to compare with.

It was compared with torchvision 0.29's own model on images of COCO, with random weights: the same detections, to
rounding.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from tests.detection import reference_parts as parts
from tests.detection.reference_parts import STRIDES, Found, Names, Weights

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

NAMES = Names(
    stem="backbone.body.conv1",
    stem_norm="backbone.body.bn1",
    conv=lambda stage, block, number: f"backbone.body.layer{stage}.{block}.conv{number}",
    norm=lambda stage, block, number: f"backbone.body.layer{stage}.{block}.bn{number}",
    shortcut=lambda stage: f"backbone.body.layer{stage}.0.downsample.0",
    shortcut_norm=lambda stage: f"backbone.body.layer{stage}.0.downsample.1",
)
LATERAL = [f"backbone.fpn.inner_blocks.{i}.0" for i in range(3)]
OUTPUT = [f"backbone.fpn.layer_blocks.{i}.0" for i in range(3)]
TOP = ["backbone.fpn.extra_blocks.p6", "backbone.fpn.extra_blocks.p7"]
CLASSES, BOXES = "head.classification_head", "head.regression_head"


def random_weights(*, depth: int, channels: int, classes: int = 91, seed: int = 0) -> Weights:
    """A state dict by torchvision's names."""
    return {
        **parts.backbone_weights(NAMES, depth=depth, seed=seed, pixels=1.0),
        **parts.other_weights(
            depth=depth,
            seed=seed,
            channels=channels,
            classes=classes,
            lateral=LATERAL,
            output=OUTPUT,
            top=TOP,
            towers=[f"{CLASSES}.conv", f"{BOXES}.conv"],
            logits=f"{CLASSES}.cls_logits",
            distances=f"{BOXES}.bbox_reg",
            quality=f"{BOXES}.bbox_ctrness",
            distance=1.2,
        ),
    }


def detect(
    w: Weights,
    image: Tensor,
    *,
    depth: int,
    min_size: int = 800,
    max_size: int = 1333,
    per_level: int = 1000,
    per_image: int = 100,
) -> Found:
    """What it finds in ``image``, uint8 [3, h, w] RGB."""
    height, width = image.shape[-2:]
    x = (image.float() / 255 - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    scale = min(min_size / min(height, width), max_size / max(height, width))
    x = functional.interpolate(
        x[None], scale_factor=scale, recompute_scale_factor=True, mode="bilinear", align_corners=False
    )[0]
    seen_height, seen_width = x.shape[-2:]
    batch = parts.padded(x)
    features = parts.pyramid(
        parts.resnet(batch, w, NAMES, depth=depth, stride_in_1x1=False, eps=1e-5),
        w,
        lateral=LATERAL,
        output=OUTPUT,
        top=TOP,
    )
    boxes, scores, labels, levels = [], [], [], []
    for level, (feature, size) in enumerate(zip(features, STRIDES, strict=True)):
        classes = parts.tower(feature, w, f"{CLASSES}.conv")
        regressed = parts.tower(feature, w, f"{BOXES}.conv")
        logits = parts.flat(parts.convolved(classes, w, f"{CLASSES}.cls_logits"))
        centerness = parts.flat(parts.convolved(regressed, w, f"{BOXES}.bbox_ctrness"))
        sides = parts.flat(functional.relu(parts.convolved(regressed, w, f"{BOXES}.bbox_reg"))) * size
        rows, columns = feature.shape[-2:]
        step_y, step_x = batch.shape[-2] // rows, batch.shape[-1] // columns
        where = torch.tensor([(j * step_x, i * step_y) for i in range(rows) for j in range(columns)]).float()

        score = (logits.sigmoid() * centerness.sigmoid()).sqrt().flatten()
        above = (score > 0.2).nonzero().flatten()
        best = above[score[above].argsort(descending=True, stable=True)][:per_level]
        place = best // logits.shape[1]
        corners = torch.cat([where[place] - sides[place, :2], where[place] + sides[place, 2:]], dim=1)
        corners[:, 0::2] = corners[:, 0::2].clamp(0, seen_width)
        corners[:, 1::2] = corners[:, 1::2].clamp(0, seen_height)
        boxes.append(corners)
        scores.append(score[best])
        labels.append(best % logits.shape[1])
        levels.append(torch.full_like(best, level))
    box, score, label, level_of = (torch.cat(column) for column in (boxes, scores, labels, levels))
    kept = parts.suppressed(box, score, label, threshold=0.6)[:per_image]
    ratio = torch.tensor([width / seen_width, height / seen_height]).repeat(2)
    return Found(box[kept] * ratio, score[kept], label[kept], level_of[kept])
