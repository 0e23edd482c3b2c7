"""Trainings that differ in their normalisation alone, followed by `probes`: what FrozenBatchNorm does to them.

All learn from the same drawn images, as many of them, at the same learning rate for an image (lr in proportion to the
batch), with the same seeds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from detection import checkpoints, presets
from detection.config import Backbone, ModelConfig, Norm, TrainConfig
from detection.data.batch import Batch
from detection.data.coco import CocoDataset
from detection.data.loading import images_to_train_on, train_batches
from detection.data.shapes import SPLITS
from detection.detector import Detector
from detection.errors import DivergedError
from detection.evaluate import evaluate
from detection.fcos import FCOS
from detection.training.distributed import alone
from detection.training.learner import Learner, begin
from experiments.lab import probes
from experiments.lab.rows import NORM_NAMES
from experiments.lab.scales import SMALL_SIDE

LR_PER_IMAGE = 5e-3 / 4
"""The lab's best at batch 4."""
IMAGES, QUICK_IMAGES = 2400, 32
"""Learned from: 12.3 epochs of the small set."""
LOOKS, QUICK_LOOKS = 4, 2
"""How often a training is looked at, evenly; the last time at its end."""
PROBED, QUICK_PROBED = 32, 4
"""Images that probes look at, in batches as the training has them."""
TRUTH, QUICK_TRUTH = 64, 6
"""Images of the one batch whose statistics are taken for the true ones."""
DEPTH_BATCH = 8

FROZEN_STAGES = 2
"""The stem and the first stage: what the lab's configuration keeps as it begins."""

Figures = dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A training."""

    norm: Norm
    batch: int = 4
    pretrained: bool = False
    frozen_stem: bool = False
    """The stem and the first stage never learn."""

    @property
    def name(self) -> str:
        """In records: scratch-gn-b4, scratch-bn-b4-frozen."""
        begin = "pretrained" if self.pretrained else "scratch"
        return f"{begin}-{self.norm}-b{self.batch}" + ("-frozen" if self.frozen_stem else "")

    @property
    def title(self) -> str:
        """For people."""
        begin = "pretrained" if self.pretrained else "from scratch"
        stem = "" if self.pretrained else ", frozen stem" if self.frozen_stem else ", stem learns"
        return f"{NORM_NAMES[self.norm]}, batch {self.batch}, {begin}{stem}"

    def model(self) -> ModelConfig:
        """The network."""
        return dataclasses.replace(
            presets.SMALL,
            norm=self.norm,
            frozen_stages=FROZEN_STAGES if self.frozen_stem else 0,
            short_side=SMALL_SIDE,
            max_side=2 * SMALL_SIDE,
        )


NORMS: tuple[Norm, ...] = ("frozen_bn", "bn", "gn")

VARIANTS: tuple[Variant, ...] = (
    *(Variant(norm=norm, frozen_stem=frozen) for norm in NORMS for frozen in (True, False)),
    Variant(norm="bn", batch=2),
    Variant(norm="bn", batch=16),
    *(Variant(norm=norm, pretrained=True, frozen_stem=True) for norm in ("frozen_bn", "bn")),
)


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network at its beginning, whose depth is probed."""

    backbone: Backbone
    norm: Norm
    pretrained: bool = False

    @property
    def name(self) -> str:
        """In records."""
        return f"depth-{self.backbone}-{'pretrained' if self.pretrained else 'scratch'}-{self.norm}"

    @property
    def title(self) -> str:
        """For people."""
        return f"{NORM_NAMES[self.norm]}, {'pretrained' if self.pretrained else 'from scratch'}"

    def model(self) -> ModelConfig:
        """The network, learning in all of its stages so that there is a gradient everywhere."""
        base = presets.IMPROVED if self.backbone == "resnet50" else presets.SMALL
        return dataclasses.replace(
            base,
            norm=self.norm,
            norm_eps=base.norm_eps or 1e-5,  # none in the lab's FrozenBN; what learns needs one
            frozen_stages=0,
            short_side=SMALL_SIDE,
            max_side=2 * SMALL_SIDE,
        )


NETWORKS: tuple[Network, ...] = (
    *(Network(backbone="resnet50", norm=norm) for norm in NORMS),
    *(Network(backbone="efficientnet-lite0", norm=norm) for norm in NORMS),
    Network(backbone="efficientnet-lite0", norm="frozen_bn", pretrained=True),
)


def train_config(
    model: ModelConfig, *, data: Path, batch: int, images: int, seed: int, pretrained: bool
) -> TrainConfig:
    """How all of them are trained."""
    iterations = max(images // batch, 1)
    return TrainConfig(
        data=data,
        out=data,
        model=dataclasses.replace(model, categories=CocoDataset(data, SPLITS[0]).categories),
        backbone_weights="imagenet" if pretrained else None,
        batch_size=batch,
        max_iterations=iterations,
        lr=LR_PER_IMAGE * batch,
        warmup="linear",
        warmup_iterations=min(max(80 // batch, 1), iterations),
        warmup_factor=0.1,
        workers=0,
        seed=seed,
        device="cpu",
    )


def depth(seed: int, *, network: Network, data: Path) -> Figures:
    """Signal and gradient through depth, before anything is learned."""
    config = train_config(
        network.model(), data=data, batch=DEPTH_BATCH, images=DEPTH_BATCH, seed=seed, pretrained=network.pretrained
    )
    found = probes.through_depth(begin(config, say=_silent), next(batches(config, SPLITS[0])))
    return {f"{what}/{at:02d}": value for what, values in found._asdict().items() for at, value in enumerate(values)}


def training(seed: int, *, variant: Variant, data: Path, quick: bool) -> Figures:
    """A training from its beginning to its end: what was seen on the way, and the AP that it reached.

    One whose loss is no number any more has an AP of 0, and the updates that it got to as ``diverged``.
    """
    images, looks = (QUICK_IMAGES, QUICK_LOOKS) if quick else (IMAGES, LOOKS)
    config = train_config(
        variant.model(), data=data, batch=variant.batch, images=images, seed=seed, pretrained=variant.pretrained
    )
    learner = Learner(begin(config, say=_silent), config, world=alone("cpu"))
    moments = [round(config.iterations * (look + 1) / looks) for look in range(looks)]
    probed = max(QUICK_PROBED if quick else PROBED, variant.batch)
    seen, held_out = (_some(batches(config, split), images=probed) for split in SPLITS)
    many = dataclasses.replace(config, batch_size=QUICK_TRUTH if quick else TRUTH, seed=seed + 1)
    truth = next(batches(many, SPLITS[0]))
    found: Figures = {}
    stream = batches(config, SPLITS[0])
    while learner.done < config.iterations:
        batch = next(stream)
        try:
            learner.update(batch)
        except DivergedError:
            return {**_unknown(looks), **found, "AP": 0.0, "diverged": float(learner.done)}
        if learner.done in moments:
            look = moments.index(learner.done) + 1
            found |= {f"{name}@{look}": value for name, value in looked(learner.model, seen, truth, held_out).items()}
    detector = Detector(checkpoints.build(learner.checkpoint()), device="cpu")
    numbers = evaluate(detector, CocoDataset(data, SPLITS[1]), batch_size=8)["bbox"].numbers
    return {**_unknown(looks), **found, "AP": float(numbers["AP"] or 0.0), "diverged": float("nan")}


LOSSES = ("loss in training", "loss in use")
STRAYS = ("noise mean", "noise variance", "drift mean", "drift variance")


def looked(model: FCOS, seen: Sequence[Batch], truth: Batch, held_out: Sequence[Batch]) -> Figures:
    """What is to be seen of a model on its way: `LOSSES` on images that it does not learn from, and `STRAYS`.

    ``noise``: how far the statistics of single batches (``seen``) are from those of many images (``truth``);
    ``drift``: how far those that are kept for use are. nan where no statistics are kept.
    """
    found = {name: probes.loss_in(model, held_out, training=name == LOSSES[0]) for name in LOSSES}
    if not probes.running_statistics(model):
        return found | dict.fromkeys(STRAYS, float("nan"))
    true = probes.batch_statistics(model, truth)
    noise = [probes.shift(probes.batch_statistics(model, batch), true) for batch in seen]
    drift = probes.shift(probes.running_statistics(model), true)
    values = [*(sum(values) / len(noise) for values in zip(*noise, strict=True)), *drift]
    return found | dict(zip(STRAYS, values, strict=True))


def batches(config: TrainConfig, split: str) -> Iterator[Batch]:
    """Batches of a split, as a training sees them."""
    dataset = CocoDataset(config.data, split)
    indices = images_to_train_on(dataset, skip_broken=False, speak=False)
    return train_batches(dataset, config=config, indices=indices, start=0)


def _some(stream: Iterator[Batch], *, images: int) -> list[Batch]:
    """The first batches of a stream, with so many images together."""
    found: list[Batch] = []
    while sum(len(batch.image_ids) for batch in found) < images:
        found.append(next(stream))
    return found


def _unknown(looks: int) -> Figures:
    return {f"{name}@{look + 1}": float("nan") for name in (*LOSSES, *STRAYS) for look in range(looks)}


def _silent(text: str) -> None:
    """What is to be said of weights is not said here."""
