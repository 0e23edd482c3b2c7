"""Societies compared under controlled conditions, seed by seed.

An experiment is a page: say which conditions there are (the first is the baseline), what to measure of a society that
has lived, which of the figures answer the question, and hand that to `main`:

    def measure(lived: Lived) -> dict[str, float]:
        return {"words": float(distinct_words(lived.society.population.words))}

    COMPARISON = Comparison(
        question="Does a library leave fewer words?",
        conditions=(
            Condition(name="a library"),
            Condition(name="no library", changes={"merge_interval": 0}),
        ),
        measure=measure,
        figures={"words": "Words in use"},
        answers=("words",),
    )

    if __name__ == "__main__":
        main = functools.partial(comparison.main, COMPARISON, prog="words")
        sys.exit(command_line.run(main, prog="words"))

A measure is a function of a module, because other processes import it. A condition changes any field of
`experiments.run_society.RunConfig`: the society's, or the world's (``probe``, ``planted_...``). Figures of the way
there, not of the end alone, are taken by a subclass of `Society` that notes what it needs (as
`experiments.lifetimes.Followed`), given as ``society``; where that can be made in several ways (as
`agents.upbringing.Raised`), a condition says in which. `experiments.society_figures` has the usual figures.

Writes to DIR: results.json, comparison.html, and pieces.jsonl, a line for each life that has been lived. With
``--resume`` these are not lived again, so that an interrupted comparison goes on to the same result, and a finished
one can be given more seeds.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from threadpoolctl import threadpool_limits
from tyro.conf import arg

from agents.errors import InputError
from agents.society import Society
from agents.world import World
from experiments import command_line, compared, out_file, run_files, run_society
from experiments.compared import Compared
from experiments.measuring import Recorder, closing_library
from experiments.pieces import Figures, Kept, over_seeds, program
from experiments.run_society import RunConfig, make_world, society_config
from knowledge_graph.files import atomic_write
from knowledge_graph.library import Library

RESULTS, PAGE, PIECES = "results.json", "comparison.html", "pieces.jsonl"

AGENTS, STEPS, SEEDS = 100, 300, 8
QUICK_AGENTS, QUICK_STEPS, QUICK_SEEDS = 24, 60, 2
QUICK: dict[str, Any] = {"probe": 150}
QUICK_PLANTED: dict[str, Any] = {"planted_objects": 1000, "planted_features": 64, "planted_factors": 16}
"""A smaller world for ``--quick``."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Condition:
    """One way for a society to live.

    Attributes
    ----------
    name : as it can follow "under": "no selection"
    changes : fields of `RunConfig` that differ from the usual ones
    given : what the comparison's class of societies is given beside world, config and seed
    at : where it stands on the axis of the curve, if the comparison has one
    """

    name: str
    changes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    given: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    at: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lived:
    """A society at its end.

    ``library`` has the views of the last step taken in, ``recorder`` the success of every step's talk.
    """

    society: Society
    library: Library
    recorder: Recorder


Look = Callable[[Lived], Mapping[str, float]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """What is compared, and how.

    Attributes
    ----------
    question : what is asked; the heading of the page
    conditions : at least two, with names of their own; the first is the baseline
    measure : figures of a society at its end; nan where one does not apply
    figures : by name what each figure is, as it can begin a sentence: "Efficiency of the library"
    answers : names of the figures that answer the question, few
    society : the class of the societies; one of your own can note what happens on the way
    world : makes the world of a life, by default the one that ``--world`` names as it is
    curve : what the axis is on which conditions have a place (``at``)
    conclude : plain sentences made from what was found, to stand first
    """

    question: str
    conditions: Sequence[Condition]
    measure: Look
    figures: Mapping[str, str]
    answers: Sequence[str]
    society: type[Society] = Society
    world: Callable[[RunConfig], World] = make_world
    curve: str = ""
    conclude: Callable[[Compared], Sequence[str]] | None = None

    def __post_init__(self) -> None:
        names = [condition.name for condition in self.conditions]
        if len(names) < 2 or len(set(names)) < len(names):
            raise ValueError(f"a comparison needs two conditions or more with names of their own, not {names}")
        if strange := set(self.answers) - set(self.figures):
            raise ValueError(f"{min(strange)} is to answer the question, but is none of the figures")

    @property
    def societies(self) -> dict[str, Callable[..., Society]]:
        """What makes the societies of each condition, out of world, config and seed."""
        return {some.name: functools.partial(self.society, **some.given) for some in self.conditions}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ComparisonConfig:
    """In which world to compare, and how thoroughly."""

    world: str = "digits"
    """digits, planted, or a .npz, .csv or .parquet file of objects x features."""
    agents: Annotated[
        int | None, arg(metavar="INT", help_behavior_hint=f"(default: {AGENTS}, with --quick {QUICK_AGENTS})")
    ] = None
    """Size of every society."""
    steps: Annotated[
        int | None, arg(metavar="INT", help_behavior_hint=f"(default: {STEPS}, with --quick {QUICK_STEPS})")
    ] = None
    """How long every society lives."""
    seeds: Annotated[
        int | None, arg(metavar="INT", help_behavior_hint=f"(default: {SEEDS}, with --quick {QUICK_SEEDS})")
    ] = None
    """How many societies live under each condition."""
    seed: int = 0
    """The first of their seeds."""
    out: Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="(default: runs/ and the experiment's name)")] = (
        None
    )
    """Directory for the results."""
    resume: bool = False
    """Go on with what DIR holds."""
    quick: bool = False
    """Small, short, and few: to see that it works."""

    def __post_init__(self) -> None:
        command_line.at_least(self, agents=2, steps=1)
        if self.seeds is not None and self.seeds < 2:
            raise InputError(f"seeds is {self.seeds}, but it must be at least 2: the spread between seeds is reported")
        command_line.at_least(self, seed=0)

    @property
    def chosen_seeds(self) -> range:
        """The seeds to live with."""
        return range(self.seed, self.seed + (self.seeds or (QUICK_SEEDS if self.quick else SEEDS)))


def main(comparison: Comparison, args: Sequence[str] | None = None, *, prog: str) -> int:
    """The command line of an experiment; returns the exit status.

    Raises
    ------
    InputError
        If something on it is wrong, before anybody has lived.
    """
    config = command_line.parse(ComparisonConfig, args, prog=prog, description=comparison.question)
    out = config.out or Path("runs") / prog
    started = time.perf_counter()
    found, lives, work = gone_through(comparison, config, out)
    said = write(comparison, found, lives, out, work=work)
    print(compared.table(found, found.answers))
    print("\n" + "\n".join(said))
    print(ending(found, out, seconds=time.perf_counter() - started))
    return 0


def gone_through(
    comparison: Comparison, config: ComparisonConfig, out: Path
) -> tuple[Compared, dict[str, RunConfig], dict[str, Any]]:
    """Live what is asked for, or what is left of it: what was found, how each condition lived, what the lives are of.

    Raises
    ------
    InputError
        If a condition cannot be lived, or the directory not be used, before anybody has lived.
    """
    lives = lives_of(comparison, config)
    check_lives(comparison, lives)
    work = work_of(comparison, lives)
    kept = run_files.claim_for_pieces(out, work, pieces=PIECES, results=(RESULTS, PAGE), resume=config.resume)
    return compare(comparison, lives, config.chosen_seeds, kept=kept, resume=config.resume), lives, work


def write(
    comparison: Comparison, found: Compared, lives: Mapping[str, RunConfig], out: Path, *, work: Mapping[str, Any]
) -> list[str]:
    """Leave results.json and comparison.html in the directory; all sentences of the answer."""
    from experiments import comparison_page  # needs plotly, see `run_files.claim`

    said = [] if comparison.conclude is None else list(comparison.conclude(found))
    each = compared.sentences(found)
    out_file.write(out / RESULTS, compared.as_json(found) | {"answer": [*said, *each], "of": work})
    given = {some.name: some.given for some in comparison.conditions}
    atomic_write(out / PAGE, comparison_page.render(found, said or each, lives, given=given).encode())
    return [*said, *each]


def ending(found: Compared, out: Path, *, seconds: float) -> str:
    """What a program says last."""
    return f"\n{len(found.found)} x {len(found.seeds)} lives in {seconds:.0f} s\nPage: {out / PAGE}"


def lives_of(comparison: Comparison, config: ComparisonConfig) -> dict[str, RunConfig]:
    """How a society lives under each condition: as usual in such a world, but in the conditions' numbers."""
    usual: dict[str, Any] = {
        **run_society.life_in(config.world),
        "world": config.world,
        "agents": config.agents or (QUICK_AGENTS if config.quick else AGENTS),
        "steps": config.steps or (QUICK_STEPS if config.quick else STEPS),
    }
    if config.quick:
        usual |= QUICK | (QUICK_PLANTED if config.world == "planted" else {})
    return {some.name: RunConfig(**(usual | dict(some.changes))) for some in comparison.conditions}


def check_lives(comparison: Comparison, lives: Mapping[str, RunConfig]) -> None:
    """See that there is such a world, and that every condition can be lived in it.

    Raises
    ------
    InputError
        If not.
    """
    for name, config in lives.items():
        try:
            comparison.societies[name](comparison.world(config), society_config(config), seed=config.seed)
        except InputError as error:
            if name == next(iter(lives)):  # nothing that this condition changes is wrong
                raise
            raise InputError(f"{error} (under {name})") from error


def work_of(comparison: Comparison, lives: Mapping[str, RunConfig]) -> dict[str, Any]:
    """What lives are of: those of other conditions, or of another version of this program, are not taken for them.

    Seeds may be added.
    """
    usual = run_files.config_fields(next(iter(lives.values())))
    work: dict[str, Any] = {"measure": _name(comparison.measure), "society": comparison.society.__qualname__}
    work |= {"its world": _name(comparison.world), "program": program()}
    if (digest := run_society.digest_of(usual["world"])) is not None:
        work["its file"] = digest
    work |= {name: value for name, value in usual.items() if name != "seed"}
    work |= {f"under {some.name}": {**some.changes, **some.given} for some in comparison.conditions}
    return work


def compare(
    comparison: Comparison,
    lives: Mapping[str, RunConfig],
    seeds: Sequence[int],
    *,
    kept: Kept | None = None,
    resume: bool = False,
) -> Compared:
    """Live every condition with every seed, side by side, and gather the figures."""
    measures = {
        name: functools.partial(
            life, config=config, measure=comparison.measure, society=comparison.societies[name], world=comparison.world
        )
        for name, config in lives.items()
    }
    found = Compared(
        question=comparison.question,
        found=over_seeds(measures, seeds, kept=kept, resume=resume),
        seeds=tuple(seeds),
        figures=comparison.figures,
        answers=comparison.answers,
        curve=comparison.curve,
        at={some.name: some.at for some in comparison.conditions if some.at is not None},
    )
    there = {figure: what for figure, what in found.figures.items() if found.known(figure)}
    return dataclasses.replace(found, figures=there, answers=[figure for figure in found.answers if figure in there])


def life(
    seed: int,
    *,
    config: RunConfig,
    measure: Look,
    society: Callable[..., Society] = Society,
    world: Callable[[RunConfig], World] = make_world,
) -> Figures:
    """One society, from its founders to its end, and its figures; nan for those that are not finite."""
    # As in the tick: the last digits of what is measured must not hang on the number of cores.
    with threadpool_limits(limits=1, user_api="blas"):
        found = measure(lived(dataclasses.replace(config, seed=seed), society=society, world=world))
    return {name: float(figure) if math.isfinite(figure) else math.nan for name, figure in found.items()}


def lived(
    config: RunConfig,
    *,
    society: Callable[..., Society] = Society,
    world: Callable[[RunConfig], World] = make_world,
) -> Lived:
    """A society that has lived from its founders to its end."""
    assert config.steps is not None
    living, recorder = society(world(config), society_config(config), seed=config.seed), Recorder()
    while living.steps < config.steps:
        living.step()
        recorder.heard(living)
    return Lived(society=living, library=closing_library(living), recorder=recorder)


def _name(function: Callable[..., Any]) -> str:
    """What a function is called, the same from one process to the next; of a partial one, with what it was given."""
    if isinstance(function, functools.partial):
        given = [*map(repr, function.args), *(f"{key}={value!r}" for key, value in sorted(function.keywords.items()))]
        return f"{_name(function.func)}({', '.join(given)})"
    return f"{function.__module__}.{function.__qualname__}"
