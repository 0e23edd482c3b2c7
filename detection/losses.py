"""What the network is told: focal loss for classes, an IoU loss for boxes, cross entropy for quality, and for masks.

All in float32, whatever the network computes in. Every loss is a sum divided by a normaliser that is counted over the
whole batch, so that the losses of parts of a batch (micro-batches, processes) add up to that of the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from detection import masks
from detection.config import ModelConfig
from detection.targets import BACKGROUND, Targets

if TYPE_CHECKING:
    from detection.fcos import Predictions


class Normalisers(NamedTuple):
    """What the sums of a batch are divided by: scalars, none of them below a least value."""

    positives: Tensor
    """The number of positive locations, at least 1."""
    centerness: Tensor
    """The sum of their centerness (of the box or of the rays, see ``quality``), above 0."""
    masks: Tensor
    """What the losses of masks are divided by, above 0."""


def sigmoid_focal_loss(logits: Tensor, labels: Tensor, *, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """The sum of the focal losses (Lin et al. 2017, eq. 5) of all entries; float32 scalar.

    Parameters
    ----------
    logits : float [n, C]
    labels : int64 [n]
        The class of each row, or `BACKGROUND`.
    """
    total: Tensor = _FocalLoss.apply(logits, labels, alpha, gamma)  # type: ignore[no-untyped-call]
    return total


class _FocalLoss(torch.autograd.Function):
    """The focal loss with its gradient worked out: only the logits are kept for the backward pass.

    Nearly all of the n x C entries are negative ones. They are all taken for such, and the few positive ones are put
    right; both are a pass over memory, of which the plain formula takes about a dozen.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor, alpha: float, gamma: float) -> Tensor:
        rows = (labels != BACKGROUND).nonzero()[:, 0]
        columns = labels[rows]
        ctx.save_for_backward(logits, rows, columns)
        ctx.alpha, ctx.gamma = alpha, gamma
        x = _at_least_float32(logits)
        positive = x[rows, columns]
        negatives = torch.sigmoid(x).pow_(gamma).mul_(functional.softplus(x)).sum()
        false = torch.sigmoid(positive).pow(gamma) * functional.softplus(positive)
        true = torch.sigmoid(-positive).pow(gamma) * functional.softplus(-positive)
        return (1 - alpha) * (negatives - false.sum()) + alpha * true.sum()

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None, None]:
        logits, rows, columns = ctx.saved_tensors
        x = _at_least_float32(logits)
        slope = _slope(x, ctx.gamma).mul_((1 - ctx.alpha) * upstream)
        # A positive entry is a negative one seen in a mirror.
        slope[rows, columns] = -ctx.alpha * upstream * _slope(-x[rows, columns], ctx.gamma)
        return slope.to(logits.dtype), None, None, None


def _slope(x: Tensor, gamma: float) -> Tensor:
    """The derivative of sigmoid(x)^gamma softplus(x)."""
    p = torch.sigmoid(x)
    return (1 - p).mul_(functional.softplus(x)).mul_(gamma).add_(p).mul_(p.pow(gamma))


def _at_least_float32(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()


def overlap(predicted: Tensor, target: Tensor, *, smoothing: float = 0.0) -> tuple[Tensor, Tensor]:
    """IoU and GIoU (Rezatofighi et al. 2019) of boxes around one point each: two tensors [n].

    Parameters
    ----------
    predicted, target : float [n, 4]
        Distances from the point to the left, top, right and bottom side; none below 0.
    smoothing : float
        Added to intersection and union in the IoU, as the original FCOS does with 1.
    """
    inner, outer = torch.minimum(predicted, target), torch.maximum(predicted, target)
    intersection, hull = _area(inner), _area(outer)
    union = _area(predicted) + _area(target) - intersection
    iou = (intersection + smoothing) / (union + smoothing).clamp(min=1e-7)
    return iou, iou - (hull - union) / hull.clamp(min=1e-7)


def iou_loss(iou: Tensor, giou: Tensor, *, kind: Literal["iou", "linear_iou", "giou"]) -> Tensor:
    """-log IoU (Yu et al. 2016), 1 - IoU or 1 - GIoU: [n]."""
    if kind == "iou":
        # A box of no size has IoU 0: the loss is large there, not infinite.
        return -iou.clamp(min=1e-7).log()
    return 1 - (iou if kind == "linear_iou" else giou)


def centerness(distances: Tensor) -> Tensor:
    """How central points are in their boxes (FCOS, eq. 3): [...] in [0, 1], of distances [..., 4] above 0."""
    across, down = distances[..., 0::2], distances[..., 1::2]
    ratio = (across.amin(-1) / across.amax(-1)) * (down.amin(-1) / down.amax(-1))
    return ratio.sqrt()


def centrality(targets: Targets, *, config: ModelConfig) -> Tensor:
    """The centerness of the positive locations of a part of a batch, of their boxes or of their rays: [P]."""
    if config.quality == "polar_centerness":
        assert isinstance(targets.masks, masks.polar.Targets)
        return masks.polar.polar_centerness(targets.masks.lengths)
    return centerness(targets.distances[targets.labels != BACKGROUND])


def normalisers(targets: Sequence[Targets], *, config: ModelConfig) -> Normalisers:
    """The sums over all parts of a batch, not yet limited from below: see `limited`."""
    central = [centrality(part, config=config) for part in targets]
    nothing = targets[0].distances.new_zeros(())
    return Normalisers(
        positives=torch.stack([part.new_tensor(float(len(part))) for part in central]).sum(),
        centerness=torch.stack([part.sum() for part in central]).sum(),
        masks=torch.stack([nothing if part.masks is None else masks.normaliser(part.masks) for part in targets]).sum(),
    )


def limited(sums: Normalisers) -> Normalisers:
    """Sums as divisors, none of them 0: a batch without positive locations divides their number by 1 instead."""
    least = 1e-6
    return Normalisers(sums.positives.clamp(min=1), sums.centerness.clamp(min=least), sums.masks.clamp(min=least))


def losses(
    predictions: Predictions, targets: Targets, normalised_by: Normalisers, *, config: ModelConfig
) -> dict[str, Tensor]:
    """The parts of the loss, "class", "box", "quality" and, where there are masks, "mask"; their sum is learned from.

    Where the quality is a centerness, boxes count in proportion to that of their location; where it is the IoU they
    count alike.

    Parameters
    ----------
    normalised_by : Normalisers
        Of the whole batch, limited from below.
    """
    with torch.autocast(predictions.logits.device.type, enabled=False):
        positive = targets.labels != BACKGROUND
        distances = _at_least_float32(predictions.distances[positive])
        quality = _at_least_float32(predictions.quality[positive])
        target = targets.distances[positive]
        iou, giou = overlap(distances, target, smoothing=config.iou_smoothing)
        box = iou_loss(iou, giou, kind=config.box_loss)
        if config.quality == "iou":
            wanted = iou.detach().clamp(0, 1)
            box = box.sum() / normalised_by.positives
        else:
            wanted = centrality(targets, config=config)
            box = (box * wanted).sum() / normalised_by.centerness
        parts = {
            "class": sigmoid_focal_loss(
                predictions.logits.flatten(0, 1),
                targets.labels.flatten(),
                alpha=config.focal_alpha,
                gamma=config.focal_gamma,
            )
            / normalised_by.positives,
            "box": box,
            "quality": functional.binary_cross_entropy_with_logits(quality, wanted, reduction="sum")
            / normalised_by.positives,
        }
        if targets.masks is not None:
            assert predictions.masks is not None
            parts["mask"] = masks.loss(predictions.masks, targets.masks, positive) / normalised_by.masks
        return parts


def _area(distances: Tensor) -> Tensor:
    return (distances[..., 0] + distances[..., 2]) * (distances[..., 1] + distances[..., 3])
