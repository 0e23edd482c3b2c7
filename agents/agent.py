"""One agent as Mesa sees it: a facade over one row of the population, made on demand, that keeps nothing itself.

All state lives in the columns; whoever holds an `Agent` holds a row number and an id. When the agent dies its row goes
to somebody else; the id tells, and reading the dead raises `DeadAgentError` instead of answering for the heir.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import mesa
import numpy as np
from numpy.typing import ArrayLike, NDArray

from agents.discovery import correlations, factor_analysis, parallel_analysis
from agents.errors import InputError
from agents.population import NOTHING, Population
from agents.selection import fitness
from agents.view import View, frozen

if TYPE_CHECKING:
    from agents.society import Society

COLUMNS = (
    "parent", "birth", "body", "sensor", "n_seen", "loading", "kind", "exemplar", "score", "contests", "words",
    "concept", "born", "origin", "generation", "success", "understood",
)  # fmt: skip
"""Attributes of an agent that are a row of the column of the same name."""

SETTABLE = ("body", "success", "score", "contests", "understood")
"""Columns that may be written from outside: no other column, and no invariant, hangs on their values."""

KEPT_BY_SELECTION = (
    "the size of the population is kept by selection: agents are born and die in their rows at each selection, "
    "and cannot be {} one by one"
)


class DeadAgentError(LookupError):
    """The agent whose state is asked for has died, and its row belongs to another one."""


class Agent(mesa.Agent):  # type: ignore[misc]
    """Whoever lives in a row of the population now.

    Numbers are read as Python numbers, arrays as read-only copies, so that what a data collector stores does not
    change afterwards. ``body, success, score, contests, understood`` and ``pos`` can be set. Two agents are equal if
    they are the same agent of the same society.

    Parameters
    ----------
    model : the society
    row : 0 to agents - 1
    """

    # The base class has a __dict__, but nothing is ever put there: see __setattr__.
    __slots__ = ("model", "row", "unique_id")
    model: Society
    row: int
    unique_id: int

    def __init__(self, model: Society, row: int) -> None:
        # Not the base class's: that one counts ids of its own and registers every agent in the model.
        if row < 0:
            raise IndexError(f"row is {row}, but rows count from 0")
        put = object.__setattr__
        put(self, "model", model)
        put(self, "unique_id", int(model.population.id[row]))
        put(self, "row", int(row))

    @property
    def alive(self) -> bool:
        """Whether the agent still lives; true when it was made."""
        return bool(self.model.population.id[self.row] == self.unique_id)

    @property
    def parent(self) -> int:
        """Id of the agent it is an offspring of, -1 in the first generation."""
        return int(self._number("parent"))

    @property
    def birth(self) -> int:
        """The step at which it was born."""
        return int(self._number("birth"))

    @property
    def age(self) -> int:
        """Steps since birth."""
        return int(self.model.steps - self._read("birth"))

    @property
    def body(self) -> int:
        """The object it is; can be set to any object that agents may meet."""
        return int(self._number("body"))

    @body.setter
    def body(self, value: int) -> None:
        self._write("body", value)

    @property
    def sensor(self) -> NDArray[np.int32]:
        """The features it senses, int32 [m]."""
        return self._array("sensor")

    @property
    def seen(self) -> NDArray[np.int32]:
        """The objects it remembers, int32 [at most R]."""
        objects = self._read("seen")
        return frozen(objects[objects != NOTHING])

    @property
    def n_seen(self) -> int:
        """How many objects it has seen in its life."""
        return int(self._number("n_seen"))

    @property
    def view(self) -> View:
        """Its dimensions, at most 8, as they are now, in a form to read."""
        self._check_alive()
        return View.of(self.model.population, self.model.world, self.row)

    @property
    def n_dimensions(self) -> int:
        """How many dimensions it holds."""
        return int(self._derive("n_dimensions"))

    @property
    def kind(self) -> NDArray[np.int8]:
        """What is in each slot, int8 [S]: EMPTY, RAW or ABSTRACT of `agents.population`."""
        return self._array("kind")

    @property
    def loading(self) -> NDArray[np.float32]:
        """What each dimension weighs, float32 [S, m], unit norm (zero in empty slots)."""
        return self._array("loading")

    @property
    def exemplar(self) -> NDArray[np.int32]:
        """The object that each raw dimension is likeness to, int32 [S], else -1."""
        return self._array("exemplar")

    @property
    def score(self) -> NDArray[np.float32]:
        """Superiority along each dimension, float32 [S] in [0, 1]; setting leaves empty slots empty."""
        return self._array("score")

    @score.setter
    def score(self, value: ArrayLike) -> None:
        self._write("score", value)

    @property
    def superiority(self) -> float:
        """Mean superiority over its dimensions; 0 without any."""
        return float(self._derive("superiority"))

    @property
    def contests(self) -> NDArray[np.int32]:
        """Events that fed each score, int32 [S]; can be set."""
        return self._array("contests")

    @contests.setter
    def contests(self, value: ArrayLike) -> None:
        self._write("contests", value)

    @property
    def words(self) -> NDArray[np.int32]:
        """Numbers of the words for each dimension, int32 [S, W], -1 where free; `view` has them spelled."""
        return self._array("words")

    @property
    def concept(self) -> NDArray[np.int32]:
        """Index into ``library.ids`` for each dimension, int32 [S], as of the last merge heeded, -1 for none."""
        return self._array("concept")

    @property
    def born(self) -> NDArray[np.int32]:
        """The step at which each dimension arose, int32 [S], -1 in empty slots."""
        return self._array("born")

    @property
    def origin(self) -> NDArray[np.int8]:
        """How each dimension first arose, int8 [S], places in `agents.population.ORIGIN_NAMES`."""
        return self._array("origin")

    @property
    def generation(self) -> NDArray[np.int16]:
        """How often each dimension has been handed down, int16 [S]; 0 for its own."""
        return self._array("generation")

    @property
    def success(self) -> float:
        """Running mean of communicative success, in [0, 1]; can be set."""
        return float(self._number("success"))

    @success.setter
    def success(self, value: float) -> None:
        self._write("success", value)

    @property
    def understood(self) -> NDArray[np.float32]:
        """The same along each dimension, float32 [S]; can be set."""
        return self._array("understood")

    @understood.setter
    def understood(self, value: ArrayLike) -> None:
        self._write("understood", value)

    @property
    def fitness(self) -> float:
        """Mean superiority weighted by communicative success: what selection judges."""
        return float(self._derive("fitness"))

    @property
    def pos(self) -> Any:
        """Where it is in a Mesa space, None where nobody placed it.

        Like in stock Mesa the dead stay where they were placed until they are removed from the space.
        """
        return self.model.positions.get(self.unique_id)

    @pos.setter
    def pos(self, value: Any) -> None:
        if value is None:
            self.model.positions.pop(self.unique_id, None)
        else:
            self.model.positions[self.unique_id] = value

    def factors(self, n_factors: int | None = None) -> NDArray[np.float64]:
        """Common factors of what it remembers, through its sensors: varimax loadings [m, k] by factor-analyzer.

        ``n_factors`` is by default what parallel analysis finds, at most the slots of a view. This looks at one agent
        and changes nothing; the tick finds the same factors for all agents at once.

        Raises
        ------
        InputError
            If more factors are asked for than features are sensed.
        """
        self._check_alive()
        population, row = self.model.population, np.array([self.row])
        if n_factors is not None and not 0 <= n_factors <= population.n_sensors:
            raise InputError(f"n_factors is {n_factors}, but it must be from 0 to {population.n_sensors}")
        corr, count = correlations(self.model.world, population, row)
        if n_factors is None:
            values = np.asarray(np.linalg.eigvalsh(corr)[:, ::-1], dtype=np.float64)
            n_factors = int(parallel_analysis(values, count, population.n_slots)[0])
        return factor_analysis(corr[0], n_factors)

    def step(self) -> None:
        """What sequential activation calls: meet somebody, and live through it."""
        self._check_alive()
        meeting = self.model.meet_one(self.row)
        if meeting is not None:
            self.model.live(meeting)

    def remove(self) -> NoReturn:
        """Refuse: nobody can be taken out of a society."""
        raise RuntimeError(KEPT_BY_SELECTION.format("removed"))

    @classmethod
    def create_agents(cls, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Refuse: nobody can be put into a society."""
        raise RuntimeError(KEPT_BY_SELECTION.format("created"))

    def __setattr__(self, name: str, value: Any) -> None:
        attribute = getattr(type(self), name, None)
        if not (isinstance(attribute, property) and attribute.fset):
            raise AttributeError(
                f"agent.{name} cannot be set: an agent is made anew whenever it is asked for and keeps nothing "
                f"itself; what can be set are {', '.join(SETTABLE)} and pos"
            )
        object.__setattr__(self, name, value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Agent):
            return NotImplemented
        return self.model is other.model and self.unique_id == other.unique_id

    def __hash__(self) -> int:
        return hash((id(self.model), self.unique_id))

    def __reduce__(self) -> tuple[Any, ...]:
        # By way of arguments, so that an agent can be hashed as soon as it is unpickled, as a key or in a cycle.
        return facade, (self.model, self.unique_id, self.row, type(self))

    def __repr__(self) -> str:
        if not self.alive:
            return f"<Agent {self.unique_id}: dead>"
        return (
            f"<Agent {self.unique_id}: object {self.body}, {self.n_dimensions} dimensions, success {self.success:.2f}>"
        )

    def _check_alive(self) -> None:
        now = self.model.population.id.item(self.row)
        if now != self.unique_id:
            raise DeadAgentError(
                f"agent {self.unique_id} died, and row {self.row} is agent {now} now; agent.alive tells beforehand"
            )

    def _read(self, name: str) -> Any:
        self._check_alive()
        return getattr(self.model.population, name)[self.row]

    def _number(self, name: str) -> Any:
        self._check_alive()
        return getattr(self.model.population, name).item(self.row)

    def _array(self, name: str) -> NDArray[Any]:
        return frozen(self._read(name))

    def _derive(self, name: str) -> Any:
        self._check_alive()
        alone = self.model.population.some(slice(self.row, self.row + 1))
        values = attribute_values(alone, self.model.steps, name)
        assert values is not None
        return values[0]

    def _write(self, name: str, value: ArrayLike) -> None:
        self._check_alive()
        assign(self.model, np.array([self.row]), name, value)


def attribute_values(population: Population, step: int, name: str) -> NDArray[Any] | None:
    """The attribute ``name`` of everybody [N, ...], straight from the columns (not copied where it is one).

    None for attributes that the columns do not give, such as ``view``. `Agent` and `RowSet` both read through this,
    so that an attribute means the same for one agent and for a million.
    """
    if name == "unique_id":
        return population.id
    if name == "age":
        return step - population.birth
    if name == "n_dimensions":
        return np.asarray(population.held.sum(axis=1))
    if name == "superiority":
        held = population.held
        total = np.where(held, population.score, 0.0).sum(axis=1, dtype=np.float64)
        return np.asarray(total / np.maximum(held.sum(axis=1), 1))
    if name == "fitness":
        return fitness(population)
    return np.asarray(getattr(population, name)) if name in COLUMNS else None


def assign(society: Society, rows: NDArray[np.intp], name: str, value: ArrayLike) -> None:
    """Write the same ``value`` into column ``name``, one of `SETTABLE`, of each of ``rows``; empty slots stay empty.

    Raises
    ------
    InputError
        If the value is not one number (or one for each of the S slots, where the column has slots), or is outside
        what the column holds: objects that agents may meet, counts from 0, or shares from 0 to 1.
    """
    population = society.population
    column: NDArray[Any] = getattr(population, name)
    given = np.asarray(value)
    slots = column.shape[1:]
    # A vector as long as the set is never spread over the agents: everybody gets the same.
    if given.shape not in ((), slots):
        right = f"one number, or one for each of the {slots[0]} slots" if slots else "one number"
        raise InputError(f"{name} was given an array of shape {given.shape}, but it takes {right}")
    if given.dtype.kind not in "biuf":
        raise InputError(f"{name} is {value!r}, but it must be a number")
    if name == "body":
        ok, right = bool(np.isin(given, society.world.train)), f"an object of {society.world.name} not held out"
    elif column.dtype.kind == "i":
        top = np.iinfo(column.dtype).max
        ok, right = bool(np.all((given >= 0) & (given <= top) & (given == np.floor(given)))), "an int of at least 0"
    else:
        ok, right = bool(np.all((given >= 0) & (given <= 1))), "from 0 to 1"
    if not ok:
        raise InputError(f"{name} is {value!r}, but it must be {right}")
    if slots:
        column[rows] = np.where(population.held[rows], given, column[rows])
    else:
        column[rows] = given


def facade(model: Society, unique_id: int, row: int, kind: type[Agent] = Agent) -> Agent:
    """The agent of this id and row, without looking whether it is there (in unpickling, nothing is there yet)."""
    agent: Agent = object.__new__(kind)
    _put_model(agent, model)
    _put_id(agent, unique_id)
    _put_row(agent, row)
    return agent


# The agent's own __setattr__ refuses; and these are what is quickest where a million agents are made.
_put_model, _put_id, _put_row = (vars(Agent)[name].__set__ for name in ("model", "unique_id", "row"))
