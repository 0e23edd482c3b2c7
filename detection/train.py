"""Train a detector: ``python -m detection.train --preset mini --data ROOT --out DIR``; on several GPUs by torchrun.

Writes to DIR: config.json, log.jsonl (a line every ``--log-every`` iterations) and last.pt, the checkpoint. A run that
was stopped, however rudely, goes on by ``--resume --out DIR`` to the result of an uninterrupted one.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro
from tyro.conf import arg

from detection import checkpoints, coco_eval, command_line, files, presets
from detection.config import TrainConfig
from detection.data.coco import CocoDataset
from detection.data.loading import images_to_train_on, refuse_bare, train_batches
from detection.detector import Detector
from detection.errors import InputError
from detection.evaluate import evaluate
from detection.training import directory
from detection.training.directory import Saved
from detection.training.distributed import LocalError, World, started
from detection.training.learner import Learner, begin
from detection.training.log import Meter
from detection.training.loop import CHECKPOINT, train
from detection.training.memory import GIB, fit, measured
from detection.training.step import batch_norms

PROG = "train"
DESCRIPTION = "Train a detector on COCO-format data."

RUNS = Path("runs")
"""Where runs go that are not told where, each to a directory with the name of its preset."""

PRETRAINED = ("fcos-", "condinst-", "polarmask-", "lab-")
"""How the names of presets begin whose published figures are of backbones trained on ImageNet (if not "scratch")."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command(TrainConfig):
    """How a detector is trained, and what the command line asks beside it."""

    preset: Annotated[str, arg(metavar="NAME")] = ""
    """Where all other fields begin; --list-presets names them."""
    list_presets: bool = False
    """Say which presets there are, and nothing else."""
    resume: bool = False
    """Go on with the run in --out; nothing else need be given."""


def main(args: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    args = list(sys.argv[1:] if args is None else args)
    if "--list-presets" in command_line.given(args):
        print("\n".join(presets.names()))
        return 0
    command = parse(args)
    config = TrainConfig(**{field.name: getattr(command, field.name) for field in dataclasses.fields(TrainConfig)})
    with started(config.device) as world:
        try:
            return run(config, world=world, resume=command.resume)
        except InputError as error:
            if world.first or isinstance(error, LocalError):
                raise
            return 2  # the first process has said it


def parse(args: Sequence[str]) -> Command:
    """What ``args`` ask for: the fields of the preset, or of the run to go on with, changed by the flags.

    Raises
    ------
    InputError
        If a flag is unknown or refused, or the preset or the run is not there.
    """
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    early.add_argument("--preset", nargs="?")
    early.add_argument("--out", nargs="?")
    known, _ = early.parse_known_args(args)
    flags = command_line.given(args)
    out = Path(known.out or RUNS / (known.preset or "detector"))
    if "--resume" in flags:
        begun = directory.read_config(out)
        if known.preset not in (None, begun.preset):
            raise InputError(
                f"preset is {known.preset}, but the run in {out} was begun with {begun.preset or 'none'}; leave it out"
            )
    elif known.preset is not None:
        begun = presets.preset(known.preset, data=tyro.MISSING, out=out)
    else:
        begun = TrainConfig(data=tyro.MISSING, out=out)
    # The length can be given in two ways, and the one that is given counts; the parser puts in which number.
    if "--max-images" in flags and "--max-iterations" not in flags:
        begun = dataclasses.replace(begun, max_images=begun.max_images or 1, max_iterations=None)
    elif "--max-iterations" in flags and "--max-images" not in flags:
        begun = dataclasses.replace(begun, max_iterations=begun.max_iterations or 1, max_images=None)
    default = Command(**{field.name: getattr(begun, field.name) for field in dataclasses.fields(TrainConfig)})
    command = command_line.parse(Command, args, prog=PROG, description=DESCRIPTION, default=default)
    if command.fit_memory is not None and command.micro_batch is not None and not command.resume:
        raise InputError("fit_memory and micro_batch are both given, but one is found by the other; give one of them")
    return command


def run(config: TrainConfig, *, world: World, resume: bool) -> int:
    """Train, and say so; returns the exit status."""
    say = functools.partial(print, file=sys.stderr, flush=True) if world.first else _silent
    if config.batch_size % world.size:
        raise InputError(
            f"batch_size is {config.batch_size}, but {world.size} processes share it; give a multiple of {world.size}"
        )
    if world.size > 1 and world.device.type == "cpu":
        for name, norm in batch_norms(config.model).items():
            if norm == "syncbn":
                raise InputError(f"{name} is syncbn, which several processes can only share on GPUs; give bn or gn")
    if not resume and world.first:
        directory.refuse_taken(config.out)
    dataset = CocoDataset(config.data, config.train_split)
    validation = CocoDataset(config.data, config.val_split) if config.evaluate_every and world.first else None
    if config.model.masks != "none":
        refuse_bare(dataset)
        if validation is not None:
            coco_eval.ground_truths(validation.annotation_file, ("segm",))
    indices = images_to_train_on(dataset, skip_broken=config.skip_broken, speak=world.first)
    identity = {
        "annotations": checkpoints.fingerprint(dataset.annotation_file),
        "n_images": len(indices),
        "processes": world.size,
    }
    if not resume:
        config = dataclasses.replace(config, model=dataclasses.replace(config.model, categories=dataset.categories))
    saved = None
    if resume:
        saved = directory.read(config.out)
        _refuse_other_run(saved, config, identity)
        if dataset.categories != config.model.categories:  # also where there is no checkpoint yet to tell the data by
            raise InputError(
                f"data is {config.data}, but the run in {config.out} was begun with other categories; give data with "
                "those, or start a new run"
            )
    elif world.first:
        files.make_directory(config.out, name="out")
    world.wait()  # nobody reads what the first process is about to change
    config = fitted(config, saved, world=world, say=say)
    restored = saved is not None and saved.checkpoint is not None
    model = begin(dataclasses.replace(config, backbone_weights=None, weights=None) if restored else config, say=say)
    if world.first:
        files.remove_unfinished(config.out)
        directory.write_config(config)
    if config.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    meter = Meter()
    learner = Learner(model, config, world=world)
    if saved is not None and saved.checkpoint is not None:
        learner.restore(saved.checkpoint)
        meter.load(saved.training["meter"])
    for line in notice(learner, n_images=len(indices), n_all=len(dataset)):
        say(line)
    stopped = train(
        learner,
        train_batches(
            dataset,
            config=config,
            indices=indices,
            start=learner.done,
            rank=world.rank,
            world=world.size,
        ),
        out=config.out,
        meter=meter,
        n_images=len(indices),
        evaluate=functools.partial(figures, validation),
        identity=identity,
    )
    if stopped:
        say(f"{PROG}: interrupted after iteration {learner.done}; go on with --resume --out {config.out}")
        return 128 + stopped
    if world.first:
        path = config.out / CHECKPOINT
        print(f"Checkpoint: {path} ({learner.done:,} iterations, {learner.done * config.batch_size:,} images)")
        split = "" if config.val_split == "val2017" else f" --split {config.val_split}"
        print(f"Evaluate it: python -m detection.evaluate --checkpoint {path} --data {config.data}{split}")
    return 0


def fitted(config: TrainConfig, saved: Saved | None, *, world: World, say: Any) -> TrainConfig:
    """``config`` with what makes it fit into ``fit_memory``, where that is given and not known yet."""
    known = saved is not None and saved.config.fit_memory == config.fit_memory
    if config.fit_memory is None or known:
        return config
    share = config.batch_size // world.size
    plan = None
    if world.first:
        measure = functools.partial(measured, share=share, device=world.device)
        plan = fit(config, share=share, measure=measure, say=say)
        again = ", the backbone's activations computed twice" if plan.checkpoint_activations else ""
        say(
            f"Fits into {config.fit_memory:g} GiB: {plan.micro_batch} of {share} images at once{again} "
            f"({plan.peak / GIB:.2f} GiB measured)."
        )
    plan = world.together(plan)[0]
    return dataclasses.replace(config, micro_batch=plan.micro_batch, checkpoint_activations=plan.checkpoint_activations)


def figures(dataset: CocoDataset | None, learner: Learner) -> Mapping[str, float | None]:
    """The 12 numbers of COCO on ``dataset``, of boxes and, as "segm AP" ..., of masks; of averaged weights if any."""
    assert dataset is not None
    config = learner.config
    detector = Detector(
        checkpoints.build(learner.checkpoint()),
        device=learner.world.device,
        precision=config.precision,
        channels_last=config.channels_last,
    )
    # Not more images at once than training takes, for which there is memory.
    measured = evaluate(detector, dataset, batch_size=config.micro_batch or 1, workers=config.workers)
    numbers = dict(measured["bbox"].numbers)
    if "segm" in measured:
        numbers |= {f"segm {name}": value for name, value in measured["segm"].numbers.items()}
    return numbers


def notice(learner: Learner, *, n_images: int, n_all: int) -> list[str]:
    """What is going to be trained, in a few lines."""
    config, model = learner.config, learner.model
    learning = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    frozen = sum(weight.numel() for weight in model.parameters()) - learning
    begins = config.weights or config.backbone_weights or "scratch"
    lines = [
        f"{config.preset or 'no preset'}: {config.model.backbone}, {learning / 1e6:.2f} M weights that learn and "
        f"{frozen / 1e6:.2f} M frozen, from {begins}, on {learner.world.device}"
        + (f" and {learner.world.size - 1} more" if learner.world.size > 1 else ""),
        f"{n_images:,} images with objects of {n_all:,}, {len(config.model.categories)} categories; "
        f"{config.iterations:,} iterations of {config.batch_size} images "
        f"({config.iterations * config.batch_size / n_images:.1f} epochs)",
    ]
    if learner.done:
        lines.append(f"Goes on after iteration {learner.done:,}.")
    from_scratch = config.backbone_weights is None and config.weights is None
    published = config.preset.startswith(PRETRAINED) and not config.preset.endswith(("-condinst", "-polar"))
    if from_scratch and published and "scratch" not in config.preset:
        lines.append(
            f"The published figure of {config.preset} is of a backbone trained on ImageNet; this one begins at random "
            "(backbone_weights is not given), and will not reach it."
        )
    if from_scratch and config.model.frozen_stages:
        lines.append(
            f"frozen_stages is {config.model.frozen_stages}, and what is frozen stays random; --frozen-stages 0 lets "
            "all of it learn."
        )
    if config.micro_batch is not None:
        share = config.batch_size // learner.world.size
        for name, norm in batch_norms(config.model).items():
            if config.micro_batch < share:
                lines.append(
                    f"{name} is {norm}, so that {config.micro_batch} instead of {share} images at once learn something "
                    "else."
                )
    return lines


def _refuse_other_run(saved: Saved, config: TrainConfig, identity: Mapping[str, Any]) -> None:
    """Refuse to go on by another configuration, on other data, or where batch normalisation sees other batches."""
    training = saved.training
    directory.refuse_changes(saved.config, config, done=training.get("iteration", 0))
    if not training:
        return
    if training["annotations"] != identity["annotations"] or training["n_images"] != identity["n_images"]:
        raise InputError(
            f"data is {config.data}, but the run in {config.out} was begun with other annotations or images; give "
            "those, or start a new run"
        )
    for name, norm in batch_norms(config.model).items():
        if norm == "bn" and training["processes"] != identity["processes"]:
            raise InputError(
                f"{name} is bn, which normalises by the images of a process, and the run in {config.out} was begun "
                f"with {training['processes']} processes, not {identity['processes']}; go on with as many"
            )


def _silent(text: str) -> None:
    pass


if __name__ == "__main__":
    sys.exit(command_line.run(main, prog=PROG))
