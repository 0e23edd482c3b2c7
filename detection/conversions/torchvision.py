"""torchvision.models.detection.fcos_resnet50_fpn.

It differs from the original FCOS, and its detections are only had with its own conventions:

- the 3x3 convolution of a bottleneck strides; FrozenBN adds 1e-5;
- RGB from 0 to 1 with ImageNet's mean and deviation; sizes are rounded down, floats interpolated without antialiasing;
- location i lies at i x step, without half a stride, where the step is the padded size // the size of the grid. On P6
  and P7 that can be less than the stride, which is still the unit of the distances;
- no learned scales; what is kept has sqrt(class x centerness) > .2.

Its loss of the boxes is not weighted by centerness, as it is here in further training.
"""

from __future__ import annotations

from detection.coco_categories import RAW_IDS
from detection.config import Category, ModelConfig
from detection.conversions.naming import MEMBER, TOWER_LAYERS, Source, numbered

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

SOURCE = Source(
    title="torchvision",
    mark="head.classification_head.cls_logits.weight",
    names=(
        (rf"backbone\.body\.(conv1|bn1)\.{MEMBER}", r"backbone.\1.\2"),
        (rf"backbone\.body\.(layer[1-4]\.\d+\.(?:conv[123]|bn[123]|downsample\.[01]))\.{MEMBER}", r"backbone.\1.\2"),
        # Without the 0 in files from before torchvision 0.13.
        (r"backbone\.fpn\.inner_blocks\.([012])(?:\.0)?\.(weight|bias)", r"fpn.lateral.\1.\2"),
        (r"backbone\.fpn\.layer_blocks\.([012])(?:\.0)?\.(weight|bias)", r"fpn.output.\1.\2"),
        (r"backbone\.fpn\.extra_blocks\.(p[67])\.(weight|bias)", r"fpn.\1.\2"),
        (rf"head\.classification_head\.conv\.{TOWER_LAYERS}", r"head.cls_tower.\g<layer>.\g<member>"),
        (rf"head\.regression_head\.conv\.{TOWER_LAYERS}", r"head.box_tower.\g<layer>.\g<member>"),
        (r"head\.classification_head\.cls_logits\.(weight|bias)", r"head.logits.\1"),
        (r"head\.regression_head\.bbox_reg\.(weight|bias)", r"head.distances.\1"),
        (r"head\.regression_head\.bbox_ctrness\.(weight|bias)", r"head.quality.\1"),
    ),
    ignored=(),
    config=ModelConfig(
        stride_in_1x1=False,
        norm_eps=1e-5,
        locations="grid",
        iou_smoothing=0.0,
        score_threshold=0.2,
        threshold_on="score",
        candidates=1000,
        nms_threshold=0.6,
        max_detections=100,
        channels="rgb",
        mean=(255 * _MEAN[0], 255 * _MEAN[1], 255 * _MEAN[2]),
        std=(255 * _STD[0], 255 * _STD[1], 255 * _STD[2]),
        resize="torchvision",
    ),
)


def categories(n_logits: int) -> tuple[Category, ...]:
    """What the logits mean: 91 of them are COCO's ids 0 to 90, holes and background as well; otherwise numbers."""
    if n_logits != len(RAW_IDS):
        return numbered(range(n_logits))
    return tuple(Category(number, name) for number, name in enumerate(RAW_IDS))
