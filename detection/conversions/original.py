"""The original FCOS (Tian et al.), which is written in maskrcnn-benchmark.

Its ImageNet weights are MSRA's: the 1x1 convolution of a bottleneck strides, images are BGR from 0 to 255, and FrozenBN
adds nothing to the variance. Its boxes name their last pixel.
"""

from __future__ import annotations

from typing import Any

from detection.config import ModelConfig
from detection.conversions.naming import MEMBER, TOWER_LAYERS, Source

PLAIN: dict[str, Any] = {
    "normalise_distances": False,
    "quality_on_box_tower": False,
    "center_sampling": 0.0,
    "box_loss": "iou",
}
"""The first version, which the weights do not tell from the improved one: distances are exponentials in pixels, and
centerness is read from the tower of the classes."""

SOURCE = Source(
    title="the original project",
    mark="rpn.head.cls_logits.weight",
    names=(
        (rf"backbone\.body\.stem\.(conv1|bn1)\.{MEMBER}", r"backbone.\1.\2"),
        (rf"backbone\.body\.(layer[1-4]\.\d+\.(?:conv[123]|bn[123]|downsample\.[01]))\.{MEMBER}", r"backbone.\1.\2"),
        *(
            (rf"backbone\.fpn\.fpn_{theirs}{stage}\.(weight|bias)", rf"fpn.{ours}.{stage - 2}.\1")
            for theirs, ours in (("inner", "lateral"), ("layer", "output"))
            for stage in (2, 3, 4)
        ),
        (r"backbone\.fpn\.top_blocks\.(p[67])\.(weight|bias)", r"fpn.\1.\2"),
        (rf"rpn\.head\.cls_tower\.{TOWER_LAYERS}", r"head.cls_tower.\g<layer>.\g<member>"),
        (rf"rpn\.head\.bbox_tower\.{TOWER_LAYERS}", r"head.box_tower.\g<layer>.\g<member>"),
        (r"rpn\.head\.cls_logits\.(weight|bias)", r"head.logits.\1"),
        (r"rpn\.head\.bbox_pred\.(weight|bias)", r"head.distances.\1"),
        (r"rpn\.head\.centerness\.(weight|bias)", r"head.quality.\1"),
        (r"rpn\.head\.scales\.([0-4])\.scale", r"head.scales.\1"),
    ),
    ignored=(),
    config=ModelConfig(
        stride_in_1x1=True,
        norm_eps=0.0,
        inclusive_boxes=True,
        channels="bgr",
        mean=(102.9801, 115.9465, 122.7717),
        std=(1.0, 1.0, 1.0),
        resize="original",
    ),
)
