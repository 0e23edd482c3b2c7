"""Named settings: the published ones, the rows of the lab's table, and small ones for a machine without a GPU.

A preset is where the flags begin; any of its fields can be given on the command line.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from detection.config import ModelConfig, Norm, TrainConfig
from detection.conversions import adelaidet
from detection.errors import InputError

CAFFE_BGR: dict[str, Any] = {"channels": "bgr", "mean": (102.9801, 115.9465, 122.7717), "std": (1.0, 1.0, 1.0)}
"""Pixels as the MSRA weights of the original expect them."""

EFFICIENTNET_LITE: dict[str, Any] = {"mean": (127.0, 127.0, 127.0), "std": (128.0, 128.0, 128.0)}

IMPROVED = ModelConfig(backbone="resnet50", stride_in_1x1=True, norm="frozen_bn", norm_eps=0.0, **CAFFE_BGR)
"""fcos_imprv_R_50_FPN: center sampling, GIoU, normalised distances, centerness beside the boxes."""

PLAIN = dataclasses.replace(
    IMPROVED, normalise_distances=False, quality_on_box_tower=False, center_sampling=0.0, box_loss="iou"
)
"""fcos_R_50_FPN, as first published."""

SMALL = ModelConfig(
    backbone="efficientnet-lite0",
    norm="frozen_bn",
    norm_eps=1e-3,
    frozen_stages=2,
    fpn_channels=64,
    head_convs=2,
    short_side=288,
    max_side=512,
    **EFFICIENTNET_LITE,
)
"""What two cores train in minutes."""


CONDINST = dataclasses.replace(adelaidet.SOURCE.config, **adelaidet.CONDINST)
"""CondInst_MS_R_50 of AdelaiDet, by whose conventions converted ones see and decide as well."""

POLARMASK = dataclasses.replace(
    IMPROVED,
    masks="polar",
    mask_channels=256,
    centers="mask",
    quality="polar_centerness",
    quality_on_box_tower=False,
    normalise_distances=False,
    box_loss="iou",
    mask_part="largest",
    nms_threshold=0.5,
    norm_eps=1e-5,
)
"""polar_768_1x_r50 of PolarMask, whose tower for rays stands beside those of FCOS. Its scores are class x (centerness +
.5), ours sqrt(class x centerness)."""

MULTI_SCALE = (640, 672, 704, 736, 768, 800)

MASKS: dict[str, dict[str, Any]] = {
    # Groups in the branch of the masks, so that a batch can be accumulated in these rows too.
    "condinst": {"masks": "condinst", "centers": "mask", "mask_norm": "gn"},
    "polar": {"masks": "polar", "mask_channels": 256, "centers": "mask"},
}
"""What a detector of boxes needs to find masks too, in either way."""


SMALL_UPDATES = {"condinst": 1400, "polar": 1700}
"""As many as two cores do within ten minutes."""

SMALL_MASKS: dict[str, Any] = {"mask_channels": 64, "mask_convs": 2, "mask_norm": "gn"}


def _lab(**fields: Any) -> dict[str, Any]:
    """A row of the lab's table: batch 4 at the unchanged number of iterations, which is 3.1 epochs of COCO."""
    return {"model": IMPROVED, "batch_size": 4, **fields}


def _normalised(norm: Norm) -> ModelConfig:
    """The network of the lab with a normalisation that its backbone learns."""
    return dataclasses.replace(IMPROVED, norm=norm, norm_eps=1e-5)


PRESETS: dict[str, dict[str, Any]] = {
    # Published: 37.1, 38.7, 39.4 and 39.9 AP.
    "fcos-r50-1x": {"model": PLAIN},
    "fcos-imprv-r50-1x": {"model": IMPROVED},
    "fcos-imprv-r50-iou-1x": {"model": dataclasses.replace(IMPROVED, quality="iou")},
    "fcos-imprv-r50-syncbn-ms-2x": {
        "model": dataclasses.replace(IMPROVED, norm="syncbn", norm_eps=1e-5, frozen_stages=0),
        "short_sides": MULTI_SCALE,
        "max_iterations": 180_000,
    },
    # Published: 39.7 AP of boxes and 35.7 of masks; 29.2 of masks.
    "condinst-r50-1x": {"model": CONDINST, "short_sides": MULTI_SCALE},
    "polarmask-r50-1x": {"model": dataclasses.replace(POLARMASK, short_side=768, max_side=1280)},
    "fcos-imprv-r101-1x": {"model": dataclasses.replace(IMPROVED, backbone="resnet101")},
    "lab-b16-lr1e-2": _lab(batch_size=16, lr=1e-2),
    "lab-b4-lr1e-4": _lab(lr=1e-4),
    "lab-b4-lr1e-3": _lab(lr=1e-3),
    "lab-b4-lr5e-3": _lab(lr=5e-3),
    "lab-b4-lr5e-3-scratch": _lab(lr=5e-3),
    "lab-b4-lr1e-2-scratch-bn": _lab(lr=1e-2, model=_normalised("bn")),
    "lab-b4-lr1e-2-scratch-gn": _lab(lr=1e-2, model=_normalised("gn")),
    "mini": {
        "model": SMALL,
        "backbone_weights": "imagenet",
        "batch_size": 4,
        "max_iterations": 1600,
        # Smaller than what is looked at in use: that is quicker, and what is seen larger is found better (Touvron et
        # al. 2019, Fixing the train-test resolution discrepancy).
        "short_sides": (160, 192, 224, 256),
        "same_side": True,
        "lr": 0.01,
        "schedule": "cosine",
        "warmup": "linear",
        "warmup_iterations": 50,
        "warmup_factor": 0.1,
        "checkpoint_every": 100,
    },
}


def _with_masks(row: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    return {**row, "model": dataclasses.replace(row["model"], **fields)}


# Every row of the lab's table, and the small one, with masks on in either way.
PRESETS |= {
    f"{name}-{kind}": _with_masks(row, fields)
    for name, row in PRESETS.items()
    if name.startswith("lab-")
    for kind, fields in MASKS.items()
}
PRESETS |= {
    f"mini-{kind}": {**_with_masks(PRESETS["mini"], {**fields, **SMALL_MASKS}), "max_iterations": SMALL_UPDATES[kind]}
    for kind, fields in MASKS.items()
}


def names() -> tuple[str, ...]:
    """What `preset` knows."""
    return tuple(PRESETS)


def preset(name: str, *, data: Path, out: Path) -> TrainConfig:
    """The settings of that name for a data set and a directory to train in.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    if name not in PRESETS:
        raise InputError(f"preset is {name!r}; give one of {', '.join(names())}")
    return TrainConfig(data=data, out=out, preset=name, **PRESETS[name])
