"""The rows: what the lab wrote down, and that the presets train just that."""

from __future__ import annotations

from pathlib import Path

import pytest

from detection import presets
from experiments.lab.rows import (
    ADDED,
    AT_EQUAL_IMAGES,
    AT_EQUAL_ITERATIONS,
    DOWNLOADED,
    LAB,
    LONG,
    ROWS,
    WITH_MASKS,
    Row,
)


@pytest.mark.parametrize("row", [row for row in ROWS.values() if row.trained], ids=lambda row: row.name)
def test_the_preset_of_a_row_is_what_the_row_says(row: Row):
    config = presets.preset(row.preset, data=Path("d"), out=Path("o"))
    assert (config.batch_size, config.lr, config.max_iterations) == (row.batch, row.lr, 90_000)
    assert (config.model.norm, config.model.masks) == (row.norm, row.masks)
    assert config.model.backbone == "resnet50"
    assert config.model.frozen_stages == 2, "the lab's configuration, unchanged"
    assert config.backbone_weights is None, "a file of them is given where the row begins with one"


def test_every_preset_of_the_lab_is_a_row():
    named = {row.preset for row in ROWS.values() if row.trained}
    assert named == {name for name in presets.names() if name.startswith("lab-")}


def test_the_schedule_of_the_lab_is_three_epochs_at_batch_4():
    assert ROWS["b4-lr5e-3"].epochs() == pytest.approx(3.07, abs=0.01)
    assert ROWS[f"b4-lr5e-3{LONG}"].epochs() == pytest.approx(12.28, abs=0.01)
    assert ROWS["b16-lr1e-2"].epochs() == ROWS[f"b4-lr5e-3{LONG}"].epochs()
    assert ROWS[f"b4-lr5e-3{LONG}"].iterations() == 360_000


def test_the_two_rows_that_were_never_filled_in_are_there_without_a_number():
    empty = [row for row in (DOWNLOADED, *LAB) if not row.reported]
    assert [(row.batch, row.pretrained, row.norm) for row in empty] == [(16, True, "frozen_bn"), (4, False, "bn")]
    assert all(row.outcome for row in empty)


def test_reported_numbers_are_as_the_lab_has_them():
    assert [row.reported["AP"] for row in AT_EQUAL_ITERATIONS if row.reported] == [0.387, 0.172, 0.292, 0.319, 0.113]
    for row in AT_EQUAL_ITERATIONS:
        if row.reported:
            numbers = row.reported
            assert numbers["AP75"] < numbers["AP50"]
            assert numbers["S"] < numbers["M"] < numbers["L"]
            assert numbers["AR1"] < numbers["AR10"] < numbers["AR100"]


def test_every_trained_row_is_there_at_equal_images_and_with_masks_of_both_kinds():
    of_batch_4 = [row for row in (*LAB, ADDED) if row.batch == 4]
    assert len(AT_EQUAL_IMAGES) == len(of_batch_4) == 6
    assert len(WITH_MASKS) == 2 * (len(LAB) + 1 + len(AT_EQUAL_IMAGES))
    assert not any(row.reported for row in (*AT_EQUAL_IMAGES, *WITH_MASKS)), "the lab has no such figures"
    assert len(ROWS) == len({row.title for row in ROWS.values()})


def test_titles_say_what_is_different():
    assert ROWS["b4-lr1e-2-scratch-bn"].title == "batch 4, lr 0.01, from scratch, BN"
    assert ROWS[f"b4-lr5e-3-condinst{LONG}"].title == "batch 4, lr 0.005, equal images, CondInst"
