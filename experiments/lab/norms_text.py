"""What was found of FrozenBatchNorm in words: figures of trainings and networks, and three questions answered by them.

Every sentence is made from the figures at hand: with other figures it says something else, or the opposite.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from detection.coco_eval import share
from detection.config import Norm
from experiments.compared import listed
from experiments.lab.claims import spread
from experiments.lab.norms import LOOKS, NETWORKS, NORMS, VARIANTS, Network, Variant
from experiments.lab.rows import NORM_NAMES
from experiments.pieces import Found
from experiments.report_text import count, number

All = Mapping[str, Found]
"""Figures [seeds] by name, of every variant and network."""

BATCHES = (2, 4, 16)
"""Sizes of batches that BN is trained with."""

ALIKE = 0.1
"""Share of the larger AP by which two may differ that are told to be alike."""

QUESTIONS = (
    "What does FrozenBatchNorm do?",
    "When does it hurt?",
    "What should the lab use at batch 4 from scratch?",
)


def answers(found: All) -> dict[str, list[str]]:
    """Plain sentences for each question, with the figures that they rest on and where these are shown."""
    return dict(zip(QUESTIONS, (_what_it_does(found), _when_it_hurts(found), _what_to_use(found)), strict=True))


def _what_it_does(found: All) -> list[str]:
    gap, other = (loss_gap(found, Variant(norm=norm)) for norm in ("frozen_bn", "bn"))
    last = {norm: curve(found, Network(backbone="resnet50", norm=norm), "scale")[-1] for norm in NORMS}
    pretrained = next(one for one in NETWORKS if one.pretrained)
    return [
        "It is a fixed affine map of each channel, so that what the network says of an image does not depend on which "
        f"others are beside it: its loss in use differs from that in training by {signed(gap)}, that of BN at batch "
        f"4 by {signed(other)} (figure 7).",
        "Pretrained, it carries ImageNet's statistics, and the features of all blocks are within a factor of "
        f"{number(unevenness(found, pretrained, 'scale'), 1)} of each other (figure 3).",
        "From scratch it is the identity: in a ResNet-50 the features keep the scale of the pixels, "
        f"{short(last['frozen_bn'])} after the last block, where BN gives {short(last['bn'])} and GN "
        f"{short(last['gn'])} (figure 1).",
    ]


def _when_it_hurts(found: All) -> list[str]:
    said = []
    for pretrained in (True, False):
        frozen = Variant(norm="frozen_bn", pretrained=pretrained, frozen_stem=True)
        others = [dataclasses.replace(frozen, norm=norm) for norm in ("bn", "gn")]
        begin = "With a pretrained backbone" if pretrained else "From scratch, with the stem frozen as in the lab,"
        verdict = listed([_beside(found, frozen, other) for other in others if other.name in found])
        said.append(f"{begin} it {verdict} (figure 9).")
    gains = listed([f"{stem_gain(found, norm)} with {NORM_NAMES[norm]}" for norm in NORMS])
    said.append(
        f"To let the stem and the first stage learn, which are random from scratch, changes AP by {gains} (figure 8)."
    )
    return said


def _what_to_use(found: All) -> list[str]:
    order = [one for one in best_first(found) if one.batch == 4 and not one.pretrained]
    best, next_best = order[0], order[1]
    lead = ap_of(found, best) - ap_of(found, next_best)
    lab = Variant(norm="frozen_bn", frozen_stem=True)
    noise = [number(np.exp(at_the_end(found, Variant(norm="bn", batch=batch), "noise variance"))) for batch in BATCHES]
    reached = [told(found, Variant(norm="bn", batch=batch)) for batch in BATCHES]
    return [
        f"Of what was tried, {best.title}: AP {told(found, best)}, where the lab's own row ({lab.title}) has "
        f"{told(found, lab)} (figure 9).",
        f"Next is {next_best.title} with {told(found, next_best)}; the first is ahead with {int((lead > 0).sum())} "
        f"of {count(len(lead), 'seed')} (figure 9).",
        f"BN at batch 2, 4 and 16 reaches {listed(reached)} with as many images (figure 9); the variances that a "
        f"single batch sees are off by a factor of {listed(noise)} (figure 5).",
    ]


def _beside(found: All, frozen: Variant, other: Variant) -> str:
    """What FrozenBN does beside another: hurts, is better, or neither."""
    lost = ap_of(found, other) - ap_of(found, frozen)
    mean = float(lost.mean())
    larger = np.maximum(ap_of(found, other), ap_of(found, frozen))
    if abs(mean) <= ALIKE * float(larger.mean()):
        verb, agree = f"is within {ALIKE:.0%} of", int((np.abs(lost) <= ALIKE * larger).sum())
    else:
        verb, agree = "hurts beside" if mean > 0 else "is better than", int((np.sign(lost) == np.sign(mean)).sum())
    seeds = f"so with {agree} of {count(len(lost), 'seed')}"
    return f"{verb} {NORM_NAMES[other.norm]} ({told(found, frozen)} and {told(found, other)}, {seeds})"


def table(found: All) -> str:
    """AP of every variant, for the terminal."""
    order = best_first(found)
    width = max(len(one.title) for one in order)
    return "\n".join(["AP", *(f"  {one.title:<{width}}  {told(found, one)}" for one in order)])


# ---- figures out of what was found


def ap_of(found: All, variant: Variant) -> NDArray[np.float64]:
    """AP by seed; 0 where the training diverged."""
    return found[variant.name]["AP"]


def best_first(found: All) -> list[Variant]:
    """All variants, from the highest mean AP down."""
    return sorted(VARIANTS, key=lambda one: -float(ap_of(found, one).mean()))


def told(found: All, variant: Variant) -> str:
    """The AP of a variant over its seeds, and how many of its trainings diverged."""
    values = ap_of(found, variant)
    diverged = int(np.isfinite(found[variant.name]["diverged"]).sum())
    return spread(values) + (f" ({diverged} of {len(values)} diverged)" if diverged else "")


def curve(found: All, network: Network, what: str) -> NDArray[np.float64]:
    """A figure of every unit, mean over the seeds: [units]."""
    figures = found[network.name]
    names = sorted(name for name in figures if name.startswith(f"{what}/"))
    return np.array([float(np.mean(figures[name])) for name in names])


def unevenness(found: All, network: Network, what: str) -> float:
    """The largest figure of a block over the smallest, without the stem."""
    values = curve(found, network, what)[1:]
    return float(values.max() / values.min())


def over_looks(found: All, variant: Variant, what: str) -> NDArray[np.float64]:
    """A figure at every look, mean over the seeds: [looks]."""
    figures = found[variant.name]
    looks = range(1, LOOKS + 1)
    values = [figures[f"{what}@{look}"] for look in looks if f"{what}@{look}" in figures]
    return np.array([float(np.nanmean(some)) if np.isfinite(some).any() else float("nan") for some in values])


def at_the_end(found: All, variant: Variant, what: str) -> float:
    """A figure at the last look, mean over the seeds."""
    return float(over_looks(found, variant, what)[-1])


def loss_gap(found: All, variant: Variant) -> float:
    """By how much the loss in use is larger than that in training, on the same images, at the end."""
    return at_the_end(found, variant, "loss in use") - at_the_end(found, variant, "loss in training")


def stem_gain(found: All, norm: Norm) -> str:
    """What it does to AP to let the stem and the first stage learn, and with how many seeds it goes that way."""
    gains = ap_of(found, Variant(norm=norm)) - ap_of(found, Variant(norm=norm, frozen_stem=True))
    agree = int((np.sign(gains) == np.sign(gains.mean())).sum())
    return f"{signed(float(gains.mean()))} ({agree} of {count(len(gains), 'seed')})"


def signed(value: float) -> str:
    """A difference with its sign; 0 has none."""
    if not np.isfinite(value):
        return "an unknown amount"
    shown = share(abs(value)) if abs(value) < 1 else f"{abs(value):.2f}"
    return "0" if abs(value) < 5e-4 else f"{'+' if value > 0 else '-'}{shown}"


def short(value: float) -> str:
    """Three digits, however large it is."""
    return f"{value:.3g}"
