"""The world: objects x features, and what is known about them that the agents never see.

A world is centred and scaled once, here. A fixed random quarter of its objects is held out from the agents and from
the library, for measuring; the rest is what anyone can meet, and a few of those are the *probe*: objects that anyone
can point at.
"""

from __future__ import annotations

import dataclasses
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agents.errors import InputError

HELD_OUT_SHARE = 0.25
MIN_FEATURES = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Truth:
    """What was planted: ``loadings [D, K]`` and ``scores [M, K]``, for measuring only."""

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

    @property
    def n_objects(self) -> int:
        return len(self.features)

    @property
    def n_features(self) -> int:
        return self.features.shape[1]


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


def table(path: Path, *, seed: int, label: str | None = None, probe: int = 500) -> World:
    """A world from a file: ``.npz``, ``.csv`` or ``.parquet``.

    ``.npz`` holds ``features [M, D]`` and, if there, ``labels [M]``, ``category_names``, ``feature_names [D]`` and
    ``image_ids [M]`` (objects of one image are held out together). A table has one row per object; the column named
    ``label`` (default: a column called "label" or "labels", where there is one) holds the labels, all others numbers.

    Raises
    ------
    InputError
        If the file is missing or unreadable, a column is not numeric, a value is missing or infinite, a feature is
        constant, or there are too few objects or features.
    """
    if not path.is_file():
        raise InputError(f"{path} is not a file; give digits, planted, or the path of a .npz, .csv or .parquet file")
    readers = {".npz": _read_npz, ".csv": _read_table, ".parquet": _read_table}
    if path.suffix.lower() not in readers:
        raise InputError(f"{path} ends in {path.suffix!r}, but a world is read from .npz, .csv or .parquet")
    contents = readers[path.suffix.lower()](path, label)
    _check_finite(contents.features, contents.feature_names, path)
    return build(
        name=path.stem,
        raw=contents.features,
        seed=seed,
        probe=probe,
        labels=contents.labels,
        label_names=contents.label_names,
        feature_names=contents.feature_names,
        groups=contents.groups,
        source=str(path),
        refuse_constant=True,
    )


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
    source: str | None = None,
    refuse_constant: bool = False,
) -> World:
    """Centre, scale and split ``raw [M, D]`` into a `World`; the split depends on ``seed`` alone."""
    source = source or name
    n_objects, n_features = raw.shape
    if n_features < MIN_FEATURES:
        raise InputError(f"{source} has {n_features} feature(s), but a world needs at least {MIN_FEATURES}")
    mean = raw.mean(axis=0, dtype=np.float64)
    spread = raw.std(axis=0, dtype=np.float64)
    names = tuple(feature_names) or tuple(f"x{i}" for i in range(n_features))
    # A column of equal floats has a spread of rounding errors, not of zero: judge it against its own magnitude.
    constant = spread <= 1e-12 * np.maximum(1.0, np.abs(mean))
    if refuse_constant and constant.any():
        raise InputError(
            f"{source}: feature {names[int(constant.argmax())]!r} is the same for every object; remove that column"
        )
    scale = np.where(constant, 1.0, spread)
    features = ((raw - mean) / scale).astype(np.float32)
    features[:, constant] = 0.0
    train, held_out = _split(n_objects, groups, np.random.default_rng([seed, 0x5911]))
    if len(train) < 2 * MIN_FEATURES or len(held_out) == 0:
        raise InputError(f"{source} has {n_objects} object(s), too few to hold a quarter of them out")
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
        truth=truth,
    )


def _split(
    n_objects: int, groups: NDArray[np.int64] | None, rng: np.random.Generator
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Hold a random quarter out, whole groups at a time, so that no image is on both sides."""
    units = np.arange(n_objects) if groups is None else np.unique(groups, return_inverse=True)[1]
    n_units = int(units.max()) + 1 if n_objects else 0
    out = np.zeros(n_units, dtype=bool)
    out[rng.permutation(n_units)[: round(HELD_OUT_SHARE * n_units)]] = True
    held = out[units]
    return np.flatnonzero(~held).astype(np.int32), np.flatnonzero(held).astype(np.int32)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Contents:
    features: NDArray[np.float64]
    feature_names: tuple[str, ...]
    labels: NDArray[np.int64] | None
    label_names: tuple[str, ...]
    groups: NDArray[np.int64] | None = None


def _read_npz(path: Path, label: str | None) -> _Contents:
    try:
        # allow_pickle stays off: a world is numbers, and reading one must not run anything.
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} cannot be read as an .npz archive of plain arrays: {_first_line(error)}") from error
    if "features" not in arrays:
        raise InputError(f"{path} has no array called 'features'; it has {', '.join(sorted(arrays)) or 'none'}")
    features = arrays["features"]
    if features.ndim != 2:
        raise InputError(f"{path}: 'features' has shape {features.shape}, but it must be [objects, features]")
    if features.dtype.kind not in "fiub":
        raise InputError(f"{path}: 'features' holds {features.dtype} values, but it must hold numbers")
    n_objects, n_features = features.shape
    names = tuple(str(name) for name in arrays.get("feature_names", [f"x{i}" for i in range(n_features)]))
    if len(names) != n_features:
        raise InputError(f"{path}: 'feature_names' names {len(names)} features, but 'features' has {n_features}")
    key = label or "labels"
    if label is not None and label not in arrays:
        raise InputError(f"{path} has no array called {label!r} to take the labels from")
    labels, label_names = _labels(arrays.get(key), n_objects, arrays.get("category_names"), path, key)
    groups = None
    if "image_ids" in arrays:
        groups = np.unique(_column(arrays["image_ids"], n_objects, path, "image_ids"), return_inverse=True)[1]
    return _Contents(
        features=features.astype(np.float64),
        feature_names=names,
        labels=labels,
        label_names=label_names,
        groups=None if groups is None else groups.astype(np.int64),
    )


def _read_table(path: Path, label: str | None) -> _Contents:
    import pandas as pd

    try:
        frame = pd.read_csv(path) if path.suffix.lower() == ".csv" else pd.read_parquet(path)
    except (
        OSError,
        ValueError,
        UnicodeDecodeError,
    ) as error:  # pandas' and pyarrow's parse errors are ValueErrors
        raise InputError(f"{path} cannot be read as a {path.suffix} table: {_first_line(error)}") from error
    if label is None:
        label = next((str(c) for c in frame.columns if str(c).lower() in ("label", "labels")), None)
    elif label not in frame.columns:
        raise InputError(f"{path} has no column {label!r} to take the labels from")
    column = None if label is None else frame.pop(label)
    for name in frame.columns:
        if not pd.api.types.is_numeric_dtype(frame[name]):
            value = next((v for v in frame[name] if not isinstance(v, (int, float))), frame[name].iloc[0])
            raise InputError(
                f"{path}: column {str(name)!r} is not numeric (it has {str(value)!r}); remove it or give it as --label"
            )
    if frame.shape[0] == 0 or frame.shape[1] == 0:
        raise InputError(
            f"{path} has {frame.shape[0]} rows and {frame.shape[1]} numeric columns; it needs some of both"
        )
    if column is not None and bool(column.isna().any()):
        raise InputError(f"{path}: the label of row {int(column.isna().to_numpy().argmax()) + 1} is missing")
    raw_labels = None if column is None else column.to_numpy()
    if raw_labels is not None and raw_labels.dtype.kind not in "iub":
        raw_labels = raw_labels.astype(str)
    labels, label_names = _labels(raw_labels, len(frame), None, path, label or "label")
    return _Contents(
        features=frame.to_numpy(dtype=np.float64, na_value=np.nan),
        feature_names=tuple(str(name) for name in frame.columns),
        labels=labels,
        label_names=label_names,
    )


def _labels(
    values: NDArray[np.generic] | None,
    n_objects: int,
    names: NDArray[np.generic] | None,
    path: Path,
    key: str,
) -> tuple[NDArray[np.int64] | None, tuple[str, ...]]:
    """Labels as indices into their names; with ``names`` given the values already are such indices."""
    if values is None:
        return None, ()
    values = _column(values, n_objects, path, key)
    if names is not None and values.dtype.kind in "iu":
        codes = values.astype(np.int64)
        if codes.min() < 0 or codes.max() >= len(names):
            raise InputError(f"{path}: {key!r} must be indices into the {len(names)} 'category_names'")
        return codes, tuple(str(name) for name in names)
    distinct, inverse = np.unique(values, return_inverse=True)
    return inverse.astype(np.int64), tuple(str(name) for name in distinct)


def _column(values: NDArray[np.generic], n_objects: int, path: Path, key: str) -> NDArray[np.generic]:
    if values.shape != (n_objects,):
        raise InputError(
            f"{path}: {key!r} has shape {values.shape}, but it must be one value for each of {n_objects} objects"
        )
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise InputError(f"{path}: {key!r} has a missing or infinite value")
    return values


def _check_finite(features: NDArray[np.float64], names: Sequence[str], path: Path) -> None:
    bad = ~np.isfinite(features)
    if bad.any():
        row, column = (int(i) for i in np.argwhere(bad)[0])
        raise InputError(
            f"{path}: feature {names[column]!r} is {features[row, column]} in row {row + 1}, but it must be finite"
        )


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
