"""Sets in COCO's format: what is read of them, and one sentence for each way in which they can be wrong."""

from __future__ import annotations

import json
import math
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pycocotools import mask

from detection.config import Category
from detection.data.coco import CocoDataset
from detection.errors import InputError
from tests.detection.data.tiny import SPLIT, annotation, contents, write_annotations, write_set

SHARED = Path(__file__).parents[4] / "shared" / "data" / "coco-tiny"
SQUARE = [[2, 3, 8, 3, 8, 9, 2, 9]]


def test_images_and_categories_are_sorted_by_id_and_labels_have_no_holes(tmp_path: Path) -> None:
    boxes = [annotation(i, image, [1, 1, 5, 5], category) for i, image, category in ((5, 9, 90), (4, 2, 3), (8, 9, 7))]
    dataset = CocoDataset(write_set(tmp_path, {9: (20, 10), 2: (12, 14)}, boxes), SPLIT)
    assert [image.id for image in dataset.images] == [2, 9]
    assert dataset.categories == (Category(3, "ant"), Category(7, "cat"), Category(90, "yak"))
    assert dataset.annotations(0).labels.tolist() == [0]
    assert dataset.annotations(1).labels.tolist() == [2, 1]
    assert dataset.annotations(1).ids.tolist() == [5, 8]
    assert len(dataset) == 2
    assert dataset.annotation_file == tmp_path / "annotations" / "instances_train.json"


def test_boxes_are_clipped_and_those_without_area_are_dropped_and_counted(tmp_path: Path) -> None:
    boxes = {
        1: [0, 0, 20, 10],
        2: [-5, -5, 8, 9],  # out above and on the left
        3: [15, 8, 100, 100],
        4: [3, 3, 1, 1],  # one pixel
        5: [25, 3, 4, 4],  # outside
        6: [20, 0, 5, 5],  # begins where the image ends
        7: [4, 4, 0, 5],
        8: [4, 4, 5, 0],
        9: [1e30, 1e30, 1e30, 1e30],
        10: [-1e200, 2, 2e200, 3],  # the ends do not fit into 32 bits
        11: [5, 5, 1e-12, 3],  # no width that 32 bits could tell
    }
    root = write_set(tmp_path, {1: (20, 10)}, [annotation(i, 1, box) for i, box in boxes.items()])
    dataset = CocoDataset(root, SPLIT)
    found = dataset.annotations(0)
    assert dataset.dropped == (5, 6, 7, 8, 9, 11)
    assert found.ids.tolist() == [1, 2, 3, 4, 10]
    expected = [[0, 0, 20, 10], [0, 0, 3, 4], [15, 8, 20, 10], [3, 3, 4, 4], [0, 2, 20, 5]]
    assert found.boxes.dtype == torch.float32
    assert found.boxes.tolist() == expected


def test_crowds_and_images_without_objects_are_told(tmp_path: Path) -> None:
    crowd = annotation(1, 1, [0, 0, 5, 5]) | {"iscrowd": 1}
    boxes = [crowd, annotation(2, 2, [0, 0, 5, 5]), crowd | {"id": 3, "image_id": 2}, annotation(4, 3, [90, 0, 5, 5])]
    dataset = CocoDataset(write_set(tmp_path, dict.fromkeys((1, 2, 3, 4), (10, 10)), boxes), SPLIT)
    assert [dataset.has_objects(index) for index in range(4)] == [False, True, False, False]
    assert dataset.with_objects == [1]
    assert dataset.annotations(1).crowd.tolist() == [False, True]
    empty = dataset.annotations(3)
    assert (empty.boxes.shape, empty.labels.shape, empty.segmentations) == ((0, 4), (0,), [])
    assert dataset.masks(3).shape == (0, 10, 10)


def test_fields_that_a_detector_can_do_without_may_be_missing(tmp_path: Path) -> None:
    bare = {"id": 1, "image_id": 1, "bbox": [5, 5, 9, 3], "category_id": 3}
    said = annotation(2, 1, [1, 1, 5, 5], area=7.5, segmentation=SQUARE)
    found = CocoDataset(write_set(tmp_path, {1: (10, 10)}, [bare, said]), SPLIT).annotations(0)
    assert found.crowd.tolist() == [False, False]
    assert found.areas.tolist() == [15, 7.5]  # of the clipped box; as annotated
    assert found.segmentations == [None, SQUARE]


def test_masks_of_polygons_and_both_kinds_of_run_lengths(tmp_path: Path) -> None:
    lengths = {"size": [10, 10], "counts": [25, 3, 72]}
    compressed = {"size": [10, 10], "counts": "i03X2"}  # the same
    shapes = [SQUARE, lengths, compressed, [*SQUARE, [0, 0, 2, 0, 2, 2, 0, 2]]]
    boxes = [annotation(i, 1, [2, 3, 6, 6], segmentation=shape) for i, shape in enumerate(shapes)]
    boxes[1]["iscrowd"] = 1
    dataset = CocoDataset(write_set(tmp_path, {1: (10, 10)}, boxes), SPLIT)
    masks = dataset.masks(0)
    assert masks.dtype == torch.uint8
    assert masks.sum(dim=(1, 2)).tolist() == [36, 3, 3, 40]
    assert masks[0, 3:9, 2:8].all()
    assert torch.equal(masks[1], masks[2])
    assert masks[1, 5:8, 2].all()
    assert torch.equal(dataset.masks(0, crowd=False), masks[[0, 2, 3]])


def test_the_size_of_a_mask_is_in_whole_numbers_even_where_the_file_has_others(tmp_path: Path) -> None:
    lengths = {"size": [10.0, 10.0], "counts": [25, 3, 72]}
    root = write_set(tmp_path, {1: (10, 10)}, [annotation(1, 1, [2, 3, 6, 6], segmentation=lengths)])
    (found,) = CocoDataset(root, SPLIT).annotations(0).segmentations
    assert mask.area(mask.frPyObjects(found, 10, 10)) == 3, "pycocotools takes no others"


def test_a_mask_that_an_annotation_lacks_is_asked_for_by_name(tmp_path: Path) -> None:
    boxes = [annotation(5, 1, [1, 1, 5, 5], segmentation=SQUARE), annotation(6, 1, [1, 1, 5, 5], segmentation=[])]
    dataset = CocoDataset(write_set(tmp_path, {1: (10, 10)}, boxes), SPLIT)
    assert dataset.without_mask == [6]
    with pytest.raises(InputError, match=r"instances_train\.json: annotation 6 has no segmentation"):
        dataset.masks(0)


def test_a_set_travels_to_processes_that_are_not_forked(tmp_path: Path) -> None:
    dataset = CocoDataset(
        write_set(tmp_path, {1: (10, 10)}, [annotation(5, 1, [1, 1, 5, 5], segmentation=SQUARE)]), SPLIT
    )
    other = pickle.loads(pickle.dumps(dataset))
    assert other.annotations(0).segmentations == [SQUARE]
    assert torch.equal(other.read(0), dataset.read(0))


def test_an_index_beyond_the_images_is_a_defect_of_the_program(tmp_path: Path) -> None:
    dataset = CocoDataset(write_set(tmp_path, {1: (10, 10)}, []), SPLIT)
    for index in (1, -1):
        with pytest.raises(IndexError):
            dataset.annotations(index)


# ---- what is wrong with a file

Spoil = Callable[[dict[str, Any]], Any]


def whole() -> dict[str, Any]:
    boxes = [annotation(11, 1, [1, 1, 5, 5]), annotation(12, 2, [1, 1, 5, 5], segmentation=SQUARE)]
    return contents({1: (20, 10), 2: (12, 14)}, boxes)


def without(*path: str | int) -> Spoil:
    def spoil(file: dict[str, Any]) -> Any:
        place: Any = file
        for step in path[:-1]:
            place = place[step]
        del place[path[-1]]
        return file

    return spoil


def with_(value: Any, *path: str | int) -> Spoil:
    def spoil(file: dict[str, Any]) -> Any:
        place: Any = file
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value
        return file

    return spoil


def bbox(value: Any) -> Spoil:
    return with_(value, "annotations", 0, "bbox")


BROKEN: dict[str, tuple[Spoil, str]] = {
    "no JSON": (lambda _: b"{images: []", "is not JSON (Expecting property name"),
    "an empty file": (lambda _: b"", "is not JSON (Expecting value"),
    "a file cut off": (lambda file: json.dumps(file).encode()[:-20], "is not JSON ("),
    "no text": (lambda _: b"\xff\xd8\xff\xe0 JFIF", "is not JSON ('utf-8' codec"),
    "endless lists": (lambda _: b"[" * 100_000, "is not JSON ("),
    "a number of endless digits": (lambda _: b"1" * 10_000, "is not JSON ("),
    "a list": (lambda _: [], "holds a list; COCO's format is an object"),
    "null": (lambda _: None, "holds null; COCO's format is an object"),
    "no images": (without("images"), "has no images; COCO's format is"),
    "no annotations": (without("annotations"), "has no annotations; COCO's format is"),
    "no categories": (without("categories"), "has no categories; COCO's format is"),
    "images that are no list": (with_({}, "images"), "has images that are an object; give a list"),
    "annotations that are no list": (with_("x", "annotations"), "has annotations that are a text; give a list"),
    "categories that are no list": (with_(3, "categories"), "has categories that are a number; give a list"),
    "not one image": (with_([], "images"), "has no images; give at least one"),
    "not one category": (with_([], "categories"), "has no categories; give at least one"),
    "an image that is none": (with_([7], "images"), "image number 1 of the file is a number; give an object"),
    "an annotation that is none": (with_(True, "annotations", 1), "annotation number 2 of the file is true or false"),
    "a category that is none": (with_([], "categories", 2), "category number 3 of the file is a list"),
    "an image without an id": (without("images", 1, "id"), "image number 2 of the file has no id"),
    "an image with a text for an id": (
        with_("7", "images", 1, "id"),
        'image number 2 of the file has the id "7"; give',
    ),
    "an image with half an id": (with_(7.5, "images", 0, "id"), "image number 1 of the file has the id 7.5"),
    "an id that is true": (with_(True, "images", 0, "id"), "has the id true; give a whole number"),
    "an id beyond 64 bits": (with_(2**63, "annotations", 0, "id"), "has the id 9223372036854775808"),
    "two images of one id": (with_(2, "images", 0, "id"), "image 2 is there twice"),
    "two annotations of one id": (with_(11, "annotations", 1, "id"), "annotation 11 is there twice"),
    "two categories of one id": (with_(7, "categories", 2, "id"), "category 7 is there twice"),
    "an image without a file": (without("images", 0, "file_name"), "image 1 has no file_name"),
    "a file name that is none": (with_(3, "images", 0, "file_name"), "image 1 has the file_name 3; give a text"),
    "an empty file name": (with_("", "images", 0, "file_name"), 'image 1 has the file_name ""; give a text'),
    "a file name that ends early": (with_("a\0b", "images", 0, "file_name"), "image 1 has the file_name"),
    "an image without a width": (without("images", 0, "width"), "image 1 has no width"),
    "an image of no height": (with_(0, "images", 0, "height"), "image 1 has the height 0; give a whole number from 1"),
    "an image of negative width": (with_(-20, "images", 0, "width"), "image 1 has the width -20"),
    "an image of half a pixel": (with_(20.5, "images", 0, "width"), "image 1 has the width 20.5"),
    "an image that no memory holds": (with_(10**9, "images", 0, "width"), "image 1 has the width 1000000000"),
    "a category without a name": (without("categories", 0, "name"), "category 7 has no name"),
    "a category of a wrong name": (with_(["x"], "categories", 0, "name"), "category 7 has the name ['x']; give a text"),
    "an unknown image": (
        with_(3, "annotations", 0, "image_id"),
        "annotation 11 has the image_id 3; give the id of one",
    ),
    "a list for an image": (with_([1], "annotations", 0, "image_id"), "annotation 11 has the image_id [1]"),
    "no image": (without("annotations", 0, "image_id"), "annotation 11 has no image_id"),
    "an unknown category": (with_(4, "annotations", 0, "category_id"), "annotation 11 has the category_id 4; give the"),
    "a category by name": (with_("ant", "annotations", 0, "category_id"), 'annotation 11 has the category_id "ant"'),
    "no category": (without("annotations", 0, "category_id"), "annotation 11 has no category_id"),
    "no box": (without("annotations", 0, "bbox"), "annotation 11 has no bbox"),
    "a box of three numbers": (bbox([1, 2, 3]), "annotation 11 has the bbox [1, 2, 3]; give four finite numbers"),
    "a box of five numbers": (bbox([1, 2, 3, 4, 5]), "annotation 11 has the bbox [1, 2, 3, 4, 5]; give four"),
    "a box of texts": (bbox(["1", 2, 3, 4]), "annotation 11 has the bbox ['1', 2, 3, 4]; give four finite numbers"),
    "a box of true": (bbox([1, 2, 3, True]), "annotation 11 has the bbox [1, 2, 3, True]; give four finite numbers"),
    "a box of null": (bbox(None), "annotation 11 has the bbox null; give four finite numbers"),
    "a box as an object": (bbox({"x": 1}), "annotation 11 has the bbox {'x': 1}; give four finite numbers"),
    "a box with NaN": (
        bbox([1, math.nan, 3, 4]),
        "annotation 11 has the bbox [1, nan, 3, 4]; give four finite numbers",
    ),
    "a box without end": (bbox([1, 2, math.inf, 4]), "annotation 11 has the bbox [1, 2, inf, 4]; give four finite"),
    "a box of an endless number": (bbox([1, 2, 10**400, 4]), "annotation 11 has the bbox [1, 2, 1000"),
    "a box of negative width": (bbox([9, 2, -3, 4]), "annotation 11 has the bbox [9, 2, -3, 4] of a negative size"),
    "a box of negative height": (
        bbox([9, 2, 3, -0.5]),
        "annotation 11 has the bbox [9, 2, 3, -0.5] of a negative size",
    ),
    "a crowd of two": (with_(2, "annotations", 0, "iscrowd"), "annotation 11 has the iscrowd 2; give 0 or 1"),
    "a crowd in words": (with_("no", "annotations", 0, "iscrowd"), 'annotation 11 has the iscrowd "no"; give 0 or 1'),
    "a negative area": (with_(-1, "annotations", 0, "area"), "annotation 11 has the area -1; give a number"),
    "an area that is NaN": (with_(math.nan, "annotations", 0, "area"), "annotation 11 has the area nan; give a number"),
    "half a polygon": (
        with_([[1, 2, 3]], "annotations", 1, "segmentation"),
        "annotation 12 has a segmentation that has a polygon of 3 numbers",
    ),
    "a mask of another size": (
        with_({"size": [12, 14], "counts": [168]}, "annotations", 1, "segmentation"),
        "annotation 12 has a segmentation that has the size [12, 14], not that of its image, [14, 12]",
    ),
    "a mask that is too short": (
        with_({"size": [14, 12], "counts": "3"}, "annotations", 1, "segmentation"),
        "annotation 12 has a segmentation that has counts that sum up to 3, not to the 168 pixels",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_annotation_file_is_refused_in_one_sentence(name: str, tmp_path: Path) -> None:
    spoil, says = BROKEN[name]
    path = write_annotations(tmp_path, spoil(whole()))
    with pytest.raises(InputError, match=re.escape(says)) as refused:
        CocoDataset(tmp_path, SPLIT)
    sentence = str(refused.value)
    assert sentence.startswith(str(path))
    assert "\n" not in sentence
    assert not sentence.endswith(".")
    assert len(sentence) - len(str(path)) < 250


def test_a_set_without_its_annotation_file_or_directory_of_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"annotations/instances_train\.json is missing"):
        CocoDataset(tmp_path, SPLIT)
    write_annotations(tmp_path, whole())
    (tmp_path / SPLIT).rmdir()
    with pytest.raises(InputError, match=r"train is no directory; the images of .*instances_train\.json belong there"):
        CocoDataset(tmp_path, SPLIT)
    (tmp_path / "annotations" / "instances_train.json").unlink()
    (tmp_path / "annotations" / "instances_train.json").mkdir()
    with pytest.raises(InputError, match=r"cannot be read \(Is a directory\)"):
        CocoDataset(tmp_path, SPLIT)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the images of COCO are not there")
def test_real_annotations_are_those_that_cocos_own_tools_read() -> None:
    api = pytest.importorskip("pycocotools.coco", reason="COCO's own tools are not installed")
    dataset = CocoDataset(SHARED, "val2017")
    reference = api.COCO(str(dataset.annotation_file))
    assert dataset.dropped == ()
    total = 0
    for index in range(0, len(dataset), 7):
        found, masks = dataset.annotations(index), dataset.masks(index)
        total += len(found.ids)
        for row, identity in enumerate(found.ids.tolist()):
            record = reference.anns[identity]
            x, y, w, h = record["bbox"]
            np.testing.assert_allclose(found.boxes[row], [x, y, x + w, y + h], atol=1e-4)
            assert dataset.categories[int(found.labels[row])].id == record["category_id"]
            assert bool(found.crowd[row]) == bool(record["iscrowd"])
            assert float(found.areas[row]) == pytest.approx(record["area"], rel=1e-6)
            np.testing.assert_array_equal(masks[row], reference.annToMask(record))
    assert total == sum(len(reference.imgToAnns[dataset.images[i].id]) for i in range(0, len(dataset), 7))
