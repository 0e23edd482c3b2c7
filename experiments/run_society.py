"""Run a society and write what came of it: ``python -m experiments.run_society --world digits --out DIR``.

Writes to DIR: config.json, summary.json, metrics.csv, library.json, library.graphml, report.html, checkpoint.npz.
Every file appears whole or not at all; an interrupted run goes on with ``--resume DIR`` to the same result.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
import signal
import sys
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
from tqdm import tqdm

from agents import checkpoint
from agents import world as worlds
from agents.config import SocietyConfig
from agents.errors import InputError
from agents.society import Society
from agents.world import World
from experiments import command_line, report
from experiments.measuring import Recorder, closing_library, metrics, summarise
from knowledge_graph.export import to_graphml, to_json, to_node_link
from knowledge_graph.files import atomic_write

PROG = "run_society"
DEFAULT_STEPS = 300
DEFAULT_OUT = Path("runs/society")
INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig(SocietyConfig):
    """What to run, and where to put what comes of it."""

    world: str = "digits"
    """digits, planted, or a .npz, .csv or .parquet file of objects x features."""
    steps: int | None = None
    """How long the society lives (default 300; with --resume, the length of the run that goes on)."""
    seed: int = 0
    """The same seed gives the same society, bit for bit."""
    out: Path | None = None
    """Directory for the results (default runs/society)."""
    resume: Path | None = None
    """Go on from the checkpoint in this directory; only --steps can be given beside it."""
    label: str | None = None
    """Column or array of a file that holds the labels."""
    probe: int = 500
    """Objects that anyone can point at."""
    record_interval: int = 10
    """Steps from one row of metrics to the next."""
    checkpoint_interval: int = 100
    """Steps from one checkpoint to the next; 0 writes one at the end only."""
    planted_objects: int = 4000
    """Objects of the planted world."""
    planted_features: int = 256
    """Features of the planted world."""
    planted_factors: int = 32
    """Factors of the planted world."""
    planted_communality: float = 0.6
    """Share of a feature's variance that the factors of the planted world explain."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least in (
            ("seed", 0),
            ("probe", 2),
            ("record_interval", 1),
            ("checkpoint_interval", 0),
            ("planted_objects", 8),
            ("planted_features", 2),
            ("planted_factors", 1),
        ):
            self._at_least(name, least)
        if self.steps is not None:
            self._at_least("steps", 1)


def main(args: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    config = command_line.parse(RunConfig, args, prog=PROG, description="Run a society of 8-dimensional minds.")
    config, out, arrays = (fresh if config.resume is None else resumed)(config)
    world = make_world(config)
    if arrays is None:
        society, recorder, lived_s = Society(world, society_config(config), seed=config.seed), Recorder(), 0.0
    else:
        society = checkpoint.restored(arrays, world, society_config(config))
        recorder, lived_s = _recorder_of(arrays)
    _claim(out)
    atomic_write(out / "config.json", to_json(_config_json(config)))
    started = time.perf_counter() - lived_s
    if not live(society, recorder, config, out, started):
        print(f"{PROG}: interrupted at step {society.steps}; go on with --resume {out}", file=sys.stderr)
        return INTERRUPTED
    wall_s = time.perf_counter() - started
    summary = summarise(society, recorder, name=config.world, seed=config.seed, wall_s=wall_s)
    write_results(society, recorder, summary, out)
    print(closing_table(summary))
    print(f"\nReport: {out / 'report.html'}")
    return 0


def fresh(config: RunConfig) -> tuple[RunConfig, Path, None]:
    """A new run, with the defaults that depend on there being none before."""
    return dataclasses.replace(config, steps=config.steps or DEFAULT_STEPS), config.out or DEFAULT_OUT, None


def resumed(config: RunConfig) -> tuple[RunConfig, Path, dict[str, Any]]:
    """The run in ``config.resume``: its own configuration, and what its checkpoint holds."""
    assert config.resume is not None
    out = config.resume
    given = [
        field.name
        for field in dataclasses.fields(RunConfig)
        if field.name not in ("resume", "steps") and getattr(config, field.name) != field.default
    ]
    if given:
        raise InputError(
            f"--resume goes on with the configuration in {out / 'config.json'}, so {given[0]} cannot be given beside it"
        )
    saved = _saved_config(out / "config.json")
    arrays = _saved_arrays(out / "checkpoint.npz")
    return dataclasses.replace(saved, steps=config.steps or saved.steps), out, arrays


def society_config(config: RunConfig) -> SocietyConfig:
    """The part of a run's configuration that the society itself knows."""
    return SocietyConfig(**{f.name: getattr(config, f.name) for f in dataclasses.fields(SocietyConfig)})


def make_world(config: RunConfig) -> World:
    """The world that ``--world`` names."""
    if config.world == "digits":
        return worlds.digits(seed=config.seed, probe=config.probe)
    if config.world == "planted":
        return worlds.planted(
            seed=config.seed,
            objects=config.planted_objects,
            features=config.planted_features,
            factors=config.planted_factors,
            communality=config.planted_communality,
            probe=config.probe,
        )
    return worlds.table(Path(config.world), seed=config.seed, label=config.label, probe=config.probe)


def live(society: Society, recorder: Recorder, config: RunConfig, out: Path, started: float) -> bool:
    """Step to the end with a progress bar, measuring and saving on the way; False if interrupted (and saved)."""
    assert config.steps is not None
    with (
        _patience() as interrupted,
        tqdm(total=config.steps, initial=society.steps, unit="step", mininterval=0.5) as bar,
    ):
        while society.steps < config.steps:
            society.step()
            recorder.heard(society)
            if society.steps % config.record_interval == 0:
                recorder.rows.append(metrics(society, recorder))
                bar.set_postfix(_progress(recorder.rows[-1]))
            bar.update()
            due = config.checkpoint_interval and society.steps % config.checkpoint_interval == 0
            if due or interrupted or society.steps == config.steps:
                save(society, recorder, config, out, time.perf_counter() - started)
            if interrupted and society.steps < config.steps:
                return False
    return True


def save(society: Society, recorder: Recorder, config: RunConfig, out: Path, wall_s: float) -> None:
    """Write checkpoint.npz, from which the run can go on."""
    arrays = checkpoint.state(society)
    arrays["recorder"] = np.array(json.dumps(dataclasses.asdict(recorder) | {"wall_s": wall_s}))
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    atomic_write(out / "checkpoint.npz", buffer.getvalue())


def write_results(society: Society, recorder: Recorder, summary: dict[str, object], out: Path) -> None:
    """Write what a finished run leaves beside its checkpoint."""
    library = closing_library(society)
    graph = library.graph()
    files = {
        "summary.json": to_json(summary),
        "metrics.csv": _csv(recorder.rows),
        "library.json": to_json(to_node_link(graph)),
        "library.graphml": to_graphml(graph),
        "report.html": report.render(society=society, library=library, metrics=recorder.rows, summary=summary).encode(),
    }
    for name, content in files.items():
        atomic_write(out / name, content)


def closing_table(summary: dict[str, Any]) -> str:
    """The summary as a table for the terminal: measured beside its optimum, its floor and the single view."""
    library, talk = summary["library"], summary["communication"]
    felt, jungle, credit = summary["superiority"], summary["selection"], summary["attribution"]
    rows: list[tuple[str, str, str]] = [
        ("concepts", _number(library["n_concepts"], 0), f"no view holds more than {jungle['max_dims']}"),
        (
            "held-out variance explained",
            _number(library["explained_variance"]),
            f"optimum {_number(library['optimal_explained_variance'])}, 8 dimensions at best "
            f"{_number(library['rank8_explained_variance'])}",
        ),
        ("efficiency", _number(library["efficiency"]), "of the best map of that many dimensions"),
    ]
    if library["mcc"] is not None:
        rows.append(
            (
                "match with the planted truth",
                _number(library["mcc"]),
                f"one mind that holds all {_number(library['central_mcc'])}, best view "
                f"{_number(library['best_single_view_mcc'])}, chance {_number(library['mcc_null'])}",
            )
        )
    if library["label_accuracy"] is not None:
        rows.append(
            (
                "label accuracy",
                _number(library["label_accuracy"]),
                f"raw features {_number(library['raw_label_accuracy'])}, best view "
                f"{_number(library['best_single_view_label_accuracy'])}, mean view "
                f"{_number(library['mean_single_view_label_accuracy'])}",
            )
        )
    rows += [
        (
            "success of talk",
            _number(talk["success"]),
            f"before the library {_number(talk['success_before'])}, guessing {_number(talk['chance'])}",
        ),
        ("words", _number(talk["distinct_words"], 0), f"{_number(talk['words_per_concept'], 1)} per concept"),
        (
            "superiority felt",
            _number(felt["mean_felt"]),
            f"true {_number(felt['mean_true'])}, settles at {_number(felt['predicted'])}, tau {_number(felt['tau'])}",
        ),
        (
            "outcomes due to self",
            _number(credit["self"]),
            f"others {_number(credit['others'])}, luck {_number(credit['luck'])}",
        ),
        (
            "deaths",
            _number(jungle["deaths"], 0),
            f"dimensions found {_number(jungle['dims_discovered'], 0)}, dropped {_number(jungle['dims_dropped'], 0)}",
        ),
        (
            "time",
            f"{summary['wall_s']:.1f} s",
            f"{_number(summary['agent_steps_per_s'], 0)} agent-steps/s",
        ),
    ]
    wide = max(len(name) for name, _, _ in rows)
    head = f"{summary['n_agents']} agents, {summary['n_steps']} steps of {summary['world']}, seed {summary['seed']}"
    return "\n".join([head, *(f"  {name:<{wide}}  {value:>8}  {note}" for name, value, note in rows)])


@contextmanager
def _patience() -> Iterator[list[int]]:
    """Turn the first Ctrl-C into a note in the list given, so that the step at hand is finished and saved."""
    noted: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if noted:
            raise KeyboardInterrupt
        noted.append(number)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield noted
    finally:
        signal.signal(signal.SIGINT, before)


def _claim(out: Path) -> None:
    """Make the directory for the results, or say why it cannot be."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        trial = out / f".trial.{os.getpid()}"
        trial.write_bytes(b"")
        trial.unlink()
    except OSError as error:
        raise InputError(
            f"out is {out}, which cannot be written to ({error.strerror}); give another directory"
        ) from error


def _saved_config(path: Path) -> RunConfig:
    try:
        fields = json.loads(path.read_text())
        for name in ("out", "resume"):
            fields[name] = None
        return RunConfig(**fields)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); --resume takes the directory of a run") from error
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path} is not the configuration of a run: {error}") from error


def _saved_arrays(path: Path) -> dict[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; the run has not come to a checkpoint yet, start it anew") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is not a whole checkpoint: {error}") from error


def _recorder_of(arrays: dict[str, Any]) -> tuple[Recorder, float]:
    try:
        fields = json.loads(str(arrays["recorder"]))
        lived_s = float(fields.pop("wall_s"))
        return Recorder(**fields), lived_s
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"the checkpoint is incomplete or damaged ({type(error).__name__}: {error})") from error


def _config_json(config: RunConfig) -> dict[str, object]:
    fields = dataclasses.asdict(dataclasses.replace(config, out=None, resume=None))
    return {name: value for name, value in fields.items() if name not in ("out", "resume")}


def _csv(rows: list[dict[str, float | None]]) -> bytes:
    buffer = io.StringIO()
    if rows:
        writer = csv.DictWriter(buffer, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return buffer.getvalue().encode()


def _progress(row: dict[str, float | None]) -> dict[str, str]:
    shown = (("success", "success"), ("concepts", "n_concepts"), ("efficiency", "efficiency"))
    return {label: f"{row[key]:.3g}" for label, key in shown if row[key] is not None}


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


if __name__ == "__main__":
    sys.exit(command_line.run(main, prog=PROG))
