"""What a society is made of and how it lives: one frozen dataclass, checked where it is made."""

from __future__ import annotations

import dataclasses
from typing import Literal

from agents.errors import InputError

MAX_DIMENSIONS = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class SocietyConfig:
    """Every knob of the society. Intervals are in steps, and 0 switches the phase off."""

    agents: int = 200
    """Size of the population; births and deaths keep it."""
    dimensions: int = 8
    """Dimensions in a view, at most 8."""
    sensors: int | None = None
    """Features an agent senses; by default a quarter of the world's, at most 48 and at least 8, or 24 of objects found
    in images."""
    memory: int = 192
    """Objects an agent remembers (a reservoir of all it has seen)."""
    childhood: int = 32
    """Objects a newborn has seen."""
    exemplars: int = 4
    """Raw dimensions of a newborn of the first generation: likenesses to itself and to others it has seen."""
    vocabulary: int = 4
    """Words that a dimension can have at a time."""
    activation: Literal["synchronous", "sequential"] = "synchronous"
    """Everybody at once on the state at the start of the step, or one after the other in random order (Mesa's
    shuffle_do; slower, and a different model)."""

    game: Literal["language", "gesture"] = "language"
    """Words and gestures, or gestures alone."""
    candidates: int = 4
    """Objects in a scene, one of which is the topic."""
    common_ground: int = 8
    """Probe objects pointed at, beside the scene, to show what a dimension orders how."""
    audience: bool = True
    """Speakers prefer dimensions whose word the hearer knows."""

    rate_up: float = 0.05
    """Learning rate of superiority on feedback above it."""
    rate_down: float = 0.0125
    """Learning rate of superiority on feedback below it."""
    superiority: Literal["expectile", "quantile"] = "expectile"
    """What superiority settles on: the expectile of what is felt (steps in proportion to the surprise), or its quantile
    (steps of one size, whatever the surprise)."""
    reward_talk: float = 0.0
    """Weight of communicative success in what superiority feeds on."""
    reward_comparison: float = 1.0
    """Weight of whose body stands higher."""
    reward_prediction: float = 0.0
    """Weight of the share of the topic's variance that the dimension explains."""
    self_attribution: float = 1.0
    """How much of what is due to others and to luck an agent credits to itself: 1 is everything, 0 nothing."""
    bias_gain: float = 1.0
    """Self-serving bias: multiplies the own share of gains."""
    bias_loss: float = 1.0
    """Self-serving bias: multiplies the own share of losses."""

    discovery: Literal["factor", "pca", "exemplar", "random", "embedding", "mixed"] = "factor"
    """Where new dimensions come from: common factors of what is remembered (minimum residual, varimax), its principal
    components, likenesses to remembered objects, random directions, coordinates of the world's embedding; or, mixed,
    one of these for each agent and discovery."""
    attention: float = 0.1
    """Share of the sensors, those that the view explains least, turned to other features before each discovery."""
    glimpses: int = 4
    """Features glimpsed at for each sensor that is to turn; it turns to one that the view explains best."""
    dimension_floor: float = 0.25
    """Superiority under which a dimension is dropped."""
    turnover: float = 0.05
    """Share of the population that dies at each selection."""
    selection: Literal["tournament", "moran"] = "tournament"
    """Who dies and who has offspring: the least fit, and winners of tournaments among those who are left; or (the Moran
    process) anybody, and everybody in proportion to fitness."""
    tournament: int = 3
    """Size of the tournament whose winner has offspring."""
    mutation: float = 0.1
    """Share of an offspring's sensors drawn anew, and the chance that it is another body."""

    perceive_interval: int = 1
    """Steps from one look at the scene to the next; 0 is never, as for all phases."""
    talk_interval: int = 1
    """Steps from one game of words or gestures to the next."""
    compare_interval: int = 1
    """Steps from one comparison of bodies to the next (where there is talk)."""
    attribute_interval: int = 1
    """Steps from one split of outcomes between self, others and luck to the next (where there is talk)."""
    feel_interval: int = 1
    """Steps from one update of superiority to the next (where there is talk)."""
    discovery_interval: int = 10
    """Steps from one discovery of dimensions to the next."""
    selection_interval: int = 10
    """Steps from one selection, of dimensions and of agents, to the next."""
    merge_interval: int = 25
    """Steps from one merge of all views into the library to the next."""
    unify: Literal["gcca", "clustering", "covariance"] = "gcca"
    """How views are unified: by the spaces they span, dimension by dimension, or by the covariances they imply."""
    concepts: Literal["shared", "common"] = "shared"
    """What the library counts as a concept: every direction that views share beyond chance, or only what several
    features have in common (for gcca)."""
    library_word: bool = True
    """Whether agents take the library's word (name and direction) for their dimensions at each merge."""

    def __post_init__(self) -> None:
        if not 1 <= self.dimensions <= MAX_DIMENSIONS:
            raise InputError(f"dimensions is {self.dimensions}, but a view holds 1 to {MAX_DIMENSIONS} dimensions")
        for name, least in (
            ("agents", 2),
            ("memory", 2),
            ("childhood", 0),
            ("vocabulary", 1),
            ("candidates", 1),
            ("common_ground", 0),
            ("glimpses", 1),
            ("tournament", 1),
        ):
            self._at_least(name, least)
        for field in dataclasses.fields(self):
            if field.name.endswith("_interval"):
                self._at_least(field.name, 0)
        if self.sensors is not None:
            self._at_least("sensors", 1)
        if not 0 <= self.exemplars <= self.dimensions:
            raise InputError(f"exemplars is {self.exemplars}, but it must be from 0 to dimensions ({self.dimensions})")
        for name in (
            "rate_up",
            "rate_down",
            "reward_talk",
            "reward_comparison",
            "reward_prediction",
            "self_attribution",
            "attention",
            "dimension_floor",
            "turnover",
            "mutation",
        ):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is {getattr(self, name)}, but it must be from 0 to 1")
        for name in ("bias_gain", "bias_loss"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise InputError(f"{name} is {getattr(self, name)}, but it must be a finite number of at least 0")
        for name, choices in (
            ("activation", ("synchronous", "sequential")),
            ("game", ("language", "gesture")),
            ("superiority", ("expectile", "quantile")),
            ("discovery", ("factor", "pca", "exemplar", "random", "embedding", "mixed")),
            ("selection", ("tournament", "moran")),
            ("unify", ("gcca", "clustering", "covariance")),
            ("concepts", ("shared", "common")),
        ):
            if getattr(self, name) not in choices:
                raise InputError(f"{name} is {getattr(self, name)!r}, but it must be one of {', '.join(choices)}")

        if self.concepts == "common" and self.unify != "gcca":
            raise InputError(
                f"concepts is 'common', but unify is {self.unify}, which counts in a way of its own; leave it out, or "
                "take unify gcca"
            )
        if self.reward_prediction > 0 and self.compare_interval == 0:
            raise InputError(
                f"reward_prediction is {self.reward_prediction}, but compare_interval 0 switches off the phase that "
                "judges predictions; give a compare_interval of at least 1"
            )

    def _at_least(self, name: str, least: int) -> None:
        value = getattr(self, name)
        if value < least:
            raise InputError(f"{name} is {value}, but it must be at least {least}")

    @property
    def tau(self) -> float:
        """Which expectile or quantile superiority settles on, a+ / (a+ + a-)."""
        total = self.rate_up + self.rate_down
        return self.rate_up / total if total else 0.5

    @property
    def reward_weights(self) -> dict[str, float]:
        """The weight of each source of feedback, adding up to 1 (all 0 where nothing is felt)."""
        weights = {
            "talk": self.reward_talk,
            "comparison": self.reward_comparison,
            "prediction": self.reward_prediction,
        }
        total = sum(weights.values())
        return {source: weight / total if total else 0.0 for source, weight in weights.items()}
