"""Whatever is written in an annotation file or a training configuration: a set, or one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from detection.config import ModelConfig, TrainConfig, from_json, to_json
from detection.data.coco import CocoDataset
from detection.errors import InputError
from detection.training.directory import CONFIG, read_config
from tests.trust.malformed import CHANGES, accepted, amounts, changed, go_through, mostly_documents

SET: dict[str, Any] = {
    "info": {"year": 2026},
    "images": [
        {"id": 3, "file_name": "3.jpg", "width": 12, "height": 10},
        {"id": 5, "file_name": "5.jpg", "width": 7, "height": 9},
    ],
    "categories": [{"id": 1, "name": "owl"}, {"id": 17, "name": "cat"}],
    "annotations": [
        {"id": 1, "image_id": 3, "category_id": 1, "bbox": [1, 2, 5.5, 4], "area": 20, "iscrowd": 0,
         "segmentation": [[1, 2, 6.5, 2, 6.5, 6, 1, 6], [8, 8, 10, 8, 9, 9.5]]},
        {"id": 2, "image_id": 3, "category_id": 17, "bbox": [0, 0, 12, 10], "iscrowd": 1,
         "segmentation": {"size": [10, 12], "counts": [20, 30, 70]}},
        {"id": 9, "image_id": 5, "category_id": 17, "bbox": [2, 2, 3, 3],
         "segmentation": {"size": [9, 7], "counts": "d036000`0"}},
        {"id": 10, "image_id": 5, "category_id": 1, "bbox": [-4, -4, 6, 6.25], "area": 5.0},
    ],
}  # fmt: skip

TRAINING = json.loads(json.dumps(to_json(TrainConfig(out=Path("out"), data=Path("data"), max_iterations=10))))
MODEL = json.loads(json.dumps(to_json(ModelConfig())))

DRAWN = 10_000
"""Pixels of the largest image whose masks are drawn here."""


def check_set(root: Path, written: bytes) -> None:
    (root / "annotations" / "instances_val.json").write_bytes(written)
    found = accepted(lambda: CocoDataset(root, "val"), InputError)
    if found is None:
        return
    for index, image in enumerate(found.images):
        told = found.annotations(index)
        far = torch.tensor([image.width, image.height] * 2)
        assert torch.isfinite(told.boxes).all()
        assert ((told.boxes >= 0) & (told.boxes <= far)).all()
        assert (told.boxes[:, 2:] > told.boxes[:, :2]).all()
        assert torch.isfinite(told.areas).all()
        assert (told.areas >= 0).all()
        assert ((told.labels >= 0) & (told.labels < len(found.categories))).all()
        assert len(told.segmentations) == len(told.ids) == len(told.crowd)
        if image.width * image.height <= DRAWN:
            masks = accepted(lambda index=index: found.masks(index), InputError)
            if masks is not None:
                assert masks.shape == (len(told.ids), image.height, image.width)
                assert ((masks == 0) | (masks == 1)).all()
    ids = found.ids.tolist()
    assert len(set(ids)) == len(ids)
    assert len(np.unique([category.id for category in found.categories])) == len(found.categories)


@amounts()
def test_an_annotation_file_is_a_set_or_one_sentence(cases: int, tmp_path: Path) -> None:
    (tmp_path / "val").mkdir()
    (tmp_path / "annotations").mkdir()
    check_set(tmp_path, json.dumps(SET).encode())
    assert CocoDataset(tmp_path, "val").dropped == (), "it begins with a set that is sound"
    go_through(mostly_documents(SET), lambda written: check_set(tmp_path, written), cases)


def check_training(out: Path, written: bytes) -> None:
    (out / CONFIG).write_bytes(written)
    found = accepted(lambda: read_config(out), InputError)
    if found is not None:
        assert found.out == out
        assert found.iterations >= 1
        assert from_json(TrainConfig, json.loads(json.dumps(to_json(found))), source="again") == found


@amounts()
def test_a_training_configuration_is_one_or_one_sentence(cases: int, tmp_path: Path) -> None:
    check_training(tmp_path, json.dumps(TRAINING).encode())
    assert read_config(tmp_path).max_iterations == 10
    go_through(mostly_documents(TRAINING), lambda written: check_training(tmp_path, written), cases)


def check_model(fields: Any) -> None:
    if not isinstance(fields, dict):
        return  # a checkpoint whose configuration is no object is refused before
    found = accepted(lambda: from_json(ModelConfig, fields, source="checkpoint x"), InputError)
    if found is not None:
        assert from_json(ModelConfig, json.loads(json.dumps(to_json(found))), source="again") == found


@amounts()
def test_a_model_configuration_is_one_or_one_sentence(cases: int) -> None:
    assert from_json(ModelConfig, MODEL, source="x") == ModelConfig()
    go_through(CHANGES.map(lambda changes: changed(MODEL, changes)), check_model, cases)
