"""The society's AgentSet means what Mesa's means: the same calls on a stock model with the same values."""

import copy
import operator
import pickle
from collections.abc import Callable
from typing import Any

import mesa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mesa.agent import AgentSet

from agents import InputError, Society, SocietyConfig
from agents.agent import Agent, DeadAgentError
from agents.rows import RowSet
from agents.world import planted

ATTRIBUTES = ("success", "body", "age", "fitness", "superiority", "n_dimensions", "parent", "birth", "n_seen")
WORLD = planted(seed=0, objects=200, features=24, factors=4, probe=60)
SMALL: dict[str, Any] = {"agents": 30, "sensors": 12, "memory": 64}


def society_of(steps: int = 0, seed: int = 1, **config: Any) -> Society:
    society = Society(WORLD, SocietyConfig(**SMALL | config), seed=seed)
    for _ in range(steps):
        society.step()
    return society


class Twin(mesa.Agent):  # type: ignore[misc]
    """A stock agent with the id and the values of one of the society's."""

    def __init__(self, model: mesa.Model, original: Agent) -> None:
        super().__init__(model)
        self.unique_id = original.unique_id
        for name in ATTRIBUTES:
            setattr(self, name, getattr(original, name))


def stock_of(society: Society) -> mesa.Model:
    model = mesa.Model(seed=0)
    for agent in society.agents:
        Twin(model, agent)
    return model


def with_ties(society: Society) -> Society:
    """Few different values, so that order among equals shows."""
    society.population.success[:] = np.round(society.rng.random(len(society.population)) * 4) / 4
    return society


def ids(agents: Any) -> list[int]:
    return [agent.unique_id for agent in agents]


def kill(society: Society, rows: list[int]) -> None:
    """Give rows to newborn agents, as selection does."""
    fresh = society.counters.next_id + np.arange(len(rows))
    society.population.id[rows] = fresh
    society.counters.next_id += len(rows)


@pytest.fixture(scope="module")
def lived() -> Society:
    return with_ties(society_of(steps=22))


@pytest.fixture(scope="module")
def stock(lived: Society) -> mesa.Model:
    return stock_of(lived)


SUBSETS: dict[str, Callable[[Any], Any]] = {
    "filter": lambda agents: agents.select(lambda a: a.success > 0.3),
    "nobody": lambda agents: agents.select(lambda a: False),
    "no criteria": lambda agents: agents.select(),
    "at most an int": lambda agents: agents.select(at_most=7),
    "at most more than there are": lambda agents: agents.select(at_most=700),
    "at most none": lambda agents: agents.select(at_most=0),
    "at most a share": lambda agents: agents.select(at_most=0.35),
    "at most the whole share": lambda agents: agents.select(at_most=1.0),
    "at most one": lambda agents: agents.select(at_most=1),
    "at most a large float": lambda agents: agents.select(at_most=4.5),
    "filter and share": lambda agents: agents.select(lambda a: a.body % 2 == 0, at_most=0.2),
    "filter and int": lambda agents: agents.select(lambda a: a.age > 3, 5),
    "type": lambda agents: agents.select(agent_type=mesa.Agent),
    "other type": lambda agents: agents.select(agent_type=mesa.experimental.meta_agents.MetaAgent),
    "type and filter": lambda agents: agents.select(lambda a: a.success > 0.3, agent_type=mesa.Agent),
    "sort": lambda agents: agents.sort("success"),
    "sort ascending": lambda agents: agents.sort("success", ascending=True),
    "sort by int": lambda agents: agents.sort("n_dimensions"),
    "sort by function": lambda agents: agents.sort(lambda a: -a.success),
    "sort by function ascending": lambda agents: agents.sort(lambda a: (a.age, -a.body), ascending=True),
    "sort by a derived value": lambda agents: agents.sort("fitness"),
    "sort by path": lambda agents: agents.sort("model.running"),
    "chain": lambda agents: agents.sort("success").select(lambda a: a.body > 50).select(at_most=0.5),
    "in place": lambda agents: copy.copy(agents).select(lambda a: a.success > 0.3, inplace=True),
    "in place without criteria": lambda agents: copy.copy(agents).select(inplace=True),
    "sort in place": lambda agents: copy.copy(agents).sort("body", inplace=True).select(at_most=9),
    "slice": lambda agents: agents[3:17:2],
    "slice from the end": lambda agents: agents[:-25],
    "reversed": lambda agents: list(reversed(agents.sort("body"))),
}


@pytest.mark.parametrize("name", SUBSETS)
def test_subsets_and_orders_are_those_of_stock_mesa(lived: Society, stock: mesa.Model, name: str) -> None:
    ours, theirs = SUBSETS[name](lived.agents), SUBSETS[name](stock.agents)
    assert ids(ours) == ids(theirs)
    assert isinstance(ours, RowSet) == isinstance(theirs, AgentSet)
    assert len(ours) == len(theirs)


READINGS: dict[str, Callable[[Any], Any]] = {
    "get": lambda agents: agents.get("success"),
    "get an int": lambda agents: agents.get("body"),
    "get a derived value": lambda agents: agents.get("fitness"),
    "get several": lambda agents: agents.get(["success", "unique_id", "age"]),
    "get none": lambda agents: agents.get([]),
    "get through the slow path": lambda agents: agents.get(["pos", "success"]),
    "get missing": lambda agents: agents.get("nothing", handle_missing="default", default_value=3),
    "get partly missing": lambda agents: agents.get(["success", "nothing"], "default"),
    "agg": lambda agents: agents.agg("success", np.mean),
    "agg several": lambda agents: agents.agg("success", [min, max, sum, len, np.std]),
    "map": lambda agents: agents.map(lambda a, b, c=0: (a.unique_id, b, c), 2, c=3),
    "group counts": lambda agents: agents.groupby("success").count(),
    "group order": lambda agents: list(agents.groupby("success").groups),
    "group order of a subset": lambda agents: list(agents.sort("body").groupby("n_dimensions").groups),
    "groups": lambda agents: {key: ids(group) for key, group in agents.groupby("success")},
    "groups of lists": lambda agents: {
        key: (type(group), ids(group)) for key, group in agents.groupby("success", result_type="list")
    },
    "groups by function": lambda agents: {key: ids(group) for key, group in agents.groupby(lambda a: a.body % 3)},
    "group agg": lambda agents: agents.groupby("n_dimensions").agg("success", np.mean),
    "group agg of lists": lambda agents: agents.groupby("n_dimensions", "list").agg("success", max),
    "group map": lambda agents: agents.groupby("success").map(lambda group: len(group)),
    "group map a method": lambda agents: agents.groupby("success").map("get", "body"),
    "group do": lambda agents: len(agents.groupby("success").do("sort", "body", inplace=True)),
    "number of groups": lambda agents: len(agents.groupby("body")),
    "truth": lambda agents: (bool(agents), bool(agents.select(at_most=0))),
    "item": lambda agents: (agents[0].unique_id, agents[-1].unique_id, agents[np.int64(4)].unique_id),
}


@pytest.mark.parametrize("name", READINGS)
def test_readings_are_those_of_stock_mesa(lived: Society, stock: mesa.Model, name: str) -> None:
    ours, theirs = READINGS[name](lived.agents), READINGS[name](stock.agents)
    assert ours == theirs
    assert type(ours) is type(theirs)
    if isinstance(ours, list) and ours:
        assert type(ours[0]) is type(theirs[0])


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda agents: agents.get("nothing"), AttributeError),
        (lambda agents: agents.get("success", handle_missing="ignore"), ValueError),
        (lambda agents: agents.sort("nothing"), AttributeError),
        (lambda agents: agents.groupby("nothing"), AttributeError),
        (lambda agents: agents.agg("nothing", np.mean), AttributeError),
        (lambda agents: agents.do("nothing"), AttributeError),
        (lambda agents: agents[99], IndexError),
        (lambda agents: agents.select(at_most=3).remove(agents[9]), KeyError),
        (lambda agents: agents.select(at_most=3).index(agents[9]), ValueError),
        (hash, TypeError),
    ],
)
def test_errors_are_those_of_stock_mesa(
    lived: Society, stock: mesa.Model, call: Callable[[Any], Any], error: type[Exception]
) -> None:
    for agents in (stock.agents, lived.agents):
        with pytest.raises(error):
            call(agents)


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_any_chain_of_operations_with_deaths_between_them_ends_as_in_stock_mesa(data: st.DataObject) -> None:
    society = with_ties(society_of(seed=data.draw(st.integers(0, 5)), agents=12))
    model = stock_of(society)
    ours, theirs = copy.copy(society.agents), copy.copy(model.agents)
    for step in data.draw(st.lists(st.sampled_from(["sort", "select", "die", "drop", "take", "set"]), max_size=8)):
        if step == "sort":
            arguments = data.draw(st.tuples(st.sampled_from(["success", "body"]), st.booleans(), st.booleans()))
            ours, theirs = ours.sort(*arguments), theirs.sort(*arguments)
        elif step == "select":
            at_most = data.draw(st.one_of(st.integers(0, 14), st.floats(0, 3)))
            inplace = data.draw(st.booleans())
            ours, theirs = (s.select(lambda a: a.success < 0.9, at_most, inplace) for s in (ours, theirs))
        elif step == "die":
            row = data.draw(st.integers(0, 11))
            name = int(society.population.id[row])
            kill(society, [row])
            # A stock set forgets the removed once nothing else holds them: no name may, here.
            model.agents.select(lambda a, name=name: a.unique_id == name).do("remove")
        elif len(ours) and step in ("drop", "take"):
            place = data.draw(st.integers(0, len(ours) - 1))
            for agents in (ours, theirs):
                agent = agents[place]
                agents.remove(agent)
                if step == "take":
                    agents.add(agent)
                del agent
        elif step == "set":
            value = data.draw(st.sampled_from([0.0, 0.5, 1.0]))
            assert ours.set("success", value) is ours
            theirs.set("success", value)
        assert ids(ours) == ids(theirs)
        assert ours.get("success") == theirs.get("success")
        assert len(ours) == len(theirs)


def test_the_set_of_all_agents_is_live_and_every_other_set_only_loses(lived: Society) -> None:
    society = copy.deepcopy(lived)
    everyone, snapshot, best = society.agents, copy.copy(society.agents), society.agents.sort("success")
    gone = [society.agents[3], society.agents[8]]
    kill(society, [3, 8])
    assert len(everyone) == 30
    assert everyone[3].unique_id == society.population.id[3] != gone[0].unique_id
    for agents in (snapshot, best):
        assert len(agents) == len(list(agents)) == len(agents.get("success")) == 28
        assert gone[0] not in agents
        assert everyone[3] not in agents
        assert society.agents[4] in agents
    everyone.sort("body", inplace=True)
    kill(society, [5])
    assert len(everyone) == 30
    assert society.agents[5] in everyone


def test_in_place_changes_never_reach_the_society(lived: Society) -> None:
    before = ids(lived.agents)
    agents = lived.agents
    agents.discard(agents[0])
    agents.select(lambda a: a.success > 0.3, inplace=True)
    agents.clear()
    assert len(agents) == 0
    assert ids(lived.agents) == before


def test_members_who_die_while_the_others_act_are_skipped() -> None:
    for run in ("do", "shuffle_do", "map"):
        society = society_of()
        acted: list[int] = []

        def act(agent: Agent, society: Society = society, acted: list[int] = acted) -> int:
            if not acted:
                kill(society, [row for row in range(10) if row != agent.row])
            acted.append(agent.unique_id)
            return agent.unique_id

        result = getattr(society.agents, run)(act)
        assert len(acted) == len(set(acted)) in (20, 21)  # the first to act may be one of the ten
        assert max(acted) < 30
        if run == "map":
            assert result == acted
        if run == "do":
            assert acted == [0, *range(10, 30)]


def test_do_calls_methods_by_name_and_returns_the_set() -> None:
    society = society_of()
    assert society.agents.do(lambda a, value: setattr(a, "success", value), 0.25).get("success") == [0.25] * 30
    agents = society.agents.select(at_most=2)
    assert agents.do("__setattr__", "success", 0.5) is agents
    assert society.agents.get("success")[:3] == [0.5, 0.5, 0.25]
    assert agents.map("__eq__", society.agents[0]) == [True, False]


def test_shuffles_draw_from_the_societys_one_generator_and_no_other() -> None:
    one, other = society_of(), society_of()
    untouched = one.random.getstate()
    state = one.rng.bit_generator.state
    shuffled = one.agents.shuffle()
    assert ids(shuffled) == ids(other.agents.shuffle())
    assert ids(shuffled) != sorted(ids(shuffled)) == list(range(30))
    order: list[int] = []
    one.agents.shuffle_do(lambda a: order.append(a.unique_id))
    assert sorted(order) == list(range(30)) != order
    assert ids(one.agents.shuffle(inplace=True)) != ids(one.agents)
    assert one.rng.bit_generator.state != state
    assert one.random.getstate() == untouched
    assert one.agents.random is one.random


def test_every_order_of_a_shuffle_is_about_equally_likely() -> None:
    agents = society_of().agents.select(at_most=3)
    seen = [tuple(agents.shuffle().ids.tolist()) for _ in range(1200)]
    counts = [seen.count(order) for order in set(seen)]
    assert len(counts) == 6
    assert min(counts) > 140  # 200 expected, standard deviation 13
    assert max(counts) < 260


def test_where_is_select_by_a_mask_over_rows(lived: Society) -> None:
    mask = lived.population.success > 0.3
    assert ids(lived.agents.where(mask)) == ids(lived.agents.select(lambda a: a.success > 0.3))
    best = lived.agents.sort("body")
    assert ids(best.where(mask)) == ids(best.select(lambda a: a.success > 0.3))
    for bad in (mask[:-1], mask.astype(int), np.flatnonzero(mask), None):
        with pytest.raises(InputError, match="bool of shape"):
            lived.agents.where(bad)  # type: ignore[arg-type]


@pytest.mark.parametrize("combine", [operator.and_, operator.or_, operator.sub, operator.xor])
def test_set_operators_combine_members_like_stock_sets(
    lived: Society, stock: mesa.Model, combine: Callable[[Any, Any], Any]
) -> None:
    def halves(agents: Any) -> tuple[Any, Any]:
        return agents.select(lambda a: a.success > 0.3), agents.select(lambda a: a.body % 2 == 0)

    result = combine(*halves(lived.agents))
    assert isinstance(result, RowSet)
    assert ids(result) == ids(combine(*halves(stock.agents)))
    a, b = halves(lived.agents)
    assert (a & b) <= a < (a | b)
    assert (a & b) == (b & a) != a
    assert a.isdisjoint(lived.agents - a)


def test_sets_take_only_living_agents_of_their_own_society(lived: Society) -> None:
    society = society_of()
    agents, dead = society.agents.select(at_most=3), society.agents[5]
    kill(society, [5])
    with pytest.raises(DeadAgentError, match="agent 5 died"):
        agents.add(dead)
    for stranger in (lived.agents[20], "agent 3"):
        with pytest.raises(ValueError, match="no agent of this society"):
            agents.add(stranger)  # type: ignore[arg-type]
        assert stranger not in agents
        agents.discard(stranger)  # type: ignore[arg-type]
    agents.add(society.agents[5])
    agents.add(society.agents[0])
    assert ids(agents) == [0, 1, 2, 30]
    kill(society, [1, 5])
    assert society.agents[1] not in agents
    agents.add(society.agents[1])
    assert ids(agents) == [0, 2, 31]


def test_a_set_is_made_of_ids_in_their_order_without_the_dead_and_without_repetition() -> None:
    society = society_of()
    kill(society, [4])
    assert ids(RowSet(society, [7, 4, 30, 2, 7, 99])) == [7, 30, 2]
    assert ids(RowSet(society, [])) == []
    with pytest.raises(InputError, match="id is an int"):
        RowSet(society, [1.5])  # type: ignore[list-item]


def test_columns_with_slots_are_read_and_set_through_the_set() -> None:
    society = society_of()
    agents = society.agents.select(at_most=2)
    scores = agents.get("score")
    assert [s.tolist() for s in scores] == society.population.score[:2].tolist()
    assert [s.tolist() for s in scores] == [a.score.tolist() for a in agents]
    assert not scores[0].flags.writeable
    agents.set("score", 0.75)
    assert np.array_equal(society.population.score[:2], np.where(society.population.held[:2], np.float32(0.75), 0))
    with pytest.raises(InputError, match="one number"):
        society.agents.set("success", np.linspace(0, 1, 30))
    with pytest.raises(AttributeError, match="cannot be set"):
        society.agents.set("energy", 3)


def test_sets_survive_pickling_and_deep_copying_with_their_society(lived: Society) -> None:
    best = lived.agents.sort("success").select(at_most=5)
    for twin in (pickle.loads(pickle.dumps(best)), copy.deepcopy(best)):
        assert isinstance(twin, RowSet)
        assert ids(twin) == ids(best)
        assert twin.society is not lived
        assert twin[0].model is twin.society
        assert twin != best  # agents of another society
    everyone = pickle.loads(pickle.dumps(lived.agents))
    kill(everyone.society, [0])
    assert len(everyone) == 30
