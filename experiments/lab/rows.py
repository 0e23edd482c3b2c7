"""The rows of the lab's table, and those that answer what it left open.

The lab measured detectors on COCO in December 2019: the published FCOS as downloaded, and what became of it with a
batch of 4 instead of 16, with other learning rates, from scratch, and with another normalisation. Two rows were never
filled in. Batch 4 at the unchanged 90,000 iterations is 3.1 epochs of COCO rather than 12.3: every row of batch 4
stands here a second time, at as many *images* as batch 16 sees, and every row with masks of both kinds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from detection.coco_eval import NUMBERS
from detection.config import Masks, Norm

ITERATIONS = 90_000
"""Of the published 1x schedule, unchanged in every row of the lab."""
COCO_IMAGES = 117_266
"""Images of train2017 with an object that is no crowd: an epoch."""

LONG = "-12ep"
"""How the names of the rows at equal images end."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A detector of the table: what is different about it, and what the lab reported."""

    name: str
    """In commands and in records; with "lab-" before it, a preset of `detection.train`."""
    batch: int
    lr: float
    pretrained: bool = True
    """The backbone begins with weights trained on ImageNet, otherwise at random."""
    norm: Norm = "frozen_bn"
    masks: Masks = "none"
    trained: bool = True
    """False for what was downloaded: it is only measured."""
    accumulated: bool = False
    """The batch goes through the network in parts, whose gradients are added up."""
    equal_images: bool = False
    """As many images as a batch of 16 sees, instead of as many iterations."""
    reported: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """The lab's 12 numbers, of boxes on COCO minival."""
    outcome: str = ""
    """What the lab's table says where it has no numbers."""
    run_name: str = ""
    """The lab's name of the run."""

    @property
    def preset(self) -> str:
        """Where `detection.train` begins."""
        return f"lab-{self.name.removesuffix(LONG)}"

    @property
    def title(self) -> str:
        """What is different, in a few words."""
        if not self.trained:
            return "FCOS's own best, downloaded"
        words = [f"batch {self.batch}", f"lr {self.lr:g}"]
        if not self.pretrained:
            words.append(f"from scratch, {NORM_NAMES[self.norm]}")
        if self.equal_images:
            words.append("equal images")
        if self.batch == 16 and not self.accumulated:
            words.append("at once")
        if self.masks != "none":
            words.append(MASK_NAMES[self.masks])
        return ", ".join(words)

    def iterations(self, at_batch_16: int = ITERATIONS) -> int:
        """Updates, where a batch of 16 takes so many."""
        return at_batch_16 * 16 // self.batch if self.equal_images else at_batch_16

    def epochs(self, at_batch_16: int = ITERATIONS, images: int = COCO_IMAGES) -> float:
        """How often every image is seen."""
        return self.iterations(at_batch_16) * self.batch / images


NORM_NAMES: Mapping[str, str] = {"frozen_bn": "FrozenBN", "bn": "BN", "gn": "GN"}
MASK_NAMES: Mapping[str, str] = {"condinst": "CondInst", "polar": "PolarMask"}


def _numbers(*values: float) -> dict[str, float]:
    return dict(zip(NUMBERS, values, strict=True))


DOWNLOADED = Row(
    name="downloaded",
    batch=16,
    lr=1e-2,
    trained=False,
    reported=_numbers(0.387, 0.573, 0.419, 0.226, 0.424, 0.502, 0.325, 0.536, 0.572, 0.367, 0.617, 0.726),
    run_name="downloaded FCOS",
)

LAB: tuple[Row, ...] = (
    Row(name="b16-lr1e-2", batch=16, lr=1e-2, accumulated=True, outcome="did not fit in GPU memory"),
    Row(
        name="b4-lr1e-4",
        batch=4,
        lr=1e-4,
        reported=_numbers(0.172, 0.327, 0.161, 0.095, 0.197, 0.226, 0.195, 0.345, 0.374, 0.188, 0.410, 0.519),
        run_name="Baseline_lr1en4_191209",
    ),
    Row(
        name="b4-lr1e-3",
        batch=4,
        lr=1e-3,
        reported=_numbers(0.292, 0.470, 0.308, 0.163, 0.325, 0.383, 0.270, 0.455, 0.490, 0.283, 0.539, 0.645),
        run_name="Baseline_lr1en3_191210",
    ),
    Row(
        name="b4-lr5e-3",
        batch=4,
        lr=5e-3,
        reported=_numbers(0.319, 0.492, 0.342, 0.183, 0.358, 0.416, 0.286, 0.484, 0.519, 0.317, 0.572, 0.675),
        run_name="Baseline_lr5en3_191211",
    ),
    Row(
        name="b4-lr5e-3-scratch",
        batch=4,
        lr=5e-3,
        pretrained=False,
        reported=_numbers(0.113, 0.193, 0.114, 0.060, 0.121, 0.159, 0.177, 0.305, 0.320, 0.140, 0.329, 0.479),
        run_name="Baseline_lr5en3_fbn_scratch_191212",
    ),
    Row(name="b4-lr1e-2-scratch-bn", batch=4, lr=1e-2, pretrained=False, norm="bn", outcome="never filled in"),
)

ADDED = Row(name="b4-lr1e-2-scratch-gn", batch=4, lr=1e-2, pretrained=False, norm="gn")
"""Groups do not care how many images are beside each other; the lab did not try them."""


def _ours(row: Row, **changes: Any) -> Row:
    """A row that the lab does not have."""
    return dataclasses.replace(row, reported={}, outcome="", run_name="", **changes)


def _longer(row: Row) -> Row:
    return _ours(row, name=row.name + LONG, equal_images=True)


def _with_masks(row: Row, masks: Masks) -> Row:
    name = row.name.removesuffix(LONG) + f"-{masks}" + (LONG if row.equal_images else "")
    return _ours(row, name=name, masks=masks)


AT_EQUAL_ITERATIONS: tuple[Row, ...] = (DOWNLOADED, *LAB, ADDED)
AT_EQUAL_IMAGES: tuple[Row, ...] = tuple(_longer(row) for row in (*LAB, ADDED) if row.batch == 4)
_KINDS: tuple[Masks, ...] = ("condinst", "polar")
WITH_MASKS: tuple[Row, ...] = tuple(
    _with_masks(row, masks) for row in (*LAB, ADDED, *AT_EQUAL_IMAGES) for masks in _KINDS
)

ROWS: Mapping[str, Row] = {row.name: row for row in (*AT_EQUAL_ITERATIONS, *AT_EQUAL_IMAGES, *WITH_MASKS)}
"""All of them by name, in the order of the table."""
