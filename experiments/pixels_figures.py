"""What came of it, from pixels to minds: the figures of all stages, read from what each has left, and as a table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agents.world_files import read
from detection import coco_eval
from experiments.closing_table import number

MEASURED, OBJECTS, SOCIETY, FIGURES = "detector.json", "objects.npz", "society", "pixels_to_minds.json"
"""What the stages leave that measure, embed and live, and the figures of all of them."""


def gathered(out: Path, *, data: Path, splits: Sequence[str]) -> dict[str, Any]:
    """The figures of all stages, from what they have left in ``out``."""
    measured = out / MEASURED
    numbers = json.loads(measured.read_text(encoding="utf-8"))["bbox"] if measured.exists() else None
    summary = json.loads((out / SOCIETY / "summary.json").read_text(encoding="utf-8"))
    contents = read(out / OBJECTS)
    assert contents.labels is not None
    return {
        "data": data.name,
        "splits": list(splits),
        "detector": None if numbers is None else {name: numbers[name] for name in coco_eval.NUMBERS},
        "objects": len(contents.features),
        "categories": len(set(contents.labels.tolist())),
        "dimensions": contents.features.shape[1],
        "society": summary,
    }


def closing(found: Mapping[str, Any]) -> str:
    """The figures that go from one end to the other, as a table for the terminal."""
    library, talk = found["society"]["library"], found["society"]["communication"]
    detector = found["detector"] or {}
    rows = [
        ("pixels", f"{found['data']}, {', '.join(found['splits'])}", _seconds(found, "train", "measure")),
        ("detector", f"AP {number(detector.get('AP'))}, AP50 {number(detector.get('AP50'))}", ""),
        (
            "objects",
            f"{found['objects']:,} of {found['categories']} categories, {found['dimensions']} features",
            _seconds(found, "embed"),
        ),
        (
            "minds",
            f"{found['society']['n_agents']:,} of {found['society']['selection']['max_dims']} dimensions at most, "
            f"{found['society']['n_steps']:,} steps",
            _seconds(found, "society"),
        ),
        ("library", f"{number(library['n_concepts'], 0)} concepts, efficiency {number(library['efficiency'])}", ""),
        (
            "categories told",
            f"{number(library['label_accuracy'])} by the library, {number(library['raw_label_accuracy'])} by all "
            f"features, {number(library['best_single_view_label_accuracy'])} by the best single view",
            "",
        ),
        ("talk understood", f"{number(talk['success'])}, guessing {number(talk['chance'])}", ""),
    ]
    wide = max(len(name) for name, _, _ in rows)
    return "\n".join(f"{name:<{wide}}  {said}{f' ({took})' if took else ''}" for name, said, took in rows)


def _seconds(found: Mapping[str, Any], *names: str) -> str:
    spent = sum(found["seconds"].get(name, 0.0) for name in names)
    return f"{spent:.0f} s" if spent >= 0.5 else ""


def spent_before(out: Path) -> dict[str, float]:
    """Seconds of each stage, where the run was finished before: who resumes it has nothing to do, and spends none."""
    try:
        seconds = json.loads((out / FIGURES).read_text(encoding="utf-8"))["seconds"]
        return {stage: float(some) for stage, some in seconds.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):  # not finished, or damaged: written anew
        return {}
