"""COCO's categories, beside what its annotation files say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from detection.coco_categories import COCO, RAW_IDS

REAL = Path(__file__).parents[3] / "shared/data/coco-tiny/annotations/instances_val2017.json"


def test_there_are_80_with_ids_up_to_90():
    assert len(COCO) == 80
    assert [c.id for c in COCO] == sorted({c.id for c in COCO})
    assert (COCO[0].id, COCO[-1].id) == (1, 90)
    assert len(RAW_IDS) == 91
    assert all(RAW_IDS[c.id] == c.name for c in COCO)


@pytest.mark.skipif(not REAL.exists(), reason="needs COCO annotations beside the project")
def test_they_are_those_of_coco():
    categories = json.loads(REAL.read_text())["categories"]
    assert [(c.id, c.name) for c in COCO] == sorted((c["id"], c["name"]) for c in categories)
