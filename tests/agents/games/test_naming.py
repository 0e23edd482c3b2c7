"""Talk about one thing along one dimension is the naming game, in any order in which it may be played."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from agents.communication import Talk, talk
from agents.errors import InputError
from agents.games import naming
from agents.games.naming import NamingOutcome, Order, Played, Ties, distinct_words, naming_config, play, societies
from agents.meeting import Meeting
from agents.population import Population, found
from tests.agents.speakers import WORLD

# ---- the naming game itself


@dataclasses.dataclass
class Lists:
    """The naming game with a list of words for each agent: nothing else is in it."""

    inventories: list[list[int]]
    coined: int = 0

    def game(self, speaker: int, hearer: int, chance: float, name: int) -> tuple[int, bool]:
        """One game, in which ``name`` is what a new word would be called; returns the word and whether it is known."""
        ours, theirs = self.inventories[speaker], self.inventories[hearer]
        if not ours:
            ours.append(name)
            self.coined += 1
        word = ours[int(chance * len(ours))]
        success = word in theirs
        if success:
            ours[:], theirs[:] = [word], [word]
        else:
            theirs.append(word)
        return word, success

    @property
    def total(self) -> int:
        return sum(map(len, self.inventories))

    @property
    def distinct(self) -> int:
        return len({word for inventory in self.inventories for word in inventory})

    @property
    def agreed(self) -> bool:
        return len(self.inventories[0]) == 1 and all(words == self.inventories[0] for words in self.inventories)


def in_lists(population: Population) -> list[list[int]]:
    return [[int(word) for word in words if word >= 0] for words in population.words[:, 0]]


def test_with_one_object_and_one_dimension_talk_is_the_minimal_naming_game() -> None:
    n = 12
    life = dataclasses.replace(naming_config(n), vocabulary=48)
    population = found(WORLD, life, np.random.default_rng(2))
    lists = Lists([[] for _ in range(n)])
    rng, n_words, wins = np.random.default_rng(3), 0, 0
    for game in range(400):
        speaker, hearer = Ties.of(n, endless=True).pairs((1,), rng)
        chance = np.random.default_rng([4, game]).random(1)[0]
        word, success = lists.game(int(speaker[0]), int(hearer[0]), chance, n_words)
        meeting = Meeting(speaker=speaker, hearer=hearer, scene=WORLD.train[None, :1], topic=np.zeros(1, np.intp))
        outcome = talk(population, WORLD, meeting, life, n_words, np.random.default_rng([4, game]))
        assert outcome.n_words == max(n_words, word + 1)
        n_words = outcome.n_words
        assert outcome.success.tolist() == outcome.known.tolist() == [success]
        assert outcome.word.tolist() == [word]
        wins += success
        assert in_lists(population) == lists.inventories
    assert wins > 100
    assert lists.agreed


# ---- played side by side, and in turn


@dataclasses.dataclass
class Stretch:
    """Games [R, T] as they were drawn, what was said to have come of them, and every pair as it was played."""

    speaker: NDArray[np.intp]
    hearer: NDArray[np.intp]
    played: Played
    pairs: list[tuple[int, int, float, int]]
    inventories: list[list[int]]


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[Stretch]:
    """Everything that is played in this test, with the chance that each word was picked by."""
    stretches: list[Stretch] = []
    pairs: list[tuple[int, int, float, int]] = []
    really_play, really_talk = naming.play_in_order, naming.talk

    def played(
        population: Population, speaker: NDArray[np.intp], hearer: NDArray[np.intp], *args: Any, **kwargs: Any
    ) -> Played:
        outcome = really_play(population, speaker, hearer, *args, **kwargs)
        stretches.append(Stretch(speaker, hearer, outcome, pairs.copy(), in_lists(population)))
        pairs.clear()
        return outcome

    def talked(*args: Any) -> Talk:
        meeting, rng = args[2], args[5]
        chance = copy.deepcopy(rng).random(len(meeting))
        outcome = really_talk(*args)
        pairs.extend(
            zip(meeting.speaker.tolist(), meeting.hearer.tolist(), chance.tolist(), outcome.word.tolist(), strict=True)
        )
        return outcome

    monkeypatch.setattr(naming, "play_in_order", played)
    monkeypatch.setattr(naming, "talk", talked)
    return stretches


def in_turn(stretch: Stretch) -> list[list[tuple[int, int, float, int]]]:
    """The pairs that were played, by society and in the order in which they were drawn.

    Each agent must have played its own games in that order.
    """
    order = [
        list(zip(s, h, strict=True)) for s, h in zip(stretch.speaker.tolist(), stretch.hearer.tolist(), strict=True)
    ]
    found: list[list[tuple[int, int, float, int] | None]] = [[None] * len(games) for games in order]
    society = {row: r for r, games in enumerate(order) for pair in games for row in pair}
    for pair in stretch.pairs:
        r = society[pair[0]]
        of_speaker = [i for i, game in enumerate(order[r]) if pair[0] in game and found[r][i] is None]
        of_hearer = [i for i, game in enumerate(order[r]) if pair[1] in game and found[r][i] is None]
        assert of_speaker[0] == of_hearer[0]
        assert order[r][of_speaker[0]] == pair[:2]
        found[r][of_speaker[0]] = pair
    return [[pair for pair in games if pair is not None] for games in found]


@pytest.mark.parametrize("order", ["direct", "reverse"])
@pytest.mark.parametrize("network", [12, nx.star_graph(6), nx.newman_watts_strogatz_graph(20, 4, 0.3, seed=1)])
def test_societies_side_by_side_play_as_each_would_alone_one_game_after_the_other(
    network: int | nx.Graph, order: Order, log: list[Stretch]
) -> None:
    n, runs, every = network if isinstance(network, int) else len(network), 3, 17
    outcome = play(network, runs=runs, seed=7, order=order, every=every)
    lists = [Lists([[] for _ in range(n)]) for _ in range(runs)]
    games, totals = 0, np.full((runs, outcome.at[-1]), n)
    for look, stretch in enumerate(log):
        going = [r for r in range(runs) if not lists[r].agreed]
        for r, pairs, *shown in zip(
            going, in_turn(stretch), stretch.played.success, stretch.played.coined, stretch.played.change, strict=True
        ):
            for game, (speaker, hearer, chance, said) in enumerate(pairs):
                total, coined = lists[r].total, lists[r].coined
                word, success = lists[r].game(speaker - r * n, hearer - r * n, chance, said)
                assert word == said
                assert [what[game] for what in shown] == [success, lists[r].coined > coined, lists[r].total - total]
                totals[r, games + game] = lists[r].total
            assert stretch.inventories[r * n : (r + 1) * n] == lists[r].inventories
        games += every
        assert outcome.at[look] == games
        assert outcome.words[:, look].tolist() == [each.total for each in lists]
        assert outcome.distinct[:, look].tolist() == [each.distinct for each in lists]
        assert outcome.success[going, look].tolist() == stretch.played.success.mean(axis=1).tolist()
    assert all(each.agreed for each in lists)
    assert outcome.coined.tolist() == [each.coined for each in lists]
    assert outcome.most_words.tolist() == totals.max(axis=1).tolist()
    assert outcome.most_words_at.tolist() == (totals.argmax(axis=1) + 1).tolist()


def test_it_is_said_after_which_game_all_agreed(log: list[Stretch]) -> None:
    n, runs = 8, 5
    outcome = play(n, runs=runs, seed=3, every=10)
    agreed_at = [0] * runs
    lists = [Lists([[] for _ in range(n)]) for _ in range(runs)]
    for look, stretch in enumerate(log):
        going = [r for r in range(runs) if not agreed_at[r]]
        for r, pairs in zip(going, in_turn(stretch), strict=True):
            for game, (speaker, hearer, chance, said) in enumerate(pairs):
                lists[r].game(speaker - r * n, hearer - r * n, chance, said)
                if lists[r].agreed and not agreed_at[r]:
                    agreed_at[r] = 10 * look + game + 1
    assert outcome.agreed_at.tolist() == agreed_at


def test_nobody_ever_has_to_forget_a_word(log: list[Stretch]) -> None:
    play(150, runs=1, seed=0, max_games=1200)
    most = max(len(words) for stretch in log for words in stretch.inventories)
    assert most > 2 * naming.FIRST_VOCABULARY
    lists = Lists([[] for _ in range(150)])
    for stretch in log:
        for speaker, hearer, chance, said in in_turn(stretch)[0]:
            lists.game(speaker, hearer, chance, said)
        assert stretch.inventories == lists.inventories


def test_two_agents_agree_at_once() -> None:
    outcome = play(2, runs=3, seed=0)
    assert outcome.agreed_at.tolist() == outcome.most_words_at.tolist() == [1, 1, 1]
    assert outcome.most_words.tolist() == [2, 2, 2]
    assert outcome.coined.tolist() == [1, 1, 1]


def test_the_same_seed_is_the_same_history_and_another_is_not() -> None:
    once, again, other = (play(20, runs=2, seed=seed) for seed in (1, 1, 2))
    assert once.agreed_at.tolist() == again.agreed_at.tolist() != other.agreed_at.tolist()
    assert (once.words == again.words).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 8), st.integers(0, 10**6), st.sampled_from(["direct", "reverse"]))
def test_every_society_that_hangs_together_agrees_and_its_words_add_up(n: int, seed: int, order: Order) -> None:
    graph = nx.random_labeled_tree(n, seed=seed)
    graph.add_edges_from(nx.gnm_random_graph(n, n, seed=seed).edges)
    outcome = play(graph, runs=3, seed=seed, order=order, every=4 * n)
    assert (outcome.agreed_at > 0).all()
    assert (outcome.agreed_at <= outcome.at[-1]).all()
    assert (outcome.words[:, -1] == n).all()
    assert (outcome.distinct[:, -1] == 1).all()
    assert (outcome.distinct <= outcome.coined[:, None]).all()
    assert (outcome.coined <= n - 1).all(), "whoever hears first never has to invent"
    assert (outcome.words <= outcome.most_words[:, None]).all()
    assert (outcome.most_words_at <= outcome.agreed_at).all()
    assert ((outcome.success >= 0) & (outcome.success <= 1)).all()


# ---- who talks to whom


@pytest.mark.parametrize("order", ["direct", "reverse"])
def test_whoever_comes_first_is_anyone_and_the_other_any_of_its_neighbours(order: Order) -> None:
    graph = nx.Graph([("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("d", "d")])
    speaker, hearer = Ties.of(graph, endless=True).pairs((40, 1000), np.random.default_rng(0), order)
    first, second = (speaker, hearer) if order == "direct" else (hearer, speaker)
    counted = np.zeros((4, 4))
    np.add.at(counted, (first.ravel(), second.ravel()), 1 / first.size)
    names = list(graph)
    for i, j in np.ndindex(4, 4):
        tied = graph.has_edge(names[i], names[j]) and i != j
        chance = tied / (4 * len(set(graph.adj[names[i]]) - {names[i]}))
        assert counted[i, j] == pytest.approx(chance, abs=0.006)
        assert (counted[i, j] > 0) == tied


def test_of_many_agents_anyone_talks_to_anyone_else() -> None:
    speaker, hearer = Ties.of(4, endless=True).pairs((30000,), np.random.default_rng(0))
    counted = np.zeros((4, 4))
    np.add.at(counted, (speaker, hearer), 1 / len(speaker))
    assert counted == pytest.approx((1 - np.eye(4)) / 12, abs=0.007)


def test_pieces_that_nothing_ties_together_keep_their_own_words_however_long_they_play() -> None:
    outcome = play(nx.disjoint_union(nx.complete_graph(4), nx.complete_graph(4)), runs=6, seed=0, max_games=900)
    assert outcome.at[-1] == 900
    assert outcome.agreed_at.tolist() == [-1] * 6
    assert outcome.distinct[:, -1].tolist() == [2] * 6


def test_looks_are_as_often_as_asked_for_and_at_the_end() -> None:
    outcome = play(30, runs=2, seed=0, every=40, max_games=100)
    assert outcome.at.tolist() == [40, 80, 100]
    assert outcome.words.shape == outcome.distinct.shape == outcome.success.shape == (2, 3)
    assert outcome.agreed_at.tolist() == [-1, -1]
    assert outcome.most_words_at.max() <= 100


def test_who_agreed_early_stays_agreed_while_others_go_on() -> None:
    outcome: NamingOutcome = play(6, runs=20, seed=0)
    after = outcome.at[None, :] - 6 >= outcome.agreed_at[:, None]
    assert after.sum() > 20
    assert (outcome.words[after] == 6).all()
    assert (outcome.distinct[after] == 1).all()
    assert (outcome.success[after] == 1).all()


def test_words_are_counted_apart_for_each_society() -> None:
    words = np.array(
        [[[0, 3, -1], [3, -1, -1]], [[1, 2, 4], [2, -1, -1]], [[-1, -1, -1], [-1, -1, -1]]], dtype=np.int32
    )
    assert distinct_words(words, 6).tolist() == [2, 3, 0]


def test_in_a_new_society_nobody_has_a_word() -> None:
    population = societies(5, 3, np.random.default_rng(0))
    assert in_lists(population) == [[]] * 15
    assert population.held.all()


@pytest.mark.parametrize(
    ("network", "how", "says"),
    [
        (1, {}, "the society has 1 agents, but it takes at least 2 to talk"),
        (nx.empty_graph(1), {}, "the graph has 1 nodes, but it takes at least 2 to talk"),
        (nx.empty_graph(3), {}, "node 0 of the graph has no neighbour to talk to"),
        (nx.Graph([("a", "b"), ("c", "c")]), {}, "node 'c' of the graph has no neighbour to talk to"),
        (nx.DiGraph([(0, 1)]), {}, "the graph is directed"),
        (nx.Graph([(0, 1), (2, 3)]), {}, "the graph is in 2 pieces, which cannot ever agree; connect it, or give max_"),
        (4, {"runs": 0}, "runs is 0, but it must be at least 1"),
        (4, {"every": 0}, "every is 0, but it must be at least 1"),
        (4, {"max_games": 0}, "max_games is 0, but it must be at least 1"),
        (4, {"order": "neutral"}, "order is 'neutral', but it must be one of direct, reverse"),
    ],
)
def test_a_society_that_cannot_play_is_told_why(network: int | nx.Graph, how: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says.replace("'", ".")):
        play(network, **({"runs": 1, "seed": 0} | how))
