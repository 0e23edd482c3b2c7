"""Which images make a batch, how they are flipped and how large: a pure function of the seed and the iteration.

Nothing is drawn in sequence, so there is no state to save: iteration k of a resumed run is iteration k of an
uninterrupted one, in however many processes, and whatever they have read before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

RECENT = 8
"""Epochs whose draws are kept: batches come from the current one, and from those before it what was left over."""


class Draw(NamedTuple):
    """An image of a batch: its index among those that are sampled, whether it is flipped, and its shorter side."""

    image: int
    flip: bool
    short_side: int


class BatchSampler:
    """Batches of images of like shape, so that little is padded; every image comes once per epoch.

    The images come in random order, epoch after epoch, and wait in one of two queues, for images that are at least as
    wide as they are high and for the others. As soon as ``batch_size`` wait in a queue they are a batch. Images that
    still wait when an epoch ends open their queue's batches of the next, so that none is left out or comes twice. This
    is detectron2's grouping, except that the batch is that of all processes together.

    Parameters
    ----------
    portrait
        bool [n], whether an image is higher than it is wide.
    batch_size
        Images per batch.
    flip
        Probability that an image is flipped.
    short_sides
        Shorter sides that an image is resized to, drawn with equal probability.
    same_side
        Whether all images of a batch take the draw of its first.
    seed
        From 0 up.
    """

    def __init__(
        self,
        portrait: NDArray[np.bool_],
        *,
        batch_size: int,
        flip: float,
        short_sides: Sequence[int],
        seed: int,
        same_side: bool = False,
    ) -> None:
        if len(portrait) == 0 or batch_size < 1 or not short_sides or seed < 0:
            raise ValueError("there must be images, a batch of at least 1, a short side, and a seed from 0 up")
        self.portrait = np.asarray(portrait, dtype=np.bool_)
        self.batch_size, self.flip, self.short_sides, self.seed = batch_size, flip, tuple(short_sides), seed
        self.same_side = same_side
        self._sizes = (int((~self.portrait).sum()), int(self.portrait.sum()))
        self._recent: dict[int, _Epoch] = {}

    def batch(self, iteration: int) -> list[Draw]:
        """The images of an iteration, from 0 up, in the order of the batch.

        A queue is the concatenation of its images in all epochs, and its j-th batch the j-th slice of that; it is
        complete when its last image is drawn. So the epoch in which ``iteration`` is complete follows from counting,
        and its place among the batches of that epoch from the places of their last images.
        """
        if iteration < 0:
            raise ValueError(f"iteration is {iteration}; iterations count from 0")
        # Never too late: after e epochs at most e n / batch_size batches are complete.
        epoch = iteration * self.batch_size // len(self.portrait)
        while self._complete(epoch + 1) <= iteration:
            epoch += 1
        queue, j = self._epoch(epoch).batches[iteration - self._complete(epoch)].tolist()
        batch = [self._draw(queue, at) for at in range(j * self.batch_size, (j + 1) * self.batch_size)]
        return [draw._replace(short_side=batch[0].short_side) for draw in batch] if self.same_side else batch

    def _complete(self, epochs: int) -> int:
        """Batches that are complete after so many epochs."""
        return sum(epochs * size // self.batch_size for size in self._sizes)

    def _draw(self, queue: int, at: int) -> Draw:
        epoch, rank = divmod(at, self._sizes[queue])
        drawn = self._epoch(epoch)
        image = int(drawn.queues[queue][rank])
        side = self.short_sides[int(drawn.side[image] * len(self.short_sides))]
        return Draw(image, bool(drawn.flip[image] < self.flip), side)

    def _epoch(self, epoch: int) -> _Epoch:
        if epoch not in self._recent:
            if len(self._recent) == RECENT:
                del self._recent[next(iter(self._recent))]
            self._recent[epoch] = self._drawn(epoch)
        return self._recent[epoch]

    def _drawn(self, epoch: int) -> _Epoch:
        order, flip, side = draws(self.seed, epoch, len(self.portrait))
        queues, ends, batches = [], [], []
        for queue, size in enumerate(self._sizes):
            places = np.flatnonzero(self.portrait[order] == bool(queue))
            j = np.arange(epoch * size // self.batch_size, (epoch + 1) * size // self.batch_size)
            queues.append(order[places])
            ends.append(places[(j + 1) * self.batch_size - 1 - epoch * size])
            batches.append(np.stack([np.full_like(j, queue), j], axis=1))
        by_end = np.argsort(np.concatenate(ends))
        return _Epoch((queues[0], queues[1]), np.concatenate(batches)[by_end], flip, side)


class _Epoch(NamedTuple):
    """What is drawn for one pass over n images."""

    queues: tuple[NDArray[np.int64], NDArray[np.int64]]
    """The images of both queues in their order."""
    batches: NDArray[np.int64]
    """The batches that are complete in this epoch, one after the other: queue and number within it [m, 2]."""
    flip: NDArray[np.float64]
    side: NDArray[np.float64]


def draws(seed: int, epoch: int, n: int) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """For an ``epoch`` of ``n`` images a permutation of them and two numbers in [0, 1) for each, all [n].

    They are made of the raw 64 bits of a Philox generator (Salmon et al. 2011). NumPy promises that those never change,
    which it does not of its permutations and uniform numbers, and a run may be resumed with another NumPy.
    """
    raw = np.random.Philox(np.random.SeedSequence((seed, epoch))).random_raw(3 * n).reshape(3, n)
    first, second = (raw[1:] >> np.uint64(11)) * 2.0**-53
    return np.argsort(raw[0], kind="stable"), first, second
