"""AdelaiDet's FCOS, and the CondInst that is built on it, which are written in detectron2.

Its network is the improved FCOS with MSRA's ImageNet weights: the 1x1 convolution of a bottleneck strides, images are
BGR from 0 to 255. detectron2's FrozenBN adds 1e-5 to the variance, and its boxes, which have no
pixel more, are cut at the image's border after suppression.
"""

from __future__ import annotations

from typing import Any

from detection.config import ModelConfig
from detection.conversions.naming import MEMBER, TOWER_LAYERS, Source

MASKS = ("controller.", "mask_branch.", "mask_head.")
"""With which the names begin of what CondInst adds to the detector."""

THRESHOLD: dict[str, Any] = {"threshold_on": "score", "score_threshold": 0.05**0.5}
"""CondInst keeps candidates of class x centerness > .05 (THRESH_WITH_CTR); the score is the root of that."""

SIZES = "mask_head.sizes_of_interest"
"""What CondInst divides positions by, level by level: in its files, but the same in all that are published."""

MEAN, STD = "pixel_mean", "pixel_std"
"""Under which files of older versions carry the numbers themselves, in the order of the channels."""

SOURCE = Source(
    title="AdelaiDet",
    mark="proposal_generator.fcos_head.cls_logits.weight",
    names=(
        (r"backbone\.bottom_up\.stem\.conv1\.weight", r"backbone.conv1.weight"),
        (rf"backbone\.bottom_up\.stem\.conv1\.norm\.{MEMBER}", r"backbone.bn1.\1"),
        *(
            pair
            for stage in (2, 3, 4, 5)
            for block in (rf"backbone\.bottom_up\.res{stage}\.(\d+)",)
            for layer in (rf"backbone.layer{stage - 1}.\1",)
            for pair in (
                (rf"{block}\.conv([123])\.weight", rf"{layer}.conv\2.weight"),
                (rf"{block}\.conv([123])\.norm\.{MEMBER}", rf"{layer}.bn\2.\3"),
                (rf"{block}\.shortcut\.weight", rf"{layer}.downsample.0.weight"),
                (rf"{block}\.shortcut\.norm\.{MEMBER}", rf"{layer}.downsample.1.\2"),
            )
        ),
        *(
            (rf"backbone\.fpn_{theirs}{stage}\.(weight|bias)", rf"fpn.{theirs}.{stage - 3}.\1")
            for theirs in ("lateral", "output")
            for stage in (3, 4, 5)
        ),
        (r"backbone\.top_block\.(p[67])\.(weight|bias)", r"fpn.\1.\2"),
        (rf"proposal_generator\.fcos_head\.cls_tower\.{TOWER_LAYERS}", r"head.cls_tower.\g<layer>.\g<member>"),
        (rf"proposal_generator\.fcos_head\.bbox_tower\.{TOWER_LAYERS}", r"head.box_tower.\g<layer>.\g<member>"),
        (r"proposal_generator\.fcos_head\.cls_logits\.(weight|bias)", r"head.logits.\1"),
        (r"proposal_generator\.fcos_head\.bbox_pred\.(weight|bias)", r"head.distances.\1"),
        (r"proposal_generator\.fcos_head\.ctrness\.(weight|bias)", r"head.quality.\1"),
        (r"proposal_generator\.fcos_head\.scales\.([0-4])\.scale", r"head.scales.\1"),
        (r"controller\.(weight|bias)", r"masks.controller.\1"),
        (rf"mask_branch\.(refine\.[012]|tower\.\d+)\.([01])\.{MEMBER}", r"masks.\1.\2.\3"),
        (r"mask_branch\.(tower\.\d+)\.(weight|bias)", r"masks.\1.\2"),
    ),
    ignored=(MEAN, STD, SIZES, r"mask_head\._iter", r"mask_branch\.(seg_head|logits)\..*"),
    config=ModelConfig(
        stride_in_1x1=True,
        norm_eps=1e-5,
        cut_boxes="last",
        channels="bgr",
        mean=(103.53, 116.28, 123.675),
        std=(1.0, 1.0, 1.0),
        resize="detectron2",
    ),
)


CONDINST: dict[str, Any] = {"masks": "condinst", "centers": "mask", **THRESHOLD}
"""What makes of these conventions a CondInst's."""


def is_of_masks(name: str) -> bool:
    """Whether a weight is one of those that CondInst adds."""
    return name.startswith(MASKS)
