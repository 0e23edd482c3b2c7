"""A library as arrays and as a file: everything it knows, nothing that can run."""

from __future__ import annotations

import dataclasses
import io
import json
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from knowledge_graph.files import DAMAGE, atomic_write, read_member
from knowledge_graph.history import Event, Round, alive
from knowledge_graph.views import WHOLE as WHOLE_OF_VIEWS
from knowledge_graph.views import Unified, Views, check_sound

if TYPE_CHECKING:
    from knowledge_graph.library import Library

Entry = TypeVar("Entry")

VERSION = 1
FORMAT = "dimensional-views library"

ROUND_ARRAYS = ("membership", "seen", "mean", "sd", "overlap")

WHOLE = {"probe", "membership", "seen", *WHOLE_OF_VIEWS}
"""Arrays of whole numbers with a sign; `held` is of yes and no, and all others of finite numbers."""

LARGEST_WORD = 2**31 - 1
"""Words are counted in 32 bits."""


def state(library: Library) -> dict[str, NDArray[np.generic]]:
    """Rounds and names as plain arrays: ``scalars`` (JSON), and ``<round>/<part>/<field>``."""
    scalars = {
        "names": library.names,
        "rounds": [
            {
                "number": round_.number,
                "step": round_.step,
                "ids": round_.ids,
                "method": round_.unified.method,
                "events": [dataclasses.asdict(event) for event in round_.events],
            }
            for round_ in library.rounds
        ],
    }
    arrays: dict[str, NDArray[np.generic]] = {}
    for round_ in library.rounds:
        for name in ROUND_ARRAYS:
            arrays[f"{round_.number}/{name}"] = getattr(round_, name)
        for prefix, part in (("unified", round_.unified), ("views", round_.views)):
            for field in dataclasses.fields(part):
                value = getattr(part, field.name)
                if isinstance(value, np.ndarray):
                    arrays[f"{round_.number}/{prefix}/{field.name}"] = value
    # What views do not have is optional; what has got lost is not.
    return {"scalars": np.array(json.dumps(scalars | {"arrays": sorted(arrays)})), **arrays}


def restore(library: Library, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Put into ``library`` what `state` gave of another.

    Raises
    ------
    KeyError, TypeError, ValueError
        If something is missing or does not fit.
    """
    scalars = json.loads(str(arrays["scalars"]))
    lost = set(scalars["arrays"]) - set(arrays)
    if lost:
        raise KeyError(min(lost))
    rounds: list[Round] = []
    for told in _each(scalars["rounds"], dict, "rounds"):
        prefix = f"{told['number']}/"
        parts = {
            part: {
                name[len(prefix) + len(part) + 1 :]: array
                for name, array in arrays.items()
                if name.startswith(f"{prefix}{part}/")
            }
            for part in ("unified", "views")
        }
        rest = {name: arrays[prefix + name] for name in ROUND_ARRAYS}
        _check_kinds({**parts["unified"], **parts["views"], **rest}, of=f"merge {told['number']}")
        events = (
            Event(**{**event, "parents": tuple(_each(event["parents"], str, "parents"))})
            for event in _each(told["events"], dict, "events")
        )
        round_ = Round(
            number=_whole(told["number"], "number", least=len(rounds) + 1, most=len(rounds) + 1),
            step=_whole(told["step"], "step"),
            ids=tuple(_each(told["ids"], str, "ids")),
            unified=Unified(method=str(told["method"]), **parts["unified"]),
            views=Views(**parts["views"]),
            events=tuple(events),
            **rest,
        )
        _check(round_, library)
        rounds.append(round_)
    _check_history(rounds)
    names = {str(name): _whole(word, "a name", least=0, most=LARGEST_WORD) for name, word in scalars["names"].items()}
    missing = {name for round_ in rounds for name in round_.ids} - set(names)
    if missing:
        raise ValueError(f"concepts without a name: {', '.join(sorted(missing))}")
    library.rounds, library.names = rounds, names


def save(library: Library, path: Path | str) -> None:
    """Write a library to a file (a compressed .npz), whole or not at all."""
    atomic_write(path, to_bytes(library))


def to_bytes(library: Library) -> bytes:
    """The file that `save` writes. Words are saved with their spelling, so that `load` needs nothing else."""
    words = {int(w) for round_ in library.rounds for w in np.unique(round_.views.words) if w >= 0}
    about = {
        "format": FORMAT,
        "version": VERSION,
        "method": library.method,
        "count": library.count,
        "features": library.features is not None,
        "feature_names": library.feature_names,
        "words": {word: library.spell(word) for word in sorted(words | set(library.names.values()))},
    }
    arrays: dict[str, Any] = {"about": np.array(json.dumps(about)), "probe": library.probe}
    if library.features is not None:
        arrays["features"] = library.features
    arrays |= {f"state/{name}": array for name, array in state(library).items()}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def load(path: Path | str, *, spell: Callable[[int], str] | None = None) -> Library:
    """The library in a file that `save` wrote.

    Raises
    ------
    OSError
        If there is no such file, or it cannot be read.
    ValueError
        If it is not a library's, is of another version, or is damaged.
    """
    from knowledge_graph.library import Library

    path = Path(path)
    data = path.read_bytes()
    try:
        arrays = _arrays(data)
    except DAMAGE as error:
        raise ValueError(f"{path} is not a library, or damaged ({type(error).__name__}); save it anew") from error
    try:
        about = json.loads(str(arrays["about"]))
        if about["format"] != FORMAT:
            raise ValueError("it holds something else")
        version = about["version"]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a library; give a file that Library.save wrote") from error
    if version != VERSION:
        raise ValueError(
            f"{path} is a library of version {_line(version)}, but this program reads version {VERSION}; load it "
            "with the program that wrote it"
        )
    try:
        if about["features"] != ("features" in arrays):
            raise KeyError("features")
        names = about["feature_names"]
        spelled = {int(word): text for word, text in about["words"].items()}
        _each(list(spelled.values()), str, "words")
        _check_kinds({name: arrays[name] for name in ("probe", "features") if name in arrays}, of="the library")
        library = Library(
            probe=arrays["probe"],
            features=arrays.get("features"),
            feature_names=None if names is None else _each(names, str, "feature_names"),
            spell=spell or _spelling(spelled),
            method=cast(Any, about["method"]),
            count=cast(Any, about["count"]),
        )
        restore(library, {name[len("state/") :]: array for name, array in arrays.items() if name.startswith("state/")})
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({type(error).__name__}: {_line(error)}); save it anew") from error
    return library


def _line(value: object) -> str:
    """What something says, as a part of a sentence: in one line, and not too long."""
    text = " ".join(str(value).split())
    return text if len(text) <= 200 else f"{text[:200]}..."


def _arrays(data: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz file."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name.removesuffix(".npy"): read_member(archive, name) for name in archive.namelist()}


def _check_kinds(arrays: Mapping[str, NDArray[Any]], *, of: str) -> None:
    """Refuse arrays that hold something else than they should, and numbers that are not finite."""
    for name, array in arrays.items():
        right = "b" if name == "held" else "i" if name in WHOLE else "f"
        if name == "features" and array.dtype.kind in "iu":
            continue
        if array.dtype.kind not in right:
            raise ValueError(f"{name} of {of} holds {array.dtype} values")
        if right == "f" and not np.isfinite(array).all():
            raise ValueError(f"{name} of {of} holds values that are not finite")


def _check_history(rounds: Sequence[Round]) -> None:
    """Refuse events that cannot have been, or do not lead to the concepts there are."""
    events: list[Event] = []
    before: set[str] = set()
    ever: set[str] = set()
    for round_ in rounds:
        tells = f"merge {round_.number} tells of"
        for event in round_.events:
            _check_event(event)
            if event.kind in ("birth", "split", "return") and event.concept not in round_.ids:
                raise ValueError(f"{tells} a {event.kind} of what is not there")
            if event.kind == "return" and event.concept not in ever - before:
                raise ValueError(f"{tells} a return of {event.concept}, which never went")
            if event.kind in ("birth", "split") and event.concept in ever:
                raise ValueError(f"{tells} a {event.kind} of {event.concept}, which has been there before")
            others = set(event.parents) - {event.concept}
            if event.kind == "split" and not others:
                raise ValueError(f"{tells} a split without a parent")
            if others - ever:
                raise ValueError(f"{tells} {min(others - ever)}, which never was")
            ever.add(event.concept)
        before = set(round_.ids)
        events += round_.events
        if alive(events) != set(round_.ids) or len(set(round_.ids)) < len(round_.ids):
            raise ValueError(f"the events up to merge {round_.number} do not lead to its concepts")


def _check_event(event: Event) -> None:
    if event.kind not in ("birth", "split", "return", "merge", "retirement"):
        raise ValueError(f"{event.kind!r} is no kind of event")
    for name in (event.concept, *event.parents):
        if not isinstance(name, str) or not re.fullmatch(r"c[1-9][0-9]{0,17}", name):
            raise ValueError(f"{name!r} is no concept")
    _whole(event.step, "step")
    _whole(event.round, "round", least=0)


def _each(values: Any, kind: type[Entry], name: str) -> list[Entry]:
    """A list whose entries are all of one kind."""
    if not isinstance(values, list) or not all(isinstance(value, kind) for value in values):
        raise TypeError(f"{name} are not a list of what they should be")
    return values


def _whole(value: Any, name: str, *, least: int = -(2**63), most: int = 2**63 - 1) -> int:
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{name} is {value!r}")
    return value


def _check(round_: Round, library: Library) -> None:
    """Refuse arrays whose shapes do not belong together, and what no merge would take in."""
    check_sound(round_.views)
    n, slots, k, p = *round_.views.held.shape, len(round_.ids), len(library.probe)
    unified = round_.unified
    d = len(unified.loadings)
    objects = n if len(round_.sd) else 0
    told = unified.loadings.shape[:1] + unified.weights.shape[:1]
    if library.features is not None and not set(told) <= {0, library.features.shape[1]}:
        raise ValueError(f"the concepts of merge {round_.number} are told by {max(told)} features")
    for name, array, shape in (
        ("scores", unified.scores, (p if len(unified.scores) else 0, k)),
        ("loadings", unified.loadings, (d, k)),
        ("weights", unified.weights, (len(unified.weights), k)),
        ("correlation", unified.correlation, (n, slots, k)),
        ("support", unified.support, (k,)),
        ("eigenvalues", unified.eigenvalues, (unified.eigenvalues.size,)),
        ("edge", unified.edge, (unified.edge.size,)),
        ("membership", round_.membership, (n, slots)),
        ("seen", round_.seen, (objects,)),
        ("mean", round_.mean, (objects, slots)),
        ("sd", round_.sd, (objects, slots)),
        ("overlap", round_.overlap, (objects, slots, slots)),
    ):
        if array.shape != shape:
            raise ValueError(f"{name} of merge {round_.number} has the shape {array.shape}, not {shape}")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{name} of merge {round_.number} has numbers that are not finite")
    if not -1 <= int(round_.membership.min(initial=-1)) <= int(round_.membership.max(initial=-1)) < k:
        raise ValueError(f"membership of merge {round_.number} names concepts that there are not")


def _spelling(words: Mapping[int, str]) -> Callable[[int], str]:
    """Words as they were spelled; those that came later by their numbers."""
    return _Spelling(dict(words))


@dataclasses.dataclass(frozen=True)
class _Spelling:
    """A function, but one that can be pickled."""

    words: dict[int, str]

    def __call__(self, word: int) -> str:
        return self.words.get(word, f"w{word}")
