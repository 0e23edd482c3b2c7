"""Configurations: what they refuse, and that they come back from JSON as they were."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from detection import presets
from detection.config import Category, ModelConfig, TrainConfig, from_json, to_json
from detection.errors import InputError


def config(**fields):
    return TrainConfig(data=Path("coco"), out=Path("run"), **fields)


@pytest.mark.parametrize("name", presets.names())
def test_a_preset_comes_back_from_json_as_it_was(name):
    before = presets.preset(name, data=Path("coco"), out=Path("run"))
    assert from_json(TrainConfig, json.loads(json.dumps(to_json(before))), source="config.json") == before
    assert before.preset == name


def test_categories_come_back_with_the_model():
    before = ModelConfig(categories=(Category(3, "car"), Category(7, "train")))
    assert from_json(ModelConfig, json.loads(json.dumps(to_json(before))), source="a checkpoint") == before


def test_presets_are_the_published_settings():
    improved = presets.preset("fcos-imprv-r50-1x", data=Path("coco"), out=Path("run"))
    assert (improved.lr, improved.batch_size, improved.iterations) == (0.01, 16, 90_000)
    assert [round(at * improved.iterations) for at in improved.decay_at] == [60_000, 80_000]
    assert improved.model.center_sampling == 1.5
    assert improved.model.mean == (102.9801, 115.9465, 122.7717)
    plain = presets.preset("fcos-r50-1x", data=Path("coco"), out=Path("run")).model
    assert (plain.center_sampling, plain.box_loss, plain.normalise_distances) == (0, "iou", False)
    lab = presets.preset("lab-b4-lr5e-3", data=Path("coco"), out=Path("run"))
    assert (lab.batch_size, lab.lr, lab.iterations) == (4, 5e-3, 90_000)


def test_an_unknown_preset_is_refused_with_those_there_are():
    with pytest.raises(InputError, match=r"preset is 'maxi'; give one of .*mini"):
        presets.preset("maxi", data=Path("coco"), out=Path("run"))


def test_a_length_in_images_is_as_many_updates_as_it_takes():
    assert config(max_iterations=None, max_images=100, batch_size=16).iterations == 7


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"batch_size": 0}, r"batch_size is 0; give a number from 1 up"),
        ({"lr": float("nan")}, r"lr is nan; give a number from 0 up"),
        ({"lr": -1.0}, r"lr is -1.0; give a number from 0 up"),
        ({"momentum": 1.0}, r"momentum is 1.0; give a number from 0 to below 1"),
        ({"flip": 1.5}, r"flip is 1.5; give a number from 0 to 1"),
        ({"max_images": 100}, r"max_iterations and max_images .* give one of them"),
        ({"max_iterations": None}, r"max_iterations and max_images .* give one of them"),
        ({"decay_at": (0.9, 0.5)}, r"decay_at is \(0.9, 0.5\); give growing fractions"),
        ({"micro_batch": 3}, r"batch_size is 16, not a multiple of micro_batch 3; give a divisor"),
        ({"fit_memory": 0.0}, r"fit_memory is 0.0; give a number above 0"),
        ({"short_sides": (2000,)}, r"short_sides is \(2000,\); give sides from 1 to max_side 1333"),
    ],
)
def test_training_refuses_what_cannot_be_run(fields, sentence):
    with pytest.raises(InputError, match=sentence):
        config(**fields)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"frozen_stages": 6}, r"frozen_stages is 6; give a number from 0 to 5"),
        ({"fpn_channels": 0}, r"fpn_channels is 0; give a number from 1 to 1e\+06"),
        ({"size_ranges": (64.0, 32.0, 256.0, 512.0)}, r"size_ranges .* give four growing numbers"),
        ({"max_side": 600}, r"max_side is 600, below short_side 800"),
        ({"std": (0.0, 1.0, 1.0)}, r"std .* positive deviations"),
        ({"nms_threshold": 1.5}, r"nms_threshold is 1.5; give a number from 0 to 1"),
        ({"norm": "bn", "norm_eps": 0.0}, r"norm_eps is 0, by which bn could divide"),
    ],
)
def test_a_model_refuses_what_cannot_be_built(fields, sentence):
    with pytest.raises(InputError, match=sentence):
        ModelConfig(**fields)


@pytest.mark.parametrize("damage", [{"colour": "blue"}, {"mean": 3}, {"lr": "much"}, {"model": {"depth": 3}}])
def test_a_file_of_another_version_is_refused_by_name(damage):
    fields = to_json(config()) | damage
    with pytest.raises(InputError, match=r"^config\.json"):
        from_json(TrainConfig, fields, source="config.json")
