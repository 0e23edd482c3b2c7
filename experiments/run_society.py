"""Run a society and write what came of it: ``python -m experiments.run_society [--world WORLD] --out DIR``.

Writes to DIR: config.json, summary.json, metrics.csv, interactions.csv, library.json, library.graphml, library.npz,
report.html, checkpoint.npz.
Every file appears whole or not at all; an interrupted run goes on with ``--resume DIR`` to the same result.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import signal
import sys
import threading
import time
import typing
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

from threadpoolctl import threadpool_limits
from tqdm import tqdm
from tyro.conf import arg

from agents import checkpoint
from agents import world as worlds
from agents.config import SocietyConfig
from agents.errors import InputError
from agents.interactions import InteractionLog, records, sentences
from agents.society import Society
from agents.world import World
from agents.world_files import tells_of_objects
from experiments import command_line, run_files
from experiments.closing_table import closing_table
from experiments.measuring import Recorder, Row, closing_library, metrics, summarise, unlived
from experiments.run_files import Saved

PROG = "run_society"
DEFAULT_STEPS = 300
DEFAULT_OUT = Path("runs/society")
TENTHS = 10
"""Without a terminal for the progress bar, a line is written after each tenth of the run."""

OVERHEARD = 3
"""Conversations that are told below the closing table."""

WORLDS = ("objects", "digits", "planted")
"""Those that are not read from a file that somebody names."""

AMONG_OBJECTS: dict[str, Any] = {"agents": 600, "attention": 0.0, "probe": 1000}
"""How societies live among embedded objects, unless told otherwise. There every feature hangs together with every
other, and attention, which climbs towards what goes together, would make all minds alike; it takes more of them to
cover so many dimensions; and objects are few, so that anyone can point at all of them."""

ARRAYS = "numpy"
"""What to name for no device of PyTorch."""

LARGEST = 2**31 - 1
"""The columns of a population count in 32 bits."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig(SocietyConfig):
    """What to run, and where to put what comes of it."""

    agents: Annotated[int, arg(help_behavior_hint="(default: 600 among objects, 200 elsewhere)")] = 200
    """Size of the population; births and deaths keep it."""
    sensors: Annotated[
        int | None,
        arg(
            metavar="INT",
            help_behavior_hint="(default: 24 among objects; elsewhere a quarter of the world's, from 8 to 48)",
        ),
    ] = None
    """Features an agent senses."""
    attention: Annotated[float, arg(help_behavior_hint="(default: 0 among objects, 0.1 elsewhere)")] = 0.1
    """Share of the sensors, those that the view explains least, turned to other features before each discovery."""

    world: str = "objects"
    """objects (of photographs, as a network describes them), digits, planted, or a .npz, .csv or .parquet file of
    objects x features; files of detection.embed are lived in as objects are."""
    steps: Annotated[int | None, arg(metavar="INT", help_behavior_hint=f"(default: {DEFAULT_STEPS})")] = None
    """How long the society lives; with --resume, the length of the run that goes on."""
    seed: int = 0
    """The same seed gives the same society, bit for bit."""
    out: Annotated[Path | None, arg(metavar="DIR", help_behavior_hint=f"(default: {DEFAULT_OUT})")] = None
    """Directory for the results."""
    resume: Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="")] = None
    """Go on with the run in this directory; only --steps and --device can be given beside it."""
    device: Annotated[str, arg(metavar="NAME")] = ARRAYS
    """What does the tick: numpy, with compiled kernels for many agents; or PyTorch, by the same draws, on cuda, cuda:1,
    or cpu to try it out."""
    label: Annotated[
        str | None, arg(metavar="NAME", help_behavior_hint="(default: the one called labels or label)")
    ] = None
    """Column or array of the world's file that holds the labels."""
    probe: Annotated[int, arg(help_behavior_hint="(default: 1000 among objects, 500 elsewhere)")] = 500
    """Objects that anyone can point at."""
    record_interval: int = 10
    """Steps from one row of metrics to the next."""
    interactions: int = 1000
    """Conversations kept to be read, an even random sample of all; 0 keeps none."""
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
            ("probe", worlds.MIN_PROBE),
            ("record_interval", 1),
            ("interactions", 0),
            ("checkpoint_interval", 0),
            ("planted_objects", worlds.MIN_OBJECTS),
            ("planted_features", worlds.MIN_FEATURES),
            ("planted_factors", 1),
        ):
            self._at_least(name, least)
        if self.steps is not None:
            self._at_least("steps", 1)
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name != "seed" and isinstance(value, int) and value > LARGEST:
                raise InputError(f"{field.name} is {value}, but it must be at most {LARGEST}")
        if self.resume is None:
            self._check_world()

    def _check_world(self) -> None:
        """Refuse what says nothing about the world that is named."""
        if self.label is not None and self.world in WORLDS:
            raise InputError(f"label is {self.label!r}, but {self.world} is not read from a file; leave it out")
        for field in dataclasses.fields(self):
            changed = field.name.startswith("planted_") and getattr(self, field.name) != field.default
            if changed and self.world != "planted":
                raise InputError(f"{field.name} is given, but world is {self.world}; give it with --world planted")


def main(args: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    config = parse(args)
    saved: Saved | None = None
    if config.resume is None:
        out = config.out or DEFAULT_OUT
        config = dataclasses.replace(config, steps=config.steps or DEFAULT_STEPS, out=None)
    else:
        out = config.resume
        config, saved = resumed(config, command_line.given(args))
    # As in the tick: the last digits of what is measured must not hang on the number of cores.
    with threadpool_limits(limits=1, user_api="blas"):
        return run(config, saved, out)


def parse(args: Sequence[str] | None = None) -> RunConfig:
    """What ``args`` ask for; what they leave out is as usual in the world that they name."""
    said = "Run a society of 8-dimensional minds."
    config = command_line.parse(RunConfig, args, prog=PROG, description=said, default=usual())
    default = usual(config.world)
    if default == usual():
        return config
    return command_line.parse(RunConfig, args, prog=PROG, description=said, default=default)


def usual(world: str = "objects") -> RunConfig:
    """How a society lives in a world, unless told otherwise."""
    return RunConfig(world=world, **life_in(world))


def life_in(world: str) -> dict[str, Any]:
    """The settings that are others in such a world than elsewhere; empty for most."""
    among_objects = world == "objects" or (world not in WORLDS and tells_of_objects(Path(world)))
    return AMONG_OBJECTS if among_objects else {}


def run(config: RunConfig, saved: Saved | None, out: Path) -> int:
    """Live, measure and write; returns the exit status."""
    society, recorder, lived_s = settle(config, saved)
    run_files.claim(out)
    started = time.perf_counter() - lived_s
    if stopped := live(society, recorder, config, out, started):
        print(f"{PROG}: interrupted at step {society.steps}; go on with --resume {out}", file=sys.stderr)
        return 128 + stopped
    wall_s = time.perf_counter() - started
    library = closing_library(society)
    summary = summarise(society, library, recorder, name=config.world, seed=config.seed, wall_s=wall_s)
    run_files.write_results(society, library, recorder, summary, out)
    print(closing_table(summary))
    if said := overheard(society):
        print(said)
    print(f"\nReport: {out / 'report.html'}")
    return 0


def overheard(society: Society) -> str:
    """A few of the conversations that were kept, from the beginning to the end of the run; empty without any."""
    kept, heard = len(society.log), society.log.heard
    head = f"\n{kept:,} of {heard:,} conversations are in interactions.csv, among them"
    told = sentences(records(society.log.spread(OVERHEARD), society.world))
    return "\n".join([head, *(f"  {sentence}" for sentence in told)]) if told else ""


def resumed(config: RunConfig, flags: Sequence[str]) -> tuple[RunConfig, Saved]:
    """The run in ``config.resume``: its own configuration, with the new length and device if given; what it saved."""
    assert config.resume is not None
    beside = [flag for flag in flags if flag not in ("--resume", "--steps", "--device")]
    if beside:
        raise InputError(f"{beside[0]} is given, but --resume goes on with the run's own configuration; leave it out")
    saved = run_files.saved(config.resume)
    strange = set(saved.config) ^ set(run_files.config_fields(config))
    if strange:
        raise InputError(
            f"the run in {config.resume} is of another version of this program ({min(strange)} is new or gone); go on "
            "with that version, or start a new run"
        )
    _check_kinds(saved.config, config.resume / run_files.CONFIG)
    longer = dataclasses.replace(RunConfig(**saved.config), steps=config.steps or saved.config["steps"])
    if "--device" in flags:
        longer = dataclasses.replace(longer, device=config.device)
    if longer.steps is not None and longer.steps < saved.steps:
        raise InputError(
            f"steps is {longer.steps}, but the run in {config.resume} has lived {saved.steps} steps already; give at "
            "least as many"
        )
    return longer, saved


def _check_kinds(fields: Mapping[str, Any], path: Path) -> None:
    """Refuse values of a saved configuration that are not of the kind that the command line would give."""
    hints = typing.get_type_hints(RunConfig)
    for name, value in fields.items():
        kinds = typing.get_args(hints[name]) or (hints[name],)
        allowed = {kind if isinstance(kind, type) else type(kind) for kind in kinds}
        if type(value) not in (allowed | {int} if float in allowed else allowed):
            raise InputError(f"{path} says {name} is {value!r}, which is no value for it; put back what the run wrote")


def settle(config: RunConfig, saved: Saved | None) -> tuple[Society, Recorder, float]:
    """The society to live on with, its recorder, and the seconds it has lived: a new one, or the one saved."""
    check_room(config)
    device = None if config.device == ARRAYS else config.device
    if device is not None:
        from agents.tensors.society import check_possible, checked

        checked(device)
        check_possible(config, along_graph=False)
    if saved is not None and config.world not in WORLDS and not os.path.exists(config.world):
        raise InputError(
            f"the run in {saved.path.parent} is of the world {config.world}, which does not exist any more; put it "
            "back, or go on in the directory where the run was begun"
        )
    try:
        world = make_world(config)
        if saved is None:
            society = checkpoint.founded(world, society_config(config), config.seed, device)
            society.log = InteractionLog(size=config.interactions, seed=config.seed, candidates=config.candidates)
            return society, Recorder(unlived=unlived(society)), 0.0
        try:
            society = checkpoint.restored(saved.arrays, world, society_config(config), device=device)
        except InputError as error:
            raise InputError(f"{saved.path}: {error}") from error
        if society.steps != saved.steps:
            raise InputError(
                f"{saved.path} is of a society that has lived {society.steps} steps, but tells of {saved.steps}; start "
                "the run anew"
            )
        return society, saved.recorder, saved.lived_s
    except MemoryError as error:
        raise InputError(
            f"agents is {config.agents}, too many for the memory of this machine; ask for fewer"
        ) from error


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
    if config.world == "objects":
        return worlds.objects(seed=config.seed, probe=config.probe)
    return worlds.table(Path(config.world), seed=config.seed, label=config.label, probe=config.probe)


def digest_of(world: str) -> str | None:
    """A digest of the file that a world is read from; None for one that is read from none."""
    file = Path(world)
    if world in WORLDS or not file.is_file():
        return None
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]


def live(society: Society, recorder: Recorder, config: RunConfig, out: Path, started: float) -> int:
    """Step to the end, showing progress, measuring and saving on the way; the signal that stopped it (saved), or 0."""
    assert config.steps is not None
    fields = run_files.config_fields(config)
    shown = sys.stderr.isatty()
    with (
        _patience() as signals,
        tqdm(total=config.steps, initial=society.steps, unit="step", mininterval=0.5, disable=not shown) as bar,
    ):
        while society.steps < config.steps:
            society.step()
            recorder.heard(society)
            if society.steps % config.record_interval == 0:
                recorder.rows.append(metrics(society, recorder))
                bar.set_postfix_str(_progress(recorder.rows).removeprefix(": "))
            bar.update()
            if not shown and society.steps * TENTHS // config.steps > (society.steps - 1) * TENTHS // config.steps:
                print(f"{PROG}: step {society.steps} of {config.steps}{_progress(recorder.rows)}", file=sys.stderr)
            due = config.checkpoint_interval and society.steps % config.checkpoint_interval == 0
            if due or signals or society.steps == config.steps:
                run_files.save(society, recorder, fields, out, time.perf_counter() - started)
            if signals and society.steps < config.steps:
                return signals[0]
    return 0


@contextmanager
def _patience() -> Iterator[list[int]]:
    """Turn the first Ctrl-C (or SIGTERM) into a note in the list given, so that the step at hand is finished and saved.

    Only the main thread can; in others the signals stay as they are.
    """
    noted: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if noted:
            raise KeyboardInterrupt
        noted.append(number)

    heard = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, note) for number in heard}
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def check_room(config: RunConfig) -> None:
    """Refuse what the memory of this machine could not hold, rather than let it grind to a halt."""
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else float("inf")
    words = config.dimensions * ((config.sensors or 1) + config.vocabulary)
    planted = config.planted_objects * config.planted_features if config.world == "planted" else 0
    kept = min(config.interactions, config.agents * (config.steps or DEFAULT_STEPS))
    for names, needed in (
        (("agents", "memory"), 4 * config.agents * (config.memory + words)),
        (("agents", "common_ground"), 4 * config.agents * config.common_ground * config.dimensions),
        (("agents", "tournament"), 8 * config.agents * config.turnover * config.tournament),
        (("planted_objects", "planted_features"), 8 * planted),
        (("interactions", "candidates"), 4 * kept * config.candidates),
    ):
        if needed > there:
            asked = " and ".join(f"{name} is {getattr(config, name)}" for name in names)
            raise InputError(
                f"{asked}, which takes {needed / 2**30:,.0f} GB, but this machine has {there / 2**30:,.0f} GB; ask for "
                "less"
            )


def _progress(rows: Sequence[Row]) -> str:
    """The latest row of metrics in a few words, after a colon; nothing while there is no row."""
    row = rows[-1] if rows else {}
    shown = (("success", "success"), ("concepts", "n_concepts"), ("efficiency", "efficiency"))
    words = ", ".join(f"{label} {value:.3g}" for label, key in shown if (value := row.get(key)) is not None)
    return f": {words}" if words else ""


if __name__ == "__main__":
    sys.exit(command_line.run(main, prog=PROG))
