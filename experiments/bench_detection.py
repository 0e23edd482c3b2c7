"""What the detector costs: seconds per image and per training step, beside the plain form of the same network.

The plain form is what one would write first: float32, images as they come, normalisation as a step of its own, the
focal loss by its formula. It has the same weights and sees the same images, in turns with the others, in one process;
beside every ratio stands what it changes in the answers. torchvision's FCOS is measured too where it can be imported.
"""

from __future__ import annotations

import copy
import dataclasses
import importlib
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from tyro.conf import arg

from detection import checkpoints, losses
from detection.boxes import pairwise_iou
from detection.coco_categories import COCO
from detection.config import Backbone, ModelConfig, Precision, to_json
from detection.data.coco import CocoDataset
from detection.data.scenes import scene
from detection.detector import Detector
from detection.errors import InputError
from detection.evaluate import evaluate
from detection.fcos import FCOS, Predictions
from detection.norm import FrozenBatchNorm2d, affine
from detection.postprocess import Detections
from detection.presets import IMPROVED
from detection.targets import BACKGROUND, Targets, assign, locations
from detection.training.distributed import chosen_device
from experiments import command_line, out_file
from experiments.machine import device_name, versions

PROG = "benchmark detection"

SAME = 0.9
"""IoU from which two boxes of one class are the same detection."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DetectionBench:
    """What to measure, and where to put it."""

    quick: bool = False
    """Small images, two rounds: to try it out."""
    backbone: Backbone = "resnet50"
    """Of the network that is measured, unless a checkpoint is given."""
    height: int = 512
    width: int = 512
    """Of the images, in pixels."""
    batch: int = 2
    """Images in a training step."""
    rounds: int = 7
    """How often everything is measured, in turns; medians count."""
    threads: int = 2
    """Of a CPU."""
    device: str = "cpu"
    """cpu, cuda, cuda:1 ...; auto is cuda where there is one."""
    seed: int = 0
    """Of weights and images."""
    checkpoint: Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="")] = None
    """A trained detector to measure instead of a random one; with data, its AP stands beside the seconds."""
    data: Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="")] = None
    """A COCO-format set on whose split the AP is measured."""
    split: str = "val2017"
    out: Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="")] = None
    """A JSON file for what was measured."""

    def __post_init__(self) -> None:
        for name, least in (("height", 64), ("width", 64), ("batch", 1), ("rounds", 2), ("threads", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise InputError(f"{name} is {getattr(self, name)}, but it must be at least {least}")
        if self.data is not None and self.checkpoint is None:
            raise InputError("data is given without a checkpoint, but random weights have no AP; give both")


class Row(NamedTuple):
    """One form of the network."""

    name: str
    seconds: float
    """Per image, or per training step: the median over the rounds."""
    ratio: float
    """The plain form's seconds over these."""
    difference: Mapping[str, float | None]
    """How far the answers are from the plain form's."""


def main(args: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    description = "Measure seconds per image and per training step beside the plain form of the same network."
    config = command_line.parse(DetectionBench, args, prog=PROG, description=description)
    config = dataclasses.replace(config, device=str(chosen_device(config.device)))
    out_file.check(config.out)
    dataset = None if config.data is None else CocoDataset(config.data, config.split)  # refused now, not after minutes
    if config.quick:
        config = dataclasses.replace(config, height=128, width=128, rounds=2)
    torch.set_num_threads(config.threads)
    model = the_model(config)
    found = {"inference": inference(model, config, dataset), "training step": training(model, config)}
    out_file.write(config.out, as_json(config, found))
    print("\n\n".join(table(what, rows) for what, rows in found.items()))
    return 0


def the_model(config: DetectionBench) -> FCOS:
    """The trained detector that was asked for, or one of 80 classes with random weights that say something."""
    if config.checkpoint is not None:
        return checkpoints.build(checkpoints.load(config.checkpoint)).to(config.device)
    base = ModelConfig() if config.backbone == "efficientnet-lite0" else IMPROVED
    shape = dataclasses.replace(base, backbone=config.backbone, categories=COCO, short_side=config.height)
    torch.manual_seed(config.seed)
    model = FCOS(dataclasses.replace(shape, max_side=max(config.height, config.width)))
    enliven(model.head.logits, model.head.distances)
    return model.to(config.device).eval()


def enliven(logits: nn.Conv2d, distances: nn.Conv2d) -> None:
    """Give a head random weights as a trained one has: some classes probable somewhere, boxes of many sizes.

    A head that says nothing would leave nothing to suppress.
    """
    for layer, std, bias in ((logits, 0.05, -4.0), (distances, 0.02, 2.0)):
        nn.init.normal_(layer.weight, std=std)
        nn.init.constant_(layer.bias, bias)  # type: ignore[arg-type]


def plain(model: FCOS) -> FCOS:
    """A copy with the same weights whose normalisation is a step of its own."""
    twin = copy.deepcopy(model)
    twin.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    for module in list(twin.modules()):
        for name, child in module.named_children():
            if isinstance(child, FrozenBatchNorm2d):
                setattr(module, name, _Affine(child))
    return twin


class _Affine(nn.Module):
    """Frozen batch normalisation as a step of its own."""

    def __init__(self, norm: FrozenBatchNorm2d) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        scale, shift = affine(self.norm)
        return x * scale.view(1, -1, 1, 1) + shift.view(1, -1, 1, 1)


# Inference


def inference(model: FCOS, config: DetectionBench, dataset: CocoDataset | None) -> list[Row]:
    """Seconds per image of finding objects, one image at a time, from pixels to boxes in the image; AP on a set."""
    images = the_images(config, 4)

    def detector(*, fold: bool, channels_last: bool, precision: Precision) -> Detector:
        net = model if fold else plain(model)
        return Detector(net, device=config.device, fold=fold, channels_last=channels_last, precision=precision)

    forms = {
        "plain: fp32, as written": detector(fold=False, channels_last=False, precision="fp32"),
        "folded, channels last": detector(fold=True, channels_last=True, precision="fp32"),
        "folded, channels last, bf16": detector(fold=True, channels_last=True, precision="bf16"),
    }
    runs = {name: _over(images, form.detect) for name, form in forms.items()}
    if (peer := torchvision_fcos(config)) is not None:
        runs["torchvision, fp32"] = _over(images, peer)
    seconds = in_turns(runs, config, per=len(images))
    answers = {name: form.detect(images) for name, form in forms.items()}
    reference = answers["plain: fp32, as written"]
    differences: dict[str, dict[str, float | None]] = {
        name: agreement(found, reference) for name, found in answers.items()
    }
    if dataset is not None:
        for name, form in forms.items():
            differences[name]["AP"] = evaluate(form, dataset, batch_size=1, workers=0)["bbox"].numbers["AP"]
    return rows_of(seconds, differences)


def agreement(found: Sequence[Detections], reference: Sequence[Detections]) -> dict[str, float | None]:
    """How alike the detections of some images are.

    ``kept`` is the share of the reference's for which there is one of the same class with an IoU of at least `SAME`.
    Of these, ``score_difference`` is the mean difference of the scores, and ``box_difference`` that of the sides, in
    pixels.
    """
    kept, total, scores, sides = 0, 0, [], []
    for mine, theirs in zip(found, reference, strict=True):
        total += len(theirs.boxes)
        if not len(mine.boxes) or not len(theirs.boxes):
            continue
        iou = pairwise_iou(theirs.boxes, mine.boxes) * (theirs.labels[:, None] == mine.labels)
        best, partner = iou.max(dim=1)
        same = best >= SAME
        kept += int(same.sum())
        scores.append((mine.scores[partner] - theirs.scores)[same].abs())
        sides.append((mine.boxes[partner] - theirs.boxes)[same].abs().flatten())
    mean = {"score_difference": _mean(scores), "box_difference": _mean(sides)}
    return {"kept": kept / total if total else 1.0, **mean}


def torchvision_fcos(config: DetectionBench) -> Callable[[list[Tensor]], Any] | None:
    """torchvision's own FCOS with weights as random, where it is installed and fits this torch; None elsewhere."""
    try:
        detection = importlib.import_module("torchvision.models.detection")
    except Exception as error:  # beside some builds of torch its extension fails with an error of its own
        print(f"torchvision is left out: it cannot be imported ({error})".splitlines()[0], file=sys.stderr)
        return None
    torch.manual_seed(config.seed)
    peer = detection.fcos_resnet50_fpn(
        weights=None, weights_backbone=None, min_size=config.height, max_size=max(config.height, config.width)
    )
    enliven(peer.head.classification_head.cls_logits, peer.head.regression_head.bbox_reg)
    peer.eval().to(config.device)

    @torch.inference_mode()
    def detect(images: list[Tensor]) -> Any:
        return peer([image.to(config.device) / 255 for image in images])

    return detect


# Training


def training(model: FCOS, config: DetectionBench) -> list[Row]:
    """Seconds of a training step: forward, targets, losses, backward, update."""
    images = torch.stack(the_images(config, config.batch)).to(config.device)
    generator = torch.Generator().manual_seed(config.seed)
    size = torch.tensor([config.width, config.height] * 2)
    corners = torch.rand(config.batch, 8, 2, generator=generator) * 0.7
    boxes = torch.cat([corners, corners + 0.05 + torch.rand(corners.shape, generator=generator) * 0.25], dim=-1) * size
    labels = torch.randint(len(model.config.categories), (config.batch, 8), generator=generator)
    batch = (images, list(boxes.to(config.device)), list(labels.to(config.device)))
    forms = {
        "plain: fp32, as written": Step(plain(model), batch, own_loss=False),
        "channels last": Step(copy.deepcopy(model), batch, channels_last=True),
        "channels last, bf16": Step(copy.deepcopy(model), batch, channels_last=True, precision=torch.bfloat16),
    }
    gradients = {name: form.gradient() for name, form in forms.items()}
    seconds = in_turns({name: form.update for name, form in forms.items()}, config, per=1)
    reference = gradients["plain: fp32, as written"]
    differences = {name: _gradient_difference(found, reference) for name, found in gradients.items()}
    return rows_of(seconds, differences)


class Step:
    """A training step of one form of the network, on one batch of images [B, 3, H, W], boxes and labels."""

    def __init__(
        self,
        model: FCOS,
        batch: tuple[Tensor, list[Tensor], list[Tensor]],
        *,
        channels_last: bool = False,
        precision: torch.dtype | None = None,
        own_loss: bool = True,
    ) -> None:
        layout = torch.channels_last if channels_last else torch.contiguous_format
        self.model = model.train()
        self.model.to(memory_format=layout)  # type: ignore[call-overload]
        self.images, self.boxes, self.labels = batch[0].contiguous(memory_format=layout), batch[1], batch[2]
        self.precision, self.own_loss = precision, own_loss
        learning = [p for p in model.parameters() if p.requires_grad]
        # So small a rate that the rounds all measure the same network.
        self.optimizer = torch.optim.SGD(learning, lr=1e-9, momentum=0.9, weight_decay=1e-4)

    def loss(self) -> Tensor:
        """The loss of the batch, float32."""
        height, width = self.images.shape[-2:]
        sizes = torch.tensor([[height, width]] * len(self.images), device=self.images.device)
        kind = self.images.device.type
        with torch.autocast(kind, dtype=self.precision, enabled=self.precision is not None):
            predictions = self.model(self.images, sizes)
        config = self.model.config
        where = locations(predictions.grid, config=config, image_size=(height, width), device=self.images.device)
        targets = assign(where, self.boxes, self.labels, config=config)
        by = losses.limited(losses.normalisers([targets], config=config))
        parts = losses.losses(predictions, targets, by, config=config)
        if not self.own_loss:
            parts["class"] = plain_focal_loss(predictions, targets, config) / by.positives
        return torch.stack(list(parts.values())).sum()

    def update(self) -> None:
        """One step."""
        self.optimizer.zero_grad()
        self.loss().backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()

    def gradient(self) -> tuple[float, Tensor]:
        """The loss, and its gradient by all weights together as one vector, float32 on the CPU."""
        self.optimizer.zero_grad()
        loss = self.loss()
        loss.backward()  # type: ignore[no-untyped-call]
        parts = [p.grad.detach().float().flatten().cpu() for p in self.model.parameters() if p.grad is not None]
        return loss.item(), torch.cat(parts)


def plain_focal_loss(predictions: Predictions, targets: Targets, config: ModelConfig) -> Tensor:
    """Eq. 5 of Lin et al. 2017, entry by entry, for autograd to differentiate."""
    logits, labels = predictions.logits.flatten(0, 1), targets.labels.flatten()
    one_hot = torch.zeros_like(logits)
    rows = (labels != BACKGROUND).nonzero()[:, 0]
    one_hot[rows, labels[rows]] = 1
    p = logits.sigmoid()
    entropy = functional.binary_cross_entropy_with_logits(logits, one_hot, reduction="none")
    p_t = p * one_hot + (1 - p) * (1 - one_hot)
    alpha_t = config.focal_alpha * one_hot + (1 - config.focal_alpha) * (1 - one_hot)
    return (alpha_t * (1 - p_t) ** config.focal_gamma * entropy).sum()


def _gradient_difference(found: tuple[float, Tensor], reference: tuple[float, Tensor]) -> dict[str, float]:
    loss, gradient = found
    expected, direction = reference
    cosine = functional.cosine_similarity(gradient.double(), direction.double(), dim=0)
    return {"loss": loss, "loss_difference": abs(loss - expected), "gradient_cosine": float(cosine)}


# Both


def the_images(config: DetectionBench, n: int) -> list[Tensor]:
    """Drawn scenes, stretched to uint8 [3, height, width]."""
    images = []
    for index in range(n):
        pixels = scene((config.seed, index), size=max(config.height, config.width)).pixels
        image = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None]  # drawn pixels are read-only
        images.append(functional.interpolate(image, (config.height, config.width), mode="bilinear", antialias=True)[0])
    return images


def in_turns(runs: Mapping[str, Callable[[], object]], config: DetectionBench, *, per: int) -> dict[str, float]:
    """Median seconds of each, after one time to warm up; in turns, so that what else happens happens to all."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(config.rounds + 1):
        print(f"round {number} of {config.rounds}", file=sys.stderr, flush=True)
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if config.device.startswith("cuda"):
                torch.cuda.synchronize(config.device)
            if number:
                taken[name].append((time.perf_counter() - start) / per)
    return {name: statistics.median(values) for name, values in taken.items()}


def rows_of(seconds: Mapping[str, float], differences: Mapping[str, Mapping[str, float | None]]) -> list[Row]:
    """Ratios to the first."""
    first = next(iter(seconds.values()))
    return [Row(name, value, first / value, differences.get(name, {})) for name, value in seconds.items()]


def table(what: str, rows: Sequence[Row]) -> str:
    """The rows for the terminal."""
    lines = [f"{what:<34}seconds   ratio  beside the plain form"]
    for row in rows:
        beside = ", ".join(
            f"{name.replace('_', ' ')} {'-' if value is None else format(value, '.4g')}"
            for name, value in row.difference.items()
        )
        lines.append(f"  {row.name:<32}{row.seconds:7.3f} {row.ratio:7.2f}  {beside}")
    return "\n".join(lines)


def as_json(config: DetectionBench, found: dict[str, list[Row]]) -> dict[str, Any]:
    """What was measured, and on what."""
    # On a GPU convolutions called fp32 have factors of 10 bits, unless PyTorch is told otherwise.
    tf32 = config.device.startswith("cuda") and torch.backends.cudnn.allow_tf32
    machine = {"device": device_name(config.device), "tf32_convolutions": tf32, **versions()}
    return {
        "config": to_json(config),
        "machine": machine,
        **{what: [row._asdict() for row in rows] for what, rows in found.items()},
    }


def _over(images: list[Tensor], run: Callable[[list[Tensor]], object]) -> Callable[[], None]:
    """``run`` of each image by itself."""

    def all_of_them() -> None:
        for image in images:
            run([image])

    return all_of_them


def _mean(parts: Sequence[Tensor]) -> float:
    values = torch.cat(list(parts)) if parts else torch.empty(0)
    return float(values.mean()) if len(values) else 0.0
