"""A row at a scale: the commands that train and measure it, and the record that comes of running them.

Nothing is trained in any other way than by the command line that stands in the record: `detection.train` and
`detection.evaluate` are called with just these words. A run that was stopped goes on from its checkpoint.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import shlex
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import detection.evaluate
import detection.train
from detection import checkpoints, files
from detection.data.coco import CocoDataset
from detection.errors import InputError
from detection.training import directory
from detection.training.distributed import chosen_device
from detection.training.loop import CHECKPOINT
from experiments.lab import records
from experiments.lab.records import Record
from experiments.lab.rows import ITERATIONS, Row
from experiments.machine import device_name, versions

DETECTOR = "detector.pt"
"""What is left of a run once it is measured: the detector, without the state of its training."""

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

    def train(self) -> list[str]:
        """Flags of `detection.train`; none where nothing is trained."""
        if not self.row.trained:
            return []
        where = ["--data", str(self.data), "--out", str(self.out)]
        return [*flags(self), *where, *self._on()]

    def evaluate(self) -> list[str]:
        """Flags of `detection.evaluate`."""
        where = ["--checkpoint", str(self.checkpoint), "--data", str(self.data), "--split", self.split]
        return [*where, *self.scale.measuring, "--out", str(self.out / "numbers.json"), *self._on()]

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
    iterations = row.iterations(scale.iterations)
    if iterations != ITERATIONS:
        found += ["--max-iterations", str(iterations)]
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
        If there is one of other commands.
    """
    path = records.path_of(job.results, scale=job.scale.name, data=job.data_name, row=job.row.name, seed=job.seed)
    if not path.exists():
        return None
    record = records.read(path)
    if list(record.commands) != job.commands():
        raise InputError(
            f"{path} was measured by other commands ({record.commands[0]}); give another directory, or remove it"
        )
    return record


def run(job: Job) -> Record:
    """Train and measure, and write the record.

    Raises
    ------
    InputError
        If the programs refuse what they are told.
    """
    files.make_directory(job.out, name="out")
    files.make_directory(job.results, name="results")
    with _said_to(job.out / "run.log" if job.quiet else None):
        if job.row.trained:
            begun = ["--resume"] if (job.out / directory.CONFIG).exists() else []
            _refuse_failure(detection.train.main([*job.train(), *begun]), job)
        _refuse_failure(detection.evaluate.main(job.evaluate()), job)
    record = recorded(job)
    records.write(record, job.results)
    if job.row.trained and not job.keep_training:
        checkpoint = checkpoints.load(job.checkpoint)
        checkpoints.save(job.out / DETECTOR, dataclasses.replace(checkpoint, training=None))
        job.checkpoint.unlink()
    return record


def recorded(job: Job) -> Record:
    """The record of a run that has been trained and measured."""
    measured = json.loads((job.out / "numbers.json").read_text(encoding="utf-8"))
    checkpoint = checkpoints.load(job.checkpoint)
    training = checkpoint.training or {}
    rows = _log(job.out / "log.jsonl") if job.row.trained else []
    batch = int(training["config"]["batch_size"]) if training else job.row.batch
    speeds = [row["images_per_s"] for row in rows]
    learned = sum(
        (row["iteration"] - before) * batch / row["images_per_s"]
        for row, before in zip(rows, [0, *(row["iteration"] for row in rows)], strict=False)
    )
    return Record(
        row=job.row.name,
        scale=job.scale.name,
        data=job.data_name,
        seed=job.seed,
        commands=tuple(job.commands()),
        iterations=int(training.get("iteration", 0)),
        batch=batch,
        train_images=int(training["n_images"]) if training else len(CocoDataset(job.data, job.split)),
        split=job.split,
        boxes=measured["bbox"],
        masks=measured.get("segm"),
        images_per_s=statistics.median(speeds) if speeds else None,
        seconds=learned + measured["seconds"],
        device=device_name(chosen_device(job.device)),
        versions=versions(),
        measured_on=datetime.date.today().isoformat(),
    )


def _log(path: Path) -> list[dict[str, Any]]:
    """The lines of a log that tell of updates."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if "images_per_s" in line]


def _refuse_failure(status: int, job: Job) -> None:
    if status > 128:
        raise KeyboardInterrupt
    if status:
        raise InputError(f"{job.out}: the run ended with status {status}; what it said is above or in run.log")


@contextlib.contextmanager
def _said_to(path: Path | None) -> Iterator[None]:
    """Let what is printed go to the end of a file; to where it usually goes if that is None."""
    if path is None:
        yield
        return
    with open(path, "a", encoding="utf-8") as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
        yield
