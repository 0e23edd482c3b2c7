"""The library as a model of the world: what it knows of an object, and what a few levels foretell of the rest."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from knowledge_graph.queries import row_of
from knowledge_graph.views import FloatMatrix, loadings_of

if TYPE_CHECKING:
    from knowledge_graph.library import Library


def transform(library: Library, features: NDArray[np.floating]) -> FloatMatrix:
    """Concept scores [M, K] of any objects ``[M, D]``, asked of the agents' own weights.

    Raises
    ------
    ValueError
        If it is not known what dimensions weigh, or there are other features than those of the library.
    """
    known = library.weights.shape[0]
    if known == 0:
        raise ValueError("scoring objects needs merged views that tell what their dimensions weigh")
    if features.ndim != 2 or features.shape[1] != known:
        raise ValueError(f"the features are {features.shape}, but this library knows objects of {known} features")
    return features.astype(np.float64) @ library.weights


def reconstruct(library: Library, features: NDArray[np.floating]) -> FloatMatrix:
    """Objects [M, D] as the library knows them: their concept scores, put back into features.

    By the regression of features on concept scores over the probe. What the library cannot know, whatever no view
    contains, is missing from the picture.

    Raises
    ------
    ValueError
        If there are no concepts, the features are not those of the library, or they have no common names.
    """
    _check_describes(library)
    scores = transform(library, features)
    picture = _picture(library)
    return picture.features + (scores - picture.scores) @ picture.loadings.T


def levels(library: Library, agent: int, features: NDArray[np.floating]) -> FloatMatrix:
    """How objects [M, D] stand on an agent's dimensions, [M, S], as these were when merged; 0 in empty slots.

    Raises
    ------
    KeyError
        If the agent's view was not in the last merge.
    ValueError
        If features have no common names, or there are others than these.
    """
    row = row_of(library, agent)
    views = library.rounds[-1].views
    if views.sensor is None or views.loading is None:
        raise ValueError("this library does not know what dimensions weigh: features have no common names")
    sensor, there = views.sensor[row], views.sensor[row] >= 0
    if features.ndim != 2 or features.shape[1] <= sensor.max(initial=-1):
        raise ValueError(f"the features are {features.shape}, but agent {agent} senses feature {sensor.max()}")
    weights = np.where(views.held[row][:, None], views.loading[row], 0.0)[:, there]
    return features[:, sensor[there]].astype(np.float64) @ weights.T


def predict(library: Library, agent: int, levels: NDArray[np.floating]) -> FloatMatrix:
    """All features [M, D] of objects, foretold from how one agent sees them: its levels [M, S].

    The levels say where the objects stand on the concepts, by the regression of concept scores on levels over the
    probe; the concepts say what goes with that. So an agent can tell of features that it does not sense.

    Parameters
    ----------
    agent : whose view was merged last
    levels : [M, S], on its own scale and in the directions that its dimensions had when merged (see `levels`); what
        stands in empty slots has no effect

    Raises
    ------
    KeyError
        If the agent's view was not in the last merge.
    ValueError
        If there are no concepts, or agents share no objects, so that nobody knows the scale of levels.
    """
    _check_describes(library)
    row = row_of(library, agent)
    last = library.rounds[-1]
    if len(last.sd) == 0:
        raise ValueError("predicting needs views on shared objects, which tell the scale of an agent's levels")
    slots = last.views.n_slots
    if levels.ndim != 2 or levels.shape[1] != slots:
        raise ValueError(f"the levels are {levels.shape}, but views have {slots} slots: give [objects, {slots}]")
    varies = last.sd[row] > 0
    levels, sd = levels[:, varies].astype(np.float64), last.sd[row, varies].astype(np.float64)
    standard = (levels - last.mean[row, varies]) / sd
    overlap = last.overlap[row][np.ix_(varies, varies)].astype(np.float64)
    # pinv: one dimension may repeat others.
    regression = np.linalg.pinv(overlap, rcond=1e-5, hermitian=True) @ last.unified.correlation[row, varies]
    picture = _picture(library)
    foretold: FloatMatrix = picture.features + standard @ regression @ picture.loadings.T
    return foretold


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Picture:
    """Features of an object from its concept scores s: ``features [D] + loadings [D, K] @ (s - scores [K])``."""

    features: FloatMatrix
    scores: FloatMatrix
    loadings: FloatMatrix


def _picture(library: Library) -> _Picture:
    """The regression of the probe objects' features on their concept scores; where nobody knows them, the loadings.

    Not always the same: loadings may tell how a feature goes with each concept by itself, and concepts with each other.
    """
    if library.features is None or library.unified is None:
        return _Picture(
            features=np.zeros(len(library.loadings)), scores=np.zeros(len(library)), loadings=library.loadings
        )
    features = library.features.astype(np.float64)
    scores = library.transform(features) if len(library.weights) else library.unified.scores
    middle, mean = features.mean(axis=0), scores.mean(axis=0)
    return _Picture(features=middle, scores=mean, loadings=loadings_of(features - middle, scores - mean))


def _check_describes(library: Library) -> None:
    if len(library) == 0:
        raise ValueError("this library has no concepts, so it knows nothing of any object")
    if len(library.loadings) == 0:
        raise ValueError("this library does not know what its concepts look like: features have no common names")
