"""Where dimensions of superiority come from: ``python -m experiments.origins``.

Societies that differ in nothing but the source of new dimensions (`agents.sources`) are compared with one in which all
dimensions are random directions, the null hypothesis; and one in which all sources propose equally often to the same
views shows which dimensions last, and which the library keeps.

The founders hold nothing: whatever is there has come from the source. (Where factors or components leave room in a
view, exemplars fill it, as they always do.) The embedding is the world's own; a world with labels and no embedding
gets the hidden layer of a small network that was trained to tell the labels of the training objects. A world with
neither does without that source.

Writes to DIR: results.json, comparison.html and pieces.jsonl, and goes on with ``--resume``; see
`experiments.comparison`.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agents.population import ORIGIN_NAMES
from agents.world import World, embedded
from experiments import command_line, compared, comparison, out_file
from experiments.comparison import Comparison, ComparisonConfig, Condition, Lived
from experiments.lifetimes import Followed, Lives, kaplan_meier
from experiments.measuring import true_standing
from experiments.pieces import Figures
from experiments.run_society import RunConfig, make_world
from experiments.society_figures import FEELINGS, QUALITY, feelings, quality
from knowledge_graph.files import atomic_write

PROG = "origins"
MIXED, EMBEDDED = "all sources mixed", "an embedding"
QUESTION = "How do the dimensions of superiority arise: randomly?"

HIDDEN_UNITS = 32
EPOCHS = 300
"""Of the network that a world with labels gets its embedding from."""

CONDITIONS = {
    "random": "random directions",
    "exemplar": "exemplars",
    "factor": "common factors",
    "pca": "principal components",
    "embedding": EMBEDDED,
    "mixed": MIXED,
}
"""By the setting of ``discovery``; the first is what all others are compared with."""

CONTESTS, STEPS = tuple(range(41)), tuple(range(0, 301, 10))
"""Where survival is noted."""

LASTING = 10
"""Contests that a dimension outlives, for a figure of how many do."""

SOURCE: dict[str, tuple[str, ...]] = {
    "factor": ("factor",),
    "pca": ("component",),
    "exemplar": ("exemplar",),
    "random": ("random",),
    "embedding": ("embedding",),
    "mixed": ORIGIN_NAMES[1:],
}
"""The origins that are meant by a setting of ``discovery``."""

FIGURES = (
    QUALITY
    | FEELINGS
    | {
        "purity": "Percent of dimensions from the source named",
        "taken_up": "Dimensions taken up, per agent and 100 steps",
    }
)

OF_ORIGIN = {
    "taken up": "Percent of what views took up",
    "held": "Percent of what is held at the end",
    "in concepts": "Percent of what the library keeps",
    "hazard": "Eliminated per 100 contests",
    "hazard by steps": "Eliminated per 100 steps",
    "lasting": f"Percent that outlives {LASTING} contests",
    "inherited": "Percent of those held that are inherited",
    "hazard of inherited": "Inherited ones eliminated per 100 contests",
    "hazard of inherited by steps": "Inherited ones eliminated per 100 steps",
    "kept": "Percent that the library keeps",
    "r": "|r| of those kept with their concept",
    "felt": "Superiority felt",
    "true": "True standing",
}
"""What `measure` says of the dimensions of every origin. Hazards and what lasts are of own dimensions, not inherited
ones, where nothing else is said; so is what was taken up."""


def main(args: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    config = command_line.parse(ComparisonConfig, args, prog=PROG, description=QUESTION)
    plan = comparison_for(config)
    out = config.out or Path("runs") / PROG
    started = time.perf_counter()
    found, lives, work = comparison.gone_through(plan, config, out)

    from experiments import comparison_page, origins_answer  # need plotly, see `run_files.claim`

    by_origin = origins_answer.by_origin(found)
    said = origins_answer.sentences(found, by_origin)
    if EMBEDDED not in found.found:
        said.append(f"{config.world} has neither an embedding nor labels to learn one from: that source is left out.")
    results = compared.as_json(found) | {
        "by_origin": compared.as_json(by_origin),
        "survival": origins_answer.survival(found),
        "answer": said,
        "of": work,
    }
    out_file.write(out / comparison.RESULTS, results)
    section = origins_answer.section(found, by_origin)
    atomic_write(out / comparison.PAGE, comparison_page.render(found, said, lives, first=[section]).encode())
    print(compared.table(found, found.answers))
    print(f"\nIn the society of {MIXED}, by origin\n\n{compared.table(by_origin, by_origin.answers)}")
    print("\n" + "\n".join(said))
    print(comparison.ending(found, out, seconds=time.perf_counter() - started))
    return 0


def comparison_for(config: ComparisonConfig) -> Comparison:
    """The comparison that can be made in this world."""
    possible = dict(CONDITIONS)
    if not has_embedding(make_world(RunConfig(world=config.world, seed=config.seed))):
        del possible["embedding"]
    return Comparison(
        question=QUESTION,
        conditions=[
            Condition(name=name, changes={"discovery": discovery, "exemplars": 0})
            for discovery, name in possible.items()
        ],
        measure=measure,
        figures=FIGURES,
        answers=("efficiency", "weights_efficiency", "mcc", "weights_mcc", "label_accuracy", "success", "mean_felt"),
        society=Followed,
        world=told_world,
    )


def has_embedding(world: World) -> bool:
    """Whether agents of this world can be told of an embedding: its own, or one that its labels can teach."""
    taught = world.labels is not None and len(np.unique(world.labels[world.train])) > 1
    return world.embedding is not None or taught


def told_world(config: RunConfig) -> World:
    """The world of a life, with an embedding where one is asked for and can be had."""
    world = make_world(config)
    if config.discovery not in ("embedding", "mixed") or world.embedding is not None or not has_embedding(world):
        return world
    return embedded(world, hidden_layer(world, seed=config.seed))


def hidden_layer(world: World, *, seed: int) -> NDArray[np.float64]:
    """What a network with one hidden layer makes of all objects [M, E], trained on labels of training objects alone.

    Rectified linear units, trained by Adam on the log-loss (scikit-learn's `MLPClassifier`); those that are silent for
    every training object are left out. The same seed gives the same network.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    assert world.labels is not None
    network = MLPClassifier(hidden_layer_sizes=(HIDDEN_UNITS,), max_iter=EPOCHS, random_state=seed)
    with warnings.catch_warnings():
        # A network that could have learned more is a learned embedding all the same.
        warnings.simplefilter("ignore", ConvergenceWarning)
        network.fit(world.features[world.train], world.labels[world.train])
    hidden = np.maximum(world.features @ network.coefs_[0] + network.intercepts_[0], 0.0)
    return np.asarray(hidden[:, np.ptp(hidden[world.train], axis=0) > 0], dtype=np.float64)


def measure(lived: Lived) -> Figures:
    """The usual figures of a society, and by origin what became of its dimensions."""
    society = lived.society
    assert isinstance(society, Followed)
    population, lives = society.population, society.lives
    held, meant = population.held, [ORIGIN_NAMES.index(name) for name in SOURCE[society.config.discovery]]
    found: Figures = {
        **quality(lived),
        **feelings(lived),
        "purity": 100 * _mean(np.isin(population.origin[held], meant)),
        "taken_up": 100 * float((~lives.inherited).sum()) / (len(population) * society.steps),
    }
    true = true_standing(society)
    merged = society.merged
    for number, name in enumerate(ORIGIN_NAMES[1:], start=1):
        mine = held & (population.origin == number)
        own, inherited = (lives.where((lives.origin == number) & (lives.inherited == late)) for late in (False, True))
        brought = merged.origin == number
        of_it = {
            "taken up": 100 * _share(len(own), int((~lives.inherited).sum())),
            "held": 100 * _share(int(mine.sum()), int(held.sum())),
            "in concepts": 100 * _share(int((brought & merged.kept).sum()), int(merged.kept.sum())),
            "inherited": 100 * _mean(population.generation[mine] > 0),
            "hazard": 100 * own.hazard,
            "hazard by steps": 100 * own.hazard_per_step,
            "lasting": 100 * float(kaplan_meier(own.contests, own.eliminated, np.array([LASTING]))[0]),
            "hazard of inherited": 100 * inherited.hazard,
            "hazard of inherited by steps": 100 * inherited.hazard_per_step,
            "kept": 100 * _mean(merged.kept[brought]),
            "r": _mean(merged.r[brought & merged.kept]),
            "felt": _mean(population.score[mine]),
            "true": _mean(true[mine]),
        }
        found |= {f"{name}: {key}": value for key, value in of_it.items()} | _curves(name, own)
    for name, late in (("own", False), ("inherited", True)):
        some = lives.where(lives.inherited == late)
        found |= {f"{name}: hazard": 100 * some.hazard, f"{name}: hazard by steps": 100 * some.hazard_per_step}
        found |= _curves(name, some)
    return found


def _curves(name: str, lives: Lives) -> Figures:
    """Survival in percent, by contests and by steps."""
    found: Figures = {}
    for unit, lasted, at in (("contests", lives.contests, CONTESTS), ("steps", lives.steps, STEPS)):
        survival = kaplan_meier(lasted, lives.eliminated, np.array(at))
        found |= {f"{name}: beyond {t} {unit}": 100 * float(s) for t, s in zip(at, survival, strict=True)}
    return found


def _mean(values: NDArray[np.bool_] | NDArray[np.floating]) -> float:
    return float(np.mean(values, dtype=np.float64)) if len(values) else np.nan


def _share(part: int, whole: int) -> float:
    return part / whole if whole else np.nan


if __name__ == "__main__":
    sys.exit(command_line.run(main, prog=PROG))
