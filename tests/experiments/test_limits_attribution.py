"""Self-attribution and the covariation cube meet their limits; and each way to break them turns its own rows red."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from agents import attribution as mechanism
from agents import covariation as cube_mechanism
from agents.attribution import Credits
from agents.config import SocietyConfig
from experiments.limits import attribution, covariation
from experiments.limits.rows import Law, Row
from experiments.pieces import Found

JUDGES = {
    attribution.CREDIT: attribution.credit_rows,
    attribution.SHARES: attribution.share_rows,
    attribution.BIAS: attribution.bias_rows,
    covariation.CUBE: covariation.cube_rows,
}
MEASURES = dict(attribution.measures(quick=True)) | dict(covariation.measures(quick=True))

CONTEST, TALK = "contests: own and others among nine players", "talk: own and others among nine players"
CONTEST_SUM = "contests: expectation, own, others and luck make the outcome"
TALK_SUM = "talk: expectation, own, others and luck make the outcome"
CHANCE = "understanding by pure chance: share of luck"
SPLIT = "the split (ledger) with a bias less the one without"
WHOLE = "who takes all for its own doing, unbiased, feels the outcome"
FELT = "mean felt of fair contests, own part alone"


def measured(name: str, seed: int = 0) -> Found:
    return {figure: np.array([value]) for figure, value in MEASURES[name](seed).items()}


@functools.cache
def healthy(name: str) -> Found:
    """What is measured with nothing broken."""
    return measured(name)


def red(name: str, found: Found) -> set[str]:
    """The rows that are red, without what they all say."""
    return {
        row.name.removesuffix(", largest deviation")
        for row in JUDGES[name](found)
        if isinstance(row, Row) and not row.ok
    }


# ---- unbroken


@pytest.mark.parametrize("name", MEASURES)
def test_attribution_meets_its_limits(name: str) -> None:
    assert red(name, healthy(name)) == set()


def test_rows_have_names_of_their_own_and_laws_go_as_expected() -> None:
    found = {name: healthy(name) for name in MEASURES}
    shown = [*attribution.rows(found), *covariation.rows(found)]
    rows, laws = ([one for one in shown if isinstance(one, kind)] for kind in (Row, Law))
    assert len({row.name for row in rows}) == len(rows) >= 35
    assert len(laws) == 3
    for one in laws:
        assert one.expected is not None
        np.testing.assert_allclose(one.measured, one.expected, atol=0.08)


# ---- broken: the split of one outcome


def everywhere(monkeypatch: pytest.MonkeyPatch, name: str, broken: Any) -> None:
    """Break a function in its module and where it has been imported to."""
    monkeypatch.setattr(mechanism, name, broken)
    monkeypatch.setattr(attribution, name, broken)


def banzhaf(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """All coalitions weigh the same: right for linear games, and for two players, but not in general."""
    n = values.shape[-1].bit_length() - 1
    sets = np.arange(1 << n)
    without = [sets[sets >> player & 1 == 0] for player in range(n)]
    added = [(values[..., s | 1 << player] - values[..., s]).mean(axis=-1) for player, s in enumerate(without)]
    return np.stack(added, axis=-1)


def last_comers(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """What each adds once all others are there."""
    n = values.shape[-1].bit_length() - 1
    return np.stack([values[..., -1] - values[..., (1 << n) - 1 - (1 << player)] for player in range(n)], axis=-1)


@pytest.mark.parametrize("broken", [banzhaf, last_comers])
def test_wrong_shapley_weights_turn_efficiency_and_known_games_red(
    broken: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    everywhere(monkeypatch, "shapley", broken)
    found = red(attribution.CREDIT, measured(attribution.CREDIT))
    assert found >= {"credits add up to what all together achieve", "airport games", "glove game: the only left glove"}
    # Of linear games, and of who does nothing, these have the right idea.
    assert not found & {"closed form of linear outcomes", "who changes nothing gets nothing"}


def others_negated(split: Any, *args: Any, **kwargs: Any) -> Credits:
    credit: Credits = split(*args, **kwargs)
    return dataclasses.replace(credit, others=-credit.others)


def luck_is_mine(split: Any, *args: Any, **kwargs: Any) -> Credits:
    credit: Credits = split(*args, **kwargs)
    return dataclasses.replace(credit, own=credit.own + credit.luck, luck=np.zeros_like(credit.luck))


def biased_split(split: Any, *args: Any, **kwargs: Any) -> Credits:
    """The others are left with what the bias does not take."""
    credit: Credits = split(*args, **kwargs)
    own = np.where(credit.own > 0, 1.5, 0.5) * credit.own
    return dataclasses.replace(credit, own=own, others=credit.others + credit.own - own)


@pytest.mark.parametrize(
    ("function", "broken", "rows"),
    [
        ("contest_credits", others_negated, {CONTEST, CONTEST_SUM}),
        ("talk_credits", others_negated, {TALK, TALK_SUM}),
        ("talk_credits", luck_is_mine, {TALK}),
        ("contest_credits", biased_split, {CONTEST}),
        ("talk_credits", biased_split, {TALK}),
    ],
)
def test_a_wrong_split_turns_its_own_rows_red_and_no_others(
    function: str, broken: Any, rows: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    everywhere(monkeypatch, function, functools.partial(broken, getattr(mechanism, function)))
    assert red(attribution.CREDIT, measured(attribution.CREDIT)) == rows


def test_a_closed_form_that_forgets_the_means_turns_linear_games_and_talk_red(monkeypatch: pytest.MonkeyPatch) -> None:
    everywhere(monkeypatch, "shapley_linear", lambda weights, values, means: weights * np.asarray(values))
    found = red(attribution.CREDIT, measured(attribution.CREDIT))
    assert found == {"closed form of linear outcomes", TALK}


# ---- broken: shares in the long run


def test_luck_credited_to_oneself_turns_understanding_by_chance_red(monkeypatch: pytest.MonkeyPatch) -> None:
    everywhere(monkeypatch, "talk_credits", functools.partial(luck_is_mine, mechanism.talk_credits))
    monkeypatch.setattr(attribution, "KNOWN", tuple(attribution.JUDGED))
    assert CHANCE in red(attribution.SHARES, measured(attribution.SHARES))


def test_standings_mixed_up_turn_who_is_credited_red(monkeypatch: pytest.MonkeyPatch) -> None:
    standings = mechanism.expected_standings
    everywhere(monkeypatch, "expected_standings", lambda *args: standings(*args)[:, ::-1])
    monkeypatch.setattr(attribution, "KNOWN", tuple(attribution.JUDGED))
    found = red(attribution.SHARES, measured(attribution.SHARES))
    # Where both are anybody, own and others' standings are interchangeable; here they are not.
    assert found == {f"contests of all against one: share of {whose}" for whose in ("self", "others")}


def test_a_split_that_takes_defeat_for_victory_turns_credit_for_skill_red(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    split = mechanism.contest_credits
    everywhere(monkeypatch, "contest_credits", lambda p, q, y: split(p, q, 1 - y))
    monkeypatch.setattr(attribution, "KNOWN", tuple(attribution.JUDGED))
    found = red(attribution.SHARES, measured(attribution.SHARES))
    assert found == {f"credited own part beside true skill, {m} acquaintances, correlation" for m in (2, 8, 32)}


def test_a_ledger_that_gives_all_that_is_explained_to_each_turns_the_sum_red(monkeypatch: pytest.MonkeyPatch) -> None:
    shares = mechanism.variance_shares

    def greedy(covariance: NDArray[np.float64]) -> tuple[float, float, float]:
        own, others, luck = shares(covariance)
        return own + others, own + others, luck

    monkeypatch.setattr(mechanism, "variance_shares", greedy)
    assert red(attribution.CREDIT, measured(attribution.CREDIT)) == {"the ledger's shares of independent parts"}
    monkeypatch.setattr(attribution, "KNOWN", tuple(attribution.JUDGED))
    found = red(attribution.SHARES, measured(attribution.SHARES))
    assert found >= {"a society that talks and compares: self, others and luck"}
    assert found >= {f"contests among equals, {m} acquaintances: share of self" for m in (2, 8, 32)}


# ---- broken: the bias


def test_a_bias_before_the_split_turns_it_red(monkeypatch: pytest.MonkeyPatch) -> None:
    """An outcome that looks better than it was is then split."""
    attribute = mechanism.attribute

    def rosy(population: Any, world: Any, experience: Any, config: SocietyConfig, ledger: Any) -> Any:
        outcome = experience.outcomes["comparison"]
        seen = 0.5 + np.where(outcome > 0.5, config.bias_gain, config.bias_loss) * (outcome - 0.5)
        plain = dataclasses.replace(config, bias_gain=1.0, bias_loss=1.0)
        looked = dataclasses.replace(experience, outcomes=dict(experience.outcomes, comparison=seen))
        return attribute(population, world, looked, plain, ledger)

    monkeypatch.setattr(attribution, "attribute", rosy)
    assert SPLIT in red(attribution.BIAS, measured(attribution.BIAS))


def test_a_bias_on_everything_turns_what_is_felt_red(monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses are multiplied by what gains should be."""
    biased = mechanism.biased
    monkeypatch.setattr(mechanism, "biased", lambda own, *, gain, loss: biased(own, gain=loss, loss=gain))
    found = red(attribution.BIAS, measured(attribution.BIAS))
    assert found >= {f"{FELT}, gains x {gain}, losses x 0.5" for gain in (1.0, 1.5, 2.0)}
    assert "where superiority settles on it, biased" in found
    assert not found & {f"{FELT}, no bias", WHOLE, SPLIT, "where superiority settles on it, unbiased"}


def test_others_with_the_wrong_sign_turn_the_felt_outcome_red(monkeypatch: pytest.MonkeyPatch) -> None:
    everywhere(monkeypatch, "contest_credits", functools.partial(others_negated, mechanism.contest_credits))
    assert red(attribution.BIAS, measured(attribution.BIAS)) == {WHOLE}


# ---- broken: the cube


def test_consensus_read_as_its_opposite_turns_the_patterns_red(monkeypatch: pytest.MonkeyPatch) -> None:
    covary = cube_mechanism.covariation

    def opposite(cube: NDArray[np.float64]) -> Any:
        told = covary(cube)
        return dataclasses.replace(told, consensus=1 - told.consensus)

    monkeypatch.setattr(covariation, "covariation", opposite)
    assert red(covariation.CUBE, measured(covariation.CUBE)) == {"patterns put down to their causes, of 8"}


def test_interactions_that_keep_the_main_effects_turn_the_sums_red(monkeypatch: pytest.MonkeyPatch) -> None:
    def naive(cube: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        axes = [[axis for bit, axis in enumerate((-3, -2, -1)) if not causes >> bit & 1] for causes in range(8)]
        return [cube.mean(axis=tuple(some), keepdims=True) for some in axes]

    monkeypatch.setattr(cube_mechanism, "effects", naive)
    monkeypatch.setattr(covariation, "effects", naive)
    found = red(covariation.CUBE, measured(covariation.CUBE))
    assert found >= {"effects add up to the outcomes", "causes that only add up: the variance of each"}
    assert "variances of the effects add up to that of the outcomes" in found


def test_interactions_given_to_the_person_turn_the_causes_red(monkeypatch: pytest.MonkeyPatch) -> None:
    components = cube_mechanism.variance_components

    def selfish(cube: NDArray[np.float64]) -> NDArray[np.float64]:
        found = components(cube)
        return np.stack([found[..., 1::2].sum(axis=-1), found[..., 2] + found[..., 6], found[..., 4]], axis=-1)

    monkeypatch.setattr(covariation, "cause_variances", selfish)
    found = red(covariation.CUBE, measured(covariation.CUBE))
    # It adds up, and is right where nothing interacts.
    assert found == {"the same, due to the person", "the same, due to the stimulus"}
