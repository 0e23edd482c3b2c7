"""Records of runs that never were, for tests of what is made of them."""

from __future__ import annotations

from detection.coco_eval import NUMBERS
from experiments.lab import scales
from experiments.lab.records import Record
from experiments.lab.rows import ROWS


def record(
    row: str,
    ap: float,
    *,
    seed: int = 0,
    masks: float | None = None,
    scale: str = "mini",
    diverged: int | None = None,
    iterations: int | None = None,
) -> Record:
    """A record of which only AP is of interest; the other numbers are .1 below it, but not below 0."""
    whole = ROWS[row].iterations(scales.COCO.iterations if scale == "coco" else scales.SMALL_ITERATIONS)

    def numbers(value: float) -> dict[str, float | None]:
        return {name: value if name == "AP" else max(value - 0.1, 0.0) for name in NUMBERS}

    return Record(
        row=row,
        scale=scale,
        data="coco" if scale == "coco" else "shapes",
        seed=seed,
        commands=("python -m detection.train --preset mini", "python -m detection.evaluate"),
        settings={"lr": 0.005},
        annotations="an annotation file",
        program="a program",
        iterations=whole if iterations is None else iterations,
        batch=ROWS[row].batch,
        in_parts=False,
        diverged=diverged,
        train_images=195,
        split="val2017",
        boxes=numbers(ap),
        masks=None if masks is None else numbers(masks),
        images_per_s=20.0,
        seconds=36.0,
        device="a processor",
        versions={"torch": "2.13.0"},
        measured_on="2026-11-27",
    )
