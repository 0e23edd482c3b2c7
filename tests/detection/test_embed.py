"""The program that makes vectors of objects: what it writes, of what, how it goes on, and what it refuses."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from detection import checkpoints, command_line, embed, objects, parts, predict, presets
from detection.checkpoints import Checkpoint
from detection.config import ModelConfig
from detection.data import masks as coco_masks
from detection.data.coco import CocoDataset
from detection.data.loading import EvalStream
from detection.detector import Detector
from detection.fcos import Maps
from detection.objects import thumbnail
from detection.pooling import box_weights, pooled
from detection.postprocess import Detections
from detection.training.learner import begin
from tests.detection.small_runs import CATEGORIES, MASKS, MODEL, write_set

ALL_LEVELS = dataclasses.replace(MODEL, size_ranges=(10.0, 13.0, 15.0, 18.0))
"""Objects of the set, of 12 to 39 pixels, belong to all five levels."""

Arrays = dict[str, NDArray[Any]]


def write_checkpoint(path: Path, model: ModelConfig, *, training: dict[str, Any] | None = None) -> Path:
    """A detector with random weights that finds something everywhere."""
    torch.manual_seed(0)
    net = checkpoints.blank(model)
    with torch.no_grad():
        net.head.logits.bias.fill_(-1.0)
        net.head.logits.weight.mul_(20)
        net.head.distances.bias.fill_(1.5)
        net.head.distances.weight.mul_(10)
    averaged = {"fpn.output.0.bias": net.fpn.output[0].bias.detach() + 1}
    checkpoints.save(path, Checkpoint(model, dict(net.state_dict()), training or {"ema": averaged}, "a test"))
    return path


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "last.pt", ALL_LEVELS)


@pytest.fixture(scope="module")
def with_masks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector that finds masks."""
    model = dataclasses.replace(ALL_LEVELS, **MASKS["polar"])
    return write_checkpoint(tmp_path_factory.mktemp("masks") / "last.pt", model)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two splits with masks, of 7 and 4 images with ids of their own; a crowd in the second."""
    root = write_set(tmp_path_factory.mktemp("data") / "noise", masks=True)
    write_set(root, split="val2017", images=3, seed=1, masks=True)

    def change(whole: dict[str, Any]) -> None:
        for image in whole["images"]:
            image["id"] += 100
        for one in whole["annotations"]:
            one["id"], one["image_id"] = one["id"] + 100, one["image_id"] + 100
        whole["annotations"][1]["iscrowd"] = 1

    changed(root, change, split="val2017")
    return root


def changed(root: Path, change: Callable[[dict[str, Any]], None], *, split: str = "train2017") -> Path:
    """The set, after ``change`` of what its annotation file holds."""
    path = root / "annotations" / f"instances_{split}.json"
    whole = json.loads(path.read_text())
    change(whole)
    path.write_text(json.dumps(whole))
    return root


@pytest.fixture
def copied(data: Path, tmp_path: Path) -> Path:
    """A copy of the set that a test may change."""
    return Path(shutil.copytree(data, tmp_path / "set" / "noise"))


def run(*flags: object) -> int:
    args = [*map(str, flags), "--device", "cpu"]
    return command_line.run(lambda: embed.main(args), prog=embed.PROG)


def made(out: Path, *flags: object) -> Arrays:
    """The arrays of a file that the program writes of the training images, with what is not small enough left out."""
    usual = ["--split", "train2017"] if "--split" not in flags else []
    usual += ["--min-side", "0"] if "--min-side" not in flags else []
    assert run("--out", out, "--workers", 0, *usual, *flags) == 0
    with np.load(out, allow_pickle=False) as arrays:
        return dict(arrays)


def source_of(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(str(arrays["source"]))
    return said


def looked(detector: Detector, data: Path, split: str = "train2017") -> list[tuple[Maps, Any]]:
    """The maps of every image of a set, and the image itself as it was looked at: not resized, nothing padded."""
    dataset = CocoDataset(data, split)
    stream = EvalStream(dataset, model=detector.config, batch_size=1)
    return [(detector.maps_of(stream[at]), stream[at]) for at in range(len(dataset))]


def mean(features: Tensor, mask: Tensor) -> NDArray[np.float32]:
    """The mean of a map [1, c, h, w] over the pixels of ``mask`` [H, W], by the cell in which each of them lies."""
    y, x = (torch.arange(side) * cells // side for side, cells in zip(mask.shape, features.shape[-2:], strict=True))
    pixels = features[0][:, y[:, None], x[None, :]]
    return pixels[:, mask.bool()].mean(1).numpy()


def expected(maps: Maps, box: list[float], mask: Tensor, kind: str) -> NDArray[np.float32]:
    if kind == "backbone":
        return mean(maps.backbone[2], mask)
    half = max(box[2] - box[0], box[3] - box[1]) / 2
    level = sum(half > limit for limit in ALL_LEVELS.size_ranges)
    return mean(maps.pyramid[level], mask)


def box_mask(box: list[float], size: tuple[int, int]) -> Tensor:
    mask = torch.zeros(size)
    x1, y1, x2, y2 = map(int, box)
    mask[y1:y2, x1:x2] = 1
    return mask


# ---- what is written


def same_ids(d: Path, name: str) -> Path:
    """The set, an image or an annotation of whose second split has an id of the first."""

    def change(whole: dict[str, Any]) -> None:
        old = whole[name][0]["id"]
        whole[name][0]["id"] = 11 if name == "images" else 2
        for one in whole["annotations"]:
            one["image_id"] = 11 if name == "images" and one["image_id"] == old else one["image_id"]

    return changed(d, change, split="val2017")


def largest_ids(d: Path) -> Path:
    """The set, an image of either split of which has the largest id of all."""

    def change(whole: dict[str, Any]) -> None:
        old, new = whole["images"][0]["id"], 2**63 - 1
        whole["images"][0]["id"] = new
        for one in whole["annotations"]:
            one["image_id"] = new if one["image_id"] == old else one["image_id"]

    return changed(changed(d, change, split="train2017"), change, split="val2017")


@pytest.mark.parametrize("kind", ["images", "annotations"])
def test_ids_that_two_splits_share_move_up_in_the_second(
    kind: str, checkpoint: Path, copied: Path, tmp_path: Path
) -> None:
    flags = ("--checkpoint", checkpoint, "--data", same_ids(copied, kind), "--split", "train2017", "val2017")
    found = made(tmp_path / "a.npz", *flags)
    assert len(set(found["object_ids"].tolist())) == len(found["object_ids"])
    alone = [made(tmp_path / f"{s}.npz", *flags[:4], "--split", s) for s in ("train2017", "val2017")]
    moved = source_of(found)["ids_moved_up_by"]["val2017"]
    for name, by in (("image_ids", moved["images"]), ("object_ids", moved["objects"])):
        first, second = (one[name] for one in alone)
        assert (by > 0) == (name == ("image_ids" if kind == "images" else "object_ids"))
        np.testing.assert_array_equal(found[name], np.append(first, second + by))
        assert not set(first.tolist()) & set((second + by).tolist())
    assert "ids_moved_up_by" not in source_of(alone[0])


def test_every_annotated_object_is_the_mean_of_its_level(checkpoint: Path, data: Path, tmp_path: Path):
    arrays = made(tmp_path / "a.npz", "--checkpoint", checkpoint, "--data", data, "--no-normalise")
    detector = Detector(checkpoints.build(checkpoints.load(checkpoint)), device="cpu")
    dataset = CocoDataset(data, "train2017")
    rows, levels = [], set()
    for index, (maps, batch) in enumerate(looked(detector, data)):
        said = dataset.annotations(index)
        for box, label, identity in zip(said.boxes.tolist(), said.labels.tolist(), said.ids.tolist(), strict=True):
            mask = box_mask(box, batch.originals[0].tolist())
            rows.append((expected(maps, box, mask, "fpn"), label, batch.image_ids[0], identity, box))
            half = max(box[2] - box[0], box[3] - box[1]) / 2
            levels.add(sum(half > limit for limit in ALL_LEVELS.size_ranges))
    features, labels, images, ids, boxes = zip(*rows, strict=True)
    assert levels == {0, 1, 2, 3, 4}
    assert arrays["features"] == pytest.approx(np.stack(features), rel=1e-4, abs=1e-5)
    assert arrays["labels"].tolist() == list(labels)
    assert arrays["image_ids"].tolist() == list(images)
    assert arrays["object_ids"].tolist() == list(ids)
    assert arrays["boxes"].tolist() == list(boxes)
    assert arrays["category_names"].tolist() == ["thing", "other thing"]
    kinds = {name: array.dtype for name, array in arrays.items() if array.dtype.kind != "U"}
    whole, single = np.dtype(np.int64), np.dtype(np.float32)
    assert kinds == {
        **dict.fromkeys(("labels", "image_ids", "object_ids"), whole),
        **dict.fromkeys(("features", "boxes"), single),
    }
    assert arrays["source"].shape == ()


def test_vectors_have_length_1_unless_they_are_asked_for_as_they_are(checkpoint: Path, data: Path, tmp_path: Path):
    flags = ("--checkpoint", checkpoint, "--data", data, "--embedding", "backbone")
    unit, raw = made(tmp_path / "a.npz", *flags), made(tmp_path / "b.npz", *flags, "--no-normalise")
    for name in ("features", "embedding"):
        length = np.linalg.norm(raw[name], axis=1, keepdims=True)
        assert np.linalg.norm(unit[name], axis=1) == pytest.approx(1)
        assert unit[name] == pytest.approx(raw[name] / length, abs=1e-6)
        assert np.ptp(length) > 0.01
    assert objects.normalised(torch.tensor([[3.0, 4], [0, 0]])).tolist() == [
        [0.6000000238418579, 0.800000011920929],
        [0, 0],
    ]


def test_two_maps_describe_the_same_objects(checkpoint: Path, data: Path, tmp_path: Path):
    flags = ("--checkpoint", checkpoint, "--data", data)
    both = made(tmp_path / "a.npz", *flags, "--features", "backbone", "--embedding", "fpn")
    one, other = (made(tmp_path / f"{kind}.npz", *flags, "--features", kind) for kind in ("backbone", "fpn"))
    assert "embedding" not in one
    assert np.array_equal(both["features"], one["features"])
    assert np.array_equal(both["embedding"], other["features"])
    assert both["features"].shape[1] == 320
    assert both["embedding"].shape[1] == MODEL.fpn_channels


def test_the_pyramid_and_the_head_are_left_out_where_nothing_asks_for_them(
    checkpoint: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def never(*args: object) -> None:
        raise AssertionError

    monkeypatch.setattr("detection.fcos.Head.forward", never)
    made(tmp_path / "a.npz", "--checkpoint", checkpoint, "--data", data)
    monkeypatch.setattr("detection.fpn.FPN.forward", never)
    made(tmp_path / "a.npz", "--checkpoint", checkpoint, "--data", data, "--features", "backbone")


def test_means_over_masks_are_of_their_pixels(checkpoint: Path, copied: Path, tmp_path: Path):
    def bite(whole: dict[str, Any]) -> None:  # of every other object the left half, of one no pixel
        for one in whole["annotations"][::2]:
            x, y, w, h = one["bbox"]
            one["segmentation"] = [[x, y, x + w // 2, y, x + w // 2, y + h, x, y + h]]
        whole["annotations"][3]["segmentation"] = [[1, 1, 2, 2]]

    changed(copied, bite)
    for kind in ("fpn", "backbone"):
        flags = ("--checkpoint", checkpoint, "--data", copied, "--features", kind, "--no-normalise")
        arrays = made(tmp_path / "a.npz", *flags, "--pool", "mask")
        by_box = made(tmp_path / "b.npz", *flags)
        detector = Detector(checkpoints.build(checkpoints.load(checkpoint)), device="cpu")
        dataset, rows = CocoDataset(copied, "train2017"), []
        for index, (maps, batch) in enumerate(looked(detector, copied)):
            boxes = dataset.annotations(index).boxes.tolist()
            for mask, box in zip(dataset.masks(index), boxes, strict=True):
                drawn = mask if mask.any() else box_mask(box, batch.originals[0].tolist())
                rows.append(expected(maps, box, drawn, kind))
        assert arrays["features"] == pytest.approx(np.stack(rows), rel=1e-4, abs=1e-5)
        assert np.array_equal(arrays["features"][3], by_box["features"][3])
        assert not np.allclose(arrays["features"], by_box["features"], atol=1e-3)


def test_objects_that_are_too_small_and_crowds_are_left_out(checkpoint: Path, data: Path, tmp_path: Path):
    flags = ("--checkpoint", checkpoint, "--data", data, "--split", "val2017")
    every = made(tmp_path / "a.npz", *flags)
    whole = json.loads((data / "annotations" / "instances_val2017.json").read_text())["annotations"]
    assert every["object_ids"].tolist() == [one["id"] for one in whole if not one["iscrowd"]]
    assert len(every["object_ids"]) == len(whole) - 1
    large = made(tmp_path / "b.npz", *flags, "--min-side", 20)
    sides = every["boxes"][:, 2:] - every["boxes"][:, :2]
    kept = (sides >= 20).all(axis=1)
    assert 0 < kept.sum() < len(kept)
    for name in ("features", "object_ids", "boxes"):
        assert np.array_equal(large[name], every[name][kept])


def test_splits_follow_one_another(checkpoint: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    flags = ("--checkpoint", checkpoint, "--data", data)
    one, other = (made(tmp_path / f"{s}.npz", *flags, "--split", s) for s in ("train2017", "val2017"))
    capsys.readouterr()
    both = made(tmp_path / "both.npz", *flags, "--split", "val2017", "train2017")
    for name in ("features", "labels", "image_ids", "object_ids", "boxes"):
        assert np.array_equal(both[name], np.concatenate([other[name], one[name]]))
    images = len(set(both["image_ids"].tolist()))
    out, _ = capsys.readouterr()
    assert out.startswith(f"{len(both['labels'])} objects of {images} images, 32 dimensions, 2 of 2 categories, 0.")
    assert out.endswith(" s per image (cpu, fp32)\n")
    assert out.count("\n") == 1


def test_an_image_is_described_by_itself(checkpoint: Path, copied: Path, tmp_path: Path):
    flags = ("--checkpoint", checkpoint, "--data", copied, "--embedding", "backbone", "--thumbnails", 8)
    together = made(tmp_path / "a.npz", *flags)
    in_batches = made(tmp_path / "b.npz", *flags, "--batch-size", 3, "--workers", 1)

    def keep(whole: dict[str, Any]) -> None:
        whole["images"] = [image for image in whole["images"] if image["id"] == 12]
        whole["annotations"] = [one for one in whole["annotations"] if one["image_id"] == 12]

    changed(copied, keep)
    alone = made(tmp_path / "c.npz", *flags)
    here = together["image_ids"] == 12
    for name in ("features", "embedding", "object_ids", "boxes", "thumbnails"):
        assert np.array_equal(alone[name], together[name][here])
        assert in_batches[name] == pytest.approx(together[name], abs=1e-5)
    assert not np.array_equal(in_batches["features"], np.zeros_like(together["features"]))


def test_other_sides_are_looked_at_if_asked_for(checkpoint: Path, data: Path, tmp_path: Path):
    flags = ("--checkpoint", checkpoint, "--data", data)
    arrays = made(tmp_path / "a.npz", *flags, "--short-side", 96, "--max-side", 160)
    usual = made(tmp_path / "b.npz", *flags)
    assert not np.allclose(arrays["features"], usual["features"])
    assert np.array_equal(arrays["boxes"], usual["boxes"])
    assert [source_of(arrays)[name] for name in ("short_side", "max_side")] == [96, 160]
    model = dataclasses.replace(ALL_LEVELS, short_side=96, max_side=160)
    made_so = checkpoints.load(checkpoint)
    checkpoints.save(tmp_path / "c.pt", dataclasses.replace(made_so, config=model))
    same = made(tmp_path / "c.npz", "--checkpoint", tmp_path / "c.pt", "--data", data)
    assert np.array_equal(arrays["features"], same["features"])


def test_weights_and_precision_are_those_asked_for(checkpoint: Path, data: Path, tmp_path: Path):
    flags = ("--checkpoint", checkpoint, "--data", data)
    averaged, raw, half = (
        made(tmp_path / "a.npz", *flags, *more) for more in ((), ("--weights", "raw"), ("--precision", "bf16"))
    )
    assert not np.allclose(averaged["features"], raw["features"])
    assert not np.array_equal(averaged["features"], half["features"])
    assert half["features"] == pytest.approx(averaged["features"], abs=0.03)
    assert [source_of(one)[name] for one, name in ((averaged, "weights"), (raw, "weights"), (half, "precision"))] == [
        "ema",
        "raw",
        "bf16",
    ]


# ---- what is detected


def test_detected_objects_are_those_that_predict_finds(checkpoint: Path, data: Path, tmp_path: Path):
    flags = ("--checkpoint", checkpoint, "--data", data, "--boxes", "detected")
    arrays = made(tmp_path / "a.npz", *flags, "--min-score", 0.65, "--no-normalise", "--features", "backbone")
    dataset = CocoDataset(data, "train2017")
    paths = [str(dataset.path(at)) for at in range(len(dataset))]
    args = [
        "--checkpoint",
        str(checkpoint),
        "--out",
        str(tmp_path / "f.json"),
        "--min-score",
        "0.65",
        "--device",
        "cpu",
    ]
    assert predict.main([*paths, *args]) == 0
    found = json.loads((tmp_path / "f.json").read_text())
    count = sum(map(len, found))
    assert 20 < count < 100 * len(found)
    labels = {category.id: at for at, category in enumerate(CATEGORIES)}
    entries = [(image.id, one) for image, of_image in zip(dataset.images, found, strict=True) for one in of_image]
    assert arrays["image_ids"].tolist() == [image for image, _ in entries]
    assert arrays["labels"].tolist() == [labels[one["label"]] for _, one in entries]
    assert arrays["boxes"] == pytest.approx(np.array([one["bbox"] for _, one in entries]), abs=1e-3)
    assert arrays["scores"] == pytest.approx(np.array([one["score"] for _, one in entries]), abs=1e-5)
    assert arrays["scores"].dtype == np.float32
    assert arrays["object_ids"].tolist() == list(range(count))
    assert source_of(arrays)["min_score"] == 0.65
    detector = Detector(checkpoints.build(checkpoints.load(checkpoint)), device="cpu")
    maps = {batch.image_ids[0]: (here.backbone[2][0], batch) for here, batch in looked(detector, data)}
    for vector, box, image in zip(arrays["features"], arrays["boxes"], arrays["image_ids"].tolist(), strict=True):
        c5, batch = maps[image]
        where = {"grid": c5.shape[1:], "image_size": batch.images.shape[-2:]}
        assert vector == pytest.approx(
            pooled(box_weights(torch.from_numpy(box)[None], **where), c5)[0].numpy(), rel=1e-4, abs=1e-5
        )
    large = made(tmp_path / "b.npz", *flags, "--min-score", 0.65, "--min-side", 30)
    sides = arrays["boxes"][:, 2:] - arrays["boxes"][:, :2]
    assert np.array_equal(large["boxes"], arrays["boxes"][(sides >= 30).all(axis=1)])


def test_detected_categories_are_those_of_the_set_by_their_ids(
    checkpoint: Path, copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    flags = ("--checkpoint", checkpoint, "--data", copied, "--boxes", "detected")
    before = made(tmp_path / "a.npz", *flags)
    assert set(before["labels"].tolist()) == {0, 1}

    def change(whole: dict[str, Any]) -> None:
        whole["categories"] = [{"id": 1, "name": "first"}, {"id": 7, "name": "renamed"}]
        whole["annotations"] = []

    changed(copied, change)
    after = made(tmp_path / "b.npz", *flags)
    assert after["category_names"].tolist() == ["first", "renamed"]
    assert set(after["labels"].tolist()) == {1}
    assert after["features"] == pytest.approx(before["features"][before["labels"] == 1], abs=1e-6)
    err = capsys.readouterr().err
    assert "embed: the detector does not know 1 of 2 categories of the data ('first', id 1, ...)" in err
    assert "id 7 is 'renamed' in the data, 'other thing' in the detector" in err


def test_detected_masks_can_be_pooled_over(with_masks: Path, data: Path, tmp_path: Path):
    flags = ("--checkpoint", with_masks, "--data", data, "--boxes", "detected", "--no-normalise")
    by_mask = made(tmp_path / "a.npz", *flags, "--pool", "mask")
    by_box = made(tmp_path / "b.npz", *flags)
    assert np.array_equal(by_mask["boxes"], by_box["boxes"])
    assert not np.allclose(by_mask["features"], by_box["features"])
    detector = Detector(checkpoints.build(checkpoints.load(with_masks)), device="cpu")
    rows = []
    for maps, batch in looked(detector, data):
        (found,) = detector.detect_in_maps(batch, maps)
        assert found.masks is not None
        for box, score, said in zip(found.boxes.tolist(), found.scores.tolist(), found.masks, strict=True):
            mask = torch.from_numpy(coco_masks.run_lengths(said, *batch.originals[0].tolist()))
            if score >= 0.3:
                rows.append(expected(maps, box, mask, "fpn") if mask.any() else None)
    assert len(rows) == len(by_mask["features"])
    full = [at for at, row in enumerate(rows) if row is not None]
    assert len(full) > 20
    values = np.stack([row for row in rows if row is not None])
    assert by_mask["features"][full] == pytest.approx(values, rel=1e-4, abs=1e-5)


def test_what_detects_with_maps_finds_what_detects_without(with_masks: Path, data: Path):
    detector = Detector(checkpoints.build(checkpoints.load(with_masks)), device="cpu")
    for maps, batch in looked(detector, data)[:2]:
        for mine, theirs in zip(detector.detect_in_maps(batch, maps), detector.detect_batch(batch), strict=True):
            assert torch.equal(mine.boxes, theirs.boxes)
            assert torch.equal(mine.scores, theirs.scores)
            assert mine.masks == theirs.masks


# ---- small pictures


def test_thumbnails_are_of_the_stored_pixels(checkpoint: Path, data: Path, tmp_path: Path):
    flags = ("--checkpoint", checkpoint, "--data", data)
    arrays = made(tmp_path / "a.npz", *flags, "--thumbnails", 16)
    assert arrays["thumbnails"].shape == (len(arrays["labels"]), 16, 16, 3)
    assert arrays["thumbnails"].dtype == np.uint8
    dataset = CocoDataset(data, "train2017")
    pixels = Image.fromarray(dataset.read(0).permute(1, 2, 0).numpy())
    assert np.array_equal(arrays["thumbnails"][0], thumbnail(pixels, arrays["boxes"][0].tolist(), side=16))
    assert "thumbnails" not in made(tmp_path / "b.npz", *flags)


def ramp(width: int, height: int) -> Image.Image:
    """A picture that says in red how far to the right a pixel is, and in green how far down."""
    y, x = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([x, y, 0 * x], axis=-1).astype(np.uint8))


@pytest.mark.parametrize(
    ("box", "corners"),
    [
        ((20, 30, 40, 50), (20, 30, 40, 50)),  # a square
        ((40, 30, 50, 50), (35, 30, 55, 50)),  # a square around its middle
        ((0, 30, 10, 50), (0, 30, 20, 50)),  # moved into the image
        ((90, 50, 100, 80), (70, 50, 100, 80)),
        ((10, 40, 100, 50), (10, 0, 100, 80)),  # longer than the image is high
    ],
)
def test_a_thumbnail_is_a_square_around_the_box(box: tuple[float, ...], corners: tuple[float, ...]):
    small = thumbnail(ramp(100, 80), box, side=10).astype(float)
    left, top, right, bottom = corners
    x = left + (np.arange(10) + 0.5) * (right - left) / 10 - 0.5
    y = top + (np.arange(10) + 0.5) * (bottom - top) / 10 - 0.5
    inner = slice(1, -1)  # at the ends the filter has fewer pixels
    assert small[inner, inner, 0] == pytest.approx(np.broadcast_to(x, (10, 10))[inner, inner], abs=1)
    assert small[inner, inner, 1] == pytest.approx(np.broadcast_to(y[:, None], (10, 10))[inner, inner], abs=1)


# ---- where it is from


def test_the_file_says_what_it_was_made_of(data: Path, tmp_path: Path):
    training = {"config": {"preset": "mini"}, "ema": None}
    checkpoint = write_checkpoint(tmp_path / "last.pt", MODEL, training=training)
    arrays = made(tmp_path / "a.npz", "--checkpoint", checkpoint, "--data", data, "--split", "val2017", "train2017")
    assert source_of(arrays) == {
        "format": "object-embeddings",
        "version": 1,
        "checkpoint": checkpoints.fingerprint(checkpoint),
        "preset": "mini",
        "made_by": "a test",
        "data": "noise",
        "splits": ["val2017", "train2017"],
        "annotations": {
            split: checkpoints.fingerprint(data / "annotations" / f"instances_{split}.json")
            for split in ("val2017", "train2017")
        },
        "boxes": "annotated",
        "pool": "box",
        "features": "fpn",
        "embedding": "none",
        "normalise": True,
        "short_side": 64,
        "max_side": 96,
        "min_side": 0.0,
        "min_score": None,
        "weights": "ema",
        "precision": "fp32",
    }
    assert str(data.parent) not in str(arrays["source"])


def test_a_preset_looks_with_the_backbone_that_its_training_begins_with(data: Path, tmp_path: Path):
    flags = ("--preset", "mini", "--features", "backbone", "--short-side", 64, "--max-side", 96, "--no-normalise")
    arrays = made(tmp_path / "a.npz", *flags, "--data", data)
    said = source_of(arrays)
    assert [said[name] for name in ("checkpoint", "preset", "made_by", "weights")] == [None, "mini", None, None]
    training = presets.preset("mini", data=data, out=tmp_path)
    net = begin(
        dataclasses.replace(training, model=dataclasses.replace(training.model, categories=CATEGORIES)), say=print
    )
    net.config = dataclasses.replace(net.config, short_side=64, max_side=96)
    maps, batch = looked(Detector(net, device="cpu"), data)[0]
    box = arrays["boxes"][0].tolist()
    value = mean(maps.backbone[2], box_mask(box, batch.originals[0].tolist()))
    assert arrays["features"][0] == pytest.approx(value, rel=1e-4, abs=1e-5)


def test_the_same_input_gives_the_same_bytes(
    checkpoint: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    flags = ("--checkpoint", checkpoint, "--data", data, "--thumbnails", 8)
    made(tmp_path / "a.npz", *flags)
    monkeypatch.setattr(time, "time", lambda: 2e9)
    made(tmp_path / "b.npz", *flags, "--workers", 1)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz", "b.npz"]


# ---- interruptions


FLAGS = ("--embedding", "backbone", "--thumbnails", 8, "--split", "train2017", "val2017", "--min-side", 0)


@pytest.fixture(scope="module", params=["annotated", "detected"])
def uninterrupted(
    request: pytest.FixtureRequest, checkpoint: Path, data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[object], bytes]:
    """Flags, and what nobody has interrupted writes by them in parts of two images."""
    flags = ["--checkpoint", checkpoint, "--data", data, *FLAGS, "--boxes", request.param, "--workers", 0]
    out = tmp_path_factory.mktemp("whole") / "a.npz"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embed, "PART", 2)
        assert run(*flags, "--out", out) == 0
    return flags, out.read_bytes()


@pytest.fixture
def interrupted(
    uninterrupted: tuple[list[object], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[object], Path]:
    """Flags of a run that has been interrupted after three parts, and where its parts are."""
    monkeypatch.setattr(embed, "PART", 2)
    flags, _ = uninterrupted
    write = parts.write

    def until(directory: Path, number: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        if number == 3:
            raise KeyboardInterrupt
        write(directory, number, arrays)

    with monkeypatch.context() as patch:
        patch.setattr(parts, "write", until)
        assert run(*flags, "--out", tmp_path / "a.npz") == 130
    directory = tmp_path / ".a.npz.parts"
    assert sorted(path.name for path in directory.iterdir()) == ["000000.npz", "000001.npz", "000002.npz", "work.json"]
    assert not (tmp_path / "a.npz").exists()
    return [*flags, "--out", tmp_path / "a.npz"], directory


def test_what_is_done_is_not_done_again_and_the_bytes_are_the_same(
    uninterrupted: tuple[list[object], bytes],
    interrupted: tuple[list[object], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    flags, directory = interrupted
    (directory / ".0123456789abcdef.tmp").write_bytes(b"half of a part")
    written: list[int] = []
    write = parts.write

    def noted(directory: Path, number: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        written.append(number)
        write(directory, number, arrays)

    monkeypatch.setattr(parts, "write", noted)
    assert run(*flags, "--resume") == 0
    assert min(written) == 3
    assert (tmp_path / "a.npz").read_bytes() == uninterrupted[1]
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_without_being_asked_to_go_on_it_begins_anew(
    uninterrupted: tuple[list[object], bytes], interrupted: tuple[list[object], Path], tmp_path: Path
):
    flags, directory = interrupted
    (directory / "000000.npz").write_bytes(b"of something else")
    assert run(*flags) == 0
    assert (tmp_path / "a.npz").read_bytes() == uninterrupted[1]
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_with_nothing_to_go_on_with_it_begins(
    uninterrupted: tuple[list[object], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(embed, "PART", 2)
    flags, whole = uninterrupted
    assert run(*flags, "--out", tmp_path / "a.npz", "--resume") == 0
    assert (tmp_path / "a.npz").read_bytes() == whole


def test_parts_of_other_work_are_refused(
    interrupted: tuple[list[object], Path], data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    flags, directory = interrupted
    before = sorted(path.read_bytes() for path in directory.iterdir())
    for change, says in {
        ("--min-side", 3): "min_side is another (0.0 there, 3.0 here)",
        ("--thumbnails", 9): "thumbnails is another (8 there, 9 here)",
        ("--split", "val2017"): "splits is another",
        ("--short-side", 96): "short_side is another (64 there, 96 here)",
        ("--no-normalise",): "normalise is another (True there, False here)",
    }.items():
        capsys.readouterr()
        assert run(*flags, *change, "--max-side", 96, "--resume") == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert f".a.npz.parts holds parts of other work: {says}; give what it was begun with, or leave --resume" in err
        assert sorted(path.read_bytes() for path in directory.iterdir()) == before
    (directory / parts.WORK).write_text("nothing")
    assert run(*flags, "--resume") == 2
    assert "work.json cannot be read" in capsys.readouterr().err


def test_a_part_that_was_damaged_is_named(
    interrupted: tuple[list[object], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    flags, directory = interrupted
    (directory / "000001.npz").write_bytes((directory / "000001.npz").read_bytes()[:-40])
    assert run(*flags, "--resume") == 2
    assert "000001.npz is damaged (" in capsys.readouterr().err
    assert not (tmp_path / "a.npz").exists()
    (directory / "000001.npz").unlink()
    assert run(*flags, "--resume") == 0


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_ends_as_one_that_was_not(checkpoint: Path, data: Path, tmp_path: Path):
    flags = ["--checkpoint", checkpoint, "--data", data, *FLAGS, "--workers", 0, "--device", "cpu"]
    # Slowly, so that there is time to kill it.
    code = """
import sys, time
from detection import embed, parts
embed.PART, write = 1, parts.write
def slowly(*args):
    write(*args)
    time.sleep(0.3)
parts.write = slowly
sys.exit(embed.main(sys.argv[1:]))
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}

    def start(out: Path, *more: str) -> subprocess.Popen[bytes]:
        args = [sys.executable, "-c", code, *map(str, flags), "--out", str(out), *more]
        return subprocess.Popen(args, env=environment)

    out, directory = tmp_path / "killed.npz", tmp_path / ".killed.npz.parts"
    for count in (1, 4):
        with start(out, *(["--resume"] if count > 1 else [])) as process:
            until = time.monotonic() + 120
            while len(list(directory.glob("[0-9]*.npz"))) < count:
                assert process.poll() is None
                assert time.monotonic() < until
                time.sleep(0.01)
            process.kill()
        assert not out.exists()
    with start(out, "--resume") as process:
        assert process.wait() == 0
    assert not directory.exists()
    with start(tmp_path / "straight.npz") as process:
        assert process.wait() == 0
    assert out.read_bytes() == (tmp_path / "straight.npz").read_bytes()


# ---- what is refused


def without_masks(d: Path) -> Path:
    return changed(d, lambda whole: whole["annotations"][2].pop("segmentation"))


def other_categories(d: Path) -> Path:
    return changed(d, lambda whole: whole["categories"].append({"id": 9, "name": "more"}), split="val2017")


def of_other_things(d: Path) -> Path:
    def change(whole: dict[str, Any]) -> None:
        whole["categories"], whole["annotations"] = [{"id": 1, "name": "first"}], []

    return changed(d, change)


def no_image(d: Path) -> Path:
    (d / "train2017" / "1.png").unlink()
    return d


def overflowing(path: Path) -> Path:
    """A detector whose weights are numbers, and whose maps are none."""
    net = checkpoints.blank(MODEL)
    with torch.no_grad():
        net.fpn.lateral[0].weight.mul_(1e38)
        net.fpn.output[0].weight.fill_(1e38)
    checkpoints.save(path, Checkpoint(MODEL, dict(net.state_dict()), None, "a test"))
    return path


Case = Callable[[Path, Path], list[object]]
TRAIN = ("--split", "train2017")
BOTH = ("--split", "train2017", "val2017")
DETECTED = ("--boxes", "detected")
BAD: dict[str, tuple[Case, str]] = {
    "neither checkpoint nor preset": (lambda d, c: ["--data", d], "checkpoint and preset are both missing; give one"),
    "both": (lambda d, c: ["--data", d, "--checkpoint", c, "--preset", "mini"], "are both given; give one of them"),
    "an unknown preset": (lambda d, c: ["--data", d, "--preset", "maxi"], "preset is 'maxi'; give one of"),
    "a preset from scratch": (
        lambda d, c: ["--data", d, "--preset", "lab-b16-lr1e-2", "--features", "backbone"],
        "whose network begins at random (it has no backbone_weights); give a checkpoint, or a preset such as mini",
    ),
    "an untrained pyramid": (
        lambda d, c: ["--data", d, "--preset", "mini"],
        "features is fpn, but the network that preset mini begins with has no trained part but its backbone; give "
        "features backbone, or a checkpoint",
    ),
    "an untrained pyramid for the embedding": (
        lambda d, c: ["--data", d, "--preset", "mini", "--features", "backbone", "--embedding", "fpn"],
        "embedding is fpn, but the network that preset mini begins with",
    ),
    "an untrained head": (
        lambda d, c: ["--data", d, "--preset", "mini", "--features", "backbone", *DETECTED],
        "boxes is detected, but the network that preset mini begins with",
    ),
    "one map twice": (
        lambda d, c: ["--data", d, "--checkpoint", c, "--embedding", "fpn"],
        "embedding is fpn, as features is; give the other map, or none",
    ),
    "no masks in the set": (
        lambda d, c: ["--data", without_masks(d), "--checkpoint", c, "--pool", "mask", *TRAIN],
        "annotation 3 has no segmentation, which masks are made of; give one",
    ),
    "no masks of the detector": (
        lambda d, c: ["--data", d, "--checkpoint", c, "--pool", "mask", *DETECTED],
        "pool is mask, but the detector finds no masks; give one that does, or pool box",
    ),
    "a detector of other things": (
        lambda d, c: ["--data", of_other_things(d), "--checkpoint", c, *DETECTED, *TRAIN],
        "none is the same; give data with categories that the detector was trained on",
    ),
    "a split twice": (
        lambda d, c: ["--data", d, "--checkpoint", c, "--split", "val2017", "val2017"],
        "split is val2017 val2017, which names one twice; name each once",
    ),
    "splits of different categories": (
        lambda d, c: ["--data", other_categories(d), "--checkpoint", c, *BOTH],
        "instances_val2017.json has other categories than",
    ),
    "no split": (lambda d, c: ["--data", d, "--checkpoint", c, "--split"], "split is empty; give one or more"),
    "a missing split": (
        lambda d, c: ["--data", d, "--checkpoint", c, "--split", "test2017"],
        "instances_test2017.json is missing; a COCO-format set has its annotations there",
    ),
    "no object": (
        lambda d, c: ["--data", d, "--checkpoint", c, "--min-side", 500],
        "has no object in val2017 with sides of 500.0 pixels that is not a crowd's; give a lower min_side",
    ),
    "nothing found": (
        lambda d, c: ["--data", d, "--checkpoint", c, *DETECTED, "--min-score", 1],
        "with a score of 1.0 and sides of 24.0 pixels; give a lower min_score or min_side",
    ),
    "a missing image": (
        lambda d, c: ["--data", no_image(d), "--checkpoint", c, *TRAIN],
        "1.png) is missing; put the file there",
    ),
    "a missing checkpoint": (
        lambda d, c: ["--data", d, "--checkpoint", d / "no.pt"],
        "no.pt does not exist; give a file that does",
    ),
    "weights that overflow": (
        lambda d, c: ["--data", d, "--checkpoint", overflowing(d.parent / "o.pt")],
        "the network makes features of image 111 that are no numbers; give a checkpoint with sound weights",
    ),
    "another ending": (
        lambda d, c: ["--data", d, "--checkpoint", c, "--out", d / "a.npy"],
        "a.npy; give a name that ends in .npz",
    ),
    "an output nowhere": (
        lambda d, c: ["--data", d, "--checkpoint", c, "--out", d / "no" / "a.npz"],
        "cannot be written to (No such file or directory); give a file in a directory that can",
    ),
    "a side of nothing": (lambda d, c: ["--data", d, "--checkpoint", c, "--short-side", 0], "short_side is 0; give"),
    "a shorter side that is longer": (
        lambda d, c: ["--data", d, "--checkpoint", c, "--short-side", 128],
        "max_side is 96, below short_side 128; give at least that",
    ),
    "a negative side": (lambda d, c: ["--data", d, "--checkpoint", c, "--min-side=-1"], "min_side is -1.0; give a"),
    "a side that is no number": (
        lambda d, c: ["--data", d, "--checkpoint", c, "--min-side", "nan"],
        "min_side is nan; give a number of pixels from 0 up",
    ),
    "a score above 1": (
        lambda d, c: ["--data", d, "--checkpoint", c, "--min-score", 1.5],
        "min_score is 1.5; give a number from 0 to 1",
    ),
    "no batch": (lambda d, c: ["--data", d, "--checkpoint", c, "--batch-size", 0], "batch_size is 0; give a number"),
    "negative thumbnails": (
        lambda d, c: ["--data", d, "--checkpoint", c, "--thumbnails=-4"],
        "thumbnails is -4; give a number from 0 up",
    ),
    "thumbnails beyond all memory": (
        lambda d, c: ["--data", d, "--checkpoint", c, "--thumbnails", 100000],
        "thumbnails is 100000; give a number of pixels from 0 to 1024",
    ),
    "ids of two splits that are too large to move": (
        lambda d, c: ["--data", largest_ids(d), "--checkpoint", c, "--split", "train2017", "val2017"],
        "instances_val2017.json has images with ids of an earlier split, too large to be moved up",
    ),
    "an unknown map": (
        lambda d, c: ["--data", d, "--checkpoint", c, "--features", "head"],
        "--features is 'head', but it must be fpn or backbone",
    ),
    "no output": (lambda d, c: ["--data", d, "--checkpoint", c], "--out is missing; give it"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_one_sentence_and_leaves_nothing(
    kind: str, checkpoint: Path, copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    case, says = BAD[kind]
    flags = case(copied, checkpoint)
    out = [] if "--out" in flags or kind == "no output" else ["--out", tmp_path / "a.npz"]
    before = sorted(tmp_path.iterdir())
    assert run(*flags, *out, "--workers", 0) == 2
    printed, err = capsys.readouterr()
    assert printed == ""
    assert err.startswith("embed: ")
    assert err.count("\n") == 1
    assert says in err
    assert sorted(tmp_path.iterdir()) == sorted({*before, *tmp_path.glob("o.pt")})


def test_boxes_that_are_no_numbers_are_refused(
    checkpoint: Path,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    broken = Detections(torch.full((1, 4), torch.nan), torch.ones(1), torch.zeros(1, dtype=torch.int64))
    monkeypatch.setattr(Detector, "detect_in_maps", lambda self, batch, maps: [broken])
    flags = ("--checkpoint", checkpoint, "--data", data, "--boxes", "detected", "--workers", 0)
    assert run(*flags, "--out", tmp_path / "a.npz") == 2
    assert (
        "finds boxes in image 110 that are no numbers; give a checkpoint with sound weights" in capsys.readouterr().err
    )
    assert not any(tmp_path.iterdir())
