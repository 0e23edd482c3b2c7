"""Malformed input by the thousand: valid documents with random things done to them, and wholly random ones.

A strategy draws what is done, and an ordinary function does it, so that hypothesis can make a failing case small.
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import math
import signal
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.tally import counted

Case = TypeVar("Case")
Arrays = dict[str, NDArray[Any]]

LONGEST = 30.0
"""Seconds of computing after which a case counts as one that hangs."""

WAITING = 20
"""How many times as long it may take by the clock: a busy machine does other things, too."""

TRIED = "malformed inputs tried"


def amounts(few: int = 15, many: int = 2000) -> pytest.MarkDecorator:
    """A handful of ``cases`` in the usual tests, and thousands in the slow ones."""
    many_cases = pytest.param(many, id="thousands", marks=pytest.mark.slow)
    return pytest.mark.parametrize("cases", [pytest.param(few, id="a few"), many_cases])


class HangError(BaseException):
    """A case took too long. No `Exception`, so that nothing takes it for an error of the input."""


@contextlib.contextmanager
def in_time(seconds: float = LONGEST) -> Iterator[None]:
    """Refuse to compute for longer, or to wait for ever."""

    def late(number: int, frame: FrameType | None) -> None:
        raise HangError(f"not finished within {seconds} seconds of computing, or {WAITING * seconds} in all")

    timers = ((signal.SIGPROF, signal.ITIMER_PROF, seconds), (signal.SIGALRM, signal.ITIMER_REAL, WAITING * seconds))
    before = [signal.signal(name, late) for name, _, _ in timers]
    for _, timer, most in timers:
        signal.setitimer(timer, most)
    try:
        yield
    finally:
        for (name, timer, _), handler in zip(timers, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(name, handler)


def go_through(
    strategy: st.SearchStrategy[Case], check: Callable[[Case], object], cases: int, counting: str = TRIED
) -> None:
    """Check so many cases; those that pass are counted as ``counting``."""

    @settings(max_examples=cases, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def one(case: Case) -> None:
        with in_time():
            check(case)
        counted(counting)

    one()


def accepted(load: Callable[[], Case], *refusals: type[Exception]) -> Case | None:
    """What ``load`` makes of it, or None where it is refused with one sentence by exactly these kinds of error."""
    try:
        return load()
    except refusals as error:
        if type(error) not in refusals:
            raise
        said = str(error)
    assert said, "a refusal says why"
    assert "\n" not in said, said
    assert len(said) < 1000, said
    return None


# ---- documents: objects, lists and plain values

TEXTS = ["", " ", "x", "\0", "\ud800", "größe", "1", "nan", "-1e999", "../..", "c1", "9" * 60, "long" * 400]
NUMBERS = [0, 1, -1, 2, 7, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 10**400, -(10**30)]
FRACTIONS = [0.5, -0.0, 1.0, -2.5, 1e30, 1e300, -1e308, 1e-320, math.nan, math.inf, -math.inf]
OTHERS: list[Any] = [
    None,
    True,
    False,
    [],
    {},
    [[]],
    [1, 2, 3, 4],
    [0.0, -5, 1e30, math.nan],
    {"id": 1},
    [{}],
    ["x", 1],
]

ODD: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(OTHERS),
    st.sampled_from([*NUMBERS, *FRACTIONS]),
    st.sampled_from(TEXTS),
    st.integers(-10, 1000),
    st.floats(-1000, 1000),
)
ANYTHING: st.SearchStrategy[Any] = st.recursive(
    ODD,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


class Change(NamedTuple):
    """One thing done to a document; ``where`` says to which of its places, ``other`` to which second one."""

    kind: str
    where: int
    other: int
    value: Any


CHANGES: st.SearchStrategy[list[Change]] = st.lists(
    st.builds(
        Change,
        st.sampled_from(["replace", "replace", "replace", "delete", "swap", "twice", "nest", "rename", "add"]),
        st.integers(0, 10_000),
        st.integers(0, 10_000),
        ODD | ANYTHING,
    ),
    min_size=1,
    max_size=3,
)


def changed(document: Any, changes: list[Change]) -> Any:
    """A copy of a document to which these things are done, one after the other."""
    root = [copy.deepcopy(document)]
    for change in changes:
        _do(root, change)
    return root[0]


def _do(root: list[Any], change: Change) -> None:
    places = [(root, 0), *_places(root[0])]
    inside, at = places[change.where % len(places)]
    value = copy.deepcopy(change.value)
    if change.kind == "replace":
        inside[at] = value
    elif change.kind == "delete" and inside is not root:
        del inside[at]
    elif change.kind == "swap":
        other, there = places[change.other % len(places)]
        inside[at], other[there] = copy.deepcopy(other[there]), copy.deepcopy(inside[at])
    elif change.kind == "twice" and isinstance(inside, list) and inside is not root:
        inside.append(copy.deepcopy(inside[at]))
    elif change.kind == "nest":
        inside[at] = [inside[at]] if change.other % 2 else {"x": inside[at]}
    elif change.kind == "rename" and isinstance(inside, dict):
        inside[str(value)[:20]] = inside.pop(at)
    elif change.kind == "add" and isinstance(inside[at], dict):
        inside[at]["strange"] = value
    elif change.kind == "add" and isinstance(inside[at], list):
        inside[at].append(value)


def places_in(document: Any) -> int:
    """How many places there are for a `Change`."""
    return 1 + sum(1 for _ in _places(document))


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


# ---- bytes


class Damage(NamedTuple):
    """One thing done to bytes, at the share ``where`` of their length."""

    kind: str
    where: float
    what: bytes


SCRAPS = [
    b"",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"NaN",
    b"1e999",
    b"-",
    b'"',
    b"{",
    b"]",
    b",",
    b"\n",
    b"9" * 30,
    b"\xc3",
]
SCRAPS += [b"\r", b";", b"\t", b"=", b"'", b"#", b"[a]", b"PK\x05\x06"]
DEEP = {b"deep list": b"[" * 100_000, b"deep object": b'{"a":' * 50_000}
"""By name, so that a failing case can be read."""

DAMAGES: st.SearchStrategy[list[Damage]] = st.lists(
    st.builds(
        Damage,
        st.sampled_from(["cut", "put", "put over", "put over", "drop", "bit", "begin", "only"]),
        st.floats(0, 1, exclude_max=True),
        st.sampled_from([*SCRAPS, *DEEP]) | st.binary(max_size=12),
    ),
    min_size=1,
    max_size=3,
)


def damaged(data: bytes, damages: list[Damage]) -> bytes:
    """Bytes to which these things are done, one after the other."""
    for kind, where, name in damages:
        at, what = int(where * len(data)), DEEP.get(name, name)
        if kind == "cut":
            data = data[:at]
        elif kind == "put":
            data = data[:at] + what + data[at:]
        elif kind == "put over":
            data = data[:at] + what + data[at + len(what) :]
        elif kind == "drop":
            data = data[:at] + data[at + len(what) + 1 :]
        elif kind == "bit" and data:
            data = data[:at] + bytes([data[at] ^ 1 << len(what) % 8]) + data[at + 1 :]
        elif kind == "begin":
            data = what + data
        elif kind == "only":
            data = what
    return data


def as_json(document: Any) -> bytes:
    """A document as JSON, with NaN and Infinity as Python has them."""
    return json.dumps(document).encode("utf-8", "surrogatepass")


def mostly_documents(document: Any) -> st.SearchStrategy[bytes]:
    """A document as JSON with changes to its content, or to its bytes, and now and then something else altogether."""
    whole = as_json(document)
    return st.one_of(
        CHANGES.map(lambda changes: as_json(changed(document, changes))),
        CHANGES.map(lambda changes: as_json(changed(document, changes))),
        DAMAGES.map(lambda damages: damaged(whole, damages)),
        ANYTHING.map(as_json),
    )


# ---- archives of arrays


class Turn(NamedTuple):
    """One thing done to one of several arrays."""

    kind: str
    which: int
    at: int
    value: Any


DTYPES = ["f4", "f8", "f2", ">f8", "i8", "i4", "u8", "i1", "u1", "bool", "c16", "U5", "S5", "O", "M8[s]", "V4", ">i4"]
VALUES = [math.nan, math.inf, -math.inf, 0, -1, 1, 2, 9, 1e30, -1e30, 1e-30, 1e300, 2**31 - 1, -(2**31), 2**63 - 1, 0.5]
SHAPES = [(), (0,), (1,), (3,), (0, 4), (4, 0), (1, 1), (7, 2), (2, 2, 2), (1, 0, 3)]
TURNS: st.SearchStrategy[list[Turn]] = st.lists(
    st.builds(
        Turn,
        st.sampled_from(["value", "value", "fill", "dtype", "dtype", "shape", "drop", "cut", "turn", "twice", "swap"]),
        st.integers(0, 10_000),
        st.integers(0, 100_000),
        st.sampled_from(VALUES),
    ),
    min_size=1,
    max_size=3,
)


def turned(arrays: Arrays, turns: list[Turn]) -> Arrays:
    """Copies of arrays to which these things are done, one after the other."""
    arrays = dict(arrays)
    for turn in turns:
        if arrays:
            _turn(arrays, turn)
    return arrays


def _turn(arrays: Arrays, turn: Turn) -> None:
    name = sorted(arrays)[turn.which % len(arrays)]
    array = arrays[name].copy()
    if turn.kind in ("value", "fill"):
        with np.errstate(all="ignore"), contextlib.suppress(ValueError, OverflowError, TypeError):
            if turn.kind == "fill" or array.ndim == 0:
                array[...] = turn.value
            elif array.size:
                array.reshape(-1)[turn.at % array.size] = turn.value
        arrays[name] = array
    elif turn.kind == "dtype":
        with np.errstate(all="ignore"), contextlib.suppress(ValueError, OverflowError, TypeError, RuntimeError):
            arrays[name] = array.astype(DTYPES[turn.at % len(DTYPES)])
    elif turn.kind == "shape":
        arrays[name] = np.resize(array, SHAPES[turn.at % len(SHAPES)])
    elif turn.kind == "drop":
        del arrays[name]
    elif turn.kind == "cut" and array.ndim:
        arrays[name] = array[: turn.at % (len(array) + 1)]
    elif turn.kind == "turn":
        arrays[name] = array.T if turn.at % 2 else array[None]
    elif turn.kind == "twice" and array.ndim:
        arrays[name] = np.concatenate([array, array])
    elif turn.kind == "swap":
        other = sorted(arrays)[turn.at % len(arrays)]
        arrays[name], arrays[other] = arrays[other], array


def as_npz(arrays: Arrays) -> bytes:
    """An archive of arrays."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def mostly_archives(arrays: Arrays, texts: tuple[str, ...] = ()) -> st.SearchStrategy[bytes]:
    """An archive with changes to its arrays, to the JSON that some of them hold, or to its bytes."""
    whole = as_npz(arrays)

    def told(changes: list[Change], which: int) -> bytes:
        name = texts[which % len(texts)]
        return as_npz(arrays | {name: np.array(json.dumps(changed(json.loads(str(arrays[name])), changes)))})

    def scribbled(damages: list[Damage], which: int) -> bytes:
        name = texts[which % len(texts)]
        text = damaged(str(arrays[name]).encode(), damages).decode("utf-8", "replace")
        return as_npz(arrays | {name: np.array(text)})

    ways = [
        TURNS.map(lambda turns: as_npz(turned(arrays, turns))),
        TURNS.map(lambda turns: as_npz(turned(arrays, turns))),
        DAMAGES.map(lambda damages: damaged(whole, damages)),
    ]
    if texts:
        ways += [st.builds(told, CHANGES, st.integers(0, 99)), st.builds(told, CHANGES, st.integers(0, 99))]
        ways += [st.builds(scribbled, DAMAGES, st.integers(0, 99))]
    return st.one_of(ways)
