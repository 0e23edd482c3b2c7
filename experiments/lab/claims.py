"""What the lab's rows say, and whether the rows that were measured say it too.

A claim is an order of rows, or that two are the same. It is judged seed by seed: every seed has its own data order and
its own random weights, the same for all rows. Three seeds can show an order; they cannot show that there is none.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detection.coco_eval import share
from experiments.lab import records
from experiments.lab.records import Record
from experiments.lab.rows import LONG, ROWS

SAME = 0.01
"""AP by which two rows may differ that are to be the same: what an unchanged run differs by from seed to seed."""

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
    """"grows", "far" (the first far under the second) or "same"."""
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
        text="At batch 4 a larger learning rate is better: 1e-4 < 1e-3 < 5e-3",
        rows=("b4-lr1e-4", "b4-lr1e-3", "b4-lr5e-3"),
        reported=".172 < .292 < .319",
    ),
    Claim(
        text="The same at as many images as batch 16 sees",
        rows=tuple(f"b4-lr{lr}{LONG}" for lr in ("1e-4", "1e-3", "5e-3")),
    ),
    Claim(
        text="From scratch is far under pretrained",
        rows=("b4-lr5e-3-scratch", "b4-lr5e-3"),
        kind="far",
        reported=".113 under .319",
    ),
    Claim(
        text="The same at as many images as batch 16 sees",
        rows=(f"b4-lr5e-3-scratch{LONG}", f"b4-lr5e-3{LONG}"),
        kind="far",
    ),
    Claim(
        text="From scratch, GN is better than BN at batch 4",
        rows=(f"b4-lr1e-2-scratch-bn{LONG}", f"b4-lr1e-2-scratch-gn{LONG}"),
    ),
    Claim(
        text="From scratch, BN is better than FrozenBN at batch 4",
        rows=(f"b4-lr5e-3-scratch{LONG}", f"b4-lr1e-2-scratch-bn{LONG}"),
    ),
    Claim(
        text="From scratch, GN is better than FrozenBN at batch 4",
        rows=(f"b4-lr5e-3-scratch{LONG}", f"b4-lr1e-2-scratch-gn{LONG}"),
    ),
    Claim(
        text="A batch of 16 in parts learns what it learns in one piece",
        rows=("downloaded", "b16-lr1e-2"),
        kind="same",
    ),
    Claim(
        text="Batch 16 is better than batch 4 at the same number of iterations",
        rows=("b4-lr5e-3", "b16-lr1e-2"),
        reported=".319 < .387",
    ),
    Claim(
        text="Batch 4 with as many images is as good as batch 16",
        rows=(f"b4-lr5e-3{LONG}", "b16-lr1e-2"),
        kind="same",
    ),
    Claim(
        text="CondInst's masks are better than PolarMask's",
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
    sign = {"grows": " < ", "far": " under ", "same": " and "}[claim.kind]
    told = sign.join(spread(column) for column in values.T)
    return Verdict(claim=claim, holds=holds, seeds=len(values), agree=agree, measured=told)


def schedule_share(found: Sequence[Record]) -> tuple[float, int] | None:
    """How much of what batch 4 loses to batch 16 at equal iterations comes back at equal images, by so many seeds.

    1: all of it was the schedule; 0: nothing. None where it was not measured, or nothing was lost.
    """
    rows = ("b4-lr5e-3", f"b4-lr5e-3{LONG}", "b16-lr1e-2")
    values = np.array(list(_by_seed(found, rows, masks=False).values()))
    if not len(values):
        return None
    short, long, large = values.mean(axis=0)
    return (float((long - short) / (large - short)), len(values)) if large > short else None


def mean_ap(found: Sequence[Record], row: str) -> float:
    """Mean AP of the boxes of a row over its seeds."""
    return float(np.nanmean(records.values(records.of_row(found, row), "AP")))


def spread(values: NDArray[np.float64]) -> str:
    """Mean and standard deviation as the table has them: .387 +- .004."""
    known = values[np.isfinite(values)]
    if not len(known):
        return "-"
    deviation = f" ± {share(float(known.std(ddof=1)))}" if len(known) > 1 else ""
    return f"{share(float(known.mean()))}{deviation}"


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
    if kind == "same":
        return bool(abs(values[0] - values[1]) <= SAME)
    return all(bool(low < high) for low, high in itertools.pairwise(values))
