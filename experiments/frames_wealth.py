"""The Boltzmann wealth model in mesa-frames, whose agents are the rows of one data frame.

Whoever has wealth gives one unit to a random other, as in Mesa's example; unlike there, nobody moves, the other need
not stand in the same cell of a grid, all give at once instead of one after the other, and nothing is recorded.

Version 0.1.0a0, for which this is written, asks for NumPy 1.26, so that beside NumPy 2 it is only installed by
``pip install --no-deps mesa-frames`` and ``pip install polars``; it works there.
"""

from __future__ import annotations

import polars as pl
from mesa_frames import AgentSetPolars, ModelDF

WEALTH = pl.col("wealth")


class Givers(AgentSetPolars):  # type: ignore[misc]
    """Everybody, in a frame with the columns ``unique_id``, which is the number of the row, and ``wealth``."""

    agents: pl.DataFrame

    def __init__(self, agents: int, model: ModelDF) -> None:
        super().__init__(model)
        rows = pl.int_range(agents, eager=True)
        self.add(pl.DataFrame({"unique_id": rows, "wealth": pl.ones(agents, pl.Int64, eager=True)}))

    def step(self) -> None:
        """Everybody with wealth gives one unit to another."""
        givers = self.agents.filter(WEALTH > 0)["unique_id"].to_numpy()
        takers = self.random.integers(len(self) - 1, size=len(givers))
        takers += takers >= givers  # nobody gives to themselves
        taken = pl.DataFrame({"unique_id": takers}).group_by("unique_id").len("taken")
        known = self.agents.join(taken, on="unique_id", how="left", maintain_order="left")
        wealth = WEALTH - (WEALTH > 0).cast(pl.Int64) + pl.col("taken").fill_null(0)
        self.agents = known.select("unique_id", wealth=wealth)


class FramesWealth(ModelDF):  # type: ignore[misc]
    """At least two agents, each with a wealth of 1 to begin with."""

    def __init__(self, *, agents: int, seed: int) -> None:
        super().__init__(seed)
        self.agents.add(Givers(agents, self))
