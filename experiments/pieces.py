"""Long work in pieces: every measure for every seed, side by side, with progress; what is done need not be repeated.

A measure is a function of a seed that other processes can import, and gives figures by name.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import BrokenExecutor, as_completed
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from agents.errors import InputError
from detection.files import naming
from experiments.workers import processors, workers
from knowledge_graph.files import atomic_write

Figures = dict[str, float]
Measure = Callable[[int], Mapping[str, float]]
Found = dict[str, NDArray[np.float64]]
"""Figures by name, each [seeds]."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kept:
    """Pieces that are done, a line of JSON each, in a file beside the results; the first line says what they are of.

    Attributes
    ----------
    path : the file
    of : what was asked for; pieces of anything else are refused
    """

    path: Path
    of: Mapping[str, Any]

    def done(self) -> dict[tuple[str, int], Figures]:
        """Figures by measure and seed; nothing where there is no file. A last line cut short is not done.

        Raises
        ------
        InputError
            If the file is damaged, or its pieces are of something else.
        """
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return {}
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{self.path} cannot be read ({error}); remove it to begin anew") from error
        lines = text[: text.rfind("\n") + 1].splitlines()
        if not lines:
            return {}
        try:
            of, *pieces = (json.loads(line) for line in lines)
            found = {
                (str(piece["measure"]), int(piece["seed"])): {
                    str(name): math.nan if figure is None else float(figure)
                    for name, figure in piece["figures"].items()
                }
                for piece in pieces
            }
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise InputError(f"{self.path} does not hold finished pieces of work; remove it to begin anew") from error
        asked = json.loads(json.dumps(dict(self.of)))
        if of != asked:
            raise InputError(
                f"{self.path} is of other work ({_difference(of, asked)}); ask for the same, or remove it to begin anew"
            )
        return found

    def begin(self, done: Mapping[tuple[str, int], Figures]) -> None:
        """Start the file with what was asked for and what is done already."""
        lines = [json.dumps(dict(self.of)), *(as_line(name, seed, found) for (name, seed), found in done.items())]
        atomic_write(self.path, "".join(f"{line}\n" for line in lines).encode())

    def remove(self) -> None:
        """The results are written; the pieces are not needed any more."""
        self.path.unlink(missing_ok=True)


def program(packages: Sequence[str] = ("agents", "experiments", "knowledge_graph")) -> str:
    """A digest of this program's source: pieces of another version are of other work."""
    root, digest = Path(__file__).parents[1], hashlib.sha256()
    for package in packages:
        for path in sorted((root / package).rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def over_seeds(
    measures: Mapping[str, Measure], seeds: Sequence[int], *, kept: Kept | None = None, resume: bool = False
) -> dict[str, Found]:
    """All figures that each ``measure(seed)`` gives, as arrays [seeds]; shows on stderr how far it is.

    Measures and seeds are spread over the processors, in the order given (so the longest should come first). With
    ``kept`` every piece is written down as it is done, and with ``resume`` those that are there are not repeated.

    Raises
    ------
    ValueError
        If there are no seeds, or the figures of two seeds have different names.
    InputError
        If a process is lost, as where the system takes it for its memory.
    """
    if len(seeds) == 0:
        raise ValueError("measuring needs at least one seed; got none")
    wanted = [(name, seed) for name in measures for seed in seeds]
    results: dict[tuple[str, int], Mapping[str, float]] = {}
    if kept is not None:
        before = kept.done() if resume else {}
        results |= {piece: before[piece] for piece in wanted if piece in before}
        # What is not asked for this time may be the next.
        kept.begin(before)
    left = [piece for piece in wanted if piece not in results]
    shown, number = sys.stderr.isatty(), max(1, min(len(left), processors()))
    with (
        workers(number, threads=max(1, processors() // number)) as pool,
        tqdm(total=len(wanted), initial=len(results), leave=False, disable=not shown) as bar,
        closing(open(os.devnull if kept is None else kept.path, "a", encoding="utf-8")) as file,
    ):
        futures = {pool.submit(measures[name], seed): (name, seed) for name, seed in left}
        failed: BaseException | None = None
        for future in as_completed(futures):
            name, seed = futures[future]
            if future.cancelled():
                continue
            if (error := future.exception()) is not None:
                failed = failed or error
                # What is at work already is waited for anyway, and shall not have worked for nothing.
                for other in futures:
                    other.cancel()
                continue
            results[name, seed] = found = dict(future.result())
            with naming(file.name):
                file.write(as_line(name, seed, found) + "\n")
                file.flush()
            bar.set_postfix_str(name)
            bar.update()
            if not shown:
                print(f"{len(results)} of {len(wanted)}: {name}, seed {seed}", file=sys.stderr, flush=True)
        if isinstance(failed, BrokenExecutor):
            again = "ask for less" if kept is None else "ask for less, or go on with --resume"
            raise InputError(
                f"a process ended before its work did, as if killed or out of memory, with {len(results)} of "
                f"{len(wanted)} pieces done; {again}"
            ) from failed
        if failed is not None:
            raise failed
    return {name: _gathered([results[name, seed] for seed in seeds], name) for name in measures}


def as_line(name: str, seed: int, found: Mapping[str, float]) -> str:
    """A piece as it stands in the file of those that are done, without the end of the line."""
    figures = {key: float(figure) if math.isfinite(figure) else None for key, figure in found.items()}
    return json.dumps({"measure": name, "seed": seed, "figures": figures})


def _difference(one: object, other: Mapping[str, Any]) -> str:
    if not isinstance(one, dict):
        return "its first line does not say of what"
    nothing = object()
    name = next(name for name in {**one, **other} if one.get(name, nothing) != other.get(name, nothing))
    there, here = (repr(some[name]) if name in some else "not said" for some in (one, other))
    return f"{name} is {there} there, {here} here"


def _gathered(figures: Sequence[Mapping[str, float]], what: str) -> Found:
    names = figures[0].keys()
    for some in figures[1:]:
        if some.keys() != names:
            raise ValueError(f"{what}: one seed has the figures {sorted(some)}, another {sorted(names)}")
    return {name: np.array([some[name] for some in figures], dtype=np.float64) for name in names}
