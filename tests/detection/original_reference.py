"""The original FCOS (maskrcnn-benchmark), from the names in its files to its detections: a plain definition.

Its boxes name their last pixel: 10 pixels from 0 on are 0 to 9. What it hands on to COCO is x, y, width, height.
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from tests.detection import reference_parts as parts
from tests.detection.reference_parts import STRIDES, Found, Names, Weights

MEAN = (102.9801, 115.9465, 122.7717)

NAMES = Names(
    stem="backbone.body.stem.conv1",
    stem_norm="backbone.body.stem.bn1",
    conv=lambda stage, block, number: f"backbone.body.layer{stage}.{block}.conv{number}",
    norm=lambda stage, block, number: f"backbone.body.layer{stage}.{block}.bn{number}",
    shortcut=lambda stage: f"backbone.body.layer{stage}.0.downsample.0",
    shortcut_norm=lambda stage: f"backbone.body.layer{stage}.0.downsample.1",
)
LATERAL = [f"backbone.fpn.fpn_inner{i}" for i in (2, 3, 4)]
OUTPUT = [f"backbone.fpn.fpn_layer{i}" for i in (2, 3, 4)]
TOP = ["backbone.fpn.top_blocks.p6", "backbone.fpn.top_blocks.p7"]
HEAD = "rpn.head"


def random_weights(*, depth: int, channels: int, classes: int = 80, plain: bool = False, seed: int = 0) -> Weights:
    """A state dict by the original's names; of a ``plain`` one, boxes are exponentials in pixels."""
    w = {
        **parts.backbone_weights(NAMES, depth=depth, seed=seed, pixels=60.0),
        **parts.other_weights(
            depth=depth,
            seed=seed,
            channels=channels,
            classes=classes,
            lateral=LATERAL,
            output=OUTPUT,
            top=TOP,
            towers=[f"{HEAD}.cls_tower", f"{HEAD}.bbox_tower"],
            logits=f"{HEAD}.cls_logits",
            distances=f"{HEAD}.bbox_pred",
            quality=f"{HEAD}.centerness",
            distance=2.7 if plain else 1.2,
        ),
    }
    for level in range(5):
        w[f"{HEAD}.scales.{level}.scale"] = torch.tensor([0.9 + 0.1 * level])
    return w


def resized(image: Tensor, *, short_side: int, max_side: int) -> Tensor:
    """By Pillow; the longer side is rounded down."""
    height, width = image.shape[-2:]
    short, long = min(height, width), max(height, width)
    side = short_side
    if long / short * side > max_side:
        side = round(max_side * short / long)
    other = int(side * long / short)
    size = (other, side) if width >= height else (side, other)
    picture = Image.fromarray(image.permute(1, 2, 0).numpy()).resize(size, Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


def detect(
    w: Weights,
    image: Tensor,
    *,
    depth: int,
    plain: bool = False,
    short_side: int = 800,
    max_side: int = 1333,
    per_level: int = 1000,
    per_image: int = 100,
) -> Found:
    """What it finds in ``image``, uint8 [3, h, w] RGB; boxes as COCO has them, without the last pixel."""
    height, width = image.shape[-2:]
    seen = resized(image, short_side=short_side, max_side=max_side)
    seen_height, seen_width = seen.shape[-2:]
    x = seen.flip(0).float() - torch.tensor(MEAN)[:, None, None]
    features = parts.pyramid(
        parts.resnet(parts.padded(x), w, NAMES, depth=depth, stride_in_1x1=True, eps=0.0),
        w,
        lateral=LATERAL,
        output=OUTPUT,
        top=TOP,
    )
    boxes, scores, labels, levels = [], [], [], []
    for level, (feature, stride) in enumerate(zip(features, STRIDES, strict=True)):
        classes = parts.tower(feature, w, f"{HEAD}.cls_tower")
        regressed = parts.tower(feature, w, f"{HEAD}.bbox_tower")
        logits = parts.flat(parts.convolved(classes, w, f"{HEAD}.cls_logits"))
        centerness = parts.flat(parts.convolved(classes if plain else regressed, w, f"{HEAD}.centerness"))
        scaled = parts.convolved(regressed, w, f"{HEAD}.bbox_pred") * w[f"{HEAD}.scales.{level}.scale"]
        sides = parts.flat(scaled.exp() if plain else functional.relu(scaled) * stride)
        rows, columns = feature.shape[-2:]
        where = torch.tensor([(j, i) for i in range(rows) for j in range(columns)]).float() * stride + stride // 2

        probability = logits.sigmoid().flatten()
        product = (logits.sigmoid() * centerness.sigmoid()).flatten()
        above = (probability > 0.05).nonzero().flatten()
        best = above[product[above].argsort(descending=True, stable=True)][:per_level]
        place = best // logits.shape[1]
        corners = torch.cat([where[place] - sides[place, :2], where[place] + sides[place, 2:]], dim=1)
        corners[:, 0::2] = corners[:, 0::2].clamp(0, seen_width - 1)
        corners[:, 1::2] = corners[:, 1::2].clamp(0, seen_height - 1)
        boxes.append(corners)
        scores.append(product[best].sqrt())
        labels.append(best % logits.shape[1])
        levels.append(torch.full_like(best, level))
    box, score, label, level_of = (torch.cat(column) for column in (boxes, scores, labels, levels))
    kept = parts.suppressed(box, score, label, threshold=0.6, extra=1.0)[:per_image]
    ratio = torch.tensor([width / seen_width, height / seen_height]).repeat(2)
    x1, y1, x2, y2 = (box[kept] * ratio).unbind(1)
    x, y, box_width, box_height = x1, y1, x2 - x1 + 1, y2 - y1 + 1
    return Found(torch.stack([x, y, x + box_width, y + box_height], dim=1), score[kept], label[kept], level_of[kept])
