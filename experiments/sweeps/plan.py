"""What a sweep is to run, read from a small TOML file:

    replications = 4                # societies for each combination
    seed = 0                        # that their seeds are made from
    figures = ["library.mcc"]       # that are drawn and printed; by default the usual ones

    [fixed]                         # the same for all runs
    world = "planted"

    [sweep]                         # every value with every other
    agents = [25, 50, 100]
    attention = { from = 0.0, to = 0.2, number = 5 }

    [[zip]]                         # values that go together, the first with the first
    sensors = [16, 32]
    memory = [96, 192]

Any field of `experiments.run_society.RunConfig` can be fixed, swept or zipped, but for those that `NOT_HERE` names.
"""

from __future__ import annotations

import dataclasses
import difflib
import itertools
import json
import math
import os
import tomllib
import typing
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from agents.archive import first_sentence
from agents.errors import InputError
from experiments.run_society import DEFAULT_STEPS, WORLDS, RunConfig, usual

NOT_HERE = {
    "seed": "every run has a seed of its own, made from the seed at the top of the file",
    "out": "what comes of all runs goes to the directory of the sweep",
    "resume": "a sweep is gone on with by --resume on its command line",
    "interactions": "a sweep keeps no conversations",
    "device": "a sweep's table is the same wherever it is made",
    "checkpoint_interval": "a run of a sweep is kept when it is finished",
}
"""Fields of a run that are none of a sweep's, and why."""

PARTS = ("replications", "seed", "figures", "fixed", "sweep", "zip")
RANGE = ("from", "to", "number")
KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
MOST_RUNS = 100_000
MOST_BITS = 64
"""Whole numbers of TOML are promised to be no longer."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Axis:
    """Fields that are swept together (one, or several that are zipped), and their values, a tuple for each place."""

    names: tuple[str, ...]
    values: tuple[tuple[Any, ...], ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """A sweep: what all runs have in common, what is swept, and how many societies live with each combination."""

    fixed: Mapping[str, Any]
    axes: Sequence[Axis]
    replications: int
    seed: int = 0
    figures: Sequence[str] = ()

    @property
    def parameters(self) -> list[str]:
        """Names of all fields that are swept."""
        return [name for axis in self.axes for name in axis.names]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Combination:
    """One value of every parameter; ``number`` counts from 1, the last axis running fastest."""

    number: int
    places: tuple[int, ...]
    settings: Mapping[str, Any]
    config: RunConfig

    @property
    def name(self) -> str:
        """In a line, and unlike that of any other combination: agents=25, attention=0.1."""
        return named(self.settings)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """One society to live; ``replication`` counts from 1."""

    combination: Combination
    replication: int
    seed: int

    @property
    def key(self) -> tuple[str, int]:
        """What the run is known by: its combination and its seed, which says the replication."""
        return self.combination.name, self.seed

    @property
    def config(self) -> RunConfig:
        """What to run."""
        return dataclasses.replace(self.combination.config, seed=self.seed)

    def __str__(self) -> str:
        return f"{self.combination.name}, seed {self.seed}"


def named(settings: Mapping[str, Any]) -> str:
    """The name of a combination with these settings."""
    return (
        ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in settings.items()) or "as it is"
    )


def seeds(base: int, number: int) -> list[int]:
    """So many seeds, all different, made from one (`numpy.random.SeedSequence.spawn`); asking for more adds to them."""
    sequence, found = np.random.SeedSequence(base), dict[int, None]()
    while len(found) < number:
        found[int(sequence.spawn(1)[0].generate_state(1)[0])] = None
    return list(found)


def combinations(plan: Plan) -> list[Combination]:
    """All combinations of values, in order.

    Raises
    ------
    InputError
        If a run refuses one of them.
    """
    found: list[Combination] = []
    for places in itertools.product(*(range(len(axis.values)) for axis in plan.axes)):
        settings = {
            name: value
            for axis, place in zip(plan.axes, places, strict=True)
            for name, value in zip(axis.names, axis.values[place], strict=True)
        }
        config = configured({**plan.fixed, **settings}, named(settings) if settings else "")
        found.append(Combination(number=len(found) + 1, places=places, settings=settings, config=config))
    return found


def runs_of(plan: Plan) -> list[Run]:
    """All runs in the order of the table: combination by combination, each with the same seeds."""
    chosen = seeds(plan.seed, plan.replications)
    return [
        Run(combination=combination, replication=place, seed=seed)
        for combination in combinations(plan)
        for place, seed in enumerate(chosen, 1)
    ]


def configured(settings: Mapping[str, Any], name: str = "") -> RunConfig:
    """A run with these settings, in which everything else is as usual in its world.

    Raises
    ------
    InputError
        If the run refuses them; says with which combination, if that has a ``name``.
    """
    world = settings.get("world", "objects")
    # Workers may have another working directory.
    there = world if world in WORLDS else os.path.realpath(world)
    try:
        return dataclasses.replace(usual(there), **({"steps": DEFAULT_STEPS} | dict(settings) | {"world": there}))
    except InputError as error:
        raise InputError(f"{error} (with {name})" if name else str(error)) from error


def read(path: Path) -> Plan:
    """The sweep that a file describes.

    Raises
    ------
    InputError
        With one sentence that names the file and the first thing in it that is wrong.
    """
    try:
        with open(path, "rb") as file:
            contents = tomllib.load(file)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); give the file that describes a sweep") from error
    except (ValueError, RecursionError) as error:  # not TOML, or not even text
        raise InputError(
            f"{path} is not TOML ({first_sentence(error)}); write it as the example in the docs"
        ) from error
    try:
        return plan_of(contents)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def plan_of(contents: Mapping[str, Any]) -> Plan:
    """The sweep that the contents of such a file describe.

    Raises
    ------
    InputError
        With one sentence about the first thing that is wrong.
    """
    if strange := [name for name in contents if name not in PARTS]:
        raise InputError(f"{strange[0]} is no part of a sweep; these are {', '.join(PARTS[:-1])} and {PARTS[-1]}")
    if "replications" not in contents:
        raise InputError("replications is missing; say how many societies are to live with each combination")
    fixed = {name: _value(name, value) for name, value in _table("fixed", contents.get("fixed", {})).items()}
    axes = [_axis({name: values}) for name, values in _table("sweep", contents.get("sweep", {})).items()]
    zipped = contents.get("zip", [])
    if not isinstance(zipped, list):
        raise InputError("zip must be written [[zip]], with a list for each of the fields that go together")
    for group in zipped:
        if len(_table("zip", group)) < 2:
            raise InputError("zip needs two fields or more that go together; put a single one under sweep")
        axes.append(_axis(group))
    plan = Plan(
        fixed=fixed,
        axes=axes,
        replications=_whole("replications", contents["replications"], least=1),
        seed=_whole("seed", contents.get("seed", 0), least=0),
        figures=_figures(contents.get("figures", [])),
    )
    for name, many in ((name, [*fixed, *plan.parameters].count(name)) for name in plan.parameters):
        if many > 1:
            raise InputError(f"{name} is given {many} times; fix it, sweep it, or zip it")
    runs = math.prod(len(axis.values) for axis in axes) * plan.replications
    if runs > MOST_RUNS:
        raise InputError(f"there are {runs:,} runs, but a sweep has at most {MOST_RUNS:,}; sweep fewer values")
    return plan


def _axis(fields: Mapping[str, Any]) -> Axis:
    lists = {name: _values(name, values) for name, values in fields.items()}
    lengths = {name: len(values) for name, values in lists.items()}
    first, *others = lengths
    for name in others:
        if lengths[name] != lengths[first]:
            raise InputError(
                f"zip has {lengths[first]} values of {first}, but {lengths[name]} of {name}; give as many of each"
            )
    values = tuple(zip(*lists.values(), strict=True))
    if twice := [some for place, some in enumerate(values) if some in values[:place]]:
        raise InputError(f"{named(dict(zip(lists, twice[0], strict=True)))} is there twice; give it once")
    return Axis(names=tuple(lists), values=values)


def _values(name: str, values: Any) -> list[Any]:
    """The values of a field: those in a list, or evenly from one number to another."""
    kind = _kind(name)
    if isinstance(values, dict):
        values = _evenly(name, values, whole=kind is int)
    if not isinstance(values, list):
        raise InputError(f"{name} is {_short(values)}, but it must be a list of values; put a single one under fixed")
    if not values:
        raise InputError(f"{name} has no values; give at least one")
    return [_value(name, value) for value in values]


def _evenly(name: str, given: Mapping[str, Any], *, whole: bool) -> list[float]:
    if set(given) != set(RANGE):
        raise InputError(f"{name} must be a list of values, or a table of from, to and number")
    number = _whole(f"number of {name}", given["number"], least=2)
    ends = [given["from"], given["to"]]
    if not all((type(end) is int and not _long(end)) or (type(end) is float and math.isfinite(end)) for end in ends):
        first, last = ("a very long number" if _long(end) else _short(end) for end in ends)
        raise InputError(f"{name} goes from {first} to {last}, but these must be finite numbers of at most 64 bits")
    if number > MOST_RUNS:
        raise InputError(f"number of {name} is {number}, but it must be at most {MOST_RUNS}")
    # In fractions of what is written, so that 0.15 is among the values and not 0.15000000000000002.
    start, end = (Fraction(repr(end)) for end in ends)
    found = [start + (end - start) * place / (number - 1) for place in range(number)]
    if whole and any(value.denominator != 1 for value in found):
        raise InputError(f"{name} goes from {ends[0]} to {ends[1]} in {number} values that are not all whole numbers")
    return [int(value) if whole else float(value) for value in found]


def _value(name: str, value: Any) -> Any:
    kind = _kind(name)
    if kind is float and type(value) is int and not _long(value):
        return float(value)
    if type(value) is not kind or _long(value) or (type(value) is str and "\0" in value):
        raise InputError(f"{name} is {_short(value)}, but it must be {KINDS[kind]}")
    return value


def _long(value: Any) -> bool:
    return type(value) is int and value.bit_length() >= MOST_BITS


def _kind(name: str) -> type:
    """Which kind of value a field of a run has."""
    hints = typing.get_type_hints(RunConfig)
    if name in NOT_HERE:
        raise InputError(f"{name} is given, but {NOT_HERE[name]}; leave it out")
    if name not in hints:
        near = difflib.get_close_matches(name, hints, n=1)
        meant = f"{near[0]} is" if near else "python -m experiments.run_society --help lists them"
        raise InputError(f"{name} is no setting of a run; {meant}")
    types: Iterable[Any] = typing.get_args(hints[name]) or (hints[name],)
    return next((kind for kind in (bool, int, float) if kind in types), str)


def _whole(name: str, value: Any, *, least: int) -> int:
    if type(value) is not int or not least <= value < 2**MOST_BITS:
        raise InputError(f"{name} is {_short(value)}, but it must be a whole number of at least {least}")
    return value


def _table(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{name} is {_short(value)}, but it must be a table of fields and their values")
    return value


def _figures(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise InputError(f'figures is {_short(value)}, but it must be a list of names like "library.efficiency"')
    return tuple(dict.fromkeys(value))


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # Python writes no whole numbers of more than some thousand digits
        return "a very long number"
    return text if len(text) <= 60 else f"{text[:57]}..."
