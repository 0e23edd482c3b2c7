"""The naming game meets what is published and what is exact; and talk that is broken turns its own rows red."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import networkx as nx
import numpy as np
import pytest

from agents import communication
from agents.communication import Talk
from agents.games import committed, naming
from experiments.limits import minority
from experiments.limits import naming as limits
from experiments.limits.naming_theory import PLAIN, PLAIN_SPREAD, first_words, holding_out, small_society
from experiments.limits.rows import Law, Row
from experiments.pieces import Found

LESS = {
    (limits, "FOUR_RUNS"): 500,
    (limits, "INVENTOR_RUNS"): 10,
    (limits, "RUNS"): {50: 20, 100: 10, 200: 5, 400: 2},
    (limits, "WORLD_RUNS"): 2,
    (minority, "FEW_RUNS"): 30,
    (minority, "MANY_RUNS"): 3,
    (minority, "CROWD_RUNS"): 1,
}
"""Fewer runs: what is expected of them is as much wider."""


@pytest.fixture(autouse=True, scope="module")
def less_of_it() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for (module, name), value in LESS.items():
            patch.setattr(module, name, value)
        yield


@pytest.fixture(scope="module")
def healthy(less_of_it: None) -> dict[str, Found]:
    """All that is measured in quick, with nothing broken."""
    return {name: alone(measure(3)) for name, measure in limits.measures(quick=True).items()}


def alone(figures: Mapping[str, float]) -> Found:
    return {name: np.array([figure]) for name, figure in figures.items()}


def red(rows: Iterable[Row | Law]) -> set[str]:
    return {row.name for row in rows if isinstance(row, Row) and not row.ok}


def red_of_few() -> set[str]:
    return red(limits.exact_rows(alone(limits.few(3))))


def red_of_many() -> set[str]:
    return red(limits.complete_rows(alone(limits.complete(3, runs=limits.RUNS))))


def red_of_a_small_world() -> set[str]:
    return red(limits.small_world_rows(alone(limits.small_worlds(3, agreement=False))))


def red_against_a_minority() -> set[str]:
    return red(minority.committed_rows(alone(minority.committed_minorities(3))))


# ---- unbroken


def test_the_game_meets_all_its_limits_and_its_laws_can_be_drawn(healthy: dict[str, Found]) -> None:
    found = list(limits.rows(healthy))
    assert red(found) == set()
    assert len({row.name for row in found}) == len(found) >= 40
    for curve in found:
        if isinstance(curve, Law):
            assert curve.expected is not None
            assert len(curve.at) == len(curve.measured) == len(curve.expected) >= 4


def test_in_full_there_is_more_that_is_published(healthy: dict[str, Found]) -> None:
    names = {row.name for row in limits.rows(healthy)}
    full = {name: dict(figures) for name, figures in healthy.items()}
    assert limits.measures(quick=False).keys() == full.keys()
    for n, plain in PLAIN.items():
        for name, mean in zip(limits.GOES_AS, plain, strict=True):
            full[limits.COMPLETE][f"{n}: {name}"] = np.array([mean * n**1.5])
        full[limits.COMPLETE][f"{n}: distinct"] = np.array([n / 2])
    for n in limits.WORLDS:
        full[limits.SMALL_WORLD][f"{n}: the game of agreement"] = np.array([11 * n**1.4])
    rows = list(limits.rows(full))
    assert red(rows) == set()
    assert {row.name for row in rows} - names >= {
        *(f"{name}: exponent of N beside earlier ones" for name in limits.GOES_AS),
        *(f"{name} of {n} agents, over N^1.5, beside earlier ones" for name in limits.GOES_AS for n in (400, 800)),
        "the game of agreement: exponent of N",
        "the game of agreement in a small world",
    }


# ---- what is expected


def test_three_agents_agree_after_as_many_games_as_can_be_counted_by_hand() -> None:
    """After the first game two share a word, and the third plays next in two games of three.

    Once all have one word each but not the same, and so on: the chain solved by hand gives 191/36.
    """
    expected = small_society(nx.complete_graph(3), "direct", games=2)
    assert expected.agreement.mean == pytest.approx(191 / 36)
    # Game 1 always leaves two words. Game 2: the same pair again (1/3) adds none; the third hears one (1/3) or coins
    # one and is heard (1/3): then there are 3 or 4.
    assert expected.words[0].mean == pytest.approx(2)
    assert expected.words[1].mean == pytest.approx((2 + 3 + 4) / 3)
    assert expected.success[1].mean == pytest.approx(1 / 3)


@pytest.mark.parametrize("order", ["direct", "reverse"])
@pytest.mark.parametrize("graph", [nx.path_graph(3), nx.star_graph(3)])
def test_words_are_coined_as_often_as_the_chain_of_all_first_games_says(graph: nx.Graph, order: naming.Order) -> None:
    """Every order in which agents can have their first games, by brute force."""
    n = len(graph)

    def after(played: frozenset[int], coined: int, chance: float) -> list[tuple[int, float]]:
        if len(played) == n:
            return [(coined, chance)]
        new = []
        for one in graph:
            for other in graph.adj[one]:
                if played >= {one, other}:
                    continue
                speaker = one if order == "direct" else other
                new.append((played | {one, other}, coined + (speaker not in played), 1 / (n * graph.degree[one])))
        rate = sum(share for *_, share in new)
        return [end for state, words, share in new for end in after(state, words, chance * share / rate)]

    words, chance = np.array(after(frozenset(), 0, 1.0)).T
    expected = first_words(graph, order)
    assert chance.sum() == pytest.approx(1)
    assert expected.mean == pytest.approx(words @ chance)
    assert expected.spread**2 == pytest.approx(words**2 @ chance - (words @ chance) ** 2)


def test_what_one_committed_does_to_one_other_can_be_counted_by_hand() -> None:
    """B hears A (1/2) and knows both; then it is told A (1/2), or says it by chance (1/4), and has just that."""
    after = holding_out(2, 1, (1, 2, 3))
    assert [each.mean for each in after] == pytest.approx([1 / 2, 1 / 4, 1 / 8])
    assert after[0].spread == pytest.approx(1 / 2)


def test_the_lists_go_as_published() -> None:
    assert PLAIN.keys() == PLAIN_SPREAD.keys() == limits.LARGE_RUNS.keys()
    sizes = list(PLAIN)
    for what, (middle, reach) in enumerate(limits.GOES_AS.values()):
        exponent = limits.slope(sizes, [np.array([PLAIN[n][what] * n**1.5]) for n in sizes])
        assert exponent[0] == pytest.approx(middle, abs=reach)


def test_the_slope_of_a_power_law_is_its_exponent() -> None:
    sizes = [10, 20, 80]
    measured = [np.array([3.0, 1.0]) * np.array([n**1.25, n**-0.5]) for n in sizes]
    assert limits.slope(sizes, measured) == pytest.approx([1.25, -0.5])
    assert np.isnan(limits.slope(sizes, [np.array([np.nan])] * 3))


# ---- broken on purpose


def undone(
    monkeypatch: pytest.MonkeyPatch, *, after_success: bool, speaker: bool = False, hearer: bool = False
) -> None:
    """After a success, or after a failure, one side is as if it had not been there."""
    talk = naming.talk

    def talked(*args: Any) -> Talk:
        population, meeting = args[0], args[2]
        pair = np.stack([meeting.speaker, meeting.hearer])
        before = population.words[pair, 0]
        outcome = talk(*args)
        back = (outcome.success == after_success) & np.array([[speaker], [hearer]])
        population.words[pair[back], 0] = before[back]
        return outcome

    monkeypatch.setattr(naming, "talk", talked)


def says(monkeypatch: pytest.MonkeyPatch, chance: float) -> None:
    """Speakers always say the word at the same place in their inventories."""
    pick = communication.pick_word
    monkeypatch.setattr(
        communication,
        "pick_word",
        lambda words, candidates, choice: pick(words, candidates, np.full_like(choice, chance)),
    )


def test_if_success_does_not_make_both_forget_nobody_ever_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    undone(monkeypatch, after_success=True, speaker=True, hearer=True)
    monkeypatch.setattr(limits, "ENOUGH", 150)  # so that what never ends is over soon
    found = red_of_few()
    for name in ("4 agents", "a star of 4, hearers first"):
        assert found >= {f"{name}: games until all agree", f"{name}: words after 6 games"}
    assert "the most words of 800 agents, for each" in red_of_a_small_world()


@pytest.mark.parametrize("side", ["speaker", "hearer"])
def test_if_just_one_side_forgets_agreement_takes_longer(side: str, monkeypatch: pytest.MonkeyPatch) -> None:
    undone(monkeypatch, after_success=True, **{side: True})
    assert red_of_few() >= {f"{name}: games until all agree" for name in limits.FOUR}


def test_if_hearers_learn_nothing_everybody_invents_a_word_and_none_spreads(
    healthy: dict[str, Found], monkeypatch: pytest.MonkeyPatch
) -> None:
    undone(monkeypatch, after_success=False, hearer=True)
    monkeypatch.setattr(limits, "ENOUGH", 150)
    monkeypatch.setattr(limits, "PATIENCE", 1.0)
    assert red_of_few() == {row.name for row in limits.exact_rows(healthy[limits.EXACT]) if isinstance(row, Row)}
    assert red_of_many() >= {
        "the most words: exponent of N, 50 to 400",
        "the most words of 400 agents, over N^1.5",
        "most different words of 400 agents, over N",
    }


@pytest.mark.parametrize(("chance", "flips"), [(0.0, 0.12), (1 - 1e-9, 0.08)])
def test_if_speakers_say_their_oldest_word_all_stick_to_it_and_if_their_newest_to_nothing(
    chance: float, flips: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    says(monkeypatch, chance)
    assert red_against_a_minority() >= {
        f"{flips:.0%} committed of 500: societies that flip",
        "8% committed of 500: share that stays with B",
        "12% committed of 5000: share with B after 5 N games",
        *(f"12% committed of 100: with B after {games} games" for games in (200, 500, 1000, 2000)),
    }


def test_if_the_committed_can_be_talked_round_they_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    play = naming.play_in_order
    monkeypatch.setattr(committed, "play_in_order", lambda *args, committed: play(*args))
    assert red_against_a_minority() >= {
        "12% committed of 500: societies that flip",
        "8% committed of 500: share that stays with B",
        "12% committed of 5000: share with B after 10 N games",
        *(f"12% committed of 100: with B after {games} games" for games in (200, 500, 1000, 2000, 3000)),
    }


def test_if_hearers_are_drawn_first_by_mistake_those_with_few_neighbours_invent_less(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pairs = naming.Ties.pairs
    monkeypatch.setattr(naming.Ties, "pairs", lambda self, shape, rng, order: pairs(self, shape, rng, order)[::-1])
    found = red_of_few()
    assert "200 agents with hubs: words invented" in found
    assert "200 agents with hubs, hearers first: words invented" in found
    assert "a star of 4: games until all agree" in found
    assert "200 agents: words invented" not in found
