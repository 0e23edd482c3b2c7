"""What a detector is, and how it is trained: two frozen dataclasses, saved as JSON beside every result.

A checkpoint carries its `ModelConfig`, so that whoever loads it builds the same network, reads an image as it was
trained to, and takes boxes from its answers by its own conventions.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import tyro

from detection.errors import InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

STRIDES = (8, 16, 32, 64, 128)
"""Pixels between neighbouring locations of the levels P3 to P7."""

Backbone = Literal["resnet18", "resnet34", "resnet50", "resnet101", "efficientnet-lite0"]
Norm = Literal["frozen_bn", "bn", "gn", "syncbn"]
Precision = Literal["fp32", "bf16", "fp16"]
Masks = Literal["none", "condinst", "polar"]


@dataclass(frozen=True)
class Category:
    """A kind of object: its id in the annotations (ids may have holes) and its name."""

    id: int
    name: str


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Everything that decides what a detector says of an image. The defaults are the original's improved FCOS."""

    backbone: Backbone = "resnet50"
    """The network that makes features of pixels."""
    stride_in_1x1: bool = False
    """A bottleneck that halves the resolution does so in its first, 1x1 convolution (MSRA, Caffe), not in the 3x3."""
    norm: Norm = "frozen_bn"
    """Normalisation in the backbone. frozen_bn is a fixed affine map; gn has 32 groups."""
    norm_eps: float = 1e-5
    """What the backbone's normalisation adds to a variance; 0 in the original's frozen_bn."""
    frozen_stages: int = 2
    """Stages of the backbone that never learn: 0 none, 1 the stem, 2 the stem and the first stage, 5 all."""

    fpn_channels: int = 256
    """Channels of the pyramid and of the head."""
    head_convs: int = 4
    """Convolutions in each of the two towers."""
    head_norm: Literal["gn", "none"] = "gn"
    """Normalisation in the towers; gn has 32 groups, or as many as leave two channels or more to each."""

    normalise_distances: bool = True
    """Distances are relu(scale x) in strides (the improved FCOS); otherwise exp(scale x) in pixels (the plain one)."""
    learned_scales: bool = True
    """Each level multiplies the regressed x by a number of its own."""
    quality: Literal["centerness", "iou", "polar_centerness"] = "centerness"
    """What else a location says: how central it is in its box, the IoU that the box will have, or how alike the rays
    to the outline of its mask are (PolarMask)."""
    quality_on_box_tower: bool = True
    """The quality is read from the tower of the boxes, not from that of the classes."""
    center_sampling: float = 1.5
    """Only locations within so many strides of an object's centre are positive; 0: all locations inside the box."""
    centers: Literal["box", "mask"] = "box"
    """The centre of an object: that of its box, or the mean of its mask's pixels."""
    size_ranges: tuple[float, float, float, float] = (64.0, 128.0, 256.0, 512.0)
    """Where one level's share of the box sizes (largest of the four distances, pixels) ends and the next begins."""
    locations: Literal["half_stride", "grid"] = "half_stride"
    """Where location i lies: i s + s // 2, or i times the padded size // grid size (torchvision)."""

    box_loss: Literal["iou", "linear_iou", "giou"] = "giou"
    """-log IoU, 1 - IoU, or 1 - GIoU."""
    iou_smoothing: float = 1.0
    """Added to intersection and union in the loss, in squared units of the distances; the original has 1."""
    focal_alpha: float = 0.25
    focal_gamma: float = 2.0

    masks: Masks = "none"
    """How masks are said: not at all; by convolutions that each object brings along, over features that all share
    (condinst); or by the lengths of rays to the outline (polar)."""
    mask_channels: int = 128
    """Of the branch that makes the shared features (condinst), or of the tower that the rays are read from (polar)."""
    mask_convs: int = 4
    """Convolutions in that branch or tower."""
    mask_norm: Literal["bn", "syncbn", "gn"] = "bn"
    """Normalisation in the branch (condinst); the tower of rays has that of the head's towers."""
    mask_positives: int = 250
    """Locations of an image whose masks are learned from, at most (condinst); the original has 500 for two images."""
    mask_rays: int = 36
    """Rays around a location (polar)."""
    mask_part: Literal["largest", "all"] = "all"
    """Of an object in several parts, rays go to the farthest of all, or to the outline of the largest, as PolarMask
    has it (polar)."""

    score_threshold: float = 0.05
    """What a candidate's probability must exceed."""
    threshold_on: Literal["class", "score"] = "class"
    """The threshold is for the class probability, or for the score sqrt(class x quality) (torchvision)."""
    candidates: int = 1000
    """Candidates kept per level before suppression."""
    nms_threshold: float = 0.6
    """IoU above which the lower of two boxes of one class is suppressed."""
    max_detections: int = 100
    """Detections kept per image."""
    cut_boxes: Literal["first", "last"] = "first"
    """Boxes are cut at the image's border before suppression, or after it (detectron2), which leaves out empty ones."""
    inclusive_boxes: bool = False
    """A box names its last pixel, so that its width is x2 - x1 + 1 (the original); detections come out without that."""

    channels: Literal["rgb", "bgr"] = "rgb"
    mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    """Subtracted from pixels 0 to 255, in the order of ``channels``."""
    std: tuple[float, float, float] = (58.395, 57.12, 57.375)
    """Divides what is left."""
    short_side: int = 800
    """Images are resized to this shorter side, unless the longer one would exceed ``max_side``."""
    max_side: int = 1333
    pad_to: int = 32
    """Batches are padded with zeros, after normalisation, to a multiple of this."""
    resize: Literal["original", "detectron2", "torchvision"] = "original"
    """Whose rounding of sizes; torchvision's also interpolates without antialiasing, in floats."""

    categories: Annotated[tuple[Category, ...], tyro.conf.Suppress] = ()
    """What the logits mean, in their order; from the annotations that it was trained on."""

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        _in(self, "frozen_stages", 0, 5)
        for name in ("norm_eps", "center_sampling", "iou_smoothing", "focal_gamma"):
            _in(self, name, 0, math.inf)
        for name in ("fpn_channels", "head_convs", "candidates", "max_detections", "short_side", "max_side", "pad_to"):
            _in(self, name, 1, 1_000_000)
        for name in ("mask_channels", "mask_convs", "mask_positives"):
            _in(self, name, 1, 1_000_000)
        _in(self, "mask_rays", 3, 360)
        if self.norm_eps == 0 and self.norm != "frozen_bn":
            raise InputError(f"norm_eps is 0, by which {self.norm} could divide; give a number above 0 (1e-5 is usual)")
        if self.quality == "polar_centerness" and self.masks != "polar":
            raise InputError(f"quality is polar_centerness, but masks is {self.masks}; give masks polar, or centerness")
        if self.centers == "mask" and self.masks == "none":
            raise InputError("centers is mask, but masks is none; give masks condinst or polar, or centers box")
        for name in ("focal_alpha", "nms_threshold", "score_threshold"):
            _in(self, name, 0, 1)
        if list(self.size_ranges) != sorted(set(self.size_ranges)) or self.size_ranges[0] <= 0:
            raise InputError(f"size_ranges is {self.size_ranges}; give four growing numbers above 0")
        if self.max_side < self.short_side:
            raise InputError(f"max_side is {self.max_side}, below short_side {self.short_side}; give at least that")
        if not all(math.isfinite(m) for m in self.mean) or not all(s > 0 and math.isfinite(s) for s in self.std):
            raise InputError(f"mean is {self.mean} and std is {self.std}; give finite means and positive deviations")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How a detector is trained. The defaults are the original's 1x schedule."""

    data: Path
    """Directory of a COCO-format set: annotations/instances_SPLIT.json and SPLIT/*.jpg."""
    out: Path
    """Directory for config.json, log.jsonl and last.pt."""
    preset: Annotated[str, tyro.conf.Suppress] = ""
    """The row that these fields began from."""
    train_split: str = "train2017"
    val_split: str = "val2017"
    model: Annotated[ModelConfig, tyro.conf.arg(name="")] = dataclasses.field(default_factory=ModelConfig)

    backbone_weights: str | None = None
    """Where the backbone begins: imagenet (as installed, efficientnet-lite0 only), a file, or None: from scratch."""
    weights: Path | None = None
    """A detector's checkpoint to begin from; class logits of other categories begin anew."""

    batch_size: int = 16
    """Images per update, over all processes and micro-batches."""
    micro_batch: int | None = None
    """Images per forward pass of a process; None: all of them, on a CPU as many as make two megapixels where that
    changes no result."""
    fit_memory: float | None = None
    """GiB that a process may use: micro_batch and checkpoint_activations are chosen so that it does."""
    max_iterations: int | None = 90_000
    """Updates until the end; or give max_images."""
    max_images: int | None = None
    """Images until the end, whatever the batch size."""
    lr: float = 0.01
    scale_lr: bool = False
    """Multiply lr by batch_size / 16, the original's batch."""
    momentum: float = 0.9
    weight_decay: float = 1e-4
    """Not for biases."""
    bias_lr_factor: float = 2.0
    schedule: Literal["steps", "cosine"] = "steps"
    decay_at: tuple[float, ...] = (2 / 3, 8 / 9)
    """Fractions of the length after which lr is multiplied by ``decay_factor`` (60,000 and 80,000 of 90,000)."""
    decay_factor: float = 0.1
    warmup: Literal["constant", "linear"] = "constant"
    warmup_iterations: int = 500
    warmup_factor: float = 1 / 3
    clip_gradients: float | None = None
    """Largest norm of the gradient of all weights together."""
    ema: float = 0.0
    """Decay of an exponential moving average of the weights, which is then what is evaluated; 0: none."""

    short_sides: tuple[int, ...] = ()
    """Multi-scale training: shorter sides to draw from; empty: always that of the model."""
    same_side: bool = False
    """One draw for all images of a batch, so that less of it is padding; otherwise one for each image."""
    flip: float = 0.5
    """Probability of a left-right flip."""
    skip_broken: bool = False
    """Leave out images that are missing or cannot be read, and say how many, instead of stopping."""
    workers: int = 2
    """Processes that read images; results do not depend on it."""
    seed: int = 0

    device: str = "auto"
    """cpu, cuda, cuda:1 ...; auto is cuda where there is one."""
    precision: Precision = "fp32"
    """Of the network's arithmetic (autocast); losses are always computed in fp32."""
    channels_last: bool = True
    """Memory layout of images: faster, same numbers up to rounding."""
    compile: bool = False
    """torch.compile the network."""
    checkpoint_activations: bool = False
    """Compute the backbone's activations again in the backward pass instead of keeping them."""
    deterministic: bool = False
    """Only algorithms that give the same bits every time (a GPU is slower so; a CPU does anyhow)."""

    checkpoint_every: int = 1000
    """Iterations between writings of last.pt."""
    evaluate_every: int = 0
    """Iterations between evaluations on ``val_split``; 0: none while training."""
    log_every: int = 20
    tensorboard: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be run."""
        for name in ("batch_size", "checkpoint_every", "log_every"):
            _in(self, name, 1, math.inf)
        for name in ("workers", "evaluate_every", "warmup_iterations", "seed", "lr", "weight_decay", "bias_lr_factor"):
            _in(self, name, 0, math.inf)
        for name in ("momentum", "ema"):
            _in(self, name, 0, 1, open_above=True)
        for name in ("flip", "decay_factor", "warmup_factor"):
            _in(self, name, 0, 1)
        for name in ("micro_batch", "max_iterations", "max_images"):
            if getattr(self, name) is not None:
                _in(self, name, 1, math.inf)
        for name in ("fit_memory", "clip_gradients"):
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise InputError(f"{name} is {value}; give a number above 0")
        if (self.max_iterations is None) == (self.max_images is None):
            raise InputError("max_iterations and max_images say the length twice or not at all; give one of them")
        if any(not 0 < at <= 1 for at in self.decay_at) or list(self.decay_at) != sorted(self.decay_at):
            raise InputError(f"decay_at is {self.decay_at}; give growing fractions of the length, each in (0, 1]")
        if any(not 1 <= side <= self.model.max_side for side in self.short_sides):
            raise InputError(f"short_sides is {self.short_sides}; give sides from 1 to max_side {self.model.max_side}")
        if self.micro_batch is not None and self.batch_size % self.micro_batch:
            raise InputError(
                f"batch_size is {self.batch_size}, not a multiple of micro_batch {self.micro_batch}; give a divisor"
            )

    @property
    def iterations(self) -> int:
        """Updates until the end, however the length was given."""
        if self.max_iterations is not None:
            return self.max_iterations
        assert self.max_images is not None
        return math.ceil(self.max_images / self.batch_size)


def _in(config: object, name: str, low: float, high: float, *, open_above: bool = False) -> None:
    value = getattr(config, name)
    if not low <= value <= high or (open_above and value == high) or not math.isfinite(value):
        end = f"from {low:g} up" if math.isinf(high) else f"from {low:g} to {'below ' if open_above else ''}{high:g}"
        raise InputError(f"{name} is {value}; give a number {end}")


Config = TypeVar("Config", ModelConfig, TrainConfig)


def to_json(config: DataclassInstance) -> dict[str, Any]:
    """The fields of a configuration, of any program, as JSON can hold them."""
    return {field.name: _plain(getattr(config, field.name)) for field in dataclasses.fields(config)}


def from_json(kind: type[Config], fields: Mapping[str, Any], *, source: str) -> Config:
    """The configuration that `to_json` wrote.

    Raises
    ------
    InputError
        If a field is unknown or has a value that ``kind`` refuses; the sentence begins with ``source``.
    """
    if not isinstance(fields, Mapping):
        raise InputError(f"{source} is {fields!r}, but it must be an object with the fields of a {kind.__name__}")
    try:
        values = {name: _typed(name, value) for name, value in fields.items()}
        _refuse_wrong_kinds(kind, values)
        return kind(**values)
    except InputError as error:
        raise InputError(f"{source}: {error}") from None
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        said = " ".join(str(error).split())  # a name that it quotes may have line breaks
        raise InputError(f"{source} holds no {kind.__name__} of this version ({said}); write it anew") from None


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _typed(name: str, value: Any) -> Any:
    if name == "model":
        return from_json(ModelConfig, value, source="model")
    if name == "categories":
        return tuple(Category(int(item["id"]), str(item["name"])) for item in value)
    if name in ("data", "out", "weights") and value is not None:
        return Path(value)
    return tuple(value) if isinstance(value, list) else value


def _refuse_wrong_kinds(kind: type[Config], values: Mapping[str, Any]) -> None:
    hints = get_type_hints(kind)
    for name, value in values.items():
        if name in hints and not _fits(value, hints[name]):
            choices = get_args(hints[name]) if get_origin(hints[name]) is Literal else ()
            right = f"{', '.join(choices[:-1])} or {choices[-1]}" if choices else "a value of the right kind"
            raise InputError(f"{name} is {value!r}; give {right}")


def _fits(value: Any, hint: Any) -> bool:
    """Whether ``value`` is what a field's annotation says."""
    origin, kinds = get_origin(hint), get_args(hint)
    if origin is Literal:
        return isinstance(value, str) and value in kinds
    if origin in (Union, UnionType):
        return any(_fits(value, kind) for kind in kinds)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        if kinds[-1] is Ellipsis:
            return all(_fits(item, kinds[0]) for item in value)
        return len(value) == len(kinds) and all(map(_fits, value, kinds))
    if hint is float:
        return type(value) in (int, float)
    return isinstance(value, hint) and (hint is bool or not isinstance(value, bool))
