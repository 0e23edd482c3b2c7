"""Phases 4 to 6, compare, attribute and feel, in tensors."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from agents.attribution import Ledger
from agents.config import SocietyConfig
from agents.superiority import ACQUAINTANCES, AS_EXPECTED, LEVEL
from agents.tensors.columns import Columns, heights, in_parts, sense
from agents.tensors.drawing import Encounters
from agents.tensors.talking import Spoken


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lived:
    """`agents.meeting.Experience` in tensors, of all 2B participants.

    Attributes
    ----------
    rows, partners : int64 [2B]
    places : int64 [2B], where the dimension used is in flat columns
    used : bool [2B], whether there was one; without, outcomes are anything and nothing comes of them
    topic : int64 [2B]
    outcomes, felt : float64 [2B] by source
    bodies : float32 [2B, 2], None before comparison
    """

    rows: Tensor
    partners: Tensor
    places: Tensor
    used: Tensor
    topic: Tensor
    outcomes: dict[str, Tensor]
    bodies: Tensor | None = None
    felt: dict[str, Tensor] | None = None

    @classmethod
    def of(cls, columns: Columns, met: Encounters, spoken: Spoken) -> Lived:
        """What a meeting was to everybody in it."""
        slots = torch.cat([spoken.speaker_slot, spoken.hearer_slot])
        topic = met.scene.gather(1, met.topic[:, None])[:, 0]
        return cls(
            rows=met.participants,
            partners=torch.cat([met.hearer, met.speaker]),
            places=columns.at(met.participants, slots),
            used=slots >= 0,
            topic=torch.cat([topic, topic]),
            outcomes={"talk": torch.cat([spoken.success, spoken.success]).double()},
        )


def compare(columns: Columns, features: Tensor, lived: Lived, config: SocietyConfig) -> Lived:
    """`agents.superiority.compare`."""
    bodies = body_heights(columns, features, lived)
    outcomes = dict(lived.outcomes, comparison=higher(bodies[:, 0], bodies[:, 1]).double())
    if config.reward_prediction > 0:
        outcomes["prediction"] = explained(columns, features, lived)
    return dataclasses.replace(lived, outcomes=outcomes, bodies=bodies)


def body_heights(columns: Columns, features: Tensor, lived: Lived) -> Tensor:
    """`agents.superiority.body_heights`: float32 [2B, 2]."""
    objects = torch.stack([columns.body[lived.rows], columns.body[lived.partners]], dim=1).long()

    def part(some: slice) -> tuple[Tensor, ...]:
        return (heights(columns, features, lived.rows[some], lived.places[some], objects[some]),)

    return in_parts(part, len(objects), 20 * columns.n_sensors, columns.device)[0]


def explained(columns: Columns, features: Tensor, lived: Lived) -> Tensor:
    """The share of the topic's sensed variance that the dimension used explains: float64 [2B]."""

    def part(some: slice) -> tuple[Tensor, ...]:
        sensed = sense(columns, features, lived.rows[some], lived.topic[some, None])[:, 0].double()
        level = (sensed * columns.flat("loading")[lived.places[some]]).sum(dim=1)
        total = (sensed**2).sum(dim=1)
        return (torch.where(total > 0, level**2 / total, 0.0).clamp(max=1.0),)

    return in_parts(part, len(lived.rows), 32 * columns.n_sensors, columns.device)[0]


def higher(height: Tensor, other: Tensor) -> Tensor:
    """`agents.superiority.higher`: 1 where higher, 0 where lower, 1/2 where level (float32, shapes broadcast)."""
    difference = height - other
    return torch.where(difference.abs() <= LEVEL, 0.5, (difference > 0).float())


def expected_standings(columns: Columns, features: Tensor, lived: Lived) -> Tensor:
    """`agents.attribution.expected_standings`: float64 [2B, 2], among the acquaintances of each."""
    bodies = body_heights(columns, features, lived) if lived.bodies is None else lived.bodies
    seen = columns.seen[:, :ACQUAINTANCES]

    def part(some: slice) -> tuple[Tensor, ...]:
        memory = seen[lived.rows[some]]
        there = memory >= 0
        height = heights(columns, features, lived.rows[some], lived.places[some], memory.clamp(min=0).long())
        below = (higher(bodies[some, :, None], height[:, None, :]) * there[:, None, :]).sum(dim=2).double()
        count = there.sum(dim=1)[:, None]
        return (torch.where(count > 0, below / count, 0.5),)

    each = seen.shape[1] * (4 * columns.n_sensors + 48) + 12 * columns.n_sensors
    return in_parts(part, len(bodies), each, columns.device)[0]


def attribute(columns: Columns, features: Tensor, lived: Lived, config: SocietyConfig, ledger: Ledger) -> Lived:
    """`agents.attribution.attribute`. The device is waited for, as sums go to the ledger."""
    weights, felt = config.reward_weights, dict(lived.outcomes)
    outcome = torch.zeros_like(lived.outcomes["talk"])
    own, others = outcome, outcome
    if weights["talk"] > 0:
        y, usual = lived.outcomes["talk"], columns.success[lived.rows].double()
        with_dimension = columns.flat("understood")[lived.places].double()
        everybody = columns.success.mean(dtype=torch.float64)
        mine, theirs = with_dimension - usual, columns.success[lived.partners].double() - everybody
        felt["talk"] = felt_reward(usual, mine, y - usual - mine, config)
        outcome, own, others = (
            total + weights["talk"] * part for total, part in ((outcome, y), (own, mine), (others, theirs))
        )
    compared = "comparison" in lived.outcomes
    if weights["comparison"] > 0 and compared:
        y = lived.outcomes["comparison"]
        p, q = expected_standings(columns, features, lived).unbind(dim=1)
        mine, theirs = ((p - 0.5) + (y - (1.0 - q))) / 2, (((1.0 - q) - 0.5) + (y - p)) / 2
        felt["comparison"] = felt_reward(0.5, mine, theirs, config)
        outcome = outcome + weights["comparison"] * y
        own = own + weights["comparison"] * (p - 0.5)
        others = others + weights["comparison"] * (0.5 - q)
    if compared or not (weights["comparison"] > 0 and config.compare_interval > 0):
        enter(ledger, torch.stack([outcome, own, others]), lived.used)
    return dataclasses.replace(lived, felt=felt)


def felt_reward(expectation: Tensor | float, own: Tensor, rest: Tensor, config: SocietyConfig) -> Tensor:
    """`agents.attribution.felt_reward`, of the own part and ``rest``, which is others' and luck: float64 [2B]."""
    own = torch.where(own > 0, config.bias_gain * own, config.bias_loss * own)
    return (expectation + own + config.self_attribution * rest).clamp(0.0, 1.0)


def enter(ledger: Ledger, entries: Tensor, used: Tensor) -> None:
    """`agents.attribution.Ledger.add`, of those of ``entries [3, n]`` for which ``used [n]`` is true."""
    entries = torch.where(used, entries, 0.0)
    # Not by a matrix product: one of three rows would be left to a small part of a GPU.
    squares = (entries[:, None] * entries[None]).sum(dim=2)
    told = torch.cat([used.sum().double()[None], entries.sum(dim=1), squares.flatten()]).cpu().numpy()
    ledger.count += float(told[0])
    ledger.total += told[1:4]
    ledger.squares += told[4:].reshape(3, 3)


def feel(columns: Columns, lived: Lived, config: SocietyConfig) -> None:
    """`agents.superiority.feel`."""
    felt, weights = lived.outcomes if lived.felt is None else lived.felt, config.reward_weights
    fed = [source for source in felt if weights[source] > 0]
    score, contests = columns.flat("score"), columns.flat("contests")
    for source in fed:
        rates = config.rate_up * weights[source], config.rate_down * weights[source]
        before = score[lived.places]
        after = updated(before, felt[source], *rates, by_steps=config.superiority == "quantile")
        score[lived.places] = torch.where(lived.used, after, before)
    if fed:
        contests[lived.places] += lived.used.to(contests.dtype)


def updated(score: Tensor, reward: Tensor, rate_up: float, rate_down: float, *, by_steps: bool) -> Tensor:
    """`agents.superiority.updated`; ``by_steps`` is the quantile. float32 [n]."""
    before = score.double()
    error = reward - before
    if by_steps:
        step = torch.where(error > 0, rate_up, -rate_down * torch.ones_like(error))
        return (before + torch.where(error.abs() > AS_EXPECTED, step, 0.0)).clamp(0.0, 1.0).float()
    return (before + torch.where(error > 0, rate_up * error, rate_down * error)).float()
