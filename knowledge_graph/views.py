"""What goes into a merge and what comes out: `Views` of many agents, and the dimensions they share, `Unified`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

NOTHING = -1
"""No word, no object."""

CHUNK = 256
"""Views taken together; bounds the memory for [n, P, S] levels, and keeps them near the processor."""

RANK_TOLERANCE = 1e-6

FloatMatrix = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Views:
    """What N agents bring to the library, S slots each; nothing in it depends on how the society is built.

    Agents are compared by what they share: the same objects (``levels``), features of the same name (``sensor``,
    ``loading``, ``structure``, ``phi``), or both. What is not shared is None.

    Attributes
    ----------
    agent : int64 [N], stable ids
    held : bool [N, S], which slots hold a dimension
    levels : float32 [N, P, S], levels of the P probe objects along each dimension; nan for objects an agent has not
        seen
    sensor : int32 [N, m], the features an agent senses, as columns of one list of names; -1 where it senses fewer,
        and loading and structure are 0
    loading : float32 [N, S, m], what its dimensions weigh: an object's level is the sum of its sensed features times
        these
    structure : float32 [N, S, m], the correlation of each sensed feature with each dimension in the agent's own
        experience (the factor structure)
    phi : float32 [N, S, S], the correlation of its dimensions with each other in its own experience
    words : int32 [N, S, W], the words it has for a dimension, -1 where free
    kind : int8 [N, S], 0 empty, 1 raw, 2 abstract
    sources : int32 [N, S, E], the objects a dimension comes from, -1 where free: the exemplar of a raw one, those
        remembered objects on which an abstract one stands most
    born : int32 [N, S], the step at which it arose
    score : float32 [N, S], the superiority felt along it
    """

    agent: NDArray[np.int64]
    held: NDArray[np.bool_]
    words: NDArray[np.int32]
    kind: NDArray[np.int8]
    sources: NDArray[np.int32]
    born: NDArray[np.int32]
    score: NDArray[np.float32]
    levels: NDArray[np.float32] | None = None
    sensor: NDArray[np.int32] | None = None
    loading: NDArray[np.float32] | None = None
    structure: NDArray[np.float32] | None = None
    phi: NDArray[np.float32] | None = None

    @classmethod
    def of(
        cls,
        *,
        levels: NDArray[np.floating] | None = None,
        sensor: NDArray[np.integer] | None = None,
        loading: NDArray[np.floating] | None = None,
        structure: NDArray[np.floating] | None = None,
        phi: NDArray[np.floating] | None = None,
        held: NDArray[np.bool_] | None = None,
        agent: NDArray[np.integer] | None = None,
    ) -> Views:
        """Views of agents about whom nothing else is known: no words, no provenance; agents are numbered from 0."""

        def single(x: NDArray[np.floating] | None) -> NDArray[np.float32] | None:
            return None if x is None else np.asarray(x, dtype=np.float32)

        levels, loading, structure, phi = (single(x) for x in (levels, loading, structure, phi))
        bearer = levels if levels is not None else loading if loading is not None else structure
        if bearer is None:
            raise ValueError("views need levels of shared objects, or loadings on named features; got neither")
        if bearer.ndim != 3:
            raise ValueError(
                f"views are tables of three sides (agents, slots, and objects or features), not {bearer.shape}"
            )
        shape = (bearer.shape[0], bearer.shape[2]) if levels is not None else bearer.shape[:2]
        there = np.ones(shape, dtype=bool) if held is None else np.asarray(held, dtype=bool)
        return cls(
            agent=np.arange(shape[0]) if agent is None else np.asarray(agent, dtype=np.int64),
            held=there,
            words=np.full((*shape, 1), NOTHING, dtype=np.int32),
            kind=np.where(there, 2, 0).astype(np.int8),
            sources=np.full((*shape, 1), NOTHING, dtype=np.int32),
            born=np.zeros(shape, dtype=np.int32),
            score=np.full(shape, 0.5, dtype=np.float32),
            levels=levels,
            sensor=None if sensor is None else np.asarray(sensor, dtype=np.int32),
            loading=loading,
            structure=structure,
            phi=phi,
        )

    def __post_init__(self) -> None:
        if self.held.ndim != 2:
            raise ValueError(f"held has the shape {self.held.shape}, but views need [agents, slots]")
        if self.levels is not None and self.levels.ndim != 3:
            raise ValueError(f"levels have the shape {self.levels.shape}, but views need [agents, objects, slots]")
        if self.sensor is None and (self.loading is not None or self.structure is not None):
            raise ValueError("loading and structure are of sensed features, so views that have them need sensor, too")
        n, slots = self.held.shape
        sensed = None if self.sensor is None else self.sensor.shape[-1]
        probed = None if self.levels is None else self.levels.shape[1]
        for name, shape in {
            "agent": (n,),
            "words": (n, slots, self.words.shape[-1]),
            "kind": (n, slots),
            "sources": (n, slots, self.sources.shape[-1]),
            "born": (n, slots),
            "score": (n, slots),
            "levels": (n, probed, slots),
            "sensor": (n, sensed),
            "loading": (n, slots, sensed),
            "structure": (n, slots, sensed),
            "phi": (n, slots, slots),
        }.items():
            array = getattr(self, name)
            if array is not None and array.shape != shape:
                raise ValueError(f"{name} has the shape {array.shape}, but these views need {shape}")

    def __len__(self) -> int:
        return len(self.agent)

    @property
    def n_slots(self) -> int:
        """S, the most dimensions that a view can have."""
        return int(self.held.shape[1])

    @property
    def n_objects(self) -> int:
        """P, the probe objects that agents may share; 0 where they share none."""
        return 0 if self.levels is None else self.levels.shape[1]

    @property
    def n_features(self) -> int:
        """Features sensed by anyone, counted by their largest number; 0 where features have no common names."""
        return 0 if self.sensor is None or self.sensor.size == 0 else int(self.sensor.max()) + 1

    def take(self, rows: NDArray[np.intp] | slice) -> Views:
        """The views of some agents."""
        found: dict[str, Any] = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        chosen: dict[str, Any] = {name: None if array is None else array[rows] for name, array in found.items()}
        return Views(**chosen)


WHOLE = ("agent", "words", "kind", "sources", "born", "sensor")
"""Tables of whole numbers with a sign."""


def check_sound(views: Views) -> None:
    """Refuse views that no library can keep.

    Raises
    ------
    ValueError
        If two agents have one number, a dimension that is held is neither raw nor abstract, what should be whole
        numbers is not, or a number is not finite (but for levels, at which whoever unifies views looks).
    """
    for name in WHOLE:
        array = getattr(views, name)
        if array is not None and array.dtype.kind != "i":  # without a sign there would be no -1 for nothing
            raise ValueError(f"{name} holds {array.dtype} values; give whole numbers with a sign")
    number, times = np.unique(views.agent, return_counts=True)
    if (times > 1).any():
        raise ValueError(
            f"there are {times.max()} views of agent {number[times.argmax()]}, but each agent has only one"
        )
    kinds = views.kind[views.held]
    if not np.isin(kinds, (1, 2)).all():
        wrong = kinds[~np.isin(kinds, (1, 2))][0]
        raise ValueError(f"a dimension is of the kind {wrong}, but those held are 1 (raw) or 2 (abstract)")
    for name in ("loading", "structure", "phi", "score"):
        array = getattr(views, name)
        if array is not None and not np.isfinite(array).all():
            raise ValueError(f"{name} has values that are not finite; give numbers, and 0 in empty slots")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unified:
    """The K dimensions that N views share, however they were found.

    Attributes
    ----------
    method : "gcca", "clustering" or "covariance"
    scores : float64 [P, K], concept scores of the probe objects, mean 0 and variance 1; [0, K] without shared objects
    weights : float64 [D, K], so that ``features @ weights`` are concept scores of any objects, as the agents see them;
        [0, K] where features have no common names
    loadings : float64 [D, K], what concepts look like: how every feature goes with them, over the probe objects or
        in the agents' own experience
    correlation : float32 [N, S, K], of every dimension with every concept (0 in empty slots)
    support : float64 [K], the mean over views of the share of the concept's variance that a view explains: the share
        of agents who know it times how reliably they do
    eigenvalues : float64 [.], what was counted, largest first (eigenvalues, or strengths of clusters)
    edge : float64 [.], what it had to exceed, place by place
    """

    method: str
    scores: FloatMatrix
    weights: FloatMatrix
    loadings: FloatMatrix
    correlation: NDArray[np.float32]
    support: NDArray[np.float64]
    eigenvalues: NDArray[np.float64]
    edge: NDArray[np.float64]

    @property
    def n_concepts(self) -> int:
        """How many concepts there are."""
        return len(self.support)


def chunks(n: int, size: int = CHUNK) -> Iterator[slice]:
    """Slices that cover ``range(n)`` in parts of at most ``size``."""
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


def standardised(levels: NDArray[np.floating], held: NDArray[np.bool_]) -> tuple[FloatMatrix, FloatMatrix]:
    """Levels [n, P, S] with mean 0 and norm 1 in each column over the objects seen, and the norms [n, S] they had.

    Unseen objects, empty slots and constant dimensions are 0; the norm of the last two is infinite.
    """
    filled = levels.astype(np.float64)
    unseen = np.isnan(levels)
    missed = bool(unseen.any())
    if missed:
        np.copyto(filled, 0.0, where=unseen)
    count = levels.shape[1] - unseen.sum(axis=1, keepdims=True) if missed else levels.shape[1]
    # Sums over objects as products with ones: a column of a few numbers at a time is slow to add up.
    ones = np.ones((1, levels.shape[1]))
    filled -= (ones @ filled) / np.maximum(count, 1)
    if missed:
        np.copyto(filled, 0.0, where=unseen)
    norm = np.sqrt((ones @ np.square(filled))[:, 0])
    norm = np.where(held & (norm > RANK_TOLERANCE), norm, np.inf)
    filled /= norm[:, None, :]
    return filled, norm


def seen_in(levels: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which objects [n, P] the agents with these levels [n, P, S] have seen."""
    return np.asarray(~np.isnan(levels).all(axis=2))


def held_only(overlap: NDArray[np.floating], held: NDArray[np.bool_]) -> FloatMatrix:
    """Correlations [n, S, S] of dimensions with each other, 0 in empty slots."""
    return np.where(held[:, :, None] & held[:, None, :], overlap, 0.0).astype(np.float64)


def whitening(gram: FloatMatrix, *, least: float = RANK_TOLERANCE) -> FloatMatrix:
    """T [n, S, S] so that ``T' gram T`` is the identity, with zero columns for eigenvalues of at most ``least``."""
    values, vectors = np.linalg.eigh(gram)
    there = values > least
    scale = np.where(there, 1.0 / np.sqrt(np.where(there, values, 1.0)), 0.0)
    return vectors * scale[:, None, :]


def moments(views: Views) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Means, standard deviations [N, S] and correlations [N, S, S] of agents' levels over the objects they have seen.

    Empty, [0, S], where the agents share no objects.
    """
    n, slots = 0 if views.levels is None else len(views), views.n_slots
    mean, sd = np.zeros((n, slots), np.float32), np.zeros((n, slots), np.float32)
    overlap = np.zeros((n, slots, slots), np.float32)
    for rows in chunks(n):
        assert views.levels is not None
        levels = views.levels[rows]
        centred, norm = standardised(levels, views.held[rows])
        count = np.maximum((~np.isnan(levels)).sum(axis=1), 1)
        mean[rows] = np.where(np.isfinite(norm), np.nansum(levels, axis=1, dtype=np.float64) / count, 0.0)
        sd[rows] = np.where(np.isfinite(norm), norm / np.sqrt(count), 0.0)
        overlap[rows] = centred.swapaxes(1, 2) @ centred
    return mean, sd, overlap


def objects_seen(views: Views) -> NDArray[np.int32]:
    """How many of the shared objects each agent has seen, [N]; [0] where the agents share no objects."""
    if views.levels is None:
        return np.zeros(0, dtype=np.int32)
    seen: NDArray[np.int32] = seen_in(views.levels).sum(axis=1, dtype=np.int32)
    return seen


def correlations(views: Views, scores: FloatMatrix) -> NDArray[np.float32]:
    """Correlation [N, S, K] over the objects seen of every dimension with concepts ``scores [P, K]``."""
    assert views.levels is not None
    found = np.zeros((len(views), views.n_slots, scores.shape[1]), dtype=np.float32)
    for rows in chunks(len(views)):
        levels = views.levels[rows]
        across = standardised(levels, views.held[rows])[0].swapaxes(1, 2)
        seen = seen_in(levels)
        if seen.all():
            centred = scores - scores.mean(axis=0)
            found[rows] = across @ centred / np.sqrt(len(scores))  # scores have variance 1
        else:
            # The levels are centred over what an agent has seen, so only the scores' spread there is wanting.
            count = seen.sum(axis=1)[:, None]
            mean = seen @ scores / np.maximum(count, 1)
            spread = np.sqrt(np.maximum(seen @ scores**2 - count * mean**2, 0.0))
            found[rows] = np.divide(
                across @ scores, spread[:, None, :], out=np.zeros(found[rows].shape), where=spread[:, None, :] > 1e-9
            )
    return found


def lifted(views: Views, per_slot: FloatMatrix, rows: slice, n_features: int) -> FloatMatrix:
    """Sum over ``rows`` of weights per slot [n, S, K], brought to the features that the dimensions weigh: [D, K]."""
    assert views.sensor is not None
    assert views.loading is not None
    brought = views.loading[rows].swapaxes(1, 2).astype(np.float64) @ per_slot
    return by_feature(views.sensor[rows], brought, n_features)


def by_feature(sensor: NDArray[np.integer], values: FloatMatrix, n_features: int) -> FloatMatrix:
    """Sum [D, K] of the ``values [n, m, K]`` of all those who sense a feature, ``sensor [n, m]``; -1 senses nothing."""
    sensed = sensor >= 0
    place = sensor[sensed]
    incidence = csr_array((np.ones(len(place)), place, np.arange(len(place) + 1)), shape=(len(place), n_features))
    return np.asarray(incidence.T @ values[sensed])


def features_known(views: Views, features: NDArray[np.floating] | None) -> int:
    """D, the features there are; ValueError if ``features [P, D]`` are not those of the views' probe objects."""
    if features is None:
        return views.n_features
    if features.ndim != 2 or features.shape[1] < views.n_features:
        raise ValueError(
            f"the features are {features.shape}, but the views sense features up to number {views.n_features - 1}: "
            f"give [objects, {views.n_features}] or more"
        )
    if views.levels is not None and len(features) != views.n_objects:
        raise ValueError(f"there are features of {len(features)} objects, but levels of {views.n_objects}")
    return int(features.shape[1])


def loadings_of(features: NDArray[np.floating], scores: NDArray[np.floating]) -> FloatMatrix:
    """Loadings [D, K]: regression of every feature [P, D] on the concept scores [P, K] of the same objects."""
    return np.asarray(np.linalg.lstsq(scores, features.astype(np.float64), rcond=None)[0].T, dtype=np.float64)


def groups_by_objects(views: Views) -> int:
    """Into how many groups the agents fall that have no object in common; each agent's unseen ones are nan."""
    if views.levels is None or views.n_objects < 2:
        return len(views)
    return _groups(seen_in(views.levels))


def groups_by_features(views: Views) -> int:
    """Into how many groups the agents fall that sense no feature in common."""
    if views.sensor is None:
        return len(views)
    sensed = np.zeros((len(views), views.n_features), dtype=bool)
    row, place = np.nonzero(views.sensor >= 0)
    sensed[row, views.sensor[row, place]] = True
    return _groups(sensed)


def _groups(incidence: NDArray[np.bool_]) -> int:
    """Connected components of the two-sided graph of agents [N] and things [T]; agents without a thing are in none."""
    n, things = incidence.shape
    if n and incidence.all(axis=0).any():
        return 1  # all have the same thing, as in most societies; the graph of a large one takes long to build
    row, column = np.nonzero(incidence)
    graph = csr_array((np.ones(len(row), dtype=np.int8), (row, n + column)), shape=(n + things, n + things))
    _, part = connected_components(graph, directed=False)
    return len(np.unique(part[:n][incidence.any(axis=1)]))
