"""The world: objects x features, and what is known about them that the agents never see.

A world is centred and scaled once, here. A fixed random quarter of its objects is held out from the agents and from
the library, for measuring; the rest is what anyone can meet, and a few of those are the *probe*: objects that anyone
can point at.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agents.errors import InputError
from agents.instances import Instances as Instances
from agents.world_files import read

OBJECTS = Path(__file__).with_name("objects") / "coco.npz"
"""The embeddings that come with this package."""

HELD_OUT_SHARE = 0.25
MIN_FEATURES = 2
MIN_OBJECTS = 8
MIN_PROBE = 2
ROUNDING = 1e-12
"""A feature whose standard deviation is a smaller share of its magnitude than this does not vary."""


STEPS = 8191
"""The largest feature in whole steps: 14 bits with the sign, which leave 18 of 32 to sums of weights."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Truth:
    """What was planted, for measuring only.

    ``loadings [D, K]``, of the world's features (in units of their standard deviation), and ``scores [M, K]``.
    """

    loadings: NDArray[np.float64]
    scores: NDArray[np.float64]


@dataclasses.dataclass(frozen=True, kw_only=True)
class World:
    """Objects that agents meet.

    Attributes
    ----------
    features : float32 [M, D], centred and scaled to unit variance (a constant feature is all zero)
    train, held_out, probe : int32 object ids; ``probe`` is part of ``train``, ``held_out`` is not
    labels : int64 [M] or None, indices into ``label_names``; agents never see them
    groups : int64 [M] or None, objects that belong together (one image) and are held out together
    mean, scale : float64 [D], so that ``raw = features * scale + mean``
    image_shape : (height, width) where the features are pixels, else None
    truth : the planted factors, else None
    embedding : float32 [M, E], centred and scaled coordinates of the objects that agents can be told, or None
    instances : where the objects were found, if that was in images, else None
    """

    name: str
    features: NDArray[np.float32]
    train: NDArray[np.int32]
    held_out: NDArray[np.int32]
    probe: NDArray[np.int32]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    feature_names: tuple[str, ...]
    labels: NDArray[np.int64] | None = None
    label_names: tuple[str, ...] = ()
    groups: NDArray[np.int64] | None = None
    image_shape: tuple[int, int] | None = None
    truth: Truth | None = None
    embedding: NDArray[np.float32] | None = None
    instances: Instances | None = None

    @property
    def n_objects(self) -> int:
        """How many objects there are, held-out ones too."""
        return len(self.features)

    @property
    def n_features(self) -> int:
        """How many features an object has."""
        return int(self.features.shape[1])

    @functools.cached_property
    def in_steps(self) -> tuple[NDArray[np.int16], float]:
        """The features in whole steps, int16 [M, D], and the size of a step: within half of it, ``steps * step``."""
        largest = float(np.abs(self.features).max(initial=0.0))
        step = largest / STEPS if largest > 0 else 1.0
        return np.rint(self.features / step).astype(np.int16), step

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 of all that a life in this world, and the measuring of it, can depend on (names apart)."""
        digest = hashlib.sha256()
        truth = () if self.truth is None else (self.truth.loadings, self.truth.scores)
        more = [array for array in (self.embedding, self.groups) if array is not None]
        for array in (self.features, self.train, self.held_out, self.probe, self.labels, *truth, *more):
            if array is None:
                digest.update(b"none")
            else:
                digest.update(f"{array.dtype}{array.shape}".encode() + np.ascontiguousarray(array).data)
        return digest.hexdigest()


def digits(*, seed: int, probe: int = 500) -> World:
    """Scikit-learn's 1,797 real handwritten digits of 8 x 8 pixels (UCI optdigits test set), with their labels.

    The three corner pixels that are blank in every image stay, as constant zeros, so that the features keep their
    image shape.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return build(
        name="digits",
        raw=bunch.data,
        seed=seed,
        probe=probe,
        labels=bunch.target.astype(np.int64),
        label_names=tuple(str(name) for name in bunch.target_names),
        feature_names=tuple(f"row {i} column {j}" for i in range(8) for j in range(8)),
        image_shape=(8, 8),
    )


def planted(
    *,
    seed: int,
    objects: int = 4000,
    features: int = 256,
    factors: int = 32,
    communality: float = 0.6,
    cross_loadings: float = 0.25,
    probe: int = 500,
) -> World:
    """A world made of ``factors`` independent sparse common factors, whose truth is kept for measuring.

    Each feature is ``x = L f + e`` (the common factor model, Thurstone 1947): it loads on one factor of its own, a
    share ``cross_loadings`` of the features on a second one at half the strength, with random signs; the factors
    explain the share ``communality`` of every feature's variance, and independent Gaussian noise the rest.
    """
    if not 1 <= factors <= features:
        raise InputError(f"planted_factors is {factors}, but it must be from 1 to the number of features ({features})")
    if not 0 < communality <= 1:
        raise InputError(f"planted_communality is {communality}, but it must be above 0 and at most 1")
    rng = np.random.default_rng([seed, 0x5EED])
    own = rng.permutation(features) % factors
    loadings = np.zeros((features, factors))
    loadings[np.arange(features), own] = rng.choice([-1.0, 1.0], size=features)
    if factors > 1:
        crossed = np.flatnonzero(rng.random(features) < cross_loadings)
        second = (own[crossed] + rng.integers(1, factors, size=len(crossed))) % factors
        loadings[crossed, second] = 0.5 * rng.choice([-1.0, 1.0], size=len(crossed))
    loadings *= np.sqrt(communality) / np.linalg.norm(loadings, axis=1, keepdims=True)
    scores = rng.standard_normal((objects, factors))
    noise = np.sqrt(1.0 - communality) * rng.standard_normal((objects, features))
    return build(
        name="planted",
        raw=scores @ loadings.T + noise,
        seed=seed,
        probe=probe,
        truth=Truth(loadings=loadings, scores=scores),
    )


def objects(*, seed: int, probe: int = 1000) -> World:
    """Real objects of COCO photographs, as a network trained on ImageNet describes them, with their categories.

    The file comes with this package: embeddings, boxes and ids, no images (see ``agents/objects/README.md`` for what
    they are of, how they were made, and under which licence).
    """
    world = table(OBJECTS, seed=seed, probe=probe)
    return dataclasses.replace(world, name="objects")


def table(path: Path, *, seed: int, label: str | None = None, probe: int = 500) -> World:
    """A world from a file: ``.npz``, ``.csv`` or ``.parquet``.

    ``.npz`` holds ``features [M, D]`` and, if there, ``labels [M]``, ``category_names``, ``feature_names [D]``,
    ``image_ids [M]`` (objects of one image are held out together) and ``embedding [M, E]`` (see `embedded`); or it is
    what ``python -m detection.embed`` writes, and tells where its objects are from (`agents.instances`). A table
    has one row per object; the column named ``label`` (default: a column called "label" or "labels", where there is
    one) holds the labels, ``image_ids`` (if there) the images, all others numbers. The same data gives the same world
    from any of the three (tables have no embedding).

    Raises
    ------
    InputError
        If the file is missing or unreadable, a column is not numeric, a value is missing or infinite, a feature is
        constant over the objects that can be met (a channel of a network may be, not all), or there are too few
        objects or features.
    """
    contents = read(path, label)
    world = build(
        name=path.stem,
        raw=contents.features,
        seed=seed,
        probe=probe,
        labels=contents.labels,
        label_names=contents.label_names,
        feature_names=contents.feature_names,
        groups=contents.groups,
        instances=contents.instances,
        source=str(path),
        refuse_constant=contents.instances is None,
    )
    if not world.features[world.train].any():
        raise InputError(f"{path}: every feature is the same for every object; give some that tell objects apart")
    if contents.embedding is None:
        return world
    # A channel of a network may be silent.
    return embedded(world, contents.embedding, source=str(path), refuse_constant=contents.instances is None)


def embedded(
    world: World, embedding: NDArray[np.floating], *, source: str | None = None, refuse_constant: bool = True
) -> World:
    """The same world, whose agents can be told the coordinates ``embedding [M, E]`` of its objects.

    Such as a network trained elsewhere gives. They are centred and scaled like features; ``source`` is what messages
    call the world, by default its name.

    Raises
    ------
    InputError
        If there is not a row for each object, a value is missing or infinite, or every coordinate is the same for
        every object of the training set; with ``refuse_constant`` also if a single one is (else it is left out).
    """
    source = source or world.name
    if embedding.ndim != 2 or len(embedding) != world.n_objects or embedding.shape[1] == 0:
        raise InputError(
            f"{source}: 'embedding' has shape {embedding.shape}, but it must be [{world.n_objects}, coordinates], a "
            "row for each object"
        )
    names = tuple(f"embedding {i}" for i in range(embedding.shape[1]))
    _check_finite(embedding, names, source)
    coordinates, _, _, constant = _standardised(embedding, world.train)
    if constant.all():
        raise InputError(f"{source}: every coordinate of 'embedding' is the same for every object; remove the array")
    if refuse_constant and constant.any():
        column = int(constant.argmax())
        why = _why_constant(embedding[:, column], world.train)
        raise InputError(f"{source}: coordinate {column} of 'embedding' is {why}")
    return dataclasses.replace(world, embedding=coordinates[:, ~constant])


def build(
    *,
    name: str,
    raw: NDArray[np.floating],
    seed: int,
    probe: int,
    labels: NDArray[np.int64] | None = None,
    label_names: Sequence[str] = (),
    feature_names: Sequence[str] = (),
    groups: NDArray[np.int64] | None = None,
    image_shape: tuple[int, int] | None = None,
    truth: Truth | None = None,
    instances: Instances | None = None,
    source: str | None = None,
    refuse_constant: bool = False,
) -> World:
    """Centre, scale and split ``raw [M, D]`` into a `World`.

    The split depends on ``seed`` (and the number of objects, or their ``groups``) alone. ``truth`` tells of ``raw``,
    and is brought to the scale of the features. ``source`` is what messages call the world, by default ``name``.

    Raises
    ------
    InputError
        If there are too few objects, groups, features or probe objects, or a value is missing or infinite; with
        ``refuse_constant`` also if a feature is the same for every object (else it becomes all zero).
    """
    source = source or name
    n_objects, n_features = raw.shape
    if n_features < MIN_FEATURES:
        raise InputError(f"{source} has {n_features} feature(s), but a world needs at least {MIN_FEATURES}")
    if n_objects < MIN_OBJECTS:
        raise InputError(f"{source} has {n_objects} object(s), but a world needs at least {MIN_OBJECTS}")
    if probe < MIN_PROBE:
        raise InputError(f"probe is {probe}, but it must be at least {MIN_PROBE}")
    names = tuple(feature_names) or tuple(f"x{i}" for i in range(n_features))
    for what, values, length in (
        ("labels", labels, n_objects),
        ("groups", groups, n_objects),
        ("feature_names", names, n_features),
    ):
        if values is not None and len(values) != length:
            raise InputError(f"{source} has {len(values)} {what}, but it must have {length}")
    _check_finite(raw, names, source)
    train, held_out = _split(n_objects, groups, np.random.default_rng([seed, 0x5911]), source)
    features, mean, scale, constant = _standardised(raw, train)
    if refuse_constant and constant.any():
        column = int(constant.argmax())
        raise InputError(f"{source}: feature {names[column]!r} is {_why_constant(raw[:, column], train)}")
    chosen = np.random.default_rng([seed, 0x940BE]).permutation(len(train))[: min(probe, len(train))]
    return World(
        name=name,
        features=features,
        train=train,
        held_out=held_out,
        probe=np.sort(train[chosen]),
        mean=mean,
        scale=scale,
        feature_names=names,
        labels=labels,
        label_names=tuple(label_names),
        groups=groups,
        image_shape=image_shape,
        truth=None if truth is None else dataclasses.replace(truth, loadings=truth.loadings / scale[:, None]),
        instances=instances,
    )


def _standardised(
    raw: NDArray[np.floating], train: NDArray[np.int32]
) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Columns of mean 0 and variance 1 over ``train``, what they were before (mean, scale [D]), which are constant [D].

    The held-out objects have no say in it, but that what is rounding is judged by the magnitude of all. A column that
    is constant over ``train`` becomes 0, with a scale of 1.
    """
    # Powers of two change no digit, and keep the squares of very large and very small numbers within range.
    exponent = np.frexp(np.abs(raw).max(axis=0).astype(np.float64))[1]
    moderate = np.ldexp(raw.astype(np.float64, order="C"), -exponent)  # sums depend on the order in memory
    mean, spread = moderate[train].mean(axis=0), moderate[train].std(axis=0)
    # A column of equal floats has a spread of rounding errors, not of zero: judge it against its own magnitude.
    constant = spread <= ROUNDING
    features = ((moderate - mean) / np.where(constant, 1.0, spread)).astype(np.float32)
    features[:, constant] = 0.0
    return features, np.ldexp(mean, exponent), np.where(constant, 1.0, np.ldexp(spread, exponent)), constant


def _why_constant(column: NDArray[np.floating], train: NDArray[np.int32]) -> str:
    """What there is to say of values [M] that count as constant over ``train``, and what to do about it."""

    def flat(values: NDArray[np.floating]) -> bool:
        size = float(np.abs(values).max())
        return bool((values.astype(np.float64) / (size or 1.0)).std() <= ROUNDING)

    if flat(column):
        return "the same for every object; remove that column"
    if flat(column[train]):
        return "the same for every object that can be met, and tells apart held-out ones alone; remove that column"
    row = int(np.abs(column).argmax())
    return (
        f"{column[row]:g} in row {row + 1}, beside which all objects that can be met are the same; correct that "
        "number, or remove the row or the feature"
    )


def _split(
    n_objects: int, groups: NDArray[np.int64] | None, rng: np.random.Generator, source: str
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Hold a random quarter out, whole groups at a time, so that no image is on both sides."""
    units = np.arange(n_objects) if groups is None else np.unique(groups, return_inverse=True)[1]
    n_units = int(units.max()) + 1
    out = np.zeros(n_units, dtype=bool)
    out[rng.permutation(n_units)[: round(HELD_OUT_SHARE * n_units)]] = True
    held = out[units]
    if not held.any() or (~held).sum() < MIN_OBJECTS // 2:
        raise InputError(
            f"{source} has its {n_objects} objects in {n_units} image(s), too few to hold a quarter of them out whole; "
            "give more images"
        )
    return np.flatnonzero(~held).astype(np.int32), np.flatnonzero(held).astype(np.int32)


def _check_finite(raw: NDArray[np.floating], names: Sequence[str], source: str) -> None:
    bad = ~np.isfinite(raw)
    if bad.any():
        row, column = (int(i) for i in np.argwhere(bad)[0])
        what = "missing (nan)" if np.isnan(raw[row, column]) else "infinite"
        raise InputError(
            f"{source}: feature {names[column]!r} is {what} in row {row + 1}; give a number there, or remove the row "
            "or the feature"
        )
