"""A row at a scale: the very commands that stand in its record, run, stopped and gone on with."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

import detection.train
from detection import checkpoints
from detection.errors import InputError
from detection.training.learner import Learner
from detection.training.step import batch_norms
from experiments.lab import drawing, plan, records, runs, scales
from experiments.lab.rows import LONG, ROWS, Row
from experiments.lab.runs import DETECTOR, Job, flags
from experiments.machine import device_name
from tests.detection.small_runs import write_set
from tests.experiments.lab.made_up import record


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("lab") / "shapes"
    drawing.draw(data, quick=True)
    return data


def small(name: str, data: Path, out: Path, **fields: object) -> Job:
    job = Job(
        row=ROWS[name],
        scale=scales.mini(quick=True),
        seed=1,
        data=data,
        data_name="shapes",
        out=out / "run",
        results=out / "results",
        device="cpu",
        quiet=True,
        keep_training=False,
    )
    return dataclasses.replace(job, **fields)  # type: ignore[arg-type]


def full(row: str, **fields: object) -> Job:
    job = Job(
        row=ROWS[row], scale=scales.COCO, seed=0, data=Path("COCO"), data_name="coco", out=Path("o"), results=Path("r")
    )
    return dataclasses.replace(job, **fields)  # type: ignore[arg-type]


def test_at_full_scale_a_row_is_its_preset():
    weights = Path("R-50.pth")
    scratch = ["--preset", "lab-b4-lr5e-3-scratch", "--max-iterations", "90000", "--seed", "0"]
    assert flags(full("b4-lr5e-3-scratch")) == scratch
    assert flags(full("b4-lr5e-3-scratch", backbone_weights=weights)) == scratch
    assert flags(full("b4-lr5e-3", backbone_weights=weights))[2:4] == ["--backbone-weights", "R-50.pth"]
    assert flags(full(f"b4-lr5e-3-scratch{LONG}"))[2:4] == ["--max-iterations", "360000"]
    assert flags(full("b16-lr1e-2", fit_memory=10.0))[4:6] == ["--fit-memory", "10"]
    assert flags(full("b4-lr5e-3", extra=("--precision", "bf16")))[4:6] == ["--precision", "bf16"]
    assert full("downloaded", downloaded=Path("F.pt")).train() == []


@pytest.mark.parametrize("row", [row for row in ROWS.values() if row.accumulated], ids=lambda row: row.name)
def test_what_is_accumulated_can_be(row: Row):
    config = runs.parsed(full(row.name, fit_memory=10.0))
    assert not batch_norms(config.model), "parts of a batch would learn something else"


@pytest.mark.parametrize("name", [row.name for row in scales.MINI_ROWS])
def test_every_small_row_is_a_command_that_training_understands(name: str, shapes: Path):
    row = next(row for row in scales.MINI_ROWS if row.name == name)
    job = small("b4-lr5e-3", shapes, Path("out"), row=row, scale=scales.mini())
    command = detection.train.parse(job.train())
    assert (command.batch_size, command.lr, command.seed) == (row.batch, row.lr, 1)
    assert command.iterations == (600 if row.equal_images else 150)
    assert (command.model.norm, command.model.masks) == (row.norm, row.masks)
    assert command.backbone_weights == ("imagenet" if row.pretrained else None)
    assert command.micro_batch == (4 if row.accumulated else None)
    assert command.iterations * command.batch_size / scales.SMALL_IMAGES == pytest.approx(row.epochs(), abs=0.03)


def test_a_run_leaves_a_record_and_the_detector(shapes: Path, tmp_path: Path):
    job = small("b4-lr5e-3-polar", shapes, tmp_path)
    assert runs.done(job) is None
    found = runs.run(job)
    assert runs.done(job) == found
    assert found.commands == tuple(job.commands())
    assert found.commands[0].startswith("python -m detection.train --preset mini-polar --batch-size 4 --lr 0.005")
    assert (found.iterations, found.batch, found.train_images, found.seed) == (3, 4, 12, 1)
    assert found.masks is not None
    assert found.images_per_s is not None
    assert found.images_per_s > 0
    assert checkpoints.load(job.out / DETECTOR).training is None
    assert not job.checkpoint.exists()
    assert "3/3" in (job.out / "run.log").read_text()
    measured = json.loads((job.out / "numbers.json").read_text())
    assert measured["bbox"] == found.boxes


def test_a_run_that_was_stopped_goes_on(shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    every = dataclasses.replace(scales.mini(quick=True), common=(*scales.mini().common, "--checkpoint-every", "1"))
    whole = small("b4-lr1e-3", shapes, tmp_path / "whole", keep_training=True, scale=every)
    job = small("b4-lr1e-3", shapes, tmp_path / "stopped", keep_training=True, scale=every)
    expected = runs.run(whole)
    with monkeypatch.context() as patch:
        update = Learner.update

        def twice(self: Learner, *args: Any, **kwargs: Any) -> Any:
            if self.done == 2:
                raise KeyboardInterrupt
            return update(self, *args, **kwargs)

        patch.setattr(Learner, "update", twice)
        with pytest.raises(KeyboardInterrupt):
            runs.run(job)
    stopped = checkpoints.load(job.checkpoint)
    assert stopped.training is not None
    assert stopped.training["iteration"] == 2
    assert runs.done(job) is None
    assert runs.run(job).boxes == expected.boxes
    one, other = (checkpoints.load(some.checkpoint).weights for some in (whole, job))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_what_has_a_record_has_its_detector(shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A run with a record is not looked at again: whoever is stopped before must find all of it to do."""
    job = small("b4-lr1e-3", shapes, tmp_path)
    job.out.mkdir(parents=True)
    (job.out / ".0123456789abcdef.tmp").write_bytes(b"half of a file")

    def stopped(*args: object) -> None:
        assert (job.out / DETECTOR).exists()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(records, "write", stopped)
        with pytest.raises(KeyboardInterrupt):
            runs.run(job)
    assert job.checkpoint.exists()
    assert not (job.out / ".0123456789abcdef.tmp").exists()
    runs.run(job)
    assert not job.checkpoint.exists()
    job.checkpoint.write_bytes(b"of one who was stopped after the record")
    runs.forget_training(job)
    assert not job.checkpoint.exists()


def test_a_run_of_other_settings_is_not_gone_on_with(shapes: Path, tmp_path: Path):
    """Only what is given is compared by the training itself; what is not given would be as it was begun."""
    job = small("b4-lr1e-3", shapes, tmp_path)
    runs.run(job)
    (tmp_path / "results").rename(tmp_path / "moved")
    for other, complaint in (
        (dataclasses.replace(job, scale=scales.mini()), "max_iterations is 3 there, 150 here"),
        (dataclasses.replace(job, extra=("--precision", "bf16")), "precision is 'fp32' there, 'bf16' here"),
    ):
        with pytest.raises(InputError, match=complaint):
            runs.run(other)
    assert not (tmp_path / "results").exists() or not list((tmp_path / "results").iterdir())


def test_a_record_is_taken_for_the_same_work_only(shapes: Path, tmp_path: Path):
    job = small("b4-lr1e-3", shapes, tmp_path)
    found = runs.run(job)
    assert runs.done(dataclasses.replace(job, extra=("--log-every", "7"))) == found, "what changes no result"
    with pytest.raises(InputError, match=r"was measured with other settings .*lr is 0.001 there, 0.5 here"):
        runs.done(dataclasses.replace(job, extra=("--lr", "0.5")))
    drawing.draw(tmp_path / "shapes", quick=True)
    assert runs.done(dataclasses.replace(job, data=tmp_path / "shapes")) == found, "the same images elsewhere"
    write_set(tmp_path / "other")
    with pytest.raises(InputError, match="was measured on other images"):
        runs.done(dataclasses.replace(job, data=tmp_path / "other"))


def test_what_diverges_is_recorded_as_that(shapes: Path, tmp_path: Path):
    job = small("b4-lr5e-3", shapes, tmp_path, extra=("--lr", "1e9"))
    found = runs.run(job)
    assert found.diverged is not None
    assert found.diverged <= 3
    assert (job.out / "log.jsonl").read_bytes() == b"", "before the first line of the log"
    assert found.train_images == 12
    assert found.epochs == 1
    assert found.boxes["AP"] is None
    assert runs.done(job) == found


def test_what_training_refuses_is_not_recorded(tmp_path: Path):
    job = small("b4-lr1e-3", tmp_path / "nowhere", tmp_path)
    with pytest.raises(InputError, match=r"row b4-lr1e-3, seed 1: .* is missing"):
        runs.run(job)
    assert not list(job.results.glob("*"))


def test_the_plan_adds_up():
    names = ("b4-lr5e-3-scratch", f"b4-lr5e-3-scratch{LONG}", "downloaded", "b4-lr1e-2-scratch-bn")
    jobs = [full(name) for name in names]
    measured: list[str] = []

    def measure(job: Job) -> float:
        measured.append(job.row.name)
        return 10.0

    here = dataclasses.replace(record(names[0], 0.1, scale="coco"), device=device_name("cpu"))
    elsewhere = record("b4-lr1e-2-scratch-bn", 0.1, scale="coco")
    jobs = [dataclasses.replace(job, device="cpu") for job in jobs]
    found = plan.speeds(jobs, [here, elsewhere], measure)
    assert measured == ["b4-lr1e-2-scratch-bn"], "another device's speed is not this one's"
    assert found == {names[0]: 20.0, names[1]: 20.0, names[3]: 10.0}
    said = plan.text(jobs, found, device="a GPU")
    assert "360,000 images at   20.00 a second:     5.00 h" in said
    assert "measured only" in said
    assert said.endswith("35.00 hours of learning, one after another")
    assert plan.text(jobs, found, device="a GPU", side_by_side=2).endswith("17.50 hours of learning, 2 at a time")


def test_the_plan_counts_what_is_left(shapes: Path, tmp_path: Path):
    job = small("b4-lr1e-3", shapes, tmp_path, keep_training=True)
    longer = dataclasses.replace(job, scale=scales.mini())
    runs.run(job)
    with open(job.out / "log.jsonl", "ab") as log:
        log.write(b'{"iteration": 20, "images_per_s": 8.0}\n')
    said = plan.text([longer], {"b4-lr1e-3": 10.0}, device="a processor")
    assert f"{147 * 4} images at   10.00 a second" in said
    assert "(goes on after update 3)" in said, "what came after the checkpoint is learned again"
    job.checkpoint.unlink()
    assert f"{150 * 4} images at" in plan.text([longer], {"b4-lr1e-3": 10.0}, device="a processor")


def test_a_line_of_the_log_that_a_kill_cut_short_is_none(shapes: Path, tmp_path: Path):
    job = small("b4-lr1e-3", shapes, tmp_path)
    expected = runs.run(job)
    with open(job.out / "log.jsonl", "ab") as log:
        log.write('{"iteration": 20, "images_per_s": 8.0, "who": "mü'.encode()[:-1])
    assert runs.recorded(job).train_images == expected.train_images == 12


def test_the_speed_of_a_row_is_measured_by_updates(shapes: Path, tmp_path: Path):
    assert plan.images_per_second(small("b4-lr5e-3", shapes, tmp_path)) > 0
