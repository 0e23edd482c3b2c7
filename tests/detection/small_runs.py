"""Sets of a few noisy images and a detector small enough to train on them within a test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from detection.config import Category, ModelConfig, TrainConfig
from detection.data.batch import Batch

CATEGORIES = (Category(3, "thing"), Category(7, "other thing"))

MASKS: dict[str, dict[str, Any]] = {
    "condinst": {"masks": "condinst", "centers": "mask", "mask_channels": 16, "mask_convs": 1, "mask_norm": "gn"},
    "polar": {"masks": "polar", "centers": "mask", "mask_channels": 16, "mask_convs": 1, "mask_rays": 12},
}
"""What makes of `MODEL` one that finds masks."""

MODEL = ModelConfig(
    backbone="efficientnet-lite0",
    norm="frozen_bn",
    norm_eps=1e-3,
    frozen_stages=1,
    fpn_channels=32,
    head_convs=1,
    short_side=64,
    max_side=96,
    categories=CATEGORIES,
)


def write_set(root: Path, *, images: int = 6, split: str = "train2017", seed: int = 0, masks: bool = False) -> Path:
    """A COCO-format set: noise with brighter boxes, from 64 to 96 pixels; an image without objects at the end."""
    rng = np.random.default_rng(seed)
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    (root / split).mkdir()
    contents: dict[str, Any] = {
        "images": [],
        "annotations": [],
        "categories": [{"id": category.id, "name": category.name} for category in CATEGORIES],
    }
    for image in range(images + 1):
        height, width = (64, 96) if image % 3 else (96, 64)
        pixels = rng.integers(0, 128, size=(height, width, 3), dtype=np.uint8)
        for _ in range(0 if image == images else 1 + image % 3):
            x, y = int(rng.integers(0, width - 40)), int(rng.integers(0, height - 40))
            w, h = int(rng.integers(12, 40)), int(rng.integers(12, 40))
            pixels[y : y + h, x : x + w] += 100
            contents["annotations"].append(
                {
                    "id": len(contents["annotations"]) + 1,
                    "image_id": 10 + image,
                    "category_id": CATEGORIES[len(contents["annotations"]) % 2].id,
                    "bbox": [x, y, w, h],
                    "area": w * h,
                    "iscrowd": 0,
                    **({"segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]]} if masks else {}),
                }
            )
        Image.fromarray(pixels).save(root / split / f"{image}.png")
        contents["images"].append({"id": 10 + image, "file_name": f"{image}.png", "width": width, "height": height})
    (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(contents))
    return root


def small_config(**fields: Any) -> TrainConfig:
    """A short run of `MODEL`."""
    return TrainConfig(
        **{
            "data": Path("data"),
            "out": Path("out"),
            "model": MODEL,
            "batch_size": 4,
            "max_iterations": 4,
            "warmup_iterations": 2,
            "workers": 0,
            "device": "cpu",
            "channels_last": False,
            "log_every": 2,
            **fields,
        }
    )


def noise_batch(*, images: int = 4, height: int = 64, width: int = 96, seed: int = 0, masks: bool = False) -> Batch:
    """Images of noise, all but the first smaller than the padding; image i has i + 1 boxes, the last image none.

    Masks are ellipses in the boxes.
    """
    generator = torch.Generator().manual_seed(seed)
    boxes, labels = [], []
    for image in range(images):
        n = 0 if image == images - 1 and images > 1 else image + 1
        corner = torch.rand(n, 2, generator=generator) * torch.tensor([width / 2, height / 2])
        extent = 8 + torch.rand(n, 2, generator=generator) * torch.tensor([width / 2 - 16, height / 2 - 16])
        boxes.append(torch.cat([corner, corner + extent], dim=1))
        labels.append(torch.randint(len(CATEGORIES), (n,), generator=generator))
    sizes = torch.tensor([[height, width]] + [[height - 8, width - 4]] * (images - 1))
    return Batch(
        images=torch.randint(256, (images, 3, height, width), generator=generator, dtype=torch.uint8),
        sizes=sizes,
        originals=sizes,
        boxes=boxes,
        labels=labels,
        masks=[ellipses(b, *size) for b, size in zip(boxes, sizes.tolist(), strict=True)] if masks else None,
        image_ids=list(range(100, 100 + images)),
    )


def ellipses(boxes: Tensor, height: int, width: int) -> Tensor:
    """Masks uint8 [n, height, width]: the largest ellipses in ``boxes`` [n, 4]."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    middle, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    across = (x - middle[:, 0, None, None]) / half[:, 0, None, None]
    down = (y - middle[:, 1, None, None]) / half[:, 1, None, None]
    return (across**2 + down**2 < 1).to(torch.uint8)
