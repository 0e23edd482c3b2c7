"""Does a better detector make a better society? ``python -m experiments.detectors [--runs DIR]``.

Takes the detectors that `experiments.baselines` has trained, from those that find next to nothing to the best ones. The
annotated objects of images that none of them has learned from are seen through each; a small society lives among what
it sees, once in what it reads its answers from (its pyramid) and once in what its backbone makes of an image; and the
AP of the detectors is set beside what came of their societies. All societies live with the same seeds, which hold the
same objects out.

Rows of the table are the unit: trainings of one row with other seeds are averaged, and so are societies of one
detector. For reference there are the backbone as ImageNet left it, and telling every object by the commonest category.

Writes to DIR: results.json, detectors.html, pieces.jsonl, a line for each life that has been lived, and objects/, what
each detector sees of the objects, which any other society can live in (``python -m experiments.run_society --world``).
With ``--resume`` what is there is not done again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import io
import json
import math
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import as_completed
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from tyro.conf import arg

import detection.embed
from agents.errors import InputError
from detection import checkpoints, files
from detection.data.coco import annotation_file_of
from experiments import command_line, comparison, detectors_text, out_file, run_files
from experiments.baselines import PHOTOGRAPHS, SHAPES, BaselinesConfig
from experiments.comparison import Lived
from experiments.detectors_found import BACKBONE, PYRAMID, Detectors
from experiments.lab import records
from experiments.lab.records import Record
from experiments.lab.runs import DETECTOR
from experiments.measuring import library_summary
from experiments.pieces import Figures, Found, Kept, Measure, over_seeds, program
from experiments.report_text import count
from experiments.run_society import RunConfig, usual
from experiments.workers import processors, workers
from knowledge_graph.files import atomic_write

PROG = "detectors"
DESCRIPTION = "Let societies live among what detectors see, and ask whether better ones make better societies."

RESULTS, PAGE, PIECES, OBJECTS = "results.json", "detectors.html", "pieces.jsonl", "objects"
SPLIT, LEARNED = "val2017", "train2017"
"""Where the objects are from, which no detector has learned from, and where those are that they have."""

AGENTS, STEPS, SEEDS = 100, 100, 3
QUICK_AGENTS, QUICK_STEPS, QUICK_SEEDS = 24, 20, 1
UNTRAINED = "mini"
"""The preset whose training begins with the backbone as ImageNet left it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DetectorsConfig:
    """Which detectors, and how their societies live."""

    runs: Annotated[Path, arg(metavar="DIR")] = Path("runs/baselines-mini")
    """What `experiments.baselines` left: results, runs and drawn shapes."""
    photographs: Annotated[Path | None, arg(metavar="DIR")] = None
    """The set of photographs that it was given; without, detectors trained on photographs are left out."""
    agents: Annotated[
        int | None, arg(metavar="INT", help_behavior_hint=f"(default: {AGENTS}, with --quick {QUICK_AGENTS})")
    ] = None
    """Size of every society."""
    steps: Annotated[
        int | None, arg(metavar="INT", help_behavior_hint=f"(default: {STEPS}, with --quick {QUICK_STEPS})")
    ] = None
    """How long every society lives."""
    seeds: Annotated[
        int | None, arg(metavar="INT", help_behavior_hint=f"(default: {SEEDS}, with --quick {QUICK_SEEDS})")
    ] = None
    """How many societies live among what a detector sees, with the seeds 0, 1, ..."""
    min_side: float = 12.0
    """Pixels of the stored image: objects that are narrower or lower are left out."""
    out: Annotated[Path, arg(metavar="DIR")] = Path("runs/detectors")
    """Directory for the results."""
    resume: bool = False
    """Go on with what DIR holds."""
    quick: bool = False
    """One detector of each row, small and short lives: to see that it works."""

    def __post_init__(self) -> None:
        command_line.at_least(self, agents=2, steps=1, seeds=1)
        if not 0 <= self.min_side < math.inf:
            raise InputError(f"min_side is {self.min_side}; give a number of pixels from 0 up")

    @property
    def chosen_seeds(self) -> range:
        """The seeds of the societies."""
        return range(self.seeds or (QUICK_SEEDS if self.quick else SEEDS))

    @property
    def life(self) -> dict[str, int]:
        """How a society lives, where it differs from the usual."""
        return {
            "agents": self.agents or (QUICK_AGENTS if self.quick else AGENTS),
            "steps": self.steps or (QUICK_STEPS if self.quick else STEPS),
        }


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


def main(args: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    config = command_line.parse(DetectorsConfig, args, prog=PROG, description=DESCRIPTION)
    sets = found_in(config)
    sights = {one.name: sights_of(one, config) for one in sets}
    every = [sight for some in sights.values() for sight in some]
    work = work_of(config, every)
    goes_on = config.resume and (config.out / PIECES).exists()
    kept = claim(config.out, work, resume=config.resume)
    started = time.perf_counter()
    see([sight for sight in every if not (goes_on and seen(sight))])
    lives = over_seeds(measures(every, config), config.chosen_seeds, kept=kept, resume=config.resume)
    found = [gathered(one, sights[one.name], lives) for one in sets]
    write(found, lives, config, work)
    print(detectors_text.table(found))
    for one in found:
        print("\n" + "\n".join(detectors_text.sentences(one)))
    seconds = time.perf_counter() - started
    print(f"\n{count(len(every), 'sight')} x {count(len(config.chosen_seeds), 'life', 'lives')} in {seconds:.0f} s")
    print(f"Page: {config.out / PAGE}")
    return 0


# ---- what there is to look with


def found_in(config: DetectorsConfig) -> list[Set]:
    """The sets of images on which detectors were trained that are there to be looked through.

    Raises
    ------
    InputError
        If there are none, or a set is not the one that they learned from.
    """
    rows = BaselinesConfig(preset="mini").known
    every = [one for one in records.read_all(config.runs / "results", scale="mini") if one.row in rows]
    if not every:
        raise InputError(
            f"runs is {config.runs}, which has no records in {config.runs / 'results'}; give the directory that "
            "experiments.baselines --preset mini wrote to"
        )
    # In the order of the table, and each row's by seed.
    ordered = [record for name in rows for record in records.of_row(every, name)]
    sets = []
    for name, data in ((SHAPES, config.runs / SHAPES), (PHOTOGRAPHS, config.photographs)):
        of_set = [record for record in ordered if record.data == name]
        there = [record for record in of_set if detector_of(record, config.runs).is_file()]
        if not there or data is None:
            continue
        check(data, there)
        first = {record.row: record for record in reversed(there)}
        chosen = [record for record in there if not config.quick or first[record.row] is record]
        sets.append(Set(name=name, data=data, records=chosen, lost=len(of_set) - len(there)))
    if not sets:
        why = "" if config.photographs else f", or those of photographs without --{PHOTOGRAPHS} DIR"
        raise InputError(
            f"runs is {config.runs}, which has records, but no {DETECTOR} beside them{why}; give a directory whose "
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


def sights_of(one: Set, config: DetectorsConfig) -> list[Sight]:
    """All that the objects of a set are seen through: each detector in two ways, and the untrained backbone."""
    there = config.out / OBJECTS / one.name
    found = []
    sides = (0, 0)
    for record in one.records:
        checkpoint = detector_of(record, config.runs)
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
                min_side=config.min_side,
                file=there / f"{name}-{features}.npz",
            )
            for features in (PYRAMID, BACKBONE)
        ]
    untrained = Sight(
        name=f"{one.name}/untrained",
        data=one.data,
        features=BACKBONE,
        checkpoint=None,
        sides=sides,
        min_side=config.min_side,
        file=there / "untrained.npz",
    )
    return [*found, untrained]


def work_of(config: DetectorsConfig, sights: Sequence[Sight]) -> dict[str, Any]:
    """What lives are of; seeds may be added."""
    sources = json.dumps({sight.title: sight.source for sight in sights}, sort_keys=True)
    return {
        **config.life,
        "min_side": config.min_side,
        "quick": config.quick,
        "detectors": hashlib.sha256(sources.encode()).hexdigest()[:16],
        "program": program(("agents", "detection", "experiments", "knowledge_graph")),
    }


def claim(out: Path, work: Mapping[str, Any], *, resume: bool) -> Kept:
    """Make the directory for the results, and say where lives are kept.

    Raises
    ------
    InputError
        If it cannot be made or written to, has lives that nobody asked to go on with, or such of other work.
    """
    if (out / PIECES).is_file() and not resume:
        raise InputError(f"out is {out}, which has lives that were begun before; give --resume, or another directory")
    kept = run_files.claim_for_pieces(out, work, pieces=PIECES, results=(RESULTS, PAGE), resume=resume)
    # Said before anything is seen, so that what is seen is known to be of the same program.
    kept.begin(kept.done())
    return kept


# ---- seeing, and living


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


def measures(sights: Sequence[Sight], config: DetectorsConfig) -> dict[str, Measure]:
    """A life among the objects of each sight, by its title; the wide ones, which take longer, first."""
    ordered = sorted(sights, key=lambda sight: sight.features != BACKBONE)
    return {
        sight.title: functools.partial(comparison.life, config=config_of(sight, config), measure=measured)
        for sight in ordered
    }


def config_of(sight: Sight, config: DetectorsConfig) -> RunConfig:
    """How a society lives among what is seen: as `run_society` has it among objects, but smaller and shorter."""
    changes: dict[str, Any] = config.life
    return dataclasses.replace(usual(str(sight.file)), **changes)


def measured(lived: Lived) -> Figures:
    """What came of a society (see `detectors_found.FIGURES`), and the references of its world."""
    world = lived.society.world
    assert world.labels is not None
    told = library_summary(lived.society, lived.library)
    commonest = np.bincount(world.labels[world.train]).argmax()
    figures: dict[str, float | None] = {
        "library": told["label_accuracy"],
        "raw": told["raw_label_accuracy"],
        "best_view": told["best_single_view_label_accuracy"],
        "efficiency": told["efficiency"],
        "talk": lived.recorder.talk(lived.recorder.success),
        "concepts": told["n_concepts"],
        "narrow": told["rank8_explained_variance"],
        "majority": float((world.labels[world.held_out] == commonest).mean()),
        "objects": float(world.n_objects),
    }
    return {name: math.nan if value is None else value for name, value in figures.items()}


# ---- what was found


def gathered(one: Set, sights: Sequence[Sight], lives: Mapping[str, Found]) -> Detectors:
    """AP and figures of the detectors of one set, means over the lives."""
    rows = BaselinesConfig(preset="mini").known
    titles = {(sight.name, sight.features): sight.title for sight in sights}
    names = [f"{one.name}/{record.row}-seed{record.seed}" for record in one.records]

    def mean_of(title: str) -> dict[str, float]:
        return {figure: float(values.mean()) for figure, values in lives[title].items()}

    by_features = {kind: [mean_of(titles[name, kind]) for name in names] for kind in (PYRAMID, BACKBONE)}
    return Detectors(
        name=one.name,
        rows=tuple(rows[record.row] for record in one.records),
        seeds=tuple(record.seed for record in one.records),
        ap=records.values(one.records, "AP"),
        measured_on=one.records[0].split,
        figures={
            kind: {figure: np.array([found[figure] for found in each]) for figure in each[0]}
            for kind, each in by_features.items()
        },
        untrained=mean_of(titles[f"{one.name}/untrained", BACKBONE]),
        lost=one.lost,
    )


def write(
    found: Sequence[Detectors], lives: Mapping[str, Found], config: DetectorsConfig, work: Mapping[str, Any]
) -> None:
    """Leave results.json and detectors.html in the directory."""
    from experiments import detectors_page  # needs plotly, see `run_files.claim`

    results = {
        "answer": {one.name: detectors_text.sentences(one) for one in found},
        "sets": {one.name: detectors_text.as_json(one) for one in found},
        "lives": {title: {figure: list(values) for figure, values in some.items()} for title, some in lives.items()},
        "seeds": list(config.chosen_seeds),
        "of": work,
    }
    out_file.write(config.out / RESULTS, results)
    page = detectors_page.render(found, seeds=len(config.chosen_seeds), **config.life)
    atomic_write(config.out / PAGE, page.encode())


if __name__ == "__main__":
    sys.exit(command_line.run(main, prog=PROG))
