"""How agents of eight dimensions come to understand each other: private dimensions, shared names, common ground.

100 agents have each factor-analysed 400 objects of their own (see `planted_views`), on a planted world with 32
factors. They play the society's own language game on scenes of objects, as they are: nobody learns from it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from agents.communication import Talk
from agents.config import SocietyConfig
from agents.consult import new_library, take_the_librarys_word
from agents.language import conversations
from agents.population import ABSTRACT, NOTHING, Population, found
from agents.society import Society
from agents.world import World, planted
from experiments.limits.planted_views import planted_views
from experiments.limits.rows import EARLIER, TARGET, Law, Limit, Relation, Row, judged, law, sampling_error
from experiments.pieces import Figures, Found, Measure
from knowledge_graph.views import Views

GROUP = "talk: 100 agents, each with 8 dimensions of 32"
LIVING = "talk: a society that lives, 100 agents, 300 steps"

AGENTS, FACTORS, SENSORS = 100, 32, 48
GAMES = 6_000
CANDIDATES = (2, 4, 8, 16)
ATTENTION = {"usual": SocietyConfig().glimpses, "attentive": 8}
"""Glimpses before a sensor turns to another feature."""

UNEVEN = 0.02
"""What agents who found some concepts more often than others add or take away."""

POINTED = (0, 2, 4, 8, 16, 32, 64)
"""Objects of common ground that are pointed at in the gesture game."""


def measures(*, quick: bool) -> dict[str, Measure]:
    """What has to be measured; ``quick`` leaves out the societies that live."""
    found: dict[str, Measure] = {GROUP: strangers}
    return found if quick else {LIVING: society} | found


def rows(found: Mapping[str, Found]) -> Iterator[Row | Law]:
    """Every row and curve of talk."""
    yield from stranger_rows(found[GROUP])
    if LIVING in found:
        yield from society_rows(found[LIVING])


# -- measuring --------------------------------------------------------------------------------------------------------


def strangers(seed: int) -> Figures:
    """Agents who have never met: without and with names from the library, and by pointing."""
    world = planted(seed=seed)
    views = planted_views(world, seed=seed, agents=AGENTS, sensing="correlates", sensors=SENSORS)
    config = SocietyConfig(agents=AGENTS, sensors=SENSORS, exemplars=0)
    people = holding(views, world, config, seed=seed)
    speech = Speech(people=people, world=world, config=config, seed=seed)
    named_by_place(people)
    found: Figures = {"private": speech.success(audience=False)}
    library = new_library(world, config)
    take_the_librarys_word(people, np.arange(AGENTS), library.merge(views, step=1, n_words=0))
    found["merged"] = speech.success(audience=False)
    found["merged, known"] = float(speech.games(audience=False).known.mean())
    for candidates in CANDIDATES:
        found[f"common ground, {candidates}"] = speech.success(candidates=candidates)
        found[f"unseen, {candidates}"] = speech.success(candidates=candidates, unseen=True)
    for pointed in POINTED:
        found[f"gestures, {pointed}"] = speech.success(game="gesture", common_ground=pointed)
    known = np.stack([(people.concept == concept).any(axis=1) for concept in range(len(library))]).astype(np.float64)
    pairs = known.T @ known
    found["strangers"] = float((pairs[~np.eye(AGENTS, dtype=bool)] == 0).mean())
    found["known"] = speech.success(audience=False, of_known=True)
    twins = Population(**{name: np.repeat(column[:1], AGENTS, axis=0) for name, column in people.columns().items()})
    found["twins"] = Speech(people=twins, world=world, config=config, seed=seed).success()
    return found


def society(seed: int) -> Figures:
    """Societies that live 300 steps, of more and less attention: before the first merge, and at the end."""
    found: Figures = {}
    world = planted(seed=seed)
    for name, glimpses in ATTENTION.items():
        config = SocietyConfig(agents=AGENTS, glimpses=glimpses)
        living = Society(world, config, seed=seed)
        while living.steps < 300:
            if living.steps == config.merge_interval - 1:
                speech = Speech(people=living.population, world=world, config=config, seed=seed)
                found[f"{name} before"] = speech.success()
            living.step()
        speech = Speech(people=living.population, world=world, config=config, seed=seed)
        found |= {f"{name} after, {candidates}": speech.success(candidates=candidates) for candidates in CANDIDATES}
        found[f"{name} K"] = float(len(living.library))
    return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class Speech:
    """Agents in a world, and how often they understand each other."""

    people: Population
    world: World
    config: SocietyConfig
    seed: int

    def success(self, *, of_known: bool = False, **setting: Any) -> float:
        """Share of `games` understood; ``of_known``: of those alone in which the hearer knows the word."""
        games = self.games(**setting)
        return float(games.success[games.known].mean() if of_known else games.success.mean())

    def games(self, *, candidates: int = 4, unseen: bool = False, **changes: Any) -> Talk:
        """What comes of `GAMES` on scenes of training objects, or of such that nobody has seen."""
        config = dataclasses.replace(self.config, **changes)
        objects = self.world.held_out if unseen else self.world.train
        rng = np.random.default_rng([self.seed, 0x7A1C])
        return conversations(self.people, self.world, config, objects, rng, candidates=candidates, games=GAMES)


def holding(views: Views, world: World, config: SocietyConfig, *, seed: int) -> Population:
    """Agents who hold these views, and have no words yet."""
    assert views.sensor is not None
    assert views.loading is not None
    people = found(world, config, np.random.default_rng(seed))
    people.sensor[:] = views.sensor
    for slot in range(views.held.shape[1]):
        rows = np.flatnonzero(views.held[:, slot])
        slots = np.full(len(rows), slot)
        people.install(rows, slots, loading=views.loading[rows, slot], kind=ABSTRACT, exemplar=NOTHING, step=0)
    return people


def named_by_place(people: Population) -> None:
    """Everybody calls its first dimension by the first word, and so on: the same words, for anything."""
    people.words[:, :, 0] = np.where(people.held, np.arange(people.n_slots), NOTHING)


# -- judging ----------------------------------------------------------------------------------------------------------


def stranger_rows(found: Found) -> Iterator[Row | Law]:
    """What `strangers` gave."""
    guess, nobody = 1 / 4, math.comb(FACTORS - 8, 8) / math.comb(FACTORS, 8)
    of_one = 8 / FACTORS
    knowing = of_one * float(found["known"].mean())
    words = "a dimension that both have a name for"
    limits: list[Limit] = [
        ("twins", "agents with one and the same view", "nothing is lost", "exactly", 1.0),
        ("private", "private dimensions, the same words for anything", TARGET, "at most", 0.30),
        ("private", "private dimensions beside guessing", "1 of 4 candidates", "about", guess),
        ("known", "the best dimension of eight, if the other has it too", EARLIER, "about", 0.987),
        ("strangers", "pairs without a concept in common", "C(24, 8) / C(32, 8)", "about", nobody),
        ("merged, known", "names from the library, any dimension: the other has it too", "8 of 32", "about", of_one),
        ("merged", "names from the library, any dimension", "8 of 32 x understood if known", "about", knowing),
        ("common ground, 4", f"{words}, 4 candidates", TARGET, "at least", 0.78),
        ("common ground, 8", f"{words}, 8 candidates", TARGET, "at least", 0.58),
        ("unseen", "the same, of objects that nobody has seen: difference", "concepts generalise", "about", 0.0),
        ("gestures, 0", "gestures without anything to point at", "1 of 4 candidates", "about", guess),
        ("gestures, 64", "gestures at 64 objects", "8 of 32 x .. + guessing", "about", knowing + (1 - of_one) * guess),
    ]
    unseen = found["unseen, 4"] - found["common ground, 4"]
    yield from (_row(found | {"unseen": unseen}, GROUP, limit) for limit in limits)
    yield law(
        [found[f"common ground, {candidates}"] for candidates in CANDIDATES],
        at=CANDIDATES,
        expected=tuple(1 / candidates for candidates in CANDIDATES),
        group=GROUP,
        name="understood, by number of candidates",
        source="guessing",
        x="candidates",
        y="share understood",
        note="Names from the library, and a dimension that both know; the line is guessing.",
    )
    yield law(
        [found[f"gestures, {pointed}"] for pointed in POINTED],
        at=POINTED,
        expected=(knowing + (1 - of_one) * guess,) * len(POINTED),
        group=GROUP,
        name="understood without words, by number of objects pointed at",
        source="8 of 32 dimensions in common, guessing at the rest",
        x="objects pointed at",
        y="share understood",
        note="Pointing shows which dimension is meant; whether the other has it is another matter.",
    )


def society_rows(found: Found) -> Iterator[Row | Law]:
    """What `society` gave."""
    limits: list[Limit] = []
    for name, glimpses in ATTENTION.items():
        relation: Relation = "at least" if name == "attentive" else "report"
        what = f"{glimpses} glimpses"
        limits += [
            (f"{name} before", f"{what}: before the first merge, 4 candidates", TARGET, "at most", 0.30),
            (f"{name} after, 4", f"{what}: after the last merge, 4 candidates", TARGET, relation, 0.78),
            (f"{name} after, 8", f"{what}: after the last merge, 8 candidates", TARGET, relation, 0.58),
            (f"{name} K", f"{what}: concepts in the library", "32 planted", "report", FACTORS),
        ]
    yield from (_row(found, LIVING, limit) for limit in limits)


def _row(found: Found, group: str, limit: Limit) -> Row:
    """What is ``about`` a figure may miss it by chance, and because agents are not dealt their concepts evenly.

    Societies that live differ more than agents who do not: their targets may be missed by chance as well.
    """
    key, name, source, relation, expected = limit
    tolerance = sampling_error(found[key], widest=0.01)
    if group == GROUP:
        tolerance = tolerance + UNEVEN if relation == "about" else 0.0
    return judged(
        found[key], group=group, name=name, source=source, relation=relation, expected=expected, tolerance=tolerance
    )
