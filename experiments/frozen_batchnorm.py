"""What does FrozenBatchNorm do, and when does it hurt? ``python -m experiments.frozen_batchnorm [--out DIR]``.

FrozenBatchNorm is batch normalisation whose statistics and affine map never change. With a pretrained backbone it keeps
what ImageNet taught; from scratch it is the identity, so that the backbone has no normalisation at all, and the stem
and the first stage, which the lab's configuration freezes as well, stay random.

Shown are signal and gradient through depth, how far the statistics of small batches and those that are kept stray, what
a loss in training is beside the loss in use, and the AP that small trainings reach, which differ in this alone.

Writes to DIR: report.html, results.json, and pieces.jsonl, a line for each training that is done. With ``--resume``
these are not trained again.
"""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from detection import files
from detection.errors import InputError
from experiments import command_line, out_file
from experiments.lab import drawing, norms, norms_page, norms_text
from experiments.pieces import Kept, Measure, over_seeds, program
from knowledge_graph.files import atomic_write

PROG = "frozen_batchnorm"
DESCRIPTION = "Show what FrozenBatchNorm does, when it hurts, and what to use instead."

SEEDS = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class NormsConfig:
    """How thoroughly, and where to."""

    out: Annotated[Path, arg(metavar="DIR")] = Path("runs/frozen_batchnorm")
    """Directory for the report."""
    seeds: int = SEEDS
    """Trainings of each kind, with the seeds 0, 1, ..."""
    resume: bool = False
    """Go on with what DIR has, and train only what is not there yet."""
    quick: bool = False
    """A few updates each: to try it out."""

    def __post_init__(self) -> None:
        """Refuse what cannot be run."""
        if self.seeds < 1:
            raise InputError(f"seeds is {self.seeds}; give a number from 1 up")


def main(args: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    config = command_line.parse(NormsConfig, args, prog=PROG, description=DESCRIPTION)
    files.make_directory(config.out, name="out")
    kept = Kept(
        path=config.out / "pieces.jsonl",
        of={"program": program(("detection", "experiments")), "quick": config.quick},
    )
    if not config.resume and kept.done():
        raise InputError(f"out is {config.out}, which has trainings that are done; give --resume, or another directory")
    data = config.out / "shapes"
    drawing.draw(data, quick=config.quick)
    found = over_seeds(measures(data, quick=config.quick), range(config.seeds), kept=kept, resume=config.resume)
    answers = norms_text.answers(found)
    atomic_write(config.out / "report.html", norms_page.render(found, seeds=config.seeds).encode())
    results = {name: {figure: list(values) for figure, values in figures.items()} for name, figures in found.items()}
    out_file.write(config.out / "results.json", {"answers": answers, "figures": results})
    kept.remove()
    print(norms_text.table(found))
    for question, sentences in answers.items():
        print(f"\n{question}\n" + "\n".join(f"  {sentence}" for sentence in sentences))
    print(f"\nReport: {config.out / 'report.html'}")
    return 0


def measures(data: Path, *, quick: bool) -> dict[str, Measure]:
    """All that is measured, by name; the long ones first."""
    trainings = sorted(norms.VARIANTS, key=lambda variant: variant.frozen_stem)
    return {
        **{one.name: functools.partial(norms.training, variant=one, data=data, quick=quick) for one in trainings},
        **{one.name: functools.partial(norms.depth, network=one, data=data) for one in norms.NETWORKS},
    }


if __name__ == "__main__":
    sys.exit(command_line.run(main, prog=PROG))
