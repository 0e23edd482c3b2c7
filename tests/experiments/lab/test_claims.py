"""Claims: judged seed by seed, by orders worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.lab import sentences
from experiments.lab.claims import CLAIMS, Claim, judged, schedule, spread
from experiments.lab.records import Record
from experiments.lab.rows import LONG, ROWS
from tests.experiments.lab.made_up import record

ORDER = Claim(text="Grows", rows=("b4-lr1e-4", "b4-lr1e-3", "b4-lr5e-3"))
FAR = Claim(text="Far", rows=("b4-lr5e-3-scratch", "b4-lr5e-3"), kind="far")
SAME = Claim(text="Same", rows=("downloaded", "b16-lr1e-2"), kind="same")
REACHES = Claim(text="Reaches", rows=("b16-lr1e-2", "b4-lr5e-3"), kind="reaches")


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
        (REACHES, [(0.3, 0.45), (0.3, 0.295)], "yes", 2),
        (REACHES, [(0.3, 0.28)], "no", 0),
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


def test_texts_of_claims_stand_alone():
    assert len({claim.text for claim in CLAIMS}) == len(CLAIMS)
    assert not any("same as above" in claim.text.lower() or claim.text.startswith("The same") for claim in CLAIMS)


def test_the_lab_s_own_figures_hold_where_it_claims_them():
    found = [record(row.name, row.reported["AP"], scale="coco") for row in ROWS.values() if row.reported]
    found.append(record("b16-lr1e-2", 0.387, scale="coco"))
    judgements = [judged(claim, found) for claim in CLAIMS if claim.reported and "masks" not in claim.text]
    assert len(judgements) == 4
    assert {verdict.holds for verdict in judgements} == {"yes"}


def test_sentences_tell_with_how_many_seeds():
    assert sentences.sentence(judged(ORDER, of(ORDER, (0.1, 0.2, 0.3)))).startswith("Grows: holds with 1 of 1 seed: ")
    mixed = judged(ORDER, of(ORDER, (0.1, 0.2, 0.3), (0.3, 0.2, 0.4), (0.0, 0.1, 0.2)))
    assert "holds on average, and with 2 of 3 seeds" in sentences.sentence(mixed)
    lost = judged(ORDER, of(ORDER, (0.3, 0.2, 0.1), (0.1, 0.11, 0.12)))
    assert "does not hold on average; with 1 of 2 seeds it does" in sentences.sentence(lost)


@pytest.mark.parametrize(
    ("long", "large", "expected", "words"),
    [
        (0.3, 0.4, 0.5, "So 50% of the drop was the schedule, the rest the batch and its learning rate (1 seed)."),
        (0.4, 0.4, 1.0, "So 100% of the drop was the schedule"),
        (0.5, 0.4, 1.5, "So batch 4 is ahead once it has seen as many images, and all of its drop was the schedule (1"),
        (0.1, 0.4, -0.5, "So none of the drop was the schedule (1 seed)."),
        (0.3, 0.2, None, "So batch 4 loses nothing at equal iterations, and there is no drop to explain (1 seed)."),
    ],
)
def test_the_schedule_is_answered_in_every_case(long: float, large: float, expected: float | None, words: str):
    found = [record("b4-lr5e-3", 0.2), record(f"b4-lr5e-3{LONG}", long), record("b16-lr1e-2", large)]
    answer = schedule(found)
    assert answer is not None
    assert answer.share == (None if expected is None else pytest.approx(expected))
    assert words in sentences.about_schedule(found)


def test_the_schedule_is_judged_by_seeds_that_all_three_rows_have():
    found = [record("b4-lr5e-3", 0.2), record(f"b4-lr5e-3{LONG}", 0.3), record("b16-lr1e-2", 0.4)]
    more = [*found, record("b4-lr5e-3", 0.9, seed=1)]
    assert sentences.about_schedule(more) == sentences.about_schedule(found)
    assert schedule(found[:2]) is None
    assert sentences.about_schedule(found[:2]) == ""


def test_spread_is_the_sample_standard_deviation():
    assert spread(np.array([0.1, 0.3])) == ".200 ± .141"
    assert spread(np.array([0.25])) == ".250"
    assert spread(np.array([np.nan])) == "-"
