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

import dataclasses
import functools
import hashlib
import json
import math
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from tyro.conf import arg

from agents.errors import InputError
from experiments import command_line, comparison, detectors_text, out_file, run_files
from experiments.baselines import BaselinesConfig
from experiments.comparison import Lived
from experiments.detectors_found import BACKBONE, PYRAMID, Detectors
from experiments.detectors_sights import Set, Sight, found_in, see, seen, sights_of
from experiments.lab import records
from experiments.measuring import library_summary
from experiments.pieces import Figures, Found, Kept, Measure, over_seeds, program
from experiments.report_text import count
from experiments.run_society import RunConfig, usual
from knowledge_graph.files import atomic_write

PROG = "detectors"
DESCRIPTION = "Let societies live among what detectors see, and ask whether better ones make better societies."

RESULTS, PAGE, PIECES, OBJECTS = "results.json", "detectors.html", "pieces.jsonl", "objects"
AGENTS, STEPS, SEEDS = 100, 100, 3
QUICK_AGENTS, QUICK_STEPS, QUICK_SEEDS = 24, 20, 1


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


def main(args: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    config = command_line.parse(DetectorsConfig, args, prog=PROG, description=DESCRIPTION)
    sets = found_in(config.runs, config.photographs, one_a_row=config.quick)
    sights = {
        one.name: sights_of(one, config.runs, min_side=config.min_side, out=config.out / OBJECTS / one.name)
        for one in sets
    }
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


# ---- living


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
