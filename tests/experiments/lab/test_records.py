"""Records: written whole, read back as they were, refused where they are damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detection.errors import InputError
from experiments.lab import records
from tests.experiments.lab.made_up import record


def test_what_is_written_is_read(tmp_path: Path):
    some = record("b4-lr5e-3", 0.3, seed=2, masks=0.25)
    assert records.read(records.write(some, tmp_path)) == some
    assert records.read_all(tmp_path, scale="mini") == [some]
    assert records.read_all(tmp_path, scale="coco") == []
    assert records.read_all(tmp_path / "nowhere", scale="mini") == []


def test_values_are_nan_where_a_number_is_not_defined(tmp_path: Path):
    some = [record("b4-lr5e-3", 0.3, masks=0.2), record("b4-lr5e-3", 0.5, seed=1)]
    np.testing.assert_allclose(records.values(some, "AP"), [0.3, 0.5])
    np.testing.assert_allclose(records.values(some, "AP", masks=True), [0.2, np.nan])


def test_what_diverged_finds_nothing():
    some = [record("b4-lr5e-3", 0.3), record("b4-lr5e-3", 0.9, seed=1, diverged=7)]
    np.testing.assert_allclose(records.values(some, "AP"), [0.3, 0.0])
    np.testing.assert_allclose(records.values(some, "AP", masks=True), [np.nan, 0.0])


def test_epochs_are_of_the_images_that_were_there():
    assert record("b4-lr5e-3", 0.1).epochs == pytest.approx(150 * 4 / 195)


@pytest.mark.parametrize(
    "damage",
    [
        {"version": 0},
        {"surplus": 1},
        {"row": 3},
        {"seed": -1},
        {"seed": True},
        {"batch": 0},
        {"seconds": "long"},
        {"seconds": None},
        {"commands": "python"},
        {"versions": []},
        {"settings": None},
        {"program": None},
        {"in_parts": 1},
        {"diverged": -1},
        {"boxes": None},
        {"boxes": {"AP": 0.3}},
        {"masks": {}},
    ],
)
def test_a_record_that_no_run_writes_is_refused_by_its_file(damage: dict[str, Any], tmp_path: Path):
    path = records.write(record("b4-lr5e-3", 0.3), tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | damage))
    with pytest.raises(InputError, match=rf"^{path}"):
        records.read(path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 1}', "\ufeff\x00"])
def test_a_file_that_holds_no_record_is_refused(text: str, tmp_path: Path):
    path = tmp_path / "mini-x.json"
    path.write_text(text)
    with pytest.raises(InputError, match="remove it to measure that row again"):
        records.read_all(tmp_path, scale="mini")


@pytest.mark.parametrize("value", [1.5, -0.1, "much"])
def test_numbers_are_shares(value: Any, tmp_path: Path):
    path = records.write(record("b4-lr5e-3", 0.3), tmp_path)
    fields = json.loads(path.read_text())
    fields["boxes"]["AP50"] = value
    path.write_text(json.dumps(fields))
    with pytest.raises(InputError, match="boxes is"):
        records.read(path)


def test_the_records_that_are_shipped_can_be_read():
    directory = Path(records.__file__).parents[1] / "results"
    for path in directory.glob("*.json"):
        assert records.read(path).row
