"""The table in words: what a set of images is, which claims hold, what the schedule did, on what it was measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from experiments.lab import claims
from experiments.lab.claims import Verdict
from experiments.lab.records import Record
from experiments.lab.rows import ROWS, Row
from experiments.lab.runs import Scale
from experiments.report_text import count

HEADINGS = {"coco": "COCO", "shapes": "Drawn shapes", "photographs": "Photographs"}


def about(name: str, scale: Scale) -> str:
    """What a set of images is, and what is learned from it."""
    if name == "coco":
        return "COCO, as the lab has it: ResNet-50 at 800 pixels, measured on val2017."
    short, long = (ROWS[row].epochs(scale.iterations, scale.images) for row in ("b4-lr5e-3", "b16-lr1e-2"))
    epochs = f"batch 4 sees each image {short:.1f} times at equal iterations, batch 16 {long:.1f} times"
    small = "EfficientNet-Lite0, a pyramid and head of 64 channels"
    if name == "shapes":
        return (
            f"Drawn shapes of 8 kinds: {small}; {epochs}. The first row stands for the downloaded detector: the "
            "unchanged code, 16 images at once. Measured on other images than those learned from. What the lab "
            "reported is of COCO, and only its order can be compared."
        )
    return (
        f"Photographs, the rows of batch 4: {small}; {epochs}. Measured on the very images that were learned from: "
        "this shows how well they can be learned, not what it is good for."
    )


def sentence(verdict: Verdict) -> str:
    """A claim, whether it holds, and by what figures."""
    claim = verdict.claim
    if not verdict.seeds:
        return f"{claim.text}: not measured."
    seeds = f"{verdict.agree} of {count(verdict.seeds, 'seed')}"
    holds = {
        "yes": f"holds with {seeds}",
        "no": f"does not hold on average; with {seeds} it does",
        "not with every seed": f"holds on average, and with {seeds}",
    }[verdict.holds]
    reported = f" (reported {claim.reported})" if claim.reported else ""
    return f"{claim.text}{reported}: {holds}: {verdict.measured}."


def about_schedule(found: Sequence[Record]) -> str:
    """The answer to the question of the 3.1 epochs, or nothing where it was not measured."""
    measured = claims.schedule(found)
    if measured is None:
        return ""
    short, long, large = (claims.spread(values) for values in measured)
    part = measured.share
    if part is None:
        verdict = "batch 4 loses nothing at equal iterations, and there is no drop to explain"
    elif part > 1:
        verdict = "batch 4 is ahead once it has seen as many images, and all of its drop was the schedule"
    elif part < 0:
        verdict = "none of the drop was the schedule"
    else:
        verdict = f"{part:.0%} of the drop was the schedule, the rest the batch and its learning rate"
    return (
        f"Batch 4 at lr 5e-3 reaches {short} with the iterations of batch 16 and {long} with its images; batch 16 "
        f"reaches {large}. So {verdict} ({count(len(measured.short), 'seed')})."
    )


def provenance(found: Sequence[Record]) -> str:
    """On what the figures were measured."""
    if not found:
        return ""
    devices = Counter(record.device for record in found)
    on = ", ".join(f"{device} ({count(number, 'run')})" for device, number in devices.most_common())
    versions = sorted({f"torch {record.versions.get('torch', '?')}" for record in found})
    days = sorted({record.measured_on for record in found})
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    hours = sum(record.seconds for record in found) / 3600
    programs = len({record.program for record in found})
    mixed = f" by {programs} versions of the program" if programs > 1 else ""
    return (
        f"Measured{mixed} on {on}, {', '.join(versions)}, {when}; {hours:.2f} hours of learning and measuring in all."
    )


def start(row: Row) -> str:
    """The line that starts a row at full scale."""
    more = "" if row.trained else " --downloaded FCOS.pt"
    more += " --backbone-weights R-50.pth" if row.trained and row.pretrained else ""
    more += " --fit-memory 10" if row.accumulated else ""
    return f"python -m experiments.baselines --preset coco --data COCO --rows {row.name}{more}"
