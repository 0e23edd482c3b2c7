"""From pixels to minds, end to end: ``python -m experiments.pixels_to_minds --data ROOT [--checkpoint F]``.

A detector is trained on a COCO-format set, or given; the objects of the set, seen through it, become a world; a society
lives in that world; its library merges all views; a report says what came of it. Nothing is done in any other way than
by the programs of each stage, called with the words that are printed:

1. *train*: ``detection.train`` (left out with ``--checkpoint``)
2. *measure*: ``detection.evaluate``, where the detector knows a category of the set
3. *embed*: ``detection.embed``, with thumbnails; backbone features, and what the pyramid makes of them beside them
4. *society*: ``experiments.run_society``, with library and report

Writes to DIR: ``detector/``, ``detector.json``, ``objects.npz``, ``society/`` (with report.html), and
``pixels_to_minds.json``, the figures of all stages. After an interruption ``--resume`` goes on in the stage that was
not finished, to the same result.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from tyro.conf import arg

import detection.embed
import detection.evaluate
import detection.train
from agents import world as worlds
from agents.errors import InputError
from detection import checkpoints, files, presets
from detection.data.coco import CocoDataset, annotation_file_of
from detection.data.loading import refuse_bare
from detection.embed import EmbedConfig
from detection.objects import annotated_in
from detection.places import opened, shifts
from detection.training.directory import CONFIG
from detection.training.loop import CHECKPOINT
from experiments import command_line, run_files, run_society
from experiments.pixels_figures import FIGURES, MEASURED, OBJECTS, SOCIETY, closing, gathered, spent_before

PROG = "pixels_to_minds"
DESCRIPTION = "Train or load a detector, see objects through it, and let a society live among them."

PLAN, DETECTOR = "plan.json", "detector"
WRITTEN = (PLAN, MEASURED, OBJECTS, FIGURES)
"""Files of the directory; the others are directories of one stage each."""

THUMBNAIL = 48
"""Pixels of the pictures of objects in the report."""

PREFIX, SUFFIX = "instances_", ".json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class PixelsConfig:
    """Which images to begin with, and what to put between them and the society."""

    data: Path
    """Directory of a COCO-format set: annotations/instances_SPLIT.json and SPLIT/*.jpg."""
    checkpoint: Path | None = None
    """A detector to see through; without one, it is trained on the set first."""
    split: Annotated[
        tuple[str, ...], arg(metavar="SPLIT...", help_behavior_hint="(default: all that the set has)")
    ] = ()
    """The splits whose objects become the world."""
    train_split: str = "train2017"
    """To train on."""
    val_split: str = "val2017"
    """To measure the detector on, if the set has it."""
    preset: str = "mini"
    """How the detector is trained."""
    iterations: int = 600
    """Updates of its training: a few minutes with the preset mini on two cores."""
    short_side: int = 800
    """The shorter side that images are resized to for looking at objects: more pixels, finer embeddings."""
    features: Literal["backbone", "fpn"] = "backbone"
    """Where the features that agents sense are read from; the other map is what they can be told of."""
    pool: Literal["box", "mask"] = "box"
    """Of what an embedding is the mean: of an object's box or of its mask."""
    min_side: float = 24.0
    """Pixels: objects that are narrower or lower are left out."""
    agents: int = run_society.AMONG_OBJECTS["agents"]
    """Size of the society."""
    steps: int = 300
    """How long it lives."""
    seed: int = 0
    """Of the training and of the society."""
    device: str = "auto"
    """For the detector: cpu, cuda, cuda:1 ...; auto is cuda where there is one."""
    out: Path = Path("runs/pixels_to_minds")
    """Directory for everything."""
    resume: bool = False
    """Go on with what DIR holds."""

    def __post_init__(self) -> None:
        for name, least in (("iterations", 1), ("short_side", 32), ("agents", 2), ("steps", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise InputError(f"{name} is {getattr(self, name)}; give a number from {least} up")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage:
    """A program to be called with ``args``, or with ``again`` where it has been ``begun`` before."""

    name: str
    program: str
    main: Callable[[Sequence[str]], int]
    args: Sequence[str]
    again: Sequence[str] = ()
    begun: Path | None = None
    """The file by which it can be seen that there is something to go on with."""
    done: Callable[[], bool]

    @property
    def command(self) -> str:
        """As it can be typed."""
        return shlex.join(["python", "-m", self.program, *self.args])


def main(args: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    config = command_line.parse(PixelsConfig, args, prog=PROG, description=DESCRIPTION)
    splits = config.split or splits_of(config.data)
    listed = stages(config, splits)
    check(config, splits, listed)
    begin(config.out, plan(config, splits), resume=config.resume)
    spent = spent_before(config.out) if config.resume else {}
    for stage in listed:
        if stage.done():
            print(f"{PROG}: {stage.name}: done before", file=sys.stderr)
            continue
        started = time.perf_counter()
        if status := carry_out(stage):
            print(f"{PROG}: stopped in {stage.name}; go on with --resume and the same words", file=sys.stderr)
            return status
        spent[stage.name] = time.perf_counter() - started
    found = gathered(config.out, data=config.data, splits=splits) | {"seconds": spent}
    files.write_json(config.out / FIGURES, found)
    print(f"\n{closing(found)}")
    print(f"Report: {config.out / SOCIETY / 'report.html'}")
    return 0


def splits_of(data: Path) -> tuple[str, ...]:
    """The splits of a set that have annotations and images.

    Raises
    ------
    InputError
        If there are none.
    """
    directory = data / "annotations"
    names = sorted(path.name[len(PREFIX) : -len(SUFFIX)] for path in directory.glob(f"{PREFIX}*{SUFFIX}"))
    found = tuple(name for name in names if (data / name).is_dir())
    if not found:
        raise InputError(
            f"data is {data}, which has no annotations/{PREFIX}SPLIT{SUFFIX} with a directory SPLIT of images beside "
            "it; give a COCO-format set"
        )
    return found


def check(config: PixelsConfig, splits: Sequence[str], listed: Sequence[Stage]) -> None:
    """Refuse what would only fail after long work in the stages that are ``listed``.

    Raises
    ------
    InputError
        If a split is broken, the checkpoint is none, there is neither a checkpoint nor anything to train on, or no
        world can be made of the objects, or no such society live in it.
    """
    if config.checkpoint is not None:
        checkpoints.load(config.checkpoint)
    else:
        presets.preset(config.preset, data=config.data, out=config.out)
        if not annotation_file_of(config.data, config.train_split).is_file():
            raise InputError(
                f"train_split is {config.train_split}, which {config.data} does not have; name one that it has, or "
                "give a checkpoint"
            )
    if config.val_split not in splits and annotation_file_of(config.data, config.val_split).is_file():
        CocoDataset(config.data, config.val_split)
    words = {stage.name: stage.args for stage in listed}
    run_society.parse(words["society"])
    asked = command_line.parse(EmbedConfig, words["embed"], prog=PROG, description=DESCRIPTION)
    check_objects(asked, seed=config.seed)


def check_objects(asked: EmbedConfig, *, seed: int) -> None:
    """Refuse objects of which no world can be made.

    Raises
    ------
    InputError
        If there are too few, in too few images, or they lack the masks that are asked for.
    """
    datasets = opened(asked.data, asked.split)
    if asked.pool == "mask":
        for dataset in datasets:
            refuse_bare(dataset)
    moved, numbers = shifts(datasets), annotated_in(datasets, min_side=asked.min_side)
    images = [place.id + moved[place.dataset.split].images for place in numbers]
    groups = np.repeat(np.array(images, dtype=np.int64), list(numbers.values()))
    # Who is held out depends on the images alone, so that numbers of no meaning are refused as the features would be.
    stand_in = np.random.default_rng(0).standard_normal((len(groups), worlds.MIN_FEATURES))
    worlds.build(name=str(asked.data), raw=stand_in, seed=seed, probe=worlds.MIN_PROBE, groups=groups)


def plan(config: PixelsConfig, splits: Sequence[str]) -> dict[str, Any]:
    """What is asked for, with fingerprints of what it is made from: finished stages of anything else do not count."""
    left_out = ("data", "checkpoint", "out", "resume", "split", "device")
    fields = {name: value for name, value in vars(config).items() if name not in left_out}
    others = [config.val_split] if config.checkpoint is not None else [config.train_split, config.val_split]
    there = [split for split in others if annotation_file_of(config.data, split).is_file()]
    return {
        **fields,
        "splits": list(splits),  # objects stand in their order
        "annotations": {
            split: checkpoints.fingerprint(annotation_file_of(config.data, split))
            for split in dict.fromkeys((*splits, *there))
        },
        "checkpoint": None if config.checkpoint is None else checkpoints.fingerprint(config.checkpoint),
    }


def begin(out: Path, work: Mapping[str, Any], *, resume: bool) -> None:
    """Make the directory and note what is asked for; with ``resume``, see that what is there is of the same.

    Raises
    ------
    InputError
        If there is something that is not to be gone on with, or is of other work, or nothing can be written there.
    """
    path = out / PLAN
    if not resume:
        if path.exists():
            raise InputError(
                f"out is {out}, where there is such a run already; go on with it by --resume, or give another directory"
            )
        run_files.claim(out, WRITTEN)
        files.write_json(path, work)
        return
    if not path.is_file():
        raise InputError(f"out is {out}, which has no {PLAN} to go on with; leave --resume out")
    try:
        there = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read ({error}); give another directory") from error
    asked = json.loads(json.dumps(work))
    if there != asked:
        name = next((name for name in asked if not isinstance(there, dict) or there.get(name) != asked[name]), "it")
        raise InputError(
            f"the run in {out} is of other work ({name} is not the same); ask for the same, or give another directory"
        )
    run_files.claim(out, WRITTEN)


def stages(config: PixelsConfig, splits: Sequence[str]) -> list[Stage]:
    """What is to be done, in order."""
    out, device = config.out, ["--device", config.device]
    detector = config.checkpoint or out / DETECTOR / CHECKPOINT
    other = "fpn" if config.features == "backbone" else "backbone"
    listed = []
    if config.checkpoint is None:
        words = ["--preset", config.preset, "--data", str(config.data), "--train-split", config.train_split]
        words += ["--max-iterations", str(config.iterations), "--seed", str(config.seed)]
        words += ["--out", str(out / DETECTOR), *device]
        listed.append(
            Stage(
                name="train",
                program="detection.train",
                main=detection.train.main,
                args=words,
                again=["--resume", "--out", str(out / DETECTOR), *device],
                begun=out / DETECTOR / CONFIG,
                done=functools.partial(trained, detector, config.iterations),
            )
        )
    if measurable(config):
        listed.append(
            Stage(
                name="measure",
                program="detection.evaluate",
                main=detection.evaluate.main,
                args=[
                    *("--checkpoint", str(detector), "--data", str(config.data), "--split", config.val_split),
                    *("--no-masks", "--out", str(out / MEASURED), *device),
                ],
                done=(out / MEASURED).exists,
            )
        )
    words = ["--checkpoint", str(detector), "--data", str(config.data), "--split", *splits]
    words += ["--features", config.features, "--embedding", other, "--pool", config.pool]
    words += ["--short-side", str(config.short_side), "--max-side", str(round(config.short_side * 5 / 3))]
    words += ["--min-side", str(config.min_side), "--thumbnails", str(THUMBNAIL), "--out", str(out / OBJECTS), *device]
    listed.append(
        Stage(
            name="embed",
            program="detection.embed",
            main=detection.embed.main,
            args=words,
            again=[*words, "--resume"],
            begun=out / PLAN,
            done=(out / OBJECTS).exists,
        )
    )
    words = ["--world", str(out / OBJECTS), "--agents", str(config.agents), "--steps", str(config.steps)]
    words += ["--seed", str(config.seed), "--out", str(out / SOCIETY)]
    listed.append(
        Stage(
            name="society",
            program="experiments.run_society",
            main=run_society.main,
            args=words,
            again=["--resume", str(out / SOCIETY)],
            begun=out / SOCIETY / run_files.CHECKPOINT,
            done=(out / SOCIETY / run_files.RESULTS[-1]).exists,
        )
    )
    return listed


def measurable(config: PixelsConfig) -> bool:
    """Whether the set has something to measure the detector on, of which it knows a category."""
    if not annotation_file_of(config.data, config.val_split).is_file():
        return False
    if config.checkpoint is None:
        return True
    known = {category.id for category in checkpoints.load(config.checkpoint).config.categories}
    return any(category.id in known for category in CocoDataset(config.data, config.val_split).categories)


def trained(path: Path, iterations: int) -> bool:
    """Whether there is a detector whose training has come to its end."""
    if not path.exists():
        return False
    return bool((checkpoints.load(path).training or {}).get("iteration", 0) >= iterations)


def carry_out(stage: Stage) -> int:
    """Call the program of a stage; returns its exit status."""
    print(f"\n{PROG}: {stage.name}: {stage.command}", file=sys.stderr, flush=True)
    again = stage.begun is not None and stage.begun.exists()
    return stage.main(stage.again if again else stage.args)


if __name__ == "__main__":
    sys.exit(command_line.run(main, prog=PROG))
