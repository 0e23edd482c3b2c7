"""A row at a scale: the very commands that stand in its record, run, stopped and gone on with."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

import detection.train
from detection import checkpoints
from detection.errors import InputError
from experiments.lab import drawing, plan, records, runs, scales
from experiments.lab.rows import LONG, ROWS
from experiments.lab.runs import DETECTOR, Job, flags
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
    assert flags(full("b4-lr5e-3-scratch")) == ["--preset", "lab-b4-lr5e-3-scratch", "--seed", "0"]
    assert flags(full("b4-lr5e-3", backbone_weights=weights)) == [
        "--preset", "lab-b4-lr5e-3", "--backbone-weights", "R-50.pth", "--seed", "0",
    ]  # fmt: skip
    assert "--backbone-weights" not in flags(full("b4-lr5e-3-scratch", backbone_weights=weights))
    assert flags(full(f"b4-lr5e-3-scratch{LONG}"))[2:4] == ["--max-iterations", "360000"]
    assert flags(full("b16-lr1e-2", fit_memory=10.0))[2:4] == ["--fit-memory", "10"]
    assert flags(full("b4-lr5e-3", extra=("--precision", "bf16")))[2:4] == ["--precision", "bf16"]
    assert full("downloaded", downloaded=Path("F.pt")).train() == []


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


def test_a_run_that_was_stopped_goes_on(shapes: Path, tmp_path: Path):
    whole = runs.run(small("b4-lr1e-3", shapes, tmp_path / "whole", keep_training=True))
    job = small("b4-lr1e-3", shapes, tmp_path / "stopped", keep_training=True)
    # As after an interruption: the run is begun, and stands at its second update.
    words = job.train()
    assert detection.train.main([*words, "--checkpoint-every", "2"]) == 0
    checkpoint = checkpoints.load(job.checkpoint)
    job.checkpoint.unlink()
    resumed = runs.run(job)
    assert checkpoint.training is not None
    assert resumed.boxes == whole.boxes


def test_a_record_of_other_commands_is_not_taken_for_this_one(shapes: Path, tmp_path: Path):
    job = small("b4-lr1e-3", shapes, tmp_path)
    records.write(record("b4-lr1e-3", 0.3, seed=1), job.results)
    with pytest.raises(InputError, match="was measured by other commands"):
        runs.done(job)


def test_what_training_refuses_is_not_recorded(tmp_path: Path):
    job = small("b4-lr1e-3", tmp_path / "nowhere", tmp_path)
    with pytest.raises(InputError, match="is missing"):
        runs.run(job)
    assert not list(job.results.glob("*"))


def test_the_plan_adds_up(shapes: Path):
    jobs = [
        full("b4-lr5e-3-scratch"),
        full(f"b4-lr5e-3-scratch{LONG}"),
        full("downloaded"),
        full("b4-lr1e-2-scratch-bn"),
    ]
    measured: list[str] = []

    def measure(job: Job) -> float:
        measured.append(job.row.name)
        return 10.0

    known = [record("b4-lr5e-3-scratch", 0.1, scale="coco")]
    found = plan.speeds(jobs, known, measure)
    assert measured == ["b4-lr1e-2-scratch-bn"], "others are known, or have the same network"
    assert found == {"b4-lr5e-3-scratch": 20.0, f"b4-lr5e-3-scratch{LONG}": 20.0, "b4-lr1e-2-scratch-bn": 10.0}
    said = plan.text(jobs, found, device="a GPU")
    assert "360,000 images at   20.00 a second:      5.0 h" in said
    assert "measured only" in said
    assert said.endswith("35.0 hours, one after another")


def test_the_speed_of_a_row_is_measured_by_updates(shapes: Path, tmp_path: Path):
    assert plan.images_per_second(small("b4-lr5e-3", shapes, tmp_path)) > 0
