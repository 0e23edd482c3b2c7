"""Claims: judged seed by seed, by orders worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.lab import sentences
from experiments.lab.claims import CLAIMS, Claim, judged, schedule_share, spread
from experiments.lab.records import Record
from experiments.lab.rows import LONG, ROWS
from tests.experiments.lab.made_up import record

ORDER = Claim(text="Grows", rows=("b4-lr1e-4", "b4-lr1e-3", "b4-lr5e-3"))
FAR = Claim(text="Far", rows=("b4-lr5e-3-scratch", "b4-lr5e-3"), kind="far")
SAME = Claim(text="Same", rows=("downloaded", "b16-lr1e-2"), kind="same")


def of(claim: Claim, *seeds: tuple[float, ...]) -> list[Record]:
    """Records of the claim's rows, AP by seed."""
    return [
        record(row, ap, seed=seed)
        for seed, values in enumerate(seeds)
        for row, ap in zip(claim.rows, values, strict=True)
    ]


@pytest.mark.parametrize(
    ("claim", "seeds", "holds", "agree"),
    [
        (ORDER, [(0.1, 0.2, 0.3), (0.0, 0.1, 0.4)], "yes", 2),
        (ORDER, [(0.1, 0.2, 0.3), (0.3, 0.2, 0.4), (0.0, 0.1, 0.2)], "not with every seed", 2),
        (ORDER, [(0.1, 0.2, 0.2)], "no", 0),
        (ORDER, [(0.3, 0.2, 0.1), (0.1, 0.11, 0.12)], "no", 1),
        (FAR, [(0.1, 0.3), (0.14, 0.3)], "yes", 2),
        (FAR, [(0.2, 0.3)], "no", 0),
        (FAR, [(0.0, 0.0)], "no", 0),
        (SAME, [(0.3, 0.305), (0.2, 0.195)], "yes", 2),
        (SAME, [(0.3, 0.32)], "no", 0),
    ],
)
def test_a_claim_holds_by_its_order(claim: Claim, seeds: list[tuple[float, ...]], holds: str, agree: int):
    verdict = judged(claim, of(claim, *seeds))
    assert (verdict.holds, verdict.agree, verdict.seeds) == (holds, agree, len(seeds))


def test_only_seeds_that_all_rows_have_count():
    found = [*of(ORDER, (0.1, 0.2, 0.3)), record("b4-lr5e-3", 0.0, seed=1), record("b4-lr1e-4", 0.9, seed=1)]
    verdict = judged(ORDER, found)
    assert (verdict.holds, verdict.seeds) == ("yes", 1)
    assert verdict.measured == ".100 < .200 < .300"


def test_what_was_not_measured_is_not_judged():
    verdict = judged(ORDER, of(FAR, (0.1, 0.3)))
    assert verdict.holds == "not measured"
    assert sentences.sentence(verdict) == "Grows: not measured."


def test_masks_are_judged_by_the_ap_of_masks():
    claim = next(claim for claim in CLAIMS if "CondInst" in claim.text)
    polar, condinst = claim.rows
    found = [record(polar, 0.5, masks=0.2), record(condinst, 0.4, masks=0.3)]
    assert judged(claim, found).holds == "yes"


def test_the_rows_of_all_claims_are_rows():
    assert all(row in ROWS for claim in CLAIMS for row in claim.rows)
    assert all(len(claim.rows) == 2 for claim in CLAIMS if claim.kind != "grows")


def test_the_lab_s_own_figures_hold_where_it_claims_them():
    found = [record(row.name, row.reported["AP"], scale="coco") for row in ROWS.values() if row.reported]
    judgements = {claim.text: judged(claim, found).holds for claim in CLAIMS if claim.reported}
    assert judgements["At batch 4 a larger learning rate is better: 1e-4 < 1e-3 < 5e-3"] == "yes"
    assert judgements["From scratch is far under pretrained"] == "yes"


@pytest.mark.parametrize(("long", "expected"), [(0.3, 0.5), (0.4, 1.0), (0.2, 0.0), (0.5, 1.5), (0.1, -0.5)])
def test_the_share_of_the_schedule_is_what_comes_back_at_equal_images(long: float, expected: float):
    found = [record("b4-lr5e-3", 0.2), record(f"b4-lr5e-3{LONG}", long), record("b16-lr1e-2", 0.4)]
    answer = schedule_share(found)
    assert answer is not None
    assert answer[0] == pytest.approx(expected)
    said = sentences.about_schedule(found)
    words = {1.5: "all of the drop was the schedule, and more", -0.5: "none of the drop"}
    assert words.get(expected, f"{expected:.0%} of the drop was the schedule") in said


def test_there_is_no_share_of_a_drop_that_was_none():
    found = [record("b4-lr5e-3", 0.4), record(f"b4-lr5e-3{LONG}", 0.4), record("b16-lr1e-2", 0.4)]
    assert schedule_share(found) is None
    assert schedule_share(found[:2]) is None
    assert sentences.about_schedule(found) == ""


def test_spread_is_the_sample_standard_deviation():
    assert spread(np.array([0.1, 0.3])) == ".200 ± .141"
    assert spread(np.array([0.25])) == ".250"
    assert spread(np.array([np.nan])) == "-"
