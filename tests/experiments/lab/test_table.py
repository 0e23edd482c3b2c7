"""The table: check marks, reported beside measured, and "not run" where nothing was."""

from __future__ import annotations

import dataclasses

from detection.coco_eval import NUMBERS
from experiments.lab import scales, table
from experiments.lab.rows import AT_EQUAL_ITERATIONS, ROWS
from experiments.lab.table import CHECK, NOT_RUN
from tests.experiments.lab.made_up import record


def test_marks_say_what_is_on():
    marks = table.marks(ROWS["b16-lr1e-2"], scales.COCO, [])
    assert marks == {
        "pretrained": CHECK,
        "FrozenBN": CHECK,
        "BN": "",
        "GN": "",
        "batch": "16",
        "accumulated": CHECK,
        "lr": "0.01",
        "epochs": "12.3",
        "masks": "",
    }
    scratch = table.marks(ROWS["b4-lr1e-2-scratch-bn-condinst-12ep"], scales.COCO, [])
    assert (scratch["pretrained"], scratch["BN"], scratch["masks"], scratch["epochs"]) == (
        "",
        CHECK,
        "CondInst",
        "12.3",
    )
    assert table.marks(ROWS["b4-lr5e-3"], scales.COCO, [record("b4-lr5e-3", 0.3)])["epochs"] == "3.1", "as it was run"


def test_what_nobody_ran_has_no_number():
    lines = table.lines(AT_EQUAL_ITERATIONS, scales.COCO, [])
    for line in lines:
        assert [what for what, cells in line.numbers if what.startswith(table.KINDS)] == []
        assert (NOT_RUN, {}) in line.numbers
    text = table.markdown(lines)
    assert text.count(NOT_RUN) == len(AT_EQUAL_ITERATIONS)
    assert "reported: did not fit in GPU memory" in text
    assert "reported: never filled in" in text
    rows = table.as_json(lines, [])
    assert all(row["measured"] is None and row["measured_masks"] is None for row in rows)


def test_reported_stands_beside_measured():
    found = [record("b4-lr5e-3", 0.3), record("b4-lr5e-3", 0.4, seed=1)]
    (line,) = table.lines([ROWS["b4-lr5e-3"]], scales.COCO, found)
    (reported, theirs), (measured, ours) = line.numbers
    assert (reported, theirs["AP"], theirs["ARl"]) == ("reported", ".319", ".675")
    assert (measured, ours["AP"], ours["AP50"]) == ("boxes, 2 seeds", ".350 ± .071", ".250")
    markdown = table.markdown([line]).splitlines()
    assert len({row.count("|") for row in markdown}) == 1, "as many cells in every line"
    assert "| boxes, 2 seeds |" in markdown[-1]
    assert ".350 ± .071" in table.plain([line])


def test_masks_have_a_line_of_their_own():
    row = ROWS["b4-lr5e-3-polar"]
    (line,) = table.lines([row], scales.COCO, [record(row.name, 0.3, masks=0.2)])
    assert [(what, cells["AP"]) for what, cells in line.numbers] == [
        ("boxes, 1 seed", ".300"),
        ("masks, 1 seed", ".200"),
    ]
    (found,) = table.as_json([line], [record(row.name, 0.3, masks=0.2)])
    assert found["measured_masks"]["AP"] == {"mean": 0.2, "sd": None}
    assert set(found["measured"]) == set(NUMBERS)
    assert found["marks"]["FrozenBN"] is True


def test_what_the_lab_reported_is_of_coco_at_any_scale():
    (line,) = table.lines([ROWS["b4-lr5e-3"]], scales.mini(), [])
    assert line.numbers[0][0] == "reported, COCO"
    assert table.plain([line]).splitlines()[1].split()[-3:] == [".319", "not", "run"]


def test_accumulated_is_what_was_done():
    row = ROWS["b16-lr1e-2"]
    whole = record(row.name, 0.3)
    assert table.marks(row, scales.COCO, [whole])["accumulated"] == ""
    assert table.marks(row, scales.COCO, [dataclasses.replace(whole, in_parts=True)])["accumulated"] == CHECK


def test_what_diverged_says_so():
    found = [record("b4-lr5e-3", 0.3), record("b4-lr5e-3", 0.0, seed=1, diverged=12)]
    (line,) = table.lines([ROWS["b4-lr5e-3"]], scales.COCO, found)
    assert line.numbers[-1][0] == "boxes, 2 seeds, 1 diverged"
    assert line.numbers[-1][1]["AP"] == ".150 ± .212"
    (row,) = table.as_json([line], found)
    assert row["measured"]["AP"]["mean"] == 0.15
    assert row["measured_masks"] is None, "it would have had no masks"
