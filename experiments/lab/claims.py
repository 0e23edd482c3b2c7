"""What the lab's rows say, and whether the rows that were measured say it too.

A claim is an order of rows, or that two are the same. It is judged seed by seed: every seed has its own data order and
its own random weights, the same for all rows. Three seeds can show an order; they cannot show that there is none.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detection.coco_eval import share
from experiments.compared import spread_of
from experiments.lab import records
from experiments.lab.records import Record
from experiments.lab.rows import LONG, ROWS
from experiments.report_text import known

SAME = 0.01
"""AP by which two rows may differ that are to be the same; beside it stands the spread from seed to seed."""

FAR = 0.5
"""A row is far under another if it has less than this share of its AP (the lab's: .113 under .319)."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """Something that a table may show or not."""

    text: str
    """As it can stand in a sentence of its own, without the full stop."""
    rows: tuple[str, ...]
    """In growing order of AP."""
    kind: str = "grows"
    """"grows", "far" (the first far under the second), "same", or "reaches" (the second is the first, or better)."""
    reported: str = ""
    """The lab's figures, where it has them."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A claim with what was measured of it."""

    claim: Claim
    holds: str
    """"yes", "not with every seed", "no", or "not measured"."""
    seeds: int
    agree: int
    """Of the seeds, with how many it holds."""
    measured: str
    """The means and their spread."""


CLAIMS: tuple[Claim, ...] = (
    Claim(
        text="The lab's rows are in its order: from scratch at lr 5e-3, lr 1e-4, 1e-3, 5e-3, batch 16",
        rows=("b4-lr5e-3-scratch", "b4-lr1e-4", "b4-lr1e-3", "b4-lr5e-3", "b16-lr1e-2"),
        reported=".113 < .172 < .292 < .319 < .387, the last as downloaded",
    ),
    Claim(
        text="At batch 4 and equal iterations a larger learning rate is better: 1e-4 < 1e-3 < 5e-3",
        rows=("b4-lr1e-4", "b4-lr1e-3", "b4-lr5e-3"),
        reported=".172 < .292 < .319",
    ),
    Claim(
        text="At batch 4 and equal images a larger learning rate is better: 1e-4 < 1e-3 < 5e-3",
        rows=tuple(f"b4-lr{lr}{LONG}" for lr in ("1e-4", "1e-3", "5e-3")),
    ),
    Claim(
        text="At equal iterations from scratch is far under pretrained, both at batch 4 and lr 5e-3",
        rows=("b4-lr5e-3-scratch", "b4-lr5e-3"),
        kind="far",
        reported=".113 under .319",
    ),
    Claim(
        text="At equal images from scratch is far under pretrained, both at batch 4 and lr 5e-3",
        rows=(f"b4-lr5e-3-scratch{LONG}", f"b4-lr5e-3{LONG}"),
        kind="far",
    ),
    Claim(
        text="From scratch at batch 4 and equal images, BN at lr 1e-2 is better than FrozenBN at 5e-3",
        rows=(f"b4-lr5e-3-scratch{LONG}", f"b4-lr1e-2-scratch-bn{LONG}"),
    ),
    Claim(
        text="From scratch at batch 4 and equal images, GN at lr 1e-2 is better than FrozenBN at 5e-3",
        rows=(f"b4-lr5e-3-scratch{LONG}", f"b4-lr1e-2-scratch-gn{LONG}"),
    ),
    Claim(
        text="From scratch at batch 4 and equal images, GN is better than BN, both at lr 1e-2",
        rows=(f"b4-lr1e-2-scratch-bn{LONG}", f"b4-lr1e-2-scratch-gn{LONG}"),
    ),
    Claim(
        text="A batch of 16 in parts learns what it learns at once",
        rows=("downloaded", "b16-lr1e-2"),
        kind="same",
    ),
    Claim(
        text="At equal iterations batch 16 is better than batch 4 at lr 5e-3",
        rows=("b4-lr5e-3", "b16-lr1e-2"),
        reported=".319 < .387, the last as downloaded",
    ),
    Claim(
        text="At equal images batch 4 at lr 5e-3 is as good as batch 16, or better",
        rows=("b16-lr1e-2", f"b4-lr5e-3{LONG}"),
        kind="reaches",
    ),
    Claim(
        text="At equal images CondInst's masks are better than PolarMask's, both at batch 4 and lr 5e-3",
        rows=(f"b4-lr5e-3-polar{LONG}", f"b4-lr5e-3-condinst{LONG}"),
        reported=".292 < .357, as published by others",
    ),
)


def judged(claim: Claim, found: Sequence[Record]) -> Verdict:
    """What the records of one scale and one set of images say of a claim."""
    masks = ROWS[claim.rows[0]].masks != "none"
    by_seed = _by_seed(found, claim.rows, masks=masks)
    if not by_seed:
        return Verdict(claim=claim, holds="not measured", seeds=0, agree=0, measured="")
    values = np.array(list(by_seed.values()))  # [seeds, rows]
    agree = sum(_holds(row, claim.kind) for row in values)
    on_average = _holds(values.mean(axis=0), claim.kind)
    holds = "no" if not on_average else "yes" if agree == len(values) else "not with every seed"
    sign = {"grows": " < ", "far": " under "}.get(claim.kind, " and ")
    told = sign.join(spread(column) for column in values.T)
    return Verdict(claim=claim, holds=holds, seeds=len(values), agree=agree, measured=told)


class Schedule(NamedTuple):
    """The 3.1-epoch question: AP of three rows by seed, [seeds] each, of the seeds that all three have."""

    short: NDArray[np.float64]
    """Batch 4, lr 5e-3, with the iterations of batch 16."""
    long: NDArray[np.float64]
    """The same with its images."""
    large: NDArray[np.float64]
    """Batch 16."""

    @property
    def share(self) -> float | None:
        """How much of what batch 4 loses at equal iterations comes back at equal images; None if nothing is lost."""
        drop = float(self.large.mean() - self.short.mean())
        return float(self.long.mean() - self.short.mean()) / drop if drop > 0 else None


def schedule(found: Sequence[Record]) -> Schedule | None:
    """What was measured of the schedule; None where one of the rows is missing."""
    rows = ("b4-lr5e-3", f"b4-lr5e-3{LONG}", "b16-lr1e-2")
    by_seed = _by_seed(found, rows, masks=False)
    return Schedule(*np.array(list(by_seed.values())).T) if by_seed else None


def spread(values: NDArray[np.float64]) -> str:
    """Mean and standard deviation as the table has them: .387 +- .004."""
    found = spread_of(values)
    deviation = f" ± {share(found['sd'])}" if math.isfinite(found["sd"]) else ""
    return f"{share(known(found['mean']))}{deviation}"


def as_json(verdict: Verdict) -> Mapping[str, object]:
    """Plain values."""
    claim = verdict.claim
    return {
        "claim": claim.text,
        "rows": list(claim.rows),
        "reported": claim.reported or None,
        "measured": verdict.measured or None,
        "holds": verdict.holds,
        "seeds": verdict.seeds,
        "agree": verdict.agree,
    }


def _by_seed(found: Sequence[Record], rows: Sequence[str], *, masks: bool) -> dict[int, list[float]]:
    """AP of the rows by seed, for the seeds that all of them were measured with."""
    ap = {
        row: {
            record.seed: float(value)
            for record, value in zip(some, records.values(some, "AP", masks=masks), strict=True)
            if math.isfinite(value)
        }
        for row in rows
        for some in [records.of_row(found, row)]
    }
    seeds = sorted(set.intersection(*(set(by_seed) for by_seed in ap.values())))
    return {seed: [ap[row][seed] for row in rows] for seed in seeds}


def _holds(values: Sequence[float], kind: str) -> bool:
    if kind == "far":
        return bool(values[0] < FAR * values[1])
    if kind == "reaches":
        return bool(values[1] >= values[0] - SAME)
    if kind == "same":
        return bool(abs(values[0] - values[1]) <= SAME)
    return all(bool(low < high) for low, high in itertools.pairwise(values))
