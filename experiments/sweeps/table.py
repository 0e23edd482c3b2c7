"""What a sweep found: its runs as a table, their means by combination, and both as files that are always the same."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.compared import spread_of, told
from experiments.pieces import Figures
from experiments.run_files import to_csv
from experiments.society_figures import FEELINGS, QUALITY
from experiments.sweeps.plan import Combination, Plan, Run
from experiments.sweeps.running import Outcome

WALL = "wall_s"

WORDS = {
    **{f"library.{name}": words for name, words in QUALITY.items() if name != "success"},
    "communication.success": QUALITY["success"],
    **{f"superiority.{name}": FEELINGS[name] for name in ("mean_felt", "mean_true", "illusory")},
}
"""Figures that are known by better words than their names."""

USUAL = (
    "library.n_concepts",
    "library.efficiency",
    "library.mcc",
    "library.label_accuracy",
    "communication.success",
    "superiority.illusory",
)
"""What is printed and drawn where the file does not say what."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Swept:
    """What came of a sweep.

    Attributes
    ----------
    plan : what was asked for
    runs : all runs, in the order of the table
    done : by key of a run its figures, the seconds it took among them; runs that failed are not there
    failed : by key of a run what it failed with
    """

    plan: Plan
    runs: Sequence[Run]
    done: Mapping[tuple[str, int], Figures]
    failed: Mapping[tuple[str, int], Outcome]

    @property
    def combinations(self) -> list[Combination]:
        """All combinations in order."""
        return list({run.combination.number: run.combination for run in self.runs}.values())

    @property
    def figures(self) -> list[str]:
        """Names of all figures that runs have, in the order in which they are measured."""
        names = dict.fromkeys(name for run in self.runs for name in self.done.get(run.key, {}))
        return [name for name in names if name != WALL]

    @property
    def answers(self) -> list[str]:
        """Names of the figures to print and draw: those asked for, or the usual ones, as far as anything is known."""
        return [name for name in self.plan.figures or USUAL if self.known(name)]

    def known(self, figure: str) -> bool:
        """Whether any run has a figure."""
        return any(math.isfinite(figures.get(figure, math.nan)) for figures in self.done.values())

    def values(self, figure: str) -> NDArray[np.float64]:
        """A figure by combination and replication, float64 [combinations, replications]; nan where it is not known."""
        found = [self.done.get(run.key, {}).get(figure, math.nan) for run in self.runs]
        return np.array(found, dtype=np.float64).reshape(-1, self.plan.replications)


def words(figure: str) -> str:
    """What a figure is, as it can begin a line."""
    return WORDS.get(figure, figure)


def table(swept: Swept) -> bytes:
    """A row for each run that is finished, as CSV: combination, replication, parameters, seed, figures."""
    rows = [
        _place(run) | {figure: _cell(swept.done[run.key].get(figure)) for figure in swept.figures}
        for run in swept.runs
        if run.key in swept.done
    ]
    return to_csv(rows, columns=[*_columns(swept), *swept.figures])


def times(swept: Swept) -> bytes:
    """The seconds of each run that is finished, as CSV; they alone are never the same again."""
    rows = [_place(run) | {WALL: swept.done[run.key][WALL]} for run in swept.runs if run.key in swept.done]
    return to_csv(rows, columns=[*_columns(swept), WALL])


def results(swept: Swept) -> dict[str, Any]:
    """Means and standard deviations of all figures by combination, and what failed, for JSON."""
    spreads = {figure: [spread_of(row) for row in swept.values(figure)] for figure in swept.figures}
    finished = Counter(run.combination.number for run in swept.runs if run.key in swept.done)
    return {
        "fixed": dict(swept.plan.fixed),
        "parameters": swept.plan.parameters,
        "seeds": list(dict.fromkeys(run.seed for run in swept.runs)),
        "answers": swept.answers,
        "combinations": [
            {
                "combination": some.number,
                "parameters": dict(some.settings),
                "finished": finished[some.number],
                "figures": {figure: found[some.number - 1] for figure, found in spreads.items()},
            }
            for some in swept.combinations
        ],
        "failed": [
            {
                "combination": run.combination.number,
                "parameters": dict(run.combination.settings),
                "replication": run.replication,
                "seed": run.seed,
                "error": swept.failed[run.key].error,
                "trace": swept.failed[run.key].trace.splitlines(),
            }
            for run in swept.runs
            if run.key in swept.failed
        ],
    }


def means(swept: Swept) -> tuple[list[str], list[list[str]]]:
    """Parameters and figures to print: the head of a table, and a line for each combination, mean +- sd."""
    head = [*swept.plan.parameters, *(figure.partition(".")[2] or figure for figure in swept.answers)]
    if len(set(head)) < len(head):
        head = [*swept.plan.parameters, *swept.answers]
    values = [swept.values(figure) for figure in swept.answers]
    lines = [
        [*(shown(value) for value in some.settings.values()), *(told(figure[place]) for figure in values)]
        for place, some in enumerate(swept.combinations)
    ]
    return head, lines


def printed(swept: Swept) -> str:
    """The table of means for the terminal."""
    head, lines = means(swept)
    widths = [max(map(len, column)) for column in zip(head, *lines, strict=True)]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in (head, *lines)
    )


def shown(value: object) -> str:
    """A value of a parameter, to be read."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _place(run: Run) -> dict[str, object]:
    where = {"combination": run.combination.number, "replication": run.replication}
    return where | dict(run.combination.settings) | {"seed": run.seed}


def _columns(swept: Swept) -> list[str]:
    return ["combination", "replication", *swept.plan.parameters, "seed"]


def _cell(figure: float | None) -> float | int | None:
    """A figure as it stands in the table: counts without a point, and nothing where it is not known."""
    if figure is None or not math.isfinite(figure):
        return None
    return int(figure) if figure.is_integer() else figure
