"""AdelaiDet's FCOS (detectron2), from the names in its files to its detections: a plain definition."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from tests.detection import reference_parts as parts
from tests.detection.reference_parts import STRIDES, Found, Names, Weights

MEAN = (103.53, 116.28, 123.675)

NAMES = Names(
    stem="backbone.bottom_up.stem.conv1",
    stem_norm="backbone.bottom_up.stem.conv1.norm",
    conv=lambda stage, block, number: f"backbone.bottom_up.res{stage + 1}.{block}.conv{number}",
    norm=lambda stage, block, number: f"backbone.bottom_up.res{stage + 1}.{block}.conv{number}.norm",
    shortcut=lambda stage: f"backbone.bottom_up.res{stage + 1}.0.shortcut",
    shortcut_norm=lambda stage: f"backbone.bottom_up.res{stage + 1}.0.shortcut.norm",
)
LATERAL = [f"backbone.fpn_lateral{i}" for i in (3, 4, 5)]
OUTPUT = [f"backbone.fpn_output{i}" for i in (3, 4, 5)]
TOP = ["backbone.top_block.p6", "backbone.top_block.p7"]
HEAD = "proposal_generator.fcos_head"


def random_weights(*, depth: int, channels: int, classes: int = 80, seed: int = 0) -> Weights:
    """A state dict by AdelaiDet's names."""
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
            quality=f"{HEAD}.ctrness",
            distance=1.2,
        ),
    }
    for level in range(5):
        w[f"{HEAD}.scales.{level}.scale"] = torch.tensor([0.9 + 0.1 * level])
    return w


def masks(seed: int = 0) -> Weights:
    """Some of what a CondInst has beside its boxes."""
    generator = torch.Generator().manual_seed(seed)
    return {
        "controller.weight": torch.randn(169, 256, 3, 3, generator=generator),
        "controller.bias": torch.zeros(169),
        "mask_branch.tower.4.weight": torch.randn(8, 128, 1, 1, generator=generator),
        "mask_head.sizes_of_interest": torch.tensor([64, 128, 256, 512, 1024]),
    }


def resized(image: Tensor, *, short_side: int, max_side: int) -> Tensor:
    """By Pillow; sides are rounded to the nearest."""
    height, width = image.shape[-2:]
    scale = min(short_side / min(height, width), max_side / max(height, width))
    size = (int(width * scale + 0.5), int(height * scale + 0.5))
    picture = Image.fromarray(image.permute(1, 2, 0).numpy()).resize(size, Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


def detect(
    w: Weights,
    image: Tensor,
    *,
    depth: int,
    short_side: int = 800,
    max_side: int = 1333,
    per_level: int = 1000,
    per_image: int = 100,
    mean: tuple[float, float, float] = MEAN,
) -> Found:
    """What it finds in ``image``, uint8 [3, h, w] RGB."""
    height, width = image.shape[-2:]
    seen = resized(image, short_side=short_side, max_side=max_side)
    seen_height, seen_width = seen.shape[-2:]
    x = seen.flip(0).float() - torch.tensor(mean)[:, None, None]
    features = parts.pyramid(
        parts.resnet(parts.padded(x), w, NAMES, depth=depth, stride_in_1x1=True, eps=1e-5),
        w,
        lateral=LATERAL,
        output=OUTPUT,
        top=TOP,
    )
    boxes, scores, labels, levels = [], [], [], []
    for level, (feature, stride) in enumerate(zip(features, STRIDES, strict=True)):
        classes = parts.tower(feature, w, f"{HEAD}.cls_tower")
        regressed = parts.tower(feature, w, f"{HEAD}.bbox_tower")
        probability = parts.flat(parts.convolved(classes, w, f"{HEAD}.cls_logits")).sigmoid()
        centerness = parts.flat(parts.convolved(regressed, w, f"{HEAD}.ctrness")).sigmoid()
        scaled = parts.convolved(regressed, w, f"{HEAD}.bbox_pred") * w[f"{HEAD}.scales.{level}.scale"]
        sides = parts.flat(functional.relu(scaled)) * stride
        rows, columns = feature.shape[-2:]
        where = torch.tensor([(j, i) for i in range(rows) for j in range(columns)]).float() * stride + stride // 2

        product = (probability * centerness).flatten()
        above = (probability.flatten() > 0.05).nonzero().flatten()
        best = above[product[above].argsort(descending=True, stable=True)][:per_level]
        place = best // probability.shape[1]
        boxes.append(torch.cat([where[place] - sides[place, :2], where[place] + sides[place, 2:]], dim=1))
        scores.append(product[best].sqrt())
        labels.append(best % probability.shape[1])
        levels.append(torch.full_like(best, level))
    box, score, label, level_of = (torch.cat(column) for column in (boxes, scores, labels, levels))
    # Suppression sees the boxes whole; they are cut in the image's own pixels, and those outside of it are dropped.
    kept = parts.suppressed(box, score, label, threshold=0.6)[:per_image]
    cut = box[kept] * torch.tensor([width / seen_width, height / seen_height]).repeat(2)
    cut[:, 0::2] = cut[:, 0::2].clamp(0, width)
    cut[:, 1::2] = cut[:, 1::2].clamp(0, height)
    there = (cut[:, 2] > cut[:, 0]) & (cut[:, 3] > cut[:, 1])
    return Found(cut[there], score[kept][there], label[kept][there], level_of[kept][there])
