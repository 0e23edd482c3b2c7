"""The table in words: what a set of images is, which claims hold, what the schedule did, on what it was measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from detection.coco_eval import share
from experiments.lab import claims
from experiments.lab.claims import Verdict
from experiments.lab.records import Record
from experiments.lab.rows import Row

ABOUT = {
    "coco": "COCO, as the lab has it: ResNet-50, 90,000 iterations at 800 pixels, measured on val2017.",
    "shapes": (
        "Drawn shapes of 8 kinds, 128 pixels: EfficientNet-Lite0, a pyramid and head of 64 channels, a schedule with "
        "the lab's proportions (batch 4 sees each image 3.1 times, batch 16 12.3 times). The first row stands for the "
        "downloaded detector: the unchanged code, 16 images at once. Measured on other images than those learned from."
    ),
    "photographs": (
        "Photographs, 192 pixels on the shorter side, the rows of batch 4. They are too few to learn what a category "
        "is, so that what is measured is how well those that were learned from are told: the optimisation, not what "
        "it is good for."
    ),
}


def sentence(verdict: Verdict) -> str:
    """A claim, whether it holds, and by what figures."""
    claim = verdict.claim
    if not verdict.seeds:
        return f"{claim.text}: not measured."
    seeds = f"{verdict.agree} of {verdict.seeds} seeds" if verdict.seeds > 1 else "one seed"
    holds = {
        "yes": f"holds ({seeds})",
        "no": f"does not hold ({seeds})",
        "not with every seed": f"holds on average, not with every seed ({seeds})",
    }[verdict.holds]
    reported = f" (reported {claim.reported})" if claim.reported else ""
    return f"{claim.text}{reported}: {holds}: {verdict.measured}."


def about_schedule(found: Sequence[Record]) -> str:
    """The answer to the question of the 3.1 epochs, or nothing where it was not measured."""
    answer = claims.schedule_share(found)
    if answer is None:
        return ""
    part, seeds = answer
    short, long, large = (
        share(float(claims.mean_ap(found, row))) for row in ("b4-lr5e-3", "b4-lr5e-3-12ep", "b16-lr1e-2")
    )
    if part > 1:
        verdict = "all of the drop was the schedule, and more"
    elif part < 0:
        verdict = "none of the drop was the schedule"
    else:
        verdict = f"{part:.0%} of the drop was the schedule"
    return (
        f"Batch 4 at lr 5e-3 reaches {short} with the iterations of batch 16 and {long} with its images; batch 16 "
        f"reaches {large}. So {verdict}, the rest the batch and its learning rate ({seeds} seeds)."
    )


def provenance(found: Sequence[Record]) -> str:
    """On what the figures were measured."""
    if not found:
        return ""
    devices = Counter(record.device for record in found)
    on = ", ".join(f"{device} ({number} runs)" for device, number in devices.most_common())
    versions = sorted({f"torch {record.versions.get('torch', '?')}" for record in found})
    days = sorted({record.measured_on for record in found})
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    hours = sum(record.seconds for record in found) / 3600
    return f"Measured on {on}, {', '.join(versions)}, {when}; {hours:.2f} hours of learning and measuring in all."


def start(row: Row) -> str:
    """The line that starts a row at full scale."""
    more = "" if row.trained else " --downloaded FCOS.pt"
    more += " --backbone-weights R-50.pth" if row.trained and row.pretrained else ""
    more += " --fit-memory 10" if row.accumulated else ""
    return f"python -m experiments.baselines --preset coco --data COCO --rows {row.name}{more}"
