"""Data collection by columns: what Mesa's DataCollector records agent by agent, recorded as arrays."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agents.agent import attribute_values
from agents.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from agents.society import Society

Reporter = str | Callable[["Society"], NDArray[Any]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Record:
    """One step: ``ids`` int64 [N] and, by name of reporter, the values of everybody [N, ...]."""

    ids: NDArray[np.int64]
    values: dict[str, NDArray[Any]]


class ColumnCollector:
    """Records attributes of all agents, a copy of the whole column per step; a stand-in for Mesa's DataCollector.

    ``ColumnCollector(["success", "age"])`` or, to rename and to compute, a mapping to names and functions of the
    society: ``ColumnCollector({"alike": lambda society: society.population.success ** 2})``.

    Parameters
    ----------
    agent_reporters : names of attributes that are columns (see `agents.agent.attribute_values`), or a mapping from
        the name of a reporter to such a name or to a function that returns an array [N, ...], a row per row of the
        population
    """

    def __init__(self, agent_reporters: Mapping[str, Reporter] | Iterable[str]) -> None:
        if isinstance(agent_reporters, str):
            raise InputError(f"agent_reporters is {agent_reporters!r}, but it must be a list of names or a mapping")
        self.agent_reporters: dict[str, Reporter] = (
            dict(agent_reporters) if isinstance(agent_reporters, Mapping) else {name: name for name in agent_reporters}
        )
        self._records: dict[int, _Record] = {}

    @property
    def steps(self) -> list[int]:
        """The steps that have been recorded."""
        return list(self._records)

    def collect(self, model: Society) -> None:
        """Record the present step; a second time in the same step replaces the first.

        Raises
        ------
        InputError
            If a reporter is no column, or its function does not return one value for each agent.
        """
        values = {name: _column(model, name, reporter) for name, reporter in self.agent_reporters.items()}
        self._records[model.steps] = _Record(ids=self._ids(model), values=values)

    def values(self, name: str) -> NDArray[Any]:
        """All recordings of one reporter: [steps, N, ...], in the type of the column, a row per row of the population.

        A row is one agent only as long as that agent lives; `ids` says whose it is.
        """
        return np.stack([record.values[name] for record in self._records.values()])

    def ids(self) -> NDArray[np.int64]:
        """Who was in which row: int64 [steps, N]."""
        return np.stack([record.ids for record in self._records.values()])

    def get_agent_vars_dataframe(self) -> pd.DataFrame:
        """The recordings in long form, with the index (Step, AgentID), equal to that of Mesa's DataCollector.

        Numbers are int64 and float64, as Python's are; of a column with slots each cell holds the agent's array.
        """
        import pandas as pd

        records = self._records
        steps = np.repeat(list(records), [len(record.ids) for record in records.values()])
        ids = np.concatenate([record.ids for record in records.values()]) if records else np.zeros(0, np.int64)
        index = pd.MultiIndex.from_arrays([steps.astype(np.int64), ids], names=["Step", "AgentID"])
        return pd.DataFrame({name: self._series(name) for name in self.agent_reporters}, index=index)

    def _series(self, name: str) -> NDArray[Any]:
        """One reporter's values of all steps, flat, in the types that pandas gives Python's numbers."""
        if not self._records:
            return np.zeros(0)
        values = np.concatenate([record.values[name] for record in self._records.values()])
        if values.ndim == 1:
            return values.astype({"i": np.int64, "u": np.int64, "f": np.float64}.get(values.dtype.kind, values.dtype))
        cells = np.empty(len(values), dtype=object)
        cells[:] = list(values)
        return cells

    def _ids(self, model: Society) -> NDArray[np.int64]:
        """A copy of the ids, shared with the step before when nobody was born since."""
        ids = model.population.id
        if self._records:
            last = next(reversed(self._records.values())).ids
            if np.array_equal(last, ids):
                return last
        return ids.copy()


def _column(society: Society, name: str, reporter: Reporter) -> NDArray[Any]:
    population = society.population
    if isinstance(reporter, str):
        values = attribute_values(population, society.steps, reporter)
        if values is None:
            raise InputError(f"reporter {name!r}: {reporter!r} is no column of the population; give a function")
    else:
        values = np.asarray(reporter(society))
    if values.shape[:1] != (len(population),):
        raise InputError(
            f"reporter {name!r} gave an array of shape {values.shape}, but it must have a row for each of the "
            f"{len(population)} agents"
        )
    return values.copy()
