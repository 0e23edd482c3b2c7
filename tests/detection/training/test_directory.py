"""Which changes a run that goes on takes, and what it leaves of files that were never finished."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from detection.errors import InputError
from detection.training import directory
from tests.detection.small_runs import MODEL, small_config

SAVED = small_config(max_iterations=90, decay_at=(2 / 3,))


@pytest.mark.parametrize(
    "fields",
    [
        {"device": "cuda", "workers": 7},
        {"log_every": 1, "checkpoint_every": 3, "evaluate_every": 5, "tensorboard": True},
        {"micro_batch": 2, "checkpoint_activations": True, "channels_last": True, "compile": True},
        {"data": Path("moved"), "out": Path("moved too")},
        {"max_iterations": 120},
        {"max_images": 120 * 4, "max_iterations": None},
    ],
)
def test_what_changes_no_result_may_change(fields: dict[str, Any]):
    directory.refuse_changes(SAVED, dataclasses.replace(SAVED, **fields), done=60)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"lr": 0.5}, "lr is 0.5, but the run in out was begun with 0.01; leave it out, or start a new run"),
        ({"batch_size": 8}, "batch_size is 8"),
        ({"seed": 1}, "seed is 1"),
        ({"precision": "bf16"}, "precision is bf16"),
        ({"ema": 0.9}, "ema is 0.9"),
        ({"skip_broken": True}, "skip_broken is True"),
        ({"model": dataclasses.replace(MODEL, focal_gamma=1.0)}, "focal_gamma is 1.0"),
        ({"max_iterations": 59}, "max_iterations is 59, but the run in out has done 60 iterations already"),
        ({"max_iterations": 60}, "its first 60 would have had other learning rates"),
        ({"max_images": 100, "max_iterations": None}, "max_images is 100, but the run in out has done 60 iterations"),
    ],
)
def test_what_would_have_led_elsewhere_is_refused_by_name(fields: dict[str, Any], complaint: str):
    with pytest.raises(InputError) as caught:
        directory.refuse_changes(SAVED, dataclasses.replace(SAVED, **fields), done=60)
    assert complaint in str(caught.value)


def test_micro_batches_may_not_change_where_batches_are_normalised_by():
    saved = dataclasses.replace(SAVED, model=dataclasses.replace(MODEL, norm="bn"))
    with pytest.raises(InputError, match="micro_batch is 2"):
        directory.refuse_changes(saved, dataclasses.replace(saved, micro_batch=2), done=1)


def test_a_cosine_cannot_grow_once_it_has_begun():
    saved = dataclasses.replace(SAVED, schedule="cosine", warmup_iterations=0)
    longer = dataclasses.replace(saved, max_iterations=180)
    directory.refuse_changes(saved, longer, done=1)
    with pytest.raises(InputError, match="other learning rates"):
        directory.refuse_changes(saved, longer, done=2)


def test_a_configuration_comes_back_from_its_file(tmp_path: Path):
    config = dataclasses.replace(SAVED, out=tmp_path, weights=Path("a.pt"), short_sides=(64, 80))
    directory.write_config(config)
    assert directory.read_config(tmp_path) == config
