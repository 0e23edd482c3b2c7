"""The lab's table with check marks, reported beside measured: ``python -m experiments.baselines [--preset mini|coco]``.

``mini`` trains the rows on drawn shapes and on photographs at hand, with three seeds, and says which of the lab's
orders hold. ``coco`` trains them as the lab did; rows that nobody has trained are shown as not run. Every run is one
command of `detection.train` and one of `detection.evaluate`, which stand in its record; runs that are done are not
repeated, and one that was stopped goes on.

Writes to DIR: table.md, table.json, report.html, and a directory for every run. Records go to DIR/results, those of
``coco`` to experiments/results.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from pathlib import Path
from typing import Annotated, Literal

from tqdm import tqdm
from tyro.conf import arg

from detection import coco_eval, files
from detection.coco_eval import share
from detection.data.coco import CocoDataset
from detection.data.loading import refuse_bare
from detection.errors import InputError
from detection.training.distributed import chosen_device
from experiments import command_line
from experiments.lab import document, drawing, plan, records, runs, scales
from experiments.lab.parts import Part
from experiments.lab.records import Record
from experiments.lab.rows import AT_EQUAL_ITERATIONS, COCO_IMAGES, ROWS, Row
from experiments.lab.runs import Job, Scale
from experiments.machine import device_name
from experiments.report_text import count
from experiments.workers import processors, workers

PROG = "baselines"
DESCRIPTION = "Make the lab's table of baselines with check marks, reported beside measured."

SHIPPED = Path(__file__).parent / "results"
"""Records that the project brings: what was run on a GPU."""

SHAPES, PHOTOGRAPHS = "shapes", "photographs"


@dataclasses.dataclass(frozen=True, kw_only=True)
class BaselinesConfig:
    """Which rows, at what scale, and where to."""

    preset: Literal["mini", "coco"] = "mini"
    """The scale: what two cores do in half an hour, or COCO."""
    out: Annotated[Path | None, arg(metavar="DIR")] = None
    """Directory for the table and the runs; runs/baselines-PRESET, unless given."""
    data: Annotated[Path | None, arg(metavar="DIR")] = None
    """coco: a COCO-format set to train on; without, nothing is run, and the table shows what is known."""
    photographs: Annotated[Path | None, arg(metavar="DIR")] = None
    """mini: a small COCO-format set of photographs, on which the rows of batch 4 are trained as well."""
    rows: tuple[str, ...] = ()
    """Names of rows; empty: all of mini, or for coco those of the lab. --list-rows says which there are."""
    list_rows: bool = False
    """Say which rows there are, and nothing else."""
    seeds: int | None = None
    """Runs of each row, with the seeds 0, 1, ...; 3 for mini and 1 for coco, unless given."""
    plan: bool = False
    """Say what it will take, and nothing else."""
    backbone_weights: Annotated[Path | None, arg(metavar="FILE")] = None
    """coco: ResNet-50 trained on ImageNet, for the rows that begin with it."""
    downloaded: Annotated[Path | None, arg(metavar="FILE")] = None
    """coco: the published detector, converted by detection.convert, for the row that is only measured."""
    fit_memory: float | None = None
    """coco: GiB that the batch of 16 is to fit into, by accumulation."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """coco: of the network's arithmetic while it learns."""
    workers: int = 2
    """coco: processes that read images."""
    device: str = "auto"
    """coco: cpu, cuda, cuda:1 ...; auto is cuda where there is one. mini takes the CPU."""
    results: Annotated[Path | None, arg(metavar="DIR")] = None
    """Directory of the records; OUT/results for mini and experiments/results for coco, unless given."""
    quick: bool = False
    """Three updates for each row, of mini with a dozen images: to try it out; records stay in OUT."""

    def __post_init__(self) -> None:
        """Refuse what cannot be run."""
        if self.seeds is not None and self.seeds < 1:
            raise InputError(f"seeds is {self.seeds}; give a number from 1 up")
        if self.workers < 0:
            raise InputError(f"workers is {self.workers}; give a number from 0 up")
        if self.fit_memory is not None and not self.fit_memory > 0:
            raise InputError(f"fit_memory is {self.fit_memory:g}; give a number above 0")
        known = self.known
        for name in self.rows:
            if name not in known:
                raise InputError(f"rows has {name!r}; give some of {', '.join(known)}")
        of_coco = ("data", "backbone_weights", "downloaded", "fit_memory", "precision", "workers", "device")
        usual = {field.name: field.default for field in dataclasses.fields(self)}
        for name in of_coco if self.preset == "mini" else ("photographs",):
            if getattr(self, name) != usual[name]:
                other = "coco" if self.preset == "mini" else "mini"
                raise InputError(f"{name} is given, which is of preset {other}; leave it out, or give --preset {other}")

    @property
    def known(self) -> dict[str, Row]:
        """The rows that there are at this scale, by name."""
        return dict(ROWS) if self.preset == "coco" else {**ROWS, "downloaded": scales.STAND_IN}

    @property
    def chosen(self) -> list[Row]:
        """The rows to run, in the order of the table."""
        usual = AT_EQUAL_ITERATIONS if self.preset == "coco" else scales.MINI_ROWS
        names = self.rows or [row.name for row in usual]
        return [row for name, row in self.known.items() if name in names]

    @property
    def chosen_seeds(self) -> range:
        """The seeds of each row."""
        return range(self.seeds or (3 if self.preset == "mini" else 1))

    @property
    def scale(self) -> Scale:
        """How large the rows are."""
        return (scales.coco if self.preset == "coco" else scales.mini)(quick=self.quick)

    @property
    def directory(self) -> Path:
        """Where everything goes."""
        return self.out or Path("runs") / f"baselines-{self.preset}{'-quick' if self.quick else ''}"

    @property
    def records(self) -> Path:
        """Where the records go."""
        of_all = self.preset == "coco" and not self.quick
        return self.results or (SHIPPED if of_all else self.directory / "results")


def main(args: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    config = command_line.parse(BaselinesConfig, args, prog=PROG, description=DESCRIPTION)
    if config.list_rows:
        width = max(map(len, config.known))
        print("\n".join(f"{name:<{width}}  {row.title}" for name, row in config.known.items()))
        return 0
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError("the table is made by one process; start it without torchrun")
    if config.plan and config.preset == "coco" and config.data is None:
        raise InputError("plan is asked for without data, by whose images it is measured; give --data")
    files.make_directory(config.directory, name="out")
    for place in (config.directory, config.directory / "results"):
        if place.is_dir():
            files.remove_unfinished(place)
    jobs = list(small_jobs(config) if config.preset == "mini" else full_jobs(config))
    left = [job for job in jobs if runs.done(job) is None]
    if not config.plan:
        for job in jobs:
            if job not in left:
                runs.forget_training(job)
    if len(left) < len(jobs):
        say(f"{count(len(jobs) - len(left), 'run')} of {len(jobs)} were done before.")
    if left and (config.plan or config.preset == "coco"):
        planned = plan.speeds(left, known_records(config))
        where = device_name(chosen_device(left[0].device))
        say(plan.text(left, planned, device=where, side_by_side=side_by_side(left, config)))
    elif left:
        say(f"{count(len(left), 'run')} to do, {sum(job.images for job in left):,} images to learn from.")
    if config.plan:
        return 0
    write(config)
    run(left, config)
    parts = write(config)
    print(document.plain(parts))
    print(f"\nTable: {config.directory / 'table.md'}\nReport: {config.directory / 'report.html'}")
    return 0


def say(text: str) -> None:
    """Tell people, not programs."""
    print(text, file=sys.stderr, flush=True)


def small_jobs(config: BaselinesConfig) -> Iterator[Job]:
    """The runs of mini: on drawn shapes, which are drawn if need be, and on photographs if there are any."""
    drawn = config.directory / SHAPES
    drawing.draw(drawn, quick=config.quick)
    # What is wrong with the photographs is said now, not after the first half.
    photographs = None if config.photographs is None else photograph_scale(config.photographs, quick=config.quick)
    for seed in config.chosen_seeds:
        # The long ones first, so that both processes end at about the same time.
        for row in sorted(config.chosen, key=lambda row: -row.iterations(1) * row.batch):
            yield small_job(row, config.scale, seed, drawn, SHAPES, "val2017", config)
        if config.photographs is None or photographs is None:
            continue
        chosen = {row.name for row in config.chosen}
        for row in scales.PHOTOGRAPH_ROWS:
            if row.name in chosen:
                yield small_job(row, photographs, seed, config.photographs, PHOTOGRAPHS, "train2017", config)


@functools.cache
def photograph_scale(photographs: Path, *, quick: bool) -> Scale:
    """How large the rows on ``photographs`` are; looked at once, since the table is written after every run."""
    return scales.mini_photographs(len(CocoDataset(photographs, "train2017").with_objects), quick=quick)


def small_job(
    row: Row, scale: Scale, seed: int, data: Path, data_name: str, split: str, config: BaselinesConfig
) -> Job:
    """A run of mini, beside others."""
    return Job(
        row=row,
        scale=scale,
        seed=seed,
        data=data,
        data_name=data_name,
        split=split,
        out=config.directory / "runs" / data_name / f"{row.name}-seed{seed}",
        results=config.records,
        device="cpu",
        quiet=True,
        keep_training=False,
    )


def full_jobs(config: BaselinesConfig) -> Iterator[Job]:
    """The runs of coco, one after another; none without data."""
    if config.data is None:
        return
    chosen = [row for row in config.chosen if row.trained or config.downloaded is not None]
    if config.rows and "downloaded" in config.rows and config.downloaded is None:
        raise InputError("rows has downloaded, which is only measured; give --downloaded FILE, the converted detector")
    begin = [row.name for row in chosen if row.pretrained and row.trained]
    if begin and config.backbone_weights is None:
        raise InputError(
            f"row {begin[0]} begins with a backbone trained on ImageNet; give --backbone-weights FILE with a "
            "ResNet-50, or --rows with those from scratch"
        )
    for name in ("backbone_weights", "downloaded"):
        path = getattr(config, name)
        if path is not None and not path.is_file():
            raise InputError(f"{name} is {path}, which is no file; give one")
    # Days before they are needed.
    train, val = (CocoDataset(config.data, split) for split in ("train2017", "val2017"))
    if any(row.masks != "none" for row in chosen):
        refuse_bare(train)
        coco_eval.ground_truths(val.annotation_file, ("segm",))
    with_objects = len(train.with_objects)
    if with_objects != COCO_IMAGES and not config.quick:
        raise InputError(
            f"data is {config.data}, whose train2017 has {with_objects:,} images with objects, where COCO's has "
            f"{COCO_IMAGES:,}; give COCO, or --quick to try the rows out"
        )
    more = [] if config.precision == "fp32" else ["--precision", config.precision]
    more += [] if config.workers == 2 else ["--workers", str(config.workers)]
    for seed in config.chosen_seeds:
        for row in chosen:
            if not row.trained and seed:
                continue
            yield Job(
                row=row,
                scale=config.scale,
                seed=seed,
                data=config.data,
                data_name="coco",
                out=config.directory / "runs" / f"{row.name}-seed{seed}",
                results=config.records,
                downloaded=config.downloaded,
                backbone_weights=config.backbone_weights,
                fit_memory=config.fit_memory,
                device=config.device,
                extra=tuple(more),
            )


def run(jobs: Sequence[Job], config: BaselinesConfig) -> None:
    """Do the runs that are left, side by side where they are small; the table is written anew after each."""
    if not jobs:
        return
    number = side_by_side(jobs, config)
    total, shown, begun = sum(job.images for job in jobs), sys.stderr.isatty(), time.monotonic()
    # Small ones always have one thread each, for another number would round differently.
    threads = 1 if config.preset == "mini" else processors()
    with (
        workers(number, threads=threads) as pool,
        tqdm(total=total, unit="image", leave=False, disable=not shown or number == 1) as bar,
    ):
        futures = {pool.submit(runs.run, job): job for job in jobs}
        finished = 0
        for place, future in enumerate(as_completed(futures), start=1):
            job, record = futures[future], future.result()
            finished += job.images
            bar.update(job.images)
            masks = "" if record.masks is None else f", masks {share(record.masks['AP'])}"
            found = f"AP {share(record.boxes['AP'])}{masks}"
            if record.diverged is not None:
                found = f"diverged after {count(record.diverged, 'update')}"
            left = (time.monotonic() - begun) / finished * (total - finished) if finished else None
            wait = "" if left is None else f"; {minutes(left)} left"
            bar.write(
                f"{place} of {len(jobs)}: {job.row.name} on {job.data_name}, seed {job.seed}: {found} "
                f"({record.seconds:.0f} s{wait})",
                file=sys.stderr,
            )
            write(config)


def side_by_side(jobs: Sequence[Job], config: BaselinesConfig) -> int:
    """How many runs go on at a time."""
    return min(len(jobs), processors()) if config.preset == "mini" else 1


def minutes(seconds: float) -> str:
    """A time to wait, in words."""
    return "under a minute" if seconds < 60 else f"about {count(round(seconds / 60), 'minute')}"


def known_records(config: BaselinesConfig) -> list[Record]:
    """All records that the table can show: those of this directory, and at full scale those that the project brings."""
    brought = [SHIPPED] if config.preset == "coco" and not config.quick else []
    found = {
        (record.row, record.data, record.seed): record
        for directory in [*brought, config.records]
        for record in records.read_all(directory, scale=config.preset)
        if record.row in config.known and _as_long_as_it_should(record, config)
    }
    return list(found.values())


def _as_long_as_it_should(record: Record, config: BaselinesConfig) -> bool:
    """Whether a record is of the row itself: a quick trial of it is not, wherever it lies."""
    row = config.known[record.row]
    return record.iterations == (row.iterations(config.scale.iterations) if row.trained else 0)


def write(config: BaselinesConfig) -> list[Part]:
    """Write the table and the report of all that is known by now; returns what stands in them."""
    parts = parts_of(config)
    document.write(config.directory, parts, scale=config.preset)
    return parts


def parts_of(config: BaselinesConfig) -> list[Part]:
    """The parts of the table: one for each set of images."""
    found = known_records(config)
    if config.preset == "coco":
        return [Part(name="coco", scale=config.scale, rows=tuple(ROWS.values()), records=tuple(found))]
    by_data = {name: tuple(record for record in found if record.data == name) for name in (SHAPES, PHOTOGRAPHS)}
    drawn = {row.name for row in (*scales.MINI_ROWS, *config.chosen)} | {record.row for record in found}
    rows = tuple(row for name, row in config.known.items() if name in drawn)
    parts = [Part(name=SHAPES, scale=config.scale, rows=rows, records=by_data[SHAPES])]
    if config.photographs is not None or by_data[PHOTOGRAPHS]:
        if config.photographs is not None:
            scale = photograph_scale(config.photographs, quick=config.quick)
        else:
            scale = scales.mini_photographs(by_data[PHOTOGRAPHS][0].train_images, quick=config.quick)
        parts.append(Part(name=PHOTOGRAPHS, scale=scale, rows=scales.PHOTOGRAPH_ROWS, records=by_data[PHOTOGRAPHS]))
    return parts


if __name__ == "__main__":
    sys.exit(command_line.run(main, prog=PROG))
