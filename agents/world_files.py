"""Worlds from files: what ``.npz``, ``.csv`` and ``.parquet`` files must look like, and a sentence where they do not.

The same data gives the same contents, whichever of the three it comes from.
"""

from __future__ import annotations

import csv
import dataclasses
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agents.archive import array_names, first_sentence, read_arrays
from agents.errors import InputError
from agents.instances import ARRAYS, Instances, instances_of, is_of_objects
from knowledge_graph.files import DAMAGE

LABELS = ("labels", "label")
"""What the labels are called, if nothing else is said (in tables also in capitals)."""

GROUPS = "image_ids"
EMBEDDING = "embedding"
EXACT_FLOATS = {} if tuple(map(int, pd.__version__.split(".")[:2])) >= (3, 1) else {"float_precision": "round_trip"}
"""Makes pandas read the very number that was written, as it always does from 3.1 on."""

EXACT = 2.0**53
"""Up to here every whole number is a float."""
CATEGORIES = "category_names"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Contents:
    """What a file says of M objects and D features.

    ``features`` float64 [M, D]; ``labels`` int64 [M] or None, indices into ``label_names``; ``groups`` int64 [M] or
    None, equal for objects that belong together; ``embedding`` float64 [M, E] or None, as far as it is numbers;
    ``instances`` where the objects were found, or None.
    """

    features: NDArray[np.float64]
    feature_names: tuple[str, ...]
    labels: NDArray[np.int64] | None = None
    label_names: tuple[str, ...] = ()
    groups: NDArray[np.int64] | None = None
    embedding: NDArray[np.float64] | None = None
    instances: Instances | None = None


def read(path: Path, label: str | None = None) -> Contents:
    """What a ``.npz``, ``.csv`` or ``.parquet`` file says; ``label`` names the column or array of the labels.

    Raises
    ------
    InputError
        If the file is missing or unreadable, or its contents have the wrong form.
    """
    known = "give objects, digits, planted, or a .npz, .csv or .parquet file"
    if not os.path.exists(path):
        raise InputError(f"world is {path}, which does not exist; {known}")
    if not os.path.isfile(path):
        raise InputError(f"world is {path}, which is {'a directory' if path.is_dir() else 'no file'}; {known}")
    ending = path.suffix.lower()
    if ending == ".npz":
        return _read_npz(path, label)
    if ending == ".csv":
        return _from_frame(_read_csv(path), path, label)
    if ending == ".parquet":
        return _from_frame(_read_parquet(path), path, label)
    what = f"ends in {path.suffix!r}" if path.suffix else "has no ending"
    raise InputError(f"{path} {what}, but a world is read from a .npz, .csv or .parquet file")


def tells_of_objects(path: Path) -> bool:
    """Whether a file, if it can be read at all, is of objects found in images (see `agents.instances`)."""
    return path.suffix.lower() == ".npz" and os.path.isfile(path) and is_of_objects(array_names(path))


def _read_npz(path: Path, label: str | None) -> Contents:
    there = array_names(path)
    if "features" not in there:
        raise InputError(
            f"{path} has no array 'features' [objects, features]; it has {', '.join(map(repr, there)) or 'nothing'}"
        )
    key = _label_key(label, [name for name in there if name in LABELS], there, path)
    wanted = {"features", "feature_names", CATEGORIES, GROUPS, EMBEDDING, *ARRAYS, *({key} if key else ())}
    arrays = read_arrays(path, wanted)
    features = arrays["features"]
    if features.ndim != 2:
        raise InputError(f"{path}: 'features' has shape {features.shape}, but it must be [objects, features]")
    if features.dtype.kind not in "fiub":
        raise InputError(f"{path}: 'features' holds {features.dtype} values, but it must hold numbers")
    n_objects, n_features = features.shape
    names: tuple[str, ...] = tuple(f"x{i}" for i in range(n_features))
    if "feature_names" in arrays:
        names = _texts(arrays["feature_names"], n_features, "feature", path, "feature_names")
        _check_distinct(names, path, "'feature_names'")
    labels, label_names = _labels(arrays[key], n_objects, arrays.get(CATEGORIES), path, key) if key else (None, ())
    return Contents(
        features=features.astype(np.float64),
        feature_names=names,
        labels=labels,
        label_names=label_names,
        groups=_groups(arrays[GROUPS], n_objects, path) if GROUPS in arrays else None,
        embedding=_embedding(arrays[EMBEDDING], path) if EMBEDDING in arrays else None,
        instances=instances_of(arrays, n_objects, path),
    )


def _embedding(values: NDArray[Any], path: Path) -> NDArray[np.float64]:
    if values.dtype.kind not in "fiub":
        raise InputError(f"{path}: {EMBEDDING!r} holds {values.dtype} values, but it must hold numbers")
    return values.astype(np.float64)


def _read_csv(path: Path) -> pd.DataFrame:
    try:
        names = _header(path)
        # With low_memory pandas would guess the type of a column from parts of it.
        frame = pd.read_csv(path, low_memory=False, **EXACT_FLOATS)
    except InputError:
        raise
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text; save it as UTF-8") from error
    except (OSError, ValueError, csv.Error) as error:  # pandas' own errors are ValueErrors
        raise InputError(f"{path} cannot be read as a .csv table ({_parse_error(error)})") from error
    if not isinstance(frame.index, pd.RangeIndex):  # pandas takes the values that are too many for row names
        raise InputError(f"{path} has rows of more values than the {len(names)} columns that its first row names")
    return frame


def _header(path: Path) -> list[str]:
    """The names in the first row, which pandas would mend where they are no names."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        names = next((row for row in csv.reader(stream) if row), [])
    if "\0" in "".join(names):
        raise InputError(f"{path} is not UTF-8 text; save it as UTF-8")
    if not names:
        raise InputError(f"{path} is empty, but its first row must name the columns, and a row for each object follow")
    if len(names) == 1 and (mark := next((m for m in (";", "\t", "|") if m in names[0]), None)):
        raise InputError(f"{path} seems to be separated by {mark!r}, but the values of a .csv file must be by commas")
    if "" in (stripped := [name.strip() for name in names]):
        raise InputError(f"{path}: column {stripped.index('') + 1} has no name; name it in the first row or remove it")
    _check_distinct(names, path, "its first row")
    if all(map(_is_number, names)) and [float(name) for name in names] != list(range(len(names))):
        raise InputError(f"{path}: the first row holds numbers ({names[0]}, ...), but it must name the columns")
    return names


def _read_parquet(path: Path) -> pd.DataFrame:
    from pyarrow import ArrowException

    try:
        frame = pd.read_parquet(path)
    # What tells pandas of the columns has no checksum in the file, and may be nonsense in any way.
    except (*DAMAGE, LookupError, TypeError, AttributeError, ArrowException) as error:
        raise InputError(f"{path} is not a whole .parquet table ({_parse_error(error)}); write it anew") from error
    frame.columns = pd.Index([str(name) for name in frame.columns])
    _check_distinct(list(frame.columns), path, "the table")
    return frame


def _from_frame(frame: pd.DataFrame, path: Path, label: str | None) -> Contents:
    there = list(frame.columns)
    key = _label_key(label, [name for name in there if name.lower() in LABELS], there, path)
    labels = frame.pop(key) if key else None
    groups = frame.pop(GROUPS) if GROUPS in frame else None
    if len(frame) == 0 or frame.shape[1] == 0:
        raise InputError(
            f"{path} has {len(frame)} rows and {frame.shape[1]} columns of features, but a world needs both"
        )
    for name in frame.columns:
        _check_numeric(frame[name], path)
    codes, label_names = _labels(_values(labels, path), len(frame), None, path, str(key)) if key else (None, ())
    return Contents(
        features=frame.to_numpy(dtype=np.float64, na_value=np.nan),
        feature_names=tuple(frame.columns),
        labels=codes,
        label_names=label_names,
        groups=None if groups is None else _groups(_values(groups, path), len(frame), path),
    )


def _check_numeric(column: pd.Series, path: Path) -> None:
    kinds = pd.api.types
    if kinds.is_numeric_dtype(column) and not kinds.is_complex_dtype(column):
        return
    remedy = "remove it, or name it with --label if it holds the labels"
    words = ((row, value) for row, value in enumerate(column) if isinstance(value, str) and not _is_number(value))
    row, value = next(words, (0, None))
    if value is not None:
        raise InputError(f"{path}: column {column.name!r} is not numeric ({value!r} in row {row + 1}); {remedy}")
    raise InputError(f"{path}: column {column.name!r} holds {column.dtype} values, not numbers; {remedy}")


def _values(column: pd.Series, path: Path) -> NDArray[Any]:
    """A column of labels or groups as an array of whole numbers, floats or texts, without gaps."""
    missing = column.isna().to_numpy()
    if missing.any():
        raise InputError(f"{path}: {column.name!r} has no value in row {int(missing.argmax()) + 1}; fill it in")
    for is_kind, dtype in ((pd.api.types.is_integer_dtype, np.int64), (pd.api.types.is_float_dtype, np.float64)):
        if is_kind(column.dtype):
            return np.asarray(column.to_numpy(dtype=dtype))
    return np.asarray(column.astype(str).to_numpy(dtype=str))


def _label_key(label: str | None, usual: Sequence[str], there: Sequence[str], path: Path) -> str | None:
    """What the labels are called in this file; None if it has none."""
    if label is not None:
        if label not in there:
            listed = ", ".join(map(repr, there[:8])) + (", ..." if len(there) > 8 else "")
            raise InputError(f"label is {label!r}, which {path} does not have; it has {listed}")
        return label
    if len(usual) > 1:
        raise InputError(f"{path} has both {usual[0]!r} and {usual[1]!r}; say with --label which holds the labels")
    return usual[0] if usual else None


def _labels(
    values: NDArray[Any], n_objects: int, categories: NDArray[Any] | None, path: Path, key: str
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Labels as indices into their names; whole numbers are indices into ``categories`` already, where those are."""
    values = _column(values, n_objects, path, key)
    if values.dtype.kind == "f":
        values = values.astype(np.float64)  # half precision holds no number to compare with
        if not ((values == np.round(values)) & (np.abs(values) < EXACT)).all():
            raise InputError(f"{path}: {key!r} holds fractions, but labels are whole numbers or texts")
        values = values.astype(np.int64)
    if categories is not None:
        names = _texts(categories, None, "category", path, CATEGORIES)
        if values.dtype.kind == "U":
            strange = sorted(set(values.tolist()) - set(names))
            if strange:
                raise InputError(f"{path}: {key!r} has {strange[0]!r}, which is not in {CATEGORIES!r}")
            return np.array([names.index(value) for value in values.tolist()], dtype=np.int64), names
        outside = (values < 0) | (values >= len(names))
        if outside.any():
            raise InputError(
                f"{path}: {key!r} has {values[outside][0]}, but with {len(names)} {CATEGORIES!r} it must be from 0 to "
                f"{len(names) - 1}"
            )
        return values.astype(np.int64), names
    distinct, codes = np.unique(values, return_inverse=True)
    return codes.astype(np.int64), tuple(str(name) for name in distinct)


def _groups(values: NDArray[Any], n_objects: int, path: Path) -> NDArray[np.int64]:
    return np.unique(_column(values, n_objects, path, GROUPS), return_inverse=True)[1].astype(np.int64)


def _column(values: NDArray[Any], n_objects: int, path: Path, key: str) -> NDArray[Any]:
    """One finite number, or one text, for each object."""
    if values.shape != (n_objects,):
        raise InputError(
            f"{path}: {key!r} has shape {values.shape}, but it must hold one value for each object, {(n_objects,)}"
        )
    if values.dtype.kind == "S":
        return np.array(_texts(values, n_objects, "object", path, key), dtype=str)
    if values.dtype.kind not in "biufU":
        raise InputError(f"{path}: {key!r} holds {values.dtype} values, but it must hold whole numbers or texts")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        row = int((~np.isfinite(values)).argmax())
        raise InputError(f"{path}: {key!r} is {values[row]} in row {row + 1}, but every object needs a value")
    return values


def _texts(values: NDArray[Any], n: int | None, of: str, path: Path, key: str) -> tuple[str, ...]:
    """An array of texts as texts: as many as told, if told."""
    if values.ndim != 1 or (n is not None and len(values) != n):
        wanted = f"one for each {of}" + ("" if n is None else f", {(n,)}")
        raise InputError(f"{path}: {key!r} has shape {values.shape}, but it must be {wanted}")
    try:
        return tuple(v.decode() if isinstance(v, bytes) else str(v) for v in values.tolist())
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: {key!r} holds bytes that are not UTF-8; save it as texts") from error


def _check_distinct(names: Sequence[str], path: Path, where: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InputError(f"{path}: {where} names {name!r} twice, but every feature needs a name of its own")
        seen.add(name)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _parse_error(error: Exception) -> str:
    """What pandas or pyarrow says, without their preambles."""
    text = re.sub(r"^(Error tokenizing data\. C error: |Could not open Parquet input source '[^']*': )", "", str(error))
    return first_sentence(ValueError(text))
