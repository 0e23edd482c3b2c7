"""The drawn set: a function of its seed, true to its pixels, and never half there."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pycocotools import mask as run_lengths

from detection.data import shapes
from detection.data.coco import CocoDataset
from detection.data.scenes import CATEGORIES, scene
from detection.data.shapes import Shapes, draw
from detection.errors import InputError


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    out = tmp_path_factory.mktemp("sets") / "shapes"
    draw(Shapes(out=out, images=12, val_images=3, size=96, workers=1))
    return out


def contents(root, split="train2017"):
    return json.loads((root / "annotations" / f"instances_{split}.json").read_text())


def test_the_set_is_one_that_the_bench_reads(drawn):
    dataset = CocoDataset(drawn, "train2017")
    assert len(dataset.images) == 12
    assert dataset.categories == CATEGORIES
    assert len(CocoDataset(drawn, "val2017").images) == 3
    for index, info in enumerate(dataset.images):
        assert dataset.read(index).shape == (3, info.height, info.width)


def test_boxes_areas_and_masks_are_those_of_the_visible_pixels(drawn):
    dataset = CocoDataset(drawn, "train2017")
    n = 0
    for index in range(12):
        found = scene((0, 0, index), size=96).found
        annotations, masks = dataset.annotations(index), dataset.masks(index)
        assert len(found) == len(masks) == len(annotations.labels)
        for object_, mask, box in zip(found, masks.numpy(), annotations.boxes.tolist(), strict=True):
            assert (mask.astype(bool) == object_.mask).all()
            rows, columns = np.nonzero(object_.mask)
            assert box == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            n += 1
    assert n > 20


def test_a_larger_set_begins_with_the_images_of_a_smaller_one(drawn, tmp_path):
    draw(Shapes(out=tmp_path / "few", images=2, val_images=1, size=96, workers=2))
    for name in ("000000000001.jpg", "000000000002.jpg"):
        assert (tmp_path / "few/train2017" / name).read_bytes() == (drawn / "train2017" / name).read_bytes()
    few, many = contents(tmp_path / "few")["annotations"], contents(drawn)["annotations"]
    assert few == many[: len(few)]


def test_training_and_validation_images_differ(drawn):
    first = "000000000001.jpg"
    assert (drawn / "train2017" / first).read_bytes() != (drawn / "val2017" / first).read_bytes()


def test_plain_run_lengths_of_a_crowd_are_its_mask():
    generator = np.random.default_rng(0)
    for _ in range(20):
        mask = generator.random((7, 5)) < 0.5
        packed = run_lengths.frPyObjects({"size": [7, 5], "counts": shapes._runs(mask)}, 7, 5)
        assert (run_lengths.decode(packed).astype(bool) == mask).all()


def test_a_directory_with_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match=r"holds thesis\.txt and so is no set of shapes; give an empty directory"):
        draw(Shapes(out=tmp_path, images=1))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_set_whose_second_annotations_were_only_begun_is_drawn_over(tmp_path):
    draw(Shapes(out=tmp_path, images=1, val_images=1, size=64, workers=1))
    notes = tmp_path / "annotations"
    (notes / "instances_val2017.json").unlink()
    (notes / ".0123456789abcdef.tmp").touch()  # of a program that was killed while it wrote them
    draw(Shapes(out=tmp_path, images=1, val_images=1, size=64, workers=1))
    assert sorted(path.name for path in notes.iterdir()) == ["instances_train2017.json", "instances_val2017.json"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("annotations/instances_val2017.json", '{"info": {"description": "COCO 2017 Dataset"}'),
        ("annotations/captions_val2017.json", ""),
        ("val2017/000000000139.jpg", "an image without annotations"),
    ],
)
def test_a_set_that_was_not_drawn_is_left_alone(tmp_path, name, text):
    for folder in shapes.SUBFOLDERS:
        (tmp_path / folder).mkdir()
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=f"holds {name} and so is no set of shapes"):
        draw(Shapes(out=tmp_path, images=1, size=64, workers=1))
    assert (tmp_path / name).read_text() == text


def test_a_drawn_set_is_drawn_over(tmp_path):
    draw(Shapes(out=tmp_path, images=3, val_images=1, size=64, workers=1))
    draw(Shapes(out=tmp_path, images=2, val_images=1, size=64, workers=1))
    assert len(list((tmp_path / "train2017").iterdir())) == 2
    names = ["instances_train2017.json", "instances_val2017.json"]
    assert sorted(path.name for path in (tmp_path / "annotations").iterdir()) == names


def test_an_interrupted_set_is_not_taken_for_a_whole_one(tmp_path, monkeypatch):
    draw(Shapes(out=tmp_path, images=1, size=64, workers=1))

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(shapes, "annotation_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        draw(Shapes(out=tmp_path, images=1, size=64, workers=1))
    with pytest.raises(InputError):
        CocoDataset(tmp_path, "train2017")
    monkeypatch.undo()
    draw(Shapes(out=tmp_path, images=1, size=64, workers=1))
    assert len(CocoDataset(tmp_path, "train2017").images) == 1


@pytest.mark.parametrize(
    ("field", "value"), [("images", 0), ("val_images", 0), ("size", 8), ("seed", -1), ("workers", -1)]
)
def test_what_cannot_be_drawn_is_refused(tmp_path, field, value):
    fields = {"out": tmp_path, "images": 1, field: value}
    with pytest.raises(InputError, match=f"{field} is {value}; give a number from"):
        Shapes(**fields)


def test_what_a_killed_program_had_only_begun_to_draw_goes(tmp_path):
    (tmp_path / "train2017").mkdir()
    (tmp_path / "train2017" / ".0123456789abcdef.tmp").write_bytes(b"half of an image")
    shapes.draw(shapes.Shapes(out=tmp_path, images=1, val_images=1, size=64, workers=1))
    assert [path.name for path in (tmp_path / "train2017").iterdir()] == ["000000000001.jpg"]
