"""The program that looks at image files: what it writes, draws and prints, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from detection import checkpoints, command_line, predict
from detection.checkpoints import Checkpoint
from detection.config import Category
from detection.data.images import read_image
from detection.detector import Detector
from detection.postprocess import Detections
from detection.predict import drawing_paths, entries
from tests.detection.small_runs import CATEGORIES, MODEL


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector with random weights that finds something everywhere."""
    torch.manual_seed(0)
    model = checkpoints.blank(MODEL)
    with torch.no_grad():
        model.head.logits.bias.fill_(-1.0)
        model.head.logits.weight.mul_(20)
        model.head.distances.bias.fill_(1.5)
        model.head.distances.weight.mul_(10)
    averaged = {"head.logits.bias": model.head.logits.bias.detach() - 1}
    path = tmp_path_factory.mktemp("checkpoint") / "last.pt"
    checkpoints.save(path, Checkpoint(MODEL, dict(model.state_dict()), {"ema": averaged}, "a test"))
    return path


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A landscape in colour, a portrait in grey, and a palette with transparency."""
    directory = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(1)
    Image.fromarray(rng.integers(0, 256, (60, 90, 3), dtype=np.uint8)).save(directory / "colour.jpg")
    Image.fromarray(rng.integers(0, 256, (80, 50), dtype=np.uint8)).save(directory / "grey.png")
    Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).quantize(16).save(directory / "palette.gif")
    return [directory / name for name in ("colour.jpg", "grey.png", "palette.gif")]


def found(checkpoint: Path, images: list[Path], out: Path, *flags: str) -> list[list[dict[str, Any]]]:
    args = [*map(str, images), "--checkpoint", str(checkpoint), "--out", str(out), "--device", "cpu", *flags]
    assert predict.main(args) == 0
    lists: list[list[dict[str, Any]]] = json.loads(out.read_text())
    return lists


# ---- what is written


def test_there_is_a_list_for_every_image_in_the_order_given(
    checkpoint: Path, images: list[Path], tmp_path: Path
) -> None:
    lists = found(checkpoint, images, tmp_path / "found.json")
    assert len(lists) == 3
    names = {category.id: category.name for category in CATEGORIES}
    for path, entries_here in zip(images, lists, strict=True):
        width, height = Image.open(path).size
        assert 0 < len(entries_here) <= MODEL.max_detections
        scores = [entry["score"] for entry in entries_here]
        assert scores == sorted(scores, reverse=True)
        for entry in entries_here:
            assert entry.keys() == {"bbox", "score", "label", "name"}
            x1, y1, x2, y2 = entry["bbox"]
            assert 0 <= x1 <= x2 <= width
            assert 0 <= y1 <= y2 <= height
            assert 0 < entry["score"] <= 1
            assert names[entry["label"]] == entry["name"]
    assert {entry["label"] for one in lists for entry in one} == {3, 7}
    assert found(checkpoint, images[::-1], tmp_path / "other.json") == lists[::-1]


def test_what_is_written_is_what_the_detector_finds(checkpoint: Path, images: list[Path], tmp_path: Path) -> None:
    detector = Detector(checkpoints.build(checkpoints.load(checkpoint)), device="cpu")
    expected = [entries(detector.detect([read_image(path)])[0], CATEGORIES) for path in images]
    assert found(checkpoint, images, tmp_path / "found.json") == expected


def test_without_a_file_it_is_printed_alone_on_stdout(
    checkpoint: Path, images: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = found(checkpoint, images[:1], tmp_path / "found.json")
    capsys.readouterr()
    assert predict.main([str(images[0]), "--checkpoint", str(checkpoint), "--device", "cpu"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == expected
    assert err.startswith(f"predict: objects: {len(expected[0])}, images: 1, ")


def test_a_score_that_is_asked_for_leaves_out_the_lower_ones(
    checkpoint: Path, images: list[Path], tmp_path: Path
) -> None:
    everything = found(checkpoint, images, tmp_path / "all.json")
    limit = everything[0][len(everything[0]) // 2]["score"]
    some = found(checkpoint, images, tmp_path / "some.json", "--min-score", str(limit))
    assert some == [[entry for entry in one if entry["score"] >= limit] for one in everything]
    assert 0 < len(some[0]) < len(everything[0])


def test_the_averaged_weights_are_used_unless_the_raw_ones_are_asked_for(
    checkpoint: Path, images: list[Path], tmp_path: Path
) -> None:
    averaged, raw = (
        found(checkpoint, images[:1], tmp_path / f"{kind}.json", "--weights", kind)[0] for kind in ("ema", "raw")
    )
    assert raw[0]["score"] > averaged[0]["score"]


def test_bf16_finds_about_the_same(checkpoint: Path, images: list[Path], tmp_path: Path) -> None:
    single = found(checkpoint, images[:1], tmp_path / "a.json")[0]
    half = found(checkpoint, images[:1], tmp_path / "b.json", "--precision", "bf16")[0]
    assert half != single
    assert half[0]["score"] == pytest.approx(single[0]["score"], abs=0.02)


def test_entries_speak_of_category_ids() -> None:
    detections = Detections(
        torch.tensor([[1.0, 2, 3, 4], [0, 0, 5, 5]]), torch.tensor([0.75, 0.25]), torch.tensor([1, 0])
    )
    categories = (Category(11, "hydrant"), Category(90, "brush"))
    assert entries(detections, categories, min_score=0.5) == [
        {"bbox": [1.0, 2.0, 3.0, 4.0], "score": 0.75, "label": 90, "name": "brush"}
    ]
    assert [entry["label"] for entry in entries(detections, categories)] == [90, 11]


# ---- what is drawn


def test_images_are_drawn_with_what_was_found(checkpoint: Path, images: list[Path], tmp_path: Path) -> None:
    found(checkpoint, images, tmp_path / "found.json", "--draw", str(tmp_path / "new" / "drawn"), "--draw-score", "0")
    drawn = sorted((tmp_path / "new" / "drawn").iterdir())
    assert [path.name for path in drawn] == ["colour.png", "grey.png", "palette.png"]
    for before, after in zip(images, drawn, strict=True):
        picture = read_image(after)
        assert picture.shape == read_image(before).shape
        assert not torch.equal(picture, read_image(before))


def test_only_what_scores_enough_is_drawn(checkpoint: Path, images: list[Path], tmp_path: Path) -> None:
    found(checkpoint, images[:1], tmp_path / "found.json", "--draw", str(tmp_path), "--draw-score", "1")
    assert torch.equal(read_image(tmp_path / "colour.png"), read_image(images[0]))


def test_images_of_one_name_are_drawn_side_by_side() -> None:
    images = [Path("a/x.jpg"), Path("b/x.jpg"), Path("b/y.jpg"), Path("c/x.png")]
    names = [path.name for path in drawing_paths(images, Path("drawn"))]
    assert names == ["x.png", "x-2.png", "y.png", "x-3.png"]


# ---- what is refused


def text(path: Path) -> str:
    path.write_text("no image")
    return str(path)


def cut_off(path: Path, image: Path) -> str:
    data = image.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    return str(path)


def deep(path: Path) -> str:
    Image.fromarray(np.zeros((9, 9), np.uint16)).save(path)
    return str(path)


Case = Callable[[Path, Path, Path], list[str]]
BAD: dict[str, tuple[Case, str]] = {
    "a missing image": (lambda d, c, i: [str(d / "none.jpg"), "--checkpoint", str(c)], "none.jpg) is missing; put"),
    "a directory for an image": (lambda d, c, i: [str(d), "--checkpoint", str(c)], "cannot be read (Is a directory)"),
    "a text for an image": (lambda d, c, i: [text(d / "a.jpg"), "--checkpoint", str(c)], "a.jpg) is none of JPEG, PNG"),
    "half an image": (lambda d, c, i: [cut_off(d / "a.jpg", i), "--checkpoint", str(c)], "a.jpg) is damaged ("),
    "16 bits": (lambda d, c, i: [deep(d / "a.png"), "--checkpoint", str(c)], "do not fit 8 bits; convert it"),
    "a bad one after a good one": (
        lambda d, c, i: [str(i), str(d / "none.jpg"), "--checkpoint", str(c)],
        "none.jpg) is missing; put",
    ),
    "no image": (lambda d, c, i: ["--checkpoint", str(c)], "there is no image; name one file or more"),
    "no checkpoint": (lambda d, c, i: [str(i)], "--checkpoint is missing; give it"),
    "a missing checkpoint": (lambda d, c, i: [str(i), "--checkpoint", str(d / "no.pt")], "no.pt does not exist; give"),
    "an image for a checkpoint": (lambda d, c, i: [str(i), "--checkpoint", str(i)], "give a .pth or .safetensors file"),
    "a directory for the output": (
        lambda d, c, i: [str(i), "--checkpoint", str(c), "--out", str(d)],
        "which is a directory; give the name of a file",
    ),
    "an output nowhere": (
        lambda d, c, i: [str(i), "--checkpoint", str(c), "--out", str(d / "no" / "f.json")],
        "cannot be written to (No such file or directory); give a file in a directory that can",
    ),
    "a file for drawings": (
        lambda d, c, i: [str(i), "--checkpoint", str(c), "--draw", text(d / "file")],
        "which cannot be made or written to (File exists); give a directory that can",
    ),
    "drawings over images": (
        lambda d, c, i: [str(i.with_name("grey.png")), "--checkpoint", str(c), "--draw", str(i.parent)],
        "where grey.png is one of the images; give another directory",
    ),
    "a score above 1": (
        lambda d, c, i: [str(i), "--checkpoint", str(c), "--min-score", "1.5"],
        "min_score is 1.5; give a number from 0 to 1",
    ),
    "a score that is none": (
        lambda d, c, i: [str(i), "--checkpoint", str(c), "--draw-score", "nan"],
        "draw_score is nan; give a number from 0 to 1",
    ),
    "an unknown device": (
        lambda d, c, i: [str(i), "--checkpoint", str(c), "--device", "tape"],
        "device is 'tape', which torch does not know; give auto",
    ),
    "an unknown precision": (
        lambda d, c, i: [str(i), "--checkpoint", str(c), "--precision", "fp8"],
        "--precision is 'fp8', but it must be fp32 or bf16",
    ),
    "an unknown flag": (lambda d, c, i: [str(i), "--checkpoint", str(c), "--colour", "x"], "--colour is not a flag"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_one_sentence_and_leaves_nothing(
    kind: str, checkpoint: Path, images: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args, says = BAD[kind]
    flags = args(tmp_path, checkpoint, images[0])
    before = {path: path.stat().st_mtime_ns for path in (*tmp_path.iterdir(), *images[0].parent.iterdir())}
    assert command_line.run(lambda: predict.main(flags), prog=predict.PROG) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("predict: ")
    assert err.count("\n") == 1
    assert says in err
    assert {path: path.stat().st_mtime_ns for path in (*tmp_path.iterdir(), *images[0].parent.iterdir())} == before


def test_boxes_that_are_no_numbers_are_refused(
    checkpoint: Path,
    images: list[Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken = Detections(torch.full((1, 4), torch.nan), torch.ones(1), torch.zeros(1, dtype=torch.int64))
    monkeypatch.setattr(Detector, "detect", lambda self, images: [broken for _ in images])
    args = [str(images[0]), "--checkpoint", str(checkpoint), "--out", str(tmp_path / "f.json")]
    assert command_line.run(lambda: predict.main(args), prog="predict") == 2
    assert "colour.jpg that are no numbers; give a checkpoint with sound weights" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())
