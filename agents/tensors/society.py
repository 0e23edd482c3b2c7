"""A society whose tick is done by PyTorch, on a GPU or wherever a device of PyTorch is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import networkx as nx
import numpy as np
import torch
from numpy.typing import NDArray

from agents.communication import Talk
from agents.config import SocietyConfig
from agents.errors import InputError
from agents.interactions import conversations
from agents.meeting import Meeting
from agents.population import Population
from agents.society import Society
from agents.tensors import contests, talking
from agents.tensors.columns import Columns, Sights
from agents.tensors.drawing import DeviceDraws, Encounters, HostDraws
from agents.tensors.talking import Spoken
from agents.world import World


class TensorSociety(Society):
    """A society that meets, perceives, talks, compares, attributes, feels and remembers on a device.

    With draws of the ``host`` it lives the life of a `Society` of its seed, up to the rounding of levels; with draws of
    the ``device`` another one, as random, without most of what takes a GPU's time.

    While ticks go on, what they read and write is on the device. Whoever reads `population` has it brought up to date
    first, and from then on it is taken for the newest state: the next tick moves it over again. So discovery,
    selection, merging, agents and metrics are what they are in a `Society`, and whatever they change counts; but to
    look at the population at every step takes longer than the step. What was read earlier is out of date once the
    society has lived on: read it anew.

    Parameters
    ----------
    device : of PyTorch: "cuda", "cuda:1", "cpu"
    draws : whose random numbers decide

    Raises
    ------
    InputError
        If the device is not there, or the society lives in a way that only a `Society` does: the gesture game,
        sequential activation, meeting along a graph.
    """

    def __init__(
        self,
        world: World,
        config: SocietyConfig,
        *,
        seed: int,
        graph: nx.Graph | None = None,
        device: str,
        draws: Literal["host", "device"] = "host",
    ) -> None:
        self.device = checked(device)
        if draws not in ("host", "device"):
            raise InputError(f"draws is {draws!r}, but it must be one of host, device")
        check_possible(config, along_graph=graph is not None)
        self.draws = draws
        self._columns: Columns | None = None  # while it is there, it is newer than the population
        self._sights: tuple[World, Sights] | None = None  # of that world
        self._spoken: Spoken | None = None
        self._lost = False  # for good, in the middle of a tick
        self._talks: list[Talk] = []
        super().__init__(world, config, seed=seed)
        self.generator: torch.Generator | None = None
        if draws == "device":
            self.generator = torch.Generator(self.device)
            self.generator.manual_seed(seed % 2**64)

    @property
    def population(self) -> Population:
        """Everybody, up to date; to be changed at will between steps.

        Raises
        ------
        InputError
            If the memory of the device was full in the middle of a tick: half of a tick is no state of a society.
        """
        if self._lost:
            raise InputError(
                f"the society is lost: the memory of {self.device} was full in the middle of a tick; begin it anew "
                "with fewer agents, or without device"
            )
        if self._columns is not None:
            self._columns.bring_to(self._population)
            self._columns = None
        return self._population

    @population.setter
    def population(self, population: Population) -> None:
        self._population, self._columns = population, None

    @property
    def talks(self) -> list[Talk]:
        """What was said in this step, brought over when it is asked for."""
        if self._spoken is not None:
            self._talks.append(self._spoken.as_talk())
            self._spoken = None
        return self._talks

    @talks.setter
    def talks(self, talks: list[Talk]) -> None:
        self._talks, self._spoken = talks, None

    @property
    def sights(self) -> Sights:
        """What is looked at, of the world as it is now; moved over once for each world."""
        if self._sights is None or self._sights[0] is not self.world:
            self._sights = (self.world, Sights.of(self.world, self.device))
        return self._sights[1]

    def encounter(self) -> None:
        """Phases 1 to 6, and what is remembered of them."""
        check_possible(self.config, along_graph=self.edges is not None)
        with self._enough_memory():
            sights = self.sights
            if self._columns is None:
                self._columns = Columns.of(self.population, self.device)
            self._live_on(self._columns, sights.features, self._drawn(sights))

    def _live_on(self, columns: Columns, features: torch.Tensor, draws: HostDraws | DeviceDraws) -> None:
        config = self.config
        met = draws.encounters()
        if self.due(config.perceive_interval):
            scene = torch.cat([met.scene, met.scene])
            talking.perceive(columns, met.participants, scene, draws.luck(len(scene)))
        if not self.due(config.talk_interval):
            return
        choice, pointed = draws.words_and_ground(len(met))
        spoken = talking.talk(
            columns, features, met, pointed, choice, n_words=self.counters.n_words, audience=config.audience
        )
        self.counters.n_words, self._spoken = spoken.n_words, spoken
        self.log.overhear(len(met), lambda at: self._overheard(columns, met, spoken, at), step=self.steps)
        lived = contests.Lived.of(columns, met, spoken)
        if self.due(config.compare_interval):
            lived = contests.compare(columns, features, lived, config)
        if self.due(config.attribute_interval):
            lived = contests.attribute(columns, features, lived, config, self.ledger)
        if self.due(config.feel_interval):
            contests.feel(columns, lived, config)
        talking.remember_success(columns, met, spoken)

    def _drawn(self, sights: Sights) -> HostDraws | DeviceDraws:
        if self.generator is None:
            return HostDraws(world=self.world, config=self.config, rng=self.rng, device=self.device)
        return DeviceDraws(sights=sights, config=self.config, generator=self.generator)

    def _overheard(self, columns: Columns, met: Encounters, spoken: Spoken, at: NDArray[np.intp]) -> NDArray[np.void]:
        """Rows for the log, of the conversations ``at`` these places: only who had them is brought over."""
        places = torch.from_numpy(at).to(self.device)
        rows = torch.cat([met.speaker[places], met.hearer[places]])
        some = Encounters(**{name: drawn[places] for name, drawn in vars(met).items()})
        meeting = Meeting(
            speaker=np.arange(len(at)),
            hearer=np.arange(len(at), 2 * len(at)),
            scene=some.scene.int().cpu().numpy(),
            topic=some.topic.cpu().numpy(),
        )
        people = columns.some(self._population, rows)
        return conversations(people, self.world, meeting, spoken.some(places), meeting.speaker, self.library.ids)

    @contextmanager
    def _enough_memory(self) -> Iterator[None]:
        try:
            yield
        except torch.cuda.OutOfMemoryError as error:
            self._lost, self._columns = True, None
            raise InputError(
                f"agents is {self.config.agents}, too many for the memory of {self.device}; ask for fewer, or leave "
                "device out"
            ) from error

    def __getstate__(self) -> dict[str, Any]:
        """For pickles and copies: as it is between steps, with nothing on the device."""
        state = vars(self) | {"_population": self.population, "_talks": self.talks}
        told = None if self.generator is None else self.generator.get_state().numpy()
        return state | {"_columns": None, "_sights": None, "_spoken": None, "generator": told}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self.draws == "device":
            self.generator = torch.Generator(self.device)
            self.generator.set_state(torch.from_numpy(state["generator"]))


def checked(name: str) -> torch.device:
    """The device of that name, if it is there.

    Raises
    ------
    InputError
        If it is not, or no device that societies have lived on.
    """
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"device is {name!r}, which PyTorch does not know; give cpu, cuda or cuda:1") from None
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"device is {name}, on which no society has lived; give cpu, cuda or cuda:1")
    there = torch.cuda.device_count() if device.type == "cuda" else 1
    if there == 0:
        raise InputError(f"device is {name}, but PyTorch sees no GPU here; give another")
    if (device.index or 0) >= there:
        raise InputError(f"device is {name}, but PyTorch sees only {there} here; give {device.type}")
    return device


def check_possible(config: SocietyConfig, *, along_graph: bool) -> None:
    """Refuse the ways of living that have no form in tensors."""
    for name, value, possible in (
        ("game", config.game, "language"),
        ("activation", config.activation, "synchronous"),
    ):
        if value != possible:
            raise InputError(
                f"{name} is {value!r}, but with a device there is only {possible!r}; give that, or leave device out"
            )
    if along_graph:
        raise InputError("graph is given, but with a device anyone meets anyone; leave either of them out")
