"""The row-backed AgentSet: what Mesa's users know as ``model.agents``, over columns instead of objects.

A `RowSet` keeps ids and rows in two arrays. It makes an `Agent` only where a user's function wants one; attributes that
are columns are read, sorted by, grouped by and set as arrays.
"""

from __future__ import annotations

import math
import operator
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from random import Random
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
from mesa.agent import AgentSet, GroupBy
from numpy.typing import NDArray

from agents.agent import SETTABLE, Agent, DeadAgentError, assign, attribute_values, facade
from agents.errors import InputError
from agents.population import NOTHING

if TYPE_CHECKING:
    from agents.society import Society

INFINITY = float("inf")


class RowSet(AgentSet):  # type: ignore[misc]
    """An ordered set of agents of one society; everything that Mesa's `AgentSet` does, it does.

    Made without ``ids`` it is the set of all agents, in the order of their rows: the newborn are in it, in the places
    of the dead. Any other set, and any copy, has the members it was given; who dies drops out.

    Each ``society.agents`` is a new set, so nothing that is done to one in place can lose an agent.

    Parameters
    ----------
    society : whose agents
    ids : stable ids of the members, in order; ids of the dead and repetitions are left out
    """

    # The base class's __init__ is not called: its dictionary of weak references would lose every facade at once.
    def __init__(self, society: Society, ids: Iterable[int] | NDArray[np.integer] | None = None) -> None:
        self.society = society
        self._rows: NDArray[np.intp] | None = None
        self._ids: NDArray[np.int64] | None = None
        self._id_at: NDArray[np.int64] | None = None
        if ids is not None:
            wanted = ids if isinstance(ids, np.ndarray) else np.array(list(ids))
            self._become(_rows_of(society.population.id, wanted))

    @property
    def random(self) -> Random:
        """The society's standard-library generator, as Mesa's contract has it; see `shuffle` for what is drawn from."""
        return self.society.random

    @property
    def rows(self) -> NDArray[np.intp]:
        """The rows of the living members, int [n], in the order of the set; ``population.success[agents.rows]``."""
        if self._rows is None:
            self._rows = np.arange(len(self.society.population))
        if self._ids is not None:
            alive = self.society.population.id[self._rows] == self._ids
            if not alive.all():
                self._rows, self._ids, self._id_at = self._rows[alive], self._ids[alive], None
        return self._rows

    @property
    def ids(self) -> NDArray[np.int64]:
        """The ids of the living members, int64 [n], in the order of the set."""
        return self.society.population.id[self.rows]

    def where(self, mask: NDArray[np.bool_]) -> RowSet:
        """The members whose row is marked in ``mask``, bool [N] over the rows of the population.

        ``society.agents.where(society.population.success > 0.5)`` is `select` without a Python call per agent.

        Raises
        ------
        InputError
            If the mask is not one bool per row.
        """
        n = len(self.society.population)
        mask = np.asarray(mask)
        if mask.shape != (n,) or mask.dtype != np.bool_:
            raise InputError(f"mask is {mask.dtype} of shape {mask.shape}, but it must be bool of shape ({n},)")
        return self._subset(self.rows[mask[self.rows]])

    # What there is, and who.

    def __len__(self) -> int:
        return len(self.society.population) if self._ids is None else len(self.rows)

    def __iter__(self) -> Iterator[Agent]:
        return self._living(self.rows)

    def __reversed__(self) -> Iterator[Agent]:
        return self._living(self.rows[::-1])

    def __contains__(self, agent: object) -> bool:
        if not (isinstance(agent, Agent) and agent.model is self.society and agent.alive):
            return False
        if self._ids is None:
            return True
        if self._id_at is None:
            self._id_at = np.full(len(self.society.population), NOTHING, dtype=np.int64)
            self._id_at[self.rows] = self.ids
        return bool(self._id_at[agent.row] == agent.unique_id)

    @overload
    def __getitem__(self, item: int) -> Agent: ...

    @overload
    def __getitem__(self, item: slice) -> list[Agent]: ...

    def __getitem__(self, item: int | slice) -> Agent | list[Agent]:
        if isinstance(item, slice):
            return list(self._living(self.rows[item]))
        return Agent(self.society, self.rows[item])

    def index(self, value: Agent, *bounds: int) -> int:
        """The place of an agent; ValueError if it is not there. (The inherited one would build the set n times.)"""
        return list(self).index(value, *bounds)

    def __repr__(self) -> str:
        return f"<RowSet of {len(self)} agents>"

    # Other sets out of this one.

    def select(
        self,
        filter_func: Callable[[Agent], bool] | None = None,
        at_most: int | float = INFINITY,
        inplace: bool = False,
        agent_type: type[Any] | None = None,
    ) -> RowSet:
        """The first ``at_most`` members (a float up to 1: at most that share of them) for whom the filter is true."""
        if filter_func is None and agent_type is None and at_most == INFINITY:
            return self if inplace else self.__copy__()
        rows = self.rows
        if isinstance(at_most, float) and at_most <= 1.0:
            at_most = int(len(rows) * at_most)
        if agent_type and not issubclass(Agent, agent_type):
            rows = rows[:0]
        if filter_func:
            chosen = (agent.row for agent in self._living(rows) if filter_func(agent))
            limit = None if at_most == INFINITY else max(math.ceil(at_most), 0)
            rows = np.fromiter(islice(chosen, limit), dtype=np.intp)
        else:
            rows = rows[np.arange(len(rows)) < at_most]
        return self._become(rows) if inplace else self._subset(rows)

    def shuffle(self, inplace: bool = False) -> RowSet:
        """The same members in random order."""
        return self._reorder(self._shuffled(), inplace)

    def sort(self, key: Callable[[Agent], Any] | str, ascending: bool = False, inplace: bool = False) -> RowSet:
        """The same members by an attribute or a function of the agent, highest first unless ``ascending``."""
        rows = self.rows
        values = self._values(key) if isinstance(key, str) else None
        if values is not None and values.ndim == 1:
            # Descending is ascending from the back, so that equals keep their order, as in sorted(reverse=True).
            places = np.argsort(values if ascending else values[::-1], kind="stable")
            rows = rows[places if ascending else len(rows) - 1 - places[::-1]]
        else:
            value_of = operator.attrgetter(key) if isinstance(key, str) else key
            in_order = sorted(self, key=value_of, reverse=not ascending)
            rows = np.array([agent.row for agent in in_order], dtype=np.intp)
        return self._reorder(rows, inplace)

    def groupby(self, by: Callable[[Agent], Any] | str, result_type: str = "agentset") -> RowGroups:
        """Members by the value of an attribute or a function, in the order in which the values first occur.

        Groups are `RowSet`s, or lists of agents for any other ``result_type`` than "agentset".
        """
        values = self._values(by) if isinstance(by, str) else None
        if values is not None and values.ndim == 1:
            groups = _grouped(self.rows, values)
        else:
            value_of = operator.attrgetter(by) if isinstance(by, str) else by
            members: defaultdict[Any, list[int]] = defaultdict(list)
            for agent in self:
                members[value_of(agent)].append(agent.row)
            groups = {value: np.array(rows, dtype=np.intp) for value, rows in members.items()}
        if result_type == "agentset":
            return RowGroups({value: self._subset(rows) for value, rows in groups.items()})
        return RowGroups({value: list(self._living(rows)) for value, rows in groups.items()})

    def __copy__(self) -> RowSet:
        return self._subset(self.rows)

    # What members do, and what they have.

    def do(self, method: str | Callable[..., Any], *args: Any, **kwargs: Any) -> RowSet:
        """Call a method, by name, or a function on each member that lives when its turn comes."""
        for agent in self:
            _call(agent, method, args, kwargs)
        return self

    def shuffle_do(self, method: str | Callable[..., Any], *args: Any, **kwargs: Any) -> RowSet:
        """The same in random order; the order of the set stays."""
        for agent in self._living(self._shuffled()):
            _call(agent, method, args, kwargs)
        return self

    def map(self, method: str | Callable[..., Any], *args: Any, **kwargs: Any) -> list[Any]:
        """What the calls return, for each member that lives when its turn comes."""
        return [_call(agent, method, args, kwargs) for agent in self]

    def get(
        self,
        attr_names: str | list[str],
        handle_missing: Literal["error", "default"] = "error",
        default_value: Any = None,
    ) -> list[Any]:
        """The value of an attribute for each member, or a list of values for a list of names."""
        if handle_missing not in ("error", "default"):
            raise ValueError(f"Unknown handle_missing option: {handle_missing}, should be one of 'error' or 'default'")
        missing = (default_value,) if handle_missing == "default" else ()
        if isinstance(attr_names, str):
            return self._listed(attr_names, missing)
        columns = [self._listed(name, missing) for name in attr_names]
        return [[column[i] for column in columns] for i in range(len(self))]

    def set(self, attr_name: str, value: Any) -> RowSet:
        """Give an attribute the same value for every member."""
        if attr_name in SETTABLE:
            assign(self.society, self.rows, attr_name, value)
        else:
            for agent in self:
                setattr(agent, attr_name, value)
        return self

    # Changing this set (never the society).

    def add(self, agent: Agent) -> None:
        """Take a living agent of the same society in, as the last one."""
        self._check_member(agent)
        if not agent.alive:
            raise DeadAgentError(f"agent {agent.unique_id} died and cannot be added to a set")
        if agent not in self:
            self._become(np.append(self.rows, agent.row))

    def discard(self, agent: Agent) -> None:
        """Take an agent out, if it is in. A set of all agents is from then on the set of those that are left."""
        if agent in self:
            self._become(self.rows[self.rows != agent.row])

    def remove(self, agent: Agent) -> None:
        """Take an agent out; KeyError if it is not in."""
        if agent not in self:
            raise KeyError(agent)
        self.discard(agent)

    def clear(self) -> None:
        """Take everybody out."""
        self._become(self.rows[:0])

    def __getstate__(self) -> dict[str, Any]:
        return {"society": self.society, "rows": self._rows, "ids": self._ids}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.society, self._rows, self._ids = state["society"], state["rows"], state["ids"]
        self._id_at = None

    def _from_iterable(self, agents: Iterable[Agent]) -> RowSet:
        # What the inherited operators (& | - ^) make their results with.
        members = list(agents)
        for agent in members:
            self._check_member(agent)
        return RowSet(self.society, [agent.unique_id for agent in members])

    def _check_member(self, agent: object) -> None:
        if not isinstance(agent, Agent) or agent.model is not self.society:
            raise ValueError(f"{agent!r} is no agent of this society, and cannot be in a set of its agents")

    def _become(self, rows: NDArray[np.intp]) -> RowSet:
        self._rows, self._ids, self._id_at = rows, self.society.population.id[rows], None
        return self

    def _subset(self, rows: NDArray[np.intp]) -> RowSet:
        return RowSet(self.society)._become(rows)

    def _reorder(self, rows: NDArray[np.intp], inplace: bool) -> RowSet:
        if not inplace:
            return self._subset(rows)
        if self._ids is not None:
            return self._become(rows)
        self._rows = rows  # still everybody
        return self

    def _shuffled(self) -> NDArray[np.intp]:
        # Mesa shuffles with its standard-library generator. A society promises that all its chance comes from
        # model.rng, so that one state restores it; `random` is there for users' own draws.
        return self.society.rng.permutation(self.rows)

    def _living(self, rows: NDArray[np.intp]) -> Iterator[Agent]:
        """Those who are in ``rows`` now, one by one, without those who have died when their turn comes."""
        society = self.society
        ids = society.population.id[rows].tolist()
        return (
            facade(society, unique_id, row)
            for row, unique_id in zip(rows.tolist(), ids, strict=True)
            if society.population.id.item(row) == unique_id
        )

    def _values(self, name: str) -> NDArray[Any] | None:
        """The attribute of each member [n, ...], as a new array; None where the columns do not give it."""
        if name == "row":
            return self.rows
        values = attribute_values(self.society.population, self.society.steps, name)
        return None if values is None else values[self.rows]

    def _listed(self, name: str, missing: tuple[Any, ...]) -> list[Any]:
        values = self._values(name)
        if values is None:
            return [getattr(agent, name, *missing) for agent in self]
        if values.ndim == 1:
            listed: list[Any] = values.tolist()
            return listed
        values.flags.writeable = False
        return list(values)


class RowGroups(GroupBy):  # type: ignore[misc]
    """What `RowSet.groupby` gives: Mesa's `GroupBy`, whose `agg` reads columns where the groups are `RowSet`s."""

    def agg(self, attr_name: str, func: Callable[[list[Any]], Any]) -> dict[Any, Any]:
        """The result of ``func`` on the list of an attribute's values, by group."""
        return {
            value: func(group.get(attr_name) if isinstance(group, RowSet) else [getattr(a, attr_name) for a in group])
            for value, group in self.groups.items()
        }


def _grouped(rows: NDArray[np.intp], values: NDArray[Any]) -> dict[Any, NDArray[np.intp]]:
    """Rows by value; values in the order of their first occurrence, rows in the order they came in."""
    distinct, first, which = np.unique(values, return_index=True, return_inverse=True)
    together = rows[np.argsort(which, kind="stable")]
    ends = np.cumsum(np.bincount(which)).tolist()
    starts, keys = [0, *ends], distinct.tolist()
    return {keys[k]: together[starts[k] : ends[k]] for k in np.argsort(first).tolist()}


def _rows_of(present: NDArray[np.int64], wanted: NDArray[np.integer]) -> NDArray[np.intp]:
    """The rows of the ``wanted`` ids among those ``present``, without repetition."""
    if wanted.size and wanted.dtype.kind not in "iu":
        raise InputError(f"ids hold {wanted.dtype} values, but an id is an int")
    order = np.argsort(present)
    places = np.searchsorted(present, wanted, sorter=order)
    rows: NDArray[np.intp] = order[np.minimum(places, len(present) - 1)]
    rows = rows[present[rows] == wanted]
    return rows[np.sort(np.unique(rows, return_index=True)[1])]


def _call(agent: Agent, method: str | Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if isinstance(method, str):
        return getattr(agent, method)(*args, **kwargs)
    return method(agent, *args, **kwargs)
