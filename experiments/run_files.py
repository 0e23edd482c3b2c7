"""The directory of a run: what a run leaves there, and what it goes on from.

All files of a directory are of one run: with its first checkpoint a run clears away what an earlier one left. Every
file appears whole or not at all.
"""

from __future__ import annotations

import csv
import dataclasses
import errno
import importlib.util
import io
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents import checkpoint, interactions
from agents.archive import first_sentence, read_arrays
from agents.config import SocietyConfig
from agents.errors import InputError
from agents.society import Society
from experiments.measuring import Recorder, metrics
from experiments.pieces import Kept
from knowledge_graph import storage
from knowledge_graph.export import to_graphml, to_json, to_node_link
from knowledge_graph.files import atomic_write, remove_unfinished
from knowledge_graph.library import Library

CONFIG, CHECKPOINT = "config.json", "checkpoint.npz"
RESULTS = (
    "summary.json",
    "metrics.csv",
    "interactions.csv",
    "library.json",
    "library.graphml",
    "library.npz",
    "report.html",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Saved:
    """A run as its directory has it: configuration, the society's arrays, its recorder, and seconds lived so far."""

    path: Path
    config: dict[str, Any]
    arrays: dict[str, NDArray[Any]]
    recorder: Recorder
    lived_s: float

    @property
    def steps(self) -> int:
        """Steps lived so far."""
        return len(self.recorder.success)


def config_fields(config: SocietyConfig) -> dict[str, Any]:
    """A run's configuration as config.json has it: without the directories, so that a run can be moved."""
    return {name: value for name, value in dataclasses.asdict(config).items() if name not in ("out", "resume")}


def claim(out: Path, names: Sequence[str] = (CONFIG, CHECKPOINT, *RESULTS)) -> None:
    """Make the directory for files of these names, or leave everything as it was and say why it cannot be.

    What an earlier program that was killed had only begun to write there is removed.

    Raises
    ------
    InputError
        If it cannot be made or written to, a directory has the name of one of the files, or the library that draws
        the report is not installed.
    """
    if importlib.util.find_spec("plotly") is None:
        raise InputError("plotly, which draws the report, is not installed; install dimensional-views[viz]")
    missing = [path for path in (out, *out.parents) if not os.path.lexists(path)]
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        for path in missing:
            with suppress(OSError):
                path.rmdir()
        in_the_way = isinstance(error, FileExistsError | NotADirectoryError)
        why = "a file is in the way" if in_the_way else error.strerror
        raise InputError(f"out is {out}, which cannot be written to ({why}); give another directory") from error
    for name in names:
        if (out / name).is_dir():
            raise InputError(f"out is {out}, where {name} is a directory; remove that, or give another directory")
    remove_unfinished(out)


def claim_for_pieces(out: Path, work: Mapping[str, Any], *, pieces: str, results: Sequence[str], resume: bool) -> Kept:
    """Make the directory for results of long work, and say in which file its ``pieces`` are kept; earlier results go.

    Raises
    ------
    InputError
        If it cannot be made or written to, or the pieces in it that are to be gone on with are of other work. Then
        everything is left as it was.
    """
    claim(out, (*results, pieces))
    kept = Kept(path=out / pieces, of=work)
    if resume:
        kept.done()
    for name in results:
        (out / name).unlink(missing_ok=True)
    return kept


def save(society: Society, recorder: Recorder, config: Mapping[str, object], out: Path, lived_s: float) -> None:
    """Write checkpoint.npz, from which the run can go on, and config.json; results of an earlier state go."""
    run = {"config": config, "recorder": dataclasses.asdict(recorder), "lived_s": lived_s}
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {**checkpoint.state(society), "run": np.array(json.dumps(run))}
    np.savez_compressed(buffer, **arrays)
    for name in RESULTS:
        (out / name).unlink(missing_ok=True)
    _write(out / CONFIG, to_json(config))
    _write(out / CHECKPOINT, buffer.getvalue())


def saved(out: Path) -> Saved:
    """The run that a directory holds.

    Raises
    ------
    InputError
        If there is none, its checkpoint is damaged, or config.json does not belong to it.
    """
    if not out.is_dir():
        raise InputError(f"resume is {out}, which is not a directory; give the directory of a run")
    for name in (CONFIG, CHECKPOINT):
        if not (out / name).is_file():
            raise InputError(
                f"resume is {out}, which has no {name}; give the directory of a run that has come to a checkpoint, or "
                "start a new run with --out"
            )
    arrays = read_arrays(out / CHECKPOINT, remedy="start the run anew")
    try:
        run = json.loads(str(arrays.pop("run")))
        recorder, lived_s, lived_as = Recorder(**run["recorder"]), float(run["lived_s"]), dict(run["config"])
        _check_recorder(recorder, lived_s)
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InputError(
            f"{out / CHECKPOINT} is not the checkpoint of a run ({type(error).__name__}: {first_sentence(error)}); "
            "start the run anew"
        ) from error
    config = _config(out / CONFIG)
    for name in {**lived_as, **config}:
        if name not in config:
            raise InputError(
                f"{out / CONFIG} has lost its {name}, which is {lived_as[name]!r} in the checkpoint; put it back"
            )
        if name not in lived_as:
            raise InputError(f"{out / CONFIG} has {name!r}, which no run has; remove it")
        # The length alone may be another: who wants to go on for longer can write so.
        if name != "steps" and config[name] != lived_as[name]:
            raise InputError(
                f"{out / CONFIG} says {name} is {config[name]!r}, but the run in {CHECKPOINT} has {lived_as[name]!r}; "
                "put it back, or start a new run"
            )
    return Saved(
        path=out / CHECKPOINT,
        config=lived_as | {"steps": config["steps"]},
        arrays=arrays,
        recorder=recorder,
        lived_s=lived_s,
    )


def write_results(
    society: Society, library: Library, recorder: Recorder, summary: dict[str, object], out: Path
) -> None:
    """Write what a finished run leaves beside its checkpoint."""
    from experiments import report  # needs plotly, see claim

    graph = library.graph()
    files = {
        "summary.json": to_json(summary),
        "metrics.csv": to_csv(
            recorder.rows, columns=list(recorder.rows[0] if recorder.rows else metrics(society, recorder))
        ),
        "interactions.csv": to_csv(interactions.records(society.log.rows, society.world), columns=interactions.COLUMNS),
        "library.json": to_json(to_node_link(graph)),
        "library.graphml": to_graphml(graph),
        "library.npz": storage.to_bytes(library),
        "report.html": report.render(society=society, library=library, metrics=recorder.rows, summary=summary).encode(),
    }
    for name, content in files.items():
        _write(out / name, content)


def to_csv(rows: Sequence[Mapping[str, object]], *, columns: Sequence[str]) -> bytes:
    """A table of rows, with a header even where there are none; None is an empty cell."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue().encode()


def _check_recorder(recorder: Recorder, lived_s: float) -> None:
    """Refuse a memory that no run has; shares of steps in which nobody talked are nan."""
    for name in ("success", "known"):
        told = getattr(recorder, name)
        if not isinstance(told, list) or not all(type(one) is float and not one < 0 and not one > 1 for one in told):
            raise ValueError(f"{name} is not a list of shares")
    number = (int, float, type(None))
    rows = recorder.rows
    unlived = {} if recorder.unlived is None else recorder.unlived
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in (unlived, *rows)):
        raise ValueError("what was measured is not a list of rows")
    if not all(type(value) in number for row in (unlived, *rows) for value in row.values()):
        raise ValueError("what was measured is not made of numbers")
    if any(row.keys() != rows[0].keys() for row in rows):
        raise ValueError("what was measured is not the same in every row")
    first = recorder.first_merge
    if len(recorder.success) != len(recorder.known) or not (first is None or type(first) is int):
        raise ValueError("the steps that were lived are not told once each")
    if not 0 <= lived_s < float("inf"):
        raise ValueError(f"it has been lived for {lived_s} seconds")


def _config(path: Path) -> dict[str, Any]:
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); give the directory of a run") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON ({first_sentence(error)}); put back what the run wrote") from error
    if not isinstance(fields, dict):
        raise InputError(f"{path} is not the configuration of a run; put back what the run wrote")
    steps = fields.get("steps")
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
        raise InputError(f"{path} says steps is {steps!r}, but it must be a whole number of at least 1")
    return fields


def _write(path: Path, data: bytes) -> None:
    try:
        atomic_write(path, data)
    except OSError as error:
        remedy = (
            "make room" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "see that the directory can be written to"
        )
        raise InputError(f"{path} cannot be written ({error.strerror}); {remedy}, and go on with --resume") from error
