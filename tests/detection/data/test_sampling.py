"""Batches that are known from the seed and the iteration alone, and in which every image comes once per epoch."""

from __future__ import annotations

import pickle
from collections import Counter, deque
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detection.data.sampling import BatchSampler, draws

SHAPES = st.lists(st.booleans(), min_size=1, max_size=30)


def sampler(portrait: list[bool], batch_size: int = 4, seed: int = 0) -> BatchSampler:
    return BatchSampler(np.array(portrait), batch_size=batch_size, flip=0.5, short_sides=(3, 5, 8), seed=seed)


def queued(portrait: list[bool], batch_size: int, seed: int) -> Iterator[list[tuple[int, int]]]:
    """The same batches by going through the epochs one by one: (epoch, image) of each, as queues fill."""
    queues: dict[bool, deque[tuple[int, int]]] = {False: deque(), True: deque()}
    epoch = 0
    while True:
        for image in draws(seed, epoch, len(portrait))[0].tolist():
            queue = queues[portrait[image]]
            queue.append((epoch, image))
            if len(queue) == batch_size:
                yield list(queue)
                queue.clear()
        epoch += 1


@given(portrait=SHAPES, batch_size=st.integers(1, 9), seed=st.integers(0, 2**40))
def test_batches_are_those_that_queues_of_images_fill_in_turn(portrait: list[bool], batch_size: int, seed: int) -> None:
    known, expected = sampler(portrait, batch_size, seed), queued(portrait, batch_size, seed)
    for iteration in range(25):
        batch = known.batch(iteration)
        for draw, (epoch, image) in zip(batch, next(expected), strict=True):
            _, flip, side = draws(seed, epoch, len(portrait))
            assert draw == (image, flip[image] < 0.5, (3, 5, 8)[int(3 * side[image])])


def test_a_batch_can_take_the_side_of_its_first_image() -> None:
    portrait = np.arange(30) % 3 == 0
    options = {"batch_size": 4, "flip": 0.5, "short_sides": (3, 5, 8), "seed": 1}
    each, same = BatchSampler(portrait, **options), BatchSampler(portrait, **options, same_side=True)
    sides = Counter()
    for iteration in range(60):
        expected = each.batch(iteration)
        assert same.batch(iteration) == [draw._replace(short_side=expected[0].short_side) for draw in expected]
        sides[expected[0].short_side] += 1
    assert set(sides) == {3, 5, 8}


@given(portrait=SHAPES, batch_size=st.integers(1, 9), start=st.integers(0, 10**9))
def test_any_iteration_is_known_without_those_before_it(portrait: list[bool], batch_size: int, start: int) -> None:
    first, later = sampler(portrait, batch_size), sampler(portrait, batch_size)
    ahead = [first.batch(start + k) for k in range(6)]
    assert [later.batch(start + k) for k in reversed(range(6))] == ahead[::-1]
    assert [pickle.loads(pickle.dumps(later)).batch(start)] == ahead[:1]


@given(portrait=SHAPES, batch_size=st.integers(1, 9))
def test_every_image_comes_once_per_epoch_with_those_of_its_shape(portrait: list[bool], batch_size: int) -> None:
    seen: Counter[int] = Counter()
    for iteration in range(40):
        batch = [draw.image for draw in sampler(portrait, batch_size).batch(iteration)]
        assert len(batch) == batch_size
        assert len({portrait[image] for image in batch}) == 1
        seen.update(batch)
        for shape in {False, True} & set(portrait):
            counts = [seen[image] for image in range(len(portrait)) if portrait[image] == shape]
            assert max(counts) - min(counts) <= 1


def test_draws_are_uniform_and_differ_between_seeds_and_epochs() -> None:
    order, first, second = draws(0, 0, 20_000)
    assert sorted(order.tolist()) == list(range(20_000))
    for numbers in (first, second):
        assert 0 <= numbers.min() < numbers.max() < 1
        # Three standard errors of the mean and of the share below a quarter.
        assert abs(numbers.mean() - 0.5) < 3 * np.sqrt(1 / 12 / 20_000)
        assert abs((numbers < 0.25).mean() - 0.25) < 3 * np.sqrt(3 / 16 / 20_000)
    assert abs(np.corrcoef(first, second)[0, 1]) < 3 / np.sqrt(20_000)
    assert abs(np.corrcoef(order, np.arange(20_000))[0, 1]) < 3 / np.sqrt(20_000)
    for seed, epoch in ((1, 0), (0, 1)):
        assert (draws(seed, epoch, 20_000)[0] != order).mean() > 0.99


def test_draws_stay_what_they_are_so_that_any_version_resumes_a_run() -> None:
    order, first, second = draws(3, 14, 6)
    assert order.tolist() == [4, 5, 2, 0, 3, 1]
    np.testing.assert_allclose(first[:2], [0.5952226788236645, 0.5470429663946969], rtol=1e-12)
    np.testing.assert_allclose(second[:2], [0.35147828452041585, 0.7495003284105939], rtol=1e-12)


@pytest.mark.parametrize(("flip", "expected"), [(0.0, {False}), (1.0, {True}), (0.5, {False, True})])
def test_the_probability_of_a_flip_holds_at_its_ends(flip: float, expected: set[bool]) -> None:
    known = BatchSampler(np.zeros(40, dtype=bool), batch_size=40, flip=flip, short_sides=(8,), seed=0)
    assert {draw.flip for draw in known.batch(0)} == expected
    assert {draw.short_side for draw in known.batch(0)} == {8}


def test_nothing_to_draw_from_and_no_iteration_are_defects_of_the_program() -> None:
    with pytest.raises(ValueError, match="there must be images"):
        sampler([])
    with pytest.raises(ValueError, match="iterations count from 0"):
        sampler([True]).batch(-1)
