"""Suppression: what is kept, by hand and against the definition, and that both ways keep the same."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from detection import nms

WAYS = (nms.suppress, nms.fixed_point, nms.greedy)


def overlap(a: list[int], b: list[int], extra: int) -> Fraction:
    """IoU of boxes of whole numbers, exactly; 0 where neither has an area."""

    def area(x1: int, y1: int, x2: int, y2: int) -> int:
        return max(x2 - x1 + extra, 0) * max(y2 - y1 + extra, 0)

    shared = area(max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3]))
    union = area(*a) + area(*b) - shared
    return Fraction(shared, union) if union else Fraction(0)


def by_definition(
    boxes: list[list[int]], scores: list[float], labels: list[int], *, threshold: Fraction, inclusive: bool
) -> list[int]:
    kept: list[int] = []
    for index in sorted(range(len(boxes)), key=lambda i: -scores[i]):  # stable: of equal scores the earlier first
        if not any(
            labels[index] == labels[other] and overlap(boxes[index], boxes[other], int(inclusive)) > threshold
            for other in kept
        ):
            kept.append(index)
    return kept


corner = st.integers(0, 9)
drawn_boxes = st.lists(st.tuples(st.tuples(corner, corner, corner, corner), st.integers(0, 4), st.integers(0, 2)))


@settings(max_examples=300, deadline=None)
@given(drawn_boxes, st.booleans(), st.integers(1, 9), st.integers(1, 5))
def test_all_ways_keep_what_the_definition_keeps(drawn, inclusive, tenths, head):
    # Whole numbers with few values: ties of scores, identical, empty and swapped boxes, and overlaps that equal the
    # threshold are all common. The heads are short, so that boxes are settled in several rounds.
    boxes = [list(box) for box, _, _ in drawn]
    scores, labels = [s / 4 for _, s, _ in drawn], [label for _, _, label in drawn]
    expected = by_definition(boxes, scores, labels, threshold=Fraction(tenths, 10), inclusive=inclusive)
    arguments = (
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.tensor(scores),
        torch.tensor(labels, dtype=torch.int64),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nms, "HEAD", head)
        for way in WAYS:
            assert way(*arguments, threshold=tenths / 10, inclusive=inclusive).tolist() == expected
    for limit in (1, 3):
        few = nms.suppress(*arguments, threshold=tenths / 10, inclusive=inclusive, limit=limit)
        assert few.tolist() == expected[:limit]


def crowded(n: int, classes: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Boxes around a few objects, as detectors suggest them."""
    draw = torch.Generator().manual_seed(seed)
    object_ = torch.randint(12, (n,), generator=draw)
    centre = (300 * torch.rand(12, 2, generator=draw))[object_] + 6 * torch.randn(n, 2, generator=draw)
    half = (10 + 40 * torch.rand(12, 2, generator=draw))[object_] * (0.8 + 0.4 * torch.rand(n, 2, generator=draw))
    boxes = torch.cat([centre - half, centre + half], dim=1)
    return boxes, torch.rand(n, generator=draw), torch.randint(classes, (n,), generator=draw)


@pytest.mark.parametrize("classes", [1, 7])
@pytest.mark.parametrize("inclusive", [False, True])
def test_hundreds_of_crowded_boxes_are_kept_alike(classes, inclusive):
    for seed in range(5):
        arguments = crowded(600, classes, seed)
        one, other, chosen = (way(*arguments, threshold=0.6, inclusive=inclusive) for way in WAYS)
        assert 10 < len(one) < 500
        assert torch.equal(one, other)
        assert torch.equal(one, chosen)
        assert torch.equal(one[:20], nms.suppress(*arguments, threshold=0.6, inclusive=inclusive, limit=20))


@pytest.mark.parametrize("way", WAYS)
def test_a_chain_suppresses_every_other_box(way):
    # Each box overlaps only its neighbours by more than .5: the longest chain of decisions that n boxes can have.
    n = 1500
    x = torch.arange(n, dtype=torch.float32) * 3
    boxes = torch.stack([x, torch.zeros(n), x + 10, torch.full((n,), 10.0)], dim=1)
    kept = way(boxes, torch.linspace(1, 0.1, n), torch.zeros(n, dtype=torch.int64), threshold=0.5)
    assert kept.tolist() == list(range(0, n, 2))


@pytest.mark.parametrize("way", WAYS)
def test_an_overlap_that_equals_the_threshold_suppresses_nothing(way):
    boxes = torch.tensor([[0.0, 0.0, 4.0, 1.0], [1.0, 0.0, 5.0, 1.0]])  # 3 of 5 shared
    arguments = (boxes, torch.tensor([0.9, 0.8]), torch.tensor([0, 0]))
    assert way(*arguments, threshold=0.6).tolist() == [0, 1]
    assert way(*arguments, threshold=0.59).tolist() == [0]


@pytest.mark.parametrize("way", WAYS)
def test_a_box_that_names_its_last_pixel_is_larger(way):
    boxes = torch.tensor([[0.0, 0.0, 3.0, 0.0], [1.0, 0.0, 4.0, 0.0]])  # 3 of 5 pixels shared, or no area
    arguments = (boxes, torch.tensor([0.9, 0.8]), torch.tensor([0, 0]))
    assert way(*arguments, threshold=0.5, inclusive=True).tolist() == [0]
    assert way(*arguments, threshold=0.5).tolist() == [0, 1]


@pytest.mark.parametrize("way", WAYS)
def test_nothing_and_one_box_are_no_special_cases(way):
    none = way(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64), threshold=0.5)
    assert none.dtype == torch.int64
    assert none.shape == (0,)
    one = way(torch.tensor([[5.0, 5.0, 5.0, 5.0]]), torch.tensor([0.1]), torch.tensor([3]), threshold=0.5)
    assert one.tolist() == [0]


@pytest.mark.parametrize("way", WAYS)
def test_shapes_that_do_not_belong_together_are_refused(way):
    with pytest.raises(ValueError, match=r"\[n, 4\]"):
        way(torch.zeros(3, 4), torch.zeros(2), torch.zeros(3, dtype=torch.int64), threshold=0.5)


def test_the_way_is_chosen_by_the_pairs_that_there_are(monkeypatch):
    used = []
    for name in ("_fixed_point", "_greedy"):
        way = getattr(nms, name)
        monkeypatch.setattr(nms, name, lambda *a, name=name, way=way, **k: used.append(name) or way(*a, **k))
    boxes, scores, labels = crowded(1000, 1, 0)
    nms.suppress(boxes, scores, labels, threshold=0.6)  # half a million pairs in one class
    nms.suppress(boxes, scores, torch.arange(1000) % 80, threshold=0.6)  # six thousand in 80
    nms.suppress(boxes, scores, labels, threshold=0.6, limit=10)  # the best 40 will do
    assert used == ["_greedy", "_fixed_point", "_fixed_point"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_keeps_the_same():
    arguments = crowded(3000, 3, 1)
    on_gpu = [value.cuda() for value in arguments]
    for way in WAYS:
        assert torch.equal(way(*on_gpu, threshold=0.6).cpu(), nms.greedy(*arguments, threshold=0.6))
