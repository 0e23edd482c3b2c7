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
SIZES = [64, 128, 256, 512, 1024]

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


def masks(*, channels: int, branch: int = 32, seed: int = 0) -> Weights:
    """What a CondInst has beside its boxes: random weights whose masks are about half of everything."""
    generator = torch.Generator().manual_seed(seed)
    w: Weights = {"mask_head.sizes_of_interest": torch.tensor(SIZES)}

    def block(name: str, inputs: int) -> None:
        w[f"{name}.0.weight"] = torch.randn(branch, inputs, 3, 3, generator=generator) * (2 / (9 * inputs)) ** 0.5
        uniform = torch.rand(4, branch, generator=generator)
        w[f"{name}.1.weight"] = 0.7 + 0.6 * uniform[0]
        w[f"{name}.1.bias"] = uniform[1] - 0.5
        w[f"{name}.1.running_mean"] = uniform[2] - 0.5
        w[f"{name}.1.running_var"] = 0.5 + uniform[3]
        w[f"{name}.1.num_batches_tracked"] = torch.tensor(7)

    for level in range(3):
        block(f"mask_branch.refine.{level}", channels)
    for number in range(4):
        block(f"mask_branch.tower.{number}", branch)
    w["mask_branch.tower.4.weight"] = torch.randn(8, branch, 1, 1, generator=generator) / branch**0.5
    w["mask_branch.tower.4.bias"] = 0.1 * torch.randn(8, generator=generator)
    w["controller.weight"] = torch.randn(169, channels, 3, 3, generator=generator) * 0.5 / (9 * channels) ** 0.5
    w["controller.bias"] = 0.5 * torch.randn(169, generator=generator)
    return w


def aligned(x: Tensor, factor: int) -> Tensor:
    """CondInst's enlargement: one column and row more, corners on corners, then moved by half of the factor."""
    height, width = x.shape[-2:]
    x = functional.pad(x, (0, 1, 0, 1), mode="replicate")
    size = (factor * height + 1, factor * width + 1)
    x = functional.interpolate(x, size=size, mode="bilinear", align_corners=True)
    x = functional.pad(x, (factor // 2, 0, factor // 2, 0), mode="replicate")
    return x[..., : factor * height, : factor * width]


def shared_features(features: list[Tensor], w: Weights) -> Tensor:
    """The eight maps [8, h, w] at a stride of 8 that all objects have in common."""

    def block(x: Tensor, name: str) -> Tensor:
        x = functional.conv2d(x, w[f"{name}.0.weight"], padding=1)
        members = (w[f"{name}.1.{member}"] for member in ("running_mean", "running_var", "weight", "bias"))
        return functional.relu(functional.batch_norm(x, *members))

    x = block(features[0], "mask_branch.refine.0")
    for level in (1, 2):
        x = x + aligned(block(features[level], f"mask_branch.refine.{level}"), 2**level)
    for number in range(4):
        x = block(x, f"mask_branch.tower.{number}")
    return parts.convolved(x, w, "mask_branch.tower.4")[0]


def mask_of(
    shared: Tensor, code: Tensor, where: Tensor, level: int, *, seen: tuple[int, int], stored: tuple[int, int]
) -> Tensor:
    """Probabilities [h, w] of one object's mask in the stored image."""
    height, width = shared.shape[-2:]
    y, x = torch.meshgrid(torch.arange(height) * 8.0 + 4, torch.arange(width) * 8.0 + 4, indexing="ij")
    relative = torch.stack([where[0] - x, where[1] - y]) / SIZES[level]
    maps = torch.cat([relative, shared])[None]
    maps = functional.conv2d(maps, code[:80].view(8, 10, 1, 1), code[152:160]).relu()
    maps = functional.conv2d(maps, code[80:144].view(8, 8, 1, 1), code[160:168]).relu()
    maps = functional.conv2d(maps, code[144:152].view(1, 8, 1, 1), code[168:])
    probability = aligned(aligned(maps, 2).sigmoid(), 4)[..., : seen[0], : seen[1]]
    return functional.interpolate(probability, size=stored, mode="bilinear", align_corners=False)[0, 0]


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
    boxes, scores, labels, levels, codes, points = [], [], [], [], [], []
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
        # CondInst sets THRESH_WITH_CTR.
        above = ((product if "controller.weight" in w else probability.flatten()) > 0.05).nonzero().flatten()
        best = above[product[above].argsort(descending=True, stable=True)][:per_level]
        place = best // probability.shape[1]
        boxes.append(torch.cat([where[place] - sides[place, :2], where[place] + sides[place, 2:]], dim=1))
        scores.append(product[best].sqrt())
        labels.append(best % probability.shape[1])
        levels.append(torch.full_like(best, level))
        points.append(where[place])
        if "controller.weight" in w:
            codes.append(parts.flat(parts.convolved(regressed, w, "controller"))[place])
    box, score, label, level_of = (torch.cat(column) for column in (boxes, scores, labels, levels))
    # Suppression sees the boxes whole; they are cut in the image's own pixels, and those outside of it are dropped.
    kept = parts.suppressed(box, score, label, threshold=0.6)[:per_image]
    cut = box[kept] * torch.tensor([width / seen_width, height / seen_height]).repeat(2)
    cut[:, 0::2] = cut[:, 0::2].clamp(0, width)
    cut[:, 1::2] = cut[:, 1::2].clamp(0, height)
    there = (cut[:, 2] > cut[:, 0]) & (cut[:, 3] > cut[:, 1])
    found = Found(cut[there], score[kept][there], label[kept][there], level_of[kept][there])
    if not codes:
        return found
    shared = shared_features(features, w)
    chosen = kept[there]
    rows = zip(torch.cat(codes)[chosen], torch.cat(points)[chosen], found.levels.tolist(), strict=True)
    sizes = {"seen": (seen_height, seen_width), "stored": (height, width)}
    return found._replace(masks=torch.stack([mask_of(shared, *row, **sizes) for row in rows]))
