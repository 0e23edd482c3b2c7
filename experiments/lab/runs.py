"""A row at a scale: the commands that train and measure it, and the record that comes of running them.

Nothing is trained in any other way than by the command line that stands in the record: `detection.train` and
`detection.evaluate` are called with just these words. A run that was stopped goes on from its checkpoint.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import math
import shlex
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import detection.evaluate
import detection.train
from detection import checkpoints, files
from detection.coco_eval import NUMBERS
from detection.config import TrainConfig, to_json
from detection.data.coco import CocoDataset, annotation_file_of
from detection.errors import DivergedError, InputError
from detection.training import directory
from detection.training.distributed import chosen_device
from detection.training.log import kept_lines
from detection.training.loop import CHECKPOINT
from experiments.lab import records
from experiments.lab.records import Record
from experiments.lab.rows import Row
from experiments.machine import device_name, versions
from experiments.pieces import program

DETECTOR = "detector.pt"
"""What is left of a run once it is measured: the detector, without the state of its training."""

NUMBERS_FILE = "numbers.json"

TRAIN, EVALUATE = ("python", "-m", "detection.train"), ("python", "-m", "detection.evaluate")


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How large the table is: what all of its runs have in common."""

    name: str
    """"coco" or "mini"."""
    iterations: int
    """Updates of the rows at equal iterations."""
    images: int
    """Images with objects to learn from."""
    common: tuple[str, ...] = ()
    """Flags of every training."""
    measuring: tuple[str, ...] = ()
    """Flags of every evaluation."""
    in_parts: int | None = None
    """Images at once where a batch is accumulated."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A row to be trained with one seed, and measured."""

    row: Row
    scale: Scale
    seed: int
    data: Path
    """The set of images."""
    data_name: str
    """What the record calls it."""
    split: str = "val2017"
    """To measure on."""
    out: Path
    """Directory of the run."""
    results: Path
    """Directory of the records."""
    downloaded: Path | None = None
    """The detector of a row that is not trained."""
    backbone_weights: Path | None = None
    """Of a backbone trained on ImageNet, at full scale."""
    fit_memory: float | None = None
    """GiB that a batch which did not fit is to fit into."""
    device: str = "auto"
    extra: tuple[str, ...] = ()
    """More flags of training: --precision bf16, --workers 8."""
    quiet: bool = False
    """Let what the programs say go to run.log in ``out``, since others speak at the same time."""
    keep_training: bool = True
    """Leave the checkpoint with the state of its training; otherwise only the detector."""

    @property
    def checkpoint(self) -> Path:
        """The detector to measure."""
        if not self.row.trained:
            assert self.downloaded is not None
            return self.downloaded
        return self.out / CHECKPOINT

    @property
    def images(self) -> int:
        """Images that it learns from, which is what takes time; none where nothing is trained."""
        return self.row.iterations(self.scale.iterations) * self.row.batch if self.row.trained else 0

    def train(self) -> list[str]:
        """Flags of `detection.train`; none where nothing is trained."""
        if not self.row.trained:
            return []
        where = ["--data", str(self.data), "--out", str(self.out)]
        return [*flags(self), *where, *self._on()]

    def evaluate(self) -> list[str]:
        """Flags of `detection.evaluate`."""
        where = ["--checkpoint", str(self.checkpoint), "--data", str(self.data), "--split", self.split]
        return [*where, *self.scale.measuring, "--out", str(self.out / NUMBERS_FILE), *self._on()]

    def _on(self) -> list[str]:
        return [] if self.device == "auto" else ["--device", self.device]

    def commands(self) -> list[str]:
        """As they can be typed, with names in place of directories."""
        weights = None if self.backbone_weights is None else Path("WEIGHTS")
        named = dataclasses.replace(
            self, data=Path("DATA"), out=Path("RUN"), downloaded=Path("DOWNLOADED"), backbone_weights=weights
        )
        lines = [[*TRAIN, *named.train()]] if self.row.trained else []
        return [shlex.join(line) for line in [*lines, [*EVALUATE, *named.evaluate()]]]


def flags(job: Job) -> list[str]:
    """What `detection.train` is told of a row at a scale, but for where things lie."""
    row, scale = job.row, job.scale
    if scale.name == "coco":
        found = ["--preset", row.preset]
        if row.pretrained and job.backbone_weights is not None:
            found += ["--backbone-weights", str(job.backbone_weights)]
    else:
        found = ["--preset", "mini" if row.masks == "none" else f"mini-{row.masks}"]
        found += ["--batch-size", str(row.batch), "--lr", f"{row.lr:g}", "--norm", row.norm]
        if not row.pretrained:
            found += ["--backbone-weights", "None"]
    found += ["--max-iterations", str(row.iterations(scale.iterations))]
    if row.accumulated and job.fit_memory is not None:
        found += ["--fit-memory", f"{job.fit_memory:g}"]
    elif row.accumulated and scale.in_parts is not None:
        found += ["--micro-batch", str(scale.in_parts)]
    return [*found, *scale.common, *job.extra, "--seed", str(job.seed)]


def done(job: Job) -> Record | None:
    """The record of a job that was done before; None if it is still to do.

    Raises
    ------
    InputError
        If there is one of other settings or of other images.
    """
    path = records.path_of(job.results, scale=job.scale.name, data=job.data_name, row=job.row.name, seed=job.seed)
    if not path.exists():
        return None
    record = records.read(path)
    if changed := _difference(record.settings, settings(job)):
        raise InputError(f"{path} was measured with other settings ({changed}); give other directories, or remove it")
    if record.annotations != fingerprint(job):
        raise InputError(f"{path} was measured on other images than those of {job.data}; give other directories")
    return record


def settings(job: Job) -> dict[str, Any]:
    """All fields of a job's training that change what is learned."""
    return _that_matter(parsed(job)) if job.row.trained else {}


def parsed(job: Job) -> TrainConfig:
    """The configuration that the command of a job means."""
    command = detection.train.parse(job.train())
    return TrainConfig(**{field.name: getattr(command, field.name) for field in dataclasses.fields(TrainConfig)})


def fingerprint(job: Job) -> str:
    """Fingerprint of the annotations to learn from, or to measure by where nothing is trained."""
    split = "train2017" if job.row.trained else job.split
    return checkpoints.fingerprint(annotation_file_of(job.data, split))


def run(job: Job) -> Record:
    """Train and measure, and write the record; what diverges is recorded as that.

    Raises
    ------
    InputError
        If the programs refuse what they are told, or there is a run of other settings.
    """
    files.make_directory(job.out, name="out")
    files.make_directory(job.results, name="results")
    files.remove_unfinished(job.out)
    diverged = None
    try:
        with _said_to(job.out / "run.log" if job.quiet else None):
            if job.row.trained:
                _refuse_interruption(detection.train.main([*job.train(), *_resumed(job)]))
            _refuse_interruption(detection.evaluate.main(job.evaluate()))
    except DivergedError as error:
        diverged = error.updates
    except InputError as error:
        raise InputError(f"row {job.row.name}, seed {job.seed}: {error}") from error
    record = recorded(job, diverged=diverged)
    if job.row.trained and not job.keep_training and job.checkpoint.exists():
        checkpoint = checkpoints.load(job.checkpoint)
        checkpoints.save(job.out / DETECTOR, dataclasses.replace(checkpoint, training=None))
    # Last of all: what has a record is not looked at again.
    records.write(record, job.results)
    forget_training(job)
    return record


def forget_training(job: Job) -> None:
    """Remove the state of a training whose detector is kept without it."""
    if job.row.trained and not job.keep_training and (job.out / DETECTOR).exists():
        job.checkpoint.unlink(missing_ok=True)


def progress(job: Job) -> int:
    """The update after which a run that was stopped goes on: that of its checkpoint, which the log may be ahead of."""
    if not (job.out / CHECKPOINT).exists():
        return 0
    return int(directory.read(job.out).training["iteration"])


def recorded(job: Job, *, diverged: int | None = None) -> Record:
    """The record of a run that has been trained and measured, or has diverged."""
    rows = _log(job.out / "log.jsonl") if job.row.trained else []
    config = directory.read_config(job.out) if job.row.trained else None
    speeds = [row["images_per_s"] for row in rows]
    learned = sum(
        (row["iteration"] - before) * job.row.batch / row["images_per_s"]
        for row, before in zip(rows, [0, *(row["iteration"] for row in rows)], strict=False)
    )
    nothing: dict[str, Any] = {"bbox": dict.fromkeys(NUMBERS), "segm": None, "seconds": 0.0}
    measured = nothing if diverged is not None else json.loads((job.out / NUMBERS_FILE).read_text(encoding="utf-8"))
    return Record(
        row=job.row.name,
        scale=job.scale.name,
        data=job.data_name,
        seed=job.seed,
        commands=tuple(job.commands()),
        settings=settings(job),
        annotations=fingerprint(job),
        program=program(("detection",)),
        iterations=0 if config is None else config.iterations,
        batch=job.row.batch if config is None else config.batch_size,
        in_parts=config is not None and (config.micro_batch or config.batch_size) < config.batch_size,
        train_images=_learned_from(job, rows) if job.row.trained else 0,
        diverged=diverged,
        split=job.split,
        boxes=measured["bbox"],
        masks=measured.get("segm"),
        images_per_s=statistics.median(speeds) if speeds else None,
        seconds=learned + measured["seconds"],
        device=device_name(chosen_device(job.device)),
        versions=versions(),
        measured_on=datetime.date.today().isoformat(),
    )


FOUND_OUT = frozenset({"micro_batch"})
"""Fields that a run may fill in by itself, without learning anything else."""


def _that_matter(config: TrainConfig) -> dict[str, Any]:
    fields = {name: value for name, value in to_json(config).items() if name not in directory.FREE | FOUND_OUT}
    fields["model"] = {name: value for name, value in fields["model"].items() if name != "categories"}
    weights = fields["backbone_weights"]
    return {**fields, "backbone_weights": None if weights is None else Path(weights).name}


def _resumed(job: Job) -> list[str]:
    """What to add to the command where the run has been begun: by the same settings, or it is refused.

    Only what is given is compared when a training goes on, and what is not given is as it was begun.
    """
    if not (job.out / directory.CONFIG).exists():
        return []
    if changed := _difference(_that_matter(directory.read_config(job.out)), settings(job)):
        raise InputError(f"{job.out} was begun with other settings ({changed}); give another directory, or remove it")
    return ["--resume"]


def _difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The first field that differs, with both values; empty where none does."""
    before, now = ({**one, **one.get("model", {})} for one in (before, now))
    names = [name for name in now if name != "model" and before.get(name) != now[name]]
    return f"{names[0]} is {before.get(names[0])!r} there, {now[names[0]]!r} here" if names else ""


def _log(path: Path) -> list[dict[str, Any]]:
    """The lines of a log that tell of updates; none where there is no log. One that a kill has cut short is no line."""
    if not path.exists():
        return []
    lines = [json.loads(line) for line in kept_lines(path.read_bytes(), after=math.inf)]
    return [line for line in lines if "images_per_s" in line]


def _learned_from(job: Job, rows: Sequence[Mapping[str, Any]]) -> int:
    """Images with objects that a run learns from, also of one that diverged before the first line of its log."""
    if rows:
        images: float = rows[-1]["images"] / rows[-1]["epoch"]
        return round(images)
    return len(CocoDataset(job.data, "train2017").with_objects)


def _refuse_interruption(status: int) -> None:
    """A program that was stopped has saved what it has, and says so by its status."""
    if status:
        raise KeyboardInterrupt


@contextlib.contextmanager
def _said_to(path: Path | None) -> Iterator[None]:
    """Let what is printed go to the end of a file; to where it usually goes if that is None."""
    if path is None:
        yield
        return
    with (
        files.naming(path),  # of what cannot be said because the disk is full
        open(path, "a", encoding="utf-8") as file,
        contextlib.redirect_stdout(file),
        contextlib.redirect_stderr(file),
    ):
        yield
