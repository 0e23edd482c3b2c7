"""The library's word: what it tells agents of their dimensions, whether it has merged their views or not."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from knowledge_graph.concept import at_membership, members
from knowledge_graph.views import RANK_TOLERANCE, FloatMatrix, Views, chunks, correlations


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
        """Bytes of scores and words."""
        return self.scores.nbytes + self.word.nbytes

    def consult(self, views: Views) -> Merge:
        """Tell agents what their dimensions are, by their levels on the probe."""
        return answer(correlations(views, self.scores), self.word, self.n_words)

    def consult_by_weights(
        self,
        moments: Moments,
        *,
        sensor: NDArray[np.int32],
        loading: NDArray[np.float32],
        held: NDArray[np.bool_],
    ) -> Merge:
        """The same, but for rounding, of agents who have seen the whole probe: without looking at it again.

        ``moments`` are those of the probe with these scores; the rest as in `Views`.
        """
        found = np.zeros((*held.shape, self.scores.shape[1]), dtype=np.float32)
        for rows in chunks(len(held)):
            found[rows] = moments.correlations(sensor[rows], loading[rows], held[rows])
        return answer(found, self.word, self.n_words)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Moments:
    """What dimensions on the probe hang on, whoever weighs its features: levels are sums of features times weights.

    ``within`` float64 [D, D], sums over the probe objects of products of centred features; ``across`` float64 [D, K],
    of features and concept scores of norm 1.
    """

    within: FloatMatrix
    across: FloatMatrix

    @classmethod
    def of(cls, features: NDArray[np.floating], scores: FloatMatrix) -> Moments:
        """Of the probe objects' features [P, D] and concept scores [P, K] of variance 1."""
        centred = features - features.mean(axis=0, dtype=np.float64)
        spread = (scores - scores.mean(axis=0)) / np.sqrt(len(scores))
        return cls(within=centred.T @ centred, across=centred.T @ spread)

    def correlations(
        self, sensor: NDArray[np.int32], loading: NDArray[np.float32], held: NDArray[np.bool_]
    ) -> FloatMatrix:
        """Correlation [n, S, K] over the probe of every dimension with every concept; 0 of what does not vary there."""
        weights = loading.astype(np.float64)
        within = self.within[sensor[:, :, None], sensor[:, None, :]]
        square = np.einsum("nsm,nsm->ns", weights @ within, weights)
        norm = np.sqrt(np.maximum(square, 0.0))
        norm = np.where(held & (norm > RANK_TOLERANCE), norm, np.inf)
        return weights @ self.across[sensor] / norm[:, :, None]


def answer(correlation: NDArray[np.float32], word: NDArray[np.int32], n_words: int) -> Merge:
    """What is to be told of dimensions that go with the concepts, named ``word [K]``, as ``correlation [N, S, K]``."""
    membership = members(correlation)
    return Merge(
        concept=membership,
        sign=np.where(at_membership(correlation, membership) < 0, -1.0, 1.0).astype(np.float32),
        word=word,
        n_words=n_words,
    )
