"""The library's word: what it tells agents of their dimensions, whether it has merged their views or not."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from knowledge_graph.concept import at_membership, members
from knowledge_graph.views import FloatMatrix, Views, correlations


@dataclasses.dataclass(frozen=True, kw_only=True)
class Merge:
    """What a merge tells the agents: for each of their dimensions a concept (or -1), its name, and the direction.

    ``concept`` int32 [N, S], number of the concept in this merge; ``sign`` float32 [N, S], -1 where a dimension runs
    against its concept; ``word`` int32 [K]; ``n_words`` how many words exist afterwards.
    """

    concept: NDArray[np.int32]
    sign: NDArray[np.float32]
    word: NDArray[np.int32]
    n_words: int

    def take(self, rows: NDArray[np.intp] | slice) -> Merge:
        """What it tells some of the agents."""
        return dataclasses.replace(self, concept=self.concept[rows], sign=self.sign[rows])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Word:
    """What has to be known of a library to consult it; small, so that it can be sent to where many agents are.

    ``scores`` float64 [P, K], how the probe objects stand on the concepts; ``word`` int32 [K], their names;
    ``n_words`` how many words exist.
    """

    scores: FloatMatrix
    word: NDArray[np.int32]
    n_words: int

    @property
    def nbytes(self) -> int:
        return self.scores.nbytes + self.word.nbytes

    def consult(self, views: Views) -> Merge:
        """Tell agents what their dimensions are, by their levels on the probe."""
        return answer(correlations(views, self.scores), self.word, self.n_words)


def answer(correlation: NDArray[np.float32], word: NDArray[np.int32], n_words: int) -> Merge:
    """What is to be told of dimensions that go with the concepts, named ``word [K]``, as ``correlation [N, S, K]``."""
    membership = members(correlation)
    return Merge(
        concept=membership,
        sign=np.where(at_membership(correlation, membership) < 0, -1.0, 1.0).astype(np.float32),
        word=word,
        n_words=n_words,
    )
