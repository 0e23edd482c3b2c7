"""What the objects of a set of images look like through each detector that was trained on it, and to the untrained.

A detector is looked through in two ways: in what it reads its answers from (its pyramid), and in what its backbone
makes of an image. Beside all of them stands the backbone as ImageNet left it. What is seen is written down by
`detection.embed`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import sys
from collections.abc import Sequence
from concurrent.futures import as_completed
from pathlib import Path
from typing import Any

import detection.embed
from agents.errors import InputError
from detection import checkpoints, files
from detection.data.coco import annotation_file_of
from experiments.baselines import PHOTOGRAPHS, SHAPES, BaselinesConfig
from experiments.detectors_found import BACKBONE, PYRAMID
from experiments.lab import records
from experiments.lab.records import Record
from experiments.lab.runs import DETECTOR
from experiments.workers import processors, workers

SPLIT, LEARNED = "val2017", "train2017"
"""Where the objects are from, which no detector has learned from, and where those are that they have."""

UNTRAINED = "mini"
"""The preset whose training begins with the backbone as ImageNet left it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sight:
    """The objects of a set as one network sees them."""

    name: str
    """Of the detector: shapes/b4-lr1e-3-seed0; what was not trained on the set is called untrained."""
    data: Path
    features: str
    """`PYRAMID` or `BACKBONE`."""
    checkpoint: Path | None
    """None: the network that the preset `UNTRAINED` begins with."""
    sides: tuple[int, int]
    """To which images are resized."""
    min_side: float
    file: Path
    """For the vectors."""

    @property
    def title(self) -> str:
        """In pieces of work."""
        return f"{self.name}, {self.features}"

    @property
    def words(self) -> list[str]:
        """What `detection.embed` is told."""
        by = ["--preset", UNTRAINED] if self.checkpoint is None else ["--checkpoint", str(self.checkpoint)]
        short, long = map(str, self.sides)
        return [
            *(*by, "--data", str(self.data), "--split", SPLIT, "--features", self.features),
            *("--short-side", short, "--max-side", long, "--min-side", str(self.min_side)),
            *("--device", "cpu", "--workers", "0", "--out", str(self.file)),
        ]

    @property
    def source(self) -> dict[str, Any]:
        """What the file must say that it is of."""
        return {
            "checkpoint": None if self.checkpoint is None else checkpoints.fingerprint(self.checkpoint),
            "preset": UNTRAINED if self.checkpoint is None else None,
            "annotations": {SPLIT: checkpoints.fingerprint(annotation_file_of(self.data, SPLIT))},
            "features": self.features,
            "min_side": self.min_side,
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class Set:
    """The detectors of one set of images."""

    name: str
    """What the records call it."""
    data: Path
    records: Sequence[Record]
    """Of those that left a detector."""
    lost: int
    """How many left a record alone: their training diverged, or the detector has been removed."""


# ---- what there is to look with


def found_in(runs: Path, photographs: Path | None, *, one_a_row: bool) -> list[Set]:
    """The sets of images on which detectors were trained that are there to be looked through.

    Parameters
    ----------
    runs : what `experiments.baselines` left
    photographs : the set of photographs that it was given, if any
    one_a_row : whether one detector of each row is enough

    Raises
    ------
    InputError
        If there are none, or a set is not the one that they learned from.
    """
    rows = BaselinesConfig(preset="mini").known
    every = [one for one in records.read_all(runs / "results", scale="mini") if one.row in rows]
    if not every:
        raise InputError(
            f"runs is {runs}, which has no records in {runs / 'results'}; give the directory that "
            "experiments.baselines --preset mini wrote to"
        )
    # In the order of the table, and each row's by seed.
    ordered = [record for name in rows for record in records.of_row(every, name)]
    sets = []
    for name, data in ((SHAPES, runs / SHAPES), (PHOTOGRAPHS, photographs)):
        of_set = [record for record in ordered if record.data == name]
        there = [record for record in of_set if detector_of(record, runs).is_file()]
        if not there or data is None:
            continue
        check(data, there)
        first = {record.row: record for record in reversed(there)}
        chosen = [record for record in there if not one_a_row or first[record.row] is record]
        sets.append(Set(name=name, data=data, records=chosen, lost=len(of_set) - len(there)))
    if not sets:
        why = "" if photographs else f", or those of photographs without --{PHOTOGRAPHS} DIR"
        raise InputError(
            f"runs is {runs}, which has records, but no {DETECTOR} beside them{why}; give a directory whose "
            "detectors have not been removed"
        )
    return sets


def detector_of(record: Record, runs: Path) -> Path:
    """Where the detector of a record lies."""
    return runs / "runs" / record.data / f"{record.row}-seed{record.seed}" / DETECTOR


def check(data: Path, found: Sequence[Record]) -> None:
    """See that a set is the one that detectors learned from, and has other images to look at."""
    for split in (LEARNED, SPLIT):
        if not annotation_file_of(data, split).is_file():
            raise InputError(
                f"{annotation_file_of(data, split)} does not exist; give the set that the detectors were trained on"
            )
    learned = checkpoints.fingerprint(annotation_file_of(data, LEARNED))
    for record in found:
        if record.annotations != learned:
            raise InputError(
                f"{record.row}, seed {record.seed}, learned from other images than those of {data}; give the set that "
                "it was trained on"
            )


def sights_of(one: Set, runs: Path, *, min_side: float, out: Path) -> list[Sight]:
    """All that the objects of a set are seen through: each detector in two ways, and the untrained backbone.

    Files go to the directory ``out``; objects that are narrower or lower than ``min_side`` pixels are left out.
    """
    found = []
    sides = (0, 0)
    for record in one.records:
        checkpoint = detector_of(record, runs)
        model = checkpoints.load(checkpoint).config
        sides = (model.short_side, model.max_side)
        name = f"{record.row}-seed{record.seed}"
        found += [
            Sight(
                name=f"{one.name}/{name}",
                data=one.data,
                features=features,
                checkpoint=checkpoint,
                sides=sides,
                min_side=min_side,
                file=out / f"{name}-{features}.npz",
            )
            for features in (PYRAMID, BACKBONE)
        ]
    untrained = Sight(
        name=f"{one.name}/untrained",
        data=one.data,
        features=BACKBONE,
        checkpoint=None,
        sides=sides,
        min_side=min_side,
        file=out / "untrained.npz",
    )
    return [*found, untrained]


# ---- looking


def see(sights: Sequence[Sight]) -> None:
    """Write down the objects as they are seen, side by side.

    Raises
    ------
    InputError
        If what a network makes of an image is no number.
    """
    if not sights:
        return
    for directory in {sight.file.parent for sight in sights}:
        directory.mkdir(parents=True, exist_ok=True)
    with workers(min(len(sights), processors())) as pool:
        futures = {pool.submit(look, sight): sight for sight in sights}
        for place, future in enumerate(as_completed(futures), start=1):
            future.result()
            print(f"seen {place} of {len(sights)}: {futures[future].title}", file=sys.stderr, flush=True)


def look(sight: Sight) -> None:
    """Write one file; what the program says is not shown, for others speak at the same time."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        detection.embed.main(sight.words)


def seen(sight: Sight) -> bool:
    """Whether the file is there, whole, and of the same."""
    try:
        said = json.loads(str(files.read_arrays(sight.file)["source"]))
    except (ValueError, KeyError, RecursionError):
        return False
    sides = {"short_side": sight.sides[0], "max_side": sight.sides[1]}
    wanted = {name: value for name, value in sight.source.items() if name != "preset"} | sides
    return isinstance(said, dict) and all(said.get(name) == value for name, value in wanted.items())
