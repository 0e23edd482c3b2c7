"""COCO's measures: the same as the evaluators' own programs give, and what they say where there is nothing to say."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detection import coco_eval
from detection.coco_eval import IOUS, NUMBERS, RECALLS, Found, check, ground_truth, label_map, score
from detection.config import Category
from detection.errors import InputError

EVALUATORS = ("pycocotools", "hotcoco")

REAL = Path(__file__).parents[3] / "shared/data/coco-tiny/annotations/instances_val2017.json"


@pytest.fixture(params=EVALUATORS)
def evaluator(request: pytest.FixtureRequest) -> str:
    pytest.importorskip(request.param)
    return request.param


def write(path: Path, annotations: list[dict[str, Any]], *, images: int = 3) -> Path:
    contents = {
        "images": [{"id": 7 * i, "file_name": f"{i}.jpg", "width": 200, "height": 200} for i in range(images)],
        "categories": [{"id": 9, "name": "cat"}, {"id": 2, "name": "dog"}, {"id": 40, "name": "newt"}],
        "annotations": annotations,
    }
    path.write_text(json.dumps(contents))
    return path


def annotated(id_: int, image: int, category: int, box: list[float], **more: Any) -> dict[str, Any]:
    return {"id": id_, "image_id": image, "category_id": category, "bbox": box, "area": box[2] * box[3], **more}


def found(*rows: tuple[int, int, float, list[float]]) -> Found:
    """Detections from (image, label, score, corners)."""
    images, labels, scores, boxes = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Found(
        np.array(images, dtype=np.int64),
        np.array(labels, dtype=np.int64),
        np.array(boxes, dtype=np.float64).reshape(-1, 4),
        np.array(scores, dtype=np.float64),
    )


def guesses(path: Path, *, seed: int = 0) -> Found:
    """What a middling detector would find: moved boxes, some of another class, some of nothing, some missed."""
    rng = np.random.default_rng(seed)
    contents = json.loads(path.read_text())
    images = sorted(image["id"] for image in contents["images"])
    categories = sorted(category["id"] for category in contents["categories"])
    rows = []
    for one in contents["annotations"]:
        x, y, w, h = one["bbox"]
        for _ in range(rng.integers(0, 4)):
            dx, dy, dw, dh = rng.normal(0, 0.06, 4) * [w, h, w, h]
            label = categories.index(one["category_id"]) if rng.random() < 0.85 else int(rng.integers(len(categories)))
            corners = [x + dx, y + dy, x + dx + max(w + dw, 1), y + dy + max(h + dh, 1)]
            # Few different scores, so that ties are common.
            rows.append((images.index(one["image_id"]), label, round(float(rng.random()), 2), corners))
    rows.sort(key=lambda row: (row[0], -row[2]))
    return found(*rows)


def by_its_own_program(path: Path, detections: Found) -> tuple[np.ndarray, np.ndarray]:
    """The 12 numbers and the precision [T, R, K] as pycocotools has them, from files and by `summarize`."""
    coco, cocoeval = pytest.importorskip("pycocotools.coco"), pytest.importorskip("pycocotools.cocoeval")
    contents = json.loads(path.read_text())
    images = sorted(image["id"] for image in contents["images"])
    categories = sorted(category["id"] for category in contents["categories"])
    with contextlib.redirect_stdout(io.StringIO()):
        objects = coco.COCO(str(path))
        results = objects.loadRes(
            [
                {
                    "image_id": images[image],
                    "category_id": categories[label],
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "score": confidence,
                }
                for image, label, (x1, y1, x2, y2), confidence in zip(*detections[:4], strict=True)
            ]
        )
        run = cocoeval.COCOeval(objects, results, "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    return run.stats, run.eval["precision"][:, :, :, 0, 2]


@pytest.mark.skipif(not REAL.exists(), reason="needs the real annotations in ../shared/data/coco-tiny")
def test_the_12_numbers_of_real_annotations_are_those_of_both_programs(evaluator):
    detections = guesses(REAL)
    stats, precision = by_its_own_program(REAL, detections)
    evaluation = score(ground_truth(REAL), detections, evaluator=evaluator)
    assert list(evaluation.numbers) == list(NUMBERS)
    assert list(evaluation.numbers.values()) == pytest.approx(stats.tolist(), abs=1e-12)
    assert 0.2 < evaluation.numbers["AP"] < 0.8
    assert np.allclose(evaluation.precision, precision, atol=1e-12)


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """Two cats in the first image (one 30 x 30, one 100 x 100), a dog and a crowd of dogs in the second, none else."""
    return write(
        tmp_path / "three.json",
        [
            annotated(1, 0, 9, [10, 10, 30, 30]),
            annotated(5, 0, 9, [60, 60, 100, 100]),
            annotated(3, 7, 2, [0, 0, 50, 50], iscrowd=0),
            annotated(4, 7, 2, [100, 0, 100, 100], iscrowd=1),
        ],
    )


def test_what_is_found_exactly_counts_fully_and_what_is_not_there_not_at_all(three, evaluator):
    # Labels go by the ids: 0 is the dog (2), 1 the cat (9), 2 the newt (40).
    evaluation = score(
        ground_truth(three),
        found((0, 1, 0.9, [10, 10, 40, 40]), (0, 1, 0.8, [60, 60, 160, 160]), (1, 0, 0.7, [0, 0, 50, 50])),
        evaluator=evaluator,
    )
    numbers = evaluation.numbers
    assert numbers["AP"] == numbers["AP50"] == numbers["AR100"] == numbers["AR10"] == pytest.approx(1)
    assert numbers["AR1"] == pytest.approx(0.75)  # one of the two cats, and the dog
    assert numbers["S"] == numbers["M"] == numbers["L"] == pytest.approx(1)
    dog, cat, newt = evaluation.per_class
    assert (dog.category.name, dog.objects, dog.ap, dog.ap50) == ("dog", 1, pytest.approx(1), pytest.approx(1))
    assert (cat.category.id, cat.objects, cat.ap) == (9, 2, pytest.approx(1))
    assert (newt.objects, newt.ap, newt.ap50) == (0, None, None)
    assert evaluation.images == 3


def test_half_found_and_half_wrong_is_worked_out_by_hand(three, evaluator):
    # The dog has an IoU of .8 (40 of 50 pixels wide): found at IoU .5 to .8, in 7 of 10. One cat is found, below a box
    # of nothing: precision 1/2 up to recall 1/2, which is 51 of 101 recalls.
    evaluation = score(
        ground_truth(three),
        found((0, 1, 0.9, [150, 0, 190, 40]), (0, 1, 0.8, [10, 10, 40, 40]), (1, 0, 0.7, [0, 0, 40, 50])),
        evaluator=evaluator,
    )
    cat = 0.5 * 51 / 101
    dog, cats, _ = evaluation.per_class
    assert dog.ap == pytest.approx(0.7)
    assert dog.ap50 == pytest.approx(1.0)
    assert cats.ap == pytest.approx(cat)
    assert evaluation.numbers["AP"] == pytest.approx((0.7 + cat) / 2)
    assert evaluation.numbers["AR100"] == pytest.approx((0.7 + 0.5) / 2)


def test_boxes_in_a_crowd_are_neither_right_nor_wrong(three, evaluator):
    exact = (1, 0, 0.5, [0.0, 0.0, 50.0, 50.0])
    inside = [(1, 0, 0.9, [110.0 + 9 * i, 10.0, 118.0 + 9 * i, 50.0]) for i in range(5)]
    with_crowd = score(ground_truth(three), found(*inside, exact), evaluator=evaluator)
    assert with_crowd.per_class[0].ap == pytest.approx(1)
    elsewhere = score(ground_truth(three), found((1, 0, 0.9, [0, 100, 50, 150]), exact), evaluator=evaluator)
    assert elsewhere.per_class[0].ap == pytest.approx(0.5)


def test_nothing_found_is_zero_where_there_are_objects_and_undefined_elsewhere(three, evaluator):
    evaluation = score(ground_truth(three), found(), evaluator=evaluator)
    assert set(evaluation.numbers.values()) == {0.0}
    assert [result.ap for result in evaluation.per_class] == [0.0, 0.0, None]
    only_large = write(three.with_name("large.json"), [annotated(1, 0, 9, [0, 0, 150, 150])])
    large = score(ground_truth(only_large), found(), evaluator=evaluator).numbers
    assert (large["S"], large["M"], large["L"], large["ARs"], large["ARl"]) == (None, None, 0.0, None, 0.0)


def test_a_set_without_objects_has_no_numbers(three, evaluator):
    empty = write(three.with_name("empty.json"), [])
    for detections in (found(), found((0, 1, 0.9, [0, 0, 10, 10]))):
        evaluation = score(ground_truth(empty), detections, evaluator=evaluator)
        assert set(evaluation.numbers.values()) == {None}
        assert (evaluation.precision == -1).all()
        json.dumps(evaluation.to_json(), allow_nan=False)


def test_an_annotation_and_an_image_with_the_id_0_count_as_any_other(tmp_path, evaluator):
    # pycocotools itself takes a match with annotation 0 for none.
    path = write(tmp_path / "zero.json", [annotated(0, 0, 9, [10, 10, 50, 50])])
    evaluation = score(ground_truth(path), found((0, 1, 0.9, [10, 10, 60, 60])), evaluator=evaluator)
    assert evaluation.numbers["AP"] == pytest.approx(1)


def test_annotations_without_area_are_as_large_as_their_boxes(tmp_path, evaluator):
    annotation = annotated(1, 0, 9, [10, 10, 20, 20])
    del annotation["area"]
    path = write(tmp_path / "no_area.json", [annotation])
    numbers = score(ground_truth(path), found((0, 1, 0.9, [10, 10, 30, 30])), evaluator=evaluator).numbers
    assert (numbers["S"], numbers["M"]) == (pytest.approx(1), None)


def test_measuring_leaves_what_is_to_be_found_as_it_was(three, evaluator):
    truth = ground_truth(three)
    detections = found((0, 1, 0.9, [10, 10, 40, 40]))
    before = json.dumps(truth.coco)
    first = score(truth, detections, evaluator=evaluator)
    assert json.dumps(truth.coco) == before
    assert score(truth, detections, evaluator=evaluator).numbers == first.numbers


def test_nothing_is_printed(three, evaluator, capfd):
    score(ground_truth(three), found((0, 1, 0.9, [10, 10, 40, 40])), evaluator=evaluator)
    assert capfd.readouterr() == ("", "")


def test_a_wrong_mask_is_as_large_as_its_pixels_not_as_its_box(tmp_path, evaluator):
    mask = pytest.importorskip("pycocotools.mask")
    thing = [100, 100, 120, 100, 120, 120, 100, 120]
    path = write(tmp_path / "small.json", [annotated(1, 0, 9, [100, 100, 20, 20], segmentation=[thing])])
    right, wrong = np.zeros((2, 200, 200), dtype=np.uint8)
    right[100:120, 100:120] = 1
    wrong[5:10, 5:45] = wrong[5:45, 5:10] = 1  # 375 pixels are small, though the box of 40 x 40 is not
    rows = [(0, 1, 0.9, [5, 5, 45, 45]), (0, 1, 0.8, [100, 100, 120, 120])]
    masks = [mask.encode(np.asfortranarray(pixels)) for pixels in (wrong, right)]
    numbers = score(
        ground_truth(path, iou_type="segm"), found(*rows)._replace(masks=masks), evaluator=evaluator
    ).numbers
    assert numbers["S"] == pytest.approx(0.5)
    assert numbers["AP"] == pytest.approx(0.5)
    nothing = score(ground_truth(path, iou_type="segm"), found()._replace(masks=[]), evaluator=evaluator).numbers
    assert nothing["S"] == 0


def test_polygons_of_two_corners_have_no_inside(tmp_path, evaluator):
    thing = [10, 10, 50, 10, 50, 50, 10, 50]
    annotations = [
        annotated(1, 0, 9, [10, 10, 40, 40], segmentation=[[1, 1, 5, 5], thing]),
        annotated(2, 0, 9, [80, 80, 9, 9], segmentation=[[80, 80, 89, 89]]),
    ]
    mask = pytest.importorskip("pycocotools.mask")
    pixels = np.zeros((200, 200), dtype=np.uint8)
    pixels[10:50, 10:50] = 1
    truth = ground_truth(write(tmp_path / "thin.json", annotations), iou_type="segm")
    detections = found((0, 1, 0.9, [10, 10, 50, 50]))._replace(masks=[mask.encode(np.asfortranarray(pixels))])
    assert score(truth, detections, evaluator=evaluator).numbers["AR100"] == pytest.approx(0.5)


def test_masks_are_measured_by_their_pixels(tmp_path, evaluator):
    mask = pytest.importorskip("pycocotools.mask")
    # An L of three quarters of its box, 40 x 40: a box's mask overlaps it by 3/4.
    corner = [10, 10, 50, 10, 50, 30, 30, 30, 30, 50, 10, 50]
    path = write(tmp_path / "mask.json", [annotated(1, 0, 9, [10, 10, 40, 40], segmentation=[corner])])
    truth = ground_truth(path, iou_type="segm")
    whole, shape = np.zeros((2, 200, 200), dtype=np.uint8)
    whole[10:50, 10:50] = 1
    shape[10:50, 10:50] = 1
    shape[30:50, 30:50] = 0
    for pixels, expected in ((shape, 1.0), (whole, 0.6)):  # found at IoU .5 to .75
        detections = found((0, 1, 0.9, [10, 10, 50, 50]))._replace(masks=[mask.encode(np.asfortranarray(pixels))])
        evaluation = score(truth, detections, evaluator=evaluator)
        assert evaluation.iou_type == "segm"
        assert evaluation.numbers["AP"] == pytest.approx(expected)
        assert "segm" in evaluation.to_json()
    # More masks than a byte counts are measured as well.
    several = [(0, 1, 0.9 - 0.001 * at, [10, 10, 50, 50]) for at in range(300)]
    many = found(*several)._replace(masks=[mask.encode(np.asfortranarray(shape))] * 300)
    assert score(truth, many, evaluator=evaluator).numbers["AP"] == pytest.approx(1)
    with pytest.raises(ValueError, match="masks"):
        score(truth, found((0, 1, 0.9, [10, 10, 50, 50])), evaluator=evaluator)


def test_masks_of_annotations_without_them_are_refused(three):
    with pytest.raises(InputError, match=r"three\.json: annotation 1 has no segmentation"):
        ground_truth(three, iou_type="segm")


def test_labels_are_mapped_by_category_ids():
    model = [Category(9, "cat"), Category(90, "fox"), Category(2, "dog")]
    assert label_map(model, [Category(2, "dog"), Category(9, "cat"), Category(40, "newt")]).tolist() == [1, -1, 0]


def test_categories_that_share_nothing_are_refused():
    with pytest.raises(InputError, match=r"have the ids 1, 2, 3, \.\.\., those of the data 40, and none is the same"):
        label_map([Category(i, str(i)) for i in range(1, 10)], [Category(40, "newt")])


def test_an_evaluator_that_is_not_installed_is_refused_with_how_to_install_it(monkeypatch):
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(coco_eval.importlib, "import_module", missing)
    with pytest.raises(InputError, match=r"evaluator is hotcoco, .*pip install 'dimensional-views\[eval\]'"):
        check("hotcoco")
    with pytest.raises(InputError, match=r"evaluator is pycocotools, .*pip install pycocotools"):
        check("pycocotools")


def test_json_has_ids_where_names_are_not_enough(tmp_path):
    pytest.importorskip("pycocotools")
    path = write(tmp_path / "names.json", [annotated(1, 0, 9, [10, 10, 50, 50])])
    contents = json.loads(path.read_text())
    for category in contents["categories"][1:]:
        category["name"] = "N/A"
    path.write_text(json.dumps(contents))
    said = score(ground_truth(path), found((0, 1, 0.9, [10, 10, 60, 60]))).to_json()
    assert said["per_class"] == {"N/A (2)": None, "cat": pytest.approx(1), "N/A (40)": None}
    assert said["bbox"]["AP"] == pytest.approx(1)
    assert said["bbox"]["S"] is None


def test_the_axes_are_those_of_the_evaluator():
    params = pytest.importorskip("pycocotools.cocoeval").Params(iouType="bbox")
    assert np.allclose(params.iouThrs, IOUS)
    assert np.allclose(params.recThrs, RECALLS)
    assert params.maxDets == [1, 10, 100]
    assert params.areaRngLbl == ["all", "small", "medium", "large"]
