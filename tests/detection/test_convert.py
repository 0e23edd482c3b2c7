"""Checkpoints of other projects detect here what they detect there, and what cannot be converted is said."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from detection import checkpoints, command_line, convert, predict
from detection.coco_categories import COCO
from detection.conversions import recognised
from detection.data.images import read_image
from detection.errors import InputError
from tests.detection import adelaidet_reference, original_reference, torchvision_reference
from tests.detection.reference_parts import Found, Weights

COCO_TINY = Path(__file__).resolve().parents[3] / "shared" / "data" / "coco-tiny" / "val2017"
SOURCES = {"torchvision": torchvision_reference, "fcos": original_reference, "adelaidet": adelaidet_reference}
SHORT, LONG = 128, 208
"""Sides that images are resized to in these tests, instead of 800 and 1333."""
PER_LEVEL, PER_IMAGE = 200, 1000
"""Candidates and detections, instead of 1000 and 100: so the coarsest level, with two locations, has a say."""


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four sizes, one of them so long that the longer side decides: pieces of photographs where there are some."""
    directory = tmp_path_factory.mktemp("images")
    photographs = sorted(COCO_TINY.glob("*.jpg"))[:4] if COCO_TINY.is_dir() else []
    rng = np.random.default_rng(0)
    paths = []
    for index, (width, height) in enumerate([(170, 128), (128, 201), (260, 130), (97, 90)]):
        path = directory / f"{index}.png"
        if photographs:
            Image.open(photographs[index]).convert("RGB").crop((20, 20, 20 + width, 20 + height)).save(path)
        else:
            coarse = Image.fromarray(rng.integers(0, 256, (7, 9, 3), dtype=np.uint8)).resize((width, height))
            Image.fromarray(np.asarray(coarse) // 2 + rng.integers(0, 128, (height, width, 3), dtype=np.uint8)).save(
                path
            )
        paths.append(path)
    return paths


def converted(source: str, weights: Weights, directory: Path, *flags: str) -> Path:
    """The checkpoint that the program makes of ``weights``, for the small images of these tests."""
    torch.save({"model": weights}, directory / "in.pth")
    assert convert.main([*flags, "--from", source, str(directory / "in.pth"), str(directory / "out.pt")]) == 0
    checkpoint = checkpoints.load(directory / "out.pt")
    config = dataclasses.replace(
        checkpoint.config, short_side=SHORT, max_side=LONG, candidates=PER_LEVEL, max_detections=PER_IMAGE
    )
    checkpoints.save(directory / "small.pt", dataclasses.replace(checkpoint, config=config))
    return directory / "small.pt"


def predicted(checkpoint: Path, images: list[Path], directory: Path) -> list[list[dict[str, Any]]]:
    out = directory / "found.json"
    flags = ["--checkpoint", str(checkpoint), "--out", str(out), "--device", "cpu"]
    assert predict.main([*map(str, images), *flags]) == 0
    found: list[list[dict[str, Any]]] = json.loads(out.read_text())
    return found


def assert_same(got: list[dict[str, Any]], expected: Found, ids: list[int], *, box: float, score: float) -> None:
    """Every detection has its like, with the same label, in the other list: boxes within ``box`` pixels, scores
    within ``score``. Only those that are not better than the last one by more than ``score`` may be missing.
    """
    assert [d["score"] for d in got] == sorted((d["score"] for d in got), reverse=True)
    boxes = torch.tensor([d["bbox"] for d in got])
    scores = torch.tensor([d["score"] for d in got])
    labels = torch.tensor([d["label"] for d in got])
    other = (expected.boxes, expected.scores, torch.tensor(ids)[expected.labels])
    apart = (
        ((boxes[:, None] - other[0]).abs().amax(-1) > box)
        | ((scores[:, None] - other[1]).abs() > score)
        | (labels[:, None] != other[2])
    )
    last = max(float(scores.min()), float(other[1].min())) + score
    for lonely, theirs in ((apart.all(1), scores), (apart.all(0), other[1])):
        assert not (lonely & (theirs > last)).any(), theirs[lonely]
    assert len(got) == len(other[1])


@pytest.mark.parametrize(
    ("source", "depth", "plain", "box", "score"),
    [
        ("torchvision", 18, False, 0.01, 1e-4),
        ("torchvision", 50, False, 0.01, 1e-4),
        ("fcos", 18, False, 0.01, 1e-4),
        ("fcos", 50, False, 0.01, 1e-4),
        ("fcos", 18, True, 0.01, 1e-4),
        ("adelaidet", 18, False, 0.01, 1e-4),
        ("adelaidet", 50, False, 0.01, 1e-4),
    ],
)
def test_what_is_converted_detects_what_its_project_defines(
    source: str, depth: int, plain: bool, box: float, score: float, images: list[Path], tmp_path: Path
) -> None:
    extra = {"plain": True} if plain else {}
    weights = SOURCES[source].random_weights(depth=depth, channels=64, **extra)
    checkpoint = converted(source, weights, tmp_path, *(["--plain"] if plain else []))
    # The first two images have the size that they are resized to: nothing is between the bytes and the network.
    found = predicted(checkpoint, images[:2], tmp_path)
    ids = [category.id for category in checkpoints.load(checkpoint).config.categories]
    sizes = (
        {"min_size": SHORT, "max_size": LONG} if source == "torchvision" else {"short_side": SHORT, "max_side": LONG}
    )
    levels: set[int] = set()
    for path, got in zip(images[:2], found, strict=True):
        expected = SOURCES[source].detect(
            weights, read_image(path), depth=depth, per_level=PER_LEVEL, per_image=PER_IMAGE, **sizes, **extra
        )
        levels |= set(expected.levels.tolist())
        print(source, depth, len(got), expected.levels.bincount().tolist())
        assert_same(got, expected, ids, box=box, score=score)
    assert levels == {0, 1, 2, 3, 4}
