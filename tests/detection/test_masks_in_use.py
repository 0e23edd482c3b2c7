"""Detectors of masks from beginning to end: trained, interrupted, measured, asked, drawn, refused."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from detection import checkpoints, command_line, evaluate, predict, presets, train
from detection.checkpoints import Checkpoint
from detection.config import ModelConfig
from detection.data import masks as coco_masks
from detection.data.batch import load
from detection.data.coco import CocoDataset
from detection.data.loading import train_batches
from detection.data.transforms import resize_masks
from detection.detector import Detector
from detection.errors import InputError
from detection.fcos import FCOS
from detection.masks import polar
from detection.training.distributed import alone
from detection.training.learner import Learner, begin
from detection.training.memory import measured
from tests.detection.small_runs import CATEGORIES, MASKS, MODEL, noise_batch, small_config, write_set
from tests.detection.test_train import SMALL, assert_same_run, log_of

FLAGS = [*SMALL, "--mask-channels", "16", "--mask-convs", "1"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_set(tmp_path_factory.mktemp("data") / "set", masks=True)
    return write_set(root, split="val2017", images=3, seed=1, masks=True)


@pytest.fixture(scope="module", params=["condinst", "polar"])
def finished(request: pytest.FixtureRequest, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of either kind that nobody has interrupted, evaluated on the way."""
    out = tmp_path_factory.mktemp(request.param) / "run"
    assert run(*with_preset(request.param), "--data", data, "--out", out, "--evaluate-every", 6) == 0
    return out


def with_preset(kind: str) -> list[str]:
    flags = list(FLAGS)
    flags[flags.index("mini")] = f"mini-{kind}"
    return flags


def run(*flags: object) -> int:
    args = [str(flag) for flag in flags]
    return command_line.run(lambda: train.main(args), prog="train")


def test_a_run_tells_of_masks_as_of_boxes(finished: Path):
    rows = log_of(finished)
    assert rows[0]["loss"] == pytest.approx(sum(rows[0][part] for part in ("class", "box", "quality", "mask")))
    assert rows[0]["mask"] > 0.1
    assert {"AP", "segm AP", "segm ARl"} <= rows[-1].keys()


def test_a_finished_run_that_goes_on_is_finished(finished: Path, tmp_path: Path):
    shutil.copytree(finished, tmp_path / "run")
    assert run("--resume", "--out", tmp_path / "run") == 0
    assert_same_run(tmp_path / "run", finished)


@pytest.mark.parametrize("kind", MASKS)
def test_a_run_in_two_pieces_ends_as_one_without_a_break(kind: str, data: Path, tmp_path: Path):
    flags = [*with_preset(kind), "--data", data, "--schedule", "steps", "--decay-at", 1]
    assert run(*flags, "--out", tmp_path / "long", "--max-iterations", 4) == 0
    assert run(*flags, "--out", tmp_path / "short", "--max-iterations", 2) == 0
    assert run("--resume", "--out", tmp_path / "short", "--max-iterations", 4) == 0
    assert_same_run(tmp_path / "short", tmp_path / "long")


def test_masks_are_measured_beside_boxes(
    finished: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    flags = ["--checkpoint", str(finished / "last.pt"), "--data", str(data), "--device", "cpu", "--workers", "0"]
    assert evaluate.main([*flags, "--out", str(tmp_path / "o.json"), "--curves", str(tmp_path / "c")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["AP", "boxes", "masks"]
    written = json.loads((tmp_path / "o.json").read_text())
    assert written["segm"].keys() == written["bbox"].keys()
    assert written["per_class_segm"].keys() == written["per_class"].keys() == {"thing", "other thing"}
    assert (tmp_path / "c" / "mask_precision_recall.svg").exists()
    assert evaluate.main([*flags, "--no-masks"]) == 0
    assert "masks" not in capsys.readouterr().out


def test_masks_of_a_set_without_any_are_not_measured_but_refused(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    bare = write_set(tmp_path / "bare")
    write_set(bare, split="val2017", seed=1)
    flags = ["--checkpoint", str(finished / "last.pt"), "--data", str(bare), "--device", "cpu"]
    assert command_line.run(lambda: evaluate.main(flags), prog="evaluate") == 2
    assert "has no segmentation, by which masks are measured" in capsys.readouterr().err
    assert evaluate.main([*flags, "--no-masks", "--workers", "0"]) == 0
    assert run(*with_preset("polar"), "--data", bare, "--out", tmp_path / "r") == 2
    assert "has no segmentation, which masks are made of" in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


def sure(kind: str, **fields: Any) -> FCOS:
    """A network that finds things everywhere, of masks that are discs or the whole image."""
    torch.manual_seed(0)
    network = FCOS(dataclasses.replace(MODEL, **{**MASKS[kind], **fields}))
    torch.nn.init.constant_(network.head.logits.bias[0], 1.0)
    torch.nn.init.constant_(network.head.distances.bias, 1.0)
    last = network.masks.controller if kind == "condinst" else network.masks.rays  # type: ignore[union-attr]
    torch.nn.init.constant_(last.bias, 1.0)  # type: ignore[arg-type, union-attr]
    return network.eval()


@pytest.mark.parametrize("kind", MASKS)
def test_predictions_have_run_lengths_and_drawings_show_them(kind: str, data: Path, tmp_path: Path):
    path = tmp_path / "sure.pt"
    network = sure(kind)
    checkpoints.save(path, Checkpoint(network.config, network.state_dict(), None, "a test"))
    image = sorted((data / "val2017").glob("*.png"))[0]
    flags = ["--checkpoint", str(path), "--out", str(tmp_path / "o.json"), "--device", "cpu"]
    assert predict.main([str(image), *flags, "--draw", str(tmp_path / "d")]) == 0
    (found,) = json.loads((tmp_path / "o.json").read_text())
    assert len(found) > 10
    stored = Image.open(image)
    for entry in found:
        assert entry["segmentation"]["size"] == [stored.height, stored.width]
        assert coco_masks.decode(entry["segmentation"], stored.height, stored.width).any()
    drawn = np.asarray(Image.open(tmp_path / "d" / f"{image.stem}.png")).astype(int)
    assert (np.abs(drawn - np.asarray(stored.convert("RGB"))).sum(-1) > 30).mean() > 0.2


@pytest.mark.parametrize("kind", MASKS)
def test_folding_and_channels_last_find_the_same_masks(kind: str, data: Path):
    network = sure(kind, mask_norm="bn")
    image = CocoDataset(data, "val2017").read(0)
    plain = Detector(network, device="cpu", fold=False, channels_last=False).detect([image])[0]
    quick = Detector(network, device="cpu").detect([image])[0]
    assert plain.masks is not None
    assert quick.masks is not None
    for a, b in zip(plain.masks, quick.masks, strict=True):
        one, two = (coco_masks.decode(packed, *image.shape[1:]) for packed in (a, b))
        assert (one == two).mean() > 0.999


@pytest.mark.parametrize("kind", MASKS)
def test_bf16_finds_about_the_same_masks(kind: str, data: Path):
    network = sure(kind)
    image = CocoDataset(data, "val2017").read(0)
    covered = []
    for precision in ("fp32", "bf16"):
        found = Detector(network, device="cpu", precision=precision).detect([image])[0]  # type: ignore[arg-type]
        assert found.masks is not None
        covered.append(np.mean([coco_masks.decode(packed, *image.shape[1:]) for packed in found.masks], axis=0))
    # Which ones are the best of many alike may change, so what they cover together is compared.
    assert np.abs(covered[0] - covered[1]).mean() < 0.05


def test_images_without_objects_and_bf16_are_learned_from():
    for kind, fields in MASKS.items():
        model = dataclasses.replace(MODEL, **fields)
        config = small_config(model=model, precision="bf16", channels_last=True)
        torch.manual_seed(0)
        learner = Learner(FCOS(model), config, world=alone())
        batch = noise_batch(masks=True)
        first = learner.update(batch)
        assert first.losses["mask"] > 0
        empty = batch._replace(
            boxes=[boxes[:0] for boxes in batch.boxes],
            labels=[labels[:0] for labels in batch.labels],
            masks=[masks[:0] for masks in batch.masks or []],
        )
        assert learner.update(empty).losses["mask"] == 0, kind


def test_thin_and_small_masks_stay_where_they_are_when_their_image_gets_smaller():
    masks = torch.zeros(3, 100, 120, dtype=torch.uint8)
    masks[0, torch.arange(100), torch.arange(100)] = 1  # a thin diagonal
    masks[1, 50, 60] = 1
    small = resize_masks(masks, (50, 60))
    rows, columns = small[0].nonzero().unbind(1)
    assert (rows - columns).abs().max() <= 1
    assert 40 <= len(rows) <= 150
    assert (small[1].nonzero() - torch.tensor([25, 30])).abs().max() <= 1
    assert 1 <= small[1].sum() <= 4
    assert small[2].sum() == 0  # what is nowhere stays so
    # Where pixels are covered by half or more, no others count.
    masks[2, 20:60, 20:60] = 1
    masks[2, 80, 80] = 1
    half = resize_masks(masks, (50, 60))[2]
    assert half[11:29, 11:29].all()
    assert half.sum() <= 20 * 20
    assert half[40, 40] == 0


@pytest.mark.parametrize("kind", MASKS)
def test_an_object_whose_mask_is_empty_teaches_none(kind: str):
    model = dataclasses.replace(MODEL, **MASKS[kind])
    learner = Learner(FCOS(model), small_config(model=model), world=alone())
    batch = noise_batch(masks=True)
    assert batch.masks is not None
    empty = batch._replace(masks=[torch.zeros_like(masks) for masks in batch.masks])
    update = learner.update(empty)
    assert update.positives > 0
    assert update.losses["mask"] == 0


def test_weights_of_a_detector_of_boxes_are_a_beginning(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    torch.manual_seed(3)
    boxes = FCOS(MODEL)
    checkpoints.save(tmp_path / "boxes.pt", Checkpoint(MODEL, boxes.state_dict(), None, "a test"))
    model = dataclasses.replace(MODEL, **MASKS["polar"])
    said: list[str] = []
    network = begin(small_config(model=model, weights=tmp_path / "boxes.pt"), say=said.append)
    assert len(said) == 1
    assert "finds no masks" in said[0]
    for name, value in boxes.state_dict().items():
        assert torch.equal(network.state_dict()[name], value)


def test_workers_send_masks_as_they_are(data: Path):
    dataset = CocoDataset(data, "train2017")
    config = small_config(model=dataclasses.replace(MODEL, **MASKS["condinst"]), batch_size=2)
    batches = []
    for workers in (0, 1):
        stream = train_batches(dataset, config=dataclasses.replace(config, workers=workers), start=0)
        batches.append(next(stream))
    assert batches[0].masks is not None
    assert batches[1].masks is not None
    for a, b in zip(batches[0].masks, batches[1].masks, strict=True):
        assert torch.equal(a, b)


def test_rays_that_are_no_numbers_draw_nothing():
    lengths = torch.ones(1, 12)
    lengths[0, 3] = torch.nan
    (packed,) = polar.drawn(lengths, torch.tensor([[5.0, 5]]), size=(10, 10), original=(10, 10))
    assert coco_masks.decode(packed, 10, 10).sum() <= 4


@pytest.mark.slow
@pytest.mark.parametrize("kind", MASKS)
def test_a_compiled_network_learns_the_same(kind: str):
    model = dataclasses.replace(MODEL, **MASKS[kind])
    losses = []
    for compiled in (False, True):
        torch.manual_seed(0)
        learner = Learner(FCOS(model), small_config(model=model, compile=compiled), world=alone())
        losses.append([learner.update(noise_batch(masks=True, seed=step)).losses for step in range(2)])
    for plain, quick in zip(*losses, strict=True):
        assert quick == pytest.approx(plain, rel=1e-3)


@pytest.mark.slow
def test_trials_of_memory_know_masks(data: Path):
    model = dataclasses.replace(MODEL, **MASKS["condinst"])
    config = small_config(data=data, model=model, batch_size=2)
    with_masks = measured(config, share=2, device=torch.device("cpu"))
    assert 0 < with_masks < 4 * 2**30


def test_crowds_teach_no_mask(tmp_path: Path):
    root = write_set(tmp_path / "set", masks=True)
    path = root / "annotations" / "instances_train2017.json"
    contents = json.loads(path.read_text())
    first = next(a for a in contents["annotations"] if a["image_id"] == 11)
    first["iscrowd"] = 1
    first["segmentation"] = {"size": [64, 96], "counts": [10, 20, 64 * 96 - 30]}
    path.write_text(json.dumps(contents))
    dataset = CocoDataset(root, "train2017")
    example = load(dataset, 1, (64, 96), convention="original", masks=True)
    assert example.masks is not None
    assert len(example.masks) == len(example.boxes) == 1


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"centers": "mask"}, "centers is mask, but masks is none"),
        ({"quality": "polar_centerness"}, "quality is polar_centerness, but masks is none"),
        ({"quality": "polar_centerness", "masks": "condinst"}, "quality is polar_centerness, but masks is condinst"),
        ({"masks": "polar", "mask_rays": 2}, "mask_rays is 2; give a number from 3 to 360"),
        ({"masks": "condinst", "mask_positives": 0}, "mask_positives is 0"),
        ({"masks": "condinst", "mask_channels": 0}, "mask_channels is 0"),
    ],
)
def test_what_cannot_be_said_is_refused(fields: dict[str, Any], complaint: str):
    with pytest.raises(InputError, match=complaint):
        ModelConfig(**fields)


def test_every_row_of_the_lab_has_masks_in_both_ways():
    names = presets.names()
    rows = [name for name in names if name.startswith("lab-") and not name.endswith(("-condinst", "-polar"))]
    assert len(rows) == 7
    for row in rows:
        plain = presets.preset(row, data=Path("d"), out=Path("o"))
        for kind in ("condinst", "polar"):
            config = presets.preset(f"{row}-{kind}", data=Path("d"), out=Path("o"))
            assert config.model.masks == kind
            without = dataclasses.replace(config.model, masks="none", mask_channels=128, mask_norm="bn", centers="box")
            assert without == plain.model
            assert dataclasses.replace(config, model=plain.model, preset=row) == plain


def test_the_published_networks_have_their_sizes():
    for name, expected in (("condinst-r50-1x", 34.1), ("polarmask-r50-1x", 34.6)):
        config = presets.preset(name, data=Path("d"), out=Path("o"))
        categories = tuple(dataclasses.replace(CATEGORIES[0], id=i) for i in range(80))
        network = FCOS(dataclasses.replace(config.model, categories=categories))
        weights = sum(weight.numel() for weight in network.parameters())
        assert weights / 1e6 == pytest.approx(expected, abs=0.6), name


@pytest.mark.slow
@pytest.mark.parametrize("kind", MASKS)
def test_two_processes_learn_the_masks_that_one_learns(kind: str, data: Path, tmp_path: Path):
    flags = ["-m", "detection.train", *with_preset(kind), "--data", str(data), "--batch-size", "4"]
    flags += ["--max-iterations", "3", "--log-every", "1", "--lr", "0.002"]
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    two = [sys.executable, *launcher, *flags, "--out", str(tmp_path / "two"), "--micro-batch", "1"]
    together = subprocess.run(two, env=environment, capture_output=True, text=True)
    assert together.returncode == 0, together.stderr
    assert run(*flags[2:], "--out", tmp_path / "one") == 0
    for a, b in zip(log_of(tmp_path / "two"), log_of(tmp_path / "one"), strict=True):
        assert a == pytest.approx(b, rel=1e-4)
    a, b = (checkpoints.load(tmp_path / name / "last.pt").weights for name in ("two", "one"))
    for name, value in b.items():
        torch.testing.assert_close(a[name], value, rtol=1e-4, atol=1e-5)
