"""What each way of saying masks can reach: of shapes whose answer is known, and of bad input."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from detection import ceilings, command_line
from detection.ceilings import CeilingsConfig, shares, ways_of
from detection.data.coco import CocoDataset
from tests.detection.data.tiny import annotation, write_annotations, write_set

SPLIT = "val2017"


def circle(x: float, y: float, radius: float, *, inner: float = 0.0) -> list[list[float]]:
    """The outline of a disc as a polygon; with an inner radius, of a C that is nearly a ring."""
    around = np.linspace(0.05, 2 * np.pi - 0.05, 90) if inner else np.linspace(0, 2 * np.pi, 90, endpoint=False)
    points = np.stack([np.cos(around), np.sin(around)], axis=1)
    outline = np.concatenate([radius * points, inner * points[::-1]]) if inner else radius * points
    return [(outline + np.array([x, y])).ravel().tolist()]


def square(x: float, y: float, side: float) -> list[float]:
    return [x, y, x + side, y, x + side, y + side, x, y + side]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A disc (ant), a ring (cat), and two squares that are one object (yak), each in an image of its own."""
    shapes = {
        1: (3, [20, 20, 80, 80], circle(60, 60, 40)),
        2: (7, [20, 20, 80, 80], circle(60, 60, 40, inner=30)),
        3: (90, [10, 10, 100, 40], [square(10, 10, 40), square(80, 20, 30)]),
    }
    annotations = [
        annotation(number, number, box, category, segmentation=outline)
        for number, (category, box, outline) in shapes.items()
    ]
    sizes = {1: (120, 120), 2: (120, 120), 3: (120, 100), 4: (50, 50)}
    return write_set(tmp_path_factory.mktemp("set"), sizes, annotations, split=SPLIT)


def found(root: Path, *flags: object) -> dict[str, dict[str, float]]:
    out = root / "ceilings.json"
    args = ["--data", str(root), "--short-side", "240", "--max-side", "400", "--out", str(out), *map(str, flags)]
    assert ceilings.main(args) == 0
    rows = json.loads(out.read_text())["ceilings"]
    return {row["name"]: row for row in rows}


def test_more_rays_reach_more_but_never_a_ring_or_a_second_part(root: Path, capsys: pytest.CaptureFixture[str]):
    rows = found(root, "--rays", 6, 36, 90, "--strides", 2, 16)
    few, many, more = (rows[f"polar, {n} rays"] for n in (6, 36, 90))
    assert few["mean_iou"] < many["mean_iou"] <= more["mean_iou"] + 0.005
    # The ring is said as a disc, of which it is 7/16, and the pair as the larger of its squares, which is .64 of it.
    assert more["mean_iou"] == pytest.approx((1 + 7 / 16 + 0.64) / 3, abs=0.02)
    assert rows["polar, 36 rays, all parts"]["mean_iou"] != pytest.approx(many["mean_iou"], abs=0.005)
    assert rows["grid, stride 2"]["mean_iou"] > 0.97 > rows["grid, stride 16"]["mean_iou"]
    assert rows["grid, stride 2"]["AP"] == pytest.approx(1)
    table = capsys.readouterr().out.splitlines()
    assert table[0].split() == ["AP", "AP50", "AP75", "S", "M", "L", "IoU"]
    assert len(table) == 1 + len(rows)


def test_the_evaluators_agree(root: Path):
    pytest.importorskip("hotcoco")
    rows = [found(root, "--rays", 12, "--strides", 8, "--evaluator", name) for name in ("pycocotools", "hotcoco")]
    assert rows[0] == rows[1]


def test_a_curve_is_drawn(root: Path, tmp_path: Path):
    pytest.importorskip("matplotlib")
    found(root, "--rays", 8, 36, "--strides", 4, "--curve", tmp_path / "c.svg")
    drawn = (tmp_path / "c.svg").read_text()
    assert "AP of masks, said exactly" in drawn
    assert "grid of stride 4" in drawn


def test_crowds_and_images_without_objects_are_no_part_of_it(root: Path, tmp_path: Path):
    whole = json.loads((root / "annotations" / f"instances_{SPLIT}.json").read_text())
    whole["annotations"][2] |= {"iscrowd": 1, "segmentation": {"size": [100, 120], "counts": [0, 6000, 6000]}}
    write_annotations(tmp_path, whole, split=SPLIT)
    for image in (root / SPLIT).iterdir():
        (tmp_path / SPLIT / image.name).write_bytes(image.read_bytes())
    rows = found(tmp_path, "--rays", 90, "--strides", 2)
    assert rows["polar, 90 rays"]["mean_iou"] == pytest.approx((1 + 7 / 16) / 2, abs=0.02)


def test_all_that_is_asked_for_is_measured():
    names = list(ways_of(CeilingsConfig(data=Path("d"), rays=(8, 36), strides=(4,))))
    assert names == [
        "polar, 8 rays",
        "polar, 36 rays",
        "polar, 36 rays, all parts",
        "polar, 36 rays, from the box's middle",
        "grid, stride 4",
        "grid, stride 4, as sampled",
    ]
    none = CeilingsConfig(data=Path("d"), rays=(), strides=(4,))
    assert list(ways_of(none)) == ["grid, stride 4", "grid, stride 4, as sampled"]


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_shares_are_means_around_locations(stride: int):
    ramp = torch.arange(24.0).expand(1, 12, 24)
    # A ramp's mean is its value in the middle: pixel i reaches from i to i + 1, a location lies at k s + s // 2.
    found = shares(ramp, stride)
    assert found.shape == (1, 12 // stride, 24 // stride)
    expected = torch.arange(24.0 // stride) * stride + (stride // 2 if stride % 2 == 0 else (stride - 1) / 2)
    torch.testing.assert_close(found[0, 0, :-1], expected[:-1])


def test_shares_read_back_better_than_bits(root: Path):
    rows = found(root, "--rays", 8, "--strides", 8)
    assert rows["grid, stride 8"]["mean_iou"] > rows["grid, stride 8, as sampled"]["mean_iou"] + 0.01


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--rays", "2"], "rays is (2,); give numbers from 3 to 360"),
        (["--strides", "0"], "strides is (0,); give numbers from 1 to 128"),
        (["--short-side", "2000"], "short_side is 2000; give a number from 1 to max_side 1333"),
        (["--split", "nowhere"], "instances_nowhere.json is missing"),
        (["--out", "nowhere/o.json"], "out is nowhere/o.json"),
        (["--rays", "--curve", "c.svg"], "curve is given, but there are no rays"),
    ],
)
def test_bad_input_is_one_sentence(
    root: Path, flags: Sequence[str], complaint: str, capsys: pytest.CaptureFixture[str]
):
    assert command_line.run(lambda: ceilings.main(["--data", str(root), *flags]), prog="ceilings") == 2
    said = capsys.readouterr().err
    assert complaint in said
    assert said.count("\n") == 1


def test_objects_without_masks_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    bare = write_set(tmp_path, {1: (20, 20)}, [annotation(5, 1, [2, 2, 9, 9])], split=SPLIT)
    assert command_line.run(lambda: ceilings.main(["--data", str(bare)]), prog="ceilings") == 2
    assert "annotation 5 has no segmentation" in capsys.readouterr().err
    assert CocoDataset(bare, SPLIT).without_mask == [5]
